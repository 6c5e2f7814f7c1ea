"""Transforms from one picture to another: estimation, composition, and their geometric properties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Float64Array

ORIENTATION_MATRICES: dict[Orientation, tuple[tuple[int, int], tuple[int, int]]] = {
    Orientation.UPRIGHT: ((1, 0), (0, 1)),
    Orientation.MIRROR: ((-1, 0), (0, 1)),
    Orientation.ROTATE_180: ((-1, 0), (0, -1)),
    Orientation.FLIP: ((1, 0), (0, -1)),
    Orientation.TRANSPOSE: ((0, 1), (1, 0)),
    Orientation.ROTATE_90: ((0, -1), (1, 0)),
    Orientation.TRANSVERSE: ((0, -1), (-1, 0)),
    Orientation.ROTATE_270: ((0, 1), (-1, 0)),
}
"""The linear map of each orientation on x (to the right) and y (downwards)."""

_SMALL = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """A homography of the plane, x to the right and y downwards; most are affine.

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
        """Return the map of a whole picture onto another whole picture.

        Args:
            orientation: Orientation change that makes the left one look like the right one.
            left: Width and height of the left picture, pixels.
            right: Width and height of the right picture, pixels.
        """
        matrix = np.array(ORIENTATION_MATRICES[orientation], dtype=np.float64)
        linear = (np.array(right) / (np.abs(matrix) @ np.array(left)))[:, None] * matrix
        return cls.affine(linear, np.array(right) / 2 - linear @ (np.array(left) / 2))

    @property
    def linear(self) -> Float64Array:
        """The linear part, shape ``(2, 2)``; with a perspective it holds near the origin only."""
        return self.matrix[:2, :2]

    @property
    def scale(self) -> float:
        """The factor by which lengths grow: the geometric mean of both directions."""
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        return math.sqrt(abs(a * d - b * c))

    @property
    def anisotropy(self) -> float:
        """The ratio of the larger of the two scales to the smaller one, 1 or more."""
        # Singular values in closed form: numpy's decomposition takes longer, and this is called often.
        (a, b, _), (c, d, _), _ = self.matrix.tolist()
        both, apart = math.hypot(a + d, b - c), math.hypot(a - d, b + c)
        larger, smaller = (both + apart) / 2, abs(both - apart) / 2
        return larger / smaller if smaller > _SMALL else math.inf

    @property
    def orientation(self) -> Orientation:
        """The one of the eight orientations that is nearest to this map."""
        left, _, right = np.linalg.svd(self.linear)
        unit = left @ right
        return max(
            ORIENTATION_MATRICES, key=lambda matrix: float((np.array(ORIENTATION_MATRICES[matrix]) * unit).sum())
        )

    @property
    def skew(self) -> float:
        """The larger angle between a side and an axis, degrees: 0 for the eight orientations, squashed or not."""
        upright = np.array(ORIENTATION_MATRICES[self.orientation], dtype=np.float64).T @ self.linear
        return max(abs(math.degrees(math.atan2(upright[1 - axis, axis], upright[axis, axis]))) for axis in (0, 1))

    def apply(self, points: Float64Array) -> Float64Array:
        """Return the images of points, shape ``(n, 2)``."""
        moved = points @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        divisor = points @ self.matrix[2, :2] + self.matrix[2, 2]
        result: Float64Array = moved / divisor[:, None]
        return result

    def then(self, following: Transform) -> Transform:
        """Return the composition: this map first, then the following one."""
        product = following.matrix @ self.matrix
        return Transform(product / product[2, 2])

    def inverse(self) -> Transform:
        """Return the inverse map.

        Raises:
            numpy.linalg.LinAlgError: The map is singular.
        """
        back = np.linalg.inv(self.matrix)
        return Transform(back / back[2, 2])


def scaling(horizontal: float, vertical: float) -> Transform:
    """Return the map that multiplies x and y."""
    return Transform(np.diag([horizontal, vertical, 1.0]))


def translation(horizontal: float, vertical: float) -> Transform:
    """Return the map that adds to x and y."""
    return Transform.affine(np.eye(2), np.array([horizontal, vertical]))


def reflection(width: float) -> Transform:
    """Return the map that exchanges left and right in a picture of this width."""
    return Transform.affine(np.diag([-1.0, 1.0]), np.array([width, 0.0]))


def estimate_similarity(left: Float64Array, right: Float64Array) -> Transform | None:
    """Estimate shift, rotation and scale by least squares; ``None`` if all points coincide.

    Args:
        left: Points, shape ``(n, 2)``, at least one.
        right: Their images, shape ``(n, 2)``.
    """
    one = left[:, 0] + 1j * left[:, 1]
    other = right[:, 0] + 1j * right[:, 1]
    # Sums, because numpy's means take several times as long for so few values, and this is called often.
    middle, target = complex(one.sum()) / len(one), complex(other.sum()) / len(one)
    centred = one - middle
    length = float(np.vdot(centred, centred).real)
    if length < _SMALL:
        return None
    factor = complex(np.vdot(centred, other - target)) / length
    if abs(factor) < _SMALL:
        return None
    shift = target - factor * middle
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return Transform.affine(linear, np.array([shift.real, shift.imag]))


def estimate_affine(left: Float64Array, right: Float64Array) -> Transform | None:
    """Estimate an affine map by least squares; ``None`` if the points do not determine it.

    Args:
        left: Points, shape ``(n, 2)``.
        right: Their images, shape ``(n, 2)``.
    """
    middle, target = left.sum(axis=0) / len(left), right.sum(axis=0) / len(left)
    one, other = left - middle, right - target
    xx, xy, yy = float(one[:, 0] @ one[:, 0]), float(one[:, 0] @ one[:, 1]), float(one[:, 1] @ one[:, 1])
    determinant = xx * yy - xy * xy
    # Coincident or collinear points leave the second direction undetermined.
    if len(left) < 3 or determinant < 1e-4 * (xx + yy) ** 2 + _SMALL:
        return None
    inverse = np.array([[yy, -xy], [-xy, xx]]) / determinant
    linear = (other.T @ one) @ inverse
    return Transform.affine(linear, target - linear @ middle)


def estimate_homography(left: Float64Array, right: Float64Array, within: float) -> Transform | None:
    """Estimate a homography by least squares, repeatedly, each time from the inliers of the last.

    Args:
        left: Points, shape ``(n, 2)``.
        right: Their approximate images, shape ``(n, 2)``.
        within: Inlier distance of the last rounds, in the units of ``right``.

    Returns:
        The map, or ``None`` if fewer than eight points agree on one.
    """
    chosen = np.ones(len(left), dtype=np.bool_)
    found: Transform | None = None
    for reach in (4 * within, 2 * within, within, within):
        if chosen.sum() < 8:
            return None
        (x, y), (u, v) = left[chosen].T, right[chosen].T
        one, none = np.ones_like(x), np.zeros_like(x)
        upper = np.stack([x, y, one, none, none, none, -u * x, -u * y], axis=1)
        lower = np.stack([none, none, none, x, y, one, -v * x, -v * y], axis=1)
        solution = np.linalg.lstsq(np.concatenate([upper, lower]), np.concatenate([u, v]), rcond=None)[0]
        found = Transform(np.append(solution, 1.0).reshape(3, 3))
        divisor = left @ found.matrix[2, :2] + 1.0
        if divisor.min() < 0.2:
            return None
        chosen = np.linalg.norm(found.apply(left) - right, axis=1) < reach
    return found if chosen.sum() >= 8 else None
