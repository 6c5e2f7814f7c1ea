"""The visual words of the SQLite index in memory, for the search of suspects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from py_image_dedup.features.inverted_index import NOBODY, InvertedIndex
from py_image_dedup.features.visual_words import WordArray, unpack_words
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.content_ids import contents_within, numbers_of
from py_image_dedup.store.sqlite.database import MAX_PARAMETERS, Database, batched
from py_image_dedup.store.sqlite.rows import damaged

_ROWS_A_PAGE: Final = 1_024
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

    def suspects(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.suspects``."""
        self._refresh()
        for some in batched(numbers, MAX_PARAMETERS):
            packed: dict[int, bytes] = dict(
                self._database.rows_in("SELECT content, data FROM words WHERE content IN (?)", some)
            )
            for number in some:
                found = packed.get(number)
                yield self._index.suspects(number, *self._unpacked(found)) if found is not None else ()

    def having(self, numbers: Iterable[int]) -> dict[bytes, int]:
        """Return those of these contents that have words: their digests, and the numbers."""
        query = "SELECT c.digest, c.number FROM words w JOIN contents c ON c.number = w.content WHERE w.content IN (?)"
        return dict(self._database.rows_in(query, numbers))

    def sharing(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.sharing``."""
        unpacked = [unpack_words(packed) for packed in words]
        self._refresh()
        return (self._index.suspects(NOBODY, plain, mirrored) for plain, mirrored in unpacked)

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
        while page := self._database.rows(query, (self._last, _ROWS_A_PAGE)):
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
