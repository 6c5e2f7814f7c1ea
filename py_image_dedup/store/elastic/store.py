"""The index on Elasticsearch, for libraries and teams that one file on one machine is too small for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from py_image_dedup.model.file import Stamp
from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.pairs import PairBlock
from py_image_dedup.store.base import Neighbour, Store, StoreError
from py_image_dedup.store.elastic import bulk
from py_image_dedup.store.elastic.connection import Connection
from py_image_dedup.store.elastic.document import EVERYTHING, check, documents, entry_id, shared, within
from py_image_dedup.store.elastic.migration import migrate
from py_image_dedup.store.elastic.numbers import Numbers
from py_image_dedup.store.elastic.options import ElasticOptions
from py_image_dedup.store.elastic.packing import unpack_look
from py_image_dedup.store.elastic.pairs import PairSearch
from py_image_dedup.store.elastic.reader import TERMS, EntryReader
from py_image_dedup.store.elastic.scan import Reading, column
from py_image_dedup.store.elastic.schema import open_index
from py_image_dedup.store.elastic.search import Found, NeighbourSearch
from py_image_dedup.store.join import within_bounds


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
        self._write(bulk.index_operation(*document) for document in documents(last))
        self._reader.note(last)

    def remove(self, paths: Iterable[Path]) -> int:
        """See ``Store.remove``."""
        raw_paths = dict.fromkeys(map(os.fsencode, paths))
        return self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)

    def clear(self) -> None:
        """See ``Store.clear``. Entries that another program writes meanwhile stay."""
        for hits in self._reader.pages(None, Reading(EVERYTHING, columns=("look",))):
            raw_paths = [unpack_look(column(hit, "look"))[0] for hit in hits]
            self._write(bulk.delete_operation(entry_id(raw_path), raw_path) for raw_path in raw_paths)

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
        self._connection.close()

    def _write(self, operations: Iterable[bulk.Operation]) -> int:
        return bulk.write(self._connection, self._index, operations)

    def _neighbours(self, found: Found) -> tuple[Neighbour, ...]:
        columns = (self._numbers.of_all(found.digests), found.distances, found.orientations)
        neighbours = [
            Neighbour(number, distance, Orientation(orientation))
            for number, distance, orientation in zip(*(column.tolist() for column in columns), strict=True)
        ]
        return tuple(sorted(neighbours, key=lambda neighbour: (neighbour.distance, neighbour.number)))
