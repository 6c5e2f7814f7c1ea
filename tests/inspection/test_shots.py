"""Frames of a camera that stands still, and copies that are hard to tell from them by likeness alone."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from py_image_dedup.inspection.coefficients import coefficients, plane_of
from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.model.inspection import Outcome
from tests.inspection.pictures import encoded, exposed, reopened, saved, scene

SIZE = (480, 360)
KEPT = {Outcome.ANOTHER_SHOT, Outcome.UNDECIDED}
LANCZOS = Image.Resampling.LANCZOS


def reduced(picture, share, kernel=LANCZOS):
    return picture.resize((round(picture.width * share), round(picture.height * share)), kernel)


def frame(seed, number, **light):
    return exposed(scene(seed, SIZE), 10 * seed + number, **light)


def two_frames_of_a_webcam(seed):
    return [saved(frame(seed, number, electrons=2200), quality=75) for number in range(2)]


def a_frame_that_was_saved_again_coarsely(seed):
    first, second = (encoded(frame(seed, number), quality=85) for number in range(2))
    return saved(reopened(first), quality=85), saved(reopened(second), quality=50)


def a_reduced_frame(seed):
    first, second = (encoded(frame(seed, number, electrons=2500), quality=90) for number in range(2))
    return saved(reopened(first), quality=90), saved(reduced(reopened(second), (0.5, 0.6, 0.75)[seed % 3]), quality=85)


def a_darker_frame_that_was_reduced(seed):
    first, second = (frame(seed, number, gain=gain) for number, gain in enumerate((1.0, 0.6)))
    return saved(first), saved(reduced(second, 0.6), quality=90)


DIFFERENT = [
    two_frames_of_a_webcam, a_frame_that_was_saved_again_coarsely, a_reduced_frame, a_darker_frame_that_was_reduced,
]  # fmt: skip


@pytest.mark.parametrize("kind", DIFFERENT, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_another_frame_stays(seed, kind):
    one, two = kind(seed)
    assert inspect(one, two).outcome in KEPT


def saved_twice(picture):
    return saved(reopened(encoded(picture, quality=75)), quality=60)


def brighter_and_coarse(picture):
    return saved(ImageEnhance.Brightness(picture).enhance(1.1), quality=50)


def with_grain(picture):
    noise = np.random.default_rng(3).normal(0, 5, (picture.height, picture.width, 3))
    return saved(Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)), quality=85)


def reduced_and_brighter(picture):
    return saved(ImageEnhance.Brightness(reduced(picture, 0.5)).enhance(1.1), quality=85)


def reduced_and_coarse(picture):
    return saved(reduced(picture, 1 / 3), quality=30)


COPIES = [saved_twice, brighter_and_coarse, with_grain, reduced_and_brighter, reduced_and_coarse]


@pytest.mark.parametrize("edit", COPIES, ids=lambda edit: edit.__name__)
def test_a_copy_with_as_little_likeness_goes(edit):
    content = encoded(frame(1, 0), quality=90)
    found = inspect(saved(reopened(content), quality=90), edit(reopened(content)))
    assert found.outcome is Outcome.COVERED, found.reason


def test_what_is_kept_in_doubt_says_so():
    first, second = (encoded(frame(4, number, electrons=12000), quality=92) for number in range(2))
    found = inspect(saved(reopened(first), quality=92), saved(reduced(reopened(second), 0.4), quality=60))
    assert found.outcome is Outcome.UNDECIDED
    assert "too small" in found.reason


def test_coefficients_lead_back_to_the_plane():
    plane = np.random.default_rng(1).normal(0, 40, (24, 40)).astype(np.float32)
    assert plane_of(coefficients(plane)) == pytest.approx(plane, abs=1e-3)
