"""Exact neighbours of signatures, found by the server.

A flat (exhaustive) vector query over the invariants finds all that can be within the distance, in all orientations; the
distance itself is computed here, as everywhere else. An answer that is as long as an answer can be is not taken for the
whole: it is asked for again in ranges of slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
from elasticsearch import ApiError, Elasticsearch

from py_image_dedup.signature.arrays import Float64Array, Int8Array, UInt8Array
from py_image_dedup.signature.distance import distances
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import Connection, cause, whole
from py_image_dedup.store.elastic.document import EVERYTHING, SLOTS, unpack_content, unpack_values
from py_image_dedup.store.elastic.invariants import invariant_radius, invariants
from py_image_dedup.store.elastic.reader import Hit, Query, column, wanted

FEW: Final = 1_000
"""The longest answer that a batch asks for: there are many of them."""

MANY: Final = 10_000
"""The longest answer that a server gives."""

_PARTS: Final = 8
_BATCH: Final = 50
_RETURNED = wanted(("content",), ())
_ANSWER = "responses.hits.hits.fields,responses._shards,responses.timed_out,responses.error,responses.status"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What is within the distance of one signature, each content once, in no order.

    Attributes:
        digests: Of the contents.
        distances: float64.
        orientations: uint8: the turn that makes the query look like the content.
    """

    digests: Sequence[bytes]
    distances: Float64Array
    orientations: UInt8Array


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search: neighbours of one signature among a range of slots.

    Attributes:
        row: Of the signature.
        low: First slot.
        high: The slot after the last.
        most: The longest answer.
    """

    row: int
    low: int
    high: int
    most: int


class NeighbourSearch:
    """Search over the documents of one query. One thread at a time."""

    def __init__(self, connection: Connection, index: str, within: Query, max_distance: float) -> None:
        """Prepare.

        Args:
            connection: To the server.
            index: Alias or index.
            within: The documents that count.
            max_distance: 0 to 1, itself included.
        """
        self._connection = connection
        self._index = index
        self._within = within
        self._max_distance = max_distance

    def neighbours(self, values: Int8Array) -> Iterator[Found]:
        """Stream what is within the distance of each signature, in their order.

        Args:
            values: int8, shape ``(n, 272)``.

        Raises:
            StoreError: As the store's contract has it.
        """
        for start in range(0, len(values), _BATCH):
            yield from self._batch(values[start : start + _BATCH])

    def _batch(self, values: Int8Array) -> Iterator[Found]:
        compact = invariants(values)
        contents: list[dict[bytes, bytes]] = [{} for _ in values]
        asked = [_Asked(row, 0, SLOTS, FEW) for row in range(len(values))]
        while asked:
            bodies = [self._body(search, compact[search.row]) for search in asked]
            again: list[_Asked] = []
            for search, hits in zip(asked, self._answers(bodies), strict=True):
                if len(hits) >= search.most:
                    again.extend(_finer(search))
                else:
                    contents[search.row].update(_contents(hits))
            asked = again
        for row, found in enumerate(contents):
            yield self._exact(values[row], found)

    def _exact(self, values: Int8Array, found: Mapping[bytes, bytes]) -> Found:
        digests = list(found)
        exact, turns = distances(values, unpack_values(list(found.values())))
        near = np.flatnonzero(exact <= self._max_distance)
        return Found([digests[place] for place in near], exact[near], turns[near])

    def _body(self, search: _Asked, compact: Int8Array) -> dict[str, Any]:
        within: list[Query] = [self._within] if self._within is not EVERYTHING else []
        if (search.low, search.high) != (0, SLOTS):
            within.append({"range": {"slot": {"gte": search.low, "lte": search.high - 1}}})
        knn = {
            "field": "invariants",
            "query_vector": compact.tobytes().hex(),
            "k": search.most,
            "num_candidates": search.most,
            "similarity": invariant_radius(self._max_distance),
            **({"filter": within} if within else {}),
        }
        return {"knn": knn, "size": search.most, "track_total_hits": False, **_RETURNED}

    def _answers(self, bodies: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Hit]]:
        """The hits of each search, in their order. All of them are counted: a query that fails is never empty."""
        for start in range(0, len(bodies), _BATCH):
            some = bodies[start : start + _BATCH]
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
                # As if it had been a request of its own, so that it is tried again or put into words as one.
                raise ApiError(str(cause(response)[0]), replace(answer.meta, status=response["status"]), response)
            whole(response, self._connection.options)
        return responses


def _contents(hits: Sequence[Hit]) -> Iterator[tuple[bytes, bytes]]:
    for hit in hits:
        digest, _, packed = unpack_content(column(hit, "content"))
        yield digest, packed


def _finer(search: _Asked) -> Iterator[_Asked]:
    """The same search in parts that together have the whole answer."""
    if search.most < MANY:
        yield replace(search, most=MANY)
        return
    if search.high - search.low == 1:
        raise StoreError("more than 10,000 entries of the index have one slot: it was not written by this program")
    edges = sorted({search.low + (search.high - search.low) * part // _PARTS for part in range(_PARTS + 1)})
    for low, high in pairwise(edges):
        yield replace(search, low=low, high=high)
