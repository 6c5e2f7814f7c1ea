"""Which file the other one was made from, by what encoders, resampling and cameras leave in them."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.lattice import PIXELS, lattice
from py_image_dedup.inspection.original import by_camera_data, saved_error
from py_image_dedup.media.worker.inspect import read_full
from py_image_dedup.model.full_picture import ShotFacts
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import encoded, exposed, font, read, reopened, saved, scene
from tests.support.photographs import photograph

SIZE = (400, 296)
NEAREST, BOX, BILINEAR = Image.Resampling.NEAREST, Image.Resampling.BOX, Image.Resampling.BILINEAR
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS
UNMOVED = np.eye(3)


@pytest.fixture(scope="session")
def photo():
    """A photograph as a camera stores it: JPEG, quality 92."""
    return encoded(exposed(scene(3, SIZE), 3, 3000), quality=92)


def resized(picture, factor, how):
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), how)


def scaled(left, right):
    across, down = right.width / left.width, right.height / left.height
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1.0]])


def originals_of(one, two):
    """The finding with either file as the keeper, as if the first file always were."""
    return inspect(one, two).original, inspect(two, one).original.reversed()


def assert_made_from(one, two, *, words="", sure=True):
    for found in originals_of(one, two):
        assert found.side is Side.LEFT, found
        assert found.sure is sure, found
        assert words in found.reason


# What a JPEG's own rounding explains


@pytest.mark.parametrize("quality", [40, 75])
def test_a_file_saved_again_is_foreseen_with_the_even_errors_of_its_rounding(photo, quality):
    first, again = read(photo), saved(reopened(photo), quality=quality)
    found = lattice(again, first.pixels, UNMOVED)
    assert found.is_rounding
    assert found.reach < 2.25
    assert lattice(first, again.pixels, UNMOVED).wide > 2 * found.wide


@pytest.mark.parametrize("sigma", [1, 3])
def test_noise_is_not_taken_for_rounding(photo, sigma):
    rng = np.random.default_rng(1)
    values = np.asarray(reopened(photo)).astype(np.float64) + rng.normal(0, sigma, (*SIZE[::-1], 1))
    noisy = saved(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), quality=97)
    assert not lattice(read(photo), noisy.pixels, UNMOVED).is_rounding


@pytest.mark.parametrize(("factor", "how"), [(0.5, BOX), (0.7, BILINEAR), (0.5, BICUBIC), (0.7, LANCZOS)])
def test_the_levels_of_a_lossless_reduction_follow_from_its_original(photo, factor, how):
    first = read(photo)
    small = saved(resized(reopened(photo), factor, how), "PNG", compress_level=1)
    assert lattice(small, first.pixels, scaled(small, first), PIXELS).is_exact
    assert_made_from(first, small, words="each level of B follows from A")


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT])
def test_values_are_repeated_in_a_turned_lossless_copy(photo, turn):
    assert_made_from(read(photo), saved(reopened(photo).transpose(turn), "PNG"), words="repeats")


def test_the_blocks_of_a_picture_that_is_shown_turned_are_found():
    exif = Image.Exif()
    exif[274] = 6
    picture = exposed(scene(3, (396, 300)), 3, 3000)
    turned = read(encoded(picture, quality=80, exif=exif))
    assert turned.pixels.shape[:2] == (396, 300)
    copy = saved(Image.fromarray(cv2.cvtColor(turned.pixels, cv2.COLOR_BGR2RGB)), quality=97)
    assert lattice(turned, copy.pixels, UNMOVED).is_repeated
    assert_made_from(turned, copy)


@pytest.mark.parametrize("between", [70, 80])
def test_a_save_between_two_files_is_named(photo, between):
    twice = saved(reopened(encoded(reopened(photo), quality=between)), quality=91)
    assert_made_from(read(photo), twice, words=f"quality {between}")


def test_a_lossless_copy_of_a_poor_copy_is_no_other_exposure(photo):
    poor = saved(reopened(encoded(reopened(photo), quality=75)), "PNG")
    assert inspect(read(photo), poor).outcome is Outcome.COVERED
    assert_made_from(read(photo), poor, words="after a save at quality 75")


def test_saving_the_original_again_gives_exactly_the_copy(photo):
    first, again = read(photo), saved(reopened(photo), quality=92)
    assert saved_error(first, again) < 0.01
    assert saved_error(first, saved(reopened(photo), quality=70)) < 0.01
    assert saved_error(saved(reopened(photo), quality=70), first) > 0.3


def test_a_lossless_original_wins_over_a_jpeg_of_it():
    picture = exposed(scene(4, SIZE), 4, 3000)
    for found in originals_of(saved(picture, "PNG"), saved(picture, quality=85)):
        assert found.side is Side.LEFT
        assert found.reason == "B was saved again from A at quality 85"


# Size


@pytest.mark.parametrize(("times", "kept"), [(2, 90), (3, 90), (1.5, None), (2, None), (3, None)])
def test_an_enlargement_by_repeated_pixels_is_recognised(times, kept):
    content = encoded(exposed(scene(5, (240, 200)), 3, 3000), quality=90)
    large = resized(reopened(content), times, NEAREST)
    copy = saved(large, quality=kept) if kept else saved(large, "PNG", compress_level=1)
    assert_made_from(read(content), copy, words=f"enlarged {times:.2g} x")


def test_ties_of_an_enlargement_by_half_are_repeated_as_its_program_rounded_them():
    content = encoded(exposed(scene(5, (240, 200)), 3, 3000), quality=90)
    copy = saved(resized(reopened(content), 1.5, NEAREST), quality=90)
    assert lattice(copy, read(content).pixels, scaled(copy, read(content))).is_rounding
    assert all(found.side is Side.LEFT for found in originals_of(read(content), copy))


def test_a_mosaic_hides_whichever_file_stays(photo):
    hidden = reopened(photo)
    part = hidden.crop((140, 100, 260, 190))
    hidden.paste(part.resize((10, 8), BOX).resize(part.size, NEAREST), (140, 100))
    assert_made_from(read(photo), saved(hidden, quality=92), words="covered")


@pytest.mark.parametrize("factor", [0.9, 0.75, 0.5])
def test_a_reduction_is_made_from_the_larger_file(photo, factor):
    for found in originals_of(read(photo), saved(resized(reopened(photo), factor, BICUBIC), quality=85)):
        assert found.side is Side.LEFT, found


def test_a_thumbnail_is_made_from_the_larger_file(photo):
    thumbnail = saved(resized(reopened(photo), 0.18, BICUBIC), quality=80)
    assert all(found.side is Side.LEFT for found in originals_of(read(photo), thumbnail))


# Tone, grain, colours


TONES = {
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.6),
    "gamma": lambda picture: picture.point([round(255 * (level / 255) ** 0.6) for level in range(256)] * 3),
    "saturated": lambda picture: ImageEnhance.Color(picture).enhance(1.8),
    "grey": ImageOps.grayscale,
}


@pytest.mark.parametrize("tone", TONES)
def test_a_toned_copy_is_made_from_the_other_file(photo, tone):
    copy = saved(TONES[tone](reopened(photo)), quality=80)
    assert all(found.side is Side.LEFT for found in originals_of(read(photo), copy))


def grainy(picture, sigma):
    noise = np.random.default_rng(7).normal(0, sigma, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def test_added_grain_is_white_and_even(photo):
    assert_made_from(read(photo), saved(grainy(reopened(photo), 8), quality=95), words="grain", sure=False)


def test_the_noise_of_a_camera_is_no_grain_that_was_added():
    noisy = encoded(exposed(scene(6, SIZE), 6, 500), quality=95)
    smooth = Image.fromarray(cv2.bilateralFilter(np.asarray(reopened(noisy)), 5, 40, 3))
    for found in originals_of(read(noisy), saved(smooth, quality=95)):
        assert "grain" not in found.reason
        assert found.side is not Side.RIGHT


@pytest.mark.parametrize("how", [ImageFilter.GaussianBlur(2), ImageFilter.MedianFilter(5)])
def test_a_blurred_copy_lacks_detail(photo, how):
    for found in originals_of(read(photo), saved(reopened(photo).filter(how), quality=95)):
        assert found.side is not Side.RIGHT, found


def test_a_palette_took_colours_away(photo):
    assert_made_from(read(photo), saved(reopened(photo), "GIF"), words="palette")


# What was drawn on or damaged


def test_text_on_a_saved_copy_leaves_its_rounding_around_it(photo):
    drawn = reopened(photo)
    ImageDraw.Draw(drawn).text((40, 200), "by the sea", font=font(28), fill="white")
    assert_made_from(read(photo), saved(drawn, quality=75), words="saved again")


@pytest.mark.parametrize("seed", range(4))
def test_what_is_cut_off_by_brightening_is_no_source_of_the_whole(seed):
    picture = scene(seed, SIZE)
    whole = saved(picture, quality=92)
    bright = saved(ImageEnhance.Brightness(picture).enhance(1.9), "PNG")
    for found, side in ((inspect(whole, bright).original, "left"), (inspect(bright, whole).original, "right")):
        assert found.side.value == side, found.reason
    assert not inspect(bright, whole).is_removable


@pytest.mark.parametrize("dark", [16, 24])
def test_the_file_without_a_step_of_brightness_is_the_whole_one(dark):
    picture = photograph(2, 480, 360)
    values = np.asarray(picture).astype(np.int16)
    values[200:] -= dark
    damaged = saved(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), quality=90)
    assert_made_from(saved(picture, quality=90), damaged, words="step of brightness")


def test_a_grey_lower_part_is_no_step_of_brightness():
    picture = photograph(2, 480, 360)
    damaged = picture.copy()
    damaged.paste((128, 128, 128), (0, 234, 480, 360))
    assert_made_from(saved(picture, quality=85), saved(damaged, quality=95), words="A is whole")


# What cameras and programs write


CAMERA = ShotFacts("2021:05:06 07:08:09", 0.01, 2.8, 200, 35.0, None, "Maker Model", "2021:05:06 07:08:09", True)
EDITED = ShotFacts("2021:05:06 07:08:09", 0.01, 2.8, 200, 35.0, None, "Maker Model", "2023:01:02 03:04:05", True)
STRIPPED = ShotFacts("2021:05:06 07:08:09", 0.01, 2.8, 200, 35.0, None, "Maker Model", "2021:05:06 07:08:09", False)


@pytest.mark.parametrize(
    ("copy", "words"),
    [(ShotFacts(), "the data of its exposure"), (EDITED, "saved by a program"), (STRIPPED, "the camera's own data")],
)
def test_the_file_with_the_camera_s_data_as_written_is_proposed(copy, words):
    found, reverse = by_camera_data(CAMERA, copy), by_camera_data(copy, CAMERA)
    assert (found.side, found.sure) == (Side.LEFT, False)
    assert words in found.reason
    assert reverse.reversed() == found


def test_equal_camera_data_propose_nothing():
    assert by_camera_data(CAMERA, CAMERA) is None
    assert by_camera_data(ShotFacts(), ShotFacts()) is None


def test_pixels_that_prove_the_original_count_more_than_camera_data(photo):
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Maker", "2021:05:06 07:08:09"
    exif.get_ifd(0x8769)[0x9003] = "2021:05:06 07:08:09"
    copy = read_full(io.BytesIO(encoded(reopened(photo), quality=70, exif=exif)), 10**8)
    assert copy.shot.is_recorded
    assert copy.shot.is_unchanged
    assert_made_from(read(photo), copy, words="saved again")


def test_an_upscaled_and_a_plain_lossless_file_with_equal_pixels_prove_nothing():
    picture = exposed(scene(7, SIZE), 7, 3000)
    one = saved(picture, "PNG")
    turned = saved(picture.transpose(Image.Transpose.ROTATE_180), "PNG")
    assert all(found.side is Side.UNKNOWN for found in originals_of(one, turned))
