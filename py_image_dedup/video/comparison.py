"""Two videos compared frame by frame: whether they show the same film, at which offset, and what differs.

Frames of both at the same moment of the film are decoded exactly, made small, and compared block by block. What stands
still proves nothing: a tripod, the frame of a game or a slide looks the same in another take. So the blocks that decide
are those that change in the course of the film, and they must agree at one offset of times all along. Where they agree
and the same few other blocks differ again and again, something was drawn over the film, such as subtitles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from py_image_dedup.video.candidates import Placement

WIDTH: Final = 96
HEIGHT: Final = 64
BLOCK: Final = 8
"""Sizes of the compared pictures and of their square blocks, pixels."""

_NOISE: Final = 4.0
"""Grey levels that encoding changes."""
_AGREE: Final = 0.55
_DIFFER: Final = 0.8
"""Differences of blocks, as shares of their contrast, up to which they agree and from which they differ."""
_STRUCTURE: Final = 6.0
"""Standard deviation of the brightness of a frame that shows something."""
_FEWEST_POINTS: Final = 8
_MOST_POINTS: Final = 24
_POINTS_PER_SECOND: Final = 1.5
_SEARCHED: Final = 0.5
"""Seconds by which a placement may be wrong."""
_SEARCH_POINTS: Final = (0.17, 0.38, 0.61, 0.83)
_FINE: Final = 1 / 60
_TELLING: Final = 0.3
_LEAST_TELLING: Final = 2
_EQUAL_COST: Final = 0.01
"""Change of a block's difference between near frames by which it tells them apart, number of such blocks, and the cost
of an offset, for each compared frame, that counts as none."""
_LEAST_POINT: Final = 0.85
"""Share of the blocks of a frame that must agree."""
_MOVING_AGREES: Final = 0.85
_POINTS_AGREE: Final = 0.8
"""Share of the frames that must agree for two videos to be related at all."""
_LEAST_MOVING: Final = 3
"""Frames in which something must have changed, and blocks of each, for the changes to be evidence."""
_LARGEST_OVERLAY: Final = 0.3
"""Share of the frame that may be drawn over."""
_OFTEN: Final = 0.25
"""Share of the frames in which a block differs that is drawn over."""
_STOP_AFTER: Final = 5
"""Frames after which two videos of which none agrees are not compared further."""

Thumbnail: TypeAlias = UInt8Array
"""uint8, shape ``(HEIGHT, WIDTH)``."""

BlockShares: TypeAlias = Float32Array
"""float32, shape ``(HEIGHT / BLOCK, WIDTH / BLOCK)``: differences of blocks as shares of their contrast."""


class Relation(StrEnum):
    """What two videos are to each other."""

    SAME = "same"
    OVERLAID = "overlaid"
    STILL = "still"
    PARTLY = "partly"
    DIFFERENT = "different"


class FrameSource(Protocol):
    """The frames of one video."""

    @property
    def seconds(self) -> float:
        """The length of the video."""

    @property
    def frame_rate(self) -> float:
        """The number of frames per second."""

    def window(self, start: float, end: float, orientation: Orientation) -> Sequence[tuple[float, Thumbnail]]:
        """Return the frames between two times, with their times; the nearest one before if there is none.

        Args:
            start: The first time, seconds from the first frame.
            end: The last time.
            orientation: The transform that is applied to the frames.
        """


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing two videos.

    Attributes:
        relation: What they are to each other.
        offset: Time in the left video at which the right one begins, seconds.
        orientation: The transform that makes the left video look like the right one.
        points: Number of compared frames that show something.
        agreeing: Number of these that agree.
        overlay: ``(left, top, right, bottom)`` of what was drawn over, as shares of the right picture; ``None`` for
            nothing.
        overlay_is_right: Whether the right video has it; ``None`` if that is unclear.
        differs_at: Times in the left video at which the two differ, seconds.
        difference: Mean difference of the compared frames, 0 to 1.
    """

    relation: Relation
    offset: float = 0.0
    orientation: Orientation = Orientation.UPRIGHT
    points: int = 0
    agreeing: int = 0
    overlay: tuple[float, float, float, float] | None = None
    overlay_is_right: bool | None = None
    differs_at: tuple[float, ...] = ()
    difference: float = 0.0

    def reversed(self) -> Comparison:
        """Return the same with left and right exchanged."""
        return Comparison(
            self.relation,
            -self.offset,
            self.orientation.inverse,
            self.points,
            self.agreeing,
            self.overlay if self.orientation is Orientation.UPRIGHT else None,
            None if self.overlay_is_right is None else not self.overlay_is_right,
            tuple(round(time - self.offset, 1) for time in self.differs_at),
            self.difference,
        )


DIFFERENT: Final = Comparison(Relation.DIFFERENT)


def compare(left: FrameSource, right: FrameSource, placements: Sequence[Placement]) -> Comparison:
    """Compare two videos.

    Args:
        left: One video.
        right: The other one.
        placements: How the right one may lie in the left one, the likeliest first.
    """
    best = DIFFERENT
    for placement in placements:
        offset = _refined(left, right, placement)
        if offset is None:
            continue
        found = _compared(left, right, offset, placement.orientation)
        if found.relation is Relation.SAME:
            return found
        if _ORDER.index(found.relation) < _ORDER.index(best.relation):
            best = found
    return best


_ORDER: Final = (Relation.SAME, Relation.OVERLAID, Relation.STILL, Relation.PARTLY, Relation.DIFFERENT)


def differences(left: Thumbnail, right: Thumbnail) -> BlockShares:
    """Return by how much the blocks of two frames differ, as shares of their contrast: 0 to about 1.5.

    Brightness and contrast of the whole frame are made equal first, because encoders and players change them.
    """
    one: Float32Array = left.astype(np.float32)
    two: Float32Array = right.astype(np.float32)
    variance = float(one.var())
    gain = float(((one - one.mean()) * (two - two.mean())).mean()) / variance if variance > 1 else 1.0
    gain = min(1.4, max(0.7, gain))
    # A caption changes the mean and the contrast of a frame, so the plain difference may be the better one.
    plain, scaled = _shares(one, two), _shares(one * gain, two)
    return plain if np.median(plain) <= np.median(scaled) else scaled


def _shares(one: Float32Array, two: Float32Array) -> BlockShares:
    change = one - two
    change -= np.median(change)
    contrast = 0.5 * (_deviations(one) + _deviations(two))
    shares: BlockShares = (np.sqrt(_means(change * change)) / (_NOISE + contrast)).astype(np.float32)
    return shares


def _means(picture: Float32Array) -> Float32Array:
    blocks = picture.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK)
    means: Float32Array = blocks.mean(axis=(1, 3))
    return means


def _deviations(picture: Float32Array) -> Float32Array:
    mean = _means(picture)
    found: Float32Array = np.sqrt(np.maximum(0, _means(picture * picture) - mean * mean))
    return found


def _overlap(left: FrameSource, right: FrameSource, offset: float) -> tuple[float, float]:
    return max(0.0, offset), min(left.seconds, offset + right.seconds)


def _refined(left: FrameSource, right: FrameSource, placement: Placement) -> float | None:
    """Return the offset at which the frames agree best; ``None`` if the two do not overlap enough."""
    start, end = _overlap(left, right, placement.offset)
    shorter = min(left.seconds, right.seconds)
    if end - start < _POINTS_AGREE * shorter * 0.6 or end - start <= 0:
        return None
    steps = np.arange(-_SEARCHED, _SEARCHED + _FINE / 2, _FINE)
    total = np.zeros(len(steps), dtype=np.float64)
    for share in _SEARCH_POINTS:
        pairs = _pairs(left, right, start + share * (end - start), placement.offset, placement.orientation, _SEARCHED)
        if not pairs:
            continue
        costs = _costs(pairs)
        places = np.array([pair.apart - placement.offset for pair in pairs])
        apart = np.abs(steps[:, None] - places[None])
        # A frame is shown until the next one: between two of them, the nearer one counts, and a little less.
        total += costs[apart.argmin(axis=1)] + 0.02 * apart.min(axis=1)
    # Where things stand still, several offsets are as good; the two that most copies have are the likeliest then.
    good = placement.offset + steps[total <= total.min() + _EQUAL_COST * len(_SEARCH_POINTS)]
    usual = np.minimum(np.abs(good), np.abs(good - (left.seconds - right.seconds)))
    return float(good[usual.argmin()])


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A frame of each video, at one moment of the film.

    Attributes:
        time: Time of the left one, seconds.
        apart: Time of the left one minus time of the right one.
        left: The left frame, turned as the right one.
        right: The right frame.
        shares: Their differences.
    """

    time: float
    apart: float
    left: Thumbnail
    right: Thumbnail
    shares: BlockShares


def _pairs(
    left: FrameSource, right: FrameSource, time: float, offset: float, orientation: Orientation, reach: float
) -> list[_Point]:
    """Return one frame of the video with fewer frames per second, with each frame of the other one that is near.

    Only so the very same frame can be among them: a video of half the frame rate has lost every second frame.
    """
    left_is_slower = left.frame_rate <= right.frame_rate * 1.01
    slower, faster = (left, right) if left_is_slower else (right, left)
    turned = (orientation, Orientation.UPRIGHT) if left_is_slower else (Orientation.UPRIGHT, orientation)
    at = time if left_is_slower else time - offset
    one = slower.window(at, at, turned[0])[:1]
    found = []
    for when, frame in one:
        middle = when - offset if left_is_slower else when + offset
        for other, theirs in faster.window(middle - reach, middle + reach, turned[1]):
            first, second = ((when, frame), (other, theirs)) if left_is_slower else ((other, theirs), (when, frame))
            shares = differences(first[1], second[1])
            found.append(_Point(first[0], first[0] - second[0], first[1], second[1], shares))
    return found


def _costs(pairs: Sequence[_Point]) -> Float64Array:
    """Return by how much each of some pairs differs, in the blocks that tell them apart: those in which things move."""
    shares = np.minimum([pair.shares for pair in pairs], 1.2)
    telling = shares.max(axis=0) - shares.min(axis=0) >= _TELLING
    chosen = shares[:, telling] if int(telling.sum()) >= _LEAST_TELLING else shares.reshape(len(pairs), -1)
    costs: Float64Array = chosen.mean(axis=1, dtype=np.float64)
    return costs


def _compared(left: FrameSource, right: FrameSource, offset: float, orientation: Orientation) -> Comparison:
    start, end = _overlap(left, right, offset)
    count = int(np.clip(round((end - start) * _POINTS_PER_SECOND), _FEWEST_POINTS, _MOST_POINTS))
    times = [start + (place + 0.5) * (end - start) / count for place in range(count)]
    points: list[_Point] = []
    agreeing = empty = 0
    # From the middle outwards in both directions would meet the same scenes; every third is spread over the film.
    for place in sorted(range(count), key=lambda number: (number % 3, number)):
        point = _point(left, right, times[place], offset, orientation)
        if point is None:
            empty += 1
            continue
        points.append(point)
        agreeing += _point_agrees(point.shares)
        if len(points) == _STOP_AFTER and not any(_mostly_agrees(each.shares) for each in points):
            return DIFFERENT
    return _concluded(sorted(points, key=lambda point: point.time), offset, orientation)


def _point(
    left: FrameSource, right: FrameSource, time: float, offset: float, orientation: Orientation
) -> _Point | None:
    """Return the frames of both that agree best around a moment; ``None`` if there is nothing to see."""
    reach = 1.0 / max(1.0, left.frame_rate, right.frame_rate) + _FINE
    pairs = _pairs(left, right, time, offset, orientation, reach)
    if not pairs:
        return None
    best = pairs[int(_costs(pairs).argmin())]
    return None if max(float(best.left.std()), float(best.right.std())) < _STRUCTURE else best


def _point_agrees(shares: BlockShares) -> bool:
    return float((shares <= _AGREE).mean()) >= _LEAST_POINT


def _mostly_agrees(shares: BlockShares) -> bool:
    return float((shares <= _AGREE).mean()) >= 1 - _LARGEST_OVERLAY


def _concluded(points: Sequence[_Point], offset: float, orientation: Orientation) -> Comparison:
    if not points:
        return Comparison(Relation.STILL, offset, orientation)
    agree = np.array([point.shares <= _AGREE for point in points])
    moving = _moving(points)
    often = (~agree).mean(axis=0) >= _OFTEN
    evidence = _Evidence.of(agree, moving, np.zeros_like(often))
    fine = [_point_agrees(point.shares) for point in points]

    def result(relation: Relation, overlay: BoolArray | None = None) -> Comparison:
        ok = fine if overlay is None else [bool(agree[k][~overlay].mean() >= _LEAST_POINT) for k in range(len(points))]
        return Comparison(
            relation,
            offset,
            orientation,
            len(points),
            sum(ok),
            None if overlay is None else _box(_without_stray(overlay)),
            None if overlay is None else _drawn_on_right(points, overlay),
            tuple(round(point.time, 1) for point, good in zip(points, ok, strict=True) if not good),
            round(float(np.mean([np.minimum(point.shares, 1).mean() for point in points])), 4),
        )

    if sum(fine) >= _POINTS_AGREE * len(points) and (evidence.agrees or not evidence.is_enough):
        if not evidence.is_enough:
            return result(Relation.STILL)
        if often.any() and not _is_noise(points, often):
            return result(Relation.OVERLAID, often) if _is_compact(often) else result(Relation.PARTLY)
        return result(Relation.SAME if all(fine) else Relation.PARTLY)
    rest = _Evidence.of(agree, moving, often)
    outside = [bool(agree[k][~often].mean() >= _LEAST_POINT) for k in range(len(points))] if not often.all() else []
    is_overlay = often.mean() <= _LARGEST_OVERLAY and sum(outside) >= _POINTS_AGREE * len(points)
    if is_overlay and rest.is_enough and rest.agrees:
        return result(Relation.OVERLAID, often) if _is_compact(often) else result(Relation.PARTLY)
    return DIFFERENT


def _moving(points: Sequence[_Point]) -> BoolArray:
    """Return which blocks differ from the frame before or behind in one of the videos, shape ``(n, rows, columns)``."""
    found = np.zeros((len(points), HEIGHT // BLOCK, WIDTH // BLOCK), dtype=np.bool_)
    for place, (one, two) in enumerate(pairwise(points)):
        changed = (differences(one.left, two.left) >= _DIFFER) | (differences(one.right, two.right) >= _DIFFER)
        found[place] |= changed
        found[place + 1] |= changed
    return found


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the blocks say that change in the course of the film.

    Attributes:
        is_enough: Whether enough of them change.
        agrees: Whether they agree in both videos.
    """

    is_enough: bool
    agrees: bool

    @classmethod
    def of(cls, agree: BoolArray, moving: BoolArray, ignored: BoolArray) -> _Evidence:
        counted = moving & ~ignored[None]
        by_point = counted.sum(axis=(1, 2))
        total = int(by_point.sum())
        enough = int((by_point >= _LEAST_MOVING).sum()) >= _LEAST_MOVING
        return cls(enough, total > 0 and float((agree & counted).sum()) >= _MOVING_AGREES * total)


def _is_noise(points: Sequence[_Point], often: BoolArray) -> bool:
    """Return whether blocks that often do not agree are hardly different: fine texture that an encoder lost."""
    shares = np.array([point.shares for point in points])[:, often]
    return bool((shares < _DIFFER).mean() >= 1 - _OFTEN / 2)


def _is_compact(blocks: BoolArray) -> bool:
    """Return whether blocks lie together, as a caption does, and not all over the frame, as what a bad encoder lost."""
    core = _without_stray(blocks)
    if not core.any():
        return False
    left, top, right, bottom = _box(core)
    return (right - left) * (bottom - top) <= 2 * float(core.mean()) and 2 * core.sum() > blocks.sum()


def _without_stray(blocks: BoolArray) -> BoolArray:
    """Return the blocks that have at least two others around them."""
    padded = np.pad(blocks.astype(np.int8), 1)
    rows, columns = blocks.shape
    around = sum(padded[row : row + rows, column : column + columns] for row in range(3) for column in range(3))
    found: BoolArray = blocks & (around - blocks >= 2)
    return found


def _box(blocks: BoolArray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(blocks.any(axis=1)), np.flatnonzero(blocks.any(axis=0))
    height, width = blocks.shape
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def _drawn_on_right(points: Sequence[_Point], overlay: BoolArray) -> bool | None:
    """Return which video has the sharper edges where they differ: text has sharper ones than what it covers."""
    left, right = (
        float(np.mean([_edges(picture)[overlay].mean() for picture in pictures]))
        for pictures in ([point.left for point in points], [point.right for point in points])
    )
    if max(left, right) < 1.25 * min(left, right):
        return None
    return right > left


def _edges(picture: Thumbnail) -> npt.NDArray[np.float32]:
    values: Float32Array = picture.astype(np.float32)
    across, down = np.gradient(values)
    return _means(np.hypot(across, down).astype(np.float32))


TURNS: Final[dict[Orientation, Callable[[UInt8Array], UInt8Array]]] = {
    Orientation.UPRIGHT: lambda picture: picture,
    Orientation.MIRROR: lambda picture: picture[:, ::-1],
    Orientation.ROTATE_180: lambda picture: picture[::-1, ::-1],
    Orientation.FLIP: lambda picture: picture[::-1],
    Orientation.TRANSPOSE: lambda picture: picture.T,
    Orientation.ROTATE_90: lambda picture: picture[::-1].T,
    Orientation.TRANSVERSE: lambda picture: picture[::-1, ::-1].T,
    Orientation.ROTATE_270: lambda picture: picture.T[::-1],
}
"""How each orientation turns a picture."""

QUARTER_TURNS: Final = frozenset(
    {Orientation.TRANSPOSE, Orientation.ROTATE_90, Orientation.TRANSVERSE, Orientation.ROTATE_270}
)
"""The orientations that exchange width and height."""
