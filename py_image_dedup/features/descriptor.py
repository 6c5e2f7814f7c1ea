"""What the surroundings of a keypoint look like: 128 values that survive turning, scaling and re-encoding.

D. G. Lowe's SIFT descriptor (IJCV 2004) with the square root of R. Arandjelovic and A. Zisserman ("RootSIFT", CVPR
2012): histograms of gradient directions in 4 x 4 cells, in a frame that turns and scales with the keypoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from py_image_dedup.features.keypoints import Float32Array, Keypoints, Level
from py_image_dedup.signature.arrays import Float64Array, Int64Array

LENGTH = 128
CELLS = 4
DIRECTIONS = 8

MIRROR: Int64Array = (
    np.arange(LENGTH).reshape(CELLS, CELLS, DIRECTIONS)[::-1][:, :, -np.arange(DIRECTIONS) % DIRECTIONS].ravel()
)
"""``descriptors[:, MIRROR]`` are those of the mirrored picture, where a keypoint's angle ``a`` is ``pi - a``."""

_SAMPLES = 16
_CELL_SIGMAS = 3.0
_SPACING = CELLS * _CELL_SIGMAS / _SAMPLES
_CLIP = 0.2
_BINS = 36
_ANGLE_RADIUS = 7
_ANGLE_SIGMA = 1.5
_SECOND_PEAK = 0.8
_EMPTY = np.float32(1e-9)


class Surroundings:
    """The levels of a scale space in one array, so that patches of all sizes are taken in one call.

    Args:
        levels: As ``scale_space.detect`` returns them; at least one.
        keypoints: Whose surroundings are asked for.
    """

    def __init__(self, levels: Sequence[Level], keypoints: Keypoints) -> None:
        heights = [level.pixels.shape[0] for level in levels]
        widths = [level.pixels.shape[1] for level in levels]
        self._pixels = np.zeros((sum(heights), max(widths)), dtype=np.float32)
        tops = np.concatenate([[0], np.cumsum(heights)])
        for level, top in zip(levels, tops, strict=False):
            self._pixels[top : top + level.pixels.shape[0], : level.pixels.shape[1]] = level.pixels
        chosen = keypoints.level
        self._step = np.array([level.step for level in levels], dtype=np.float32)[chosen]
        self._top = tops[chosen].astype(np.float32)
        self._right = np.array(widths, dtype=np.float32)[chosen] - 1
        self._bottom = np.array(heights, dtype=np.float32)[chosen] - 1
        self._x = keypoints.x.astype(np.float32)
        self._y = keypoints.y.astype(np.float32)
        self._sigma = keypoints.sigma.astype(np.float32)

    def gradients(
        self, rows: Int64Array, angles: Float64Array, reach: float, count: int
    ) -> tuple[Float32Array, Float32Array]:
        """Return length and direction of the gradients around keypoints, in frames that turn and scale with them.

        Args:
            rows: Which keypoints.
            angles: Of the frames, radians.
            reach: Distance of the outermost samples from the keypoint, in sigmas.
            count: Samples along each side.

        Returns:
            Two float32 arrays of shape ``(len(rows), count * count)``; directions from 0 to two pi.
        """
        spacing = 2 * reach / (count - 1)
        along = ((np.arange(count + 2) - (count + 1) / 2) * spacing).astype(np.float32)
        scale = self._sigma[rows] / self._step[rows]
        cosine = (np.cos(angles) * scale).astype(np.float32)[:, None, None]
        sine = (np.sin(angles) * scale).astype(np.float32)[:, None, None]
        across, down = along[None, None, :], along[None, :, None]
        x = (self._x[rows] / self._step[rows])[:, None, None] + cosine * across - sine * down
        y = (self._y[rows] / self._step[rows])[:, None, None] + sine * across + cosine * down
        np.clip(x, 0, self._right[rows][:, None, None], out=x)
        np.clip(y, 0, self._bottom[rows][:, None, None], out=y)
        y += self._top[rows][:, None, None]
        # remap takes pictures of less than 32768 rows only
        taken = np.concatenate(
            [
                cv2.remap(
                    self._pixels, x[part].reshape(-1, count + 2), y[part].reshape(-1, count + 2), cv2.INTER_LINEAR
                )
                for part in _slices(len(rows), 1024)
            ]
        ).reshape(-1, count + 2, count + 2)
        horizontal = np.subtract(taken[:, 1:-1, 2:], taken[:, 1:-1, :-2]).reshape(-1, count * count)
        vertical = np.subtract(taken[:, 2:, 1:-1], taken[:, :-2, 1:-1]).reshape(-1, count * count)
        length, direction = cv2.cartToPolar(horizontal, vertical)
        return length.astype(np.float32, copy=False), direction.astype(np.float32, copy=False)


def orient(surroundings: Surroundings, count: int) -> tuple[Int64Array, Float64Array]:
    """Find the main directions of keypoints: one each, and a second one where it is nearly as strong.

    Args:
        surroundings: Of the keypoints.
        count: How many keypoints there are.

    Returns:
        Row of the keypoint and angle in radians (0 to two pi), first all the strongest directions in the order of the
        keypoints, then all second ones.
    """
    rows = np.arange(count)
    samples = 2 * _ANGLE_RADIUS - 1
    reach = _SPACING * (_ANGLE_RADIUS - 1)
    length, direction = surroundings.gradients(rows, np.zeros(count), reach, samples)
    along = np.linspace(-reach, reach, samples)
    squared = (along[None, :] ** 2 + along[:, None] ** 2).ravel()
    window = np.where(squared <= reach**2, np.exp(-squared / (2 * _ANGLE_SIGMA**2)), 0).astype(np.float32)
    weight = length * window
    place = direction * np.float32(_BINS / (2 * math.pi))
    lower = place.astype(np.int64)
    upper_share = place - lower
    first = rows[:, None] * _BINS
    bins = np.concatenate([first + lower % _BINS, first + (lower + 1) % _BINS]).ravel()
    shares = np.concatenate([weight * (1 - upper_share), weight * upper_share]).ravel()
    histogram: Float64Array = np.bincount(bins, shares, count * _BINS).astype(np.float64).reshape(count, _BINS)
    for _ in range(2):
        histogram = (np.roll(histogram, 1, axis=1) + histogram + np.roll(histogram, -1, axis=1)) / 3
    return _peaks(histogram)


def _peaks(histogram: Float64Array) -> tuple[Int64Array, Float64Array]:
    before, after = np.roll(histogram, 1, axis=1), np.roll(histogram, -1, axis=1)
    strong = histogram >= _SECOND_PEAK * histogram.max(axis=1, keepdims=True)
    row, bin_number = np.nonzero((histogram > before) & (histogram >= after) & strong)
    height, left, right = (array[row, bin_number] for array in (histogram, before, after))
    curve = left - 2 * height + right
    shift = np.divide(0.5 * (left - right), curve, out=np.zeros_like(curve), where=np.abs(curve) > 1e-12)
    angle = ((bin_number + shift) * (2 * math.pi / _BINS)) % (2 * math.pi)
    order = np.lexsort((-height, row))
    row, angle = row[order], angle[order]
    is_first = np.ones(len(row), dtype=np.bool_)
    is_first[1:] = row[1:] != row[:-1]
    is_second = np.zeros(len(row), dtype=np.bool_)
    is_second[1:] = is_first[:-1] & ~is_first[1:]
    chosen = np.concatenate([np.flatnonzero(is_first), np.flatnonzero(is_second)])
    return row[chosen], angle[chosen]


def describe(surroundings: Surroundings, rows: Int64Array, angles: Float64Array) -> Float32Array:
    """Describe keypoints.

    Args:
        surroundings: Of the keypoints.
        rows: Which keypoints.
        angles: The direction of each, radians.

    Returns:
        float32, shape ``(len(rows), 128)``, each row of length 1.
    """
    reach = _SPACING * (_SAMPLES - 1) / 2
    length, direction = surroundings.gradients(rows, angles, reach, _SAMPLES)
    place = direction * np.float32(DIRECTIONS / (2 * math.pi))
    shares = np.empty((len(rows), DIRECTIONS, _SAMPLES**2), dtype=np.float32)
    for number in range(DIRECTIONS):
        share = np.abs(place - number)
        np.minimum(share, DIRECTIONS - share, out=share)
        np.subtract(1, share, out=share)
        np.maximum(share, 0, out=share)
        np.multiply(share, length, out=shares[:, number])
    cells = shares.reshape(-1, _SAMPLES**2) @ _POOL
    values = cells.reshape(len(rows), DIRECTIONS, CELLS**2).transpose(0, 2, 1).reshape(len(rows), LENGTH)
    values /= np.linalg.norm(values, axis=1, keepdims=True) + _EMPTY
    np.minimum(values, _CLIP, out=values)
    values /= values.sum(axis=1, keepdims=True) + _EMPTY
    rooted: Float32Array = np.sqrt(values)
    return rooted


def _pooling() -> Float32Array:
    """How much each of the 256 samples counts in each of the 16 cells: a tent, under a Gaussian window."""
    place = (np.arange(_SAMPLES) - (_SAMPLES - 1) / 2) * (CELLS / _SAMPLES)
    middle = np.arange(CELLS) - (CELLS - 1) / 2
    tent = np.maximum(0, 1 - np.abs(place[None, :] - middle[:, None])) * np.exp(-(place**2) / (CELLS**2 / 2))
    pool = np.einsum("ry,cx->yxrc", tent, tent).reshape(_SAMPLES**2, CELLS**2)
    return np.ascontiguousarray(pool, dtype=np.float32)


def _slices(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, max(count, 1), size)]


_POOL = _pooling()
_POOL.setflags(write=False)
