"""Every pair within the distance: read once and joined here, or asked for in batches where memory ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np

from py_image_dedup.signature.pairs import PairBlock
from py_image_dedup.store.elastic.connection import Connection, whole
from py_image_dedup.store.elastic.document import within
from py_image_dedup.store.elastic.numbers import Numbers
from py_image_dedup.store.elastic.packing import Contents, unpack_content, unpack_values
from py_image_dedup.store.elastic.scan import Query, Reading, column, pages
from py_image_dedup.store.elastic.search import Found, NeighbourSearch
from py_image_dedup.store.elastic.searched import Gathered, SearchedFolder, keys_of, recalled
from py_image_dedup.store.join import cross_contents, cut, join_contents, select

BYTES_A_CONTENT: Final = 2_000
"""What joining a content takes at most: signature, number, digest, the search's own columns, and the pairs to keep."""

SEARCHED_NAME: Final = "searched"
"""The folder below the cache directory."""

_QUERIED_AT_ONCE: Final = 500


def with_signature(query: Query) -> Query:
    """The documents of a query that have a signature."""
    return {"bool": {"filter": [query, {"exists": {"field": "signature"}}]}}


def read_contents(connection: Connection, index: str, inside: Query) -> Contents:
    """Read contents, each once.

    Of copies that were made with different versions of the signature the newest counts.
    """
    found: dict[bytes, tuple[int, bytes]] = {}
    for hits in pages(connection, index, Reading(inside, columns=("content",))):
        for hit in hits:
            digest, version, packed = unpack_content(column(hit, "content"))
            if digest not in found or found[digest] < (version, packed):
                found[digest] = (version, packed)
    return Contents(list(found), unpack_values([packed for _, packed in found.values()]))


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
        if int(answer["count"]) * BYTES_A_CONTENT > self._connection.options.memory_bytes:
            yield from self._ask(index, inside, max_distance)
        else:
            contents = read_contents(self._connection, index, inside)
            place = [index.encode(), *sorted(map(os.fsencode, under or ()))] if under is not None else [index.encode()]
            yield from self._join(contents, place, max_distance)

    def _join(self, contents: Contents, place: Sequence[bytes], max_distance: float) -> Iterator[PairBlock]:
        """Search what was not searched before, and tell it with what was kept."""
        given = self._numbers.of_all(contents.digests)
        order = np.argsort(given)
        numbers, values = given[order], contents.values[order]
        keys = keys_of([contents.digests[row] for row in order.tolist()], values)
        searched = self._searched.load(place)
        gathered = Gathered(len(numbers))
        known = np.zeros(len(numbers), dtype=np.bool_)
        if searched is not None and searched.distance >= max_distance:
            pairs, known = recalled(searched, numbers, values, keys)
            near = select(pairs, pairs.distance <= max_distance)
            yield from gathered.add(cut(near))
        old, new = np.flatnonzero(known), np.flatnonzero(~known)
        if not len(new):
            return  # what is kept goes on to hold, at its greater distance too
        among = join_contents(numbers[new], values[new], max_distance)
        across = cross_contents(numbers[new], values[new], numbers[old], values[old], max_distance)
        yield from gathered.add(chain(among, across))
        kept = gathered.finish(numbers, keys, max_distance)
        if kept is not None:
            self._searched.save(place, kept)

    def _ask(self, index: str, inside: Query, max_distance: float) -> Iterator[PairBlock]:
        """Ask for each content's neighbours; nothing is held but a batch.

        A pair is found from both sides and told from the side of the lesser number.
        """
        search = NeighbourSearch(self._connection, index, inside, max_distance)
        contents = each_once(self._connection, index, inside)
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


def each_once(connection: Connection, index: str, inside: Query) -> Iterator[tuple[bytes, bytes]]:
    """Stream digest and packed signature of each content, in the order of digests."""
    last, newest = b"", (0, b"")
    for hits in pages(connection, index, Reading(inside, columns=("content",), sort="digest")):
        for hit in hits:
            digest, version, packed = unpack_content(column(hit, "content"))
            if digest != last and last:
                yield last, newest[1]
            newest = (version, packed) if digest != last else max(newest, (version, packed))
            last = digest
    if last:
        yield last, newest[1]
