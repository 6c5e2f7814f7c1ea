"""The contents of an index that have a signature: read as columns, or streamed one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.store.elastic.client import Connection
from py_image_dedup.store.elastic.packing import DIGEST_LENGTH, unpack_content, unpack_values
from py_image_dedup.store.elastic.scan import Hit, Query, Reading, column, pages

KEY_LENGTH: Final = 16

ByteStrings = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Contents as columns, each content once, in the order of their keys.

    A key names a content together with its signature. Rows in the order of keys stay in that order when contents come
    and go, so what is known of two rows holds for those rows of another reading without turning left into right.

    Attributes:
        keys: ``S16``, ascending.
        digests: ``S32``.
        values: int8, shape ``(n, 272)``.
    """

    keys: ByteStrings
    digests: ByteStrings
    values: Int8Array

    @classmethod
    def of(cls, digests: ByteStrings, values: Int8Array) -> Contents:
        """Bring contents into the order of their keys."""
        keys = keys_of(digests, values)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], digests[order], values[order])

    def __len__(self) -> int:
        """How many."""
        return len(self.digests)


def with_signature(query: Query) -> Query:
    """The documents of a query that have a signature."""
    return {"bool": {"filter": [query, {"exists": {"field": "invariants"}}]}}


def keys_of(digests: ByteStrings, values: Int8Array) -> ByteStrings:
    """Name contents by digest and signature; dtype ``S16``."""
    rows = np.hstack([digests.view(np.int8).reshape(len(digests), DIGEST_LENGTH), values])
    return byte_strings([blake3(row).digest(length=KEY_LENGTH) for row in rows], KEY_LENGTH)


def byte_strings(rows: Sequence[bytes], length: int) -> ByteStrings:
    """Byte strings of one length as an array."""
    return np.frombuffer(b"".join(rows), dtype=f"S{length}")


def read_contents(connection: Connection, index: str, query: Query, expected: int) -> Contents:
    """Read contents, each once.

    Of copies that were made with different versions of the signature the newest counts.

    Args:
        connection: To the server.
        index: Alias or index.
        query: Documents that have a signature.
        expected: How many documents there are, about: memory for so many is taken at once.
    """
    digests = np.empty(expected, dtype=f"S{DIGEST_LENGTH}")
    versions = np.empty(expected, dtype=np.uint32)
    values = np.empty((expected, SIGNATURE_LENGTH), dtype=np.int8)
    length = 0
    for hits in pages(connection, index, Reading(query, columns=("content",))):
        read = [unpack_content(column(hit, "content")) for hit in hits]
        following = length + len(read)
        if following > len(digests):  # others write
            room = (0, following + following // 8 - len(digests))
            digests, versions = np.pad(digests, room), np.pad(versions, room)
            values = np.pad(values, (room, (0, 0)))
        digests[length:following] = [digest for digest, _, _ in read]
        versions[length:following] = [version for _, version, _ in read]
        values[length:following] = unpack_values([packed for _, _, packed in read])
        length = following
    chosen = _newest(digests[:length], versions[:length])
    return Contents.of(digests[chosen], values[chosen])


def _newest(digests: ByteStrings, versions: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """The row of each digest that has the newest version."""
    order = np.lexsort((versions, digests))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = digests[order[1:]] != digests[order[:-1]]
    return order[last]


def each_content(connection: Connection, index: str, query: Query) -> Iterator[tuple[bytes, bytes]]:
    """Stream digest and packed signature of each content, in the order of digests; nothing but a page is held."""
    last: tuple[bytes, int, bytes] | None = None
    for hits in pages(connection, index, Reading(query, columns=("content",), sort="digest")):
        for each in map(_content, hits):
            if last is not None and each[0] != last[0]:
                yield last[0], last[2]
                last = None
            last = each if last is None else max(last, each)
    if last is not None:
        yield last[0], last[2]


def _content(hit: Hit) -> tuple[bytes, int, bytes]:
    return unpack_content(column(hit, "content"))
