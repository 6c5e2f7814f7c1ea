"""The signatures and the visual words of the SQLite index in memory, for the search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from py_image_dedup.features.inverted_index import NOT_INDEXED, InvertedIndex
from py_image_dedup.features.visual_words import WordArray, unpack_words
from py_image_dedup.model.batches import batched
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.search.join import SearchIndex
from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.content_ids import content_ids_of, contents_within
from py_image_dedup.store.sqlite.database import MAX_PARAMETERS, Database
from py_image_dedup.store.sqlite.rows import damaged

_ROWS_A_PAGE: Final = 20_000
_ADDED_AT_MOST: Final = 500


class SignatureTable:
    """All signatures as one matrix: 280 bytes each, read once; later calls read new ones only.

    The signature of a content id never changes and content ids only grow, so the table is brought up to date by reading
    what comes after its last content id, whichever process wrote it. Contents that are gone stay until ``forget``; a
    search compares its result with the files anyway. One thread at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Release the memory."""
        self._length = 0
        self._content_ids = np.empty(0, dtype=np.int64)
        self._values = np.empty((0, SIGNATURE_LENGTH), dtype=np.int8)
        self._index: SearchIndex | None = None

    def refresh(self) -> None:
        """Read the signatures that were added since the last call.

        Raises:
            StoreError: A signature has a wrong length: the index is damaged.
        """
        kept = self._database.rows("SELECT count(*) FROM contents")[0][0]
        if self._length > 2 * kept:
            self.forget()
        page = self._page()
        while page:
            self._append(page, kept)
            page = self._page() if len(page) == _ROWS_A_PAGE else []

    @property
    def content_ids(self) -> Int64Array:
        """The content ids, int64, shape ``(n,)``, ascending; valid until the next ``refresh``."""
        return self._content_ids[: self._length]

    @property
    def values(self) -> Int8Array:
        """The signatures, int8, shape ``(n, 272)``; valid until the next ``refresh``."""
        return self._values[: self._length]

    def of(self, content_ids: Int64Array) -> Int8Array:
        """Return the signatures of contents; read-only, and without a copy if they are consecutive rows of the table.

        Args:
            content_ids: int64, shape ``(n,)``, ascending, all of them in the table.
        """
        rows = np.searchsorted(self.content_ids, content_ids)
        if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
            return self._values[rows[0] : rows[-1] + 1]
        return self._values[rows]

    def search(self, queries: Int8Array, max_distance: float) -> PairBlock:
        """Return all contents within a distance of each query.

        A query takes milliseconds once the table is prepared for the search, which is done again when the table has
        grown by an eighth. Signatures that were added since are searched unprepared.

        Args:
            queries: int8, shape ``(m, 272)``.
            max_distance: 0 to 1, itself included.

        Returns:
            ``left`` has the numbers of the queries, ``right`` content ids.
        """
        if self._index is None or self._length > _ADDED_AT_MOST + 9 * len(self._index) // 8:
            self._index = SearchIndex(self.values)
        known = len(self._index)
        added = SearchIndex(self._values[known : self._length])
        blocks = [self._index.query(queries, max_distance), added.query(queries, max_distance)]
        rows = [blocks[0].right, blocks[1].right + known]
        return PairBlock.concatenate(
            [replace(block, right=self._content_ids[row]) for block, row in zip(blocks, rows, strict=True)]
        )

    def _page(self) -> list[tuple[int, bytes]]:
        last = int(self._content_ids[self._length - 1]) if self._length else 0
        rows = self._database.rows(
            "SELECT number, signature FROM contents WHERE number > ? AND signature IS NOT NULL ORDER BY number LIMIT ?",
            (last, _ROWS_A_PAGE),
        )
        return [(content_id, values) for content_id, values in rows]

    def _append(self, page: list[tuple[int, bytes]], expected: int) -> None:
        needed = self._length + len(page)
        if needed > len(self._content_ids):
            # Memory that is never written costs nothing: one allocation for a whole library, spare room for a daemon.
            self._grow(max(needed, expected, 3 * len(self._content_ids) // 2))
        values = b"".join(signature for _, signature in page)
        if len(values) != len(page) * SIGNATURE_LENGTH:
            raise damaged(self._database.path, "a signature has a wrong length")
        self._content_ids[self._length : needed] = [content_id for content_id, _ in page]
        self._values[self._length : needed] = np.frombuffer(values, dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)
        self._length = needed

    def _grow(self, capacity: int) -> None:
        content_ids, values = self.content_ids, self.values
        self._content_ids = np.empty(capacity, dtype=np.int64)
        self._values = np.empty((capacity, SIGNATURE_LENGTH), dtype=np.int8)
        self._content_ids[: self._length] = content_ids
        self._values[: self._length] = values
        # It refers to the old array.
        self._index = None


_WORD_ROWS_A_PAGE: Final = 1_024
_OUTDATED_AT_LEAST: Final = 20_000


class WordTable:
    """The inverted index of visual words, read once; later calls read new words only. One thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Release the memory."""
        self._index = InvertedIndex()
        self._last = 0

    def candidates(self, content_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``."""
        self._refresh()
        for some in batched(content_ids, MAX_PARAMETERS):
            packed: dict[int, bytes] = dict(
                self._database.rows_in("SELECT content, data FROM words WHERE content IN (?)", some)
            )
            for content_id in some:
                found = packed.get(content_id)
                yield self._index.candidates(content_id, *self._unpacked(found)) if found is not None else ()

    def with_words(self, content_ids: Iterable[int]) -> dict[bytes, int]:
        """Return the content ids, by digest, of those contents that have words."""
        query = "SELECT c.digest, c.number FROM words w JOIN contents c ON c.number = w.content WHERE w.content IN (?)"
        return dict(self._database.rows_in(query, content_ids))

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        unpacked = [unpack_words(packed) for packed in words]
        self._refresh()
        return (self._index.candidates(NOT_INDEXED, plain, mirrored) for plain, mirrored in unpacked)

    def unverified(self, version: int, under: FolderRanges) -> Sequence[int]:
        """See ``Store.unverified``."""
        waiting = content_ids_of(
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
            self._index.add([content_id for _, content_id, _ in page], [self._unpacked(data)[0] for _, _, data in page])
            self._last = page[-1][0]
        if pages > 1:
            # Pages that were read once are not read again.
            self._database.execute("PRAGMA shrink_memory")

    def _unpacked(self, data: bytes) -> tuple[WordArray, WordArray]:
        try:
            return unpack_words(data)
        except ValueError as error:
            raise damaged(self._database.path, str(error)) from error
