"""The index on Elasticsearch, for libraries and teams that outgrow one file on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from py_image_dedup.model.batches import batched
from py_image_dedup.model.file import Stamp
from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.signature.distance import check_distance
from py_image_dedup.store.base import Neighbour, StoreError
from py_image_dedup.store.elastic import bulk
from py_image_dedup.store.elastic.client import Connection, ElasticOptions
from py_image_dedup.store.elastic.contents import ContentIds
from py_image_dedup.store.elastic.document import (
    EVERYTHING,
    STAT_PACKED,
    check_entry,
    documents,
    entries_under,
    entry_id,
    shared_versions,
    unpack_stat,
)
from py_image_dedup.store.elastic.index import migrate, open_index
from py_image_dedup.store.elastic.pairs import PairSearch
from py_image_dedup.store.elastic.reader import DIGESTS_A_QUERY, EntryReader, Reading, column
from py_image_dedup.store.elastic.search import FoundContents, NeighbourSearch
from py_image_dedup.store.elastic.words import WITH_WORDS, WordSearch
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.verdicts import InspectionCache, StoreWithCaches, VerdictCache

VERDICTS_NAME = "proofs.sqlite3"
"""The name of the file of verdicts in the cache directory."""


class ElasticStore(StoreWithCaches):
    """The index on one Elasticsearch server or on a cluster.

    Streams read a point in time: later writes, by this or another program, do not disturb them.

    Thread-safety: as ``Store``.
    """

    def __init__(self, options: ElasticOptions) -> None:
        """Open the index; create it if it is missing and ``auto_create_index`` allows it.

        Args:
            options: Connection options.

        Raises:
            StoreUnavailable: The server cannot be reached or is not ready.
            StoreError: Wrong credentials, an index of another program, or a server that is too old; see the message.
        """
        self._options = options
        self._connection = Connection(options)
        try:
            migrate(self._connection, open_index(self._connection))
        except BaseException:
            self._connection.close()
            raise
        self._connection.opened()
        self._index = options.index
        self._content_ids = ContentIds()
        self._reader = EntryReader(self._connection, self._index)
        self._pairs = PairSearch(self._connection, self._content_ids)
        self._words = WordSearch(self._connection, self._index, self._reader, self._content_ids)
        folder = options.cache_directory
        # Verdicts are valid for any index, because the file stores them by digest and not by content id.
        self._verdict_file = Database(folder / VERDICTS_NAME if folder else Path(":memory:"), busy_seconds=10.0)
        self._verdicts = VerdictCache(self._verdict_file, self._content_ids.digests, self.content_ids)
        self._inspections = InspectionCache(self._verdict_file)

    def get(self, path: Path) -> IndexEntry | None:
        """See ``Store.get``."""
        found = self._reader.by_ids([entry_id(os.fsencode(path))])
        return found[0] if found else None

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """See ``Store.put``.

        Raises:
            EntriesRejected: The server permanently rejects some entries; the others are written.
        """
        last = list({entry.stat.raw_path: entry for entry in entries}.values())
        for entry in last:
            check_entry(entry)
        last = self._with_features(last)
        self._write(bulk.index_operation(*document) for document in documents(last))
        self._reader.note_written(last)

    def remove(self, paths: Iterable[Path]) -> int:
        """See ``Store.remove``."""
        raw_paths = dict.fromkeys(map(os.fsencode, paths))
        self._verdicts.note_absent(self._reader.digests(map(entry_id, raw_paths)))
        return self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)

    def clear(self) -> None:
        """See ``Store.clear``. Entries that another program writes at the same time stay."""
        for hits in self._reader.pages(None, Reading(EVERYTHING, columns=(STAT_PACKED,))):
            raw_paths = [unpack_stat(column(hit, STAT_PACKED))[0] for hit in hits]
            self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)
        self._reader.refreshed()  # searches by digest would find what was deleted since the last refresh
        self._words.forget()
        with self._verdict_file.transaction():
            self._verdicts.clear()
            self._inspections.clear()

    def stamps(self, under: Sequence[Path] | None) -> Iterator[tuple[bytes, Stamp, Versions]]:
        """See ``Store.stamps``."""
        versions = self._reader.versions
        for hits in self._reader.pages(under, Reading(EVERYTHING, columns=(STAT_PACKED,))):
            for hit in hits:
                raw_path, stamp, made_with = unpack_stat(column(hit, STAT_PACKED))
                yield raw_path, stamp, shared_versions(versions, made_with)

    def entries(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.entries``."""
        return self._reader.in_order(under)

    def count(self, under: Sequence[Path] | None) -> int:
        """See ``Store.count``."""
        return 0 if under is not None and not under else self._reader.count(entries_under(under))

    def known(self, digests: Iterable[bytes]) -> Mapping[bytes, IndexEntry]:
        """See ``Store.known``."""
        return self._reader.known(digests)

    def failed(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.failed``."""
        return self._reader.in_order(under, {"exists": {"field": "failure.reason"}})

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """See ``Store.identical``. Holds the digests, 32 bytes per entry, not the entries."""
        for copies in self._reader.repeated(under):
            yield from (same for same in copies.values() if len(same) > 1)

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """See ``Store.pairs``. Joins the signatures in memory if they fit ``ElasticOptions.memory_bytes``."""
        check_distance(max_distance)
        if under is not None and not under:
            return iter(())
        return self._pairs.pairs(self._reader.refreshed(), under, max_distance)

    def similar(
        self, signatures: Sequence[Signature], max_distance: float, under: Sequence[Path] | None
    ) -> Sequence[Sequence[Neighbour]]:
        """See ``Store.similar``. The server searches and only the answers are transferred."""
        check_distance(max_distance)
        if not signatures or (under is not None and not under):
            return [() for _ in signatures]
        search = NeighbourSearch(self._connection, self._reader.refreshed(), entries_under(under), max_distance)
        values = np.frombuffer(b"".join(signature.values for signature in signatures), dtype=np.int8)
        return [self._neighbours(found) for found in search.neighbours(values.reshape(len(signatures), -1))]

    def contents(
        self, content_ids: Iterable[int], under: Sequence[Path] | None
    ) -> Mapping[int, tuple[IndexEntry, ...]]:
        """See ``Store.contents``."""
        found: dict[int, tuple[IndexEntry, ...]] = {}
        wanted = {digest: content_id for content_id, digest in self._content_ids.digests(content_ids).items()}
        for digests in batched(wanted, DIGESTS_A_QUERY):
            found |= {wanted[digest]: same for digest, same in self._reader.copies(digests, under).items()}
        return found

    def content_ids(self, digests: Iterable[bytes]) -> Mapping[bytes, int]:
        """See ``Store.content_ids``."""
        return {digest: self._content_ids.of(digest) for digest in self._reader.known(digests)}

    def features(self, content_ids: Iterable[int]) -> Mapping[int, bytes]:
        """See ``Store.features``."""
        digests = self._content_ids.digests(content_ids).values()
        known = self._reader.known(digests, features=True) if digests else {}
        return {self._content_ids.of(digest): entry.features for digest, entry in known.items() if entry.features}

    def candidates(self, content_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``. The words stay in memory for the next call, about 0.7 kB each."""
        return self._words.candidates(content_ids)

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        return self._words.candidates_for(words)

    def unverified(self, version: int, under: Sequence[Path] | None) -> Sequence[int]:
        """See ``Store.unverified``."""
        verified = self._verdicts.verified_with(version)
        found: set[int] = set()
        for hits in self._reader.pages(under, Reading(WITH_WORDS, columns=("digest",))):
            digests = {bytes.fromhex(column(hit, "digest")) for hit in hits}
            found.update(map(self._content_ids.of, sorted(digests - verified)))
        return sorted(found)

    def unverified_among(self, version: int, content_ids: Sequence[int]) -> Sequence[int]:
        """See ``Store.unverified_among``."""
        contents = {digest: content_id for content_id, digest in self._content_ids.digests(content_ids).items()}
        featured = {digest: contents[digest] for digest in self._words.with_words(list(contents))}
        return self._verdicts.unverified_among(version, featured)

    def invalidate_orphans(self) -> None:
        """See ``Store.invalidate_orphans``. Removals by other programs and overwritten entries are not seen."""
        if noted := self._verdicts.absent():
            self._reader.refreshed()
            self._verdicts.invalidate(set(noted) - self._reader.known(noted).keys())

    def size(self) -> int | None:
        """See ``Store.size``. Includes replicas; ``None`` without the privilege to read it."""
        try:
            answer = self._connection.call(
                "measure", lambda client: client.indices.stats(index=self._index, metric="store")
            )
        except StoreError as error:
            if getattr(error.__cause__, "status_code", None) == 403:
                return None
            raise
        return int(answer["_all"]["total"]["store"]["size_in_bytes"])

    def close(self) -> None:
        """See ``Store.close``."""
        self._words.forget()
        self._verdict_file.close()
        self._connection.close()

    def _with_features(self, entries: Sequence[IndexEntry]) -> list[IndexEntry]:
        """Add the features that the index has of entries which were read from it without them."""
        bare = {e.digest for e in entries if e.digest is not None and e.features is None and e.versions.features}
        known = self._reader.known(bare, features=True) if bare else {}
        return [_completed(entry, known.get(entry.digest or b"")) for entry in entries]

    def _write(self, operations: Iterable[bulk.Operation]) -> int:
        return bulk.write(self._connection, self._index, operations)

    def _neighbours(self, found: FoundContents) -> tuple[Neighbour, ...]:
        columns = (self._content_ids.of_all(found.digests), found.distances, found.orientations)
        neighbours = [
            Neighbour(content_id, distance, Orientation(orientation))
            for content_id, distance, orientation in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return tuple(sorted(neighbours, key=lambda neighbour: (neighbour.distance, neighbour.content_id)))


def _completed(entry: IndexEntry, known: IndexEntry | None) -> IndexEntry:
    if known is None or entry.features is not None or known.versions != entry.versions:
        return entry
    return replace(entry, features=known.features, words=known.words)
