"""Numbers that no turn of a picture changes, and that are near each other wherever two signatures are.

The eight orientations act on the 272 values as an orthogonal representation of the dihedral group. The transform of
Fourier over that group takes a signature apart into coordinates that stay, coordinates that a turn leaves or negates,
and pairs that move like the corners of a square. Folding takes away what a turn does: a number becomes its absolute
value, a pair its two absolute values, the greater first. Folding brings points nearer to each other, never further
apart, hence for signatures of length 1 and every turn g

    |phi(a) - phi(b)|  <=  |a - g b|

The length is left out, because the distance sees little of it: with lengths 1 and r and the angle w between a and g b,
``d = |a - g b| / (1 + r) <= t`` means ``cos w >= (1 - t^2) (r + 1/r) / 2 - t^2 >= 1 - 2 t^2``, and so the signatures
scaled to length 1 are no further than ``2 t`` apart. One query for the neighbours of ``phi(a)`` within ``2 t`` finds
the candidates of all eight orientations at once; up to a distance of 0.3 next to nothing else comes along.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.orientation import ORIENTATIONS, SIGNS, SOURCES
from py_image_dedup.signature.pairs import Float64Array, Int8Array

DIMENSIONS: Final = 288
"""More than values: a part of the pairs is there twice, each with half of the weight."""

_SCALE = 512.0
"""A quarter of the length fits a byte. Nearly no photograph has more than that in one coordinate."""

_ROWS_AT_ONCE = 128
"""So few stay in the cache of a core, and threads for their product would not pay."""

_PARTS = {
    Orientation.UPRIGHT: (1, 1, 1, 1, 0, 0, 1),
    Orientation.ROTATE_180: (1, 1, 1, -1, 0, 0, -1),
    Orientation.ROTATE_90: (1, -1, -1, 0, -1, 1, 0),
    Orientation.ROTATE_270: (1, -1, -1, 0, 1, -1, 0),
    Orientation.MIRROR: (-1, 1, -1, -1, 0, 0, 1),
    Orientation.FLIP: (-1, 1, -1, 1, 0, 0, -1),
    Orientation.TRANSPOSE: (-1, -1, 1, 0, 1, 1, 0),
    Orientation.TRANSVERSE: (-1, -1, 1, 0, -1, -1, 0),
}
"""The irreducible representations but the trivial one: three signs, and a matrix of two by two, row by row."""


def _parts() -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """The matrices that take a signature apart: what stays, what changes sign, and both halves of the pairs.

    For each orbit of places the values that one of its places has in the eight turns are transformed.
    """
    transform = np.array([[1, *_PARTS[turn]] for turn in ORIENTATIONS]) * np.sqrt([1, 1, 1, 1, 2, 2, 2, 2]) / 8**0.5
    places = np.array([SOURCES[turn] for turn in ORIENTATIONS])
    signs = np.array([SIGNS[turn] for turn in ORIENTATIONS], dtype=np.int64)
    blocks = []
    for place in range(SIGNATURE_LENGTH):
        orbit = np.unique(places[:, place])
        if place == orbit[0]:
            block = np.zeros((len(transform), SIGNATURE_LENGTH))
            np.add.at(block.T, places[:, place], transform * signs[:, place, None])
            blocks.append(block * math.sqrt(len(orbit) / len(ORIENTATIONS)))
    whole: Float64Array = np.stack(blocks).round(12)  # what cancels out is zero, whatever the rounding
    first = whole[:, [4, 6]].reshape(-1, SIGNATURE_LENGTH)
    moving = first.any(axis=1)
    return (
        _without_zeros(whole[:, 0]),
        _without_zeros(whole[:, 1:4].reshape(-1, SIGNATURE_LENGTH)),
        first[moving],
        whole[:, [5, 7]].reshape(-1, SIGNATURE_LENGTH)[moving],
    )


def _without_zeros(rows: Float64Array) -> Float64Array:
    """A place that some turn leaves where it is has no part in some of the rows."""
    kept: Float64Array = rows[rows.any(axis=1)]
    return kept


_STAYING, _SIGNED, _FIRST, _SECOND = _parts()
_ALL = np.vstack([_STAYING, _SIGNED, _FIRST, _SECOND]).T
_ENDS = np.cumsum([len(_STAYING), len(_SIGNED), len(_FIRST)])


def invariants(values: Int8Array) -> Int8Array:
    """Compute the invariants of signatures.

    Args:
        values: int8, shape ``(n, 272)``.

    Returns:
        int8, shape ``(n, DIMENSIONS)``: parts of the length in steps of ``1 / 512``, rounded, and cut off where a byte
        ends (which brings two numbers nearer to each other, never further apart). Zeros for a signature of zeros.
    """
    folded = np.empty((len(values), DIMENSIONS), dtype=np.int8)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        folded[some] = _folded(values[some].astype(np.float64))
    return folded


def _folded(floats: Float64Array) -> Float64Array:
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats))
    parts = floats @ _ALL * (_SCALE / np.maximum(lengths, 1.0))[:, None]
    staying, signed, first, second = np.split(parts, _ENDS, axis=1)
    for moved in (signed, first, second):
        np.abs(moved, out=moved)
    folded = np.hstack([staying, signed, np.maximum(first, second), np.minimum(first, second)])
    clipped: Float64Array = np.clip(np.rint(folded), -128, 127)
    return clipped


def invariant_radius(max_distance: float) -> float:
    """The radius among invariants that holds everything within ``max_distance`` among signatures.

    Rounding moves each coordinate of a difference by one at most.
    """
    return _SCALE * 2 * max_distance + math.sqrt(DIMENSIONS) + 1e-2
