"""The index on Elasticsearch, for libraries and teams that one file on one machine is too small for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from py_image_dedup.model.file import Stamp
from py_image_dedup.model.match import Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.base import Neighbour, Store, StoreError
from py_image_dedup.store.content_search import within_bounds
from py_image_dedup.store.elastic import bulk
from py_image_dedup.store.elastic.client import Connection, ElasticOptions
from py_image_dedup.store.elastic.contents import Numbers
from py_image_dedup.store.elastic.document import EVERYTHING, check, documents, entry_id, shared, unpack_look, within
from py_image_dedup.store.elastic.index import migrate, open_index
from py_image_dedup.store.elastic.pairs import PairSearch
from py_image_dedup.store.elastic.reader import TERMS, EntryReader, Reading, column
from py_image_dedup.store.elastic.search import Found, NeighbourSearch
from py_image_dedup.store.elastic.words import WITH_WORDS, WordSearch
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.inspections import InspectionCache
from py_image_dedup.store.sqlite.verdicts import VerdictCache

PROOFS_NAME = "proofs.sqlite3"
"""Of the file in the cache directory with what verification found out."""


class ElasticStore(Store):
    """The contract on an Elasticsearch index, of one server or of a cluster.

    Streams read a point in time: what is written meanwhile, here or by another program, does not disturb them.

    Thread-safety: as the contract.
    """

    def __init__(self, options: ElasticOptions) -> None:
        """Open the index; make it if it is not there and may be made.

        Args:
            options: Where it is.

        Raises:
            StoreUnavailable: The server cannot be reached or is not ready.
            StoreError: Wrong credentials, another program's index, too old a server; the message says which.
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
        self._numbers = Numbers()
        self._reader = EntryReader(self._connection, self._index)
        self._pairs = PairSearch(self._connection, self._numbers)
        self._words = WordSearch(self._connection, self._index, self._reader, self._numbers)
        folder = options.cache_directory
        # Proofs hold for any index: what is in the file is known by digest and not by number.
        self._kept = Database(folder / PROOFS_NAME if folder else Path(":memory:"), busy_seconds=10.0)
        self._proofs = VerdictCache(self._kept, self._digests, self.content_ids)
        self._inspections = InspectionCache(self._kept)

    def get(self, path: Path) -> IndexEntry | None:
        """See ``Store.get``."""
        found = self._reader.by_ids([entry_id(os.fsencode(path))])
        return found[0] if found else None

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """See ``Store.put``.

        Raises:
            EntriesRejected: The server refuses some entries for good; the others are written.
        """
        last = list({entry.stat.raw_path: entry for entry in entries}.values())
        for entry in last:
            check(entry)
        last = self._with_features(last)
        self._write(bulk.index_operation(*document) for document in documents(last))
        self._reader.note(last)

    def remove(self, paths: Iterable[Path]) -> int:
        """See ``Store.remove``."""
        raw_paths = dict.fromkeys(map(os.fsencode, paths))
        self._proofs.note_absent(self._reader.digests(map(entry_id, raw_paths)))
        return self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)

    def clear(self) -> None:
        """See ``Store.clear``. Entries that another program writes meanwhile stay."""
        for hits in self._reader.pages(None, Reading(EVERYTHING, columns=("look",))):
            raw_paths = [unpack_look(column(hit, "look"))[0] for hit in hits]
            self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)
        self._words.forget()
        with self._kept.transaction():
            self._proofs.clear()
            self._inspections.clear()

    def stamps(self, under: Sequence[Path] | None) -> Iterator[tuple[bytes, Stamp, Versions]]:
        """See ``Store.stamps``."""
        versions = self._reader.versions
        for hits in self._reader.pages(under, Reading(EVERYTHING, columns=("look",))):
            for hit in hits:
                raw_path, stamp, made_with = unpack_look(column(hit, "look"))
                yield raw_path, stamp, shared(versions, made_with)

    def entries(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.entries``."""
        return self._reader.in_order(under)

    def count(self, under: Sequence[Path] | None) -> int:
        """See ``Store.count``."""
        return 0 if under is not None and not under else self._reader.count(within(under))

    def known(self, digests: Iterable[bytes]) -> Mapping[bytes, IndexEntry]:
        """See ``Store.known``."""
        return self._reader.known(digests)

    def failed(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """See ``Store.failed``."""
        return self._reader.in_order(under, {"exists": {"field": "failure.reason"}})

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """See ``Store.identical``. Holds the digests, 32 bytes an entry, not the entries."""
        for copies in self._reader.repeated(under):
            yield from (same for same in copies.values() if len(same) > 1)

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """See ``Store.pairs``. Reads the signatures once and joins them here, as long as they fit the memory stated."""
        within_bounds(max_distance)
        if under is not None and not under:
            return iter(())
        return self._pairs.pairs(self._reader.fresh(), under, max_distance)

    def similar(
        self, signatures: Sequence[Signature], max_distance: float, under: Sequence[Path] | None
    ) -> Sequence[Sequence[Neighbour]]:
        """See ``Store.similar``. The server searches; nothing but the answers comes over."""
        within_bounds(max_distance)
        if not signatures or (under is not None and not under):
            return [() for _ in signatures]
        search = NeighbourSearch(self._connection, self._reader.fresh(), within(under), max_distance)
        values = np.frombuffer(b"".join(signature.values for signature in signatures), dtype=np.int8)
        return [self._neighbours(found) for found in search.neighbours(values.reshape(len(signatures), -1))]

    def contents(self, numbers: Iterable[int], under: Sequence[Path] | None) -> Mapping[int, tuple[IndexEntry, ...]]:
        """See ``Store.contents``."""
        found: dict[int, tuple[IndexEntry, ...]] = {}
        asked = ((self._numbers.digest(number), number) for number in dict.fromkeys(numbers))
        remaining = iter([(digest, number) for digest, number in asked if digest is not None])
        while some := dict(islice(remaining, TERMS)):
            found |= {some[digest]: same for digest, same in self._reader.copies(list(some), under).items()}
        return found

    def content_ids(self, digests: Iterable[bytes]) -> Mapping[bytes, int]:
        """See ``Store.content_ids``."""
        return {digest: self._numbers.of(digest) for digest in self._reader.known(digests)}

    def features(self, numbers: Iterable[int]) -> Mapping[int, bytes]:
        """See ``Store.features``."""
        digests = [digest for number in numbers if (digest := self._numbers.digest(number)) is not None]
        known = self._reader.known(digests, features=True) if digests else {}
        return {self._numbers.of(digest): entry.features for digest, entry in known.items() if entry.features}

    def candidates(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``. The words stay in memory for the next call, about 0.7 kB a content."""
        return self._words.candidates(numbers)

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        return self._words.candidates_for(words)

    def unverified(self, version: int, under: Sequence[Path] | None) -> Sequence[int]:
        """See ``Store.unverified``."""
        verified = self._proofs.verified(version)
        found: set[int] = set()
        for hits in self._reader.pages(under, Reading(WITH_WORDS, columns=("digest",))):
            digests = {bytes.fromhex(column(hit, "digest")) for hit in hits}
            found.update(map(self._numbers.of, sorted(digests - verified)))
        return sorted(found)

    def unverified_among(self, version: int, numbers: Sequence[int]) -> Sequence[int]:
        """See ``Store.unverified_among``."""
        digests = {digest: number for number in numbers if (digest := self._numbers.digest(number)) is not None}
        featured = {digest: digests[digest] for digest in self._words.having(list(digests))}
        return self._proofs.unverified_among(version, featured)

    def invalidate_orphans(self) -> None:
        """See ``Store.invalidate_orphans``. Removals by other programs and overwritten entries are not seen."""
        if noted := self._proofs.absent():
            self._reader.fresh()
            self._proofs.unmark(set(noted) - self._reader.known(noted).keys())

    def keep_verdicts(self, version: int, proofs: Sequence[PairVerdict], verified: Sequence[int] = ()) -> None:
        """See ``Store.keep_verdicts``. In a file of this machine, or, without a cache directory, in memory."""
        self._proofs.keep(version, proofs, verified)

    def verdicts(self, version: int, numbers: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """See ``Store.verdicts``."""
        return self._proofs.verdicts(version, numbers)

    def keep_inspections(self, version: int, found: Mapping[tuple[bytes, bytes], bytes]) -> None:
        """See ``Store.keep_inspections``."""
        self._inspections.keep(version, found)

    def inspections(self, version: int, pairs: Collection[tuple[bytes, bytes]]) -> Mapping[tuple[bytes, bytes], bytes]:
        """See ``Store.inspections``."""
        return self._inspections.inspections(version, pairs)

    def size(self) -> int | None:
        """See ``Store.size``. Replicas count; ``None`` if the user may not ask."""
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
        self._kept.close()
        self._connection.close()

    def _with_features(self, entries: Sequence[IndexEntry]) -> list[IndexEntry]:
        """Give entries that came out of the index the features that they have there."""
        bare = {e.digest for e in entries if e.digest is not None and e.features is None and e.versions.features}
        known = self._reader.known(bare, features=True) if bare else {}
        return [_completed(entry, known.get(entry.digest or b"")) for entry in entries]

    def _digests(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return {number: digest for number in numbers if (digest := self._numbers.digest(number)) is not None}

    def _write(self, operations: Iterable[bulk.Operation]) -> int:
        return bulk.write(self._connection, self._index, operations)

    def _neighbours(self, found: Found) -> tuple[Neighbour, ...]:
        columns = (self._numbers.of_all(found.digests), found.distances, found.orientations)
        neighbours = [
            Neighbour(number, distance, Orientation(orientation))
            for number, distance, orientation in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return tuple(sorted(neighbours, key=lambda neighbour: (neighbour.distance, neighbour.content_id)))


def _completed(entry: IndexEntry, known: IndexEntry | None) -> IndexEntry:
    if known is None or entry.features is not None or known.versions != entry.versions:
        return entry
    return replace(entry, features=known.features, words=known.words)
