"""Which pictures share visual words: an inverted index in memory.

J. Sivic and A. Zisserman: "Video Google", ICCV 2003, without the vector model: a picture is a suspect when it shares a
handful of words, and rare words count for more. Words sorted into unique words, offsets and rows; a query is a
concatenation of slices and a count.

Pictures are kept in blocks of 65,536, so that the row of a picture in its block has 16 bits: a library of 100,000 needs
60 to 75 MB. What is added makes a small segment of its block, and sixteen segments of one size become one: a picture is
sorted in a handful of times, however they come (P. O'Neil and others: "The log-structured merge-tree", 1996).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.features.visual_words import WordArray
from py_image_dedup.signature.arrays import Int64Array

MOST_SUSPECTS: Final = 50
"""The longest answer to a query."""

NOT_INDEXED: Final = -1
"""The number of a picture that is not in the index."""

COMMON: Final = 1_000
"""A word that more pictures have says nothing: 20,000 screenshots of one program share their words with all others.

A constant and not a share of the library, because it bounds what a query costs and lies above the copies of one photo.
"""

LARGE: Final = 100_000
"""From so many pictures on, words are shared by chance so often that one more is asked for."""

MOST_DOUBTFUL: Final = 8
"""So many pictures are suspects although they share fewer words: a photo that fills a tenth of a page of print has
little in common with its original, and that little is rare. In a library of some thousand pictures it is among the
first of these; in a large one chance has more to say, and the answer is no longer for it."""

_FEWEST: Final = 5
_FEWEST_DOUBTFUL: Final = 2
_WEIGHT_UNIT: Final = 1024

_ROW_BITS: Final = 16
_BLOCK: Final = 1 << _ROW_BITS
_FAN_BITS: Final = 4
_ADDED_AT_ONCE: Final = 4_096
_MERGED_AT_ONCE: Final = 1 << 18

_Keys: TypeAlias = npt.NDArray[np.uint64]


def fewest_shared(pictures: int) -> int:
    """Return how many words two pictures must share at least, in an index of this size."""
    return _FEWEST if pictures <= LARGE else _FEWEST + 1


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """Some pictures of a block.

    Attributes:
        pictures: How many.
        words: uint32, ascending, each once.
        offsets: uint32, one longer: where each word's rows begin.
        rows: uint16, in the block, of the pictures that have the word.
    """

    pictures: int
    words: WordArray
    offsets: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, first_row: int, words: Sequence[WordArray]) -> _Segment:
        """Make one of neighbouring rows."""
        keys = np.concatenate(words).astype(np.uint64)
        keys <<= np.uint64(_ROW_BITS)
        rows = np.arange(first_row, first_row + len(words), dtype=np.uint64)
        keys |= np.repeat(rows, [len(some) for some in words])
        keys.sort()
        found, starts = _distinct(keys)
        # The lower bits of a number are what a conversion keeps.
        return cls(len(words), found, np.append(starts, len(keys)).astype(np.uint32), keys.astype(np.uint16))

    @classmethod
    def merged(cls, segments: Sequence[_Segment]) -> _Segment:
        """Make one of several, a range of words at a time: beside them and the new one it needs little memory."""
        size = sum(len(segment.rows) for segment in segments)
        rows = np.empty(size, dtype=np.uint16)
        words: list[WordArray] = []
        offsets: list[npt.NDArray[np.uint32]] = []
        filled = 0
        for low, high in _ranges(max(segments, key=lambda segment: len(segment.rows)), size):
            keys = np.concatenate([segment.keys(low, high) for segment in segments])
            keys.sort()
            found, starts = _distinct(keys)
            words.append(found)
            offsets.append((starts + filled).astype(np.uint32))
            rows[filled : filled + len(keys)] = keys.astype(np.uint16)
            filled += len(keys)
        offsets.append(np.array([filled], dtype=np.uint32))
        return cls(sum(s.pictures for s in segments), np.concatenate(words), np.concatenate(offsets), rows)

    @property
    def level(self) -> int:
        """Segments of one level are of about the same size."""
        return (self.pictures.bit_length() - 1) // _FAN_BITS

    def keys(self, low: int, high: int) -> _Keys:
        """Return word and row, the word in the upper part, for the words from ``low`` to below ``high``."""
        first, last = np.searchsorted(self.words, [low, high])
        offsets = self.offsets[first : last + 1]
        keys = np.repeat(self.words[first:last].astype(np.uint64), np.diff(offsets))
        keys <<= np.uint64(_ROW_BITS)
        keys |= self.rows[offsets[0] : offsets[-1]]
        return keys

    def find(self, words: WordArray) -> tuple[Int64Array, Int64Array]:
        """Return for each word where its rows begin and how many there are."""
        if not len(self.words):
            nothing = np.zeros(len(words), dtype=np.int64)
            return nothing, nothing
        place = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        begin = self.offsets[place].astype(np.int64)
        length = np.where(self.words[place] == words, self.offsets[place + 1] - begin, 0)
        return begin, length


def _distinct(keys: _Keys) -> tuple[WordArray, Int64Array]:
    """Return the words of sorted keys, each once, and where they begin."""
    named = (keys >> np.uint64(_ROW_BITS)).astype(np.uint32)
    begins = np.ones(len(named), dtype=np.bool_)
    np.not_equal(named[1:], named[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    return named[starts], starts


def _ranges(largest: _Segment, size: int) -> Iterator[tuple[int, int]]:
    """Cut all words into ranges of about as many rows, if all segments are like the largest one."""
    cuts = np.linspace(0, len(largest.rows), size // _MERGED_AT_ONCE + 2)[1:-1]
    edges = largest.words[np.searchsorted(largest.offsets, cuts)] if len(largest.words) else largest.words
    yield from pairwise([0, *np.unique(edges).tolist(), 1 << 32])


class InvertedIndex:
    """Pictures by their words, 0.7 kB a picture in a large library and up to 2 kB in a small one.

    While segments are merged, for a moment, half as much again. One thread at a time.
    """

    def __init__(self) -> None:
        self._numbers = np.empty(0, dtype=np.int64)
        self._blocks: list[list[_Segment]] = []

    def __len__(self) -> int:
        """How many pictures were added."""
        return len(self._numbers)

    def add(self, numbers: Sequence[int], words: Sequence[WordArray]) -> None:
        """Add pictures.

        Args:
            numbers: Of the pictures. A picture whose words changed is added again.
            words: Of each of them, each word once.
        """
        place = len(self._numbers)
        self._numbers = np.concatenate([self._numbers, np.asarray(numbers, dtype=np.int64)])
        start = 0
        while start < len(words):
            row = place % _BLOCK
            some = words[start : start + min(_ADDED_AT_ONCE, _BLOCK - row)]
            if row == 0:
                self._blocks.append([])
            self._append(_Segment.of(row, some), full=row + len(some) == _BLOCK)
            place += len(some)
            start += len(some)

    def _append(self, segment: _Segment, *, full: bool) -> None:
        """Add a segment to the last block; when the block is full one is left of it."""
        segments = self._blocks[-1]
        segments.append(segment)
        if full:
            segments[:] = [_Segment.merged(segments)]
            return
        while len(same := [other for other in segments if other.level == segment.level]) == 1 << _FAN_BITS:
            segment = _Segment.merged(same)
            segments[:] = [*(other for other in segments if other not in same), segment]

    def candidates(self, number: int, plain: WordArray, mirrored: WordArray) -> list[int]:
        """Return the pictures that share enough words with a picture or with its mirror image.

        Args:
            number: Of the picture itself, which is no suspect.
            plain: Its words, each once.
            mirrored: Those of its mirror image.

        Returns:
            At most ``MOST_SUSPECTS`` numbers, the most suspicious first: by the sum of the shared words' weights, which
            are the logarithms of how rare they are; ties by number. At their end up to ``MOST_DOUBTFUL`` that share
            fewer words than it takes, in the same order.
        """
        weights, counts = zip(self._shared(plain), self._shared(mirrored), strict=True)
        weight, shared = np.maximum(*weights), np.maximum(*counts)
        enough = fewest_shared(len(self._numbers))
        others = self._numbers != number
        sure = self._heaviest(np.flatnonzero(others & (shared >= enough)), weight, MOST_SUSPECTS)
        few = others & (shared >= _FEWEST_DOUBTFUL) & (shared < enough)
        doubtful = self._heaviest(np.flatnonzero(few), weight, MOST_DOUBTFUL)
        return list(dict.fromkeys(sure + doubtful))[:MOST_SUSPECTS]

    def _heaviest(self, rows: Int64Array, weight: Int64Array, most: int) -> list[int]:
        """Return the numbers of some rows, the greatest weight first, each once."""
        if len(rows) > 4 * most:  # sorting the few heaviest is enough; twice as many, for a picture that came twice
            rows = rows[weight[rows] >= np.partition(weight[rows], -2 * most)[-2 * most]]
        found = self._numbers[rows]
        distinct = dict.fromkeys(found[np.lexsort((found, -weight[rows]))].tolist())
        return list(distinct)[:most]

    def _shared(self, words: WordArray) -> tuple[Int64Array, Int64Array]:
        """Return for each row the weight of the words that it shares, and how many they are."""
        pictures = len(self._numbers)
        found = [[(segment, *segment.find(words)) for segment in block] for block in self._blocks]
        frequency = np.zeros(len(words), dtype=np.int64)
        for _, _, length in chain.from_iterable(found):
            frequency += length
        useful = frequency <= COMMON
        # Whole numbers, so that the sum does not depend on the order in which pictures came.
        weight = np.rint(_WEIGHT_UNIT * np.log2(1 + pictures / np.maximum(frequency, 1)))
        weighed, shared = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for place, block in enumerate(found):
            rows = [np.empty(0, dtype=np.uint16)]
            weights = [np.empty(0)]
            for segment, begin, length in block:
                some = np.flatnonzero(useful & (length > 0))
                rows.append(segment.rows[_slices(begin[some], length[some])])
                weights.append(np.repeat(weight[some], length[some]))
            row = np.concatenate(rows)
            size = min(_BLOCK, pictures - place * _BLOCK)
            shared.append(np.bincount(row, minlength=size))
            weighed.append(np.bincount(row, np.concatenate(weights), minlength=size).astype(np.int64))
        return np.concatenate(weighed), np.concatenate(shared)


def _slices(begin: Int64Array, length: Int64Array) -> Int64Array:
    """Return the indices of many slices, one after the other."""
    ends = np.cumsum(length)
    if not len(ends):
        return np.empty(0, dtype=np.int64)
    places: Int64Array = np.arange(ends[-1]) + np.repeat(begin - (ends - length), length)
    return places
