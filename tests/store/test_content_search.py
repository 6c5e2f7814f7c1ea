"""A search in parts finds exactly what one search finds, orientations included."""

from __future__ import annotations

import numpy as np
import pytest

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Int8Array, PairBlock
from py_image_dedup.signature.distance import check_distance
from py_image_dedup.signature.orientation import orient_signature
from py_image_dedup.store.content_search import BLOCK_PAIRS, cross_contents, join_contents
from tests.store.samples import family, random_signatures


def rows(blocks: list[PairBlock]) -> set[tuple[int, int, float, int]]:
    found = [
        row
        for block in blocks
        for row in zip(*(c.tolist() for c in (block.left, block.right, block.distance, block.orientation)), strict=True)
    ]
    assert len(set(found)) == len(found)
    return set(found)


def symmetric(seed: int, count: int) -> Int8Array:
    """Pictures that some orientations leave unchanged, so that several orientations are equally near."""
    plain = random_signatures(seed, count).astype(np.int16)
    turns = (Orientation.UPRIGHT, Orientation.TRANSPOSE), (Orientation.UPRIGHT, Orientation.MIRROR)
    pictures = [
        sum(orient_signature(values.astype(np.int8), orientation).astype(np.int16) for orientation in turns[number % 2])
        for number, values in enumerate(plain)
    ]
    return np.stack([np.clip(picture, -2, 2) for picture in pictures]).astype(np.int8)


@pytest.mark.parametrize("seed", range(4))
def test_any_split_of_the_contents_finds_the_same_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    pictures = symmetric(seed, 6)
    copies = [orient_signature(picture, orientation) for picture in pictures for orientation in Orientation]
    signatures = np.concatenate([family(seed, 30), np.stack(copies)])
    numbers = np.sort(random.choice(10_000, len(signatures), replace=False))
    whole = rows(list(join_contents(numbers, signatures, 0.3)))
    mine = random.random(len(signatures)) < 0.5
    parts = [
        *join_contents(numbers[mine], signatures[mine], 0.3),
        *join_contents(numbers[~mine], signatures[~mine], 0.3),
        *cross_contents(numbers[mine], signatures[mine], numbers[~mine], signatures[~mine], 0.3),
    ]
    assert len(whole) > 100
    assert {orientation for _, _, _, orientation in whole} == set(Orientation)
    assert rows(parts) == whole


def test_nothing_is_found_in_nothing() -> None:
    none, one = random_signatures(1, 0), random_signatures(1, 1)
    no_number, number = np.empty(0, dtype=np.int64), np.array([5])
    assert rows(list(join_contents(no_number, none, 0.3))) == set()
    assert rows(list(join_contents(number, one, 0.3))) == set()
    assert rows(list(cross_contents(no_number, none, number, one, 0.3))) == set()
    assert rows(list(cross_contents(number, one, no_number, none, 0.3))) == set()


@pytest.mark.parametrize(("length", "sizes"), [(0, [0]), (5, [5]), (BLOCK_PAIRS + 1, [BLOCK_PAIRS, 1])])
def test_blocks_are_bounded(length: int, sizes: list[int]) -> None:
    column = np.arange(length)
    block = PairBlock(column, column + 1, np.zeros(length), np.ones(length, dtype=np.uint8))
    parts = list(block.chunks(BLOCK_PAIRS))
    assert [len(part) for part in parts] == sizes
    assert np.array_equal(np.concatenate([part.left for part in parts]), column)


@pytest.mark.parametrize("max_distance", [0, 0.5, 1])
def test_a_distance_may_be_anything_from_0_to_1(max_distance: float) -> None:
    assert check_distance(max_distance) == max_distance
