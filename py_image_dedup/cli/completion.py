"""The command ``completion``: shell completion for bash, zsh and fish."""

from __future__ import annotations

import click

_EXAMPLES = """\b
Examples:
  py-image-dedup completion bash > ~/.local/share/bash-completion/completions/py-image-dedup
  py-image-dedup completion zsh > ~/.zfunc/_py-image-dedup
  py-image-dedup completion fish > ~/.config/fish/completions/py-image-dedup.fish"""


@click.command(name="completion", epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a shell.

    The script lets the shell complete commands and options of this program.
    """
    from click.shell_completion import get_completion_class

    from py_image_dedup.cli.main import COMPLETION_VARIABLE, application

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    script = found(application, {}, "py-image-dedup", COMPLETION_VARIABLE)
    # Not ``script.source()``: it starts the shell to look for its version.
    click.echo(script.source_template % script.source_vars())
