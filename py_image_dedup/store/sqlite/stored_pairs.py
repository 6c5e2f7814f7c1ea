"""Pairs as the index keeps them: packed rows in blocks, and how many each content has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.arrays import PairBlock

PAIR: Final = np.dtype([("left", "<u4"), ("right", "<u4"), ("distance", "<f8"), ("orientation", "u1")])
"""One pair: 17 bytes, no gaps, little-endian on every machine."""

MAX_DEGREE: Final = 80
"""How many pairs a content may have in the index, 40 a content on average: 680 bytes. See ``Gathering``."""

PairArray: TypeAlias = npt.NDArray[Any]
"""Of dtype ``PAIR``."""

_PAIRS_AT_ONCE = 1_000_000


def pack(block: PairBlock) -> PairArray:
    """Return the pairs of a block as rows."""
    rows = np.empty(len(block), dtype=PAIR)
    rows["left"], rows["right"] = block.left, block.right
    rows["distance"], rows["orientation"] = block.distance, block.orientation
    return rows


def unpack(rows: PairArray) -> PairBlock:
    """Return rows as a block."""
    return PairBlock(
        rows["left"].astype(np.int64),
        rows["right"].astype(np.int64),
        rows["distance"].astype(np.float64),
        rows["orientation"].astype(np.uint8),
    )


def marks(numbers: npt.ArrayLike, size: int) -> npt.NDArray[np.bool_]:
    """Return an array of ``size`` that is true at these numbers."""
    marked = np.zeros(size, dtype=np.bool_)
    marked[np.asarray(numbers, dtype=np.int64)] = True
    return marked


class Gathering:
    """Gathers the pairs of a search, and leaves out those of contents that have too many.

    A content with more than ``MAX_DEGREE`` pairs is *crowded*: a picture like thousands of others, a blank page in a
    library of scans. Its pairs are not kept but searched again when they are asked for; keeping them would take
    gigabytes where the search takes seconds. So what is kept grows with the contents, not with the square of them.

    Args:
        degrees: int32, how many pairs each number has so far; counted on in place.
        crowded: bool, the numbers that are crowded already; extended in place.
    """

    def __init__(self, degrees: npt.NDArray[np.int32], crowded: npt.NDArray[np.bool_]) -> None:
        self._degrees = degrees
        self._crowded = crowded
        self._kept: list[PairArray] = []
        self._waiting: list[PairArray] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Take some pairs."""
        self._waiting.append(pack(block))
        self._count += len(block)
        if self._count >= _PAIRS_AT_ONCE:
            self._fold()

    def finish(self) -> PairArray:
        """Return the pairs to keep: those of which neither content is crowded."""
        self._fold()
        return self._uncrowded(concatenate(self._kept))

    def _fold(self) -> None:
        rows = concatenate(self._waiting)
        count_degrees(self._degrees, rows)
        np.logical_or(self._crowded, self._degrees > MAX_DEGREE, out=self._crowded)
        # Those that were kept before are looked through again: one of their contents may be crowded now.
        self._kept = [self._uncrowded(concatenate([*self._kept, rows]))]
        self._waiting = []
        self._count = 0

    def _uncrowded(self, rows: PairArray) -> PairArray:
        uncrowded: PairArray = rows[~(self._crowded[rows["left"]] | self._crowded[rows["right"]])]
        return uncrowded


def count_degrees(degrees: npt.NDArray[np.int32], rows: PairArray) -> None:
    """Count pairs for both of their contents, in place."""
    for side in ("left", "right"):
        counted = np.bincount(rows[side], minlength=len(degrees))
        np.add(degrees, counted, out=degrees, casting="unsafe")


def concatenate(parts: Iterable[PairArray]) -> PairArray:
    """Return parts as one array; of nothing, an empty one."""
    return np.concatenate([np.empty(0, dtype=PAIR), *parts])
