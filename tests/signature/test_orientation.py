"""A turned picture's signature is the turned signature."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.compute import _quantise, compute_values
from py_image_dedup.signature.orientation import (
    NEIGHBOUR,
    ORIENTATIONS,
    POINT,
    compose,
    inverse,
    orient_picture,
    orient_signature,
)
from tests.signature.greys import random_grey, scene
from tests.support.signatures import distance

values_of_a_signature = st.binary(min_size=272, max_size=272).map(
    lambda data: (np.frombuffer(data, np.uint8) % 5).astype(np.int8) - np.int8(2)
)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_on_the_grid_turning_is_exact(orientation: Orientation) -> None:
    means = random_grey("means", 9, 9) / 255.0

    def values(grid: np.ndarray) -> Int8Array:
        flat = grid.ravel()
        return _quantise(flat[POINT] - flat[NEIGHBOUR])

    turned = orient_picture(means, orientation)  # type: ignore[arg-type]
    assert np.array_equal(values(turned), orient_signature(values(means), orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_at_sizes_that_are_not_canonical_a_turned_picture_still_comes_near(orientation: Orientation) -> None:
    found = []
    for number in range(12):
        grey = scene(f"turn-{number}", 256, 256 + 40 * (number % 4))
        found.append(
            distance(
                orient_signature(compute_values(grey), orientation), compute_values(orient_picture(grey, orientation))
            )
        )
    # Windows lie a pixel or two beside the middle: see media.canonical for sizes at which they do not.
    assert max(found) < 0.15
    if orientation in {Orientation.UPRIGHT, Orientation.TRANSPOSE}:
        assert max(found) == 0.0, "rows and columns are treated alike"


def test_the_turns_are_those_of_the_exif_tag() -> None:
    grey = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    expected = {
        Orientation.UPRIGHT: [[1, 2, 3], [4, 5, 6]],
        Orientation.MIRROR: [[3, 2, 1], [6, 5, 4]],
        Orientation.ROTATE_180: [[6, 5, 4], [3, 2, 1]],
        Orientation.FLIP: [[4, 5, 6], [1, 2, 3]],
        Orientation.TRANSPOSE: [[1, 4], [2, 5], [3, 6]],
        Orientation.ROTATE_90: [[4, 1], [5, 2], [6, 3]],
        Orientation.TRANSVERSE: [[6, 3], [5, 2], [4, 1]],
        Orientation.ROTATE_270: [[3, 6], [2, 5], [1, 4]],
    }
    assert {orientation: orient_picture(grey, orientation).tolist() for orientation in ORIENTATIONS} == expected


@settings(max_examples=20, deadline=None)
@given(values_of_a_signature)
def test_turns_form_a_group(values: Int8Array) -> None:
    assert np.array_equal(orient_signature(values, Orientation.UPRIGHT), values)
    for first, second in itertools.product(ORIENTATIONS, ORIENTATIONS):
        assert np.array_equal(
            orient_signature(orient_signature(values, first), second), orient_signature(values, compose(first, second))
        )
    for orientation in ORIENTATIONS:
        assert compose(orientation, inverse(orientation)) is Orientation.UPRIGHT
        assert compose(inverse(orientation), orientation) is Orientation.UPRIGHT


@settings(max_examples=20, deadline=None)
@given(values_of_a_signature, values_of_a_signature)
def test_a_turn_keeps_lengths_and_distances(one: Int8Array, other: Int8Array) -> None:
    expected = distance(one, other)
    for orientation in ORIENTATIONS:
        assert distance(orient_signature(one, orientation), orient_signature(other, orientation)) == expected
        assert distance(orient_signature(one, orientation), other) == distance(
            one, orient_signature(other, inverse(orientation))
        )
    assert math.isfinite(expected)


def test_the_eight_turns_of_a_scene_differ() -> None:
    values = compute_values(scene("eight", 256, 341))
    assert len({orient_signature(values, orientation).tobytes() for orientation in ORIENTATIONS}) == 8


def test_turning_many_turns_each() -> None:
    many = np.stack([compute_values(scene(f"many-{number}", 200, 300)) for number in range(3)])
    for orientation in ORIENTATIONS:
        assert np.array_equal(
            orient_signature(many, orientation), np.stack([orient_signature(one, orientation) for one in many])
        )
