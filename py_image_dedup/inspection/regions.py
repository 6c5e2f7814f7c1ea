"""Classifies regions that differ: drawn, erased, replaced, covered, or never decoded."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from py_image_dedup.inspection.align import Aligned, Mask, luma
from py_image_dedup.inspection.difference import Difference, Spot
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Original, Region, RegionKind, Side
from py_image_dedup.signature.arrays import Float32Array, Float64Array

_FLAT = 3.0
"""Grey levels of deviation that a filled area has after JPEG."""
_SOLID = 0.3
"""Share of its rectangle that a fill covers at least: a round one has 0.78, letters less."""
_LARGE = 0.02
"""Share of the picture from which on a fill at its edge is damage and no bar."""
_STEP = 10.0
"""Grey levels that a fill differs from what is around it by."""
_FEWEST = 24
"""Fewest pixels of a region whose content can be classified."""
_RIMS = (11, 7)
"""Pixels: smoothing the differences widens a region by some 5 on each side."""
_RIM = 8
"""Pixels around a region that are compared with it; the smoothing of differences widens it by some 5."""
_BEFORE = 3
"""Rows before a plain band in which the picture goes on as it was."""
_LIKE = 0.9
"""Share of such a row that is like the band, from which on the band is a part of the picture."""
_BUSIER = 1.35
"""Ratio of edges from which on one side has something more."""
_ALL_ALIKE = 0.995
"""Share of the pixels of a row that have one level where nothing was decoded."""
_MOST = 12
"""Regions that are described; the rest are small."""


def describe(pair: Aligned, found: Difference) -> tuple[tuple[Region, ...], Original]:
    """Say what happened in each region, and which file is whole.

    Args:
        pair: Both pictures on one grid.
        found: Where they differ.

    Returns:
        The regions in pixels of the keeper, and the file without damage, if it is clear.
    """
    keeper, other = luma(pair.keeper), luma(pair.other)
    regions = []
    cut = _cut_off(pair)
    if cut is not None:
        return (cut[0],), cut[1]
    votes = {Side.LEFT: 0.0, Side.RIGHT: 0.0}
    words = {Side.LEFT: "", Side.RIGHT: ""}
    for spot in found.spots[:_MOST]:
        part = np.s_[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width]
        steps = _step(keeper, found.mask, spot), _step(other, found.mask, spot)
        kind, whole = _kind(keeper[part], other[part], spot, found.mask, steps)
        region = _in_keeper(pair, spot, kind)
        regions.append(region)
        if whole is not Side.UNKNOWN:
            votes[whole] += spot.area
            lost = "B" if whole is Side.LEFT else "A"
            words[whole] = words[whole] or _damage(kind, region, lost)
    for side, against in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT)):
        if votes[side] > 10 * votes[against] and votes[side] > 0:
            return tuple(regions), Original(side, sure=True, reason=words[side])
    return tuple(regions), _drawn(regions)


def _drawn(regions: list[Region]) -> Original:
    """Propose the file that less is drawn on: text and marks have edges that what they cover has not."""
    added = sum(region.share for region in regions if region.kind is RegionKind.ADDED)
    removed = sum(region.share for region in regions if region.kind is RegionKind.REMOVED)
    other = sum(region.share for region in regions) - added - removed
    for side, mine, its in ((Side.LEFT, added, removed), (Side.RIGHT, removed, added)):
        if mine > 4 * its and mine > other:
            return Original(side, reason=f"{'B' if side is Side.LEFT else 'A'} has text or a mark drawn on it")
    return Original()


def within(region: Region, keeper: FullPicture) -> Region:
    """Return the part of a region that is in the keeper: rounding, and what lies around a crop, may lead out."""
    left, top = min(region.x, keeper.width - 1), min(region.y, keeper.height - 1)
    width = min(region.x + region.width, keeper.width) - left
    height = min(region.y + region.height, keeper.height) - top
    return replace(region, x=left, y=top, width=max(1, width), height=max(1, height))


def missing(pair: Aligned) -> Original:
    """Return the file that is whole, if the other one ends in a fill."""
    cut = _cut_off(pair)
    return Original() if cut is None else cut[1]


def _cut_off(pair: Aligned) -> tuple[Region, Original] | None:
    """Return the part of one file that was never decoded, and that the other one is whole."""
    # A plain border outside of the common area is no damage.
    rows, columns = (_span(pair.valid.mean(axis=axis) > 0.5) for axis in (1, 0))
    keeper, other = luma(pair.keeper)[rows, columns], luma(pair.other)[rows, columns]
    if not keeper.size:
        return None
    for whole in (Side.LEFT, Side.RIGHT):
        box = _missing(*((keeper, other) if whole is Side.LEFT else (other, keeper)))
        if box is not None:
            box = replace(box, left=box.left + columns.start, top=box.top + rows.start)
            region = _in_keeper(pair, box, RegionKind.CUT_OFF)
            lost = "B" if whole is Side.LEFT else "A"
            return region, Original(whole, sure=True, reason=_damage(region.kind, region, lost))
    return None


def _span(there: Mask) -> slice:
    """Return the part from the first place to the last one."""
    places = np.flatnonzero(there)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _damage(kind: RegionKind, region: Region, lost: str) -> str:
    whole = "A" if lost == "B" else "B"
    if kind in {RegionKind.FLAT, RegionKind.CUT_OFF}:
        return f"{whole} is whole, {100 * region.share:.2g} % of {lost} is missing"
    return f"{whole} is open, a region of {100 * region.share:.2g} % of {lost} is covered"


def _kind(
    ours: np.typing.NDArray[np.uint8],
    theirs: np.typing.NDArray[np.uint8],
    spot: Spot,
    mask: Mask,
    steps: tuple[float, float],
) -> tuple[RegionKind, Side]:
    """Return what happened, and which side is whole."""
    shape = mask.shape
    inner = _core(mask, spot)
    spread = [float(np.subtract(*np.percentile(part[inner], (90, 10)))) for part in (ours, theirs)]
    share = spot.width * spot.height / (shape[0] * shape[1])
    at_edge = spot.height > 0.9 * shape[0] or spot.width > 0.9 * shape[1]
    for mine, its, step, whole in (
        (spread[0], spread[1], steps[1], Side.LEFT),
        (spread[1], spread[0], steps[0], Side.RIGHT),
    ):
        # A plain region like its surroundings is the background that something was drawn on.
        # Letters cover little of the rectangle around them, and what they are drawn on may be plain.
        is_solid = spot.area > _SOLID * spot.width * spot.height
        if is_solid and its <= _FLAT and mine > 4 * _FLAT and step > _STEP:
            if share > _LARGE and at_edge:
                return RegionKind.CUT_OFF, whole
            return (RegionKind.FLAT if share > _LARGE else RegionKind.COVERED), whole
    edges = [_edges(part) for part in (ours, theirs)]
    for mine, its, kind, whole in (
        (edges[0], edges[1], RegionKind.REMOVED, Side.LEFT),
        (edges[1], edges[0], RegionKind.ADDED, Side.RIGHT),
    ):
        if mine > _BUSIER * its:
            is_blurred = spot.area > 0.3 * spot.width * spot.height and share > 0.003 and mine > 2 * its
            return (RegionKind.COVERED, whole) if is_blurred and _is_soft(ours, theirs) else (kind, Side.UNKNOWN)
    return RegionKind.REPLACED, Side.UNKNOWN


def _core(mask: Mask, spot: Spot) -> Mask:
    """Return the pixels of a region's rectangle that differ for certain, away from the blur at its rim."""
    part = mask[spot.top : spot.top + spot.height, spot.left : spot.left + spot.width].astype(np.uint8)
    core = np.zeros(part.shape, dtype=np.bool_)
    for reach in _RIMS:
        core = cv2.erode(part, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
        if np.count_nonzero(core) >= _FEWEST:
            break
    if np.count_nonzero(core) < _FEWEST:
        core[spot.height // 8 : max(1, spot.height - spot.height // 8)] = True
        core[:, : spot.width // 8] = False
        core[:, max(1, spot.width - spot.width // 8) :] = False
    return np.asarray(core if core.any() else np.ones_like(core), dtype=np.bool_)


def _missing(whole: np.typing.NDArray[np.uint8], damaged: np.typing.NDArray[np.uint8]) -> Spot | None:
    """Return the band from one edge to a straight line that has one level in one picture only."""
    height, width = damaged.shape
    for turns in range(4):
        ours, theirs = np.rot90(whole, turns), np.rot90(damaged, turns)
        last = np.float64(np.median(theirs[-1]))
        if (np.abs(theirs[-1] - last) <= _FLAT).mean() <= _ALL_ALIKE:
            continue
        plain = (np.abs(theirs - last) <= _FLAT).mean(axis=1) > _ALL_ALIKE
        run = int(np.argmin(plain[::-1])) if not plain.all() else 0
        if run < _LARGE * len(plain) or ours[-run:].std() < 4 * _FLAT:
            continue
        # The sky and the margin of a page are plain up to the edge as well, and become so by and by.
        before = theirs[max(0, len(theirs) - run - _BEFORE)]
        if float((np.abs(before - last) <= _STEP).mean()) > _LIKE:
            continue
        box = [(0, height - run, width, run), (0, 0, run, height), (0, 0, width, run), (width - run, 0, run, height)]
        left, top, wide, high = box[(0, 3, 2, 1)[turns]]
        return Spot(left, top, wide, high, wide * high, 0.0)
    return None


def _step(grey: np.typing.NDArray[np.uint8], mask: Mask, spot: Spot) -> float:
    """Return by how much a region differs from what is just outside of it, at most places of its rim.

    A background that becomes lighter by and by does not, though its mean differs from that of its surroundings.
    """
    top, left = max(0, spot.top - _RIM), max(0, spot.left - _RIM)
    part = np.s_[top : spot.top + spot.height + _RIM, left : spot.left + spot.width + _RIM]
    plane, there = grey[part].astype(np.float32), mask[part].astype(np.uint8)
    inner = cv2.erode(there, np.ones((_RIM - 1, _RIM - 1), np.uint8)).astype(np.float32)
    ring = cv2.dilate(there, np.ones((5, 5), np.uint8)) == 0
    near = (3 * _RIM + 1, 3 * _RIM + 1)
    count = cv2.boxFilter(inner, -1, near, normalize=False, borderType=cv2.BORDER_CONSTANT)
    total = cv2.boxFilter(inner * plane, -1, near, normalize=False, borderType=cv2.BORDER_CONSTANT)
    rim = ring & (count > 0.5)
    return float(np.median(np.abs(plane[rim] - total[rim] / count[rim]))) if rim.any() else 0.0


def _is_soft(ours: np.typing.NDArray[np.uint8], theirs: np.typing.NDArray[np.uint8]) -> bool:
    """Whether one side is the other one, blurred."""
    if min(ours.shape) < 16:
        return False
    one, two = (
        cv2.resize(part, (8, 8), interpolation=cv2.INTER_AREA).ravel().astype(np.float64) for part in (ours, theirs)
    )
    return bool(np.std(one) > 1 and np.std(two) > 1 and np.corrcoef(one, two)[0, 1] > 0.9)


def _edges(part: np.typing.NDArray[np.uint8]) -> float:
    plane = part.astype(np.float32)
    if min(plane.shape) < 2:
        return float(np.abs(np.diff(plane.ravel())).mean()) + 0.5 if plane.size > 1 else 0.5
    return float(np.abs(np.diff(plane, axis=0)).mean() + np.abs(np.diff(plane, axis=1)).mean()) + 0.5


def _in_keeper(pair: Aligned, spot: Spot, kind: RegionKind) -> Region:
    right, bottom = spot.left + spot.width - 1, spot.top + spot.height - 1
    corners = np.array([[spot.left, right, right, spot.left], [spot.top, spot.top, bottom, bottom], [1, 1, 1, 1.0]])
    placed = pair.to_keeper @ corners
    xs, ys = placed[0] / placed[2], placed[1] / placed[2]
    edge = np.linalg.inv(pair.to_keeper)
    unit = 1 / max(1e-6, float(np.sqrt(abs(np.linalg.det(edge[:2, :2])))))
    x, y = max(0, round(float(xs.min()))), max(0, round(float(ys.min())))
    width, height = round(float(np.ptp(xs)) + unit), round(float(np.ptp(ys)) + unit)
    grid = pair.valid.size * unit * unit
    return Region(x, y, max(1, width), max(1, height), kind, round(min(1.0, width * height / max(grid, 1)), 5))


_STEP_WINDOW = 12
"""Rows on each side of a step whose means are compared; more than one block of a JPEG."""
_STEP_NONE, _STEP_ALL = 0.3, 0.7
"""Shares of a step up to which a file is continuous at its place, and from which on all of the step is in it."""
_STEP_CURVE_BINS = 64
_STEP_CLIPPED = (4, 251)
"""Grey levels at which a picture may be clipped, so that the curve says nothing."""


def step_across(pair: Aligned) -> tuple[Region, Original] | None:
    """Find a step of brightness that goes across the whole picture in one of two aligned files only.

    Args:
        pair: The files on one grid.

    Returns:
        The part of the keeper beyond the step, in its pixels, and the file without it; ``None`` if there is no step.

    Thread-safety: any number of threads.
    """
    ours, theirs = (np.asarray(luma(pixels), dtype=np.float32) for pixels in (pair.keeper, pair.other))
    low, high = _STEP_CLIPPED
    usable = pair.valid & (ours > low) & (ours < high) & (theirs > low) & (theirs < high)
    if usable.mean() < 0.2:
        return None
    residual = theirs - _toned(ours, theirs, usable)
    for axis in (1, 0):
        found = _jump(residual, (ours, theirs), usable, axis)
        if found is not None:
            place, whole = found
            if not _goes_on((ours, theirs), usable, place, axis):
                continue
            region = _beyond(pair, place, axis)
            names = ("A", "B") if whole is Side.LEFT else ("B", "A")
            reason = f"{names[1]} has a step of brightness across the whole picture, {names[0]} has none there"
            return region, Original() if whole is Side.UNKNOWN else Original(whole, sure=True, reason=reason)
    return None


def _toned(ours: Float32Array, theirs: Float32Array, usable: Mask) -> Float32Array:
    """Return the keeper with the tone of the other picture: one curve for the whole picture."""
    # Levels are whole numbers, so that each is counted and mapped once.
    levels = ours.astype(np.uint8)
    inside = levels[usable]
    by_level = np.bincount(inside, minlength=256)
    totals = by_level, by_level * np.arange(256), np.bincount(inside, theirs[usable], 256)
    count, sum_x, sum_y = (total.reshape(_STEP_CURVE_BINS, -1).sum(axis=1) for total in totals)
    known = np.flatnonzero(count > 0)
    curve = np.interp(np.arange(256), sum_x[known] / count[known], sum_y[known] / count[known])
    return np.asarray(curve.astype(np.float32)[levels], dtype=np.float32)


def _jump(
    residual: Float32Array, pictures: tuple[Float32Array, Float32Array], usable: Mask, axis: int
) -> tuple[int, Side] | None:
    """Return the row (axis 1) or column (axis 0) before which the mean residual jumps, and the file that does not."""
    count = usable.sum(axis=axis)
    if len(count) < 6 * _STEP_WINDOW:
        return None
    weight = np.maximum(count, 1)
    profile = np.where(usable, residual, 0).sum(axis=axis, dtype=np.float64) / weight
    jump = _differences(profile)
    # The damaged file has the step too: what the picture itself does there is seen in the file that steps less.
    means = [np.where(usable, plane, 0).sum(axis=axis, dtype=np.float64) / weight for plane in pictures]
    own = [_differences(mean) for mean in means]
    spread = 1.4826 * float(np.median(np.abs(jump - np.median(jump))))
    limit = max(THRESHOLDS.least_step, THRESHOLDS.step_deviations * spread)
    place = int(np.argmax(np.abs(jump)))
    least = min(abs(float(each[place])) for each in own)
    is_own = least * THRESHOLDS.step_share > abs(jump[place])
    if abs(jump[place]) < limit or is_own:
        return None
    at = place + _STEP_WINDOW + 1
    far = max(3 * _STEP_WINDOW, len(profile) // 8)
    before, after = profile[max(0, at - far) : at - 1], profile[at + 1 : at + far]
    lasts = abs(float(np.median(after) - np.median(before))) > abs(jump[place]) / 2
    if not lasts:
        return None
    # A damaged file has all of the step between two rows, where a horizon that it hides took some more.
    around = np.arange(max(2, at - _STEP_WINDOW // 2), min(len(profile) - 1, at + _STEP_WINDOW // 2))
    sharp = around[np.argmax(np.abs(profile[around + 1] - profile[around - 2]))]
    sides = set()
    for steps in (
        [abs(float(each[place])) for each in own],
        [abs(mean[sharp + 1] - mean[sharp - 2]) for mean in means],
    ):
        clear = [step < _STEP_NONE * abs(jump[place]) for step in steps]
        is_told = clear[0] is not clear[1] and max(steps) >= _STEP_ALL * abs(jump[place])
        sides.add((Side.LEFT if clear[0] else Side.RIGHT) if is_told else Side.UNKNOWN)
    return at, sides.pop() if len(sides) == 1 else Side.UNKNOWN


def _goes_on(pictures: tuple[Float32Array, Float32Array], usable: Mask, place: int, axis: int) -> bool:
    """Return whether both pictures show something beyond a step; what was never decoded shows nothing."""
    beyond = np.s_[place:] if axis == 1 else np.s_[:, place:]
    inside = usable[beyond]
    if not inside.any():
        return False
    weaker, stronger = sorted(float(plane[beyond][inside].std()) for plane in pictures)
    return weaker > stronger / 2


def _differences(profile: Float64Array) -> Float64Array:
    """Return the mean of a window after each place minus that of the window before it, with the place left out."""
    total = np.concatenate([[0.0], np.cumsum(profile)])
    places = np.arange(_STEP_WINDOW + 1, len(profile) - _STEP_WINDOW - 1)
    before = (total[places - 1] - total[places - 1 - _STEP_WINDOW]) / _STEP_WINDOW
    after = (total[places + 1 + _STEP_WINDOW] - total[places + 1]) / _STEP_WINDOW
    return np.asarray(after - before, dtype=np.float64)


def _beyond(pair: Aligned, place: int, axis: int) -> Region:
    """Return what lies beyond a step, as a rectangle of the keeper."""
    height, width = pair.valid.shape
    corner = (0, place) if axis == 1 else (place, 0)
    ends = np.array([[*corner, 1], [width - 1, height - 1, 1]], dtype=np.float64) @ pair.to_keeper.T
    points = np.rint(ends[:, :2] / ends[:, 2:]).astype(int)
    left, top = np.maximum(points.min(axis=0), 0)
    right, bottom = points.max(axis=0) + 1
    share = (height - place) / height if axis == 1 else (width - place) / width
    return Region(int(left), int(top), int(right - left), int(bottom - top), RegionKind.REPLACED, round(share, 5))
