"""The embedded index in one SQLite file, with nothing to install and nothing to start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from py_image_dedup.model.batches import batched
from py_image_dedup.model.file import Stamp
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.signature.distance import check_distance
from py_image_dedup.store.base import Neighbour, StoreError, StoreUnavailable
from py_image_dedup.store.content_search import matrix_of, neighbours
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.caches import SignatureTable, WordTable
from py_image_dedup.store.sqlite.database import MAX_PARAMETERS, Database, Row, refuse_foreign
from py_image_dedup.store.sqlite.pairs import PairSearch
from py_image_dedup.store.sqlite.rows import (
    DEPARTED_ENTRY,
    ENTRY,
    FIRST_ENTRY,
    WORD,
    VersionTable,
    entry_of,
    put_entries,
)
from py_image_dedup.store.sqlite.upkeep import count_changes, drop_orphans
from py_image_dedup.store.sqlite.verdicts import InspectionCache, StoreWithCaches, VerdictCache, invalidate_departed

_COMPANIONS = ("", "-wal", "-shm", "-journal")
_STAMP = "SELECT f.path, f.size, f.mtime_ns, f.device, f.inode, f.versions FROM files f"
# Small enough that the garbage collector sees few new objects at a time, which is half the cost of a row.
_STAMPS_A_PAGE = 2_000
_ENTRIES_A_PAGE = 500
_WORTH_SHRINKING = 1_000_000


class SqliteStore(StoreWithCaches):
    """The index in an SQLite file.

    Streams read a page at a time and keep no cursor open: the caller may put and remove between two steps of a stream,
    and another process may read (a ``status``) while this one writes.

    Thread-safety: as ``Store``; calls may come from different threads, one at a time.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10.0) -> None:
        """Open the index, or create it with its folder.

        Args:
            path: File of the index.
            busy_seconds: Seconds to wait for another process that is writing.

        Raises:
            StoreUnavailable: Another process writes for longer than that.
            StoreError: The file cannot be opened, is damaged, of a newer format, or of another program.
        """
        self._database = Database(path, busy_seconds=busy_seconds)
        self._versions = VersionTable(self._database)
        self._table = SignatureTable(self._database)
        self._pairs = PairSearch(self._database, self._table)
        self._words = WordTable(self._database)
        self._verdicts = VerdictCache(self._database, self._digests, self.content_ids)
        self._inspections = InspectionCache(self._database)

    @property
    def path(self) -> Path:
        """The file of the index."""
        return self._database.path

    def get(self, path: Path) -> IndexEntry | None:
        """See ``Store.get``."""
        rows = self._database.rows(f"{ENTRY} WHERE f.path = ?", (os.fsencode(path),))
        return self._entry(rows[0]) if rows else None

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """See ``Store.put``."""
        by_path = {entry.stat.raw_path: entry for entry in entries}
        with self._database.transaction():
            put_entries(self._database, self._versions, by_path)
            count_changes(self._database, len(by_path))
        drop_orphans(self._database)

    def remove(self, paths: Iterable[Path]) -> int:
        """See ``Store.remove``. A few hundred paths are one transaction."""
        removed = 0
        for some in batched(map(os.fsencode, paths), MAX_PARAMETERS):
            with self._database.transaction():
                removed += self._database.execute_in("DELETE FROM files WHERE path IN (?)", some)
                count_changes(self._database, len(some))
        drop_orphans(self._database)
        return removed

    def clear(self) -> None:
        """See ``Store.clear``. The file shrinks."""
        worth_shrinking = self.size() > _WORTH_SHRINKING
        with self._database.transaction():
            for table in ("files", "contents", "features", "words", "departed", "unsearched", "crowded", "pairs"):
                self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            self._verdicts.clear()
            self._inspections.clear()
            self._database.set_index_value("search_epoch", self._database.index_value("search_epoch") + 1)
        self._table.forget()
        self._words.forget()
        # Another process that is reading keeps the file from shrinking; the space is reused all the same.
        if worth_shrinking:
            with suppress(StoreUnavailable):
                self._database.execute("VACUUM")

    def stamps(self, under: Sequence[Path] | None) -> Iterator[tuple[bytes, Stamp, Versions]]:
        """See ``Store.stamps``."""
        of = self._versions
        for page in self._pages(_STAMP, under, _STAMPS_A_PAGE):
            # A list at a time: this is the only loop over every file of an unchanged library.
            yield from [
                (path, (size, mtime_ns, device % WORD, inode % WORD), of[version_id])
                for path, size, mtime_ns, device, inode, version_id in page
            ]

    def entries(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.entries``."""
        for page in self._pages(ENTRY, under, _ENTRIES_A_PAGE):
            yield from map(self._entry, page)

    def count(self, under: Sequence[Path] | None) -> int:
        """See ``Store.count``."""
        if under is None:
            return int(self._database.rows("SELECT count(*) FROM files")[0][0])
        within = "SELECT count(*) FROM files WHERE path >= ? AND path < ?"
        return sum(self._database.rows(within, bounds)[0][0] for bounds in FolderRanges.of(under))

    def known(self, digests: Iterable[bytes]) -> Mapping[bytes, IndexEntry]:
        """See ``Store.known``."""
        found: dict[bytes, IndexEntry] = {}
        for some in batched(dict.fromkeys(digests), MAX_PARAMETERS):
            found |= self._by_digest(FIRST_ENTRY, some)
            found |= self._by_digest(DEPARTED_ENTRY, [digest for digest in some if digest not in found])
        return found

    def failed(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.failed``. Holds the paths of the failed files, not their entries."""
        ranges = FolderRanges.of(under)
        rows = self._database.rows(
            """
            SELECT path FROM files WHERE failure_reason IS NOT NULL
            UNION ALL
            SELECT f.path FROM contents c CROSS JOIN files f ON f.content = c.number WHERE c.failure_reason IS NOT NULL
            """
        )
        # An entry may have been replaced since the stream began.
        yield from (entry for entry in self._of_paths(rows, ranges) if entry.failure is not None)

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.unsigned``. Holds the paths of the pictures, not their entries."""
        rows = self._database.rows(
            """
            SELECT f.path FROM contents c CROSS JOIN files f ON f.content = c.number
            WHERE c.signature IS NULL AND c.failure_reason IS NULL AND c.format IS NOT NULL
            """
        )
        found = self._of_paths(rows, FolderRanges.of(under))
        yield from (entry for entry in found if entry.decoded_whole and entry.signature is None)

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """See ``Store.identical``. Holds the content ids in question, not the entries."""
        ranges = FolderRanges.of(under)
        rows = self._database.rows(
            "SELECT content FROM files WHERE content IS NOT NULL GROUP BY content HAVING count(*) > 1"
        )
        for some in batched((content_id for (content_id,) in rows), MAX_PARAMETERS):
            for same in self._copies(some, ranges).values():
                if len(same) > 1:
                    yield same

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """See ``Store.pairs``."""
        return self._pairs.pairs(check_distance(max_distance), FolderRanges.of(under))

    def similar(
        self, signatures: Sequence[Signature], max_distance: float, under: Sequence[Path] | None
    ) -> Sequence[Sequence[Neighbour]]:
        """See ``Store.similar``. The signatures stay in memory for the next call, 280 bytes each."""
        bound, ranges = check_distance(max_distance), FolderRanges.of(under)
        self._table.refresh()
        found = self._table.search(matrix_of(signatures), bound)
        query = "SELECT content, path FROM files WHERE content IN (?)"
        rows = self._database.rows_in(query, np.unique(found.right).tolist())
        inside = [content_id for content_id, path in rows if path in ranges]
        return neighbours(found.filter(np.isin(found.right, inside)), len(signatures))

    def contents(
        self, content_ids: Iterable[int], under: Sequence[Path] | None
    ) -> Mapping[int, tuple[IndexEntry, ...]]:
        """See ``Store.contents``."""
        ranges = FolderRanges.of(under)
        found: dict[int, tuple[IndexEntry, ...]] = {}
        for some in batched(dict.fromkeys(content_ids), MAX_PARAMETERS):
            found |= self._copies(some, ranges)
        return found

    def content_ids(self, digests: Iterable[bytes]) -> Mapping[bytes, int]:
        """See ``Store.content_ids``."""
        return dict(self._database.rows_in("SELECT digest, number FROM contents WHERE digest IN (?)", digests))

    def features(self, content_ids: Iterable[int]) -> Mapping[int, bytes]:
        """See ``Store.features``."""
        return dict(self._database.rows_in("SELECT content, data FROM features WHERE content IN (?)", content_ids))

    def candidates(self, content_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``. The words stay in memory for the next call, about 0.7 kB each."""
        return self._words.candidates(content_ids)

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        return self._words.candidates_for(words)

    def unverified(self, version: int, under: Sequence[Path] | None) -> Sequence[int]:
        """See ``Store.unverified``."""
        return self._words.unverified(version, FolderRanges.of(under))

    def unverified_among(self, version: int, content_ids: Sequence[int]) -> Sequence[int]:
        """See ``Store.unverified_among``."""
        return self._verdicts.unverified_among(version, self._words.with_words(content_ids))

    def invalidate_orphans(self) -> None:
        """See ``Store.invalidate_orphans``."""
        invalidate_departed(self._database)

    def size(self) -> int:
        """See ``Store.size``. The write-ahead log is included."""
        return sum(file.stat().st_size for file in _files(self.path) if file.exists())

    @staticmethod
    def discard(path: Path) -> None:
        """Delete an index that cannot be opened, so that it is created anew; a missing file is not an error.

        ``clear`` needs a working index; this does not. No other process may have the index open.

        Raises:
            StoreError: The file is a database of another program, or cannot be deleted.
        """
        refuse_foreign(path)
        for file in _files(path):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{file} cannot be deleted: {error.strerror}. Delete it by hand") from error

    def close(self) -> None:
        """See ``Store.close``."""
        self._table.forget()
        self._words.forget()
        self._database.close()

    def _digests(self, content_ids: Sequence[int]) -> dict[int, bytes]:
        return dict(self._database.rows_in("SELECT number, digest FROM contents WHERE number IN (?)", content_ids))

    def _entry(self, row: Row) -> IndexEntry:
        return entry_of(row, self._versions, self.path)

    def _of_paths(self, rows: Iterable[Row], ranges: FolderRanges) -> Iterator[IndexEntry]:
        """Stream the entries of the paths in the first column, in the order of paths."""
        paths = sorted(path for path, *_ in rows if path in ranges)
        for some in batched(paths, MAX_PARAMETERS):
            yield from map(self._entry, self._database.rows_in(f"{ENTRY} WHERE f.path IN (?) ORDER BY f.path", some))

    def _by_digest(self, query: str, digests: Sequence[bytes]) -> dict[bytes, IndexEntry]:
        entries = map(self._entry, self._database.rows_in(f"{query} WHERE c.digest IN (?)", digests))
        return {entry.digest: entry for entry in entries if entry.digest is not None}

    def _copies(self, content_ids: Sequence[int], ranges: FolderRanges) -> dict[int, tuple[IndexEntry, ...]]:
        """Return the entries of at most ``MAX_PARAMETERS`` contents by content id, in the order of paths."""
        query = f"{ENTRY} WHERE f.content IN (?) ORDER BY f.content, f.path"
        rows = (row for row in self._database.rows_in(query, content_ids) if row[0] in ranges)
        return {content_id: tuple(map(self._entry, same)) for content_id, same in groupby(rows, itemgetter(1))}

    def _pages(self, query: str, under: Sequence[Path] | None, size: int) -> Iterator[list[Row]]:
        """Stream rows that begin with a path, in the order of paths, each page a query of its own."""
        for low, high in FolderRanges.of(under):
            page = self._page(query, ">=", low, high, size)
            while page:
                yield page
                page = self._page(query, ">", page[-1][0], high, size) if len(page) == size else []

    def _page(self, query: str, comparison: str, low: bytes, high: bytes | None, size: int) -> list[Row]:
        bounded = (
            f"{query} WHERE f.path {comparison} ? {'' if high is None else 'AND f.path < ?'} ORDER BY f.path LIMIT ?"
        )
        return self._database.rows(bounded, (low, size) if high is None else (low, high, size))


def _files(path: Path) -> list[Path]:
    """Return the file of an index and the files that SQLite has beside it."""
    return [path.with_name(path.name + suffix) for suffix in _COMPANIONS]
