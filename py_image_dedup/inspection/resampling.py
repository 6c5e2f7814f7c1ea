"""A reduced copy made anew with the kernels that programs reduce with, to see whether its coefficients are met.

A forecast by blurring and sharpening follows any kernel roughly. Where the copy was made with one of the usual kernels,
making it anew meets its coefficients to within the rounding of its JPEG, which no other exposure does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Matrix, Pixels, Plane, luma, scaling, unturned
from py_image_dedup.inspection.lattice import Lattice
from py_image_dedup.inspection.reencoding import lattice_of
from py_image_dedup.model.full_picture import FullPicture

_WINDOW = 256
"""Side of the part that is made anew, pixels; a multiple of 8."""
_SMALLEST = 64
_OFF = 0.05
"""Pixels that the copy may be placed beside a plain change of size."""

_EXACTLY = 0.08
"""Share of wide errors below which a kernel is the one that was used: its own copies had 0.05 at most."""
_LINES = 32
"""Rows or columns that are made together: more would multiply by ever more zeros."""

_Kernel = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def _box(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((x > -0.5) & (x <= 0.5), dtype=np.float64)


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum(0.0, 1 - np.abs(x)), dtype=np.float64)


def _cubic(x: npt.NDArray[np.float64], slope: float) -> npt.NDArray[np.float64]:
    x = np.abs(x)
    near = ((slope + 2) * x - (slope + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * slope
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_Way = tuple[_Kernel, float, bool]
_KERNELS: tuple[_Way, ...] = (
    (lambda x: _cubic(x, -0.5), 2, True),
    (_lanczos, 3, True),
    (_triangle, 1, True),
    (_box, 0.5, True),
    (_triangle, 1, False),
    (lambda x: _cubic(x, -0.75), 2, False),
)
"""Each with its reach, and whether it widens with the reduction so that nothing is left out."""


def best_lattice(file: FullPicture, source: Pixels, matrix: Matrix) -> Lattice | None:
    """Measure how a reduced JPEG's coefficients are met by reducing another picture anew.

    Args:
        file: The smaller file.
        source: The larger picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the larger picture's.

    Returns:
        The best of all kernels, in the middle of the picture; ``None`` if the file is no JPEG, too small, or does not
        show the whole picture.
    """
    found = _best(file, source, matrix)
    return None if found is None else found[0]


def reduced_anew(file: FullPicture, source: Pixels, matrix: Matrix) -> Pixels | None:
    """Reduce a picture with the kernel that a smaller copy of it was made with.

    Args:
        file: The smaller file.
        source: The larger picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the larger picture's.

    Returns:
        uint8, of the size of the file; ``None`` if no kernel meets the file.
    """
    found = _best(file, source, matrix)
    if found is None or found[0].wide >= _EXACTLY:
        return None
    return _made(unturned(source, matrix)[0], file.pixels.shape, found[1])


def reductions(source: Pixels, matrix: Matrix, shape: tuple[int, ...]) -> Iterator[Pixels]:
    """Reduce the whole of a picture with each of the usual kernels.

    Args:
        source: The larger picture, uint8, grey or BGR.
        matrix: 3 x 3, from the pixels of the reduced picture to the larger one's.
        shape: Height and width of the reduced picture.

    Yields:
        uint8, of that height and width; nothing if the matrix is more than a turn and a reduction.
    """
    turned, rest = unturned(source, matrix)
    ratios = (turned.shape[1] / shape[1], turned.shape[0] / shape[0])
    if min(ratios) >= 1 and max(ratios) > 1 and _is_plain(rest, ratios, shape):
        yield from (_made(turned, shape, way) for way in _KERNELS)


def _is_plain(rest: Matrix, ratios: tuple[float, float], shape: tuple[int, ...]) -> bool:
    """Whether a matrix is the change of size that the two sizes give."""
    off = np.abs((rest - scaling(*ratios)) @ np.array([shape[1], shape[0], 1.0]))[:2]
    return bool(off.max() <= _OFF * max(ratios))


def _made(turned: Pixels, shape: tuple[int, ...], way: _Way) -> Pixels:
    bands = [
        [_weights(way, old / new, part, old) for part in _parts(new)]
        for old, new in zip(turned.shape[:2], shape[:2], strict=True)
    ]
    planes = [turned] if turned.ndim == 2 else cv2.split(turned)
    made = [_reduced(np.asarray(plane, dtype=np.uint8), bands, shape[:2]) for plane in planes]
    return made[0] if turned.ndim == 2 else np.asarray(cv2.merge(made), dtype=np.uint8)


def _best(file: FullPicture, source: Pixels, matrix: Matrix) -> tuple[Lattice, _Way] | None:
    height, width = file.pixels.shape[:2]
    turned, rest = unturned(source, matrix)
    ratios = (turned.shape[1] / width, turned.shape[0] / height)
    rows, columns = _middle(height), _middle(width)
    small = min(rows.stop - rows.start, columns.stop - columns.start) < _SMALLEST
    if (
        file.format not in {"JPEG", "MPO"}
        or not file.quantisation
        or small
        or not _is_plain(rest, ratios, (height, width))
    ):
        return None
    seen = luma(np.ascontiguousarray(file.pixels[rows, columns]))
    best: tuple[Lattice, _Way] | None = None
    for way in _KERNELS:
        down, first_row = _weights(way, ratios[1], rows, turned.shape[0])
        across, first_column = _weights(way, ratios[0], columns, turned.shape[1])
        part = turned[first_row : first_row + down.shape[1], first_column : first_column + across.shape[1]]
        grey = luma(np.ascontiguousarray(part)).astype(np.float32)
        found = lattice_of(file, seen, np.clip(down @ grey @ across.T, 0, 255))
        if found is not None and (best is None or found.wide < best[0].wide):
            best = (found, way)
            if found.wide < _EXACTLY / 2:
                break
    return best


def _reduced(plane: Pixels, bands: list[list[tuple[Plane, int]]], shape: tuple[int, ...]) -> Pixels:
    rows = np.empty((shape[0], plane.shape[1]), dtype=np.float32)
    for part, (weights, first) in zip(_parts(shape[0]), bands[0], strict=True):
        np.matmul(weights, plane[first : first + weights.shape[1]].astype(np.float32), out=rows[part])
    made = np.empty(shape, dtype=np.float32)
    for part, (weights, first) in zip(_parts(shape[1]), bands[1], strict=True):
        made[:, part] = rows[:, first : first + weights.shape[1]] @ weights.T
    return np.asarray(cv2.convertScaleAbs(np.maximum(made, 0, out=made)), dtype=np.uint8)


def _parts(length: int) -> list[slice]:
    return [slice(start, min(length, start + _LINES)) for start in range(0, length, _LINES)]


def _middle(length: int) -> slice:
    size = min(_WINDOW, length // 8 * 8)
    start = (length - size) // 2 // 8 * 8
    return slice(start, start + size)


def _weights(way: _Way, ratio: float, places: slice, length: int) -> tuple[Plane, int]:
    """Return the weights of a line's pixels for some pixels of the reduced line, and the first of those pixels."""
    shape, reach, widens = way
    wide = ratio if widens else 1.0
    centres = (np.arange(places.start, places.stop) + 0.5) * ratio - 0.5
    first = max(0, math.floor(centres[0] - reach * wide))
    last = min(length, math.ceil(centres[-1] + reach * wide) + 1)
    weights = shape((np.arange(first, last)[None, :] - centres[:, None]) / wide)
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(total == 0, 1, total), dtype=np.float32), first
