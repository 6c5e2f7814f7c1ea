"""A quick test that refuses pairs of documents before they are registered.

Thousands of screenshots of one app, or invoices of one shop, share a template, and keypoints of the template agree on a
transform for each pair of them. Such a pair matches only if every printed block is the same, so a few blocks of print
that have no counterpart anywhere near are enough to refuse it. Registration costs thirty times as much.

The test is one-sided: whatever passes is registered and compared as any other pair. All accepted transforms of the
accuracy ladder's copies of receipts pass it without a single such block.
"""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np

from py_image_dedup.features.extract import DOCUMENT, page_score
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Int64Array
from py_image_dedup.verification.compare import compare_blocks, correlate, has_same_background
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.registration import Overlap, box_mean, overlap, warp
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, scaling

_HALF_BLOCK = T.screen_block_side // 2
_MARGIN = _HALF_BLOCK + T.screen_reach


def are_documents(left: Picture, right: Picture) -> bool:
    """Return whether both of two whole pictures are documents."""
    return min(left.document_score, right.document_score) >= DOCUMENT


def is_refused(left: Picture, right: Picture, start: Transform) -> bool:
    """Return whether two documents cannot match under any transform near a given one.

    Args:
        left: One picture.
        right: The other picture.
        start: Map from points of the left thumbnail to points of the right one, correct to a few pixels.

    Thread-safety: any number of threads. 0.8 ms of CPU time; nothing for pictures that are no documents.
    """
    if not are_documents(left, right):
        return False
    to_half = [
        scaling(*(half / full for half, full in zip(p.half.shape[::-1], p.size, strict=True))) for p in (left, right)
    ]
    found = overlap(left.half, right.half, to_half[0].inverse().then(start).then(to_half[1]))
    if found is None or min(found.reference.shape) <= 2 * _MARGIN:
        return False
    if not _is_document(found, left, right):
        return _differs_in_most(found)
    mismatches = (_correlations(found) < T.screen_correlation) & ~_covered(found, left, right)
    rows, columns = np.nonzero(mismatches)
    # A few blocks from everywhere decide most pairs; looking for the counterparts of all would take longer.
    missing = 0
    for step in T.screen_steps:
        if len(rows) < T.screen_mismatches - missing:
            break
        chosen = np.zeros(len(rows), dtype=np.bool_)
        chosen[_evenly(len(rows), step)] = True
        missing += int((_best_correlations(found, rows[chosen], columns[chosen]) < T.screen_correlation).sum())
        if missing >= T.screen_mismatches:
            return True
        rows, columns = rows[~chosen], columns[~chosen]
    return _is_refused_in_full(left, right, start)


def _is_refused_in_full(left: Picture, right: Picture, start: Transform) -> bool:
    """Return whether whole thumbnails have print without a counterpart: at half size another digit may look the same.

    The comparison refuses a document with a single such block; registration costs several times as much as finding two.
    """
    found = overlap(left.thumbnail, right.thumbnail, start)
    if found is None or min(found.reference.shape) < T.legible_side:
        return False
    blocks = compare_blocks(found, T.document_block_side)
    textured = blocks.correlation[blocks.textured]
    # Where nearly all print lies on its counterpart, nothing has to be looked for further away: in small print, some
    # other letter looks the same.
    fits = len(textured) > 0 and float((textured > T.exact_correlation).mean()) >= T.screen_fit
    reach = 1 if fits else 2 * T.screen_reach
    margin = T.document_block_side // 2 + reach
    (height, width), row, column = found.reference.shape, blocks.row, blocks.column
    inner = (row >= margin) & (row < height - margin) & (column >= margin) & (column < width - margin)
    different = np.flatnonzero(inner & blocks.different & blocks.strong)
    if len(different) < T.screen_mismatches:
        return False
    chosen = different[_evenly(len(different), T.screen_steps[0])]
    rows, columns = row[chosen], column[chosen]
    best = _counterparts(found, rows - margin, columns - margin, T.document_block_side, reach)
    missing = np.flatnonzero(best < T.screen_correlation)
    uncovered = (has_same_background(found.reference, found.warped, rows[at], columns[at]) for at in missing)
    return sum(islice(filter(None, uncovered), T.screen_mismatches)) >= T.screen_mismatches


def _differs_in_most(found: Overlap) -> bool:
    """Return whether more of an overlap differs than of that of any match: a photo on the page may be covered."""
    correlation = _correlations(found)
    rows, columns = np.nonzero(correlation < T.screen_correlation)
    share = len(rows) / correlation.size
    if share <= T.screen_share:
        return False
    chosen = _evenly(len(rows), T.screen_steps[-1])
    missing = _best_correlations(found, rows[chosen], columns[chosen]) < T.screen_correlation
    return share * float(missing.mean()) > T.screen_share


def _evenly(count: int, most: int) -> Int64Array:
    """Return so many of the first ``count`` numbers at most, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _is_document(found: Overlap, left: Picture, right: Picture) -> bool:
    """Return whether the overlap is a document: where it is most of both pictures, their own scores have said so."""
    whole = max(left.half.size, right.half.size)
    if found.valid.sum() >= T.screen_whole * whole:
        return True
    return max(page_score(pixels, found.valid) for pixels in (found.reference, found.warped)) >= DOCUMENT


def _correlations(found: Overlap) -> Float32Array:
    """Return each block's correlation where it is, on a grid inside the margin; 1 for blocks without print."""
    grid = tuple(slice(_MARGIN, side - _MARGIN, T.screen_stride) for side in found.reference.shape)
    side = T.screen_block_side

    def mean(values: Float32Array) -> Float32Array:
        return box_mean(values, side)[grid]

    one, other = found.reference, found.warped
    one_mean, other_mean = mean(one), mean(other)
    one_variance = np.maximum(mean(one * one) - one_mean * one_mean, 0)
    other_variance = np.maximum(mean(other * other) - other_mean * other_mean, 0)
    covariance = mean(one * other) - one_mean * other_mean
    # As in the comparison, a block of print counts with the contrast that it has in the reference picture.
    correlation, _ = correlate(one_variance, other_variance, covariance)
    printed = np.maximum(one_variance, other_variance) > T.screen_variance
    counts = printed & (mean(found.valid) > 0.98)
    return np.where(counts, correlation, 1.0).astype(np.float32)


def _covered(found: Overlap, left: Picture, right: Picture) -> BoolArray:
    """Return which blocks of the same grid have another background: an overlay may be the reason why they differ."""
    reference, warped = (left, right) if found.reference_is_left else (right, left)
    x, y = found.origin
    height, width = found.reference.shape
    background = reference.background[y : y + height, x : x + width].astype(np.float32)
    other = warp(warped.background.astype(np.float32), found.to_finer, found.reference.shape)
    changed = (np.abs(background - other) > T.covered_levels).astype(np.uint8)
    reach = np.ones((T.screen_block_side + 2,) * 2, dtype=np.uint8)
    grid = tuple(slice(_MARGIN, side - _MARGIN, T.screen_stride) for side in found.reference.shape)
    covered: BoolArray = cv2.dilate(changed, reach)[grid] > 0
    return covered


def _best_correlations(found: Overlap, rows: Int64Array, columns: Int64Array) -> Float32Array:
    """Return each block's highest correlation with any block of the warped picture within reach."""
    top, left = rows * T.screen_stride, columns * T.screen_stride
    return _counterparts(found, top, left, T.screen_block_side, T.screen_reach)


def _counterparts(found: Overlap, top: Int64Array, left: Int64Array, side: int, reach: int) -> Float32Array:
    """Return the highest correlation of each block with one of the warped picture within reach.

    Args:
        found: The overlap.
        top: Rows where the squares begin that reach as far as the block may have moved.
        left: Columns where they begin.
        side: Side of a block, pixels, odd.
        reach: Distance, pixels.
    """
    windows = np.lib.stride_tricks.sliding_window_view
    blocks = windows(found.reference, (side, side))[top + reach, left + reach].reshape(len(top), -1)
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    around = windows(found.warped, (side + 2 * reach,) * 2)[top, left]
    shifted = windows(around, (side, side), axis=(1, 2)).reshape(len(top), (2 * reach + 1) ** 2, -1)
    noise = T.block_noise
    covariance = np.matmul(shifted, blocks[:, :, None])[:, :, 0] / side**2
    variance = (blocks * blocks).mean(axis=1)[:, None]
    mean = shifted.mean(axis=2)
    other_variance = np.maximum(np.einsum("bsp,bsp->bs", shifted, shifted) / side**2 - mean * mean, 0)
    best: Float32Array = ((covariance + noise) / np.sqrt((variance + noise) * (other_variance + noise))).max(axis=1)
    return best
