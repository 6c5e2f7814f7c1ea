"""Directions in which signatures differ most, and what the eight orientations do to them.

The search compares a few coordinates of two signatures and bounds what the others can add by their lengths. Any
orthonormal basis keeps that exact; a basis fitted to a sample only makes it fast.

With orientations the basis must fit the group of turns as well. The eight orientations are an orthogonal representation
of the dihedral group of the square on the 272 values, which splits into five parts: the four in which each turn keeps a
coordinate or changes its sign (A1, A2, B1, B2), and E, on which turning by 180 degrees changes every sign. In a basis
that lies within these parts a turn never mixes them. (J.-P. Serre, "Linear representations of finite groups", ch. 5.3.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import Float64Array, Int8Array
from py_image_dedup.signature.orientation import ORIENTATIONS, SIGNS, SOURCES

E_PART = 4
"""The part on which turning by 180 degrees changes every sign; 0 to 3 are A1, A2, B1, B2."""

_QUARTERS = frozenset({Orientation.ROTATE_90, Orientation.ROTATE_270})
_MIRRORS = frozenset({Orientation.MIRROR, Orientation.FLIP})
_DIAGONALS = frozenset({Orientation.TRANSPOSE, Orientation.TRANSVERSE})

# Signs under quarter turns, mirrorings and diagonal mirrorings; turning by 180 degrees changes none.
_ONE_DIMENSIONAL = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """An orthonormal basis of the 272 dimensions, the strongest direction of each part first.

    Attributes:
        directions: float32, shape ``(272, 272)``, one direction a column.
        strength: float64, shape ``(272,)``: the mean square of unit signatures along each direction.
        part: uint8, shape ``(272,)``: which part of the group's representation a direction lies in.
    """

    directions: npt.NDArray[np.float32]
    strength: Float64Array
    part: npt.NDArray[np.uint8]


def sign_of(part: int, orientation: Orientation) -> int:
    """Return what a turn does to coordinates of one of the parts 0 to 3: 1 keeps them, -1 changes their sign."""
    quarter, mirror, diagonal = _ONE_DIMENSIONAL[part]
    if orientation in _QUARTERS:
        return quarter
    if orientation in _MIRRORS:
        return mirror
    return diagonal if orientation in _DIAGONALS else 1


def fit(sample: Int8Array, *, orientations: bool) -> Basis:
    """Fit a basis to some signatures.

    Args:
        sample: int8, shape ``(n, 272)``; some hundred to some thousand of those that will be searched.
        orientations: Whether the basis must respect the turns.
    """
    units = unit(sample).astype(np.float64)
    moments = units.T @ units / max(1, len(units))
    if not orientations:
        strength, directions = _strongest(moments)
        return Basis(directions.astype(np.float32), strength, np.zeros(SIGNATURE_LENGTH, dtype=np.uint8))
    turns = {orientation: _matrix(orientation) for orientation in ORIENTATIONS}
    moments = np.mean([matrix @ moments @ matrix.T for matrix in turns.values()], axis=0)
    projectors = [
        np.mean([sign_of(part, orientation) * matrix for orientation, matrix in turns.items()], axis=0)
        for part in range(E_PART)
    ]
    projectors.append(np.eye(SIGNATURE_LENGTH) - np.sum(projectors, axis=0))
    strengths, columns, parts = [], [], []
    for part, projector in enumerate(projectors):
        inside = _span(projector)
        strength, directions = _strongest(inside.T @ moments @ inside)
        strengths.append(strength)
        columns.append(inside @ directions)
        parts.append(np.full(len(strength), part, dtype=np.uint8))
    whole = np.concatenate(columns, axis=1).astype(np.float32)
    return Basis(whole, np.concatenate(strengths), np.concatenate(parts))


def unit(values: Int8Array) -> npt.NDArray[np.float32]:
    """Return signatures of length 1 as float32; one without structure stays zero."""
    floats = values.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats))
    floats /= np.where(lengths > 0, lengths, 1)[:, None]
    return floats


def _matrix(orientation: Orientation) -> Float64Array:
    matrix = np.zeros((SIGNATURE_LENGTH, SIGNATURE_LENGTH))
    matrix[np.arange(SIGNATURE_LENGTH), SOURCES[orientation]] = SIGNS[orientation]
    return matrix


def _span(projector: Float64Array) -> Float64Array:
    """Return orthonormal columns that span what a projector keeps."""
    kept, vectors = np.linalg.eigh(projector)
    return vectors[:, kept > 0.5]  # they are 0 or 1


def _strongest(moments: Float64Array) -> tuple[Float64Array, Float64Array]:
    strength, directions = np.linalg.eigh(moments)
    return strength[::-1], directions[:, ::-1]
