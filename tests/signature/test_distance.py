"""The normalised distance, exact in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.compute import compute_values
from py_image_dedup.signature.distance import distances, squared_lengths
from py_image_dedup.signature.orientation import NEIGHBOUR, ORIENTATIONS, POINT, expand, orient_signature
from tests.signature.greys import scene
from tests.signature.test_orientation import values_of_a_signature
from tests.support.signatures import distance


@settings(max_examples=50, deadline=None)
@given(values_of_a_signature, values_of_a_signature)
def test_it_is_the_distance_between_over_the_sum_of_lengths(a: Int8Array, b: Int8Array) -> None:
    one, other = a.astype(float), b.astype(float)
    expected = np.linalg.norm(one - other) / (np.linalg.norm(one) + np.linalg.norm(other))
    assert distance(a, b) == expected
    assert distance(b, a) == expected
    whole, other_whole = expand(a).astype(float), expand(b).astype(float)
    of_all_648 = np.linalg.norm(whole - other_whole) / (np.linalg.norm(whole) + np.linalg.norm(other_whole))
    assert expected == pytest.approx(of_all_648, rel=1e-15)


def test_the_distance_of_equal_signatures_is_0_of_opposite_ones_1_and_to_a_featureless_picture_1() -> None:
    values = compute_values(scene("one", 256, 341))
    nothing = np.zeros_like(values)
    assert distance(values, values) == 0.0
    assert distance(values, -values) == 1.0
    assert distance(values, nothing) == 1.0
    assert distance(nothing, nothing) == 1.0
    assert distances(nothing, np.stack([nothing, values]))[0].tolist() == [1.0, 1.0]


@settings(max_examples=20, deadline=None)
@given(values_of_a_signature, st.lists(values_of_a_signature, min_size=1, max_size=5))
def test_many_distances_are_the_least_of_the_eight_orientations(one: Int8Array, others: list[Int8Array]) -> None:
    least, best = distances(one, np.stack(others))
    for other, found, orientation in zip(others, least, best, strict=True):
        each = [distance(orient_signature(one, turned), other) for turned in ORIENTATIONS]
        assert found == min(each)
        assert orientation == each.index(min(each)) + 1


def test_the_orientation_is_the_turn_that_makes_the_one_look_like_the_other() -> None:
    one = compute_values(scene("turned", 256, 300))
    least, best = distances(one, np.stack([orient_signature(one, orientation) for orientation in ORIENTATIONS]))
    assert best.tolist() == list(ORIENTATIONS)
    assert least.tolist() == [0.0] * 8


def test_what_looks_the_same_in_every_orientation_is_upright() -> None:
    rows, columns = np.mgrid[-4:5, -4:5]
    hill = (rows**2 + columns**2).ravel()
    symmetric = np.sign(hill[POINT] - hill[NEIGHBOUR]).astype(np.int8)
    assert all(np.array_equal(orient_signature(symmetric, orientation), symmetric) for orientation in ORIENTATIONS)
    least, best = distances(symmetric, symmetric[None])
    assert least.tolist() == [0.0]
    assert best.tolist() == [Orientation.UPRIGHT]


def test_more_rows_than_are_taken_at_once_are_all_answered() -> None:
    values = np.random.default_rng(3).integers(-2, 3, (9000, 272)).astype(np.int8)
    least, best = distances(values[8999], values)
    assert least[8999] == 0.0
    assert best[8999] == Orientation.UPRIGHT
    assert least[:8999].min() > 0.3
    assert np.array_equal(squared_lengths(values), (values.astype(np.int64) ** 2).sum(axis=1))


def test_an_empty_index_gives_empty_answers() -> None:
    least, best = distances(np.ones(272, np.int8), np.zeros((0, 272), np.int8))
    assert len(least) == len(best) == 0


@pytest.mark.parametrize("wrong", [np.zeros((2, 272)), np.zeros((2, 648), np.int8), np.zeros(272, np.int8)])
def test_what_are_no_signatures_is_refused(wrong: Int8Array) -> None:
    with pytest.raises(ValueError, match="signatures are int8"):
        distances(np.ones(272, np.int8), wrong)
