"""Edits of the whole picture that are made anew: they explain such a copy exactly, and nothing that was drawn."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.reencoding import edited
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import amounts, encoded, exposed, invoice, read, reopened, saved, scanned, scene


def toned(picture, curve):
    return picture.point([round(min(max(curve(level / 255), 0), 1) * 255) for level in range(256)] * 3)


EDITS = {
    "median, JPEG": lambda picture: saved(picture.filter(ImageFilter.MedianFilter(3))),
    "median of 5, PNG": lambda picture: saved(picture.filter(ImageFilter.MedianFilter(5)), "PNG"),
    "256 colours, GIF": lambda picture: saved(picture, "GIF"),
    "32 colours, PNG": lambda picture: saved(picture.quantize(32, dither=Image.Dither.NONE), "PNG"),
    "posterised": lambda picture: saved(ImageOps.posterize(picture, 4), "PNG"),
    "gamma, PNG": lambda picture: saved(toned(picture, lambda level: level**1.7), "PNG"),
    "gamma, JPEG": lambda picture: saved(toned(picture, lambda level: level**0.6)),
    "brighter": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.2), quality=85),
    "equalised": lambda picture: saved(ImageOps.equalize(picture)),
    "blurred": lambda picture: saved(picture.filter(ImageFilter.GaussianBlur(0.8))),
    "sharpened": lambda picture: saved(ImageEnhance.Sharpness(picture).enhance(1.5), quality=95),
}


def a_page(seed, total):
    return encoded(scanned(invoice(seed, total), seed).convert("RGB"), quality=92)


@pytest.mark.parametrize("edit", EDITS)
def test_a_page_that_was_edited_as_a_whole_may_go(edit):
    content = a_page(3, amounts(3)[0])
    found = inspect(read(content), EDITS[edit](reopened(content)))
    assert found.outcome is Outcome.COVERED, found.reason
    assert found.original.side is not Side.RIGHT, found.original.reason


@pytest.mark.parametrize("edit", EDITS)
def test_a_photo_that_was_edited_as_a_whole_may_go(edit):
    content = encoded(exposed(scene(5), 5, 6000), quality=92)
    found = inspect(read(content), EDITS[edit](reopened(content)))
    assert found.outcome is Outcome.COVERED, found.reason
    assert found.original.side is Side.LEFT, found.original.reason


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_of_the_whole_page_explains_another_figure(edit):
    """The scan is the same one, so that nothing but the figure differs."""
    one, two = (scanned(invoice(4, total), 4).convert("RGB") for total in amounts(4))
    found = inspect(saved(one, quality=92), EDITS[edit](reopened(encoded(two, quality=92))))
    assert found.outcome is not Outcome.COVERED, found.reason


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_of_the_whole_photo_explains_a_small_thing(edit):
    content = encoded(exposed(scene(6), 6, 6000), quality=92)
    changed = reopened(content)
    changed.paste((230, 20, 40), (120, 200, 134, 214))
    found = inspect(read(content), EDITS[edit](changed))
    assert found.outcome is not Outcome.COVERED, found.reason


def test_a_tint_of_a_grey_picture_is_no_colour_of_its_own():
    grey = scene(7).convert("L")
    warm = Image.fromarray((np.asarray(grey.convert("RGB")) * [1, 0.9, 0.75]).astype(np.uint8))
    found = inspect(saved(grey, quality=92), saved(warm, quality=90))
    assert found.outcome is Outcome.COVERED, found.reason
    assert not found.lacks


def test_an_edit_is_named_in_the_reason():
    content = encoded(scene(8), quality=92)
    found = inspect(read(content), EDITS["median, JPEG"](reopened(content)))
    assert "after a median of 3 x 3 pixels" in found.reason


def test_another_exposure_is_explained_by_no_edit():
    one, two = (saved(exposed(scene(9), seed, 3000), quality=92) for seed in (1, 2))
    found = edited(two, one.pixels)
    assert found is None or not found.is_all


@pytest.mark.parametrize("swapped", [False, True])
def test_a_coarse_file_was_not_saved_from_one_whose_blocks_do_not_explain_it(swapped):
    """A smoothed copy in fine quality foresees most of what its coarse original holds, but not all of it."""
    content = encoded(exposed(scene(11), 11, 1500), quality=70)
    smooth = Image.fromarray(cv2.bilateralFilter(np.asarray(reopened(content)), 5, 25, 3))
    pair = (read(content), saved(smooth, quality=95))
    found = inspect(*(reversed(pair) if swapped else pair)).original
    assert not (found.sure and found.side is (Side.LEFT if swapped else Side.RIGHT)), found


def test_a_copy_with_the_tables_of_an_editor_is_saved_again_exactly():
    content = encoded(scene(12), quality=88)
    found = inspect(read(content), saved(reopened(content), quality="web_very_high"))
    assert found.original.side is Side.LEFT, found.original


def test_the_plain_sky_over_which_a_mark_was_drawn_is_no_missing_part():
    clear = scene(13)
    clear.paste((250, 250, 250), (0, 0, clear.width, 60))
    clear.paste((245, 245, 245), (0, 50, clear.width, 70))
    marked = clear.copy()
    for x in range(0, marked.width, 8):
        marked.paste((90, 90, 90), (x, 5, x + 4, 45))
    found = inspect(saved(clear, quality=92), saved(marked, quality=90))
    assert not (found.original.sure and found.original.side is Side.RIGHT), found.original


def test_a_finer_copy_that_was_drawn_on_is_no_sure_original():
    """Neither was made from the other one: the coarse copy has nothing of what was drawn."""
    content = encoded(exposed(scene(14), 14, 6000), quality=95)
    drawn = reopened(content)
    for x in range(100, 300, 10):
        drawn.paste((200, 60, 60), (x, 150, x + 5, 170))
    pair = (saved(drawn, quality=95), saved(reopened(content), quality=60))
    for files in (pair, pair[::-1]):
        found = inspect(*files)
        assert found.outcome is Outcome.EDITED
        assert not (found.original.sure and files[found.original.side is Side.RIGHT] is pair[0]), found.original
