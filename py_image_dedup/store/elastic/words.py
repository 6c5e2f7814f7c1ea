"""The visual words of an index on a server, in memory, for the search of suspects.

Which words are rare is a question about all contents, and the answer must be that of every other store: so the words
are read once, and then those of contents that are new. Each shard numbers what is written to it, so that what is new
since the last look is a query, whoever wrote it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from itertools import islice

from py_image_dedup.features.inverted_index import NOBODY, InvertedIndex
from py_image_dedup.features.visual_words import WordArray, unpack_words
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.client import Connection
from py_image_dedup.store.elastic.contents import Numbers
from py_image_dedup.store.elastic.document import unpack_look
from py_image_dedup.store.elastic.reader import TERMS, EntryReader, Hit, Query, Reading, column

WITH_WORDS: Query = {"exists": {"field": "words"}}


class WordSearch:
    """Answers ``Store.candidates``. One thread at a time.

    Args:
        connection: To the server.
        index: Its name.
        reader: Of the index.
        numbers: Of the contents.
    """

    def __init__(self, connection: Connection, index: str, reader: EntryReader, numbers: Numbers) -> None:
        self._connection = connection
        self._name = index
        self._reader = reader
        self._numbers = numbers
        self.forget()

    def forget(self) -> None:
        """Give the memory back."""
        self._index = InvertedIndex()
        self._known: dict[bytes, tuple[int, int, int]] = {}
        self._uuid = ""
        self._seen: list[int] = []

    def candidates(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates``."""
        self._refresh()
        remaining = iter(numbers)
        while some := list(islice(remaining, TERMS)):
            digests = [digest for number in some if (digest := self._numbers.digest(number)) is not None]
            packed = {self._numbers.of(digest): words for digest, words in self._read(digests)}
            for number in some:
                yield self._index.candidates(number, *_unpacked(packed[number])) if number in packed else ()

    def having(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        """Yield those of these contents that have words."""
        yield from dict.fromkeys(digest for digest, _ in self._read(digests))

    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """See ``Store.candidates_for``."""
        unpacked = [unpack_words(packed) for packed in words]
        self._refresh()
        return (self._index.candidates(NOBODY, plain, mirrored) for plain, mirrored in unpacked)

    def _refresh(self) -> None:
        """Read the words of contents that are new, or were made with other versions than before."""
        uuid, shards = self._identity()
        if uuid != self._uuid or shards != len(self._seen):
            self.forget()
            self._uuid, self._seen = uuid, [-1] * shards
        for shard in range(shards):
            seen = self._seen[shard]
            for hits in self._written_since(seen, shard):
                self._take(hits)
                seen = max(seen, *(int(hit["_seq_no"]) for hit in hits))
            # Not before the last page: pages do not come in the order of these numbers.
            self._seen[shard] = seen

    def _take(self, hits: Sequence[Hit]) -> None:
        found: dict[bytes, WordArray] = {}
        versions: dict[bytes, tuple[int, int, int]] = {}
        for hit in hits:
            digest = bytes.fromhex(column(hit, "digest"))
            made_with = unpack_look(column(hit, "look"))[2]
            if versions.get(digest, self._known.get(digest)) != made_with:
                versions[digest] = made_with
                found[digest] = _unpacked(_words(hit))[0]
        self._index.add([self._numbers.of(digest) for digest in found], list(found.values()))
        self._known |= versions

    def _identity(self) -> tuple[str, int]:
        """Return what an index that was deleted and made again has not in common with this one, and its shards."""
        answer = self._connection.call(
            "open",
            lambda client: client.indices.get_settings(
                index=self._name, name="index.uuid,index.number_of_shards", flat_settings=True
            ),
        )
        ((concrete, described),) = answer.items()
        settings = described["settings"]
        return f"{concrete} {settings['index.uuid']}", int(settings["index.number_of_shards"])

    def _written_since(self, number: int, shard: int) -> Iterator[Sequence[Hit]]:
        query = {"bool": {"filter": [WITH_WORDS, {"range": {"_seq_no": {"gt": number}}}]}}
        reading = Reading(
            query,
            columns=("look", "digest", "words"),
            extra={"seq_no_primary_term": True},
            preference=f"_shards:{shard}",
        )
        return self._reader.pages(None, reading)

    def _read(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Read the packed words of some contents."""
        remaining = iter(digests)
        while some := list(islice(remaining, TERMS)):
            query = {"bool": {"filter": [{"terms": {"digest": [digest.hex() for digest in some]}}, WITH_WORDS]}}
            for hits in self._reader.pages(None, Reading(query, columns=("digest", "words"))):
                for hit in hits:
                    yield bytes.fromhex(column(hit, "digest")), _words(hit)


def _words(hit: Hit) -> bytes:
    return binascii.a2b_base64(column(hit, "words"))


def _unpacked(packed: bytes) -> tuple[WordArray, WordArray]:
    try:
        return unpack_words(packed)
    except ValueError as error:
        raise StoreError(f"a document of the index is damaged: {error}") from error
