"""The commands of the set-up: ``config show``, ``reference``, ``check`` and ``init``, and shell ``completion``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation
from py_image_dedup.cli.main import ExitCode, error_lines
from py_image_dedup.cli.options import FORMAT
from py_image_dedup.cli.output import print_json

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.config.problem import Problem


_CONFIG_EXAMPLES = """\b
Examples:
  py-image-dedup config init   writes a configuration file
  py-image-dedup config check  reports its errors
  py-image-dedup config show   prints the settings in force"""


@click.group(name="config", epilog=_CONFIG_EXAMPLES)
def config_command() -> None:
    """Show, explain, check or create the configuration."""


_SHOW_EXAMPLES = """\b
Examples:
  py-image-dedup config show
  py-image-dedup --config other.yaml config show"""


@config_command.command(epilog=_SHOW_EXAMPLES)
@pass_invocation
def show(invocation: Invocation, /) -> None:
    """Print the settings in force and their origins.

    The output is YAML that can be loaded again; a comment says whether a value comes from the file, the environment
    or the defaults. Secrets are left out.
    """
    from py_image_dedup.config.reference import shown
    from py_image_dedup.report.text import readable

    loaded = invocation.load()
    for warning in loaded.warnings:
        invocation.say(f"Warning: {warning}")
    click.echo(shown(loaded.settings, {path: readable(origin) for path, origin in loaded.origins.items()}), nl=False)


_REFERENCE_EXAMPLES = """\b
Examples:
  py-image-dedup config reference > py_image_dedup_reference.yaml"""


@config_command.command(epilog=_REFERENCE_EXAMPLES)
def reference() -> None:
    """Print all options with their defaults as YAML."""
    from py_image_dedup.config.reference import reference as text

    click.echo(text(), nl=False)


@config_command.command(
    epilog="""\b
Examples:
  py-image-dedup config init                      writes ~/.config/py_image_dedup.yaml
  py-image-dedup config init ./py_image_dedup.yaml"""
)
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(dir_okay=False, path_type=Path))
@pass_invocation
def init(invocation: Invocation, /, file: Path | None) -> None:
    """Write a configuration file with all options.

    Without FILE it is written to ~/.config/py_image_dedup.yaml. An existing file is never overwritten.
    """
    from py_image_dedup.config.reference import reference as text
    from py_image_dedup.report.text import readable

    chosen = file or Path.home() / ".config" / "py_image_dedup.yaml"
    chosen.parent.mkdir(parents=True, exist_ok=True)
    try:
        with chosen.open("x", encoding="utf-8") as stream:
            stream.write(text())
    except FileExistsError:
        raise click.UsageError(f"{readable(chosen)} exists already.") from None
    invocation.say(f"Wrote {readable(chosen)}.")


_CHECK_EXAMPLES = """\b
Examples:
  py-image-dedup config check
  py-image-dedup --config new.yaml config check --output json"""


@config_command.command(epilog=_CHECK_EXAMPLES)
@FORMAT
@pass_invocation
def check(invocation: Invocation, /, output_format: str) -> int:
    """Report all errors in the configuration.

    There are warnings about folders that do not exist, and about folders of the rule folder-order that contain no
    file of the library.
    """
    from py_image_dedup.config import ConfigError

    lines: Sequence[str] = ()
    problems: Sequence[Problem] = ()
    settings: Settings | None
    try:
        loaded = invocation.load()
    except ConfigError as error:
        lines, _ = error_lines(error)
        problems = error.problems
        settings, warnings = error.settings, error.warnings
    else:
        settings, warnings = loaded.settings, loaded.warnings
    warnings = (*warnings, *(_doubts(settings) if settings is not None else ()))
    if output_format == "json":
        found = [{"key": each.key, "cause": each.cause, "place": each.place} for each in problems]
        print_json({"valid": not lines, "problems": found, "warnings": list(warnings)})
        return ExitCode.USAGE if lines else ExitCode.DONE
    for line in lines:
        click.echo(line, err=True)
    for warning in warnings:
        invocation.say(f"Warning: {warning}")
    if lines:
        return ExitCode.USAGE
    if not invocation.quiet:
        click.echo("The configuration is valid.")
    return ExitCode.DONE


def _doubts(settings: Settings) -> Iterator[str]:
    """Yield warnings about values that are valid and probably wrong."""
    from py_image_dedup.report.text import readable

    analysis = settings.analysis
    roots = (*analysis.source_directories, *analysis.protected_directories)
    for folder in roots:
        if not folder.is_dir():
            yield f"{readable(folder)} does not exist now."
    if not analysis.source_directories:
        yield "analysis.source_directories is not set; give ROOTs on the command line."
    for name in _unmatched(_preferred(settings), [root for root in roots if root.is_dir()]):
        yield f"folder-order: no folder of the library matches {readable(name)}."


def _preferred(settings: Settings) -> list[str]:
    """Return the folders of all folder-order rules."""
    folders: list[str] = []
    for rule in settings.deduplication.prioritization_rules:
        if isinstance(rule, Mapping):
            given = rule.get("folder-order", ())
            folders += given.split(",") if isinstance(given, str) else given
        elif rule.partition(":")[0].strip() == "folder-order":
            folders += rule.partition(":")[2].split(",")
    return [name for folder in folders if (name := str(folder).strip())]


def _unmatched(folders: Sequence[str], roots: Sequence[Path]) -> list[str]:
    """Return the folders that are neither in a root nor contain one; relative names may be anywhere in the roots."""
    absolute = {folder: Path(os.path.normpath(Path(folder).expanduser())) for folder in folders}
    missing = [
        folder
        for folder, path in absolute.items()
        if path.is_absolute()
        and not (path.is_dir() and any(path.is_relative_to(root) or root.is_relative_to(path) for root in roots))
    ]
    sought = {folder for folder, path in absolute.items() if not path.is_absolute()}
    for root in roots:
        for directory, _, _ in os.walk(os.fspath(root)):
            if not sought:
                break
            inside = f"{directory}/"
            sought = {folder for folder in sought if f"/{absolute[folder]}/" not in inside}
    return [folder for folder in folders if folder in missing or folder in sought]


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
