"""Finds the series in a folder: bursts and exposure brackets, by what cameras state and by the names they give.

In this order:

- the identifier that an iPhone and Google's camera write into all shots of a burst;
- names that mark a burst: ``IMG_20150101_120000_BURST001.jpg``, ``00001IMG_00001_BURST20170101120000123.jpg``,
  ``DSC_0001_BURST20180101120000123.JPG``, and Samsung's ``20180101_120000_001.jpg``;
- shots of one camera right after each other: with the numbers in a series that Sony, Fujifilm and Panasonic write, in
  the camera's mode for brackets, with another exposure each, or at least three within fractions of a second. Where the
  moments have no fractions, the numbers that cameras give their files must follow each other as well.

Copies of one shot beside each other, and a RAW photo with its JPEG, are one shot: they have the same moment. A picture
that may be a copy, because what would tell it apart is missing, is in no series.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.model.photo import PhotoFacts, ShotMarks
from py_image_dedup.model.series import Series, SeriesKind

Facts: TypeAlias = Mapping[str, PhotoFacts]
"""The facts of the pictures of a folder, by name."""
LookUp: TypeAlias = Callable[[str], PhotoFacts | None]
"""``name -> facts`` of a picture; ``None`` if they are not known."""

_NAMES: Final = (
    # The digits of a moment behind the mark are the burst's, and what is before them is of the shot.
    re.compile(r"(?P<shot>.+)_BURST(?P<burst>\d{14,})(?:_COVER)?", re.IGNORECASE),
    re.compile(r"(?P<burst>.+?)[_-]?BURST[_-]?(?P<shot>\d{1,4})(?:_COVER)?", re.IGNORECASE),
    re.compile(r"(?P<burst>\d{8}_\d{6})_(?P<shot>\d{3})"),
)
_MOMENT_IN_NAME: Final = re.compile(r"PXL_(\d{8})_(\d{9})(?:[.~_].*)?", re.IGNORECASE)
_CAMERA_NAME: Final = re.compile(r"([A-Z0-9_]{4})(\d{4})", re.IGNORECASE)
"""A name by the rules of cameras (DCF 2.0), which programs rarely give copies: four letters and four digits."""

_BURST_GAP: Final = timedelta(seconds=0.5)
"""Largest time between two shots of a burst without any other mark: two pictures a second."""
_MARKED_GAP: Final = timedelta(seconds=2)
"""Largest time between two shots that the camera marked as being of a series, the exposure not counted."""
_LONGEST_EXPOSURE: Final = timedelta(seconds=30)
_LONGEST_GAP: Final = _MARKED_GAP + _LONGEST_EXPOSURE
_FEWEST_UNMARKED: Final = 3
_LONGEST: Final = 1000
"""Shots on each side by which a series is extended beyond the pictures that were given."""
_LOOK_BACK: Final = 4
_EXPOSURES_DIFFER: Final = 1.1
"""Ratio of two exposure times from which on they are different ones."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """A picture with what tells it from others.

    Attributes:
        name: Its file name.
        moment: Time of exposure.
        camera: The camera; empty if unknown.
        marks: What its camera states.
    """

    name: str
    moment: datetime
    camera: str
    marks: ShotMarks

    @property
    def is_exact(self) -> bool:
        """Whether its moment has fractions of a second, by which two shots always differ."""
        return bool(self.moment.microsecond)

    @property
    def exposure(self) -> timedelta:
        """The exposure time, half a minute at most."""
        return min(timedelta(seconds=min(self.marks.exposure_seconds or 0.0, 3600.0)), _LONGEST_EXPOSURE)

    @property
    def number(self) -> tuple[str, int] | None:
        """The two parts of a name that a camera gave; ``None`` for any other name."""
        found = _CAMERA_NAME.fullmatch(self.name.rpartition(".")[0])
        return None if found is None else (found[1].casefold(), int(found[2]))


def recognise_series(folder: Path, names: Sequence[str], known: Facts, look_up: LookUp) -> tuple[Series, ...]:
    """Return the series of a folder that have at least one of the given pictures.

    Args:
        folder: The folder.
        names: The names of all pictures in it.
        known: The facts of the pictures of which the series are wanted.
        look_up: Returns the facts of any other picture. It is called only for what may be a neighbour in a series.
    """
    ordered = sorted(names)
    taken: set[str] = set()
    found: list[Series] = []
    for burst in _named(ordered, known):
        found.append(_series(folder, SeriesKind.BURST, "by the names", burst))
        taken.update(name for shot in burst for name in shot)
    shots = {name: shot for name, facts in known.items() if name not in taken and (shot := _shot(name, facts))}
    _extend(shots, [name for name in ordered if name not in taken], look_up)
    by_burst: dict[str, list[_Shot]] = defaultdict(list)
    single: list[_Shot] = []
    for shot in shots.values():
        if shot.marks.burst:
            by_burst[shot.marks.burst].append(shot)
        else:
            single.append(shot)
    for same in by_burst.values():
        groups = _told_apart(sorted(same, key=_order), lambda shot: shot.number)
        if len(groups) > 1:
            found.append(_series(folder, SeriesKind.BURST, "by the identifier of the burst", groups))
    for chain in _chains(single):
        recognised = _judge(chain) if len(chain) > 1 else None
        if recognised is not None:
            found.append(_series(folder, *recognised))
    return tuple(sorted(found, key=lambda series: series.first))


def _series(folder: Path, kind: SeriesKind, evidence: str, shots: Iterable[Iterable[str]]) -> Series:
    return Series(kind, evidence, tuple(tuple(folder / name for name in shot) for shot in shots))


def _named(names: Iterable[str], known: Facts) -> Iterator[list[list[str]]]:
    """Yield the bursts that names mark, each as the names of its shots."""
    bursts: dict[tuple[int, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        stem = name.rpartition(".")[0]
        if stem[8:9] != "_" and "burst" not in stem.lower():
            continue  # what no pattern matches, as most names of a folder of a hundred thousand
        for number, pattern in enumerate(_NAMES):
            found = pattern.fullmatch(stem)
            if found is not None:
                bursts[number, found["burst"].casefold()][found["shot"].casefold()].append(name)
                break
    for shots in bursts.values():
        if len(shots) > 1 and any(name in known for same in shots.values() for name in same):
            yield list(shots.values())


def _shot(name: str, facts: PhotoFacts | None) -> _Shot | None:
    """Return a picture as a shot; ``None`` if its moment is not known."""
    if facts is None:
        return None
    moment = facts.captured or _moment_in(name)
    if moment is None:
        return None
    return _Shot(name, moment, facts.camera or "", facts.shot or ShotMarks())


def _moment_in(name: str) -> datetime | None:
    """Return the moment that Google's camera writes into the names of its pictures."""
    found = _MOMENT_IN_NAME.fullmatch(name.rpartition(".")[0]) if name[:3].upper() == "PXL" else None
    if found is None:
        return None
    try:
        return datetime.strptime(f"{found[1]}{found[2]}000", "%Y%m%d%H%M%S%f")  # noqa: DTZ007 - compared among names
    except ValueError:
        return None


def _order(shot: _Shot) -> tuple[datetime, int, str]:
    return shot.moment, shot.marks.sequence or 0, shot.name


def _extend(shots: dict[str, _Shot], names: Sequence[str], look_up: LookUp) -> None:
    """Add the neighbours by name of what may be a series, as long as they belong to it."""
    places = {name: place for place, name in enumerate(names)}
    likely = [
        chain
        for chain in _chains(shots.values())
        if len(chain) > 1 or chain[0].marks.burst or chain[0].marks.is_bracketed or chain[0].marks.sequence
    ]
    for chain in likely:
        inside = [places[shot.name] for shot in chain if shot.name in places]
        for start, step in ((min(inside, default=0), -1), (max(inside, default=0), 1)) if inside else ():
            edge = shots[names[start]]
            for place in range(start + step, start + step * _LONGEST, step):
                if not 0 <= place < len(names):
                    break
                name = names[place]
                other = shots.get(name) or _shot(name, look_up(name))
                if other is None or not (_are_linked(edge, other) or _are_linked(other, edge)):
                    break
                shots[name] = edge = other


def _chains(shots: Iterable[_Shot]) -> Iterator[list[_Shot]]:
    """Yield the shots of each camera in chains of linked ones, in the order of their moments."""
    by_camera: dict[tuple[str, bool], list[_Shot]] = defaultdict(list)
    for shot in shots:
        by_camera[shot.camera, shot.is_exact].append(shot)
    for same in by_camera.values():
        chain: list[_Shot] = []
        for shot in sorted(same, key=_order):
            # Of the last ones any: a copy may stand between two shots.
            if chain and (
                shot.moment - chain[-1].moment > _LONGEST_GAP
                or not any(_are_linked(each, shot) for each in chain[-_LOOK_BACK:])
            ):
                yield chain
                chain = []
            chain.append(shot)
        if chain:
            yield chain


def _are_linked(one: _Shot, other: _Shot) -> bool:
    """Return whether the second shot may have been taken right after the first one, or is the same."""
    if one.camera != other.camera or one.is_exact is not other.is_exact:
        return False
    gap = other.moment - one.moment - one.exposure
    left, right = one.marks, other.marks
    if other.moment < one.moment or gap > _MARKED_GAP:
        return False
    if one.moment == other.moment or (left.burst and left.burst == right.burst):
        return True
    if left.sequence is not None and right.sequence is not None:
        return right.sequence - left.sequence in {0, 1}
    if (left.is_bracketed and right.is_bracketed) or _are_exposed_apart(left, right):
        return True
    if one.is_exact:
        return gap <= _BURST_GAP
    return gap <= timedelta(seconds=1) and _follow(one, other)


def _follow(one: _Shot, other: _Shot) -> bool:
    """Return whether the number in a name is the next one, or the same."""
    left, right = one.number, other.number
    return left is not None and right is not None and left[0] == right[0] and right[1] - left[1] in {0, 1}


def _are_exposed_apart(one: ShotMarks, other: ShotMarks) -> bool:
    """Return whether the user, or the camera, set another exposure compensation, and the exposure followed it."""
    if one.bias is None or other.bias is None or one.bias == other.bias:
        return False
    return not (one.exposure_seconds and other.exposure_seconds) or _exposures_differ(one, other)


def _exposures_differ(one: ShotMarks, other: ShotMarks) -> bool:
    left, right = one.exposure_seconds or 0.0, other.exposure_seconds or 0.0
    return max(left, right) > _EXPOSURES_DIFFER * min(left, right) > 0


def tell_apart(one: ShotMarks | None, other: ShotMarks | None) -> bool:
    """Return whether what cameras state about two pictures shows that they are different shots of series."""
    if one is None or other is None:
        return False
    if one.sequence is not None and other.sequence is not None and one.sequence != other.sequence:
        return True
    return (one.bias is not None and other.bias is not None and one.bias != other.bias) or _exposures_differ(one, other)


_Identity: TypeAlias = Callable[[_Shot], Hashable | None]
"""What tells a shot from others of its second; ``None`` if that is not known."""


def _told_apart(chain: Iterable[_Shot], identity: _Identity) -> list[list[str]]:
    """Return the names by shot, without pictures of which the shot is not known."""
    found: dict[Hashable, list[str]] = {}
    for shot in chain:
        own = shot.moment if shot.is_exact else identity(shot)
        if own is not None:
            found.setdefault(own, []).append(shot.name)
    return list(found.values())


def _exposed(shot: _Shot) -> Hashable | None:
    marks = shot.marks
    if marks.exposure_seconds is None and marks.bias is None:
        return None
    return shot.moment, marks.exposure_seconds, marks.bias


def _judge(chain: Sequence[_Shot]) -> tuple[SeriesKind, str, list[list[str]]] | None:
    """Return what a chain of shots is, by what, and the shots; ``None`` if it is nothing."""
    bracketed = [shot for shot in chain if shot.marks.is_bracketed]
    shots = _told_apart(bracketed, _exposed)
    if len(shots) > 1 and len({(shot.marks.exposure_seconds, shot.marks.bias) for shot in bracketed}) > 1:
        return SeriesKind.BRACKET, "by the camera's mode and the exposures", shots
    compensated = [shot for shot in chain if shot.marks.bias is not None]
    if len({shot.marks.bias for shot in compensated}) >= _FEWEST_UNMARKED:
        return SeriesKind.BRACKET, "by the exposures and the moments", _told_apart(compensated, _exposed)
    numbered = [shot for shot in chain if shot.marks.sequence is not None]
    if len({shot.marks.sequence for shot in numbered}) > 1:
        shots = _told_apart(numbered, lambda shot: shot.marks.sequence)
        return SeriesKind.BURST, "by the numbers that the camera gave the shots", shots
    shots = _told_apart(chain, lambda shot: shot.number)
    if len(shots) >= _FEWEST_UNMARKED:
        return SeriesKind.BURST, "by the camera and the moments", shots
    return None
