"""An inverted index of visual words in memory, which generates the candidates of a picture.

J. Sivic and A. Zisserman: "Video Google", ICCV 2003, without the vector model: a picture is a candidate when it shares
a handful of words, and rare words count for more. The postings are sorted into unique words, offsets and rows; a query
concatenates slices of them and counts.

Pictures are stored in blocks of 65,536, so that the row of a picture in its block has 16 bits: a library of 100,000
needs 60 to 75 MB. Added pictures form a small segment of a block, and sixteen segments of one size are merged into one:
each picture is sorted a few times, in whatever batches pictures arrive (P. O'Neil and others: "The log-structured
merge-tree", 1996).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.features.visual_words import WordArray
from py_image_dedup.signature.arrays import Int64Array, UInt32Array

MAX_CANDIDATES: Final = 50
"""The largest number of candidates of a query."""

NOT_INDEXED: Final = -1
"""The content id of a picture that is not in the index."""

MAX_FREQUENCY: Final = 1_000
"""The largest number of pictures of a discriminative word: 20,000 screenshots of one program share all their words.

A constant and not a share of the library, because it bounds the cost of a query and exceeds the copies of one photo.
"""

LARGE_INDEX: Final = 100_000
"""The number of pictures from which on words are shared by chance so often that one more is required."""

MAX_DOUBTFUL: Final = 8
"""The largest number of candidates that share fewer words than required.

A photo that fills a tenth of a printed page shares few words with its original, but rare ones. In a library of a few
thousand pictures it is among the first of these; in a large one matches by chance outnumber it, and this limit keeps
the list short.
"""

_MIN_SHARED: Final = 5
_MIN_SHARED_DOUBTFUL: Final = 2
_WEIGHT_UNIT: Final = 1024

_ROW_BITS: Final = 16
_BLOCK: Final = 1 << _ROW_BITS
_FAN_BITS: Final = 4
_ADDED_AT_ONCE: Final = 4_096
_MERGED_AT_ONCE: Final = 1 << 18

_Keys: TypeAlias = npt.NDArray[np.uint64]


def min_shared_words(pictures: int) -> int:
    """Return the least number of words that two pictures must share in an index of this size."""
    return _MIN_SHARED if pictures <= LARGE_INDEX else _MIN_SHARED + 1


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """The postings of some pictures of a block.

    Attributes:
        pictures: Number of pictures.
        words: uint32, shape ``(n,)``, ascending, each once.
        offsets: uint32, shape ``(n + 1,)``: the start of each word's rows.
        rows: uint16, rows in the block of the pictures that have the word.
    """

    pictures: int
    words: WordArray
    offsets: UInt32Array
    rows: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, first_row: int, words: Sequence[WordArray]) -> _Segment:
        """Return a segment of consecutive rows, given the words of each."""
        keys = np.concatenate(words).astype(np.uint64)
        keys <<= np.uint64(_ROW_BITS)
        rows = np.arange(first_row, first_row + len(words), dtype=np.uint64)
        keys |= np.repeat(rows, [len(some) for some in words])
        keys.sort()
        found, starts = _distinct(keys)
        # A conversion keeps the lower bits of a number: the row.
        return cls(len(words), found, np.append(starts, len(keys)).astype(np.uint32), keys.astype(np.uint16))

    @classmethod
    def merged(cls, segments: Sequence[_Segment]) -> _Segment:
        """Return several segments merged into one, a range of words at a time, which needs little extra memory."""
        size = sum(len(segment.rows) for segment in segments)
        rows = np.empty(size, dtype=np.uint16)
        words: list[WordArray] = []
        offsets: list[UInt32Array] = []
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
        """The order of magnitude of the segment's size; segments of one level are merged."""
        return (self.pictures.bit_length() - 1) // _FAN_BITS

    def keys(self, low: int, high: int) -> _Keys:
        """Return word and row as one number, the word in the upper bits, for words from ``low`` to below ``high``."""
        first, last = np.searchsorted(self.words, [low, high])
        offsets = self.offsets[first : last + 1]
        keys = np.repeat(self.words[first:last].astype(np.uint64), np.diff(offsets))
        keys <<= np.uint64(_ROW_BITS)
        keys |= self.rows[offsets[0] : offsets[-1]]
        return keys

    def find(self, words: WordArray) -> tuple[Int64Array, Int64Array]:
        """Return the start and the number of the rows of each word."""
        if not len(self.words):
            nothing = np.zeros(len(words), dtype=np.int64)
            return nothing, nothing
        index = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        begin = self.offsets[index].astype(np.int64)
        length = np.where(self.words[index] == words, self.offsets[index + 1] - begin, 0)
        return begin, length


def _distinct(keys: _Keys) -> tuple[WordArray, Int64Array]:
    """Return the words of sorted keys, each once, and the index of the first key of each."""
    named = (keys >> np.uint64(_ROW_BITS)).astype(np.uint32)
    begins = np.ones(len(named), dtype=np.bool_)
    np.not_equal(named[1:], named[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    return named[starts], starts


def _ranges(largest: _Segment, size: int) -> Iterator[tuple[int, int]]:
    """Split all words into ranges with about the same number of rows, as far as the largest segment is typical."""
    cuts = np.linspace(0, len(largest.rows), size // _MERGED_AT_ONCE + 2)[1:-1]
    edges = largest.words
    if len(edges):
        # A cut inside the rows of a word becomes a cut before the word; there is no word after the last one.
        edges = edges[np.searchsorted(largest.offsets[:-1], cuts, side="right") - 1]
    yield from pairwise([0, *np.unique(edges).tolist(), 1 << 32])


class InvertedIndex:
    """An index of pictures by their words: 0.7 kB per picture in a large library and up to 2 kB in a small one.

    Merging segments needs half as much again for a moment. One thread at a time.
    """

    def __init__(self) -> None:
        self._content_ids = np.empty(0, dtype=np.int64)
        self._sizes = np.empty(0, dtype=np.uint16)
        self._blocks: list[list[_Segment]] = []

    def __len__(self) -> int:
        """Return the number of pictures that were added."""
        return len(self._content_ids)

    def add(self, content_ids: Sequence[int], words: Sequence[WordArray]) -> None:
        """Add pictures.

        Args:
            content_ids: Content ids of the pictures. A picture whose words changed is added again.
            words: The words of each picture, each word once.
        """
        count = len(self._content_ids)
        self._content_ids = np.concatenate([self._content_ids, np.asarray(content_ids, dtype=np.int64)])
        self._sizes = np.concatenate([self._sizes, np.array([len(some) for some in words], dtype=np.uint16)])
        start = 0
        while start < len(words):
            row = count % _BLOCK
            some = words[start : start + min(_ADDED_AT_ONCE, _BLOCK - row)]
            if row == 0:
                self._blocks.append([])
            self._append(_Segment.of(row, some), full=row + len(some) == _BLOCK)
            count += len(some)
            start += len(some)

    def _append(self, segment: _Segment, *, full: bool) -> None:
        """Add a segment to the last block; the segments of a full block are merged into one."""
        segments = self._blocks[-1]
        segments.append(segment)
        if full:
            segments[:] = [_Segment.merged(segments)]
            return
        while len(same := [other for other in segments if other.level == segment.level]) == 1 << _FAN_BITS:
            segment = _Segment.merged(same)
            segments[:] = [*(other for other in segments if other not in same), segment]

    def candidates(self, content_id: int, plain: WordArray, mirrored: WordArray) -> list[int]:
        """Return the pictures that share enough words with a picture or with its mirror image.

        Args:
            content_id: Content id of the picture itself, which is not among its candidates.
            plain: Words of the picture, each once.
            mirrored: Words of its mirror image.

        Returns:
            At most ``MAX_CANDIDATES`` content ids, the best first: by the sum of the inverse document frequencies of
            the shared words; ties by content id. The last ones, up to ``MAX_DOUBTFUL``, share fewer words than
            required, in the same order. Of more pictures than that, those that share what few of them have.
        """
        pictures = len(self._content_ids)
        weight, shared = self._best_shared(plain, mirrored, pictures)
        enough = min_shared_words(pictures)
        others = self._content_ids != content_id
        sure = np.flatnonzero(others & (shared >= enough))
        if len(sure) > MAX_CANDIDATES:
            # Words of a template, or of a language in one typeface, are shared by all of them and have no weight. A
            # page full of text shares more of the others by chance.
            among, _ = self._best_shared(plain, mirrored, len(sure))
            weight = np.rint(among / np.sqrt(np.maximum(self._sizes, 1))).astype(np.int64)
        best = self._heaviest(sure, weight, MAX_CANDIDATES)
        few = others & (shared >= _MIN_SHARED_DOUBTFUL) & (shared < enough)
        doubtful = self._heaviest(np.flatnonzero(few), weight, MAX_DOUBTFUL)
        return list(dict.fromkeys(best + doubtful))[:MAX_CANDIDATES]

    def _heaviest(self, rows: Int64Array, weight: Int64Array, most: int) -> list[int]:
        """Return the content ids of some rows, the greatest weight first, each once."""
        if len(rows) > 4 * most:  # sort only the heaviest; twice as many, because a picture may have been added twice
            rows = rows[weight[rows] >= np.partition(weight[rows], -2 * most)[-2 * most]]
        found = self._content_ids[rows]
        distinct = dict.fromkeys(found[np.lexsort((found, -weight[rows]))].tolist())
        return list(distinct)[:most]

    def _best_shared(self, plain: WordArray, mirrored: WordArray, among: int) -> tuple[Int64Array, Int64Array]:
        """Return the weight and the number of the words that each row shares with a picture or its mirror image.

        Args:
            plain: Words of the picture.
            mirrored: Words of its mirror image.
            among: Number of pictures that the frequency of a word is compared with.
        """
        weights, counts = zip(self._shared(plain, among), self._shared(mirrored, among), strict=True)
        return np.maximum(*weights), np.maximum(*counts)

    def _shared(self, words: WordArray, among: int) -> tuple[Int64Array, Int64Array]:
        """Return the weight and the number of the shared words of each row."""
        pictures = len(self._content_ids)
        found = [[(segment, *segment.find(words)) for segment in block] for block in self._blocks]
        frequency = np.zeros(len(words), dtype=np.int64)
        for _, _, length in chain.from_iterable(found):
            frequency += length
        useful = frequency <= MAX_FREQUENCY
        # Whole numbers, so that the sum does not depend on the order in which pictures were added.
        weight = np.rint(_WEIGHT_UNIT * np.log2(1 + among / np.maximum(frequency, 1)))
        weighed, shared = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for number, block in enumerate(found):
            rows = [np.empty(0, dtype=np.uint16)]
            weights = [np.empty(0)]
            for segment, begin, length in block:
                some = np.flatnonzero(useful & (length > 0))
                rows.append(segment.rows[_indices_of_slices(begin[some], length[some])])
                weights.append(np.repeat(weight[some], length[some]))
            row = np.concatenate(rows)
            size = min(_BLOCK, pictures - number * _BLOCK)
            shared.append(np.bincount(row, minlength=size))
            weighed.append(np.bincount(row, np.concatenate(weights), minlength=size).astype(np.int64))
        return np.concatenate(weighed), np.concatenate(shared)


def _indices_of_slices(begin: Int64Array, length: Int64Array) -> Int64Array:
    """Return the concatenated indices of many slices."""
    ends = np.cumsum(length)
    if not len(ends):
        return np.empty(0, dtype=np.int64)
    indices: Int64Array = np.arange(ends[-1]) + np.repeat(begin - (ends - length), length)
    return indices
