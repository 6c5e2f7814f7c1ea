"""Files as the file system describes them, and the inventory of all files of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.model.failure import Failure

Stamp: TypeAlias = tuple[int, int, int, int]
"""``(size in bytes, mtime in ns, device, inode)``: equal stamps mean an unchanged file.

A plain tuple, because a run over an unchanged library does little else than compare one per file.
"""


@dataclass(frozen=True, slots=True)
class FileStat:
    """The stat of a regular file, from ``lstat``.

    Attributes:
        path: Absolute path. A name that is not valid UTF-8 carries surrogate escapes, as ``os.fsdecode`` makes them.
        size: Size in bytes.
        mtime_ns: Modification time, nanoseconds since the epoch.
        device: Number of the file system; two names with the same device and inode are one file.
        inode: Number of the file on its device.
    """

    path: Path
    size: int
    mtime_ns: int
    device: int
    inode: int

    @property
    def raw_path(self) -> bytes:
        """The path as bytes, as the file system stores it."""
        return os.fsencode(self.path)

    @property
    def stamp(self) -> Stamp:
        """The part of the stat that changes with the content."""
        return (self.size, self.mtime_ns, self.device, self.inode)

    @classmethod
    def of(cls, raw_path: bytes, stamp: Stamp) -> FileStat:
        """Return the stat for a raw path and a stamp."""
        return cls(Path(os.fsdecode(raw_path)), *stamp)


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that the user configured.

    Attributes:
        path: Absolute path; symbolic links are kept, so that the user recognises it.
        protected: Whether its files are read-only: they may be keepers and are never removed or changed.
    """

    path: Path
    protected: bool = False


@dataclass(frozen=True, slots=True)
class UnreadFiles:
    """Files of one kind that a run found and did not read.

    Attributes:
        kind: One file of it, as a noun without an article: "video".
        reason: Why they are not read, or what to install, as words for the user.
        paths: The files, in the order of their paths.
    """

    kind: str
    reason: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """All files that take part in a run, each once, as one walk found them.

    Attributes:
        roots: The folders that were walked, each once, nested roots included. ``protected`` is also set for a root
            inside a protected one.
        stamps: Stamps by raw absolute path. Of two names of one inode, the one under a protected root, or else the
            lesser path, is here, and the other in ``aliases``.
        aliases: Other names of a file that is in ``stamps``: raw path to the raw path in ``stamps``.
        linked: Raw paths in ``stamps`` of files with several names (hard links), wherever the other names are.
        skipped: Numbers of files and folders that were skipped, by reason.
        failures: Folders that could not be read and files whose stat failed.
        incomplete: Roots, or folders below them, whose content is unknown: unreadable, missing or not mounted. Index
            entries of files below these must be kept.
        unread: Files that are no photos, or whose decoder is not installed, one value per kind.
    """

    roots: tuple[Root, ...]
    stamps: Mapping[bytes, Stamp]
    aliases: Mapping[bytes, bytes] = field(default_factory=dict)
    linked: frozenset[bytes] = frozenset()
    skipped: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    incomplete: tuple[Path, ...] = ()
    unread: tuple[UnreadFiles, ...] = ()

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.stamps)

    def __contains__(self, path: object) -> bool:
        """Return whether a path is one of the files."""
        return isinstance(path, Path) and os.fsencode(path) in self.stamps

    def __iter__(self) -> Iterator[FileStat]:
        """Return an iterator over the files, in the order of the walk."""
        return (FileStat.of(raw, stamp) for raw, stamp in self.stamps.items())

    @property
    def size(self) -> int:
        """The total size of all files, in bytes."""
        return sum(stamp[0] for stamp in self.stamps.values())
