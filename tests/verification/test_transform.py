"""Alignments are fitted exactly, combined in order, and read for what they do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.orientation import orient_picture
from py_image_dedup.verification.picture import best_orientation
from py_image_dedup.verification.transform import (
    Transform,
    estimate_affine,
    estimate_homography,
    estimate_similarity,
    reflection,
    scaling,
    translation,
)
from tests.support.photographs import grey, photograph

POINTS = np.random.default_rng(5).uniform(0, 300, (40, 2))


def turned(degrees: float, scale: float = 1.0) -> Transform:
    angle = math.radians(degrees)
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return Transform.affine(linear, np.array([3.0, -7.0]))


@pytest.mark.parametrize("orientation", list(Orientation))
def test_a_whole_picture_is_laid_on_a_whole_picture(orientation: Orientation) -> None:
    swapped = orientation.value >= Orientation.TRANSPOSE
    right = (60.0, 80.0) if swapped else (80.0, 60.0)
    transform = Transform.whole(orientation, (400.0, 300.0), right)
    corners = np.array([[0, 0], [400, 0], [400, 300], [0, 300]], dtype=np.float64)

    moved = transform.apply(corners)

    assert moved.min(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert moved.max(axis=0) == pytest.approx(right)
    assert transform.orientation is orientation
    assert transform.skew == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("orientation", list(Orientation))
def test_the_turn_of_a_picture_is_recognised_from_afar(orientation: Orientation) -> None:
    picture = grey(photograph(3))

    assert best_orientation(picture, np.ascontiguousarray(orient_picture(picture, orientation))) is orientation


def test_another_picture_has_no_turn() -> None:
    assert best_orientation(grey(photograph(3)), grey(photograph(4))) is None


def test_maps_are_done_in_the_order_in_which_they_are_named() -> None:
    both = scaling(2, 3).then(translation(10, 20))

    assert both.apply(np.array([[1.0, 1.0]])).tolist() == [[12, 23]]


def test_mirroring_is_undone_by_mirroring() -> None:
    assert np.allclose(reflection(320).then(reflection(320)).matrix, np.eye(3))


@settings(max_examples=40, deadline=None)
@given(st.floats(-180, 180), st.floats(0.1, 8), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again(degrees: float, scale: float, x: float, y: float) -> None:
    transform = turned(degrees, scale).then(translation(x, y))

    found = estimate_similarity(POINTS, transform.apply(POINTS))

    assert found is not None
    assert np.allclose(found.matrix, transform.matrix, atol=1e-6)
    assert np.allclose(transform.then(transform.inverse()).matrix, np.eye(3), atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(-100, 100))
def test_an_affine_map_is_found_again(linear: list[float], shift: float) -> None:
    transform = Transform.affine(np.array(linear).reshape(2, 2), np.array([shift, -shift]))

    found = estimate_affine(POINTS, transform.apply(POINTS))

    assert found is not None
    assert np.allclose(found.matrix, transform.matrix, atol=1e-6)


def test_a_perspective_is_found_again_among_points_that_lie_elsewhere() -> None:
    matrix = np.array([[1.05, 0.02, 4.0], [-0.01, 0.98, -3.0], [1e-4, 2e-4, 1.0]])
    right = Transform(matrix).apply(POINTS)
    right[:4] += 9

    found = estimate_homography(POINTS, right, 3.0)

    assert found is not None
    assert np.abs(found.apply(POINTS[4:]) - right[4:]).max() < 0.1


def test_points_on_a_line_determine_no_affine_map() -> None:
    line = np.column_stack([np.arange(20.0), 2 * np.arange(20.0)])

    assert estimate_affine(line, line) is None
    assert estimate_affine(line[:2], line[:2]) is None
    assert estimate_similarity(line[:1].repeat(5, axis=0), line[:5]) is None


@pytest.mark.parametrize("degrees", [0.5, 3, 10, -10])
def test_a_slight_turn_is_a_tilt(degrees: float) -> None:
    assert turned(degrees).skew == pytest.approx(abs(degrees))
    assert turned(90 + degrees).skew == pytest.approx(abs(degrees))
    assert turned(90 + degrees).orientation is Orientation.ROTATE_90


def test_squashing_is_no_tilt() -> None:
    assert scaling(0.5, 1.0).skew == 0
    assert scaling(0.5, 1.0).anisotropy == pytest.approx(2)
    assert scaling(0.25, 1.0).scale == pytest.approx(0.5)
