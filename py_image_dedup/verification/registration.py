"""Registration: moving one picture over another until they fit to a fraction of a pixel.

The method of Lucas and Kanade (S. Baker and I. Matthews: "Lucas-Kanade 20 years on", IJCV 2004) with the gradients of
both pictures averaged and kept, on pictures whose local brightness and contrast have been made equal, with robust
weights that leave out what differs (a caption, a sticker).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from py_image_dedup.signature.arrays import Float32Array, Float64Array, UInt8Array
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, scaling, translation

_MARGIN = 2
"""Pixels by which a cut-out exceeds the overlap."""
_HALF = 0.5
"""From the centre of a pixel to its edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The part that two thumbnails share, in the pixels of the coarser one.

    Attributes:
        reference: float32, shape ``(height, width)``, grey levels: a cut-out of the coarser thumbnail.
        warped: float32, the same shape: the finer thumbnail, warped onto it.
        valid: float32, the same shape: 1 where both thumbnails have pixels, 0 elsewhere.
        origin: Column and row of the cut-out in the coarser thumbnail.
        to_finer: From points of the cut-out to points of the finer thumbnail (0 is the left or upper edge in both).
        reference_is_left: Whether the coarser thumbnail is the left one.
    """

    reference: Float32Array
    warped: Float32Array
    valid: Float32Array
    origin: tuple[int, int]
    to_finer: Transform
    reference_is_left: bool

    @property
    def transform(self) -> Transform:
        """From the left thumbnail to the right one."""
        way = translation(-self.origin[0], -self.origin[1]).then(self.to_finer)
        return way if self.reference_is_left else way.inverse()


def overlap(left: UInt8Array, right: UInt8Array, transform: Transform) -> Overlap | None:
    """Warp the finer of two thumbnails onto the coarser one, smoothed to the same sharpness.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
        transform: Map from points of the left thumbnail to points of the right one.

    Returns:
        The overlap, or ``None`` if that is less than ``min_overlap_side`` wide or high.
    """
    reference_is_left = transform.scale >= 1.0
    reference, finer, way = (left, right, transform) if reference_is_left else (right, left, transform.inverse())
    box = _cut_out(reference.shape, finer.shape, way)
    if box is None:
        return None
    x, y, right_end, bottom = box
    cut = np.ascontiguousarray(reference[y:bottom, x:right_end], dtype=np.float32)
    to_finer = translation(x, y).then(way)
    warped, valid = _render(_smoothed(finer, way.scale), to_finer, cut.shape)
    return Overlap(cut, warped, valid, (x, y), to_finer, reference_is_left)


def warp(pixels: Float32Array, way: Transform, shape: tuple[int, ...], *, outside: float | None = None) -> Float32Array:
    """Return the picture whose value at each point ``p`` is that of ``pixels`` at ``way(p)``.

    Args:
        pixels: float32.
        way: Map from points of the result to points of ``pixels``.
        shape: Height and width of the result.
        outside: Value beyond the edges of ``pixels``; the edges are repeated if not given.
    """
    middle = translation(_HALF, _HALF).then(way).then(translation(-_HALF, -_HALF)).matrix
    size = (shape[1], shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    value = outside or 0.0
    if np.abs(middle[2, :2]).max() < 1e-12:
        warped = cv2.warpAffine(pixels, middle[:2], size, flags=flags, borderMode=border, borderValue=value)
    else:
        warped = cv2.warpPerspective(pixels, middle, size, flags=flags, borderMode=border, borderValue=value)
    return warped.astype(np.float32, copy=False)


def _render(finer: Float32Array, to_finer: Transform, shape: tuple[int, ...]) -> tuple[Float32Array, Float32Array]:
    height, width = finer.shape
    edge = T.edge_width * max(1.0, to_finer.scale)
    inside = np.zeros((height + 2, width + 2), dtype=np.float32)
    # Pixels at the very edge are mixed with what lies beyond it.
    rim = math.ceil(edge)
    inside[1 + rim : height + 1 - rim, 1 + rim : width + 1 - rim] = 1.0
    valid = warp(inside, to_finer.then(translation(1, 1)), shape)
    return warp(finer, to_finer, shape), (valid > 0.99).astype(np.float32)


def _smoothed(finer: UInt8Array, scale: float) -> Float32Array:
    pixels = finer.astype(np.float32)
    if scale < 1.2:
        return pixels
    return cv2.GaussianBlur(pixels, (0, 0), 0.5 * math.sqrt(scale * scale - 1)).astype(np.float32, copy=False)


def _cut_out(reference: tuple[int, ...], finer: tuple[int, ...], way: Transform) -> tuple[int, int, int, int] | None:
    height, width = finer
    corners = way.inverse().apply(np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64))
    if not np.isfinite(corners).all():
        return None
    left, top = np.maximum(np.floor(corners.min(axis=0)) - _MARGIN, 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)) + _MARGIN, (reference[1], reference[0])).astype(int)
    if min(right - left, bottom - top) < T.min_overlap_side:
        return None
    return int(left), int(top), int(right), int(bottom)


_SQUARE = np.ones((3, 3), dtype=np.uint8)
_UNIT = 100.0
"""Coordinates are divided by it, so that the parameters of a step have similar magnitudes."""
_TINY = 1e-6


def equalise(pictures: Iterable[Float32Array], valid: Float32Array, side: int) -> list[Float32Array]:
    """Return pictures with local mean 0 and local variance 1, nearly: local contrast normalisation.

    Args:
        pictures: float32, grey levels.
        valid: float32, 1 for pixels that count, 0 for others, the same for all pictures.
        side: Side of the neighbourhood, pixels, odd.
    """
    share = box_mean(valid, side) + _TINY
    equal: list[Float32Array] = []
    for pixels in pictures:
        seen = pixels * valid
        mean = box_mean(seen, side) / share
        variance = box_mean(pixels * seen, side) / share - mean * mean
        equal.append((pixels - mean) / np.sqrt(np.maximum(variance, 0) + T.noise_variance))
    return equal


def box_mean(values: Float32Array, side: int) -> Float32Array:
    """Return the mean of the square around each pixel; values beyond the edge are 0."""
    return cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_CONSTANT).astype(np.float32, copy=False)


def register(left: UInt8Array, right: UInt8Array, start: Transform, *, perspective: bool = False) -> Overlap | None:
    """Refine the transform between two thumbnails by the method of Lucas and Kanade.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
        start: Map from the left thumbnail to the right one, correct to a few pixels.
        perspective: Whether to refine a perspective too.

    Returns:
        The overlap at the refined transform; at the given one if nothing better was found; ``None`` if the pictures
        hardly overlap.
    """
    found = overlap(left, right, start)
    if found is None:
        return None
    for smooth, side, stride, rounds in ((1.5, 21, 3, 5), (0.7, 13, 2, 6)):
        step = _improve(found, smooth, side, stride, rounds, perspective=perspective)
        if step is None:
            return overlap(left, right, start)
        way = translation(-found.origin[0], -found.origin[1]).then(step).then(found.to_finer)
        found = overlap(left, right, way if found.reference_is_left else way.inverse())
        if found is None:
            return overlap(left, right, start)
    return found


def _improve(
    found: Overlap, smooth: float, side: int, stride: int, rounds: int, *, perspective: bool
) -> Transform | None:
    """Return the small map that fits ``warped`` to ``reference``, both cut-outs, best; ``None`` if it diverges."""
    if found.valid.sum() < T.min_overlap_pixels:
        return None
    blurred = (
        cv2.GaussianBlur(pixels, (0, 0), smooth).astype(np.float32, copy=False)
        for pixels in (found.reference, found.warped)
    )
    reference, warped = equalise(blurred, found.valid, side)
    height, width = reference.shape
    # Half of each picture's gradient: where only one has an edge, it pulls less.
    mixed = (reference + warped) * np.float32(0.5)
    sampled = (slice(1, height, stride), slice(1, width, stride))
    horizontal = cv2.Sobel(mixed, cv2.CV_32F, 1, 0, scale=0.125)[sampled].ravel()
    vertical = cv2.Sobel(mixed, cv2.CV_32F, 0, 1, scale=0.125)[sampled].ravel()
    inside = cv2.erode(found.valid, _SQUARE)[sampled].ravel()
    rows, columns = np.mgrid[sampled]
    x = ((columns - width / 2) / _UNIT).astype(np.float32).ravel()
    y = ((rows - height / 2) / _UNIT).astype(np.float32).ravel()
    slopes = [horizontal * x, horizontal * y, horizontal, vertical * x, vertical * y, vertical]
    if perspective:
        radial = horizontal * x + vertical * y
        slopes += [radial * x, radial * y]
    jacobian = np.stack(slopes, axis=1)
    target = reference[sampled].ravel()
    # From the grid of samples to the cut-out; 0 is the left or upper edge in both.
    to_samples = scaling(stride, stride).then(translation(1.5 - stride / 2, 1.5 - stride / 2))
    total = Transform(np.eye(3))
    for _ in range(rounds):
        here = warp(warped, to_samples.then(total), rows.shape).ravel()
        difference = target - here
        weight = inside / (1 + (difference / T.registration_outlier) ** 2)
        weighted = jacobian * weight[:, None]
        normal = (jacobian.T @ weighted).astype(np.float64)
        normal[np.diag_indices_from(normal)] += 1e-3 * max(np.trace(normal) / len(normal), _TINY)
        change = np.linalg.solve(normal, (weighted.T @ difference).astype(np.float64))
        if not _is_small(change):
            return None
        total = _step(change, width, height).then(total)
        if np.abs(change).max() < T.registration_step:
            break
    return total


def _is_small(change: Float64Array) -> bool:
    shift = max(abs(change[2]), abs(change[5]))
    rest = np.abs(np.delete(change, [2, 5])).max() / _UNIT
    return bool(np.isfinite(change).all() and shift < T.max_registration_shift and rest < T.max_registration_change)


def _step(change: Float64Array, width: int, height: int) -> Transform:
    """Return the map with the given parameters, in pixels of the cut-out."""
    matrix = np.eye(3)
    matrix[0, :2] += change[0:2] / _UNIT
    matrix[1, :2] += change[3:5] / _UNIT
    matrix[:2, 2] = change[[2, 5]]
    if len(change) > 6:
        matrix[2, :2] = -change[6:8] / _UNIT**2
    middle = (width / 2 + 0.5, height / 2 + 0.5)
    return translation(-middle[0], -middle[1]).then(Transform(matrix)).then(translation(*middle))
