"""Pictures of one photo share words; pictures of different photos hardly any."""

from __future__ import annotations

import numpy as np
from PIL import Image

from py_image_dedup.features.codebook import CENTRES, DIMENSIONS, codebook
from py_image_dedup.features.extract import Features, extract
from py_image_dedup.features.keypoints import LENGTH, MIRROR
from py_image_dedup.features.visual_words import MAX_REPEATS, quantise, words
from tests.support.photographs import grey, photograph


def features_of(image: Image.Image) -> Features:
    return extract(grey(image))


def shared(left: Features, right: Features) -> int:
    return len(np.intersect1d(words(left.descriptors), words(right.descriptors)))


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
        array.flags.writeable for array in (book.mean, book.projection, book.step, book.mirror, book.centres)
    )
