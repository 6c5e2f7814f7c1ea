"""Edits of colour and tone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def _curve(function: Callable[[float], float]) -> Callable[[Image.Image], Image.Image]:
    table = [round(min(max(function(value / 255), 0.0), 1.0) * 255) for value in range(256)]
    return lambda image: image.point(table * len(image.getbands()))


def _channels(red: float, green: float, blue: float) -> Callable[[Image.Image], Image.Image]:
    gains = np.array([red, green, blue])
    return lambda image: Image.fromarray(np.clip(np.asarray(image) * gains, 0, 255).astype(np.uint8))


def _sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(image), "#20140a", "#fff3dc", mid="#9a7a55")


def _hue(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda h: (h + 40) % 256), saturation, value)).convert("RGB")


def _over_processed(image: Image.Image) -> Image.Image:
    """Return the picture as software for high dynamic range overdoes it: detail of two sizes, much amplified."""
    values = np.asarray(image, dtype=np.float64)
    coarse, fine = (
        np.asarray(image.filter(ImageFilter.GaussianBlur(min(image.size) / parts)), dtype=np.float64)
        for parts in (12, 60)
    )
    made = 128 + 1.6 * (values - coarse) + 1.5 * (values - fine)
    return Image.fromarray(np.clip(made, 0, 255).astype(np.uint8))


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "brighter": _curve(lambda v: v * 1.35),
    "darker": _curve(lambda v: v * 0.65),
    "more contrast": _curve(lambda v: 0.5 + (v - 0.5) * 1.6),
    "less contrast": _curve(lambda v: 0.5 + (v - 0.5) * 0.5),
    "gamma 0.6": _curve(lambda v: v**0.6),
    "gamma 1.7": _curve(lambda v: v**1.7),
    "equalised": ImageOps.equalize,
    "saturated": lambda image: ImageEnhance.Color(image).enhance(2.0),
    "grey": lambda image: ImageOps.grayscale(image),
    "sepia": _sepia,
    "warmer": _channels(1.2, 1.0, 0.75),
    "hue shifted": _hue,
}
EXTREME: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "a tenth of the light": _curve(lambda v: v * 0.1),
    "6 % of the light": _curve(lambda v: v * 0.06),
    "in fog": _curve(lambda v: 0.8 + (v - 0.5) * 0.1),
    "over-processed": _over_processed,
}
