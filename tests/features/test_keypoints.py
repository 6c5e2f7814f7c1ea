"""Extrema of the scale space are found by their definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from py_image_dedup.features.keypoints import LEVELS_PER_OCTAVE, MIN_CONTRAST, find_extrema
from py_image_dedup.signature.arrays import Float32Array, Int64Array

LEVELS = LEVELS_PER_OCTAVE + 2
BORDER = 3


def extrema_by_definition(difference: Float32Array) -> list[int]:
    """Return each light point that none of its 26 neighbours exceeds, and each dark one that exceeds none of them."""
    _, height, width = difference.shape
    least = np.float32(0.6 * MIN_CONTRAST)
    found = []
    inner = itertools.product(range(1, LEVELS - 1), range(BORDER, height - BORDER), range(BORDER, width - BORDER))
    for level, row, column in inner:
        cube = difference[level - 1 : level + 2, row - 1 : row + 2, column - 1 : column + 2]
        value = difference[level, row, column]
        if (value > least and value == cube.max()) or (value < -least and value == cube.min()):
            found.append((level * height + row) * width + column)
    return found


def rough(seed: int, *, steps: float, offset: float) -> Float32Array:
    """Return differences in a few steps, so that neighbours are equal and many points are extrema."""
    noise = np.random.default_rng(seed).normal(offset, 4, (LEVELS, 23, 37))
    return (np.rint(noise / steps) * steps).astype(np.float32)


def as_list(indices: Int64Array) -> list[int]:
    return [int(index) for index in indices]


@pytest.mark.parametrize("steps", [1e-3, 0.6, 4.0])
@pytest.mark.parametrize("offset", [-8.0, 0.0, 8.0])
def test_extrema_are_those_of_the_definition_in_ascending_order(steps: float, offset: float) -> None:
    difference = rough(int(offset * 10 + steps * 1000) + 100, steps=steps, offset=offset)

    expected = extrema_by_definition(difference)

    assert len(expected) > 20
    assert as_list(find_extrema(difference)) == expected


def test_weak_extrema_do_not_count() -> None:
    assert as_list(find_extrema(rough(1, steps=1e-3, offset=0) / 100)) == []


def test_a_lightest_point_counts_only_if_it_is_light_and_a_darkest_one_only_if_it_is_dark() -> None:
    bowl = np.tile(np.hypot(*np.ogrid[-10:11, -10:11]), (LEVELS, 1, 1)).astype(np.float32) + 5

    assert as_list(find_extrema(bowl)) == []
    assert len(find_extrema(bowl - 20)) > 0
    assert as_list(find_extrema(20 - bowl)) == extrema_by_definition(20 - bowl)


def test_points_near_the_border_do_not_count() -> None:
    difference = np.zeros((LEVELS, 9, 9), dtype=np.float32)
    difference[2, 2, 4] = difference[2, 5, 6] = 50

    assert as_list(find_extrema(difference)) == []
    difference[2, 4, 4] = 60
    assert as_list(find_extrema(difference)) == [2 * 81 + 4 * 9 + 4]
