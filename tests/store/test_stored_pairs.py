"""Pairs are packed without loss, and the pairs of hubs are left out in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest

from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.sqlite import pairs
from py_image_dedup.store.sqlite.pairs import PAIR, PairCollector, mask_of, pack, unpack


def block_of(pairs: list[tuple[int, int]]) -> PairBlock:
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return PairBlock(left, right, left / 7, (right % 8 + 1).astype(np.uint8))


def test_packing_loses_nothing() -> None:
    block = block_of([(1, 2), (3, 2**32 - 1), (2**31, 2**31 + 1)])
    stored = np.frombuffer(pack(block).tobytes(), dtype=PAIR)
    again = unpack(stored)
    assert stored.nbytes == 3 * 17
    for column in ("left", "right", "distance", "orientation"):
        before, after = getattr(block, column), getattr(again, column)
        assert np.array_equal(before, after)
        assert before.dtype == after.dtype


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_a_content_with_too_many_pairs_is_a_hub_and_its_pairs_are_left_out(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(pairs, "MAX_DEGREE", 4)
    monkeypatch.setattr(pairs, "_COLLECTED_PAIRS", at_once)
    star = [(0, other) for other in range(1, 6)]
    others = [(1, 2), (6, 7), (8, 9)]
    degrees, hubs = np.zeros(10, dtype=np.int32), mask_of([8], 10)
    degrees[6] = 3
    collector = PairCollector(degrees, hubs)
    for pair in [*star[:3], *others, *star[3:]]:
        collector.add(block_of([pair]))
    kept = {(row["left"].item(), row["right"].item()) for row in collector.finish()}
    assert kept == {(1, 2), (6, 7)}
    assert np.flatnonzero(hubs).tolist() == [0, 8]
    assert degrees.tolist() == [5, 2, 2, 1, 1, 1, 4, 1, 1, 1]


def test_nothing_collected_is_nothing_stored() -> None:
    assert len(PairCollector(np.zeros(3, dtype=np.int32), mask_of([], 3)).finish()) == 0
