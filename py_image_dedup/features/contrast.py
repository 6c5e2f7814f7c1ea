"""Contrast normalisation of dark, foggy and faint pictures, which have hardly any features as they are.

A photo taken at a tenth of the light, a landscape in fog and a sky full of stars differ by a few grey levels only.
Their contrast is spread over the whole range, but never so far that noise becomes structure: the noise of the sensor,
estimated from the finest detail, stays below the contrast of a keypoint. So a lens cap stays featureless.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from py_image_dedup.signature.arrays import Float32Array, UInt8Array

_SMOOTHINGS: Final = (1.0, 2.0)
"""Standard deviations, pixels, of the smoothing before the contrast is spread. The second one is for stars, which are
smaller than the smallest keypoint."""
_LOWEST, _HIGHEST = 1.0, 99.8
"""Percentiles of the grey values that become the ends of the range: stars are less than one pixel in a hundred."""
_RANGE: Final = 240.0
_FOOT: Final = 8.0
_MAX_NOISE: Final = 1.5
"""Standard deviation of the noise afterwards, grey levels, at most: a keypoint has a contrast of 2."""
_MIN_GAIN: Final = 1.3
"""Gain below which a picture is left as it is."""
_MAX_GAIN: Final = 40.0
_MIN_SIGNAL: Final = 14.0
"""Least ratio of the range of grey values to the standard deviation of their noise: 8 where there is noise only."""
_MIN_LEVELS: Final = 3.0
"""Least range of the grey values, levels, at the first smoothing: less is a step of the quantisation."""
_MAX_INK: Final = 32.0
"""Largest distance of the darkest grey value from the range, levels: beyond it, there is a little ink on a page."""
_TO_DEVIATION: Final = 1.4826
"""Standard deviation of a normal distribution with a median absolute deviation of 1."""


def normalised(grey: UInt8Array) -> Iterator[UInt8Array]:
    """Yield versions of a faint picture with normal contrast, the sharpest first; none of any other picture.

    Args:
        grey: uint8, shape ``(height, width)``.

    Thread-safety: any number of threads. 1 ms of CPU time for each version.
    """
    values = grey.astype(np.float32)
    for sigma in _SMOOTHINGS:
        smooth = _smoothed(values, sigma)
        low, high = np.percentile(smooth, (_LOWEST, _HIGHEST)).tolist()
        extent, noise = high - low, _noise(smooth, sigma)
        if extent * sigma < _MIN_LEVELS or extent < _MIN_SIGNAL * noise or low - float(smooth.min()) > _MAX_INK:
            return
        gain = min(_RANGE / extent, _MAX_GAIN, _MAX_NOISE / noise if noise > 0 else _MAX_GAIN)
        if gain < _MIN_GAIN:
            return
        yield np.clip(np.rint((smooth - low) * gain + _FOOT), 0, 255).astype(np.uint8)


def _noise(smooth: Float32Array, sigma: float) -> float:
    """Return the standard deviation of the finest detail of a smoothed picture, ignoring edges."""
    fine = smooth - _smoothed(smooth, 2 * sigma)
    return float(np.median(np.abs(fine - np.median(fine)))) * _TO_DEVIATION


def _smoothed(values: Float32Array, sigma: float) -> Float32Array:
    return cv2.GaussianBlur(values, (0, 0), sigma).astype(np.float32, copy=False)
