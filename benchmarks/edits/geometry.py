"""Edits that move pixels: scaling, cropping, tilting, perspective."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image


def scaled(image: Image.Image, horizontal: float, vertical: float) -> Image.Image:
    """Return the picture at other proportions."""
    size = (max(1, round(image.width * horizontal)), max(1, round(image.height * vertical)))
    return image.resize(size, Image.Resampling.LANCZOS)


def crop(percent: float, *, centred: bool) -> Callable[[Image.Image], Image.Image]:
    """Return an edit that cuts away ``percent`` of the area, proportions kept; off-centre keeps the lower right."""
    side = math.sqrt(1 - percent / 100)
    share = 0.5 if centred else 0.93

    def make(image: Image.Image) -> Image.Image:
        width, height = round(image.width * side), round(image.height * side)
        left, top = round((image.width - width) * share), round((image.height - height) * share)
        return image.crop((left, top, left + width, top + height))

    return make


def tilted(degrees: float) -> Callable[[Image.Image], Image.Image]:
    """Return an edit that turns a little and cuts off the empty corners, as an editor's straightening does."""
    angle = math.radians(degrees)

    def make(image: Image.Image) -> Image.Image:
        width, height = image.size
        grow = math.cos(angle) + math.sin(angle) * max(width / height, height / width)
        inner_width, inner_height = int(width / grow), int(height / grow)
        turned = image.rotate(degrees, Image.Resampling.BICUBIC)
        left, top = (width - inner_width) // 2, (height - inner_height) // 2
        return turned.crop((left, top, left + inner_width, top + inner_height))

    return make


def perspective(strength: float) -> Callable[[Image.Image], Image.Image]:
    """Return an edit that pulls two corners of the picture by ``strength`` of its sides."""

    def make(image: Image.Image) -> Image.Image:
        width, height = image.size
        target = [(0, 0), (width, 0), (width, height), (0, height)]
        across, down = strength * width, strength * height
        source = [(across, down), (width - across, 0), (width, height), (0, height - down)]
        rows, values = [], []
        for (x, y), (u, v) in zip(target, source, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
            values += [u, v]
        coefficients = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float))
        return image.transform(image.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)

    return make
