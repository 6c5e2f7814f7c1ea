"""Of a crowd of candidates, few are worth verification."""

from __future__ import annotations

import math

import numpy as np
import pytest

from py_image_dedup.features.codebook import DIMENSIONS, LARGEST
from py_image_dedup.features.extract import Features, pack
from py_image_dedup.pipeline.verification import CROWD, NEAREST, OUTSTANDING, Crowds

PAGES = 20
COPY = 100
SMOOTH = 101
COPIES = range(200, 217)


def page(number: int, own: int = 120) -> Features:
    """Return the features of a page: 60 of the template and some of its own."""
    parts = []
    for seed, count in ((0, 60), (number, own)):
        random = np.random.default_rng(seed)
        columns = [random.uniform(0, 250, count), random.uniform(0, 350, count), random.uniform(2, 20, count)]
        points = np.stack([*columns, random.uniform(0, 2 * math.pi, count)], axis=1).astype(np.float32)
        parts.append((points, random.integers(-LARGEST, LARGEST + 1, (count, DIMENSIONS)).astype(np.int8)))
    points, descriptors = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Features(256.0, 362.0, points, descriptors, b"")


def part_of(features: Features, count: int) -> Features:
    return Features(features.width, features.height, features.points[:count], features.descriptors[:count], b"")


@pytest.fixture(scope="module")
def library() -> dict[int, bytes]:
    pages = {number: page(number) for number in range(1, PAGES + 1)}
    half = np.concatenate([np.arange(0, 60), np.arange(60, 90)])
    copy = Features(256.0, 362.0, pages[1].points[half], pages[1].descriptors[half], b"")
    everything = {**pages, COPY: copy, SMOOTH: part_of(pages[9], 5), **dict.fromkeys(COPIES, pages[1])}
    return {number: pack(features) for number, features in everything.items()}


@pytest.fixture(scope="module")
def crowds(library: dict[int, bytes]) -> Crowds:
    return Crowds(lambda numbers: {number: library[number] for number in numbers if number in library})


def test_a_few_candidates_are_all_chosen(crowds: Crowds) -> None:
    sharing = list(range(2, CROWD - 1))

    assert crowds.choose(1, sharing, [CROWD, CROWD + 1]) == {*sharing, CROWD, CROWD + 1}


def test_of_a_crowd_the_copy_is_chosen_and_few_others(crowds: Crowds) -> None:
    chosen = crowds.choose(1, [*range(2, PAGES + 1), COPY], [])

    assert COPY in chosen
    assert len(chosen) == OUTSTANDING


def test_of_a_crowd_by_signatures_the_nearest_are_chosen_too(crowds: Crowds) -> None:
    chosen = crowds.choose(1, [COPY], list(range(PAGES, 1, -1)))

    assert chosen >= {COPY, *range(PAGES, PAGES - NEAREST, -1)}
    assert len(chosen) <= OUTSTANDING + NEAREST


def test_a_crowd_of_copies_is_chosen_whole(crowds: Crowds) -> None:
    copies = set(COPIES)

    assert crowds.choose(1, list(copies), []) == copies


def test_smooth_pictures_are_not_judged_by_words(crowds: Crowds) -> None:
    everyone = list(range(1, PAGES + 1))

    assert SMOOTH in crowds.choose(1, everyone[1:], [*everyone[1:9], SMOOTH])
    assert crowds.choose(SMOOTH, everyone, []) == set(everyone)


def test_contents_without_features_are_left_to_verification(crowds: Crowds) -> None:
    assert 999 in crowds.choose(1, list(range(2, PAGES + 1)), [999])
    assert crowds.choose(999, list(range(1, PAGES + 1)), []) == set(range(1, PAGES + 1))
