"""The arrangement of words tells the copy of a page from other pages of one template."""

from __future__ import annotations

import math

import numpy as np

from py_image_dedup.features.arrangement import PlacedWords, agreement
from py_image_dedup.features.extract import extract
from py_image_dedup.media.worker.protocol import Panel
from py_image_dedup.signature.arrays import Float64Array
from tests.support.photographs import photograph

TEMPLATE = range(60)
RARE = range(1_000, 1_020)


def placed(words: list[int], points: Float64Array) -> PlacedWords:
    order = np.argsort(words, kind="stable")
    return PlacedWords(np.array(words, dtype=np.uint32)[order], points[order])


def points_of(seed: int, count: int) -> Float64Array:
    random = np.random.default_rng(seed)
    columns = [random.uniform(0, 256, count), random.uniform(0, 400, count)]
    return np.stack([*columns, random.uniform(2, 20, count), random.uniform(0, 2 * math.pi, count)], axis=1)


def moved(points: Float64Array, turn: float, scale: float, x: float, y: float) -> Float64Array:
    place = (points[:, 0] + 1j * points[:, 1]) * scale * np.exp(1j * turn) + x + 1j * y
    angle = (points[:, 3] + turn) % (2 * math.pi)
    return np.stack([place.real, place.imag, points[:, 2] * scale, angle], axis=1)


def pages(count: int) -> list[PlacedWords]:
    """Pages of one template, each with words of its own."""
    same = points_of(0, len(TEMPLATE))
    return [
        placed([*TEMPLATE, *range(5_000 * n, 5_000 * n + 50)], np.concatenate([same, points_of(n, 50)]))
        for n in range(2, count + 2)
    ]


def test_words_that_all_pages_have_weigh_nothing() -> None:
    others = pages(12)

    found = agreement([placed(list(TEMPLATE), points_of(0, len(TEMPLATE)))], others)

    assert found.weight.tolist() == [0.0] * 12
    assert found.words.tolist() == [len(TEMPLATE)] * 12


def test_rare_words_count_where_their_places_agree_on_one_transform() -> None:
    mine = placed(list(RARE), points_of(1, len(RARE)))
    copy = placed(list(RARE), moved(points_of(1, len(RARE)), 0.3, 0.5, 40.0, -10.0))
    elsewhere = placed(list(RARE), points_of(99, len(RARE)))

    found = agreement([mine], [*pages(10), copy, elsewhere])

    assert found.words[10] >= 12
    assert found.words[11] <= 4
    assert found.weight[10] > 3 * found.weight[11]
    assert found.weight[:10].tolist() == [0.0] * 10


def test_the_mirrored_picture_counts_as_well() -> None:
    features = extract(np.asarray(photograph(1).convert("L").resize((256, 192))))
    mirrored = PlacedWords.of(features.mirrored())

    found = agreement([PlacedWords.of(features), mirrored], [mirrored, *pages(3)])

    assert found.words[0] >= 0.9 * len(mirrored)
    assert found.words[1:].max() <= 3


def test_a_picture_without_shared_words_agrees_with_none() -> None:
    found = agreement([placed([7_777], points_of(1, 1))], pages(2))

    assert (found.weight.tolist(), found.words.tolist()) == ([0.0, 0.0], [0, 0])


def test_words_that_occur_more_than_twice_have_no_place() -> None:
    features = extract(np.asarray(photograph(2).convert("L").resize((256, 192))))

    _, counts = np.unique(PlacedWords.of(features).words, return_counts=True)

    assert counts.max() <= 2


def test_the_words_of_a_photo_agree_with_those_of_the_page_that_it_is_on() -> None:
    photo = np.asarray(photograph(1, 328, 246).convert("L"))
    page = np.asarray(photograph(2, 328, 246).convert("L"))
    panel = Panel(0.2, 0.1, 0.5, 0.4, 328, 246, photo.tobytes())
    alone = PlacedWords.of(extract(photo))

    with_photo, without = (PlacedWords.of(extract(page, panels)) for panels in ([panel], []))

    assert np.all(np.diff(with_photo.words.astype(np.int64)) >= 0)
    found = agreement([alone], [with_photo, without, *pages(10)])
    assert found.words[0] > 0.9 * len(alone)
    assert found.words[1] < 5
