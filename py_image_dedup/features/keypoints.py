"""Where a picture has something to recognise: blobs of every size, found as extremes in scale space.

D. G. Lowe: "Distinctive image features from scale-invariant keypoints", IJCV 2004: the picture is smoothed step by
step, and a point that is the lightest or darkest among its 26 neighbours in the differences of successive steps (8
beside it, 9 a step finer, 9 a step coarser) is a keypoint; how much it is smoothed there is its size.

Written with whole-array operations instead of OpenCV's own SIFT, for time: 3 ms instead of 17 for a photo. Nothing is
enlarged before (the smallest blobs do not survive a messenger anyway), and only the points that will be kept are
described.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.arrays import Float64Array, Int64Array, UInt8Array

Float32Array = npt.NDArray[np.float32]

STEPS = 3
"""Sizes looked at per octave (a doubling of the size)."""
BASE_SIGMA = 1.3
"""Smoothing of the first level, in pixels; blobs below 1.6 pixels are not looked for."""
NATIVE_SIGMA = 0.5
"""Smoothing that any picture is taken to have already."""
LEAST_CONTRAST = 2.0
"""Of a blob against its surroundings, in grey levels of the difference picture."""
MOST_ELONGATED = 10.0
"""Ratio of the principal curvatures: a point on an edge can slide along it and is of no use."""
SMALLEST_OCTAVE = 20
"""Pixels; no octave has a side below."""

_BORDER = 3
_STEP = 2.0 ** (1.0 / STEPS)
_SQUARE = np.ones((3, 3), dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One smoothed picture of the scale space.

    Attributes:
        pixels: float32, shape ``(height, width)``.
        step: Pixels of the base picture per pixel.
    """

    pixels: Float32Array
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """Points of a picture, as columns of equal length.

    Attributes:
        x: float64, pixels of the base picture; the middle of the first pixel is 0.
        y: float64.
        sigma: float64, size: the smoothing at which the blob stands out most, in pixels of the base picture.
        contrast: float64, grey levels.
        level: int64, index of the level (of ``Levels``) with the nearest smoothing.
    """

    x: Float64Array
    y: Float64Array
    sigma: Float64Array
    contrast: Float64Array
    level: Int64Array

    def __len__(self) -> int:
        """How many points."""
        return len(self.x)

    def at(self, rows: Int64Array) -> Keypoints:
        """Return these rows, in this order."""
        return Keypoints(self.x[rows], self.y[rows], self.sigma[rows], self.contrast[rows], self.level[rows])


def detect(grey: UInt8Array) -> tuple[Keypoints, tuple[Level, ...]]:
    """Find the keypoints of a grey picture.

    Args:
        grey: uint8, shape ``(height, width)``.

    Returns:
        The points, in the order of octaves, levels, rows, columns; and the levels that ``Keypoints.level`` counts.

    Thread-safety: any number of threads; OpenCV and numpy release the interpreter lock.
    """
    found: list[Keypoints] = []
    levels: list[Level] = []
    first = math.sqrt(BASE_SIGMA**2 - NATIVE_SIGMA**2)
    base = _smooth(grey.astype(np.float32), first)
    step = 1
    while min(base.shape) >= SMALLEST_OCTAVE:
        smoothed = [base]
        for number in range(STEPS + 2):
            smoothed.append(_smooth(smoothed[-1], BASE_SIGMA * _STEP**number * math.sqrt(_STEP**2 - 1)))
        found.append(_extremes(smoothed, step, len(levels)))
        levels += [Level(pixels, step) for pixels in smoothed[1 : STEPS + 1]]
        base = np.ascontiguousarray(smoothed[STEPS][::2, ::2])
        step *= 2
    return _joined(found), tuple(levels)


def _joined(parts: list[Keypoints]) -> Keypoints:
    if not parts:
        nothing = np.zeros(0)
        return Keypoints(nothing, nothing, nothing, nothing, nothing.astype(np.int64))
    return Keypoints(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        np.concatenate([part.contrast for part in parts]),
        np.concatenate([part.level for part in parts]),
    )


def _smooth(pixels: Float32Array, sigma: float) -> Float32Array:
    kernel = _gaussian(sigma)
    smoothed = cv2.sepFilter2D(pixels, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    return smoothed.astype(np.float32, copy=False)


@cache
def _gaussian(sigma: float) -> Float32Array:
    kernel = cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma, cv2.CV_32F)
    return kernel.astype(np.float32, copy=False)


def _extremes(smoothed: list[Float32Array], step: int, levels_before: int) -> Keypoints:
    """Find the points of one octave."""
    height, width = smoothed[0].shape
    difference = np.empty((STEPS + 2, height, width), dtype=np.float32)
    for number in range(STEPS + 2):
        cv2.subtract(smoothed[number + 1], smoothed[number], difference[number])
    extreme = _is_extreme(difference)
    x, y, place, contrast = _refine(difference, np.flatnonzero(extreme))
    level = np.clip(np.rint(place), 1, STEPS).astype(np.int64) - 1 + levels_before
    return Keypoints(x * step, y * step, BASE_SIGMA * _STEP**place * step, contrast, level)


def _is_extreme(difference: Float32Array) -> npt.NDArray[np.bool_]:
    """Mark what is at least as extreme as its 26 neighbours; never the outermost levels, rows and columns."""
    highest = [cv2.dilate(layer, _SQUARE) for layer in difference]
    lowest = [cv2.erode(layer, _SQUARE) for layer in difference]
    # Refining a point adds to its contrast: what is below now may be above then.
    least = 0.6 * LEAST_CONTRAST
    marked = np.zeros(difference.shape, dtype=np.bool_)
    inner = (slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
    for number in range(1, STEPS + 1):
        above = cv2.max(cv2.max(highest[number - 1], highest[number]), highest[number + 1])
        below = cv2.min(cv2.min(lowest[number - 1], lowest[number]), lowest[number + 1])
        layer = difference[number][inner]
        lightest = (layer >= above[inner]) & (layer > least)
        darkest = (layer <= below[inner]) & (layer < -least)
        marked[number][inner] = lightest | darkest
    return marked


def _refine(
    difference: Float32Array, places: Int64Array
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Move each point to the top of the parabola through its neighbours; drop weak and edge-like ones.

    Returns:
        x, y, level (fractional) and contrast.
    """
    _, height, width = difference.shape
    layer = height * width
    steps = np.array([1, width, layer])
    diagonals = [width + 1, width - 1, layer + 1, layer - 1, layer + width, layer - width]
    offsets = np.concatenate([[0], steps, -steps, diagonals, np.negative(diagonals)])
    value = difference.reshape(-1)[places[:, None] + offsets].astype(np.float64).T
    centre, ahead, behind, same, opposite = value[0], value[1:4], value[4:7], value[7:13:2], value[8:13:2]
    slope = (ahead - behind) / 2
    xx, yy, zz = ahead + behind - 2 * centre
    # value[7..12] hold (+,+) and (-,+) of each plane, value[13..18] their opposites.
    xy, xz, yz = (same - opposite + value[13:19:2] - value[14:19:2]) / 4
    cofactors = np.array(
        [
            [yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy],
            [xz * yz - xy * zz, xx * zz - xz * xz, xy * xz - xx * yz],
            [xy * yz - xz * yy, xy * xz - xx * yz, xx * yy - xy * xy],
        ]
    )
    determinant = xx * cofactors[0, 0] + xy * cofactors[0, 1] + xz * cofactors[0, 2]
    safe = np.where(np.abs(determinant) < 1e-12, 1e-12, determinant)
    shift = np.clip(-np.einsum("ijn,jn->in", cofactors, slope) / safe, -0.6, 0.6)
    contrast = np.abs(centre + 0.5 * np.einsum("in,in->n", slope, shift))
    curvature = cofactors[2, 2]
    elongated = (xx + yy) ** 2 * MOST_ELONGATED >= (MOST_ELONGATED + 1) ** 2 * curvature
    good = (contrast > LEAST_CONTRAST) & (curvature > 0) & ~elongated
    number, rest = np.divmod(places[good], layer)
    row, column = np.divmod(rest, width)
    dx, dy, dz = shift[:, good]
    return column + dx, row + dy, number + dz, contrast[good]
