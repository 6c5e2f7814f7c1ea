"""Series: the shots of one burst or one exposure bracket, which are different pictures however alike they look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class SeriesKind(StrEnum):
    """The kinds of series."""

    BURST = "burst"
    BRACKET = "bracket"

    @property
    def words(self) -> str:
        """The kind as words for the user."""
        return "an exposure bracket" if self is SeriesKind.BRACKET else "a burst"


@dataclass(frozen=True, slots=True)
class Series:
    """The shots that a camera took in one go, all in one folder.

    Attributes:
        kind: Its kind.
        evidence: How it was recognised, as words for the user: "by the identifier of the burst".
        shots: The files of each shot, in the order of the shots; at least two shots. Files of one shot may be a RAW
            photo and its JPEG, or copies.
    """

    kind: SeriesKind
    evidence: str
    shots: tuple[tuple[Path, ...], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order of the shots."""
        return tuple(path for shot in self.shots for path in shot)

    @property
    def first(self) -> Path:
        """The first file, which stands for the series."""
        return self.shots[0][0]

    @property
    def words(self) -> str:
        """The series as words for the user: "a burst of 5 shots"."""
        return f"{self.kind.words} of {len(self.shots)} shots"


@dataclass(frozen=True, slots=True)
class SeriesOfFiles:
    """Series by the paths of their files; no file is in two. Threads may share it.

    Attributes:
        series: The series.
    """

    series: tuple[Series, ...] = ()
    _by_path: dict[bytes, tuple[Series, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the files, and raise ``ValueError`` if one is in two series or shots."""
        by_path = {
            os.fsencode(path): (series, number)
            for series in self.series
            for number, shot in enumerate(series.shots)
            for path in shot
        }
        if len(by_path) != sum(len(series.files) for series in self.series):
            raise ValueError("a file is in two series")
        object.__setattr__(self, "_by_path", by_path)

    def __bool__(self) -> bool:
        """Return whether there is any series."""
        return bool(self.series)

    def of(self, path: Path) -> Series | None:
        """Return the series that a file is in; ``None`` for a single shot."""
        found = self._by_path.get(os.fsencode(path))
        return None if found is None else found[0]

    def shot(self, path: Path) -> int | None:
        """Return the number of a file's shot in its series, from 0; ``None`` for a single shot."""
        found = self._by_path.get(os.fsencode(path))
        return None if found is None else found[1]

    def are_other_shots(self, one: Path, other: Path) -> bool:
        """Return whether two files are different shots of one series."""
        left, right = self._by_path.get(os.fsencode(one)), self._by_path.get(os.fsencode(other))
        return left is not None and right is not None and left[0] is right[0] and left[1] != right[1]

    def touched_by(self, paths: Iterable[Path]) -> Iterator[Series]:
        """Yield each series that has one of these files, once."""
        seen: set[Path] = set()
        for path in paths:
            series = self.of(path)
            if series is not None and series.first not in seen:
                seen.add(series.first)
                yield series


NO_SERIES = SeriesOfFiles()
"""No series: every photo is a shot of its own."""
