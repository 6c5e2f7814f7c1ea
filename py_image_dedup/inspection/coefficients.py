"""The coefficients that a JPEG stores of a picture, and how another picture meets them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Pixels, Plane, luma
from py_image_dedup.inspection.lattice import Lattice
from py_image_dedup.model.full_picture import FullPicture

SIDE = 8
"""Side of a block, pixels."""
_STRIPS, _STRIP_ROWS = 6, 64
"""Strips of rows that are looked at for the errors of coefficients, and the rows of each."""
_ALL_WITHIN = 253
"""Mean of a mask of 255 over a block, which one pixel that is missing in it brings below."""
CLIPPED = (3, 252)
"""Grey levels up to which, and from which on, decoding may have cut off what was stored."""
_WIDE = 0.6
"""Of a step; rounding errs by 0.5 at most."""
_STORED = 0.7
"""Of a step from which on a coefficient was not rounded to zero."""
_SMALLEST_STEP = 3
_FEWEST_COEFFICIENTS = 40
_MIDDLE = 128
"""Grey level that JPEG takes from each pixel."""


def luma_steps(file: FullPicture) -> Plane | None:
    """Return the steps of a JPEG's luma, float32, 8 x 8; ``None`` if the file is none or its table is not known."""
    if file.format not in {"JPEG", "MPO"} or not file.quantisation:
        return None
    return np.array(file.quantisation[0], dtype=np.float32).reshape(SIDE, SIDE)


def plain_lattice(file: FullPicture, source: Pixels) -> Lattice | None:
    """Measure how a JPEG's coefficients are met by another picture of the same size, tone and colour.

    Args:
        file: The JPEG, or any other file.
        source: The other picture, turned as the file is, uint8, grey or BGR.

    Returns:
        What was measured; ``None`` if the file is no JPEG, or too few coefficients tell.
    """
    return plain_lattices((file.pixels, source), (file, None))[0]


def plain_lattices(
    pictures: tuple[Pixels, Pixels], files: tuple[FullPicture | None, FullPicture | None]
) -> tuple[Lattice | None, Lattice | None]:
    """Measure how the coefficients of each of two JPEGs are met by the other picture, as ``plain_lattice`` does.

    Args:
        pictures: Both, turned in the same way, uint8, grey or BGR.
        files: The file of each picture; ``None`` if nothing is to be known about its coefficients.

    Returns:
        What was measured of each; ``None`` if that is no JPEG, or too few coefficients tell.
    """
    steps = [None if file is None else luma_steps(file) for file in files]
    if not any(table is not None for table in steps):
        return None, None
    height, width = (length // SIDE * SIDE for length in pictures[0].shape[:2])
    count = min(_STRIPS, -(-height // _STRIP_ROWS))
    found: tuple[list[Plane], list[Plane]] = ([], [])
    for number in range(count):
        top = (height - _STRIP_ROWS) * number // max(1, count - 1) // SIDE * SIDE if count > 1 else 0
        parts = [pixels[top : min(height, top + _STRIP_ROWS), :width] for pixels in pictures]
        greys = [luma(np.ascontiguousarray(part)) for part in parts]
        cut_off = is_cut_off(parts[0]) | is_cut_off(parts[1])
        error = coefficients(np.asarray(cv2.subtract(greys[0], greys[1], dtype=cv2.CV_32F), dtype=np.float32))
        for grey, table, ratios in zip(greys, steps, found, strict=True):
            if table is not None:
                ratios.append(_Stored.of(grey, cut_off, table).ratios(error))
    one, two = (_measured(np.concatenate(ratios)) if ratios else None for ratios in found)
    return one, two


def coefficients(plane: Plane) -> Plane:
    """Return the coefficients of the blocks of a plane, shape ``(rows, 8, columns, 8)``."""
    height, width = plane.shape
    down = np.matmul(COSINES, plane.reshape(height // SIDE, SIDE, width))
    across = down.reshape(-1, SIDE) @ COSINES.T
    return np.asarray(across.reshape(height // SIDE, SIDE, width // SIDE, SIDE), dtype=np.float32)


def plane_of(values: Plane) -> Plane:
    """Return the plane whose coefficients were returned by ``coefficients``, in blocks of 8 x 8."""
    rows, _, columns, _ = values.shape
    across = np.matmul(COSINES.T, values.reshape(rows, SIDE, columns * SIDE))
    down = across.reshape(-1, SIDE) @ COSINES
    return np.asarray(down.reshape(rows * SIDE, columns * SIDE), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """Those coefficients of a part of a JPEG that were not rounded to zero, and are not clipped.

    Attributes:
        places: Where they are in the array of all coefficients.
        steps: What each was rounded to.
    """

    places: npt.NDArray[np.intp]
    steps: Plane

    @staticmethod
    def of(grey: Pixels, cut_off: Mask, table: Plane) -> _Stored:
        """Return the coefficients of a picture that tell.

        Args:
            grey: The luma of the part, uint8, whole blocks.
            cut_off: Blocks that are clipped.
            table: The steps, 8 x 8.
        """
        values = coefficients(grey.astype(np.float32) - _MIDDLE)
        rows, _, columns, _ = values.shape
        least = np.where(table >= _SMALLEST_STEP, np.float32(_STORED) * table, np.float32(np.inf))
        least[0, 0] = np.inf
        size = np.abs(values, out=values).reshape(rows, SIDE, -1)
        places = np.flatnonzero(size > np.tile(least, columns))
        width = columns * SIDE
        row, across = np.divmod(places, width)
        if cut_off.any():
            kept = ~cut_off[row // SIDE, across // SIDE]
            places, row, across = places[kept], row[kept], across[kept]
        return _Stored(places, table[row % SIDE, across % SIDE])

    def ratios(self, error: Plane) -> Plane:
        """Return the errors in steps, by the coefficients of all of the error."""
        return np.asarray(np.abs(error.ravel()[self.places]) / self.steps, dtype=np.float32)


def lattice_of(file: FullPicture, seen: Pixels, wanted: Plane) -> Lattice | None:
    """Measure how the coefficients of a part of a JPEG are met.

    Args:
        file: The JPEG.
        seen: The luma of the part, whose corner is that of a block, whole blocks.
        wanted: The luma that is expected, float32, the same height and width.

    Returns:
        What was measured; ``None`` if too few coefficients tell.
    """
    table = np.array(file.quantisation[0], dtype=np.float32).reshape(SIDE, SIDE)
    error = np.asarray(cv2.subtract(seen, wanted, dtype=cv2.CV_32F), dtype=np.float32)
    return _measured(_Stored.of(seen, is_cut_off(seen), table).ratios(coefficients(error)))


def _measured(ratio: Plane) -> Lattice | None:
    if len(ratio) < _FEWEST_COEFFICIENTS:
        return None
    miss, most = (float(value) for value in np.quantile(ratio, (0.5, 0.9)))
    return Lattice(miss, float((ratio > _WIDE).mean()), most / max(miss, 1e-6))


def is_cut_off(pixels: Pixels) -> Mask:
    """Return which blocks are clipped somewhere."""
    low, high = CLIPPED
    channels = pixels.shape[2] if pixels.ndim > 2 else 1
    within = cv2.inRange(pixels, (low,) * channels, (high,) * channels)
    size = within.shape[1] // SIDE, within.shape[0] // SIDE
    return np.asarray(cv2.resize(within, size, interpolation=cv2.INTER_AREA) < _ALL_WITHIN, dtype=np.bool_)


def _cosines() -> Plane:
    place = np.arange(SIDE)
    basis = np.cos((2 * place[None, :] + 1) * place[:, None] * math.pi / 16) * 0.5
    basis[0] /= math.sqrt(2)
    return basis.astype(np.float32)


COSINES = _cosines()
"""The cosine transform of 8 values, 8 x 8: the rows are the basis."""
