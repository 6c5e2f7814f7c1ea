"""Comparison of registered pictures, block by block, and detection of overlays.

Brightness and contrast are normalised, and flat blocks are neutral; so a caption costs its own area only, and another
photo of the same scene differs nearly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.extract import page_score
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array, UInt8Array
from py_image_dedup.verification.registration import Overlap, box_mean, equalise
from py_image_dedup.verification.thresholds import THRESHOLDS as T

_TINY = 1e-6
_MEDIAN_SIDE = 11
_SOME = 6

FloatArray: TypeAlias = Float32Array | Float64Array
Floats = TypeVar("Floats", Float32Array, Float64Array)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The blocks of an overlap, as columns of equal length ``n``.

    Attributes:
        row: int64, the row of the block's centre, pixels of the overlap.
        column: int64, the column of the block's centre.
        correlation: float64, -1 to 1, of the grey values; nearly 1 for flat blocks.
        weight: float64, the larger standard deviation, grey levels, at most 32.
        textured: bool, whether there is enough structure to call the block different.
        shown: bool, shape ``(rows, columns)``: which blocks of the whole grid these are; the others are mostly outside.
        side: Side of a block, pixels of the overlap, that is of the coarser thumbnail.
    """

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    correlation: Float64Array
    weight: Float64Array
    textured: BoolArray
    shown: BoolArray
    side: int

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self.row)

    @property
    def strong(self) -> BoolArray:
        """The blocks with clear edges."""
        return self.textured & (self.weight >= T.strong_deviation)

    @property
    def different(self) -> BoolArray:
        """The blocks that show something else."""
        return self.textured & (self.correlation < T.mismatch_correlation)


# Without slots, because shifts are measured only if they are asked for: that takes most of the time of a comparison.
@dataclass(frozen=True, eq=False)
class Comparison:
    """Statistics over the blocks of an overlap. "Exact" blocks correlate well and fit within half a pixel.

    Attributes:
        overlap: The overlap.
        blocks: Its blocks.
        mismatch_share: Share of all blocks that show something else, 0 to 1.
        p02_correlation: The 2nd percentile of the textured blocks' correlations.
        min_correlation: The lowest correlation of a block with clear edges.
        median_deficit: The median of one minus the correlation over textured blocks.
        textured_count: Number of textured blocks.
        document_score: The higher ``page_score`` of the two pictures.
    """

    overlap: Overlap
    blocks: Blocks
    mismatch_share: float
    p02_correlation: float
    min_correlation: float
    median_deficit: float
    textured_count: int
    document_score: float

    @property
    def side(self) -> int:
        """Side of a block, pixels of the overlap."""
        return self.blocks.side

    @property
    def same_weight(self) -> float:
        """Share of the weight in blocks with a correlation above 0.5, 0 to 1."""
        weight = self.blocks.weight
        return float(weight[self.blocks.correlation > T.mismatch_correlation].sum() / (weight.sum() + _TINY))

    @cached_property
    def shift(self) -> Float64Array:
        """Each block's distance to where it would fit best, pixels of the overlap, at most 3; NaN if not measurable."""
        sampled = _grid(self.overlap.valid.shape, self.side)
        return _shifts(self.overlap, max(self.side, T.flow_side), sampled)[self.blocks.shown]

    @cached_property
    def _measured(self) -> BoolArray:
        measured: BoolArray = self.blocks.textured & np.isfinite(self.shift)
        return measured

    @property
    def measured_count(self) -> int:
        """Number of blocks whose shift is measured."""
        return int(self._measured.sum())

    @property
    def exact_weight(self) -> float:
        """Share of the weight in exact blocks, among those whose shift is measured, 0 to 1; 0 with fewer than four."""
        if self.measured_count < T.min_measured_shifts:
            return 0.0
        exact = self._same & (self.shift < T.exact_shift)
        weight = self.blocks.weight
        return float(weight[exact].sum() / (weight[self._measured].sum() + _TINY))

    @property
    def median_shift(self) -> float:
        """Median shift of the well-correlated blocks among them, pixels of the overlap; 0 with fewer than four."""
        if self.measured_count < T.min_measured_shifts:
            return 0.0
        same = self._same
        return float(np.median(self.shift[same])) if same.any() else T.max_shift

    @property
    def _same(self) -> BoolArray:
        same: BoolArray = self._measured & (self.blocks.correlation > T.exact_correlation)
        return same


def compare(overlap: Overlap) -> Comparison | None:
    """Compare the pixels of an overlap.

    Returns:
        The comparison; ``None`` if there are too few blocks.

    Thread-safety: any number of threads.
    """
    height, width = overlap.reference.shape
    document = max(page_score(pixels, overlap.valid) for pixels in (overlap.reference, overlap.warped))
    side = max(T.min_block_side, round(min(height, width) / 10)) | 1
    if document > 0.5:
        side = min(side, T.document_block_side)
    blocks = compare_blocks(overlap, side)
    if len(blocks) < T.min_blocks:
        return None
    textured, strong = blocks.textured, blocks.strong
    return Comparison(
        overlap,
        blocks,
        mismatch_share=float(blocks.different.mean()),
        p02_correlation=float(np.quantile(blocks.correlation[textured], 0.02)) if textured.any() else 1.0,
        min_correlation=float(blocks.correlation[strong].min()) if strong.any() else 1.0,
        median_deficit=float(np.median(1 - blocks.correlation[textured])) if textured.any() else 0.0,
        textured_count=int(textured.sum()),
        document_score=document,
    )


def _grid(shape: tuple[int, ...], side: int) -> tuple[slice, slice]:
    """Return the rows and columns of the centres of overlapping blocks."""
    step = max(1, side // 2)
    return slice(side // 2, shape[0], step), slice(side // 2, shape[1], step)


def compare_blocks(overlap: Overlap, side: int) -> Blocks:
    """Compare the blocks of an overlap.

    Args:
        overlap: The overlap.
        side: Side of a block, pixels, odd.

    Thread-safety: any number of threads.
    """
    valid = overlap.valid
    sampled = _grid(valid.shape, side)
    shares = box_mean(valid, side)
    kept = shares[sampled] > 0.5
    share = shares + np.float32(_TINY)
    reference, warped = _smooth(overlap.reference, valid), _smooth(overlap.warped, valid)

    def mean(values: Float32Array) -> Float64Array:
        averaged: Float64Array = (box_mean(values * valid, side) / share)[sampled][kept].astype(np.float64)
        return averaged

    one, other = mean(reference), mean(warped)
    reference_variance: Float64Array = np.maximum(mean(reference * reference) - one * one, 0)
    warped_variance: Float64Array = np.maximum(mean(warped * warped) - other * other, 0)
    covariance = mean(reference * warped) - one * other
    correlation, noise = correlate(reference_variance, warped_variance, covariance)
    rows, columns = np.mgrid[sampled]
    strongest = np.maximum(reference_variance, warped_variance)
    return Blocks(
        rows[kept],
        columns[kept],
        correlation=correlation,
        weight=np.minimum(np.sqrt(strongest), T.max_weight),
        textured=strongest > 2 * noise,
        shown=kept,
        side=side,
    )


def correlate(reference_variance: Floats, warped_variance: Floats, covariance: Floats) -> tuple[Floats, float]:
    """Correlate the blocks of two pictures, the contrast of one brought to that of the other.

    Args:
        reference_variance: Variances of the blocks of the reference picture.
        warped_variance: Variances of the same blocks of the other picture; scaled in place to the reference's contrast.
        covariance: Covariances of the blocks; becomes the correlations in place.

    Returns:
        The correlations, and the variance of noise at this contrast.
    """
    gain = contrast_gain(reference_variance, warped_variance)
    warped_variance *= gain * gain
    covariance *= gain
    noise = T.block_noise * max(gain, 1 / gain)
    covariance += noise
    covariance /= np.sqrt((reference_variance + noise) * (warped_variance + noise))
    return covariance, noise


def contrast_gain(reference_variance: FloatArray, warped_variance: FloatArray) -> float:
    """Return the ratio of the reference picture's contrast to the warped one's."""
    clear = (reference_variance > T.block_noise) & (warped_variance > T.block_noise)
    if not clear.any():
        return 1.0
    gain = float(np.sqrt(np.median(reference_variance[clear] / warped_variance[clear])))
    return min(max(gain, 1 / T.max_gain), T.max_gain)


def _shifts(overlap: Overlap, side: int, sampled: tuple[slice, slice]) -> Float64Array:
    """Return each block's distance to where it would fit best, to first order; NaN along a single edge."""
    reference, warped = (
        cv2.GaussianBlur(pixels, (0, 0), 0.7).astype(np.float32, copy=False)
        for pixels in equalise((overlap.reference, overlap.warped), overlap.valid, T.flow_side)
    )
    mixed = (reference + warped) * np.float32(0.5)
    inside = cv2.erode(overlap.valid, np.ones((3, 3), dtype=np.uint8)).astype(np.float32, copy=False)
    horizontal = cv2.Sobel(mixed, cv2.CV_32F, 1, 0, scale=0.125).astype(np.float32, copy=False) * inside
    vertical = cv2.Sobel(mixed, cv2.CV_32F, 0, 1, scale=0.125).astype(np.float32, copy=False) * inside
    difference = reference - warped
    products = (
        horizontal * horizontal,
        horizontal * vertical,
        vertical * vertical,
        horizontal * difference,
        vertical * difference,
    )
    xx, xy, yy, xt, yt = (box_mean(product, side)[sampled].astype(np.float64) for product in products)
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    determinant = np.maximum(xx * yy - xy * xy, 1e-12)
    length = np.hypot(yy * xt - xy * yt, xx * yt - xy * xt) / determinant
    shifts: Float64Array = np.where(least > T.min_gradient, np.minimum(length, T.max_shift), np.nan)
    return shifts


def _smooth(pixels: Float32Array, valid: Float32Array) -> Float32Array:
    """Return the pixels smoothed by one pixel; those outside the overlap have no influence."""
    share = cv2.GaussianBlur(valid, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) + np.float32(_TINY)
    smooth = cv2.GaussianBlur(pixels * valid, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) / share
    return smooth.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Overlay:
    """The regions of an overlap that differ, and whether an overlay explains them.

    Attributes:
        has_overlay: Whether something was drawn over one of the pictures: in one colour, as writing, or translucent.
        over_reference: Whether over the reference picture, and not over the warped one; ``None`` if not clear.
        uncovered: Number of differing blocks with the same background in both pictures: their writing differs.
        rest_min_correlation: The lowest correlation of a block with clear edges, covered ones left out.
        covered_share: Share of all blocks with another background, 0 to 1.
    """

    has_overlay: bool
    over_reference: bool | None
    uncovered: int
    rest_min_correlation: float
    covered_share: float


def detect_overlay(overlap: Overlap, comparison: Comparison) -> Overlay:
    """Examine the regions that differ.

    Thread-safety: any number of threads.
    """
    differing = _differing(comparison)
    warped = _same_tone(overlap.warped, overlap.reference, (differing == 0) & (overlap.valid > 0))
    covered = _covered(overlap.reference, warped, comparison)
    rest = comparison.blocks.correlation[comparison.blocks.strong & ~covered]
    has_overlay, over_reference = _drawn_over(overlap.reference, warped, (differing > 0) & (overlap.valid > 0))
    return Overlay(
        has_overlay,
        over_reference,
        uncovered=int((comparison.blocks.different & ~covered).sum()),
        rest_min_correlation=float(rest.min()) if len(rest) else 0.0,
        covered_share=float(covered.mean()),
    )


def shows_other_print(comparison: Comparison) -> bool:
    """Return whether one of the first few blocks that differ has the same background in both pictures.

    Then ``Overlay.uncovered`` of the comparison is not 0; that takes a hundred times as long to find out.

    Thread-safety: any number of threads.
    """
    overlap, blocks = comparison.overlap, comparison.blocks
    different = np.flatnonzero(blocks.different)
    some = different[np.linspace(0, len(different) - 1, min(len(different), _SOME)).astype(np.int64)]
    if not len(some):
        return False
    warped = _same_tone(overlap.warped, overlap.reference, (_differing(comparison) == 0) & (overlap.valid > 0))
    return any(
        has_same_background(overlap.reference, warped, row, column, comparison.side)
        for row, column in zip(blocks.row[some].tolist(), blocks.column[some].tolist(), strict=True)
    )


def has_same_background(
    reference: Float32Array, warped: Float32Array, row: int, column: int, side: int = T.document_block_side
) -> bool:
    """Return whether the paper between the letters is the same in two pictures around a block.

    Args:
        reference: Grey levels.
        warped: The other picture's, the same shape.
        row: Row of the block's centre.
        column: Column of the block's centre.
        side: Side of a block, pixels, odd.

    Thread-safety: any number of threads.
    """
    # Of the whole picture's medians, those that can mark the block.
    reach = side + min(side, _MEDIAN_SIDE) // 2 + 1
    top, left = max(0, row - reach), max(0, column - reach)
    around = (slice(top, row + reach + 1), slice(left, column + reach + 1))
    return not _background_marks(reference[around], warped[around], side)[row - top, column - left]


def _differing(comparison: Comparison) -> UInt8Array:
    """Return which pixels of the overlap are in a block that differs."""
    blocks = comparison.blocks
    different = blocks.different
    differing = np.zeros(comparison.overlap.reference.shape, dtype=np.uint8)
    half = comparison.side // 2
    for row, column in zip(blocks.row[different], blocks.column[different], strict=True):
        differing[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = 1
    return differing


def _same_tone(pixels: Float32Array, model: Float32Array, same: BoolArray) -> Float32Array:
    """Return a picture with the brightness and contrast of the model, measured where both show the same."""
    if same.sum() < T.min_changed_pixels or pixels[same].std() < 1:
        return pixels
    one, other = pixels[same].astype(np.float64), model[same].astype(np.float64)
    centred = one - one.mean()
    gain = float(centred @ other / (centred @ centred))
    toned: Float32Array = (pixels * gain + (other.mean() - gain * one.mean())).astype(np.float32)
    return toned


def _drawn_over(reference: Float32Array, warped: Float32Array, region: BoolArray) -> tuple[bool, bool | None]:
    """Return whether something was drawn over one of the pictures, and whether over the reference, if that is clear."""
    difference = cv2.GaussianBlur(warped - reference, (0, 0), 0.7)
    changed = region & (np.abs(difference) > T.changed_levels)
    if changed.sum() < T.min_changed_pixels:
        return False, None
    colours = (_commonest_share(reference[changed]), _commonest_share(warped[changed]))
    slopes = tuple(float(_gradient(pixels)[changed].mean()) for pixels in (reference, warped))
    ratio = max(slopes) / max(min(slopes), 1.0)
    # Writing over a sky: the sky has one colour. A bar over a lawn: the lawn has the edges.
    if ratio >= T.steeper:
        over_reference: bool | None = slopes[0] > slopes[1]
    elif max(colours) >= T.one_colour and min(colours) < T.many_colours:
        over_reference = colours[0] > colours[1]
    else:
        over_reference = None
    if max(colours) >= T.one_colour or (max(slopes) >= T.writing_slope and ratio >= T.writing_ratio):
        return True, over_reference
    lighter = float((difference[changed] > 0).mean())
    same_sign = max(lighter, 1 - lighter) >= T.veil_sign
    return same_sign and ratio >= T.veil_ratio and _shared_detail(
        reference, warped, changed
    ) >= T.veil_detail, over_reference


def _commonest_share(values: Float32Array) -> float:
    """Return the share of values within ten levels of the most frequent one."""
    counts = np.bincount(np.clip(values, 0, 255).astype(np.int64) // 4, minlength=64)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / len(values))


def _gradient(pixels: Float32Array) -> Float32Array:
    horizontal = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, scale=0.125)
    vertical = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, scale=0.125)
    return np.hypot(horizontal, vertical).astype(np.float32, copy=False)


def _shared_detail(reference: Float32Array, warped: Float32Array, changed: BoolArray) -> float:
    """Return the correlation of the two pictures' fine detail, which shines through a translucent overlay."""
    one, other = ((pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5))[changed] for pixels in (reference, warped))
    if one.std() < 1e-3 or other.std() < 1e-3:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _covered(reference: Float32Array, warped: Float32Array, comparison: Comparison) -> BoolArray:
    """Return which blocks have another background (the paper between the letters) in the other picture."""
    blocks = comparison.blocks
    marked: BoolArray = _background_marks(reference, warped, comparison.side)[blocks.row, blocks.column]
    return marked


def _background_marks(reference: Float32Array, warped: Float32Array, side: int) -> BoolArray:
    """Return which pixels have another background within the side of a block."""
    one, other = (
        cv2.medianBlur(np.clip(pixels, 0, 255).astype(np.uint8), min(side, _MEDIAN_SIDE)).astype(np.float32)
        for pixels in (reference, warped)
    )
    covered = (np.abs(one - other) > T.covered_levels).astype(np.uint8)
    marked: BoolArray = cv2.dilate(covered, np.ones((2 * side + 1,) * 2, dtype=np.uint8)) > 0
    return marked
