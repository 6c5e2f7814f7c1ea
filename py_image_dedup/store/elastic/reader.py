"""Reads of entries by path, by digest or in order, and the refreshes of the index that they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from py_image_dedup.model.batches import batched
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import CLIENT_ERRORS, Connection, explain_answer, require_all_shards
from py_image_dedup.store.elastic.document import (
    DIGEST_LENGTH,
    EVERYTHING,
    PATH_ORDER,
    READ,
    READ_ALL,
    entries_under,
    entry_id,
    entry_of,
)

Query: TypeAlias = Mapping[str, Any]
Hit: TypeAlias = Mapping[str, Any]

KEEP_ALIVE: Final = "10m"
"""The time for which the server keeps a point in time between two pages."""

_ANSWER = "hits.hits.sort,hits.hits.fields,hits.hits._source,hits.hits._seq_no,_shards,timed_out"
COLUMNS_A_PAGE: Final = 5_000
DOCUMENTS_A_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A read of all documents of a query, page by page.

    Attributes:
        query: Query for the documents.
        columns: Binary columns and keywords, read without the document; each hit has them in ``fields``.
        source: Fields of the document; each hit has them in ``_source``.
        sort: Field to sort by; empty for the order on the disk, which is the fastest.
        size: Documents per page.
        extra: Other parts of the request.
        preference: Shard to read (``_shards:0``); ``None`` for all.
    """

    query: Query
    columns: Sequence[str] = ()
    source: Sequence[str] = ()
    sort: str = ""
    size: int = COLUMNS_A_PAGE
    extra: Mapping[str, Any] = field(default_factory=dict)
    preference: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the part of the request that is the same for every page."""
        body: dict[str, Any] = {
            "query": self.query,
            "size": self.size,
            "track_total_hits": False,
            "sort": [{self.sort: "asc"}, {"_shard_doc": "asc"}] if self.sort else [{"_shard_doc": "asc"}],
            **self.extra,
        }
        return body | wanted(self.columns, self.source)


def wanted(columns: Sequence[str], source: Sequence[str]) -> dict[str, Any]:
    """Return the part of a request that selects what to read of each hit."""
    if source:
        return {"_source": list(source)}
    return {"_source": False, "stored_fields": "_none_", "docvalue_fields": list(columns)}


@contextmanager
def point_in_time(connection: Connection, index: str, preference: str | None = None) -> Iterator[str]:
    """Open a point in time of the index and yield its id."""
    answer = connection.call(
        "read",
        lambda client: client.open_point_in_time(
            index=index, keep_alive=KEEP_ALIVE, allow_partial_search_results=False, preference=preference
        ),
    )
    name = str(answer["id"])
    try:
        yield name
    finally:
        # A server that is away drops it by itself, after KEEP_ALIVE.
        with suppress(*CLIENT_ERRORS):
            connection.client.options(request_timeout=5).close_point_in_time(id=name)


def pages(connection: Connection, index: str, reading: Reading) -> Iterator[Sequence[Hit]]:
    """Stream the hits of a query page by page; the next page is requested while the caller works on one.

    Raises:
        StoreUnavailable: The server is away, or came back without the point in time.
        StoreError: The server rejects the request.
    """
    with (
        point_in_time(connection, index, reading.preference) as name,
        ThreadPoolExecutor(1, "elastic-scan") as ahead,
    ):
        body = reading.body() | {"pit": {"id": name, "keep_alive": KEEP_ALIVE}}
        coming = ahead.submit(_page, connection, body)
        while True:
            hits = coming.result()
            full = len(hits) == reading.size
            if full:
                coming = ahead.submit(_page, connection, body | {"search_after": hits[-1]["sort"]})
            if hits:
                yield hits
            if not full:
                return


def _page(connection: Connection, body: Mapping[str, Any]) -> Sequence[Hit]:
    answer = connection.call(
        "read",
        lambda client: client.search(body=dict(body), allow_partial_search_results=False, filter_path=_ANSWER),
    )
    require_all_shards(answer, connection.options)
    hits: Sequence[Hit] = answer.get("hits", {}).get("hits", [])
    return hits


def column(hit: Hit, name: str) -> str:
    """Return a column of a hit.

    Raises:
        StoreError: The document does not have it: it was not written by this program.
    """
    try:
        return str(hit["fields"][name][0])
    except (KeyError, IndexError) as error:
        raise StoreError(f"a document of the index has no '{name}': it was written by another program") from error


DIGESTS_A_QUERY: Final = 1_000
"""The largest number of digests of a query; a server accepts 65,536."""

ENTRIES_AT_ONCE: Final = 2_000
"""The approximate number of copies that are read together."""

MAX_UNREFRESHED: Final = 20_000
"""The number of writes after which a refresh costs less than remembering them."""


class EntryReader:
    """The reader of the entries of one index. One thread at a time.

    A search sees a write only after a refresh. A refresh creates a small segment on the server, so it is requested
    where a stage reads what was written, and not for every look-up between two writes: the digests written since the
    last refresh are remembered here, and their entries are read by id, which needs no refresh.
    """

    def __init__(self, connection: Connection, index: str) -> None:
        self.versions: dict[tuple[int, int, int], Versions] = {}
        self._connection = connection
        self._index = index
        self._unrefreshed: dict[bytes, str] = {}

    def note_written(self, entries: Iterable[IndexEntry]) -> None:
        """Remember entries that were just written."""
        for entry in entries:
            if entry.digest is not None:
                self._unrefreshed[entry.digest] = entry_id(entry.stat.raw_path)

    def refreshed(self) -> str:
        """Refresh the index, so that a search sees all writes of any program, and return its name.

        A refresh takes a millisecond if nothing was written.
        """
        answer = self._connection.call("refresh", lambda client: client.indices.refresh(index=self._index))
        require_all_shards(answer, self._connection.options)
        self._unrefreshed.clear()
        return self._index

    def pages(self, under: Sequence[Path] | None, reading: Reading) -> Iterator[Sequence[Hit]]:
        """Stream the documents of a query that are under some folders."""
        if under is not None and not under:
            return iter(())
        query: Query = {"bool": {"filter": [entries_under(under), reading.query]}}
        return pages(self._connection, self.refreshed(), replace(reading, query=query))

    def in_order(self, under: Sequence[Path] | None, query: Query = EVERYTHING) -> Iterator[IndexEntry]:
        """Stream entries in the order of raw paths: sorted by the start of the path on the server, by its end here."""
        reading = Reading(query, columns=READ, sort=PATH_ORDER)
        hits = (hit for some in self.pages(under, reading) for hit in some)
        for _, same_start in groupby(hits, key=lambda hit: hit["sort"][0]):
            yield from sorted(map(self._entry, same_start), key=lambda entry: entry.stat.raw_path)

    def count(self, query: Query) -> int:
        """Return the number of documents of a query."""
        index = self.refreshed()
        answer = self._connection.call("count", lambda client: client.count(index=index, query=query))
        require_all_shards(answer, self._connection.options)
        return int(answer["count"])

    def by_ids(self, ids: Sequence[str], *, features: bool = False) -> list[IndexEntry]:
        """Return the entries with these ids that exist, in their current state, refreshed or not."""
        return [self._entry(document) for document in self._documents(ids, READ_ALL if features else READ)]

    def digests(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the digests of the entries with these ids that exist and have one."""
        for some in batched(ids, DIGESTS_A_QUERY):
            sources = (document["_source"] for document in self._documents(some, ["digest"]))
            yield from (bytes.fromhex(source["digest"]) for source in sources if source.get("digest"))

    def _documents(self, ids: Sequence[str], source: Sequence[str]) -> list[Hit]:
        """Return the documents with these ids that exist, in their current state, refreshed or not."""
        answer = self._connection.call(
            "read", lambda client: client.mget(index=self._index, ids=list(ids), source_includes=list(source))
        )
        for document in answer["docs"]:
            if "error" in document:
                error = document["error"]
                raise explain_answer(404, error["type"], error["reason"], self._connection.options, "read")
        return [document for document in answer["docs"] if document.get("found")]

    def known(self, digests: Iterable[bytes], *, features: bool = False) -> dict[bytes, IndexEntry]:
        """Return one entry of each known digest: one that was just written, or else the first by path.

        Args:
            digests: Any number of digests.
            features: Whether the entries have their features and words.
        """
        if len(self._unrefreshed) > MAX_UNREFRESHED:
            self.refreshed()
        found: dict[bytes, IndexEntry] = {}
        for some in batched(dict.fromkeys(digests), DIGESTS_A_QUERY):
            found |= _by_digest(self._first_by_path(some, features=features))
            waiting = [self._unrefreshed[digest] for digest in some if digest in self._unrefreshed]
            found |= _by_digest(self.by_ids(waiting, features=features) if waiting else ())
        return found

    def _first_by_path(self, digests: Sequence[bytes], *, features: bool) -> Iterator[IndexEntry]:
        body = {
            "query": {"terms": {"digest": [digest.hex() for digest in digests]}},
            "collapse": {"field": "digest"},
            "sort": [{PATH_ORDER: "asc"}],
            "size": len(digests),
            "track_total_hits": False,
            **wanted(() if features else READ, READ_ALL if features else ()),
        }
        answer = self._connection.call(
            "search", lambda client: client.search(index=self._index, body=body, allow_partial_search_results=False)
        )
        require_all_shards(answer, self._connection.options)
        return map(self._entry, answer["hits"]["hits"])

    def repeated(self, under: Sequence[Path] | None) -> Iterator[dict[bytes, tuple[IndexEntry, ...]]]:
        """Stream the entries that share a digest. Holds the digests, 32 bytes per entry, not the entries."""
        reading = Reading({"exists": {"field": "digest"}}, columns=("digest",))
        read = [bytes.fromhex("".join(column(hit, "digest") for hit in hits)) for hits in self.pages(under, reading)]
        unique, counts = np.unique(np.frombuffer(b"".join(read), dtype=f"S{DIGEST_LENGTH}"), return_counts=True)
        digests = unique.view(f"V{DIGEST_LENGTH}")  # a numpy byte string would lose zero bytes at its end
        several = np.flatnonzero(counts > 1)
        part = np.cumsum(counts[several]) // ENTRIES_AT_ONCE
        for rows in np.split(several, np.flatnonzero(np.diff(part)) + 1):
            for some in batched(rows.tolist(), DIGESTS_A_QUERY):
                yield self.copies([digests[row].tobytes() for row in some], under)

    def copies(self, digests: Sequence[bytes], under: Sequence[Path] | None) -> dict[bytes, tuple[IndexEntry, ...]]:
        """Return the entries under some folders of each digest, in the order of raw paths."""
        query = {"terms": {"digest": [digest.hex() for digest in digests]}}
        found: dict[bytes, list[IndexEntry]] = {}
        for hits in self.pages(under, Reading(query, columns=READ)):
            for entry in map(self._entry, hits):
                if entry.digest is not None:
                    found.setdefault(entry.digest, []).append(entry)
        return {digest: tuple(sorted(same, key=lambda e: e.stat.raw_path)) for digest, same in sorted(found.items())}

    def _entry(self, hit: Hit) -> IndexEntry:
        fields = hit["_source"] if "_source" in hit else {name: values[0] for name, values in hit["fields"].items()}
        return entry_of(fields, self.versions)


def _by_digest(entries: Iterable[IndexEntry]) -> dict[bytes, IndexEntry]:
    return {entry.digest: entry for entry in entries if entry.digest is not None}
