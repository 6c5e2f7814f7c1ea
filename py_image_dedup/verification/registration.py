"""Moving one picture over another until they fit to a fraction of a pixel.

The method of Lucas and Kanade (S. Baker and I. Matthews: "Lucas-Kanade 20 years on", IJCV 2004) with the gradients of
both pictures averaged and kept, on pictures whose local brightness and contrast have been made equal, with weights that
leave out what differs (a caption, a sticker).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from py_image_dedup.signature.arrays import Float32Array, Float64Array, UInt8Array
from py_image_dedup.verification.transform import Alignment, scaling, shifting

SMALLEST_SIDE = 12
"""Pixels of the common grid; less is too little to prove anything on."""

_MARGIN = 2
_EDGE = 1.25
_HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The part that two thumbnails share, in the pixels of the coarser one.

    Attributes:
        base: float32, shape ``(height, width)``: a cut-out of the coarser thumbnail.
        moved: float32, the same shape: the finer thumbnail, laid over it.
        valid: float32, the same shape: 1 where both thumbnails have pixels, 0 elsewhere.
        origin: Column and row of the cut-out in the coarser thumbnail.
        to_finer: From points of the cut-out to points of the finer thumbnail (0 is the left or upper edge in both).
        base_is_left: Whether the coarser thumbnail is the left one.
    """

    base: Float32Array
    moved: Float32Array
    valid: Float32Array
    origin: tuple[int, int]
    to_finer: Alignment
    base_is_left: bool

    @property
    def alignment(self) -> Alignment:
        """From the left thumbnail to the right one."""
        way = shifting(-self.origin[0], -self.origin[1]).then(self.to_finer)
        return way if self.base_is_left else way.inverse()


def overlap(left: UInt8Array, right: UInt8Array, alignment: Alignment) -> Overlap | None:
    """Lay two thumbnails over each other.

    The finer one is smoothed first, by as much as it is finer, so that both are equally sharp.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
        alignment: From points of the left thumbnail to points of the right one.

    Returns:
        What they share, or ``None`` if that is less than ``SMALLEST_SIDE`` wide or high.
    """
    base_is_left = alignment.scale >= 1.0
    base, finer, way = (left, right, alignment) if base_is_left else (right, left, alignment.inverse())
    box = _cut_out(base.shape, finer.shape, way)
    if box is None:
        return None
    x, y, right_end, bottom = box
    cut = np.ascontiguousarray(base[y:bottom, x:right_end], dtype=np.float32)
    to_finer = shifting(x, y).then(way)
    moved, valid = _render(_smoothed(finer, way.scale), to_finer, cut.shape)
    return Overlap(cut, moved, valid, (x, y), to_finer, base_is_left)


def warp(pixels: Float32Array, way: Alignment, shape: tuple[int, ...], *, outside: float | None = None) -> Float32Array:
    """Return the picture that has, at each point ``p``, what ``pixels`` have at ``way(p)``.

    Args:
        pixels: float32.
        way: From points of the result to points of ``pixels``.
        shape: Of the result.
        outside: What lies beyond the edges of ``pixels``; they are continued if not given.
    """
    middle = shifting(_HALF, _HALF).then(way).then(shifting(-_HALF, -_HALF)).matrix
    size = (shape[1], shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    value = outside or 0.0
    if np.abs(middle[2, :2]).max() < 1e-12:
        moved = cv2.warpAffine(pixels, middle[:2], size, flags=flags, borderMode=border, borderValue=value)
    else:
        moved = cv2.warpPerspective(pixels, middle, size, flags=flags, borderMode=border, borderValue=value)
    return moved.astype(np.float32, copy=False)


def _render(finer: Float32Array, to_finer: Alignment, shape: tuple[int, ...]) -> tuple[Float32Array, Float32Array]:
    height, width = finer.shape
    edge = _EDGE * max(1.0, to_finer.scale)
    inside = np.zeros((height + 2, width + 2), dtype=np.float32)
    # Pixels at the very edge are mixed with what lies beyond it.
    rim = math.ceil(edge)
    inside[1 + rim : height + 1 - rim, 1 + rim : width + 1 - rim] = 1.0
    valid = warp(inside, to_finer.then(shifting(1, 1)), shape)
    return warp(finer, to_finer, shape), (valid > 0.99).astype(np.float32)


def _smoothed(finer: UInt8Array, scale: float) -> Float32Array:
    pixels = finer.astype(np.float32)
    if scale < 1.2:
        return pixels
    return cv2.GaussianBlur(pixels, (0, 0), 0.5 * math.sqrt(scale * scale - 1)).astype(np.float32, copy=False)


def _cut_out(base: tuple[int, ...], finer: tuple[int, ...], way: Alignment) -> tuple[int, int, int, int] | None:
    height, width = finer
    corners = way.inverse().apply(np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64))
    if not np.isfinite(corners).all():
        return None
    left, top = np.maximum(np.floor(corners.min(axis=0)) - _MARGIN, 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)) + _MARGIN, (base[1], base[0])).astype(int)
    if min(right - left, bottom - top) < SMALLEST_SIDE:
        return None
    return int(left), int(top), int(right), int(bottom)


NOISE_VARIANCE = 25.0
"""Grey levels squared: less variance than this is not brought up to the common contrast, it would only be noise."""

_SQUARE = np.ones((3, 3), dtype=np.uint8)
_OUTLIER = 0.5
_UNIT = 100.0
_FARTHEST = 12.0
_LARGEST_CHANGE = 0.2
_DONE = 0.02
_LEAST_PIXELS = 80
_TINY = 1e-6


def equalise(pictures: Iterable[Float32Array], valid: Float32Array, side: int) -> list[Float32Array]:
    """Give every neighbourhood of some pictures mean 0 and variance 1, nearly.

    Args:
        pictures: float32, grey levels.
        valid: float32, 1 for pixels that count as neighbours, in all of them.
        side: Of the neighbourhood, odd.
    """
    share = box_mean(valid, side) + _TINY
    equal: list[Float32Array] = []
    for pixels in pictures:
        seen = pixels * valid
        mean = box_mean(seen, side) / share
        variance = box_mean(pixels * seen, side) / share - mean * mean
        equal.append((pixels - mean) / np.sqrt(np.maximum(variance, 0) + NOISE_VARIANCE))
    return equal


def box_mean(values: Float32Array, side: int) -> Float32Array:
    """Return the means of squares around each pixel; beyond the edge is nothing but zeros."""
    return cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_CONSTANT).astype(np.float32, copy=False)


def register(left: UInt8Array, right: UInt8Array, start: Alignment, *, bend: bool = False) -> Overlap | None:
    """Refine an alignment of two thumbnails.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
        start: From the left thumbnail to the right one; right to some pixels.
        bend: Also look for a little perspective.

    Returns:
        The overlap at the refined alignment; at the given one if nothing better was found; ``None`` if the pictures
        hardly overlap.
    """
    found = overlap(left, right, start)
    if found is None:
        return None
    for smooth, side, stride, rounds in ((1.5, 21, 3, 5), (0.7, 13, 2, 6)):
        step = _improve(found, smooth, side, stride, rounds, bend=bend)
        if step is None:
            return overlap(left, right, start)
        way = shifting(-found.origin[0], -found.origin[1]).then(step).then(found.to_finer)
        found = overlap(left, right, way if found.base_is_left else way.inverse())
        if found is None:
            return overlap(left, right, start)
    return found


def _improve(found: Overlap, smooth: float, side: int, stride: int, rounds: int, *, bend: bool) -> Alignment | None:
    """Return the small map of the cut-out that lays ``moved`` onto ``base`` best, or ``None`` if it runs away."""
    if found.valid.sum() < _LEAST_PIXELS:
        return None
    blurred = (
        cv2.GaussianBlur(pixels, (0, 0), smooth).astype(np.float32, copy=False) for pixels in (found.base, found.moved)
    )
    base, moved = equalise(blurred, found.valid, side)
    height, width = base.shape
    # Half of each picture's gradient: where only one has an edge, it pulls less.
    mixed = (base + moved) * np.float32(0.5)
    sampled = (slice(1, height, stride), slice(1, width, stride))
    horizontal = cv2.Sobel(mixed, cv2.CV_32F, 1, 0, scale=0.125)[sampled].ravel()
    vertical = cv2.Sobel(mixed, cv2.CV_32F, 0, 1, scale=0.125)[sampled].ravel()
    inside = cv2.erode(found.valid, _SQUARE)[sampled].ravel()
    rows, columns = np.mgrid[sampled]
    x = ((columns - width / 2) / _UNIT).astype(np.float32).ravel()
    y = ((rows - height / 2) / _UNIT).astype(np.float32).ravel()
    slopes = [horizontal * x, horizontal * y, horizontal, vertical * x, vertical * y, vertical]
    if bend:
        radial = horizontal * x + vertical * y
        slopes += [radial * x, radial * y]
    jacobian = np.stack(slopes, axis=1)
    target = base[sampled].ravel()
    # From the grid of samples to the cut-out; 0 is the left or upper edge in both.
    to_samples = scaling(stride, stride).then(shifting(1.5 - stride / 2, 1.5 - stride / 2))
    total = Alignment(np.eye(3))
    for _ in range(rounds):
        here = warp(moved, to_samples.then(total), rows.shape).ravel()
        difference = target - here
        weight = inside / (1 + (difference / _OUTLIER) ** 2)
        weighted = jacobian * weight[:, None]
        normal = (jacobian.T @ weighted).astype(np.float64)
        normal[np.diag_indices_from(normal)] += 1e-3 * max(np.trace(normal) / len(normal), _TINY)
        change = np.linalg.solve(normal, (weighted.T @ difference).astype(np.float64))
        if not _is_small(change):
            return None
        total = _step(change, width, height).then(total)
        if np.abs(change).max() < _DONE:
            break
    return total


def _is_small(change: Float64Array) -> bool:
    shift = max(abs(change[2]), abs(change[5]))
    rest = np.abs(np.delete(change, [2, 5])).max() / _UNIT
    return bool(np.isfinite(change).all() and shift < _FARTHEST and rest < _LARGEST_CHANGE)


def _step(change: Float64Array, width: int, height: int) -> Alignment:
    """Return the map that the parameters mean, in pixels of the cut-out."""
    matrix = np.eye(3)
    matrix[0, :2] += change[0:2] / _UNIT
    matrix[1, :2] += change[3:5] / _UNIT
    matrix[:2, 2] = change[[2, 5]]
    if len(change) > 6:
        matrix[2, :2] = -change[6:8] / _UNIT**2
    middle = (width / 2 + 0.5, height / 2 + 0.5)
    return shifting(-middle[0], -middle[1]).then(Alignment(matrix)).then(shifting(*middle))
