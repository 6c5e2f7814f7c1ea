"""A JPEG as an encoding of another file: what rounding explains, and the blocks that were changed."""

from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from py_image_dedup.inspection.coefficients import plain_lattice
from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.reencoding import reencoding
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import encoded, exposed, read, reopened, saved, scene

SIZE = (203, 157)
"""Width and height, which no block divides."""


@cache
def a_photograph(seed, quality=92, size=SIZE):
    return encoded(exposed(scene(seed, size), seed, 6000), quality=quality)


def changed_blocks(picture, file):
    found = reencoding(file, picture.pixels)
    return sorted((int(row), int(column)) for row, column in np.argwhere(found.changed))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [30, 50, 75, 90, 98])
def test_a_file_saved_again_is_explained_by_rounding(quality, subsampling):
    content = a_photograph(quality)
    again = saved(reopened(content), quality=quality, subsampling=subsampling)
    found = reencoding(again, read(content).pixels)
    assert found.is_whole
    assert not found.changed.any()


def test_a_grey_copy_is_explained_by_rounding():
    content = a_photograph(1)
    grey = saved(reopened(content).convert("L"), quality=80)
    assert reencoding(grey, read(content).pixels).is_whole


def test_a_clipped_page_is_explained_by_rounding():
    page = Image.new("L", (320, 200), 255)
    page.paste(0, (40, 60, 90, 64))
    page.paste(90, (100, 60, 103, 140))
    content = encoded(page, quality=85)
    assert reencoding(saved(reopened(content).convert("L"), quality=40), read(content).pixels).is_whole


@pytest.mark.parametrize("seed", range(8))
def test_a_changed_block_is_found_where_it_is(seed):
    content = a_photograph(seed)
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(0, SIZE[1] // 16)) * 2, int(rng.integers(0, SIZE[0] // 16)) * 2
    pixels = np.array(reopened(content)).astype(int)
    part = np.s_[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    pixels[part] += np.where(pixels[part].mean() > 128, -48, 48)
    damaged = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    for file in (saved(damaged, quality=85, subsampling="4:4:4"), saved(damaged, "PNG", compress_level=1)):
        assert changed_blocks(read(content), file) == [(row, column)]
        for found in (inspect(read(content), file), inspect(file, read(content))):
            assert found.outcome is Outcome.EDITED
            region = found.regions[0]
            assert 8 * column - 12 <= region.x <= 8 * column + 8
            assert 8 * row - 12 <= region.y <= 8 * row + 8


@pytest.mark.parametrize("seed", range(4))
def test_a_dot_of_another_colour_is_found(seed):
    content = a_photograph(seed)
    planes = np.array(reopened(content).convert("YCbCr")).astype(int)
    planes[48:60, 64:76, 1:] += np.where(planes[48:60, 64:76, 1:].mean() > 128, -40, 40)
    dotted = Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8), "YCbCr").convert("RGB")
    found = inspect(read(content), saved(dotted, quality=80))
    assert found.outcome is Outcome.EDITED


@pytest.mark.parametrize("seed", range(4))
def test_another_exposure_is_not_explained_and_has_no_changed_blocks(seed):
    still = scene(seed, SIZE)
    one, two = (saved(exposed(still, 10 * seed + number, 2000), quality=90) for number in range(2))
    found = reencoding(two, one.pixels)
    assert found.explained < 0.5
    assert not found.changed.any()


@pytest.mark.parametrize(
    "edit",
    [
        lambda picture: ImageEnhance.Color(picture).enhance(1.06),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.02),
        lambda picture: ImageEnhance.Sharpness(picture).enhance(1.3),
    ],
    ids=["colour", "brightness", "sharpness"],
)
@pytest.mark.parametrize("seed", range(4))
def test_a_weak_edit_of_the_whole_picture_changes_no_blocks(seed, edit):
    content = a_photograph(seed)
    edited = saved(edit(reopened(content)), quality=90)
    assert not reencoding(edited, read(content).pixels).changed.any()
    assert inspect(read(content), edited).outcome is Outcome.COVERED


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_180])
def test_a_turned_copy_that_was_saved_again_is_covered_by_rounding_alone(turn):
    content = a_photograph(3)
    found = inspect(read(content), saved(reopened(content).transpose(turn), quality=70))
    assert found.outcome is Outcome.COVERED
    assert "block by block" in found.reason
    assert found.original.side is Side.LEFT


def test_the_earlier_of_two_files_is_met_exactly_and_the_later_one_to_within_rounding():
    content = a_photograph(5)
    first, again = read(content), saved(reopened(content), quality=60)
    assert plain_lattice(first, again.pixels).wide > 0.2
    assert plain_lattice(again, first.pixels).wide < 0.1
    assert plain_lattice(first, saved(reopened(content), "PNG").pixels).miss == 0


def test_pictures_of_another_size_or_coding_are_not_looked_at():
    content = a_photograph(5)
    first = read(content)
    assert reencoding(first, first.pixels[:100]) is None
    assert reencoding(saved(reopened(content), "WEBP", quality=90), first.pixels) is None
