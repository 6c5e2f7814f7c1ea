"""All pairs within a distance: joined in memory, or searched by the server where memory does not suffice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from py_image_dedup.model.batches import batched
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.content_search import BLOCK_PAIRS, cross_contents, join_contents
from py_image_dedup.store.elastic.client import Connection, require_all_shards
from py_image_dedup.store.elastic.contents import (
    ContentIds,
    ContentIdTable,
    Contents,
    PairCache,
    PairCollector,
    each_content,
    read_contents,
    reusable_pairs,
    with_signature,
)
from py_image_dedup.store.elastic.document import entries_under, unpack_values
from py_image_dedup.store.elastic.reader import Query
from py_image_dedup.store.elastic.search import FoundContents, NeighbourSearch

BYTES_A_CONTENT: Final = 1_500
"""The largest memory of a content in a join: two signatures while they are sorted, the columns of the search, the pairs
to cache."""

_LOG = logging.getLogger(__name__)

PAIR_CACHE_NAME: Final = "searched"
"""The name of the folder below the cache directory."""

_CONTENTS_A_BATCH: Final = 500


class PairSearch:
    """The implementation of ``Store.pairs``. One thread at a time.

    Args:
        connection: Connection to the server.
        content_ids: Content ids of this store.
    """

    def __init__(self, connection: Connection, content_ids: ContentIds) -> None:
        self._connection = connection
        self._content_ids = content_ids
        folder = connection.options.cache_directory
        self._cache = PairCache(folder / PAIR_CACHE_NAME if folder else None)

    def pairs(self, index: str, under: Sequence[Path] | None, max_distance: float) -> Iterator[PairBlock]:
        """Stream the pairs of contents with an entry under some folders; see ``Store.pairs``."""
        inside = with_signature(entries_under(under))
        answer = self._connection.call("count", lambda client: client.count(index=index, query=inside))
        require_all_shards(answer, self._connection.options)
        count = int(answer["count"])
        if count * BYTES_A_CONTENT > self._connection.options.memory_bytes:
            _LOG.warning(
                "comparing %d pictures in memory needs %.1f GB, and %.1f GB are allowed: the server searches the "
                "neighbours of each picture instead, which takes far longer; see docs/scaling.md",
                count,
                count * BYTES_A_CONTENT / 1e9,
                self._connection.options.memory_bytes / 1e9,
            )
            yield from self._search_on_server(index, entries_under(under), max_distance)
        else:
            contents = read_contents(self._connection, index, inside, count)
            rows = ContentIdTable(self._content_ids, contents.digests, contents.values)
            place = [index.encode(), *([b"all"] if under is None else sorted(map(os.fsencode, under)))]
            yield from map(rows.with_content_ids, self._join(contents, place, max_distance))

    def _join(self, contents: Contents, place: Sequence[bytes], max_distance: float) -> Iterator[PairBlock]:
        """Stream the cached pairs and those of a search of new contents, by rows of the contents."""
        cached = self._cache.load(place)
        collector = PairCollector(len(contents))
        known = np.zeros(len(contents), dtype=np.bool_)
        if cached is not None and cached.distance >= max_distance:
            pairs, known = reusable_pairs(cached, contents.keys)
            yield from collector.add(pairs.filter(pairs.distance <= max_distance).chunks(BLOCK_PAIRS))
        old, new = np.flatnonzero(known), np.flatnonzero(~known)
        if not len(new):
            return  # the cache stays valid, at its greater distance too
        values = contents.values
        among = join_contents(new, values[new] if len(old) else values, max_distance)
        across = cross_contents(new, values[new], old, values[old], max_distance) if len(old) else iter(())
        yield from collector.add(chain(among, across))
        found = collector.finish(contents.keys, max_distance)
        if found is not None:
            self._cache.save(place, found)

    def _search_on_server(self, index: str, query: Query, max_distance: float) -> Iterator[PairBlock]:
        """Have the server search the neighbours of each content; only one batch is in memory.

        A pair is found from both sides and yielded from the side of the lesser content id.
        """
        search = NeighbourSearch(self._connection, index, query, max_distance)
        contents = each_content(self._connection, index, with_signature(query))
        for some in batched(contents, _CONTENTS_A_BATCH):
            values = unpack_values([packed for _, packed in some])
            for (digest, _), found in zip(some, search.neighbours(values), strict=True):
                if len(found.digests) > 1:  # the content itself is one of them
                    yield from self._pairs_of(digest, found)

    def _pairs_of(self, digest: bytes, found: FoundContents) -> Iterator[PairBlock]:
        own, others = self._content_ids.of(digest), self._content_ids.of_all(found.digests)
        greater = np.flatnonzero(others > own)
        left = np.full(len(greater), own, dtype=np.int64)
        pairs = PairBlock(left, others[greater], found.distances[greater], found.orientations[greater])
        yield from pairs.chunks(BLOCK_PAIRS)
