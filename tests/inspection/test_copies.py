"""Edits of the whole picture of the keeper itself: the copy may go."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.lattice import earlier_quality
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import encoded, exposed, read, reopened, saved, scene

LANCZOS, BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC


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
