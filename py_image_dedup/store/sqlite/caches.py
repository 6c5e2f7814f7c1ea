"""The signatures of the SQLite index in memory, for the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from py_image_dedup.features.inverted_index import NOBODY, InvertedIndex
from py_image_dedup.features.visual_words import WordArray, unpack_words
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.search.join import SearchIndex
from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock
from py_image_dedup.store.content_search import together
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.content_ids import contents_within, numbers_of
from py_image_dedup.store.sqlite.database import MAX_PARAMETERS, Database, batched
from py_image_dedup.store.sqlite.rows import damaged

_ROWS_A_PAGE: Final = 20_000
_ADDED_AT_MOST: Final = 500


class SignatureTable:
    """All signatures as one matrix: 280 bytes each, read once and then only what is new.

    A number's signature never changes and numbers only grow, so the table is brought up to date by reading what comes
    after its last number, whoever wrote it. Numbers of contents that are gone stay until ``forget``: whoever
    searches compares with the files anyway. One thread at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Give the memory back."""
        self._length = 0
        self._numbers = np.empty(0, dtype=np.int64)
        self._values = np.empty((0, SIGNATURE_LENGTH), dtype=np.int8)
        self._index: SearchIndex | None = None

    def refresh(self) -> None:
        """Read what was added since the last time.

        Raises:
            StoreError: A signature has another length: the index is damaged.
        """
        kept = self._database.rows("SELECT count(*) FROM contents")[0][0]
        if self._length > 2 * kept:
            self.forget()
        page = self._page()
        while page:
            self._append(page, kept)
            page = self._page() if len(page) == _ROWS_A_PAGE else []

    @property
    def numbers(self) -> Int64Array:
        """Numbers of contents, ascending; valid until the next ``refresh``."""
        return self._numbers[: self._length]

    @property
    def values(self) -> Int8Array:
        """Their signatures, shape ``(n, 272)``; valid until the next ``refresh``."""
        return self._values[: self._length]

    def of(self, numbers: Int64Array) -> Int8Array:
        """Return the signatures of some ascending numbers, all of them in the table; not to be written to.

        No memory is used for neighbours in the table, such as all of it.
        """
        rows = np.searchsorted(self.numbers, numbers)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return self._values[rows[0] : rows[-1] + 1]
        return self._values[rows]

    def search(self, queries: Int8Array, max_distance: float) -> PairBlock:
        """Find all contents within a distance of each query.

        Warm, a query takes milliseconds: what the search needs to know of the table is computed once, and again when
        the table has grown by an eighth. What was added since is searched as it stands.

        Args:
            queries: int8, shape ``(m, 272)``.
            max_distance: 0 to 1, itself included.

        Returns:
            ``left`` numbers the queries; ``right`` has numbers of contents.
        """
        if self._index is None or self._length > _ADDED_AT_MOST + 9 * len(self._index) // 8:
            self._index = SearchIndex(self.values)
        known = len(self._index)
        added = SearchIndex(self._values[known : self._length])
        blocks = [self._index.query(queries, max_distance), added.query(queries, max_distance)]
        rows = [blocks[0].right, blocks[1].right + known]
        return together([replace(block, right=self._numbers[row]) for block, row in zip(blocks, rows, strict=True)])

    def _page(self) -> list[tuple[int, bytes]]:
        last = int(self._numbers[self._length - 1]) if self._length else 0
        rows = self._database.rows(
            "SELECT number, signature FROM contents WHERE number > ? AND signature IS NOT NULL ORDER BY number LIMIT ?",
            (last, _ROWS_A_PAGE),
        )
        return [(number, values) for number, values in rows]

    def _append(self, page: list[tuple[int, bytes]], expected: int) -> None:
        needed = self._length + len(page)
        if needed > len(self._numbers):
            # Memory that is never written costs nothing: one allocation for a whole library, some spare for a daemon.
            self._grow(max(needed, expected, 3 * len(self._numbers) // 2))
        values = b"".join(signature for _, signature in page)
        if len(values) != len(page) * SIGNATURE_LENGTH:
            raise damaged(self._database.path, "a signature has another length")
        self._numbers[self._length : needed] = [number for number, _ in page]
        self._values[self._length : needed] = np.frombuffer(values, dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)
        self._length = needed

    def _grow(self, capacity: int) -> None:
        numbers, values = self.numbers, self.values
        self._numbers = np.empty(capacity, dtype=np.int64)
        self._values = np.empty((capacity, SIGNATURE_LENGTH), dtype=np.int8)
        self._numbers[: self._length] = numbers
        self._values[: self._length] = values
        # It holds the array that was left.
        self._index = None


_WORD_ROWS_A_PAGE: Final = 1_024
_OUTDATED_AT_LEAST: Final = 20_000


class WordTable:
    """An inverted index that is read once, and then only what is new. One thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Give the memory back."""
        self._index = InvertedIndex()
        self._last = 0

    def candidates(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``."""
        self._refresh()
        for some in batched(numbers, MAX_PARAMETERS):
            packed: dict[int, bytes] = dict(
                self._database.rows_in("SELECT content, data FROM words WHERE content IN (?)", some)
            )
            for number in some:
                found = packed.get(number)
                yield self._index.candidates(number, *self._unpacked(found)) if found is not None else ()

    def having(self, numbers: Iterable[int]) -> dict[bytes, int]:
        """Return those of these contents that have words: their digests, and the numbers."""
        query = "SELECT c.digest, c.number FROM words w JOIN contents c ON c.number = w.content WHERE w.content IN (?)"
        return dict(self._database.rows_in(query, numbers))

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        unpacked = [unpack_words(packed) for packed in words]
        self._refresh()
        return (self._index.candidates(NOBODY, plain, mirrored) for plain, mirrored in unpacked)

    def unverified(self, version: int, under: FolderRanges) -> Sequence[int]:
        """See ``Store.unverified``."""
        waiting = numbers_of(
            self._database,
            """
            SELECT w.content FROM words w JOIN contents c ON c.number = w.content
            WHERE NOT EXISTS (SELECT 1 FROM verified v WHERE v.digest = c.digest AND v.version = ?)
            """,
            (version,),
        )
        if not len(waiting):
            return []
        inside = np.intersect1d(waiting, contents_within(self._database, under))
        return list(map(int, inside))

    def _refresh(self) -> None:
        kept = self._database.rows("SELECT count(*) FROM words")[0][0]
        if len(self._index) > 2 * kept + _OUTDATED_AT_LEAST:
            self.forget()
        query = "SELECT sequence, content, data FROM words WHERE sequence > ? ORDER BY sequence LIMIT ?"
        pages = 0
        while page := self._database.rows(query, (self._last, _WORD_ROWS_A_PAGE)):
            pages += 1
            self._index.add([number for _, number, _ in page], [self._unpacked(data)[0] for _, _, data in page])
            self._last = page[-1][0]
        if pages > 1:
            # What was read in passing is not read again.
            self._database.execute("PRAGMA shrink_memory")

    def _unpacked(self, data: bytes) -> tuple[WordArray, WordArray]:
        try:
            return unpack_words(data)
        except ValueError as error:
            raise damaged(self._database.path, str(error)) from error
