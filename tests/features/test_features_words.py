"""Pictures of one photo share words; pictures of different photos hardly any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.features import visual_words
from py_image_dedup.features.codebook import CENTRES, DIMENSIONS, HALVES, LARGEST, Codebook, codebook
from py_image_dedup.features.extract import Features, extract
from py_image_dedup.features.keypoints import LENGTH, MIRROR
from py_image_dedup.features.visual_words import MAX_REPEATS, WordArray, pack_words, quantise, unpack_words, words
from py_image_dedup.media.worker.protocol import Panel
from py_image_dedup.signature.arrays import Int8Array
from tests.support.photographs import grey, photograph


def features_of(image: Image.Image) -> Features:
    return extract(grey(image))


def shared(left: Features, right: Features) -> int:
    return len(np.intersect1d(words(left.descriptors), words(right.descriptors)))


def plain_words(book: Codebook, descriptors: Int8Array) -> WordArray:
    """The formula of the words: the nearest centre of each half, the first one of equally near ones."""
    values = book.expand(descriptors).reshape(len(descriptors), HALVES, DIMENSIONS // HALVES)
    nearness = [
        values[:, half] @ centres.T - (centres * centres).sum(axis=1) / 2 for half, centres in enumerate(book.centres)
    ]
    upper, lower = (near.argmax(axis=1) for near in nearness)
    return (upper * CENTRES + lower).astype(np.uint32)


def test_the_words_of_a_page_are_its_own_and_those_of_the_photos_on_it() -> None:
    page, photo = grey(photograph(1)), grey(photograph(2), 120)
    panel = Panel(0.1, 0.1, 0.5, 0.5, photo.shape[1], photo.shape[0], photo.tobytes())
    plain, mirrored = unpack_words(pack_words(extract(page, [panel])))
    for found, own, other in (
        (plain, extract(page), extract(photo)),
        (mirrored, extract(page).mirrored(), extract(photo).mirrored()),
    ):
        assert np.array_equal(found, np.union1d(words(own.descriptors), words(other.descriptors)))


def random_descriptors(count: int, seed: int) -> Int8Array:
    spread = np.random.default_rng(seed).normal(0, 9, (count, DIMENSIONS))
    return np.clip(np.rint(spread), -LARGEST, LARGEST).astype(np.int8)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200, 201, 400, 5000])
def test_words_are_those_of_the_plain_formula_for_random_descriptors(count: int) -> None:
    descriptors = random_descriptors(count, seed=count)

    assert np.array_equal(quantise(descriptors), plain_words(codebook(), descriptors))


def test_words_are_those_of_the_plain_formula_for_pictures_and_their_mirror_images() -> None:
    pictures = [features_of(photograph(seed)) for seed in range(12)]
    descriptors = [side.descriptors for picture in pictures for side in (picture, picture.mirrored())]

    assert sum(map(len, descriptors)) > 3000
    assert all(np.array_equal(quantise(some), plain_words(codebook(), some)) for some in descriptors)


def test_of_equally_near_centres_the_first_one_gives_the_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers leave no rounding, so that each centre of the second half of the list ties with one before it."""
    book = codebook()
    some = np.random.default_rng(3).integers(-9, 10, (HALVES, CENTRES // 2, DIMENSIONS // HALVES)).astype(np.float32)
    centres = np.concatenate([some, some[:, ::-1]], axis=1)
    tied = replace(
        book,
        step=np.ones_like(book.step),
        centres=centres,
        half_norms=((centres * centres).sum(axis=2) / 2).astype(np.float32),
    )
    monkeypatch.setattr(visual_words, "codebook", lambda: tied)
    descriptors = random_descriptors(2000, seed=4)

    found = quantise(descriptors)

    assert np.array_equal(found, plain_words(tied, descriptors))
    assert (found // CENTRES).max() < CENTRES // 2
    assert (found % CENTRES).max() < CENTRES // 2


def test_a_copy_shares_many_words_with_its_original() -> None:
    photo = photograph(5)

    assert shared(features_of(photo), features_of(photo.resize((240, 180)))) >= 12


def test_a_mirrored_copy_shares_the_mirrored_words() -> None:
    photo = photograph(5)
    mirrored = features_of(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))

    assert shared(features_of(photo).mirrored(), mirrored) >= 40
    assert shared(features_of(photo), mirrored) < 10


def test_different_photos_share_hardly_any_words() -> None:
    photos = [features_of(photograph(seed)) for seed in range(8)]

    pairs = [shared(a, b) for place, a in enumerate(photos) for b in photos[place + 1 :]]

    assert sum(pairs) / len(pairs) < 2


def test_words_are_distinct_ascending_and_in_range() -> None:
    found = words(features_of(photograph(6)).descriptors)

    assert found.dtype == np.uint32
    assert (np.diff(found.astype(np.int64)) > 0).all()
    assert found.max() < CENTRES**2


def test_what_a_picture_repeats_is_no_word_of_it() -> None:
    once = features_of(photograph(6)).descriptors[:20]
    repeated = np.concatenate([once[:1]] * (MAX_REPEATS + 1) + [once[1:]])

    assert quantise(once[:1])[0] in words(once)
    assert quantise(once[:1])[0] not in words(repeated)


def test_no_features_have_no_words() -> None:
    assert len(words(np.zeros((0, DIMENSIONS), dtype=np.int8))) == 0


def test_mirroring_is_a_change_of_signs_in_compressed_descriptors() -> None:
    book = codebook()
    descriptors = np.sqrt(np.random.default_rng(2).dirichlet(np.ones(LENGTH), 50)).astype(np.float32)

    plain, mirrored = book.compress(descriptors), book.compress(descriptors[:, MIRROR])

    assert np.abs(plain * book.mirror - mirrored).max() <= 1


def test_the_codebook_cannot_be_written_to() -> None:
    book = codebook()

    assert not any(
        array.flags.writeable
        for array in (book.mean, book.projection, book.step, book.mirror, book.centres, book.half_norms)
    )
