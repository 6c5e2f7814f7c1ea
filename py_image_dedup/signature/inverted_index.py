"""Which pictures share visual words: an inverted index in memory.

J. Sivic and A. Zisserman: "Video Google", ICCV 2003, without the vector model: a picture is a suspect when it shares a
handful of words, and rare words count for more. Words sorted into unique words, offsets and rows; a query is a
concatenation of slices and a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.pairs import Int64Array
from py_image_dedup.signature.words import WordArray

MOST_SUSPECTS: Final = 50
"""The longest answer to a query."""

NOBODY: Final = -1
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
_TAIL: Final = 500


def fewest_shared(pictures: int) -> int:
    """Return how many words two pictures must share at least, in an index of this size."""
    return _FEWEST if pictures <= LARGE else _FEWEST + 1


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """Some pictures.

    Attributes:
        words: uint32, ascending, each once.
        offsets: int64, one longer: where each word's rows begin.
        rows: uint32, of the pictures that have the word.
    """

    words: WordArray
    offsets: Int64Array
    rows: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64]) -> _Segment:
        """Make one of word and row, the word in the upper half; the keys are sorted in place."""
        keys.sort()
        named = (keys >> np.uint64(32)).astype(np.uint32)
        begins = np.ones(len(named), dtype=np.bool_)
        np.not_equal(named[1:], named[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        # The lower half of a number is what a conversion keeps.
        return cls(named[starts], np.append(starts, len(keys)).astype(np.int64), keys.astype(np.uint32))

    def keys(self) -> npt.NDArray[np.uint64]:
        """Return what ``of`` was given."""
        keys = np.repeat(self.words.astype(np.uint64), np.diff(self.offsets))
        keys <<= np.uint64(32)
        keys |= self.rows
        return keys

    def find(self, words: WordArray) -> tuple[Int64Array, Int64Array]:
        """Return for each word where its rows begin and how many there are."""
        if not len(self.words):
            nothing = np.zeros(len(words), dtype=np.int64)
            return nothing, nothing
        place = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        begin = self.offsets[place]
        length = np.where(self.words[place] == words, self.offsets[place + 1] - begin, 0)
        return begin, length


class InvertedIndex:
    """Pictures by their words: about 1.3 kB a picture. One thread at a time.

    What is added later is kept apart until it is worth sorting in, so that one more picture does not cost a whole sort.
    """

    def __init__(self) -> None:
        self._numbers = np.empty(0, dtype=np.int64)
        self._base = self._tail = _Segment.of(np.empty(0, dtype=np.uint64))
        self._in_base = 0

    def __len__(self) -> int:
        """How many pictures were added."""
        return len(self._numbers)

    def add(self, numbers: Sequence[int], words: Sequence[WordArray]) -> None:
        """Add pictures.

        Args:
            numbers: Of the pictures. A picture whose words changed is added again.
            words: Of each of them, each word once.
        """
        if not len(numbers):
            return
        first = len(self._numbers)
        self._numbers = np.concatenate([self._numbers, np.asarray(numbers, dtype=np.int64)])
        keys = np.concatenate(words).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= np.repeat(np.arange(first, len(self._numbers), dtype=np.uint64), [len(some) for some in words])
        keys = np.concatenate([self._tail.keys(), keys])
        if len(self._numbers) - self._in_base > _TAIL + self._in_base // 8:
            keys = np.concatenate([self._base.keys(), keys])
            self._base, self._tail = _Segment.of(keys), _Segment.of(np.empty(0, dtype=np.uint64))
            self._in_base = len(self._numbers)
        else:
            self._tail = _Segment.of(keys)

    def suspects(self, number: int, plain: WordArray, mirrored: WordArray) -> list[int]:
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
        found = [(segment, *segment.find(words)) for segment in (self._base, self._tail)]
        frequency: Int64Array = np.sum([length for _, _, length in found], axis=0)
        useful = frequency <= COMMON
        # Whole numbers, so that the sum does not depend on the order in which pictures came.
        weight = np.rint(_WEIGHT_UNIT * np.log2(1 + pictures / np.maximum(frequency, 1)))
        rows = [np.empty(0, dtype=np.uint32)]
        weights = [np.empty(0)]
        for segment, begin, length in found:
            some = np.flatnonzero(useful & (length > 0))
            rows.append(segment.rows[_slices(begin[some], length[some])])
            weights.append(np.repeat(weight[some], length[some]))
        row = np.concatenate(rows)
        shared = np.bincount(row, minlength=pictures)
        weighed: Int64Array = np.bincount(row, np.concatenate(weights), minlength=pictures).astype(np.int64)
        return weighed, shared


def _slices(begin: Int64Array, length: Int64Array) -> Int64Array:
    """Return the indices of many slices, one after the other."""
    ends = np.cumsum(length)
    if not len(ends):
        return np.empty(0, dtype=np.int64)
    places: Int64Array = np.arange(ends[-1]) + np.repeat(begin - (ends - length), length)
    return places
