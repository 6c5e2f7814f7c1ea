"""Two thumbnails on one grid of pixels: the part that both show, as each of them shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.verification.transform import Alignment, shifting

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

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
