"""``decisions``: the pictures that are marked as not duplicates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave
from py_image_dedup.cli.main import ExitCode

if TYPE_CHECKING:
    from py_image_dedup.matching.rejections import Rejections


_DECISIONS_EXAMPLES = """\b
Examples:
  py-image-dedup decisions list      shows what is remembered
  py-image-dedup decisions forget 2  lets the pictures of the second one match again"""


@click.group(name="decisions", short_help="Show or forget what is not a duplicate.", epilog=_DECISIONS_EXAMPLES)
def decisions_command() -> None:
    """List, forget, export and import the pictures that are marked as not duplicates.

    They are remembered by their content and not matched again, wherever they are moved. A new picture that
    matches one of them is offered as any other. Files with the same bytes always match.
    """


_LIST_EXAMPLES = """\b
Examples:
  py-image-dedup decisions list"""


@decisions_command.command(name="list", epilog=_LIST_EXAMPLES)
@pass_invocation
def list_command(invocation: Invocation, /) -> ExitCode:
    """List the decisions, the oldest first, each with its number."""
    from py_image_dedup.report.text import readable

    rejections = _load(_path(invocation))
    if not rejections.entries:
        invocation.say("No pictures are marked as not duplicates.")
    with readers_may_leave():
        for number, entry in enumerate(rejections.entries, start=1):
            names = ", ".join(readable(name) for _, name in entry.contents)
            click.echo(f"{number}  {entry.decided.astimezone():%Y-%m-%d %H:%M}  {names}")
    return ExitCode.DONE


_FORGET_EXAMPLES = """\b
Examples:
  py-image-dedup decisions forget 2  by its number in the list"""


@decisions_command.command(name="forget", epilog=_FORGET_EXAMPLES)
@click.argument("numbers", nargs=-1, type=click.IntRange(min=1), metavar="NUMBER ...")
@click.option("--all", "everything", is_flag=True, help="Forget all of them.")
@pass_invocation
def forget_command(invocation: Invocation, /, numbers: tuple[int, ...], *, everything: bool) -> ExitCode:
    """Forget decisions by their numbers in the list: the pictures are offered again."""
    from py_image_dedup.matching.rejections import save_rejections
    from py_image_dedup.removal.runs import RunLock

    if bool(numbers) is everything:
        raise click.UsageError("Give the numbers that the list shows, or --all.")
    path = _path(invocation)
    with RunLock(path.parent):
        rejections = _load(path)
        unknown = [number for number in numbers if number > len(rejections.entries)]
        if unknown:
            raise click.UsageError(f"There is no decision {unknown[0]}; the command decisions list shows them.")
        chosen = [
            entry.digests for number, entry in enumerate(rejections.entries, start=1) if everything or number in numbers
        ]
        save_rejections(rejections.without(chosen), path)
    invocation.say(f"Forgotten: {len(chosen):,}.")
    return ExitCode.DONE


_EXPORT_EXAMPLES = """\b
Examples:
  py-image-dedup decisions export not-duplicates.json"""


@decisions_command.command(name="export", epilog=_EXPORT_EXAMPLES)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@pass_invocation
def export_command(invocation: Invocation, /, file: Path) -> ExitCode:
    """Write the decisions to FILE, for another machine."""
    from py_image_dedup.matching.rejections import save_rejections

    rejections = _load(_path(invocation))
    save_rejections(rejections, file)
    invocation.say(f"Exported: {len(rejections.entries):,}.")
    return ExitCode.DONE


_IMPORT_EXAMPLES = """\b
Examples:
  py-image-dedup decisions import not-duplicates.json"""


@decisions_command.command(name="import", epilog=_IMPORT_EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@pass_invocation
def import_command(invocation: Invocation, /, file: Path) -> ExitCode:
    """Add the decisions of FILE, which the command export wrote."""
    from py_image_dedup.matching.rejections import save_rejections
    from py_image_dedup.removal.runs import RunLock

    path = _path(invocation)
    added = _load(file).entries
    with RunLock(path.parent):
        save_rejections(_load(path).with_more(added), path)
    invocation.say(f"Imported: {len(added):,}.")
    return ExitCode.DONE


def _path(invocation: Invocation) -> Path:
    from py_image_dedup.matching.rejections import REJECTIONS_NAME

    return invocation.settings().state_directory / REJECTIONS_NAME


def _load(path: Path) -> Rejections:
    from py_image_dedup.matching.rejections import load_rejections

    return load_rejections(path)
