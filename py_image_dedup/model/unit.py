"""A photo as a unit: the files that a camera, a phone or a program wrote for one shot, which stay together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class PartKind(StrEnum):
    """The kinds of files that a unit consists of."""

    PICTURE = "picture"
    RAW = "raw"
    EDIT = "edit"
    FILM = "film"
    SIDECAR = "sidecar"


_WORDS = {
    PartKind.PICTURE: "a finished picture",
    PartKind.RAW: "a RAW photo",
    PartKind.EDIT: "an edited version",
    PartKind.FILM: "a film",
}
_SIDECARS = {".aae": "edits in an AAE file", ".wav": "a voice note", ".thm": "a thumbnail in a THM file"}


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a unit.

    Attributes:
        path: The file.
        kind: Its kind.
    """

    path: Path
    kind: PartKind

    @property
    def role(self) -> str:
        """A name that is equal for parts that may stand for each other; sidecars of two programs may not."""
        return self.path.suffix.lower() if self.kind is PartKind.SIDECAR else self.kind.value

    @property
    def words(self) -> str:
        """The part as words for the user: "a film", "a sidecar (XMP)"."""
        if self.kind is not PartKind.SIDECAR:
            return _WORDS[self.kind]
        suffix = self.path.suffix.lower()
        return _SIDECARS.get(suffix, f"a sidecar ({suffix.lstrip('.').upper()})")

    @property
    def is_xmp(self) -> bool:
        """Whether it is an XMP sidecar."""
        return self.kind is PartKind.SIDECAR and self.path.suffix.lower() == ".xmp"

    @property
    def is_photo(self) -> bool:
        """Whether it is a picture itself, and not something beside one."""
        return self.kind in {PartKind.PICTURE, PartKind.RAW, PartKind.EDIT}


@dataclass(frozen=True, slots=True)
class Unit:
    """The files of one shot, all in one folder.

    Attributes:
        parts: At least two files; the first one leads: it is the finished picture, or the RAW photo without one.
        stem: What the names of the parts begin with, apart from a few that have marks before the number.
    """

    parts: tuple[Part, ...]
    stem: str

    @property
    def lead(self) -> Path:
        """The file that the unit is ranked by."""
        return self.parts[0].path

    def beside(self, path: Path) -> tuple[Part, ...]:
        """Return the other parts."""
        return tuple(part for part in self.parts if part.path != path)


@dataclass(frozen=True, slots=True)
class Units:
    """Units by the paths of their parts; no file is in two. Threads may share it.

    Attributes:
        units: The units.
    """

    units: tuple[Unit, ...] = ()
    _by_path: dict[bytes, tuple[Unit, Part]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the parts, and raise ``ValueError`` if a file is in two units."""
        by_path = {os.fsencode(part.path): (unit, part) for unit in self.units for part in unit.parts}
        if len(by_path) != sum(len(unit.parts) for unit in self.units):
            raise ValueError("a file is part of two units")
        object.__setattr__(self, "_by_path", by_path)

    def __bool__(self) -> bool:
        """Return whether there is any unit."""
        return bool(self.units)

    def of(self, path: Path) -> Unit | None:
        """Return the unit that a file is part of; ``None`` for a photo of one file."""
        found = self._by_path.get(os.fsencode(path))
        return None if found is None else found[0]

    def part(self, path: Path) -> Part | None:
        """Return a file as a part of its unit."""
        found = self._by_path.get(os.fsencode(path))
        return None if found is None else found[1]

    def key(self, path: Path) -> Path:
        """Return a path that is equal for the files of one unit: that of the leading file."""
        unit = self.of(path)
        return path if unit is None else unit.lead

    def touched_by(self, paths: Iterable[Path]) -> Iterator[Unit]:
        """Yield each unit that has one of these files, once."""
        seen: set[Path] = set()
        for path in paths:
            unit = self.of(path)
            if unit is not None and unit.lead not in seen:
                seen.add(unit.lead)
                yield unit


NO_UNITS = Units()
"""No units: every photo is one file."""
