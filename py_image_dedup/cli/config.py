"""``config``: show, reference, check."""

from __future__ import annotations

import click

from py_image_dedup.cli.context import Invocation, pass_invocation


@click.group(name="config")
def config_command() -> None:
    """Show, explain or check the configuration."""


@config_command.command()
@pass_invocation
def show(invocation: Invocation, /) -> None:
    """Print the settings in force, from file, environment and defaults, as YAML. Secrets are left out."""
    from py_image_dedup.config.reference import shown

    click.echo(shown(invocation.settings()), nl=False)


@config_command.command()
def reference() -> None:
    """Print every option with what it means and its default, as a YAML file to start from."""
    from py_image_dedup.config.reference import reference as text

    click.echo(text(), nl=False)


@config_command.command()
@pass_invocation
def check(invocation: Invocation, /) -> None:
    """Look for mistakes: unknown keys, wrong values, folders that are not there. All are told at once."""
    settings = invocation.settings()
    analysis = settings.analysis
    for folder in (*analysis.source_directories, *analysis.protected_directories):
        if not folder.is_dir():
            invocation.say(f"Warning: {click.format_filename(str(folder))} is not there now.")
    if not analysis.source_directories:
        invocation.say("No folder to search is configured; give one on the command line.")
    if not invocation.quiet:
        click.echo("The configuration is right.")
