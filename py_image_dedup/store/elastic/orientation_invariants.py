"""Vectors that no orientation of a picture changes, and that are near each other whenever two signatures are.

The eight orientations act on the 272 values as an orthogonal representation of the dihedral group. The Fourier
transform over that group splits a signature into coordinates that stay, coordinates that an orientation keeps or
negates, and pairs that move like the corners of a square. Folding removes the effect of the orientation: a number
becomes its absolute value, a pair its two absolute values, the greater first. Folding brings points nearer to each
other, never further apart, hence for signatures of length 1 and every orientation g

    |phi(a) - phi(b)|  <=  |a - g b|

The length is left out, because it has little effect on the distance: with lengths 1 and r and the angle w between a and
g b, ``d = |a - g b| / (1 + r) <= t`` means ``cos w >= (1 - t^2) (r + 1/r) / 2 - t^2 >= 1 - 2 t^2``, so the signatures
scaled to length 1 are at most ``2 t`` apart. One query for the neighbours of ``phi(a)`` within ``2 t`` finds
the candidates of all eight orientations at once; up to a distance of 0.3 it finds almost nothing else.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import BoolArray, Float64Array, Int8Array, Int32Array, Int64Array, row_slices
from py_image_dedup.signature.orientation import ORIENTATIONS, SIGNS, SOURCES

DIMENSIONS: Final = 288
"""The number of invariants, more than values: some pairs are there twice, each with half of the weight."""

_SCALE = 512.0
"""Steps of the unit length: a quarter of it fits a byte, and almost no photograph has more in one coordinate."""

_ROWS_AT_ONCE = 128
"""Rows that fit the cache of a core, and memory that was used a moment ago."""

_PARTS = {
    Orientation.UPRIGHT: (1, 1, 1, 1, 1, 0, 0, 1),
    Orientation.ROTATE_180: (1, 1, 1, 1, -1, 0, 0, -1),
    Orientation.ROTATE_90: (1, 1, -1, -1, 0, -1, 1, 0),
    Orientation.ROTATE_270: (1, 1, -1, -1, 0, 1, -1, 0),
    Orientation.MIRROR: (1, -1, 1, -1, -1, 0, 0, 1),
    Orientation.FLIP: (1, -1, 1, -1, 1, 0, 0, -1),
    Orientation.TRANSPOSE: (1, -1, -1, 1, 0, 1, 1, 0),
    Orientation.TRANSVERSE: (1, -1, -1, 1, 0, -1, -1, 0),
}
"""The irreducible representations: the trivial one, three signs, and a matrix of two by two, row by row."""

_UNITS = (1, 1, 1, 1, 2, 2, 2, 2)
"""Eight times the square of the factor that makes each of them a unit vector."""


def _orbits() -> tuple[Int64Array, Int64Array]:
    """Return the first index of each orbit, and the length of each orbit."""
    sources = np.array([SOURCES[orientation] for orientation in ORIENTATIONS])
    orbits = [np.unique(sources[:, index]) for index in range(SIGNATURE_LENGTH)]
    first = [index for index, orbit in enumerate(orbits) if index == orbit[0]]
    return np.array(first, dtype=np.int64), np.array([len(orbits[index]) for index in first], dtype=np.int64)


_FIRST, _LENGTHS = _orbits()


def _transformed(values: npt.NDArray[np.integer]) -> list[Int32Array]:
    """Return the unnormalised transform: for each part one number per orbit. In whole numbers, so it is exact."""
    oriented = [
        values[:, SOURCES[orientation][_FIRST]] * SIGNS[orientation][_FIRST].astype(np.int32)
        for orientation in ORIENTATIONS
    ]
    parts = [np.zeros((len(values), len(_FIRST)), dtype=np.int32) for _ in _UNITS]
    for orientation, column in zip(ORIENTATIONS, oriented, strict=True):
        for part, sign in zip(parts, _PARTS[orientation], strict=True):
            if sign > 0:
                part += column
            elif sign < 0:
                part -= column
    return parts


def _weights() -> tuple[BoolArray, Float64Array]:
    """Return the mask of the numbers that can differ from zero (fixed points have no share in some parts), and weights.

    An index stands for all of its orbit, in eight orientations; the transform of eight numbers is divided by the root
    of eight.
    """
    there = np.hstack([part.any(axis=0) for part in _transformed(np.eye(SIGNATURE_LENGTH, dtype=np.int64))])
    weights = np.hstack([np.sqrt(unit * _LENGTHS / 8 / 8) for unit in _UNITS])
    return there, weights[there] * _SCALE


_THERE, _WEIGHTS = _weights()


def invariants(values: Int8Array) -> Int8Array:
    """Compute the invariants of signatures.

    Args:
        values: int8, shape ``(n, 272)``.

    Returns:
        int8, shape ``(n, DIMENSIONS)``: fractions of the length in steps of ``1 / 512``, rounded, and clipped to a byte
        (which brings two numbers nearer to each other, never further apart). Zeros for a signature of zeros.
    """
    found = np.empty((len(values), DIMENSIONS), dtype=np.int8)
    for some in row_slices(len(values), _ROWS_AT_ONCE):
        found[some] = _folded(values[some])
    return found


def _folded(values: Int8Array) -> Float64Array:
    parts = _transformed(values)
    for moved in parts[1:]:
        np.abs(moved, out=moved)
    for first, second in ((4, 5), (6, 7)):
        greater = np.maximum(parts[first], parts[second])
        np.minimum(parts[first], parts[second], out=parts[second])
        parts[first] = greater
    whole = values.astype(np.int32)
    lengths = np.sqrt(np.einsum("ij,ij->i", whole, whole))
    scaled = np.hstack(parts)[:, _THERE] * _WEIGHTS / np.maximum(lengths, 1.0)[:, None]
    folded: Float64Array = np.clip(np.rint(scaled), -128, 127)
    return folded


def invariant_radius(max_distance: float) -> float:
    """Return the radius among invariants that contains all signatures within ``max_distance``.

    Rounding moves each coordinate of a difference by one at most.
    """
    return _SCALE * 2 * max_distance + math.sqrt(DIMENSIONS) + 1e-2
