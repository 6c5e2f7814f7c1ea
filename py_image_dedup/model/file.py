"""What the file system says about a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int, int]
"""``(size in bytes, mtime in ns, device, inode)``: what tells a changed file from an unchanged one.

A plain tuple, because a run over an unchanged library compares one per file and does nothing else.
"""


@dataclass(frozen=True, slots=True)
class FileStat:
    """A regular file as ``lstat`` saw it.

    Attributes:
        path: Absolute. A name that is not valid UTF-8 carries surrogate escapes, as ``os.fsdecode`` makes them.
        size: Bytes.
        mtime_ns: Modification time, nanoseconds since the epoch.
        device: Number of the file system; with ``inode`` it says whether two names are one file.
        inode: Number of the file on its device.
    """

    path: Path
    size: int
    mtime_ns: int
    device: int
    inode: int

    @property
    def raw_path(self) -> bytes:
        """The path as the file system spells it."""
        return os.fsencode(self.path)

    @property
    def stamp(self) -> Stamp:
        """The part of the stat that changes with the content."""
        return (self.size, self.mtime_ns, self.device, self.inode)

    @classmethod
    def of(cls, raw_path: bytes, stamp: Stamp) -> FileStat:
        """Put a path and a stamp together."""
        return cls(Path(os.fsdecode(raw_path)), *stamp)


@dataclass(frozen=True, slots=True)
class Root:
    """A folder the user gave.

    Attributes:
        path: Absolute, not resolved: the user recognises it.
        protected: Its files are searched and may be keepers, and are never removed or changed.
    """

    path: Path
    protected: bool = False
