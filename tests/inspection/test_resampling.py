"""A reduced copy made anew: the kernels of usual programs meet its coefficients, and another exposure is not met."""

from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image

from py_image_dedup.inspection.align import align, plain
from py_image_dedup.inspection.inspect import inspect
from py_image_dedup.inspection.resampling import best_lattice, reduced_anew
from py_image_dedup.inspection.shots import measure_noise, rounding_noise
from py_image_dedup.model.inspection import Outcome, Side
from tests.inspection.pictures import encoded, exposed, read, reopened, saved, scene
from tests.support.pictures import picture

SIZE = (480, 360)
KERNELS = [Image.Resampling[name] for name in ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")]


@cache
def a_photograph(seed):
    return encoded(exposed(scene(seed, SIZE), seed, 6000), quality=92)


def reduced(picture, share, kernel):
    return picture.resize((round(picture.width * share), round(picture.height * share)), kernel)


def matrix_of(keeper, other):
    return plain(keeper.pixels, other.pixels, None, None)


@pytest.mark.parametrize("share", [0.4, 0.63, 0.85])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_reduced_copy_is_met_by_its_kernel_and_covered_block_by_block(kernel, share):
    content = a_photograph(int(10 * share))
    small = saved(reduced(reopened(content), share, kernel), quality=85)
    keeper = read(content)
    assert best_lattice(small, keeper.pixels, matrix_of(keeper, small)).wide < 0.05
    found = inspect(keeper, small)
    assert found.outcome is Outcome.COVERED
    assert "block by block" in found.reason
    assert found.original.side is Side.LEFT


@pytest.mark.parametrize("way", [cv2.INTER_LINEAR, cv2.INTER_CUBIC], ids=["linear", "cubic"])
def test_a_copy_that_was_interpolated_without_averaging_is_met_too(way):
    content = a_photograph(1)
    small = cv2.resize(np.asarray(reopened(content)), (312, 234), interpolation=way)
    copy, keeper = saved(Image.fromarray(small), quality=85), read(content)
    assert best_lattice(copy, keeper.pixels, matrix_of(keeper, copy)).wide < 0.05


def test_a_turned_and_reduced_copy_is_made_anew_as_it_is_turned():
    content = a_photograph(2)
    small = reduced(reopened(content), 0.6, Image.Resampling.LANCZOS).transpose(Image.Transpose.ROTATE_90)
    copy, keeper = saved(small, quality=90), read(content)
    anew = reduced_anew(copy, keeper.pixels, matrix_of(keeper, copy))
    assert anew.shape == copy.pixels.shape
    assert float(np.abs(anew.astype(int) - copy.pixels).mean()) < 3


@pytest.mark.parametrize("seed", range(8))
def test_another_exposure_is_not_met(seed):
    still = scene(seed, SIZE)
    one, two = (exposed(still, 10 * seed + number, 3000) for number in range(2))
    keeper = saved(one, quality=92)
    small = saved(reduced(two, 0.6 + 0.04 * seed, KERNELS[seed % 4]), quality=88)
    assert best_lattice(small, keeper.pixels, matrix_of(keeper, small)).wide > 0.08
    assert reduced_anew(small, keeper.pixels, matrix_of(keeper, small)) is None


@pytest.mark.parametrize("seed", range(8))
def test_what_was_pasted_into_a_reduced_copy_is_found_within_the_keeper(seed):
    content = a_photograph(seed)
    changed = reopened(content)
    x, y = 30 + 50 * seed, 300 - 30 * seed
    level = np.asarray(changed.convert("L"))[y : y + 14, x : x + 14].mean()
    changed.paste((235, 235, 235) if level < 128 else (20, 20, 20), (x, y, x + 14, y + 14))
    found = inspect(read(content), saved(reduced(changed, 0.7, KERNELS[seed % 4]), quality=85))
    assert found.outcome is Outcome.EDITED
    region = found.regions[0]
    assert region.x <= x + 7 < region.x + region.width
    assert region.y <= y + 7 < region.y + region.height
    assert region.x + region.width <= SIZE[0]
    assert region.y + region.height <= SIZE[1]


def test_a_crop_or_another_format_is_not_made_anew():
    content = a_photograph(3)
    keeper = read(content)
    crop = saved(reopened(content).crop((40, 40, 360, 280)), quality=90)
    moved = np.array([[1, 0, 40], [0, 1, 40], [0, 0, 1.0]])
    assert best_lattice(crop, keeper.pixels, moved) is None
    small = saved(reduced(reopened(content), 0.5, KERNELS[3]), "WEBP", quality=90)
    assert best_lattice(small, keeper.pixels, matrix_of(keeper, small)) is None


@pytest.mark.parametrize("share", [0.5, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_two_sizes_that_were_saved_from_one_source_are_one_photo(seed, share):
    source = picture(seed, 640, 480)
    small = saved(reduced(source, share, Image.Resampling.BICUBIC), quality=90)
    assert inspect(saved(source, quality=90), small).outcome is Outcome.COVERED


@pytest.mark.parametrize("quality", [75, 90])
@pytest.mark.parametrize("seed", range(4))
def test_a_crop_that_was_saved_from_one_source_with_the_whole_is_a_part(seed, quality):
    source = picture(seed, 640, 480)
    part = saved(source.crop((90, 60, 560, 420)), quality=quality)
    to_part = np.array([[1, 0, -90], [0, 1, -60], [0, 0, 1.0]])
    assert inspect(saved(source, quality=90), part, to_part).outcome is Outcome.PARTIAL


@pytest.mark.parametrize("quality", [70, 85, 92])
def test_rounding_noise_is_what_saving_changed(quality):
    source = picture(1, 640, 480)
    file = saved(source, quality=quality)
    noise = measure_noise(align(np.asarray(source)[..., ::-1].copy(), file.pixels, np.eye(3), None))
    # What saving took from the source is the source's own then, what rounding made is the file's.
    assert rounding_noise(file.pixels, file.quantisation[0]) == pytest.approx(noise.other, rel=0.25)
