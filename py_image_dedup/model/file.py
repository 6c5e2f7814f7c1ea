"""What the file system says about a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.model.failure import Failure

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


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Every file that counts, once, as one walk saw it.

    Attributes:
        roots: What was walked, each folder once; nested roots included. ``protected`` is set too for a root that lies
            in a protected one.
        stamps: By raw absolute path. Of two names of one inode the one under a protected root, or else the lesser
            path, is here, the other in ``aliases``.
        aliases: Other names of a file that is in ``stamps``: raw path to the raw path in ``stamps``.
        linked: Raw paths in ``stamps`` of files that have several names (hard links), wherever the other names are.
        skipped: How many files and folders were passed over, by reason.
        failures: Folders that could not be read and files that could not be looked at.
        incomplete: Roots, or folders below them, whose content is unknown: unreadable, not there, or not mounted.
            What the index knows about files below these must be kept.
    """

    roots: tuple[Root, ...]
    stamps: Mapping[bytes, Stamp]
    aliases: Mapping[bytes, bytes] = field(default_factory=dict)
    linked: frozenset[bytes] = frozenset()
    skipped: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    incomplete: tuple[Path, ...] = ()

    def __len__(self) -> int:
        """How many files count."""
        return len(self.stamps)

    def __contains__(self, path: object) -> bool:
        """Whether this file counts."""
        return isinstance(path, Path) and os.fsencode(path) in self.stamps

    def __iter__(self) -> Iterator[FileStat]:
        """The files, in the order of the walk."""
        return (FileStat.of(raw, stamp) for raw, stamp in self.stamps.items())

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(stamp[0] for stamp in self.stamps.values())
