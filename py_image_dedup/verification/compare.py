"""What aligned pixels say: block by block, whether two pictures show the same thing at the same place.

Brightness and contrast are no difference; flat blocks say nothing either way; so a caption costs its own area only, and
another photo of the same scene differs nearly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.document import document_likeness
from py_image_dedup.verification.overlap import Overlap
from py_image_dedup.verification.registration import box_mean, equalise

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

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
        document: ``document_likeness``, the higher of the two pictures.
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
    document = max(document_likeness(pixels, found.valid) for pixels in (found.base, found.moved))
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
