"""The eight orientations of a picture, applied to its signature.

Rotating or mirroring a picture permutes the grid points and with them the 272 differences; a difference whose two ends
are swapped changes its sign. So no second decode is needed: the signature of the reoriented picture is a signed
permutation of the known one.

This is exact on the grid. The signature computed from a reoriented picture differs a little, because image-match rounds
grid points and windows towards the upper left: by 0.13 on photographs of 341 x 256 pixels. ``media.worker.decode`` has
the sizes at which nothing is rounded and both agree.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import Float64Array, Int8Array, IntpArray, UInt8Array

Pixels = TypeVar("Pixels", UInt8Array, Float64Array)

GRID = 9
"""Grid points per side."""

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Steps (rows, columns) to the neighbours, in the order of the 648 values."""


def _forward_pairs() -> tuple[tuple[int, int, int, int], ...]:
    """Return ``(point, neighbour, index of the value, index of its mirror)`` for the values that are kept."""
    pairs = []
    for row in range(GRID):
        for column in range(GRID):
            for direction in range(4, 8):
                down, right = NEIGHBOURS[direction]
                if row + down < GRID and 0 <= column + right < GRID:
                    point, neighbour = row * GRID + column, (row + down) * GRID + column + right
                    pairs.append((point, neighbour, point * 8 + direction, neighbour * 8 + 7 - direction))
    return tuple(pairs)


def _columns() -> tuple[IntpArray, ...]:
    columns = tuple(np.array(column, dtype=np.intp) for column in zip(*_forward_pairs(), strict=True))
    for column in columns:
        column.setflags(write=False)
    return columns


POINT, NEIGHBOUR, PLACE, MIRRORED_PLACE = _columns()
"""For each of the 272 values: its grid point and its neighbour (0 to 80), and the indices of the difference and of its
mirror among the 648. Read-only."""


def expand(values: Int8Array) -> Int8Array:
    """Return the 648 values of the image-match signature.

    Args:
        values: int8, shape ``(..., 272)``.

    Returns:
        int8, shape ``(..., 648)``, as ``ImageSignature.generate_signature`` of image-match orders them.
    """
    whole = np.zeros((*values.shape[:-1], GRID * GRID * len(NEIGHBOURS)), dtype=np.int8)
    whole[..., PLACE] = values
    whole[..., MIRRORED_PLACE] = -values
    return whole


ORIENTATIONS: tuple[Orientation, ...] = tuple(Orientation)
"""All eight, by their values; ``UPRIGHT`` first."""


def orient_picture(grey: Pixels, orientation: Orientation) -> Pixels:
    """Return a picture in another orientation.

    Args:
        grey: Shape ``(height, width, ...)``.
        orientation: The rotation or mirroring, as the EXIF tag that asks a viewer for it.

    Returns:
        A view of the picture.
    """
    if orientation is Orientation.UPRIGHT:
        return grey
    if orientation is Orientation.MIRROR:
        return grey[:, ::-1]
    if orientation is Orientation.ROTATE_180:
        return grey[::-1, ::-1]
    if orientation is Orientation.FLIP:
        return grey[::-1]
    if orientation is Orientation.TRANSPOSE:
        return grey.swapaxes(0, 1)
    if orientation is Orientation.ROTATE_90:
        return grey[::-1].swapaxes(0, 1)
    if orientation is Orientation.TRANSVERSE:
        return grey[::-1, ::-1].swapaxes(0, 1)
    return grey[:, ::-1].swapaxes(0, 1)


def _tables() -> tuple[IntpArray, Int8Array]:
    """Return for each orientation, by its value, the source index and the sign of each value."""
    place = np.zeros((GRID * GRID, GRID * GRID), dtype=np.intp)
    sign = np.zeros((GRID * GRID, GRID * GRID), dtype=np.int8)
    place[POINT, NEIGHBOUR] = place[NEIGHBOUR, POINT] = np.arange(SIGNATURE_LENGTH)
    sign[POINT, NEIGHBOUR], sign[NEIGHBOUR, POINT] = 1, -1
    points = np.arange(GRID * GRID, dtype=np.uint8).reshape(GRID, GRID)
    sources = np.zeros((9, SIGNATURE_LENGTH), dtype=np.intp)
    signs = np.zeros((9, SIGNATURE_LENGTH), dtype=np.int8)
    for orientation in ORIENTATIONS:
        turned = orient_picture(points, orientation).ravel()
        sources[orientation] = place[turned[POINT], turned[NEIGHBOUR]]
        signs[orientation] = sign[turned[POINT], turned[NEIGHBOUR]]
    sources.setflags(write=False)
    signs.setflags(write=False)
    return sources, signs


SOURCES, SIGNS = _tables()
"""``oriented[k] == SIGNS[orientation, k] * values[SOURCES[orientation, k]]``; shape ``(9, 272)``, row 0 unused,
read-only."""


def orient_signature(values: Int8Array, orientation: Orientation) -> Int8Array:
    """Return the signatures of the same pictures in another orientation.

    Args:
        values: int8, shape ``(..., 272)``.
        orientation: The rotation or mirroring.

    Returns:
        A new int8 array of the same shape.
    """
    turned: Int8Array = values[..., SOURCES[orientation]] * SIGNS[orientation]
    return turned


def compose(first: Orientation, second: Orientation) -> Orientation:
    """Return the single orientation that does the same as ``first`` followed by ``second``."""
    return _BY_CORNERS[_corners(first, second)]


def inverse(orientation: Orientation) -> Orientation:
    """Return the orientation that undoes this one."""
    return _INVERSE.get(orientation, orientation)


def _corners(*orientations: Orientation) -> bytes:
    """Apply orientations, one after the other, to the numbered corners of a picture."""
    corners = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    for orientation in orientations:
        corners = orient_picture(corners, orientation)
    return corners.tobytes()


_BY_CORNERS = {_corners(orientation): orientation for orientation in ORIENTATIONS}
_INVERSE = {
    Orientation.ROTATE_90: Orientation.ROTATE_270,
    Orientation.ROTATE_270: Orientation.ROTATE_90,
}
