"""Files that reports are written to: complete or not at all, and never half over an older one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

BACKUP_SUFFIX = ".BACKUP"
"""Appended to the name of an older report that is kept."""


@contextmanager
def replacing(path: Path, *, newline: str = "\n") -> Iterator[TextIO]:
    """Open a text file that replaces an older one when the block ends without an error.

    Characters that stand for bytes which are not UTF-8, as in file names, are written as these bytes. A pipe or a
    device is written to directly.

    Args:
        path: Path of the file.
        newline: What ends a line.

    Raises:
        OSError: The folder does not exist, is full or is not writable.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline=newline) as stream:
            yield stream
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="surrogateescape", newline=newline) as stream:
            yield stream
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def keep_backup(path: Path) -> None:
    """Rename an older report, so that it is kept beside the new one; it replaces the backup before it.

    Raises:
        OSError: The folder is not writable.
    """
    with suppress(FileNotFoundError):
        path.replace(path.with_name(f"{path.name}{BACKUP_SUFFIX}"))
