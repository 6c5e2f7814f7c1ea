import io
import json
from dataclasses import asdict
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.worker.inspect import read_full
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.inspection import Outcome, RegionKind, Side
from tests.inspection.pictures import USUAL
from tests.support.photographs import photograph

SIZE = (420, 300)
SEEDS = range(8)


def photo(seed, size=SIZE):
    return _photo(seed, size).copy()


@cache
def _photo(seed, size):
    rng = np.random.default_rng(seed)
    layers = np.zeros((size[1], size[0], 3))
    for cell, weight in ((60, 60), (20, 30), (7, 14), (3, 7)):
        coarse = rng.normal(0, 1, (size[1] // cell + 2, size[0] // cell + 2, 3))
        coarse = coarse.mean(axis=2, keepdims=True) * 1.4 + coarse * 0.5
        layers += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) * weight
    picture = Image.fromarray(np.clip(layers + 120, 0, 255).astype("uint8"))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y, side = (int(value) for value in rng.integers(10, 260, 3))
        colour = tuple(int(value) for value in rng.integers(20, 235, 3))
        draw.rectangle((x, y, x + side // 3 + 8, y + side // 5 + 8), fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(0.8))


def saved(picture, kind="JPEG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **USUAL.get(kind, {}) | options)
    return read_full(stream, 50_000_000)


def noisy(picture, sigma, seed):
    pixels = np.asarray(picture)
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype("uint8"))


def page(seed, figure):
    rng = np.random.default_rng(seed)
    sheet = Image.new("L", (620, 500), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for row in range(12):
        words = " ".join("".join(chr(97 + letter) for letter in rng.integers(0, 26, 6)) for _ in range(7))
        draw.text((30, 30 + 36 * row), words, font=font, fill=0)
    draw.text((500, 465), figure, font=font, fill=0)
    return sheet


def moment(text, exposure=None):
    data = Image.Exif()
    taken = data.get_ifd(0x8769)
    taken[0x9003] = text
    if exposure:
        taken[0x829A] = exposure
    return data


WHOLE_EDITS = {
    "quality 10": lambda picture: saved(picture, quality=10),
    "quality 75": lambda picture: saved(picture, quality=75),
    "half the size": lambda picture: saved(picture.resize((210, 150), Image.Resampling.LANCZOS)),
    "blurred": lambda picture: saved(picture.filter(ImageFilter.GaussianBlur(2))),
    "sharpened": lambda picture: saved(picture.filter(ImageFilter.UnsharpMask(2, 100, 2))),
    "brighter until clipped": lambda picture: saved(ImageEnhance.Brightness(picture).enhance(1.7), "PNG"),
    "less saturated": lambda picture: saved(ImageEnhance.Color(picture).enhance(0.4)),
    "grey": lambda picture: saved(picture.convert("L")),
    "WebP": lambda picture: saved(picture, "WEBP", quality=60),
    "turned": lambda picture: saved(picture.transpose(Image.Transpose.ROTATE_90)),
}


@pytest.mark.parametrize("edit", WHOLE_EDITS)
@pytest.mark.parametrize("seed", range(2))
def test_an_edit_of_the_whole_picture_is_covered(seed, edit):
    picture = photo(seed)
    found = inspect(saved(picture, quality=95), WHOLE_EDITS[edit](picture))
    assert found.outcome is Outcome.COVERED, found.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_another_figure_on_a_page_is_seen(seed):
    one, two = (saved(page(seed, text), quality=85) for text in (f"1{seed}37.50", f"1{seed}87.50"))
    found = inspect(one, two)
    assert found.outcome is Outcome.EDITED
    assert found.regions[0].x > 480
    assert found.regions[0].y > 450


@pytest.mark.parametrize("seed", SEEDS)
def test_a_small_copy_of_a_page_is_covered(seed):
    sheet = page(seed, "1237.50")
    found = inspect(saved(sheet, quality=85), saved(sheet.resize((465, 375), Image.Resampling.LANCZOS), quality=75))
    assert found.outcome is Outcome.COVERED, found.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_a_caption_is_an_edit_whichever_file_stays(seed):
    picture = photo(seed)
    written = picture.copy()
    ImageDraw.Draw(written).text((40, 240), f"holiday {seed}", font=ImageFont.load_default(26), fill="white")
    one, two = saved(picture), saved(written)
    assert inspect(one, two).outcome is Outcome.EDITED
    assert inspect(two, one).outcome is Outcome.EDITED


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grey_lower_part_is_damage_and_the_whole_file_the_original(seed):
    picture = photo(seed)
    damaged = picture.copy()
    damaged.paste((128, 128, 128), (0, 150 + 10 * seed, *SIZE))
    found = inspect(saved(damaged, quality=97), saved(picture))
    assert found.outcome in {Outcome.EDITED, Outcome.DIFFERENT}
    assert found.original.side is Side.RIGHT
    assert found.original.sure
    assert found.regions[0].kind in {RegionKind.CUT_OFF, RegionKind.FLAT}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bar_hides_and_the_open_file_is_the_original(seed):
    picture = photo(seed)
    hidden = picture.copy()
    hidden.paste((0, 0, 0), (120, 90, 200 + seed, 150))
    found = inspect(saved(picture), saved(hidden, quality=97))
    assert found.outcome is Outcome.EDITED
    assert (found.original.side, found.original.sure) == (Side.LEFT, True)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_exposures_by_the_camera_s_clock_are_not_one(seed):
    scene = photo(seed)
    one, two = (
        saved(noisy(scene, 3, 10 * seed + number), quality=85, exif=moment(f"2020:01:02 10:{15 * number:02}:00"))
        for number in range(2)
    )
    assert inspect(one, two).outcome is Outcome.ANOTHER_SHOT


@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_with_a_corrected_date_stays_a_copy(seed):
    scene = saved(noisy(photo(seed), 2, seed), quality=92, exif=moment("2020:01:02 10:00:00"))
    again = Image.fromarray(np.ascontiguousarray(scene.pixels[:, :, ::-1]))
    copy = saved(again, quality=85, exif=moment("2021:01:02 10:00:00"))
    assert inspect(scene, copy).outcome is Outcome.COVERED


@pytest.mark.parametrize("count", range(2, 10))
def test_other_frames_behind_one_first_frame_are_more(count):
    def film(start):
        frames = [photo(start + number, (160, 120)) for number in range(count)]
        return saved(photo(1, (160, 120)), "TIFF", save_all=True, append_images=frames)

    one, two, still = film(20), film(40), saved(photo(1, (160, 120)), "TIFF")
    assert inspect(one, two).outcome is Outcome.BOTH_HAVE_MORE
    assert "frames" in inspect(still, one).lacks
    assert not inspect(one, still).is_removable
    assert inspect(one, film(20)).outcome is Outcome.COVERED


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_flattened_or_reduced_keeper_lacks_is_named(seed):
    picture = photo(seed)
    alpha = Image.new("L", SIZE, 0)
    ImageDraw.Draw(alpha).ellipse((40, 20, 300 + seed, 280), fill=255)
    cut = picture.copy()
    cut.putalpha(alpha)
    flat = Image.new("RGB", SIZE, "white")
    flat.paste(cut, mask=alpha)
    assert "transparency" in inspect(saved(flat, "PNG"), saved(cut, "PNG")).lacks
    assert not inspect(saved(cut, "PNG"), saved(flat, "PNG")).is_removable
    assert "colour" in inspect(saved(picture.convert("L")), saved(picture)).lacks
    fine = np.asarray(picture.convert("L")).astype(np.uint16) * 256 + np.random.default_rng(seed).integers(
        0, 256, SIZE[::-1], dtype=np.uint16
    )
    deep = saved(Image.fromarray(fine), "PNG")
    plain = saved(picture.convert("L"), "PNG")
    assert "bit depth" in inspect(plain, deep).lacks
    assert inspect(deep, plain).outcome is Outcome.COVERED


@pytest.mark.parametrize("seed", SEEDS)
def test_a_smaller_keeper_lacks_resolution(seed):
    picture = noisy(photo(seed), 4, seed)
    found = inspect(saved(picture.resize((210, 150), Image.Resampling.LANCZOS)), saved(picture))
    assert found.outcome is Outcome.MORE
    assert "resolution" in found.lacks


def test_another_photo_is_not_the_same():
    assert inspect(saved(photo(1)), saved(photo(2))).outcome is Outcome.DIFFERENT


def test_a_tiny_file_is_too_small_to_tell():
    tiny = saved(photo(1).resize((40, 30)))
    assert inspect(saved(photo(1)), tiny).outcome is Outcome.UNDECIDED


def test_a_result_can_be_written_as_json():
    found = inspect(saved(photo(1)), saved(photo(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=60))
    assert json.loads(json.dumps(asdict(found)))["outcome"] == "covered"


def test_a_file_above_the_limit_is_refused_by_name():
    stream = io.BytesIO()
    photo(1).save(stream, "PNG")
    with pytest.raises(MediaError) as refused:
        read_full(stream, 1000)
    assert refused.value.reason is FailureReason.TOO_LARGE


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sharpened_copy_is_never_surely_the_original(seed, tmp_path):
    first = tmp_path / "first.jpg"
    photograph(seed, 640, 480).save(first, quality=85)
    with Image.open(first) as opened:
        sharpened = opened.filter(ImageFilter.UnsharpMask(1.5, 120, 1))
    sharpened.save(tmp_path / "sharpened.jpg", quality=85)
    one, two = read_full(first, 10**8), read_full(tmp_path / "sharpened.jpg", 10**8)
    found, reverse = inspect(one, two).original, inspect(two, one).original
    assert not (found.side is Side.RIGHT and found.sure)
    assert not (reverse.side is Side.LEFT and reverse.sure)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dark", [8, 16])
def test_a_step_of_brightness_over_half_of_a_picture_is_a_difference(seed, dark, tmp_path):
    image = photograph(seed, 640, 480)
    values = np.asarray(image).astype(np.int16)
    values[220:] -= dark
    image.save(tmp_path / "whole.jpg", quality=90)
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(tmp_path / "damaged.jpg", quality=90)
    one, two = read_full(tmp_path / "whole.jpg", 10**8), read_full(tmp_path / "damaged.jpg", 10**8)
    for found in (inspect(one, two), inspect(two, one)):
        assert found.outcome is Outcome.EDITED
        assert found.regions
