"""Reading many documents: pages over a point in time, so that what others write meanwhile does not matter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import TROUBLE, Connection, whole

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
