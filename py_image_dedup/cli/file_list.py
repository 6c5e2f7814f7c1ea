"""Lists of files instead of folders: the options ``--files-from`` and ``-0``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from py_image_dedup.cli.context import Invocation

if TYPE_CHECKING:
    from py_image_dedup.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--files-from",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        help="Search only the files that are listed in FILE, one per line, instead of folders; - for standard input.",
    ),
    click.option("-0", "--null", is_flag=True, help="The files of --files-from are separated by null bytes."),
)


def file_list_options(command: Command) -> Command:
    """Add the options of a file list; ``read_file_list`` uses them."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


@dataclass(frozen=True, slots=True)
class FileList:
    """A list of files.

    Attributes:
        raw_paths: Absolute raw paths.
        folders: Their folders, which are the roots of the run.
    """

    raw_paths: frozenset[bytes]
    folders: tuple[Path, ...]


def read_file_list(invocation: Invocation, roots: Sequence[Path], source: str | None, *, null: bool) -> FileList | None:
    """Read the list of files, if the command line names one.

    Args:
        invocation: The global options, for warnings.
        roots: The ROOTs of the command line.
        source: Path of the list, or ``-`` for standard input.
        null: Whether the names are separated by null bytes.

    Raises:
        click.UsageError: There are ROOTs too, or no list, or the list is empty.
    """
    if source is None:
        if null:
            raise click.UsageError("-0 needs --files-from.")
        return None
    if roots:
        raise click.UsageError("Give either ROOTs or --files-from, not both.")
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    names = [name for name in data.split(b"\0" if null else b"\n") if name.strip()]
    raw_paths = {os.path.abspath(name if null else name.rstrip(b"\r")) for name in names}  # noqa: PTH100 - raw paths
    if not raw_paths:
        raise click.UsageError("The list of --files-from is empty.")
    there = {raw for raw in raw_paths if os.path.isfile(raw)}  # noqa: PTH113 - raw paths
    if len(there) < len(raw_paths):
        invocation.say(f"Warning: {len(raw_paths) - len(there):,} of {len(raw_paths):,} listed files do not exist.")
    folders = sorted({os.path.dirname(raw) for raw in there})  # noqa: PTH120 - raw paths
    if not folders:
        raise click.UsageError("None of the listed files exists.")
    return FileList(frozenset(there), tuple(Path(os.fsdecode(folder)) for folder in folders))


def searched_paths(files: FileList | None, settings: Settings) -> Collection[bytes] | None:
    """Return the raw paths to search: the listed files and all files of protected folders; ``None`` without a list."""
    if files is None:
        return None
    from py_image_dedup.scan.walker import walk
    from py_image_dedup.wiring import options_of, roots_of

    protected = [root for root in roots_of(settings) if root.protected]
    if not protected:
        return files.raw_paths
    return files.raw_paths.union(walk(protected, options_of(settings).selector).stamps)
