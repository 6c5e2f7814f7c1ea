"""Every pair within the distance: read once and joined here, or asked for in batches where memory ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np

from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.content_search import cross_contents, cut, join_contents, select
from py_image_dedup.store.elastic.client import Connection, whole
from py_image_dedup.store.elastic.contents import (
    Contents,
    Gathered,
    NumberedRows,
    Numbers,
    SearchedFolder,
    each_content,
    read_contents,
    recalled,
    with_signature,
)
from py_image_dedup.store.elastic.document import unpack_values, within
from py_image_dedup.store.elastic.reader import Query
from py_image_dedup.store.elastic.search import Found, NeighbourSearch

BYTES_A_CONTENT: Final = 1_500
"""What joining a content takes at most: two signatures while it is brought into order, the columns of the search, the
pairs to keep."""

_LOG = logging.getLogger(__name__)

SEARCHED_NAME: Final = "searched"
"""The folder below the cache directory."""

_QUERIED_AT_ONCE: Final = 500


class PairSearch:
    """Answers ``Store.pairs``. One thread at a time.

    Args:
        connection: To the server.
        numbers: Of the contents.
    """

    def __init__(self, connection: Connection, numbers: Numbers) -> None:
        self._connection = connection
        self._numbers = numbers
        folder = connection.options.cache_directory
        self._searched = SearchedFolder(folder / SEARCHED_NAME if folder else None)

    def pairs(self, index: str, under: Sequence[Path] | None, max_distance: float) -> Iterator[PairBlock]:
        """Stream the pairs of contents with an entry under these folders; see ``Store.pairs``."""
        inside = with_signature(within(under))
        answer = self._connection.call("count", lambda client: client.count(index=index, query=inside))
        whole(answer, self._connection.options)
        count = int(answer["count"])
        if count * BYTES_A_CONTENT > self._connection.options.memory_bytes:
            _LOG.warning(
                "comparing %d pictures here would take %.1f GB of memory and may take %.1f: the server is asked for "
                "the neighbours of each instead, which takes far longer; see docs/scaling.md",
                count,
                count * BYTES_A_CONTENT / 1e9,
                self._connection.options.memory_bytes / 1e9,
            )
            yield from self._ask(index, within(under), max_distance)
        else:
            contents = read_contents(self._connection, index, inside, count)
            rows = NumberedRows(self._numbers, contents.digests, contents.values)
            place = [index.encode(), *([b"all"] if under is None else sorted(map(os.fsencode, under)))]
            yield from map(rows.numbered, self._join(contents, place, max_distance))

    def _join(self, contents: Contents, place: Sequence[bytes], max_distance: float) -> Iterator[PairBlock]:
        """Search what was not searched before, and tell it with what was kept; by rows of the contents."""
        searched = self._searched.load(place)
        gathered = Gathered(len(contents))
        known = np.zeros(len(contents), dtype=np.bool_)
        if searched is not None and searched.distance >= max_distance:
            pairs, known = recalled(searched, contents.keys)
            yield from gathered.add(cut(select(pairs, pairs.distance <= max_distance)))
        old, new = np.flatnonzero(known), np.flatnonzero(~known)
        if not len(new):
            return  # what is kept goes on to hold, at its greater distance too
        values = contents.values
        among = join_contents(new, values[new] if len(old) else values, max_distance)
        across = cross_contents(new, values[new], old, values[old], max_distance) if len(old) else iter(())
        yield from gathered.add(chain(among, across))
        kept = gathered.finish(contents.keys, max_distance)
        if kept is not None:
            self._searched.save(place, kept)

    def _ask(self, index: str, query: Query, max_distance: float) -> Iterator[PairBlock]:
        """Ask for each content's neighbours; nothing is held but a batch.

        A pair is found from both sides and told from the side of the lesser number.
        """
        search = NeighbourSearch(self._connection, index, query, max_distance)
        contents = each_content(self._connection, index, with_signature(query))
        while some := list(islice(contents, _QUERIED_AT_ONCE)):
            values = unpack_values([packed for _, packed in some])
            for (digest, _), found in zip(some, search.neighbours(values), strict=True):
                if len(found.digests) > 1:  # the content itself is one of them
                    yield from self._told(digest, found)

    def _told(self, digest: bytes, found: Found) -> Iterator[PairBlock]:
        own, others = self._numbers.of(digest), self._numbers.of_all(found.digests)
        greater = np.flatnonzero(others > own)
        left = np.full(len(greater), own, dtype=np.int64)
        yield from cut(PairBlock(left, others[greater], found.distances[greater], found.orientations[greater]))
