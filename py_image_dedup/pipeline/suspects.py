"""Which contents are worth a comparison with new ones for their signatures: the nearest few, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.base import Store

MOST_NEAR: Final = 50
"""How many suspects a content gets by its signature at most, the nearest."""

FEW: Final = 1_000
"""So many new contents are searched some at a time: what a batch costs does not follow the library."""

_SEARCHED_AT_ONCE: Final = 50

_PAIRS_TO_FOLD: Final = 1_000_000


class NearSuspects:
    """The nearest by signature of some contents, gathered from blocks of pairs in bounded memory.

    Args:
        numbers: Whose.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._wanted = np.asarray(numbers, dtype=np.int64)
        nothing = np.empty(0, dtype=np.int64)
        self._own, self._other, self._distance = nothing, nothing, np.empty(0)
        self._waiting: list[PairBlock] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Take some pairs; those of none of the contents are left out."""
        self._waiting.append(block)
        self._count += len(block)
        if self._count > _PAIRS_TO_FOLD:
            self._fold()

    def of(self, number: int) -> list[int]:
        """Return the contents that are nearest to one of the contents, at most ``MOST_NEAR``."""
        self._fold()
        first, last = np.searchsorted(self._own, [number, number + 1])
        return list(map(int, self._other[first:last]))

    def _fold(self) -> None:
        if not self._waiting:
            return
        own, other, distance = [self._own], [self._other], [self._distance]
        for block in self._waiting:
            for mine, theirs in ((block.left, block.right), (block.right, block.left)):
                chosen = np.isin(mine, self._wanted) & (mine != theirs)
                own.append(mine[chosen])
                other.append(theirs[chosen])
                distance.append(block.distance[chosen])
        self._waiting, self._count = [], 0
        owns, others, distances = np.concatenate(own), np.concatenate(other), np.concatenate(distance)
        order = np.lexsort((others, distances, owns))
        owns, others, distances = owns[order], others[order], distances[order]
        starts = np.flatnonzero(np.diff(owns, prepend=-1))
        rank = np.arange(len(owns)) - np.repeat(starts, np.diff(starts, append=len(owns)))
        kept = rank < MOST_NEAR
        self._own, self._other, self._distance = owns[kept], others[kept], distances[kept]


def near_blocks(store: Store, new: Sequence[int], max_distance: float) -> Iterator[PairBlock]:
    """Yield all pairs of a new content with a suspicious one, and others besides."""
    if len(new) > FEW:
        yield from store.pairs(max_distance, None)
        return
    for start in range(0, len(new), _SEARCHED_AT_ONCE):
        known = store.contents(new[start : start + _SEARCHED_AT_ONCE], None)
        signed = {number: s for number, same in known.items() if (s := same[0].signature) is not None}
        found = store.similar(list(signed.values()), max_distance, None)
        for number, neighbours in zip(signed, found, strict=True):
            yield PairBlock(
                np.full(len(neighbours), number, dtype=np.int64),
                np.array([neighbour.number for neighbour in neighbours], dtype=np.int64),
                np.array([neighbour.distance for neighbour in neighbours], dtype=np.float64),
                np.array([neighbour.orientation for neighbour in neighbours], dtype=np.uint8),
            )
