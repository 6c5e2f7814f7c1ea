"""Local features survive what an edit does, and the index."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from py_image_dedup.features.codebook import DIMENSIONS, FEATURES_VERSION, LARGEST, codebook
from py_image_dedup.features.extract import (
    DOCUMENT,
    MAX_FEATURES,
    POSSIBLE_DOCUMENT,
    Features,
    document_score,
    extract,
    open_thumbnail,
    pack,
    unpack,
)
from py_image_dedup.media.worker.protocol import Panel
from tests.support.photographs import grey as grey_of
from tests.support.photographs import photograph

Grey = npt.NDArray[np.uint8]


def agreeing(left: Features, right: Features, *, shift: tuple[float, float] = (0, 0), within: float = 2.0) -> int:
    """How many features of the left picture have one at the same place in the right one that looks the same."""
    values, others = (codebook().expand(side.descriptors) for side in (left, right))
    apart = np.hypot(
        left.points[:, None, 0] + shift[0] - right.points[None, :, 0],
        left.points[:, None, 1] + shift[1] - right.points[None, :, 1],
    )
    unlike = np.linalg.norm(values[:, None] - others[None, :], axis=2)
    unlike[apart > within] = np.inf
    return int((unlike.min(axis=1) < 8).sum())


@pytest.fixture(scope="module")
def grey() -> Grey:
    return grey_of(photograph(3))


def test_a_photo_has_many_features_spread_over_it(grey: Grey) -> None:
    features = extract(grey)

    assert 150 <= len(features) <= MAX_FEATURES
    for half in (features.points[:, 0] < features.width / 2, features.points[:, 1] < features.height / 2):
        assert 0.25 < half.mean() < 0.75


def test_points_are_measured_in_a_frame_with_a_short_side_of_256(grey: Grey) -> None:
    features = extract(grey)

    assert (features.width, features.height) == (pytest.approx(256 * 328 / 246), 256)
    assert (features.points[:, 0] <= features.width).all()
    assert (features.points[:, :3] >= 0).all()


@pytest.mark.parametrize(("quality", "share"), [(50, 0.6), (10, 0.3)])
def test_a_re_encoded_copy_keeps_its_features(
    quality: int, share: float, grey: Grey, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("copies") / "copy.jpg"
    Image.fromarray(grey).save(path, quality=quality)

    features = extract(grey)

    assert agreeing(features, extract(grey_of(Image.open(path)))) > share * len(features)


def test_a_copy_of_half_the_size_keeps_its_features(grey: Grey) -> None:
    small = np.asarray(Image.fromarray(grey).resize((164, 123), Image.Resampling.LANCZOS))

    features = extract(grey)

    assert agreeing(features, extract(small)) > 0.5 * len(features)


def test_a_crop_keeps_the_features_of_what_it_shows(grey: Grey) -> None:
    crop = extract(grey[30:240, 40:310])
    whole = extract(grey)
    scale = 246 / 210
    enlarged = Features(0, 0, whole.points * np.float32([scale] * 3 + [1]), whole.descriptors, b"")

    shift = (40 * 256 / 210, 30 * 256 / 210)
    assert agreeing(crop, enlarged, shift=shift, within=3) > 0.4 * len(crop)


def test_a_mirrored_picture_has_the_mirrored_features(grey: Grey) -> None:
    mirrored, expected = extract(grey[:, ::-1]), extract(grey).mirrored()

    assert agreeing(expected, mirrored, within=1.0) > 0.9 * len(expected)
    assert agreeing(extract(grey), mirrored, within=1.0) < 0.3 * len(expected)


def test_mirroring_twice_changes_nothing(grey: Grey) -> None:
    features = extract(grey)

    twice = features.mirrored().mirrored()

    assert np.array_equal(twice.descriptors, features.descriptors)
    assert np.allclose(twice.points[:, :3], features.points[:, :3], atol=1e-3)
    assert np.allclose(np.cos(twice.points[:, 3]), np.cos(features.points[:, 3]), atol=1e-3)


def test_another_photo_has_other_features(grey: Grey) -> None:
    features = extract(grey)

    assert agreeing(features, extract(grey_of(photograph(4)))) < 0.05 * len(features)


def test_features_come_back_from_the_index_as_they_went_in(grey: Grey) -> None:
    features = extract(grey)

    back = unpack(pack(features))

    assert np.array_equal(back.descriptors, features.descriptors)
    assert np.abs(back.points[:, :2] - features.points[:, :2]).max() < 0.02
    assert np.abs(np.log2(back.points[:, 2] / features.points[:, 2])).max() < 0.03
    assert np.cos(back.points[:, 3] - features.points[:, 3]).min() > math.cos(0.02)
    assert back.thumbnail == features.thumbnail
    assert (back.width, back.height) == pytest.approx((features.width, features.height), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_packing_any_descriptors_loses_nothing(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.uniform([0, 0, 1.3, 0], [341, 256, 200, 6.28], (count, 4)).astype(np.float32)
    descriptors = random.integers(-LARGEST - 1, LARGEST + 1, (count, DIMENSIONS), dtype=np.int8)

    back = unpack(pack(Features(341.3, 256, points, descriptors, b"picture")))

    assert np.array_equal(back.descriptors, descriptors)
    assert back.thumbnail == b"picture"


def test_packed_features_are_compact(grey: Grey) -> None:
    assert len(pack(extract(grey))) < 9_000


def panel(seed: int, box: tuple[float, float, float, float]) -> Panel:
    pixels = grey_of(photograph(seed), 120)
    return Panel(*box, pixels.shape[1], pixels.shape[0], pixels.tobytes())


BOXES = ((0.1, 0.2, 0.5, 0.6), (0.5, 0.7, 0.9, 0.95))


def with_insets(grey: Grey) -> Features:
    return extract(grey, [panel(seed, box) for seed, box in enumerate(BOXES)])


def test_each_photo_inside_a_picture_has_features_of_its_own(grey: Grey) -> None:
    features, plain = with_insets(grey), extract(grey)

    assert np.array_equal(features.descriptors, plain.descriptors)
    assert features.thumbnail == plain.thumbnail
    for inset, seed, (left, top, right, bottom) in zip(features.insets, range(2), BOXES, strict=True):
        alone = extract(grey_of(photograph(seed), 120))
        assert np.array_equal(inset.features.points, alone.points)
        assert inset.points[:, 0].min() >= left * features.width
        assert inset.points[:, 0].max() <= right * features.width
        assert inset.points[:, 1].min() >= top * features.height
        assert inset.points[:, 1].max() <= bottom * features.height


def test_print_and_empty_panels_have_no_features(grey: Grey) -> None:
    text = np.full((120, 160), 250, dtype=np.uint8)
    text[10:110:8, 10:150:2] = 20
    blank = np.full((120, 160), 90, dtype=np.uint8)
    panels = [Panel(*BOXES[0], 160, 120, pixels.tobytes()) for pixels in (text, blank)]
    assert document_score(text) > POSSIBLE_DOCUMENT
    assert extract(grey, panels).insets == ()


def test_insets_come_back_from_the_index_as_they_went_in(grey: Grey) -> None:
    features = with_insets(grey)
    back = unpack(pack(features))

    assert back.thumbnail == features.thumbnail
    for one, other in zip(features.insets, back.insets, strict=True):
        assert (one.left, one.top, one.width, one.height) == pytest.approx(
            (other.left, other.top, other.width, other.height), abs=1e-3
        )
        assert pack(one.features) == pack(other.features)


def test_features_without_insets_are_packed_as_in_earlier_releases(grey: Grey) -> None:
    plain, page = pack(extract(grey)), pack(with_insets(grey))
    assert plain[0] == FEATURES_VERSION
    assert page[0] == FEATURES_VERSION + 128
    assert plain.endswith(extract(grey).thumbnail)


def test_damaged_insets_are_refused(grey: Grey) -> None:
    features = with_insets(grey)
    packed = pack(features)
    nested = replace(features, insets=(replace(features.insets[0], features=features),))
    flat = replace(features, insets=(replace(features.insets[0], width=0.0),))
    for damaged in (packed[:-1], packed[: len(packed) - len(pack(features.insets[1].features)) - 3]):
        with pytest.raises(ValueError, match="damaged"):
            unpack(damaged)
    for wrong in (nested, flat):
        with pytest.raises(ValueError, match="damaged"):
            unpack(pack(wrong))


def test_the_insets_of_a_mirrored_picture_are_mirrored(grey: Grey) -> None:
    features = with_insets(grey)
    mirrored = features.mirrored()
    for one, other in zip(features.insets, mirrored.insets, strict=True):
        assert other.left == pytest.approx(features.width - one.left - one.width)
        assert np.allclose(other.points[:, 0], features.width - one.points[:, 0], atol=0.01)
    assert np.array_equal(mirrored.mirrored().insets[0].features.descriptors, features.insets[0].features.descriptors)


def test_bytes_of_another_version_are_refused(grey: Grey) -> None:
    packed = pack(extract(grey))

    with pytest.raises(ValueError, match="not features of version"):
        unpack(b"\x00" + packed[1:])


def test_bytes_that_were_cut_off_are_refused(grey: Grey) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack(pack(extract(grey))[:500])


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (40, 40), (30, 4000), (9, 9)])
def test_featureless_small_and_long_pictures_have_features_or_none(shape: tuple[int, int]) -> None:
    flat = np.full(shape, 200, dtype=np.uint8)

    features = unpack(pack(extract(flat)))

    assert len(features) == 0
    assert open_thumbnail(features.thumbnail).size > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (24, 24), (30, 4000), (2000, 20), (100, 780)])
def test_noise_of_any_shape_can_be_kept(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)

    features = extract(noise)

    assert np.array_equal(unpack(pack(features)).descriptors, features.descriptors)


def test_threads_do_not_change_the_result() -> None:
    greys = [grey_of(photograph(seed)) for seed in range(6)]
    alone = [pack(extract(grey)) for grey in greys]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda grey: pack(extract(grey)), greys * 3))

    assert together == alone * 3


@pytest.mark.parametrize("shape", [(32, 32), (39, 40), (41, 47), (48, 49), (320, 481)])
@pytest.mark.parametrize("ink", [0.02, 0.1, 0.5, 0.9, 1.0])
def test_the_document_score_of_a_whole_picture_is_that_of_a_picture_that_counts_everywhere(
    shape: tuple[int, int], ink: float
) -> None:
    random = np.random.default_rng(shape)
    page = np.where(random.random(shape) < ink, random.integers(0, 60, shape), 255).astype(np.uint8)
    everywhere = np.ones(shape, dtype=np.float32)

    for grey in (page, 255 - page, np.full_like(page, 255)):
        assert document_score(grey) == document_score(grey, everywhere)
        assert document_score(grey) == document_score(grey.astype(np.float32))


def test_text_has_the_document_score_of_a_document_and_a_photo_has_not(grey: Grey) -> None:
    text = np.where(np.random.default_rng(2).random((300, 200)) < 0.1, 0, 255).astype(np.uint8)

    assert document_score(text) > DOCUMENT
    assert document_score(255 - text) > DOCUMENT
    assert document_score(grey) < POSSIBLE_DOCUMENT


def test_what_is_no_grey_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        extract(np.zeros((10, 10, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        extract(np.zeros((10, 10)).astype(np.float64))  # type: ignore[arg-type]


def test_a_blurred_copy_keeps_its_large_features(grey: Grey) -> None:
    blurred = grey_of(Image.fromarray(grey).filter(ImageFilter.GaussianBlur(3)))

    features = extract(grey)
    large = features.points[:, 2] > 6
    kept = Features(features.width, features.height, features.points[large], features.descriptors[large], b"")

    assert agreeing(kept, extract(blurred), within=4) > 0.5 * large.sum()
