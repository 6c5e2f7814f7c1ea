"""What SQLite's errors mean to the person whose index it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py_image_dedup.store.base import StoreError, StoreUnavailable

START_ANEW = "Start anew with `py-image-dedup clear`; the next run builds the index again and changes no photo"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every error of SQLite inside the block into the contract's, with the file, the cause and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the contract's error for one of SQLite's."""
    # An extended code is its primary code and a suffix: SQLITE_IOERR_WRITE is one of SQLITE_IOERR. An error that the
    # Python module itself found has no name.
    name: str = getattr(error, "sqlite_errorname", "")
    primary = "_".join(name.split("_")[:2])
    if primary in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return StoreUnavailable(f"The index {path} is being written by another process. Try again when that is done")
    words = _WORDS.get(primary)
    if words is None:
        return StoreError(f"The index {path} cannot be used: {error}")
    return StoreError(f"The index {path} {words.format(cause=error)}")


_DAMAGED = "is damaged ({cause}). " + START_ANEW
_NOT_ALLOWED = (
    "cannot be opened for writing ({cause}). Check that its folder exists and may be written, or choose another one "
    "with --state-directory"
)
_WORDS = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_FULL": (
        "could not be written: no space is left ({cause}). What was written before is kept; free some space, run again"
    ),
    "SQLITE_IOERR": (
        "could not be read or written ({cause}). Check the disk and its free space, and run again; what was written "
        "before is kept"
    ),
    "SQLITE_CANTOPEN": _NOT_ALLOWED,
    "SQLITE_PERM": _NOT_ALLOWED,
    "SQLITE_READONLY": _NOT_ALLOWED,
    "SQLITE_AUTH": _NOT_ALLOWED,
}
