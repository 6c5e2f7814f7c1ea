"""What aligned pixels say: block by block, whether two pictures show the same thing at the same place.

Brightness and contrast are no difference; flat blocks say nothing either way; so a caption costs its own area only, and
another photo of the same scene differs nearly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.extract import document_score
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array
from py_image_dedup.verification.registration import Overlap, box_mean, equalise

DIFFERENT = 0.5
"""Correlation below which a textured block shows something else."""
EXACT_CORRELATION = 0.8
EXACT_SHIFT = 0.5
"""A block is exact when it correlates at least so much and would fit no better elsewhere: within half a pixel."""

_NOISE = 16.0
_LARGEST_GAIN = 5.0
_STRONG = 16.0
_STRONGEST = 32.0
_FARTHEST = 3.0
_FLOW_SIDE = 13
_LEAST_GRADIENT = 0.004
_FEWEST_SHIFTS = 4
_TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The blocks of an overlap, as columns of equal length.

    Attributes:
        row: int64, of the middle, in pixels of the overlap.
        column: int64.
        correlation: float64, -1 to 1, of the grey values; flat blocks have nearly 1.
        weight: float64, how much there is to see: the standard deviation in grey levels, at most 32.
        textured: bool, there is enough to see to call the block different.
        shift: float64, pixels by which it would fit better elsewhere, at most 3; NaN where that cannot be told.
    """

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    correlation: Float64Array
    weight: Float64Array
    textured: BoolArray
    shift: Float64Array

    @property
    def strong(self) -> BoolArray:
        """The blocks with clear edges."""
        return self.textured & (self.weight >= _STRONG)

    @property
    def different(self) -> BoolArray:
        """The blocks that show something else."""
        return self.textured & (self.correlation < DIFFERENT)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What all blocks together say.

    Attributes:
        blocks: One by one.
        side: Of a block, pixels.
        bad_share: Of all blocks, those that show something else.
        same_weight: Share of what there is to see that is the same (correlation above 0.5).
        worst: The correlation that one textured block in fifty stays below.
        least: The lowest correlation of a block with strong texture: print, not paper.
        usual: The median of what is missing to a full correlation of 1.
        exact_weight: Share of what there is to see that fits exactly, among blocks whose shift can be told; 0 with
            fewer than four of them.
        shift: Median shift of the same blocks, pixels; 0 with fewer than four of them.
        textured: How many blocks have something to see.
        measured: How many blocks' shifts can be told.
        document: ``document_score``, the higher of the two pictures.
    """

    blocks: Blocks
    side: int
    bad_share: float
    same_weight: float
    worst: float
    least: float
    usual: float
    exact_weight: float
    shift: float
    textured: int
    measured: int
    document: float


def compare(found: Overlap) -> Comparison | None:
    """Compare the pixels of an overlap.

    Returns:
        What the blocks say; ``None`` if there are too few.

    Thread-safety: any number of threads.
    """
    height, width = found.base.shape
    document = max(document_score(pixels, found.valid) for pixels in (found.base, found.moved))
    side = max(7, round(min(height, width) / 10)) | 1
    # The changed figure on a receipt is small.
    if document > 0.5:
        side = min(side, 11)
    blocks = _blocks(found, side)
    if len(blocks.row) < 4:
        return None
    textured, weight = blocks.textured, blocks.weight
    strong = blocks.strong
    told = textured & np.isfinite(blocks.shift)
    exact = told & (blocks.correlation > EXACT_CORRELATION) & (blocks.shift < EXACT_SHIFT)
    same = told & (blocks.correlation > EXACT_CORRELATION)
    enough = bool(told.sum() >= _FEWEST_SHIFTS)
    shift = float(np.median(blocks.shift[same])) if same.any() else _FARTHEST
    return Comparison(
        blocks,
        side,
        bad_share=float(blocks.different.mean()),
        same_weight=float(weight[blocks.correlation > DIFFERENT].sum() / (weight.sum() + _TINY)),
        worst=float(np.quantile(blocks.correlation[textured], 0.02)) if textured.any() else 1.0,
        least=float(blocks.correlation[strong].min()) if strong.any() else 1.0,
        usual=float(np.median(1 - blocks.correlation[textured])) if textured.any() else 0.0,
        exact_weight=float(weight[exact].sum() / (weight[told].sum() + _TINY)) if enough else 0.0,
        shift=shift if enough else 0.0,
        textured=int(textured.sum()),
        measured=int(told.sum()),
        document=document,
    )


def _blocks(found: Overlap, side: int) -> Blocks:
    valid = found.valid
    height, width = valid.shape
    step = max(1, side // 2)
    places = (slice(side // 2, height, step), slice(side // 2, width, step))
    shares = box_mean(valid, side)
    kept = shares[places] > 0.5
    share = shares + np.float32(_TINY)
    base, moved = _smooth(found.base, valid), _smooth(found.moved, valid)

    def mean(values: Float32Array) -> Float64Array:
        averaged: Float64Array = (box_mean(values * valid, side) / share)[places][kept].astype(np.float64)
        return averaged

    one, other = mean(base), mean(moved)
    base_variance = np.maximum(mean(base * base) - one * one, 0)
    moved_variance = np.maximum(mean(moved * moved) - other * other, 0)
    covariance = mean(base * moved) - one * other
    gain = _gain(base_variance, moved_variance)
    moved_variance *= gain * gain
    covariance *= gain
    noise = _NOISE * max(gain, 1 / gain)
    rows, columns = np.mgrid[places]
    strongest = np.maximum(base_variance, moved_variance)
    return Blocks(
        rows[kept],
        columns[kept],
        correlation=(covariance + noise) / np.sqrt((base_variance + noise) * (moved_variance + noise)),
        weight=np.minimum(np.sqrt(strongest), _STRONGEST),
        textured=strongest > 2 * noise,
        shift=_shifts(found, max(side, _FLOW_SIDE), places)[kept],
    )


def _gain(base_variance: Float64Array, moved_variance: Float64Array) -> float:
    """Return by how much more contrast the base picture has."""
    clear = (base_variance > _NOISE) & (moved_variance > _NOISE)
    if not clear.any():
        return 1.0
    gain = float(np.sqrt(np.median(base_variance[clear] / moved_variance[clear])))
    return min(max(gain, 1 / _LARGEST_GAIN), _LARGEST_GAIN)


def _shifts(found: Overlap, side: int, places: tuple[slice, slice]) -> Float64Array:
    """Return how far each block would have to move to fit best, to first order; NaN where it could slide along."""
    base, moved = (
        cv2.GaussianBlur(pixels, (0, 0), 0.7).astype(np.float32, copy=False)
        for pixels in equalise((found.base, found.moved), found.valid, _FLOW_SIDE)
    )
    mixed = (base + moved) * np.float32(0.5)
    inside = cv2.erode(found.valid, np.ones((3, 3), dtype=np.uint8)).astype(np.float32, copy=False)
    horizontal = cv2.Sobel(mixed, cv2.CV_32F, 1, 0, scale=0.125).astype(np.float32, copy=False) * inside
    vertical = cv2.Sobel(mixed, cv2.CV_32F, 0, 1, scale=0.125).astype(np.float32, copy=False) * inside
    difference = base - moved
    products = (
        horizontal * horizontal,
        horizontal * vertical,
        vertical * vertical,
        horizontal * difference,
        vertical * difference,
    )
    xx, xy, yy, xt, yt = (box_mean(product, side)[places].astype(np.float64) for product in products)
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    determinant = np.maximum(xx * yy - xy * xy, 1e-12)
    length = np.hypot(yy * xt - xy * yt, xx * yt - xy * xt) / determinant
    shifts: Float64Array = np.where(least > _LEAST_GRADIENT, np.minimum(length, _FARTHEST), np.nan)
    return shifts


def _smooth(pixels: Float32Array, valid: Float32Array) -> Float32Array:
    """Smooth by a pixel, without what lies outside."""
    share = cv2.GaussianBlur(valid, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) + np.float32(_TINY)
    smooth = cv2.GaussianBlur(pixels * valid, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) / share
    return smooth.astype(np.float32, copy=False)


_CHANGED_LEVELS = 20.0
_FEWEST_PIXELS = 20
_ONE_COLOUR = 0.58
_MANY_COLOURS = 0.4
_CLEARLY_STEEPER = 2.0
_WRITING_SLOPE = 30.0
_WRITING_RATIO = 2.5
_VEIL_SIGN = 0.97
_VEIL_DETAIL = 0.1
_VEIL_RATIO = 1.5
_COVERED_LEVELS = 30.0


@dataclass(frozen=True, slots=True)
class Changes:
    """The places that differ.

    Attributes:
        drawn: Something was drawn over one of the pictures: in one colour, as writing, or as a veil.
        over_base: Whether over the base picture, and not over the moved one; ``None`` if that is not clear.
        uncovered: Of the blocks that differ, how many still have the ground that the other picture has: what is written
            there differs.
        rest_least: The lowest correlation of a block with strong texture, covered ones left out.
        covered_share: Of all blocks, those whose ground was covered.
    """

    drawn: bool
    over_base: bool | None
    uncovered: int
    rest_least: float
    covered_share: float


def look_at_changes(found: Overlap, comparison: Comparison) -> Changes:
    """Look at the places that differ.

    Thread-safety: any number of threads.
    """
    different = comparison.blocks.different
    place = np.zeros(found.base.shape, dtype=np.uint8)
    half = comparison.side // 2
    for row, column in zip(comparison.blocks.row[different], comparison.blocks.column[different], strict=True):
        place[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = 1
    same = (place == 0) & (found.valid > 0)
    moved = _same_tone(found.moved, found.base, same)
    covered = _covered(found.base, moved, comparison)
    rest = comparison.blocks.correlation[comparison.blocks.strong & ~covered]
    drawn, over_base = _drawn(found.base, moved, (place > 0) & (found.valid > 0))
    return Changes(
        drawn,
        over_base,
        uncovered=int((different & ~covered).sum()),
        rest_least=float(rest.min()) if len(rest) else 0.0,
        covered_share=float(covered.mean()),
    )


def _same_tone(pixels: Float32Array, model: Float32Array, same: BoolArray) -> Float32Array:
    """Give one picture the brightness and contrast of the other, as they are where both show the same."""
    if same.sum() < _FEWEST_PIXELS or pixels[same].std() < 1:
        return pixels
    gain, lift = np.polyfit(pixels[same].astype(np.float64), model[same].astype(np.float64), 1)
    toned: Float32Array = (pixels * gain + lift).astype(np.float32)
    return toned


def _drawn(base: Float32Array, moved: Float32Array, place: BoolArray) -> tuple[bool, bool | None]:
    """Tell whether something was drawn over one of the pictures, and whether over the base, if that is clear."""
    difference = cv2.GaussianBlur(moved - base, (0, 0), 0.7)
    changed = place & (np.abs(difference) > _CHANGED_LEVELS)
    if changed.sum() < _FEWEST_PIXELS:
        return False, None
    colours = (_one_colour(base[changed]), _one_colour(moved[changed]))
    slopes = tuple(float(_slope(pixels)[changed].mean()) for pixels in (base, moved))
    ratio = max(slopes) / max(min(slopes), 1.0)
    # Writing over a sky: the sky is what has one colour. A bar over a lawn: the lawn is what has the edges.
    if ratio >= _CLEARLY_STEEPER:
        over_base: bool | None = slopes[0] > slopes[1]
    elif max(colours) >= _ONE_COLOUR and min(colours) < _MANY_COLOURS:
        over_base = colours[0] > colours[1]
    else:
        over_base = None
    if max(colours) >= _ONE_COLOUR or (max(slopes) >= _WRITING_SLOPE and ratio >= _WRITING_RATIO):
        return True, over_base
    lighter = float((difference[changed] > 0).mean())
    one_way = max(lighter, 1 - lighter) >= _VEIL_SIGN
    return one_way and ratio >= _VEIL_RATIO and _shared_detail(base, moved, changed) >= _VEIL_DETAIL, over_base


def _one_colour(values: Float32Array) -> float:
    """Return the share of values within ten levels of the most frequent one."""
    counts = np.bincount(np.clip(values, 0, 255).astype(np.int64) // 4, minlength=64)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / len(values))


def _slope(pixels: Float32Array) -> Float32Array:
    horizontal = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, scale=0.125)
    vertical = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, scale=0.125)
    return np.hypot(horizontal, vertical).astype(np.float32, copy=False)


def _shared_detail(base: Float32Array, moved: Float32Array, changed: BoolArray) -> float:
    """Return how much of one picture's fine detail shines through in the other."""
    one, other = ((pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5))[changed] for pixels in (base, moved))
    if one.std() < 1e-3 or other.std() < 1e-3:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _covered(base: Float32Array, moved: Float32Array, comparison: Comparison) -> BoolArray:
    """Mark blocks whose ground, the paper between the letters, is another one in the other picture."""
    side = min(comparison.side, 11)
    one, other = (
        cv2.medianBlur(np.clip(pixels, 0, 255).astype(np.uint8), side).astype(np.float32) for pixels in (base, moved)
    )
    other_ground = (np.abs(one - other) > _COVERED_LEVELS).astype(np.uint8)
    reach = np.ones((2 * comparison.side + 1,) * 2, dtype=np.uint8)
    blocks = comparison.blocks
    marked: BoolArray = cv2.dilate(other_ground, reach)[blocks.row, blocks.column] > 0
    return marked
