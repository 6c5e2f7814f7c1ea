"""Grey arrays for tests, made from SHAKE-256 and integers only: the same on every machine and numpy, for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from py_image_dedup.signature.arrays import UInt8Array


def random_grey(seed: str, height: int, width: int) -> UInt8Array:
    """White noise."""
    data = hashlib.shake_256(seed.encode()).digest(height * width)
    return np.frombuffer(data, dtype=np.uint8).reshape(height, width)


def blocks(seed: str, height: int, width: int, side: int = 16, low: int = 0, high: int = 255) -> UInt8Array:
    """Squares of random grey: many equal differences, so that ties decide."""
    coarse = random_grey(seed, height // side + 1, width // side + 1).astype(np.int64)
    levels = low + coarse * (high - low) // 255
    return np.kron(levels, np.ones((side, side), np.int64))[:height, :width].astype(np.uint8)


def scene(seed: str, height: int, width: int) -> UInt8Array:
    """Soft shapes with a little texture: the nearest to a photograph that integers give."""
    total = np.zeros((height, width), dtype=np.int64)
    for scale, weight in ((96, 10), (40, 6), (12, 2), (1, 1)):
        rough = blocks(f"{seed}/{scale}", height + scale, width + scale, scale).astype(np.int64)
        sums = np.zeros((height + scale + 1, width + scale + 1), dtype=np.int64)
        sums[1:, 1:] = rough.cumsum(axis=0).cumsum(axis=1)
        box = sums[scale:, scale:] - sums[:-scale, scale:] - sums[scale:, :-scale] + sums[:-scale, :-scale]
        total += weight * (box[:height, :width] // (scale * scale))
    return (total // 19).astype(np.uint8)


def gradient(height: int, width: int) -> UInt8Array:
    """From black at the upper left to white at the lower right."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows + columns) * 255 // max(1, height + width - 2)).astype(np.uint8)


def black_and_white(seed: str, height: int, width: int, side: int = 24) -> UInt8Array:
    """Squares of pure black and pure white: differences of exactly 1."""
    return ((blocks(seed, height, width, side) >= 128) * 255).astype(np.uint8)


def samples() -> Iterator[tuple[str, UInt8Array]]:
    """Every kind of picture in every kind of size, named."""
    canonical = ((256, 341), (341, 256), (256, 256), (256, 455), (768, 256))
    small = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 300), (300, 1), (2, 500), (3, 3), (5, 90), (9, 9), (11, 10), (10, 64))
    others = ((31, 30), (32, 48), (50, 51), (64, 200), (199, 101), (256, 2000), (1000, 12), (1850, 1900))
    for height, width in canonical + small + others:
        size = f"{height}x{width}"
        yield f"noise-{size}", random_grey(f"noise-{size}", height, width)
        yield f"scene-{size}", scene(f"scene-{size}", height, width)
        yield f"blocks-{size}", blocks(f"blocks-{size}", height, width)
        yield f"black-and-white-{size}", black_and_white(f"black-and-white-{size}", height, width)
        yield f"faint-{size}", blocks(f"faint-{size}", height, width, 8, 100, 106)
        yield f"gradient-{size}", gradient(height, width)
    for number in range(40):
        yield f"scene-{number}", scene(f"scene-{number}", 256, 256 + 3 * number)
        yield f"blocks-{number}", blocks(f"blocks-{number}", 40 + 5 * number, 256 - number, 5 + number)
