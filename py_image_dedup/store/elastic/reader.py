"""Reading entries: by path, by digest, in order; and when the server has to refresh for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import TROUBLE, Connection, explain_answer, whole
from py_image_dedup.store.elastic.document import DIGEST_LENGTH, EVERYTHING, READ, READ_ALL, entry_id, entry_of, within

Query: TypeAlias = Mapping[str, Any]
Hit: TypeAlias = Mapping[str, Any]

KEEP_ALIVE: Final = "10m"
"""How long the server keeps a point in time for a reader who does something else between two pages."""

_ANSWER = "hits.hits.sort,hits.hits.fields,hits.hits._source,hits.hits._seq_no,_shards,timed_out"
COLUMNS_A_PAGE: Final = 5_000
DOCUMENTS_A_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read.

    Attributes:
        query: Which documents.
        columns: Binary columns and keywords, read without the document; each hit has them in ``fields``.
        source: Fields of the document; each hit has them in ``_source``.
        sort: A field to sort by; none: as they lie on the disk, which is fastest.
        size: Documents a page.
        extra: More of the request.
        preference: Where to read: ``_shards:0``; none: everywhere.
    """

    query: Query
    columns: Sequence[str] = ()
    source: Sequence[str] = ()
    sort: str = ""
    size: int = COLUMNS_A_PAGE
    extra: Mapping[str, Any] = field(default_factory=dict)
    preference: str | None = None

    def body(self) -> dict[str, Any]:
        """The part of the request that is the same for every page."""
        body: dict[str, Any] = {
            "query": self.query,
            "size": self.size,
            "track_total_hits": False,
            "sort": [{self.sort: "asc"}, {"_shard_doc": "asc"}] if self.sort else [{"_shard_doc": "asc"}],
            **self.extra,
        }
        return body | wanted(self.columns, self.source)


def wanted(columns: Sequence[str], source: Sequence[str]) -> dict[str, Any]:
    """The part of a request that says what to read of each hit."""
    if source:
        return {"_source": list(source)}
    return {"_source": False, "stored_fields": "_none_", "docvalue_fields": list(columns)}


@contextmanager
def point_in_time(connection: Connection, index: str, preference: str | None = None) -> Iterator[str]:
    """Hold the index as it is now."""
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
        # If the server is away just now it forgets by itself, after KEEP_ALIVE.
        with suppress(*TROUBLE):
            connection.client.options(request_timeout=5).close_point_in_time(id=name)


def pages(connection: Connection, index: str, reading: Reading) -> Iterator[Sequence[Hit]]:
    """Stream the hits of a query, page by page; the next page is on its way while one is worked on.

    Raises:
        StoreUnavailable: The server is away, or came back without the point in time.
        StoreError: It refuses.
    """
    held = point_in_time(connection, index, reading.preference)
    with held as name, ThreadPoolExecutor(1, "elastic-scan") as ahead:
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
    whole(answer, connection.options)
    hits: Sequence[Hit] = answer.get("hits", {}).get("hits", [])
    return hits


def column(hit: Hit, name: str) -> str:
    """A column of a hit.

    Raises:
        StoreError: The document has none: it was not written by this program.
    """
    try:
        return str(hit["fields"][name][0])
    except (KeyError, IndexError) as error:
        raise StoreError(f"a document of the index has no '{name}': it was written by another program") from error


TERMS: Final = 1_000
"""Digests a query; a server takes 65,536."""

ENTRIES_AT_ONCE: Final = 2_000
"""About how many copies are fetched together."""

UNSEEN: Final = 20_000
"""After so many writes a refresh costs less than remembering them."""


class EntryReader:
    """Reads the entries of one index. One thread at a time.

    What was written is seen by a search after a refresh only. A refresh makes a small segment on the server, so it is
    asked for where a phase reads what was written, and not for every look-up between two writes: the digests written
    since the last refresh are remembered here, and their entries fetched by id, which needs none.
    """

    def __init__(self, connection: Connection, index: str) -> None:
        self.versions: dict[tuple[int, int, int], Versions] = {}
        self._connection = connection
        self._index = index
        self._unseen: dict[bytes, str] = {}

    def note(self, entries: Iterable[IndexEntry]) -> None:
        """Remember what was just written."""
        for entry in entries:
            if entry.digest is not None:
                self._unseen[entry.digest] = entry_id(entry.stat.raw_path)

    def fresh(self) -> str:
        """The index, such that a search sees what was written, by whomever; costs a millisecond if nothing was."""
        answer = self._connection.call("refresh", lambda client: client.indices.refresh(index=self._index))
        whole(answer, self._connection.options)
        self._unseen.clear()
        return self._index

    def pages(self, under: Sequence[Path] | None, reading: Reading) -> Iterator[Sequence[Hit]]:
        """Stream the documents of a query that lie under some folders."""
        if under is not None and not under:
            return iter(())
        query: Query = {"bool": {"filter": [within(under), reading.query]}}
        return pages(self._connection, self.fresh(), replace(reading, query=query))

    def in_order(self, under: Sequence[Path] | None, query: Query = EVERYTHING) -> Iterator[IndexEntry]:
        """Stream entries in the order of raw paths. The server sorts by the start of the path; ends are sorted here."""
        reading = Reading(query, columns=READ, sort="order")
        hits = (hit for some in self.pages(under, reading) for hit in some)
        for _, same_start in groupby(hits, key=lambda hit: hit["sort"][0]):
            yield from sorted(map(self._entry, same_start), key=lambda entry: entry.stat.raw_path)

    def count(self, query: Query) -> int:
        """How many documents a query has."""
        index = self.fresh()
        answer = self._connection.call("count", lambda client: client.count(index=index, query=query))
        whole(answer, self._connection.options)
        return int(answer["count"])

    def by_ids(self, ids: Sequence[str], *, features: bool = False) -> list[IndexEntry]:
        """The entries with these ids that are there, as they are at this moment, refreshed or not."""
        return [self._entry(document) for document in self._documents(ids, READ_ALL if features else READ)]

    def digests(self, ids: Iterable[str]) -> Iterator[bytes]:
        """Yield the digests of the entries with these ids that are there and have one."""
        remaining = iter(ids)
        while some := list(islice(remaining, TERMS)):
            sources = (document["_source"] for document in self._documents(some, ["digest"]))
            yield from (bytes.fromhex(source["digest"]) for source in sources if source.get("digest"))

    def _documents(self, ids: Sequence[str], source: Sequence[str]) -> list[Hit]:
        """The documents with these ids that are there, as they are at this moment, refreshed or not."""
        answer = self._connection.call(
            "read", lambda client: client.mget(index=self._index, ids=list(ids), source_includes=list(source))
        )
        for document in answer["docs"]:
            if "error" in document:
                error = document["error"]
                raise explain_answer(404, error["type"], error["reason"], self._connection.options, "read")
        return [document for document in answer["docs"] if document.get("found")]

    def known(self, digests: Iterable[bytes], *, features: bool = False) -> dict[bytes, IndexEntry]:
        """One entry of each digest that is known: one just written, or else the first by path.

        Args:
            digests: Any number.
            features: Whether features and words shall come with the entries.
        """
        if len(self._unseen) > UNSEEN:
            self.fresh()
        found: dict[bytes, IndexEntry] = {}
        remaining = iter(dict.fromkeys(digests))
        while some := list(islice(remaining, TERMS)):
            found |= _by_digest(self._first_by_path(some, features=features))
            waiting = [self._unseen[digest] for digest in some if digest in self._unseen]
            found |= _by_digest(self.by_ids(waiting, features=features) if waiting else ())
        return found

    def _first_by_path(self, digests: Sequence[bytes], *, features: bool) -> Iterator[IndexEntry]:
        body = {
            "query": {"terms": {"digest": [digest.hex() for digest in digests]}},
            "collapse": {"field": "digest"},
            "sort": [{"order": "asc"}],
            "size": len(digests),
            "track_total_hits": False,
            **wanted(() if features else READ, READ_ALL if features else ()),
        }
        answer = self._connection.call(
            "search", lambda client: client.search(index=self._index, body=body, allow_partial_search_results=False)
        )
        whole(answer, self._connection.options)
        return map(self._entry, answer["hits"]["hits"])

    def repeated(self, under: Sequence[Path] | None) -> Iterator[dict[bytes, tuple[IndexEntry, ...]]]:
        """Stream the entries of digests that several have. Holds the digests, 32 bytes an entry, not the entries."""
        reading = Reading({"exists": {"field": "digest"}}, columns=("digest",))
        read = [bytes.fromhex("".join(column(hit, "digest") for hit in hits)) for hits in self.pages(under, reading)]
        unique, counts = np.unique(np.frombuffer(b"".join(read), dtype=f"S{DIGEST_LENGTH}"), return_counts=True)
        digests = unique.view(f"V{DIGEST_LENGTH}")  # text of numpy would lose zero bytes at the end
        several = np.flatnonzero(counts > 1)
        part = np.cumsum(counts[several]) // ENTRIES_AT_ONCE
        for places in np.split(several, np.flatnonzero(np.diff(part)) + 1):
            for start in range(0, len(places), TERMS):
                yield self.copies([digests[place].tobytes() for place in places[start : start + TERMS]], under)

    def copies(self, digests: Sequence[bytes], under: Sequence[Path] | None) -> dict[bytes, tuple[IndexEntry, ...]]:
        """The entries under some folders that have these digests, each in the order of raw paths."""
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
