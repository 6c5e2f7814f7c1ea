"""Where the 272 values of a signature come from: pairs of neighbours on a 9 x 9 grid.

The image-match signature has 648 values: for each of 81 grid points the difference to each of its 8 neighbours, points
by rows, neighbours as upper left, upper, upper right, left, right, lower left, lower, lower right. Where there is no
neighbour the value is zero, and a difference seen from the other end has the other sign. So the values towards right,
lower left, lower and lower right that lie inside the grid, 272 of them, determine the rest. They are kept in the order
in which they stand among the 648.

The 648 have exactly twice the squared length and twice the dot products of the 272, so the normalised distance is the
same for both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.arrays import Int8Array

GRID = 9
"""Grid points a side."""

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Steps (rows, columns) to the neighbours, in the order of the 648 values."""


def _forward_pairs() -> tuple[tuple[int, int, int, int], ...]:
    """Return ``(point, neighbour, place of the value, place of its mirror)`` for the values that are kept."""
    pairs = []
    for row in range(GRID):
        for column in range(GRID):
            for direction in range(4, 8):
                down, right = NEIGHBOURS[direction]
                if row + down < GRID and 0 <= column + right < GRID:
                    point, neighbour = row * GRID + column, (row + down) * GRID + column + right
                    pairs.append((point, neighbour, point * 8 + direction, neighbour * 8 + 7 - direction))
    return tuple(pairs)


def _columns() -> tuple[npt.NDArray[np.intp], ...]:
    columns = tuple(np.array(column, dtype=np.intp) for column in zip(*_forward_pairs(), strict=True))
    for column in columns:
        column.setflags(write=False)
    return columns


POINT, NEIGHBOUR, PLACE, MIRRORED_PLACE = _columns()
"""For each of the 272 values: its grid point and its neighbour (0 to 80), and where the difference and its mirror
stand among the 648. Read-only."""


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
