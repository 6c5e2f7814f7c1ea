"""Extrema of the scale space are found by their definition, and directions are a circle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from py_image_dedup.features.keypoints import (
    CELLS,
    DIRECTIONS,
    LEVELS_PER_OCTAVE,
    MIN_CONTRAST,
    GradientSampler,
    assign_orientations,
    compute_descriptors,
    find_extrema,
)
from py_image_dedup.signature.arrays import Float32Array, Float64Array, Int64Array

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


class OneDirection(GradientSampler):
    """A sampler whose gradients all have length 1 and one direction for each keypoint."""

    def __init__(self, directions: list[float]) -> None:
        self._directions = np.array(directions, dtype=np.float32)

    def gradients(
        self, rows: Int64Array, angles: Float64Array, reach: float, count: int
    ) -> tuple[Float32Array, Float32Array]:
        direction = np.repeat(self._directions[rows][:, None], count * count, axis=1)
        return np.ones_like(direction), direction


def shares_of_directions(direction: float) -> Float64Array:
    """Return the share of each of the eight directions in a descriptor: the root of the share of the gradients."""
    descriptor = compute_descriptors(OneDirection([direction]), np.array([0]), np.zeros(1))
    squares = (descriptor.astype(np.float64) ** 2).reshape(CELLS**2, DIRECTIONS).sum(axis=0)
    return squares / squares.sum()


@pytest.mark.parametrize("number", range(DIRECTIONS))
def test_a_gradient_counts_for_the_direction_that_it_has(number: int) -> None:
    shares = shares_of_directions(number * 2 * math.pi / DIRECTIONS)

    assert shares[number] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("number", range(DIRECTIONS))
def test_a_gradient_between_two_directions_counts_for_both_also_across_the_end_of_the_circle(number: int) -> None:
    shares = shares_of_directions((number + 0.5) * 2 * math.pi / DIRECTIONS)

    assert shares[[number, (number + 1) % DIRECTIONS]] == pytest.approx(0.5, abs=1e-3)


def test_a_direction_of_two_pi_is_the_direction_0() -> None:
    full = float(np.float32(2 * math.pi))

    assert shares_of_directions(full) == pytest.approx(shares_of_directions(0), abs=1e-5)
    _, angles = assign_orientations(OneDirection([0, full]), 2)
    assert np.cos(angles) == pytest.approx(1)


def test_orientations_are_the_directions_of_the_gradients_around_the_whole_circle() -> None:
    given = [0.0, 0.05, 1.0, 2.5, 4.0, 6.2, 6.28]

    rows, angles = assign_orientations(OneDirection(given), len(given))

    assert rows.tolist() == list(range(len(given)))
    assert np.cos(angles - given) == pytest.approx(1, abs=5e-3)
