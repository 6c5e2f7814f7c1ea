"""The exact search of neighbours by the server.

An exhaustive (``flat``) vector query over the orientation invariants returns every content that can be within the
distance, in any orientation; the distance itself is computed here, as everywhere else. A result with as many hits as
the limit may be truncated: it is searched again in ranges of slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
from elasticsearch import ApiError, Elasticsearch

from py_image_dedup.model.batches import batched
from py_image_dedup.signature.arrays import Float64Array, Int8Array, UInt8Array, row_slices
from py_image_dedup.signature.distance import distances
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import Connection, cause, require_all_shards
from py_image_dedup.store.elastic.document import EVERYTHING, SHARD_SLOT, SLOTS, unpack_content, unpack_values
from py_image_dedup.store.elastic.orientation_invariants import invariant_radius, invariants
from py_image_dedup.store.elastic.reader import Hit, Query, column, wanted

FIRST_LIMIT: Final = 1_000
"""The limit of hits of a first search, of which there are many."""

MAX_LIMIT: Final = 10_000
"""The limit of hits of a server."""

_PARTS: Final = 8
_SIGNATURES_A_REQUEST: Final = 50
_RETURNED = wanted(("content",), ())
_ANSWER = "responses.hits.hits.fields,responses._shards,responses.timed_out,responses.error,responses.status"


@dataclass(frozen=True, slots=True, eq=False)
class FoundContents:
    """The contents within the distance of one signature, each once, in no particular order.

    Attributes:
        digests: Digests of the contents.
        distances: float64, shape ``(n,)``.
        orientations: uint8, shape ``(n,)``, the orientation that makes the query look like the content.
    """

    digests: Sequence[bytes]
    distances: Float64Array
    orientations: UInt8Array


@dataclass(frozen=True, slots=True)
class _SlotSearch:
    """A search for the neighbours of one signature in a range of slots.

    Attributes:
        row: Row of the signature.
        low: First slot.
        high: Slot after the last.
        limit: Largest number of hits.
    """

    row: int
    low: int
    high: int
    limit: int


class NeighbourSearch:
    """A search for neighbours among the documents of one query. One thread at a time.

    Args:
        connection: Connection to the server.
        index: Name of the alias or index.
        within: Query for the documents that count.
        max_distance: The largest distance, 0 to 1.
    """

    def __init__(self, connection: Connection, index: str, within: Query, max_distance: float) -> None:
        self._connection = connection
        self._index = index
        self._within = within
        self._max_distance = max_distance

    def neighbours(self, values: Int8Array) -> Iterator[FoundContents]:
        """Stream the contents within the distance of each signature, in the order of the signatures.

        Args:
            values: int8, shape ``(n, 272)``.

        Raises:
            StoreError: See ``Store``.
        """
        for rows in row_slices(len(values), _SIGNATURES_A_REQUEST):
            yield from self._batch(values[rows])

    def _batch(self, values: Int8Array) -> Iterator[FoundContents]:
        compact = invariants(values)
        contents: list[dict[bytes, bytes]] = [{} for _ in values]
        searches = [_SlotSearch(row, 0, SLOTS, FIRST_LIMIT) for row in range(len(values))]
        while searches:
            bodies = [self._body(search, compact[search.row]) for search in searches]
            again: list[_SlotSearch] = []
            for search, hits in zip(searches, self._answers(bodies), strict=True):
                if len(hits) >= search.limit:
                    again.extend(_split(search))
                else:
                    contents[search.row].update(_contents(hits))
            searches = again
        for row, found in enumerate(contents):
            yield self._exact(values[row], found)

    def _exact(self, values: Int8Array, found: Mapping[bytes, bytes]) -> FoundContents:
        digests = list(found)
        exact, orientations = distances(values, unpack_values(list(found.values())))
        near = np.flatnonzero(exact <= self._max_distance)
        return FoundContents([digests[row] for row in near], exact[near], orientations[near])

    def _body(self, search: _SlotSearch, compact: Int8Array) -> dict[str, Any]:
        within: list[Query] = [self._within] if self._within is not EVERYTHING else []
        if (search.low, search.high) != (0, SLOTS):
            within.append({"range": {SHARD_SLOT: {"gte": search.low, "lte": search.high - 1}}})
        knn = {
            "field": "invariants",
            "query_vector": compact.tobytes().hex(),
            "k": search.limit,
            "num_candidates": search.limit,
            "similarity": invariant_radius(self._max_distance),
            **({"filter": within} if within else {}),
        }
        return {"knn": knn, "size": search.limit, "track_total_hits": False, **_RETURNED}

    def _answers(self, bodies: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Hit]]:
        """Yield the hits of each search, in their order; a search that fails raises and is never empty."""
        for some in batched(bodies, _SIGNATURES_A_REQUEST):
            lines: list[Mapping[str, Any]] = []
            for body in some:
                lines += [{"allow_partial_search_results": False}, body]
            answer = self._connection.call("search", partial(self._send, lines=lines))
            yield from (response.get("hits", {}).get("hits", []) for response in answer)

    def _send(self, client: Elasticsearch, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        answer = client.msearch(index=self._index, searches=lines, filter_path=_ANSWER)
        responses: list[Mapping[str, Any]] = answer["responses"]
        for response in responses:
            if "error" in response:
                # Raised as if it were a request of its own, so that it is retried or explained as one.
                raise ApiError(str(cause(response)[0]), replace(answer.meta, status=response["status"]), response)
            require_all_shards(response, self._connection.options)
        return responses


def _contents(hits: Sequence[Hit]) -> Iterator[tuple[bytes, bytes]]:
    for hit in hits:
        digest, _, packed = unpack_content(column(hit, "content"))
        yield digest, packed


def _split(search: _SlotSearch) -> Iterator[_SlotSearch]:
    """Yield searches that together have the complete result of a truncated one."""
    if search.limit < MAX_LIMIT:
        yield replace(search, limit=MAX_LIMIT)
        return
    if search.high - search.low == 1:
        raise StoreError(
            "more than 10,000 entries of the index are in one slot: the index was not written by this program"
        )
    edges = sorted({search.low + (search.high - search.low) * part // _PARTS for part in range(_PARTS + 1)})
    for low, high in pairwise(edges):
        yield replace(search, low=low, high=high)
