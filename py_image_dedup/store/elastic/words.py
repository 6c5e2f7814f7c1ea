"""The visual words of an index on a server, in memory, for the search of candidates.

The weight of a word depends on all contents, and every store must find the same candidates: so the words are read once,
and later calls read those of new contents. Each shard numbers its writes, so the entries written since the last call,
by any program, are the result of one query.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence

from py_image_dedup.features.inverted_index import NOT_INDEXED, InvertedIndex
from py_image_dedup.features.visual_words import WordArray, unpack_words
from py_image_dedup.model.batches import batched
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import Connection
from py_image_dedup.store.elastic.contents import ContentIds
from py_image_dedup.store.elastic.document import STAT_PACKED, unpack_stat
from py_image_dedup.store.elastic.reader import DIGESTS_A_QUERY, EntryReader, Hit, Query, Reading, column

WITH_WORDS: Query = {"exists": {"field": "words"}}


class WordSearch:
    """The implementation of ``Store.candidates``. One thread at a time.

    Args:
        connection: Connection to the server.
        index: Name of the alias.
        reader: Reader of the index.
        content_ids: Content ids of the store.
    """

    def __init__(self, connection: Connection, index: str, reader: EntryReader, content_ids: ContentIds) -> None:
        self._connection = connection
        self._name = index
        self._reader = reader
        self._content_ids = content_ids
        self.forget()

    def forget(self) -> None:
        """Release the memory."""
        self._index = InvertedIndex()
        self._known: dict[bytes, tuple[int, int, int]] = {}
        self._uuid = ""
        self._seen: list[int] = []

    def candidates(self, content_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``."""
        self._refresh()
        for some in batched(content_ids, DIGESTS_A_QUERY):
            digests = list(self._content_ids.digests(some).values())
            packed = {self._content_ids.of(digest): words for digest, words in self._read(digests)}
            for content_id in some:
                words = packed.get(content_id)
                yield self._index.candidates(content_id, *_unpack(words)) if words is not None else ()

    def with_words(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the digests of those contents that have words."""
        yield from dict.fromkeys(digest for digest, _ in self._read(digests))

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        unpacked = [unpack_words(packed) for packed in words]
        self._refresh()
        return (self._index.candidates(NOT_INDEXED, plain, mirrored) for plain, mirrored in unpacked)

    def _refresh(self) -> None:
        """Read the words of contents that are new or were computed anew with other versions."""
        uuid, shards = self._identity()
        if uuid != self._uuid or shards != len(self._seen):
            self.forget()
            self._uuid, self._seen = uuid, [-1] * shards
        for shard in range(shards):
            seen = self._seen[shard]
            for hits in self._written_since(seen, shard):
                self._take(hits)
                seen = max(seen, *(int(hit["_seq_no"]) for hit in hits))
            # Not before the last page: pages are not in the order of sequence numbers.
            self._seen[shard] = seen

    def _take(self, hits: Sequence[Hit]) -> None:
        found: dict[bytes, WordArray] = {}
        versions: dict[bytes, tuple[int, int, int]] = {}
        for hit in hits:
            digest = bytes.fromhex(column(hit, "digest"))
            made_with = unpack_stat(column(hit, STAT_PACKED))[2]
            if versions.get(digest, self._known.get(digest)) != made_with:
                versions[digest] = made_with
                found[digest] = _unpack(_words(hit))[0]
        self._index.add([self._content_ids.of(digest) for digest in found], list(found.values()))
        self._known |= versions

    def _identity(self) -> tuple[str, int]:
        """Return the identity of the index, which changes when it is created anew, and the number of its shards."""
        answer = self._connection.call(
            "open",
            lambda client: client.indices.get_settings(
                index=self._name, name="index.uuid,index.number_of_shards", flat_settings=True
            ),
        )
        ((concrete, described),) = answer.items()
        settings = described["settings"]
        return f"{concrete} {settings['index.uuid']}", int(settings["index.number_of_shards"])

    def _written_since(self, sequence_number: int, shard: int) -> Iterator[Sequence[Hit]]:
        query = {"bool": {"filter": [WITH_WORDS, {"range": {"_seq_no": {"gt": sequence_number}}}]}}
        reading = Reading(
            query,
            columns=(STAT_PACKED, "digest", "words"),
            extra={"seq_no_primary_term": True},
            preference=f"_shards:{shard}",
        )
        return self._reader.pages(None, reading)

    def _read(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Stream digest and packed words of some contents."""
        for some in batched(digests, DIGESTS_A_QUERY):
            query = {"bool": {"filter": [{"terms": {"digest": [digest.hex() for digest in some]}}, WITH_WORDS]}}
            for hits in self._reader.pages(None, Reading(query, columns=("digest", "words"))):
                for hit in hits:
                    yield bytes.fromhex(column(hit, "digest")), _words(hit)


def _words(hit: Hit) -> bytes:
    return binascii.a2b_base64(column(hit, "words"))


def _unpack(packed: bytes) -> tuple[WordArray, WordArray]:
    try:
        return unpack_words(packed)
    except ValueError as error:
        raise StoreError(f"a document of the index is damaged: {error}") from error
