"""Maps from one picture to another: fitted, combined, and read for what an editor did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Float64Array

TURNS: dict[Orientation, tuple[tuple[int, int], tuple[int, int]]] = {
    Orientation.UPRIGHT: ((1, 0), (0, 1)),
    Orientation.MIRROR: ((-1, 0), (0, 1)),
    Orientation.ROTATE_180: ((-1, 0), (0, -1)),
    Orientation.FLIP: ((1, 0), (0, -1)),
    Orientation.TRANSPOSE: ((0, 1), (1, 0)),
    Orientation.ROTATE_90: ((0, -1), (1, 0)),
    Orientation.TRANSVERSE: ((0, -1), (-1, 0)),
    Orientation.ROTATE_270: ((0, 1), (-1, 0)),
}
"""What each orientation does to x (to the right) and y (downwards)."""

_SMALL = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A map of the plane, x to the right and y downwards: affine, or with a little perspective.

    Attributes:
        matrix: float64, shape ``(3, 3)``, for homogeneous coordinates; the last element is 1.
    """

    matrix: Float64Array

    @classmethod
    def affine(cls, linear: Float64Array, shift: Float64Array) -> Self:
        """Return the map ``linear @ point + shift``."""
        matrix = np.zeros((3, 3))
        matrix[:2, :2] = linear
        matrix[:2, 2] = shift
        matrix[2, 2] = 1.0
        return cls(matrix)

    @classmethod
    def whole(cls, orientation: Orientation, left: tuple[float, float], right: tuple[float, float]) -> Self:
        """Lay a whole picture on another whole picture, turned.

        Args:
            orientation: The turn that makes the left one look like the right one.
            left: Width and height of the left picture.
            right: Width and height of the right picture.
        """
        turn = np.array(TURNS[orientation], dtype=np.float64)
        linear = (np.array(right) / (np.abs(turn) @ np.array(left)))[:, None] * turn
        return cls.affine(linear, np.array(right) / 2 - linear @ (np.array(left) / 2))

    @property
    def linear(self) -> Float64Array:
        """The turning and scaling part, shape ``(2, 2)``; with a perspective only near the origin."""
        return self.matrix[:2, :2]

    @property
    def scale(self) -> float:
        """How much longer a line gets, both directions averaged."""
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        return math.sqrt(abs(a * d - b * c))

    @property
    def stretch(self) -> float:
        """The larger of the two scales over the smaller one: 1 or more."""
        # The singular values of two rows and columns; numpy's way is made for more, and this is asked for often.
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        both, apart = math.hypot(a + d, b - c), math.hypot(a - d, b + c)
        larger, smaller = (both + apart) / 2, abs(both - apart) / 2
        return larger / smaller if smaller > _SMALL else math.inf

    @property
    def orientation(self) -> Orientation:
        """The one of the eight turns that is nearest to this map."""
        left, _, right = np.linalg.svd(self.linear)
        unit = left @ right
        return max(TURNS, key=lambda turn: float((np.array(TURNS[turn]) * unit).sum()))

    @property
    def tilt(self) -> float:
        """Degrees by which the picture's sides are not parallel to the axes: 0 for the eight turns, squashed or not."""
        upright = np.array(TURNS[self.orientation], dtype=np.float64).T @ self.linear
        return max(abs(math.degrees(math.atan2(upright[1 - axis, axis], upright[axis, axis]))) for axis in (0, 1))

    def apply(self, points: Float64Array) -> Float64Array:
        """Move points, shape ``(n, 2)``."""
        moved = points @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        divisor = points @ self.matrix[2, :2] + self.matrix[2, 2]
        result: Float64Array = moved / divisor[:, None]
        return result

    def then(self, following: Alignment) -> Alignment:
        """Return the map that does this one first and the other one next."""
        product = following.matrix @ self.matrix
        return Alignment(product / product[2, 2])

    def inverse(self) -> Alignment:
        """Return the way back.

        Raises:
            numpy.linalg.LinAlgError: The map makes everything flat.
        """
        back = np.linalg.inv(self.matrix)
        return Alignment(back / back[2, 2])


def scaling(horizontal: float, vertical: float) -> Alignment:
    """Return the map that multiplies x and y."""
    return Alignment(np.diag([horizontal, vertical, 1.0]))


def shifting(horizontal: float, vertical: float) -> Alignment:
    """Return the map that adds to x and y."""
    return Alignment.affine(np.eye(2), np.array([horizontal, vertical]))


def mirroring(width: float) -> Alignment:
    """Return the map that exchanges left and right in a picture of this width."""
    return Alignment.affine(np.diag([-1.0, 1.0]), np.array([width, 0.0]))


def fit_similarity(left: Float64Array, right: Float64Array) -> Alignment | None:
    """Fit shift, turn and scale by least squares; ``None`` if the points are all in one place.

    Args:
        left: Points, shape ``(n, 2)``, at least one.
        right: Where they should come to lie.
    """
    one = left[:, 0] + 1j * left[:, 1]
    other = right[:, 0] + 1j * right[:, 1]
    centred = one - one.mean()
    length = float((np.abs(centred) ** 2).sum())
    if length < _SMALL:
        return None
    factor = complex((centred.conj() * (other - other.mean())).sum()) / length
    if abs(factor) < _SMALL:
        return None
    shift = complex(other.mean() - factor * one.mean())
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return Alignment.affine(linear, np.array([shift.real, shift.imag]))


def fit_affine(left: Float64Array, right: Float64Array) -> Alignment | None:
    """Fit an affine map by least squares; ``None`` if the points do not determine it.

    Args:
        left: Points, shape ``(n, 2)``.
        right: Where they should come to lie.
    """
    middle, target = left.mean(axis=0), right.mean(axis=0)
    one, other = left - middle, right - target
    xx, xy, yy = float(one[:, 0] @ one[:, 0]), float(one[:, 0] @ one[:, 1]), float(one[:, 1] @ one[:, 1])
    determinant = xx * yy - xy * xy
    # Points in one place or on one line: the second direction would be a guess.
    if len(left) < 3 or determinant < 1e-4 * (xx + yy) ** 2 + _SMALL:
        return None
    inverse = np.array([[yy, -xy], [-xy, xx]]) / determinant
    linear = (other.T @ one) @ inverse
    return Alignment.affine(linear, target - linear @ middle)


def fit_projective(left: Float64Array, right: Float64Array, within: float) -> Alignment | None:
    """Fit a map with perspective by least squares, repeatedly, each time to the points that fit.

    Args:
        left: Points, shape ``(n, 2)``.
        right: Where they should come to lie, roughly.
        within: A point that is farther off than this is left out of the next round.

    Returns:
        The map, or ``None`` if fewer than eight points agree on one.
    """
    chosen = np.ones(len(left), dtype=np.bool_)
    found: Alignment | None = None
    for reach in (4 * within, 2 * within, within, within):
        if chosen.sum() < 8:
            return None
        (x, y), (u, v) = left[chosen].T, right[chosen].T
        one, none = np.ones_like(x), np.zeros_like(x)
        upper = np.stack([x, y, one, none, none, none, -u * x, -u * y], axis=1)
        lower = np.stack([none, none, none, x, y, one, -v * x, -v * y], axis=1)
        solution = np.linalg.lstsq(np.concatenate([upper, lower]), np.concatenate([u, v]), rcond=None)[0]
        found = Alignment(np.append(solution, 1.0).reshape(3, 3))
        divisor = left @ found.matrix[2, :2] + 1.0
        if divisor.min() < 0.2:
            return None
        chosen = np.linalg.norm(found.apply(left) - right, axis=1) < reach
    return found if chosen.sum() >= 8 else None
