"""One picture laid over another one to a fraction of a pixel, on the grid of the smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.match import Orientation

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Values = TypeVar("Values", Pixels, Plane)

_TURNS: dict[Orientation, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    Orientation.UPRIGHT: ((1, 0, 0), (0, 1, 0)),
    Orientation.MIRROR: ((-1, 0, 1), (0, 1, 0)),
    Orientation.ROTATE_180: ((-1, 0, 1), (0, -1, 1)),
    Orientation.FLIP: ((1, 0, 0), (0, -1, 1)),
    Orientation.TRANSPOSE: ((0, 1, 0), (1, 0, 0)),
    Orientation.ROTATE_90: ((0, -1, 1), (1, 0, 0)),
    Orientation.TRANSVERSE: ((0, -1, 1), (-1, 0, 1)),
    Orientation.ROTATE_270: ((0, 1, 0), (-1, 0, 1)),
}
"""The maps of the unit square by which the orientations move its points."""

_THUMBNAIL = 64
_PREFERRED = 0.02
"""Correlation by which another turn has to be better than none."""
_LEVELS = (40_000, 300_000)
"""Pixels of the grids on which the alignment is refined, coarse first."""
_STEPS = 6
_MOST_PLACES = 60_000
"""Pixels that a step is computed from."""
_STILL = 0.02
"""Pixels; a smaller step ends the refinement."""
_WHOLE = 0.01
"""Share of the diagonal that a transform may be away from laying the whole of one picture on the whole of the other."""
_EXACT = 1e-3
"""Pixels of a grid that count as nothing."""
_NEGLIGIBLE = 0.04
"""Pixels that the alignment may differ from a plain change of size to be taken for one."""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Two pictures on one grid.

    Attributes:
        keeper: The keeper, uint8, grey or BGR.
        other: The other picture, uint8, the same height and width.
        valid: Where both pictures are.
        to_keeper: 3 x 3, from the grid to the keeper, in pixels whose centres are whole numbers.
        to_other: The same to the other picture.
        correlation: Correlation of the locally normalised pixels, -1 to 1.
        scale: Pixels of the other picture in one of the keeper, along a side.
        is_exact: Nothing was interpolated.
    """

    keeper: Pixels
    other: Pixels
    valid: Mask
    to_keeper: Matrix
    to_other: Matrix
    correlation: float
    scale: float
    is_exact: bool


def luma(pixels: Pixels) -> Pixels:
    """Return the grey picture."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return grey.astype(np.uint8, copy=False)


def shrunk(pixels: Pixels, factor: int) -> Pixels:
    """Return the means of square blocks of pixels; what is left over at the right and below is cut off."""
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    if not (height and width):
        return pixels
    cut = pixels[: height * factor, : width * factor]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def align(
    keeper: Pixels,
    other: Pixels,
    transform: Matrix | None,
    orientation: Orientation | None,
    *,
    settled: bool = False,
) -> Aligned:
    """Lay two pictures over each other.

    Args:
        keeper: One picture, uint8, grey or BGR.
        other: The other one.
        transform: 2 x 3 or 3 x 3, from the keeper's pixels to the other's; ``None`` if the whole of one is the whole
            of the other.
        orientation: The turn that makes the keeper look like the other, if it is known.
        settled: The whole of one is known to lie on the whole of the other.

    Returns:
        Both on the grid of the one with fewer pixels.
    """
    grey_keeper, grey_other = luma(keeper), luma(other)
    trivial = whole(keeper.shape, other.shape, turn(grey_keeper, grey_other, orientation))
    start = trivial
    if transform is not None:
        given = np.eye(3)
        given[: len(transform)] = transform
        start = trivial if _apart(given, trivial, keeper.shape) < _WHOLE else given
    scale = math.sqrt(abs(float(np.linalg.det(start[:2, :2]))))
    on_other = scale < 1
    base, moved = (grey_other, grey_keeper) if on_other else (grey_keeper, grey_other)
    matrix = np.asarray(np.linalg.inv(start) if on_other else start, dtype=np.float64)
    refined = matrix
    # Most copies show the whole of their original: one look at the finer grid confirms it.
    if not settled and (start is not trivial or not _fits(base, moved, matrix)):
        refined = _refine(base, moved, matrix)
    return _rendered(keeper, other, refined, on_other=on_other)


def _fits(base: Pixels, moved: Pixels, matrix: Matrix) -> bool:
    """Whether a step of the refinement would move less than can be seen."""
    refined = _refined(base, moved, matrix, _LEVELS[-1], 1)
    return _pixels_apart(refined, matrix, base.shape) < _NEGLIGIBLE


def _rendered(keeper: Pixels, other: Pixels, matrix: Matrix, *, on_other: bool) -> Aligned:
    base, moved = (other, keeper) if on_other else (keeper, other)
    height, width = base.shape[:2]
    factor = max(1, math.ceil(math.sqrt(height * width / THRESHOLDS.most_pixels)))
    size = (max(1, width // factor), max(1, height // factor))
    to_base = scaling(width / size[0], height / size[1])
    shown = base if factor == 1 else cv2.resize(base, size, interpolation=cv2.INTER_AREA)
    laid, valid, is_exact = render(moved, matrix @ to_base, size)
    correlation = _correlation(luma(np.asarray(shown, dtype=np.uint8)), luma(laid), valid)
    to_moved = matrix @ to_base
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    first = np.asarray(shown, dtype=np.uint8)
    if on_other:
        return Aligned(laid, first, valid, to_moved, to_base, correlation, 1 / scale, is_exact)
    return Aligned(first, laid, valid, to_base, to_moved, correlation, scale, is_exact)


def render(image: Pixels, matrix: Matrix, size: tuple[int, int]) -> tuple[Pixels, Mask, bool]:
    """Show a picture on another grid, averaging where it has more pixels.

    Args:
        image: uint8, grey or BGR.
        matrix: 3 x 3, from the grid to the picture.
        size: Width and height of the grid.

    Returns:
        The picture, where it is, and whether nothing was interpolated.
    """
    height, width = image.shape[:2]
    turned, rest = unturned(image, matrix)
    height, width = turned.shape[:2]
    exact = _pixels_apart(rest, scaling(width / size[0], height / size[1]), (size[1], size[0])) < _EXACT
    if exact:
        way = cv2.INTER_AREA if width >= size[0] else cv2.INTER_CUBIC
        laid = turned if (width, height) == size else cv2.resize(turned, size, interpolation=way)
        valid = np.ones((size[1], size[0]), dtype=np.bool_)
        return np.asarray(laid, dtype=np.uint8), valid, (width, height) == size
    scale = math.sqrt(abs(float(np.linalg.det(rest[:2, :2]))))
    if scale > 1.15:
        small = (max(1, round(width / scale)), max(1, round(height / scale)))
        turned = np.asarray(cv2.resize(turned, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        rest = np.linalg.inv(scaling(width / small[0], height / small[1])) @ rest
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(turned, rest, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    there = np.full(turned.shape[:2], 255, dtype=np.uint8)
    inside = cv2.warpPerspective(there, rest, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(laid, dtype=np.uint8), np.asarray(inside >= 250, dtype=np.bool_), False


def unturned(image: Values, matrix: Matrix) -> tuple[Values, Matrix]:
    """Turn a picture by what a matrix turns in quarters.

    Args:
        image: Grey or BGR.
        matrix: 3 x 3, from a grid to the picture.

    Returns:
        The turned picture, and the matrix from the grid to it, which is nearly a change of size.
    """
    a, b, c, d = (float(value) for value in matrix[:2, :2].ravel())
    height, width = image.shape[:2]
    turned = image
    change = np.eye(3)
    if abs(b) + abs(c) > abs(a) + abs(d):
        turned = np.asarray(cv2.transpose(turned), dtype=image.dtype)
        change = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]]) @ change
        a, d, width, height = c, b, height, width
    if a < 0:
        turned = np.asarray(cv2.flip(turned, 1), dtype=image.dtype)
        change = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]]) @ change
    if d < 0:
        turned = np.asarray(cv2.flip(turned, 0), dtype=image.dtype)
        change = np.array([[1, 0, 0], [0, -1, height - 1], [0, 0, 1.0]]) @ change
    return turned, change @ matrix


def scaling(horizontal: float, vertical: float) -> Matrix:
    """Return a change of size, of pixels whose centres are whole numbers."""
    return np.array([[horizontal, 0, (horizontal - 1) / 2], [0, vertical, (vertical - 1) / 2], [0, 0, 1]])


def whole(keeper_shape: tuple[int, ...], other_shape: tuple[int, ...], orientation: Orientation) -> Matrix:
    """Return the transform that lays the whole of one picture on the whole of another one."""
    height, width = keeper_shape[:2]
    to_unit = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
    turn = np.array([*_TURNS[orientation], (0, 0, 1)], dtype=np.float64)
    height, width = other_shape[:2]
    from_unit = np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1.0]])
    return np.asarray(from_unit @ turn @ to_unit, dtype=np.float64)


def turn(keeper: Pixels, other: Pixels, orientation: Orientation | None = None) -> Orientation:
    """Return the turn that makes the keeper look like the other picture: the given one, or the likeliest.

    Args:
        keeper: One picture, uint8, grey or BGR.
        other: The other one.
        orientation: The turn, if it is known.
    """
    if orientation is not None:
        return orientation
    small = (_THUMBNAIL, _THUMBNAIL)
    # Thumbnails are square, so that a turn only moves their pixels: they are normalised once.
    left, right = (_normalised(_thumbnail(pixels), 4) for pixels in (keeper, other))
    power = math.sqrt(float(np.vdot(left, left)) * float(np.vdot(right, right)))
    best, likeliest = -2.0, Orientation.UPRIGHT
    wide = keeper.shape[1] / keeper.shape[0]
    for each in Orientation:
        shape = wide if each <= Orientation.FLIP else 1 / wide
        if abs(math.log(shape * other.shape[0] / other.shape[1])) > 0.25:
            continue
        turned, _ = unturned(left, np.asarray(np.linalg.inv(whole(small, small, each)), dtype=np.float64))
        likeness = 1.0 if power <= 0 else float(np.vdot(turned, right)) / power
        likeness += _PREFERRED * (each is Orientation.UPRIGHT)
        if likeness > best:
            best, likeliest = likeness, each
        if best >= 1:
            break
    return likeliest


def _thumbnail(pixels: Pixels) -> Pixels:
    step = max(1, min(pixels.shape[:2]) // (4 * _THUMBNAIL))
    few = luma(np.ascontiguousarray(pixels[::step, ::step]))
    return np.asarray(cv2.resize(few, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def plain(keeper: Pixels, other: Pixels, transform: Matrix | None, orientation: Orientation | None) -> Matrix | None:
    """Return the transform from the other picture to the keeper, if each shows the whole of the other.

    Args:
        keeper: One picture, uint8, grey or BGR.
        other: The other one.
        transform: As for ``align``.
        orientation: As for ``align``.

    Returns:
        3 x 3, a turn and a change of size; ``None`` if a part is shown.
    """
    start = whole(keeper.shape, other.shape, turn(keeper, other, orientation))
    if transform is not None:
        given = np.eye(3)
        given[: len(transform)] = transform
        if _apart(given, start, keeper.shape) >= _WHOLE:
            return None
    return np.asarray(np.linalg.inv(start), dtype=np.float64)


def _apart(one: Matrix, two: Matrix, shape: tuple[int, ...]) -> float:
    """Return how far two transforms put the corners apart, as a share of the diagonal."""
    end = np.array([[shape[1]], [shape[0]], [1.0]])
    ends = two @ end
    origin = two @ np.array([[0], [0], [1.0]])
    diagonal = float(np.hypot(*(ends / ends[2] - origin / origin[2])[:2, 0]))
    return _pixels_apart(one, two, shape) / max(diagonal, 1e-9)


def _pixels_apart(one: Matrix, two: Matrix, shape: tuple[int, ...]) -> float:
    height, width = shape[:2]
    corners = np.array([[0, width - 1, width - 1, 0], [0, 0, height - 1, height - 1], [1, 1, 1, 1]], dtype=np.float64)
    first, second = one @ corners, two @ corners
    return float(np.abs(first[:2] / first[2] - second[:2] / second[2]).max())


def _normalised(grey: Pixels, sigma: float) -> Plane:
    plane = grey.astype(np.float32)
    plane -= cv2.GaussianBlur(plane, (0, 0), sigma)
    spread = np.sqrt(cv2.GaussianBlur(plane * plane, (0, 0), sigma)) + np.float32(4)
    return np.asarray(plane / spread, dtype=np.float32)


def _correlation(one: Pixels, two: Pixels, valid: Mask) -> float:
    factor = max(1.0, math.sqrt(one.size / 100_000))
    size = (max(1, round(one.shape[1] / factor)), max(1, round(one.shape[0] / factor)))
    left, right = (
        _normalised(np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA)), 4) for plane in (one, two)
    )
    inside = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if inside.sum() < 64:
        return 0.0
    a, b = left[inside], right[inside]
    power = float(np.dot(a, a)) * float(np.dot(b, b))
    return 1.0 if power <= 0 else float(np.dot(a, b) / math.sqrt(power))


def _refine(base: Pixels, moved: Pixels, matrix: Matrix) -> Matrix:
    """Move and stretch until the pictures fit, coarse grids first."""
    height, width = base.shape
    done = 0
    for pixels in _LEVELS:
        if min(pixels, height * width) == done:
            break
        done = min(pixels, height * width)
        refined = _refined(base, moved, matrix, pixels, _STEPS)
        if _pixels_apart(refined, matrix, base.shape) < 0.08 * max(height, width):
            matrix = refined
    return matrix


def _refined(base: Pixels, moved: Pixels, matrix: Matrix, pixels: int, steps: int) -> Matrix:
    """Take Gauss-Newton steps with outliers weighted down.

    Args:
        base: The grey picture that stays.
        moved: The one that is laid over it.
        matrix: 3 x 3, from the first to the second.
        pixels: Largest number of pixels of the grid.
        steps: Largest number of steps.

    Returns:
        A better matrix.
    """
    height, width = base.shape
    factor = max(1.0, math.sqrt(height * width / pixels))
    size = (max(8, round(width / factor)), max(8, round(height / factor)))
    to_base = scaling(width / size[0], height / size[1])
    small = base if size == (width, height) else cv2.resize(base, size, interpolation=cv2.INTER_AREA)
    fixed = cv2.GaussianBlur(_normalised(np.asarray(small, dtype=np.uint8), 6), (0, 0), 1)
    current = matrix @ to_base
    # The picture is reduced to the density of the grid once, and not at each step.
    density = math.sqrt(abs(float(np.linalg.det(current[:2, :2]))))
    reduced, to_moved = moved, np.eye(3)
    if density > 1.15:
        less = (max(1, round(moved.shape[1] / density)), max(1, round(moved.shape[0] / density)))
        reduced = np.asarray(cv2.resize(moved, less, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        to_moved = scaling(moved.shape[1] / less[0], moved.shape[0] / less[1])
    current = np.linalg.inv(to_moved) @ current
    for _ in range(steps):
        laid, valid, _ = render(reduced, current, size)
        step = _step(np.asarray(fixed, dtype=np.float32), laid, valid)
        if step is None:
            break
        current = current @ step
        if _pixels_apart(step, np.eye(3), (size[1], size[0])) < _STILL:
            break
    return np.asarray(to_moved @ current @ np.linalg.inv(to_base), dtype=np.float64)


def _step(fixed: Plane, laid: Pixels, valid: Mask) -> Matrix | None:
    shown = np.asarray(cv2.GaussianBlur(_normalised(laid, 6), (0, 0), 1), dtype=np.float32)
    mean = (fixed + shown) * np.float32(0.5)
    dx = np.asarray(cv2.Sobel(mean, cv2.CV_32F, 1, 0, scale=0.125), dtype=np.float32)
    dy = np.asarray(cv2.Sobel(mean, cv2.CV_32F, 0, 1, scale=0.125), dtype=np.float32)
    strong = valid & (dx * dx + dy * dy > 1e-3)
    if strong.sum() < 100:
        return None
    places = np.flatnonzero(strong)
    places = places[:: max(1, len(places) // _MOST_PLACES) | 1]
    rows, columns = np.divmod(places, strong.shape[1])
    gx, gy, error = dx.ravel()[places], dy.ravel()[places], (fixed - shown).ravel()[places]
    scale = 1.48 * float(np.median(np.abs(error))) + 1e-3
    weight = 1 / (1 + (error / (2 * scale)) ** 2)
    height, width = fixed.shape
    x, y = (columns / width - 0.5).astype(np.float32), (rows / height - 0.5).astype(np.float32)
    system = np.stack([gx * x, gx * y, gx, gy * x, gy * y, gy])
    normal = (system * weight) @ system.T
    normal += np.eye(6, dtype=np.float32) * float(np.trace(normal)) * 1e-5
    a, b, c, d, e, f = (float(value) for value in np.linalg.solve(normal, (system * weight) @ error))
    # The step in pixels of the grid: p -> p + (a, b, c; d, e, f) (x, y, 1) with x and y from -0.5 to 0.5.
    return np.array(
        [
            [1 + a / width, b / height, c - a / 2 - b / 2],
            [d / width, 1 + e / height, f - d / 2 - e / 2],
            [0, 0, 1],
        ]
    )
