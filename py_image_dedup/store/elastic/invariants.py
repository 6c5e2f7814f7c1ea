"""Forty numbers that no turn of a picture changes, and that are near each other wherever two signatures are.

The eight orientations act on the 272 values as an orthogonal representation of the dihedral group. Its parts do not
mix, so two kinds of numbers stay as they are: the coordinates in the part where nothing moves (36 of them, A1), and the
lengths in the other four parts (A2, B1, B2, E). Both change by no more than the signature does, hence for every turn g

    |phi(a) - phi(b)|  <=  |a - g b|

and one query for the neighbours of ``phi(a)`` finds the candidates of all eight orientations at once. Up to a distance
of about 0.15 next to nothing else comes along; from 0.2 on the eight full queries are the better way.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.orientation import ORIENTATIONS, SIGNS, SOURCES
from py_image_dedup.signature.pairs import Float64Array, Int8Array, Int64Array

DIMENSIONS: Final = 40

_SCALE = 16.0
_CENTRES = np.array([6.5, 9.0, 7.5, 17.0])
"""About the middle of the four lengths over real photographs, so that they fit a byte: a shift changes no distance."""

_TURNED = {
    Orientation.ROTATE_180: (1, 1, 1),
    Orientation.ROTATE_90: (1, -1, -1),
    Orientation.ROTATE_270: (1, -1, -1),
    Orientation.MIRROR: (-1, 1, -1),
    Orientation.FLIP: (-1, 1, -1),
    Orientation.TRANSPOSE: (-1, -1, 1),
    Orientation.TRANSVERSE: (-1, -1, 1),
    Orientation.UPRIGHT: (1, 1, 1),
}
_CHARACTERS = np.array([_TURNED[orientation] for orientation in ORIENTATIONS], dtype=np.int64)
"""Of A2, B1 and B2; a row an orientation."""


def _orbits() -> tuple[Int64Array, Float64Array]:
    """One value of each orbit that has a fixed coordinate, and the weight of the sum over the turns."""
    places = np.array([SOURCES[orientation] for orientation in ORIENTATIONS])
    signs = np.array([SIGNS[orientation] for orientation in ORIENTATIONS], dtype=np.int64)
    first: list[int] = []
    weights: list[float] = []
    for place in range(SIGNATURE_LENGTH):
        orbit = np.unique(places[:, place])
        comes_back = signs[places[:, place] == place, place]
        if place == orbit[0] and (comes_back > 0).all():
            first.append(place)
            weights.append(math.sqrt(len(orbit)) / len(ORIENTATIONS))
    return np.array(first, dtype=np.int64), np.array(weights)


_FIRST, _WEIGHTS = _orbits()


def invariants(values: Int8Array) -> Int8Array:
    """Compute the invariants of signatures.

    Args:
        values: int8, shape ``(n, 272)``.

    Returns:
        int8, shape ``(n, DIMENSIONS)``: sixteenths, rounded, and cut off where a byte ends (which brings two numbers
        nearer to each other, never further apart).
    """
    whole = values.astype(np.int64)
    sums = np.zeros((len(values), len(_FIRST)), dtype=np.int64)
    products = np.empty((len(values), len(ORIENTATIONS)), dtype=np.int64)
    for column, orientation in enumerate(ORIENTATIONS):
        turned = whole[:, SOURCES[orientation]] * SIGNS[orientation]
        sums += turned[:, _FIRST]
        products[:, column] = np.einsum("ij,ij->i", turned, whole)
    lines = products @ _CHARACTERS / len(ORIENTATIONS)
    upright, half = ORIENTATIONS.index(Orientation.UPRIGHT), ORIENTATIONS.index(Orientation.ROTATE_180)
    plane = (products[:, upright] - products[:, half]) / 2
    lengths = np.sqrt(np.maximum(np.column_stack([lines, plane]), 0.0)) - _CENTRES
    scaled = np.rint(np.hstack([sums * _WEIGHTS, lengths]) * _SCALE)
    return np.clip(scaled, -128, 127).astype(np.int8)


def invariant_radius(radius: float) -> float:
    """The radius among invariants that holds everything within ``radius`` among signatures.

    Rounding moves each coordinate of a difference by one at most.
    """
    return _SCALE * radius + math.sqrt(DIMENSIONS) + 1e-3
