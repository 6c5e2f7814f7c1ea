"""Aligned pixels tell a copy from another photo, and what was drawn over from what moved."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from py_image_dedup.verification.compare import Comparison, compare, detect_overlay, shows_other_print
from py_image_dedup.verification.registration import overlap, register
from py_image_dedup.verification.transform import Transform, scaling, translation
from tests.support.photographs import grey, photograph
from tests.verification.edited import letter

Grey = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture() -> Grey:
    return grey(photograph(21), short=160)


def moved(picture: Grey, x: float, y: float) -> Grey:
    height, width = picture.shape
    return cv2.warpAffine(picture, np.float64([[1, 0, x], [0, 1, y]]), (width, height), flags=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.4, -0.3), (2.3, 1.7), (-4.0, 3.0)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(picture: Grey, x: float, y: float) -> None:
    found = register(picture, moved(picture, x, y), Transform(np.eye(3)))

    assert found is not None
    middle = found.transform.apply(np.array([[100.0, 80.0]]))[0]
    assert middle == pytest.approx([100 + x, 80 + y], abs=0.08)


def test_a_small_turn_and_scale_are_found(picture: Grey) -> None:
    height, width = picture.shape
    truth = cv2.getRotationMatrix2D((width / 2, height / 2), 1.5, 1.02)
    copy = cv2.warpAffine(picture, truth, (width, height), flags=cv2.INTER_CUBIC)

    found = register(picture, copy, Transform(np.eye(3)))

    assert found is not None
    assert np.abs(found.transform.matrix[:2, :2] - truth[:, :2]).max() < 0.002


def test_a_sticker_does_not_pull_the_alignment_away(picture: Grey) -> None:
    copy = moved(picture, 1.5, 0).copy()
    copy[30:90, 40:120] = 255

    found = register(picture, copy, Transform(np.eye(3)))

    assert found is not None
    assert found.transform.apply(np.array([[180.0, 140.0]]))[0] == pytest.approx([181.5, 140], abs=0.1)


def test_what_cannot_be_aligned_stays_where_it_was(picture: Grey) -> None:
    start = translation(3, 5)

    found = register(picture, grey(photograph(22), short=160), start)

    assert found is not None
    comparison = compare(found)
    assert comparison is not None
    assert comparison.mismatch_share > 0.3
    assert comparison.exact_weight < 0.1


def test_the_coarser_picture_is_the_base(picture: Grey) -> None:
    small = cv2.resize(picture, (106, 80), interpolation=cv2.INTER_AREA)
    height, width = picture.shape
    to_small = scaling(106 / width, 80 / height)

    there, back = overlap(picture, small, to_small), overlap(small, picture, to_small.inverse())

    assert there is not None
    assert back is not None
    assert (there.reference_is_left, back.reference_is_left) == (False, True)
    assert there.reference.shape == back.reference.shape == (80, 106)
    assert np.allclose(there.transform.matrix, to_small.matrix)
    assert np.abs(there.reference - there.warped)[5:-5, 5:-5].mean() < 6


def test_pictures_that_hardly_overlap_have_no_overlap(picture: Grey) -> None:
    assert overlap(picture, picture, translation(picture.shape[1] - 5, 0)) is None


def test_brightness_and_contrast_are_no_difference(picture: Grey) -> None:
    copy = np.clip(picture * 0.6 + 70, 0, 255).astype(np.uint8)

    comparison = compared(picture, copy)

    assert comparison.mismatch_share == 0
    assert comparison.exact_weight > 0.95
    assert comparison.median_shift < 0.1


def test_half_a_pixel_is_a_difference(picture: Grey) -> None:
    comparison = compared(picture, moved(picture, 0.8, 0.5))

    assert comparison.median_shift > 0.6
    assert comparison.exact_weight < 0.2


def test_a_black_bar_is_drawn(picture: Grey) -> None:
    copy = picture.copy()
    copy[140:] = 0

    comparison = compared(picture, copy)
    found = overlap(picture, copy, Transform(np.eye(3)))

    assert found is not None
    assert 0.05 < comparison.mismatch_share < 0.2
    assert detect_overlay(found, comparison).has_overlay


@pytest.mark.parametrize("what", ["bar", "letters", "sticker"])
def test_it_is_told_over_which_of_two_pictures_something_was_drawn(what: str) -> None:
    # A sky above, so that letters stand on the picture's one even colour; and a lawn below, under the bar.
    picture = grey(photograph(5), short=160).copy()
    picture[:40] = np.linspace(180, 190, 40, dtype=np.uint8)[:, None]
    drawn_over = Image.fromarray(picture.copy())
    draw = ImageDraw.Draw(drawn_over)
    if what == "bar":
        draw.rectangle((0, 135, picture.shape[1], 160), fill=10)
    elif what == "letters":
        draw.text((20, 5), "MONDAY AGAIN", 255, ImageFont.load_default(24), stroke_width=2, stroke_fill=0)
    else:
        draw.ellipse((60, 60, 130, 125), fill=230)
    copy = np.asarray(drawn_over)
    for left, right in ((picture, copy), (copy, picture)):
        found = overlap(left, right, Transform(np.eye(3)))
        assert found is not None
        base_is_copy = found.reference_is_left == (left is copy)
        changes = detect_overlay(found, compared(left, right))
        assert (changes.has_overlay, changes.over_reference) == (True, base_is_copy)


def test_a_piece_of_another_photo_is_not_drawn(picture: Grey) -> None:
    copy = picture.copy()
    copy[40:100, 50:130] = grey(photograph(23), short=160)[40:100, 50:130]

    comparison = compared(picture, copy)
    found = overlap(picture, copy, Transform(np.eye(3)))

    assert found is not None
    assert not detect_overlay(found, comparison).has_overlay


def test_other_print_on_the_same_paper_is_noticed_and_print_under_a_bar_is_not() -> None:
    pages = [grey(letter(5, digits=digits), short=256) for digits in (1, 2)]
    covered = pages[0].copy()
    covered[100:160, 20:200] = 0

    other, hidden = compared(*pages), compared(pages[0], covered)

    assert (shows_other_print(other), shows_other_print(hidden)) == (True, False)
    assert detect_overlay(other.overlap, other).uncovered > 0
    assert detect_overlay(hidden.overlap, hidden).uncovered == 0


def compared(left: Grey, right: Grey) -> Comparison:
    found = overlap(left, right, Transform(np.eye(3)))
    assert found is not None
    comparison = compare(found)
    assert comparison is not None
    return comparison
