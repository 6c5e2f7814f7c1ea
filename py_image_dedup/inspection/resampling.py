"""A reduced copy made anew with the kernels that programs reduce with, to see whether its coefficients are met.

A forecast by blurring and sharpening follows any kernel roughly. Where the copy was made with one of the usual kernels,
making it anew meets its coefficients to within the rounding of its JPEG, which no other exposure does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from py_image_dedup.inspection.align import Mask, Matrix, Pixels, Plane, luma, scaling, unturned
from py_image_dedup.inspection.coefficients import is_cut_off, lattice_of
from py_image_dedup.inspection.forecast import Resampling, box, cubic, lanczos, linear
from py_image_dedup.inspection.lattice import Lattice
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

_KERNELS = (
    Resampling(cubic(-0.5), 2, widens=True),
    Resampling(lanczos, 3, widens=True),
    Resampling(linear, 1, widens=True),
    Resampling(box, 0.5, widens=True),
    Resampling(None, 1, widens=True),
    Resampling(linear, 1),
    Resampling(cubic(-0.75), 2),
)
"""The usual ones first; those that do not widen with the reduction leave pixels out."""


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


def anew(file: FullPicture, source: Pixels, matrix: Matrix) -> Iterator[tuple[Pixels, Plane, Mask]]:
    """Make the middle of a file anew from another picture, once with each of the usual kernels.

    Args:
        file: The smaller file, or one of two of the same size.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the other picture's.

    Yields:
        The luma of the file's part, whole blocks of its JPEG; what a kernel makes of the other picture there; and the
        blocks in which neither is clipped. Nothing if the file is too small, or does not show the whole picture.
    """
    rows, columns = (_middle(length) for length in file.pixels.shape[:2])
    free: Mask | None = None
    for _, seen, wanted in _middles(file, source, matrix):
        free = ~is_cut_off(np.ascontiguousarray(file.pixels[rows, columns])) if free is None else free
        yield seen, wanted, free & ~is_cut_off(np.asarray(np.rint(wanted), dtype=np.uint8))


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


def _made(turned: Pixels, shape: tuple[int, ...], way: Resampling) -> Pixels:
    rows, columns = (
        _bands(way, old / new, slice(0, new), old) for old, new in zip(turned.shape[:2], shape[:2], strict=True)
    )
    made = []
    for plane in [turned] if turned.ndim == 2 else cv2.split(turned):
        values = _resampled(np.asarray(plane, dtype=np.uint8), rows, columns)
        made.append(np.asarray(cv2.convertScaleAbs(np.maximum(values, 0, out=values)), dtype=np.uint8))
    return made[0] if turned.ndim == 2 else np.asarray(cv2.merge(made), dtype=np.uint8)


def _best(file: FullPicture, source: Pixels, matrix: Matrix) -> tuple[Lattice, Resampling] | None:
    if file.format not in {"JPEG", "MPO"} or not file.quantisation:
        return None
    best: tuple[Lattice, Resampling] | None = None
    for way, seen, wanted in _middles(file, source, matrix):
        found = lattice_of(file, seen, wanted)
        if found is not None and (best is None or found.wide < best[0].wide):
            best = (found, way)
            if found.wide < _EXACTLY / 2:
                break
    return best


def _middles(file: FullPicture, source: Pixels, matrix: Matrix) -> Iterator[tuple[Resampling, Pixels, Plane]]:
    """Yield each kernel with the luma of the middle of a file, and what it makes of the other picture there."""
    height, width = file.pixels.shape[:2]
    turned, rest = unturned(source, matrix)
    ratios = (turned.shape[1] / width, turned.shape[0] / height)
    rows, columns = _middle(height), _middle(width)
    small = min(rows.stop - rows.start, columns.stop - columns.start) < _SMALLEST
    if small or min(ratios) < 1 or not _is_plain(rest, ratios, (height, width)):
        return
    seen = luma(np.ascontiguousarray(file.pixels[rows, columns]))
    for way in _KERNELS:
        down, across = _bands(way, ratios[1], rows, turned.shape[0]), _bands(way, ratios[0], columns, turned.shape[1])
        (top, bottom), (left, right) = _span(down), _span(across)
        grey = luma(np.ascontiguousarray(turned[top:bottom, left:right]))
        made = _resampled(grey, down, across, (top, left))
        yield way, seen, np.clip(made, 0, 255, out=made)
        if max(ratios) == 1:
            return


_Band = tuple[slice, Plane, int]
"""Pixels of a reduced line, the weights of those that they are made of, and the first of these."""


def _bands(way: Resampling, ratio: float, places: slice, length: int) -> list[_Band]:
    """Return the weights of a line's pixels for some pixels of the reduced line."""
    wide = ratio if way.widens else 1.0
    reach = way.reach * wide
    centres = (np.arange(places.start, places.stop) + 0.5) * ratio - 0.5
    # Each pixel is made of few: of those that are beyond the line's ends none counts.
    near = np.floor(centres - reach).astype(np.intp)[:, None] + np.arange(math.ceil(2 * reach) + 2)
    apart = near - centres[:, None]
    if way.weigh is None:
        weights = np.maximum(np.minimum(apart + 0.5, wide / 2) - np.maximum(apart - 0.5, -wide / 2), 0)
    else:
        weights = way.weigh(apart / wide)
    values = np.where((near >= 0) & (near < length), weights, 0)
    total = values.sum(axis=1, keepdims=True)
    values = (values / np.where(total == 0, 1, total)).astype(np.float32)
    bands = []
    for start in range(0, len(near), _LINES):
        part = slice(start, min(len(near), start + _LINES))
        first, last = int(near[part.start, 0]), int(near[part.stop - 1, -1]) + 1
        band = np.zeros((part.stop - start, last - first), dtype=np.float32)
        np.put_along_axis(band, near[part] - first, values[part], axis=1)
        begin, end = max(0, first), min(length, last)
        bands.append((part, band[:, begin - first : end - first], begin))
    return bands


def _span(bands: list[_Band]) -> tuple[int, int]:
    """Return the first pixel of a line that has a weight, and the one behind the last."""
    return bands[0][2], max(first + weights.shape[1] for _, weights, first in bands)


def _resampled(plane: Pixels, down: list[_Band], across: list[_Band], corner: tuple[int, int] = (0, 0)) -> Plane:
    """Resample a plane whose corner is at a row and column of the larger picture."""
    rows = np.empty((down[-1][0].stop, plane.shape[1]), dtype=np.float32)
    for part, weights, first in down:
        start = first - corner[0]
        np.matmul(weights, plane[start : start + weights.shape[1]].astype(np.float32), out=rows[part])
    made = np.empty((len(rows), across[-1][0].stop), dtype=np.float32)
    for part, weights, first in across:
        start = first - corner[1]
        made[:, part] = rows[:, start : start + weights.shape[1]] @ weights.T
    return made


def _middle(length: int) -> slice:
    size = min(_WINDOW, length // 8 * 8)
    start = (length - size) // 2 // 8 * 8
    return slice(start, start + size)
