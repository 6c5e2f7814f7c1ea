"""Edits of the whole picture of the keeper itself: the copy may go."""

from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from py_image_dedup.inspection.align import align
from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.lattice import Lattice, earlier_quality
from py_image_dedup.inspection.original import Evidence, judge
from py_image_dedup.inspection.shots import Noise
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import encoded, exposed, read, reopened, saved, scene

LANCZOS, BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC


@cache
def a_photograph(seed):
    return encoded(exposed(scene(seed), seed, 6000), quality=92)


def resized(picture, share, how=LANCZOS):
    return picture.resize((round(picture.width * share), round(picture.height * share)), how)


def toned(picture, curve):
    return picture.point([round(min(max(curve(level / 255), 0), 1) * 255) for level in range(256)] * 3)


def with_sepia(picture):
    weights = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    return Image.fromarray(np.clip(np.asarray(picture) @ weights.T, 0, 255).astype(np.uint8))


def with_noise(picture, sigma=5):
    noise = np.random.default_rng(1).normal(0, sigma, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


EDITS = {
    "quality 30": lambda picture: saved(picture, quality=30),
    "quality 95": lambda picture: saved(picture, quality=95),
    "a third of the size": lambda picture: saved(resized(picture, 0.35), quality=85),
    "three quarters of the size": lambda picture: saved(resized(picture, 0.75, BICUBIC), quality=80),
    "enlarged 1.5 times": lambda picture: saved(resized(picture, 1.5), quality=85),
    "enlarged twice": lambda picture: saved(resized(picture, 2, BICUBIC), quality=85),
    "PNG": lambda picture: saved(picture, "PNG"),
    "WebP": lambda picture: saved(picture, "WEBP", quality=70),
    "a little brighter": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.15)),
    "brighter until clipped": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.9)),
    "brighter until clipped, PNG": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.9), "PNG"),
    "more contrast": lambda picture: saved(ImageEnhance.Contrast(picture).enhance(1.5)),
    "more saturated": lambda picture: saved(ImageEnhance.Color(picture).enhance(2)),
    "gamma": lambda picture: saved(toned(picture, lambda level: level**0.6)),
    "sepia": lambda picture: saved(with_sepia(picture)),
    "a map of colours": lambda picture: saved(ImageOps.colorize(picture.convert("L"), "#20140a", "#fff3dc", "#9a7a55")),
    "warmer": lambda picture: saved(Image.fromarray((np.asarray(picture) * [1, 0.9, 0.75]).astype(np.uint8))),
    "grey": lambda picture: saved(picture.convert("L")),
    "blurred": lambda picture: saved(picture.filter(ImageFilter.GaussianBlur(1.5))),
    "sharpened": lambda picture: saved(ImageEnhance.Sharpness(picture).enhance(2)),
    "grain": lambda picture: saved(with_noise(picture)),
    "turned": lambda picture: saved(picture.transpose(Image.Transpose.ROTATE_270)),
    "mirrored": lambda picture: saved(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=75),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", range(2))
def test_a_copy_of_the_whole_keeper_may_go(seed, edit):
    content = a_photograph(seed)
    found = inspect(read(content), EDITS[edit](reopened(content)))
    assert found.outcome is Outcome.COVERED, found.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_border_on_the_copy_is_covered_and_makes_the_other_file_the_original(seed):
    content = a_photograph(seed)
    framed = saved(ImageOps.expand(reopened(content), 14, "black"), quality=85)
    found = inspect(read(content), framed, np.array([[1, 0, 14], [0, 1, 14], [0, 0, 1.0]]))
    assert found.outcome is Outcome.COVERED, found.reason
    assert found.original.side is Side.LEFT


@pytest.mark.parametrize("seed", range(8))
def test_an_earlier_save_shows_in_a_file_of_any_format(seed):
    poor = encoded(scene(seed), quality=60)
    assert abs(earlier_quality(saved(reopened(poor), "PNG")) - 60) <= 2
    assert abs(earlier_quality(saved(reopened(poor), quality=95)) - 60) <= 2
    assert earlier_quality(saved(exposed(scene(seed), seed), "PNG")) == 0


@pytest.mark.parametrize("seed", range(8))
def test_the_original_is_the_file_that_was_saved_first(seed):
    content = a_photograph(seed)
    first, again = read(content), saved(reopened(content), quality=75)
    found = inspect(first, again).original
    assert (found.side, found.sure) == (Side.LEFT, True)
    turned = inspect(again, first).original
    assert (turned.side, turned.sure) == (Side.RIGHT, True)
    assert found.reversed().reason == turned.reason


@pytest.mark.parametrize("seed", range(4))
def test_a_file_that_was_drawn_on_is_not_proposed_as_the_original(seed):
    content = a_photograph(seed)
    marked = reopened(content)
    marked.paste((250, 250, 250), (60, 60, 64, 240))
    marked.paste((250, 250, 250), (80, 60, 84, 240))
    found = inspect(read(content), saved(marked, quality=95))
    assert found.outcome is Outcome.EDITED
    assert found.original.side is not Side.RIGHT


BORDERS = [
    (0.02, 0.02, "black"),
    (0.12, 0.12, "white"),
    (0, 0.12, "black"),
    (0, 0.05, "white"),
    (0.1, 0, "grey"),
    (0.02, 0, "black"),
]
"""Shares of the width and of the height that a border adds on each side, and its colour."""


@pytest.mark.parametrize("size", [(420, 300), (300, 420)], ids=["landscape", "portrait"])
@pytest.mark.parametrize(("beside", "above", "colour"), BORDERS)
def test_a_reduced_copy_with_a_plain_border_is_covered(size, beside, above, colour):
    content = encoded(exposed(scene(5, size), 5, 6000), quality=92)
    wide, high = round(size[0] * beside), round(size[1] * above)
    framed = ImageOps.expand(reopened(content), (wide, high, wide, high), colour)
    small = resized(framed, 0.7)
    across, down = small.width / framed.width, small.height / framed.height
    placed = np.array([
        [across, 0, across * wide + (across - 1) / 2], [0, down, down * high + (down - 1) / 2], [0, 0, 1.0],
    ])  # fmt: skip
    found = inspect(read(content), saved(small, quality=85), placed)
    assert found.outcome is Outcome.COVERED, found.reason
    assert found.original.side is Side.LEFT


@pytest.mark.parametrize("seed", range(4))
def test_a_change_beside_a_border_is_still_seen(seed):
    content = a_photograph(seed)
    changed = reopened(content)
    colour = tuple(255 - level for level in changed.getpixel((40, 200)))
    ImageDraw.Draw(changed).ellipse((6, 180, 46, 220), fill=colour)
    framed = saved(ImageOps.expand(changed, 30, "black"), quality=85)
    found = inspect(read(content), framed, np.array([[1, 0, 30], [0, 1, 30], [0, 0, 1.0]]))
    assert found.outcome is Outcome.EDITED


@pytest.mark.parametrize("how", ["LANCZOS", "BICUBIC", "BILINEAR", "NEAREST"])
@pytest.mark.parametrize("times", [1.25, 1.5, 2, 3])
@pytest.mark.parametrize("kept", [85, 97, None])
def test_an_enlargement_is_not_taken_for_the_original(times, how, kept):
    content = encoded(exposed(scene(int(4 * times), (300, 220)), 3, 6000), quality=92)
    enlarged = resized(reopened(content), times, Image.Resampling[how])
    large = saved(enlarged, quality=kept) if kept else saved(enlarged, "PNG", compress_level=1)
    for found in (inspect(read(content), large).original, inspect(large, read(content)).original.reversed()):
        assert (found.side, found.sure) != (Side.RIGHT, True), found.reason


@pytest.mark.parametrize("share", [0.5, 0.33])
@pytest.mark.parametrize("seed", range(4))
def test_a_reduction_s_larger_file_is_the_original(seed, share):
    content = a_photograph(seed)
    found = inspect(read(content), saved(resized(reopened(content), share), quality=85)).original
    assert found.side is Side.LEFT, found.reason


def a_question_of_size(larger, smaller):
    """Evidence on a photograph as the smaller file and one of twice its side, by the files' coefficients alone."""
    content = a_photograph(1)
    left, right = read(content), saved(resized(reopened(content), 2), quality=95)
    pair = align(left.pixels, right.pixels, None, None)
    nothing = ((), ())
    return Evidence(left, right, pair, smaller, larger, Noise(0, 0, 0), 0.0, (False, False), nothing)


def test_rounding_in_the_smaller_file_does_not_make_the_larger_one_the_original():
    found = judge(a_question_of_size(Lattice(0.319, 0.213), Lattice(0.297, 0.098)))
    assert (found.side, found.sure) == (Side.LEFT, False)


def test_rounding_in_the_smaller_file_and_detail_in_the_larger_one_prove_a_reduction():
    found = judge(a_question_of_size(Lattice(0.9, 0.75), Lattice(0.25, 0.05)))
    assert (found.side, found.sure) == (Side.RIGHT, True)
    assert "saved again" in found.reason


def judged_by_grain(left, right, noise):
    pair = align(left.pixels, right.pixels, None, None)
    return judge(Evidence(left, right, pair, None, None, noise, 0.0, (False, False), ((), ())))


def test_noise_that_a_tone_curve_scales_is_no_grain():
    picture = exposed(scene(1), 1, 900)
    bright = saved(ImageEnhance.Brightness(picture).enhance(1.9), "PNG")
    found = judged_by_grain(saved(picture, "PNG"), bright, Noise(2.01, 0.76, 38))
    assert "grain" not in found.reason
    assert found.side is not Side.RIGHT


def test_noise_that_remains_at_one_tone_is_grain():
    picture = exposed(scene(1), 1, 3000)
    found = judged_by_grain(saved(picture, "PNG"), saved(with_noise(picture, 9), "PNG"), Noise(0.1, 4.0, 38))
    assert found.reason == "B has grain added"
    assert found.side is Side.LEFT
