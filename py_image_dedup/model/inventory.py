"""What one walk of the roots found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from py_image_dedup.model.failure import Failure
from py_image_dedup.model.file import FileStat, Root, Stamp


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Every file that counts, once, as one walk saw it.

    Attributes:
        roots: What was walked, each folder once; nested roots included. ``protected`` is set too for a root that lies
            in a protected one.
        stamps: By raw absolute path. Of two names of one inode the one under a protected root, or else the lesser
            path, is here, the other in ``aliases``.
        aliases: Other names of a file that is in ``stamps``: raw path to the raw path in ``stamps``.
        skipped: How many files and folders were passed over, by reason.
        failures: Folders that could not be read and files that could not be looked at.
        incomplete: Roots, or folders below them, whose content is unknown: unreadable, not there, or not mounted.
            What the index knows about files below these must be kept.
    """

    roots: tuple[Root, ...]
    stamps: Mapping[bytes, Stamp]
    aliases: Mapping[bytes, bytes] = field(default_factory=dict)
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
