"""Steps of brightness across a whole picture, which no edit of tone makes: what a flipped bit of a JPEG leaves behind.

A JPEG stores the mean of each block as the difference from the block before, so one damaged bit makes everything after
it lighter or darker. Where that is about half of the picture, neither half is the exception, and a comparison with what
the pair differs by elsewhere sees none. Here the mean residual of rows and of columns is searched for a jump that the
picture itself does not have at that place.
"""

from __future__ import annotations

import numpy as np

from py_image_dedup.inspection.align import Aligned, Mask, luma
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.inspection import Original, Region, RegionKind, Side
from py_image_dedup.signature.arrays import Float32Array, Float64Array

_WINDOW = 12
"""Rows on each side of a step whose means are compared; more than one block of a JPEG."""
_NONE, _ALL = 0.3, 0.7
"""Shares of a step up to which a file is continuous at its place, and from which on all of the step is in it."""
_CURVE_BINS = 64
_CLIPPED = (4, 251)
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
    low, high = _CLIPPED
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
    count, sum_x, sum_y = (total.reshape(_CURVE_BINS, -1).sum(axis=1) for total in totals)
    known = np.flatnonzero(count > 0)
    curve = np.interp(np.arange(256), sum_x[known] / count[known], sum_y[known] / count[known])
    return np.asarray(curve.astype(np.float32)[levels], dtype=np.float32)


def _jump(
    residual: Float32Array, pictures: tuple[Float32Array, Float32Array], usable: Mask, axis: int
) -> tuple[int, Side] | None:
    """Return the row (axis 1) or column (axis 0) before which the mean residual jumps, and the file that does not."""
    count = usable.sum(axis=axis)
    if len(count) < 6 * _WINDOW:
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
    at = place + _WINDOW + 1
    far = max(3 * _WINDOW, len(profile) // 8)
    before, after = profile[max(0, at - far) : at - 1], profile[at + 1 : at + far]
    lasts = abs(float(np.median(after) - np.median(before))) > abs(jump[place]) / 2
    if not lasts:
        return None
    # A damaged file has all of the step between two rows, where a horizon that it hides took some more.
    around = np.arange(max(2, at - _WINDOW // 2), min(len(profile) - 1, at + _WINDOW // 2))
    sharp = around[np.argmax(np.abs(profile[around + 1] - profile[around - 2]))]
    sides = set()
    for steps in (
        [abs(float(each[place])) for each in own],
        [abs(mean[sharp + 1] - mean[sharp - 2]) for mean in means],
    ):
        clear = [step < _NONE * abs(jump[place]) for step in steps]
        is_told = clear[0] is not clear[1] and max(steps) >= _ALL * abs(jump[place])
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
    places = np.arange(_WINDOW + 1, len(profile) - _WINDOW - 1)
    before = (total[places - 1] - total[places - 1 - _WINDOW]) / _WINDOW
    after = (total[places + 1 + _WINDOW] - total[places + 1]) / _WINDOW
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
