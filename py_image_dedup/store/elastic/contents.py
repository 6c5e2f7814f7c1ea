"""The contents of an index with a signature: read as columns, with their content ids, and the cache of their pairs."""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import (
    BoolArray,
    Int8Array,
    Int64Array,
    IntpArray,
    PairBlock,
    UInt8Array,
    UInt32Array,
    row_slices,
)
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature
from py_image_dedup.store.elastic.client import Connection
from py_image_dedup.store.elastic.document import DIGEST_LENGTH, unpack_content, unpack_values
from py_image_dedup.store.elastic.reader import Hit, Query, Reading, column, pages

KEY_LENGTH: Final = 16

ByteStrings = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Contents as columns, each content once, in the order of their keys.

    A key identifies a content together with its signature. The order of two contents by key stays the same when other
    contents come and go, so a cached pair stays valid without exchanging left and right.

    Attributes:
        keys: ``S16``, shape ``(n,)``, ascending.
        digests: ``S32``, shape ``(n,)``.
        values: int8, shape ``(n, 272)``, signatures.
    """

    keys: ByteStrings
    digests: ByteStrings
    values: Int8Array

    @classmethod
    def of(cls, digests: ByteStrings, values: Int8Array) -> Contents:
        """Return contents in the order of their keys."""
        keys = keys_of(digests, values)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], digests[order], values[order])

    def __len__(self) -> int:
        """Return the number of contents."""
        return len(self.digests)


def with_signature(query: Query) -> Query:
    """Return the query for those documents of a query that have a signature."""
    return {"bool": {"filter": [query, {"exists": {"field": "invariants"}}]}}


def keys_of(digests: ByteStrings, values: Int8Array) -> ByteStrings:
    """Return the keys of contents, hashes of digest and signature; dtype ``S16``."""
    rows = np.hstack([digests.view(np.int8).reshape(len(digests), DIGEST_LENGTH), values])
    return byte_strings([blake3(row).digest(length=KEY_LENGTH) for row in rows], KEY_LENGTH)


def byte_strings(rows: Sequence[bytes], length: int) -> ByteStrings:
    """Return byte strings of one length as an array."""
    return np.frombuffer(b"".join(rows), dtype=f"S{length}")


def read_contents(connection: Connection, index: str, query: Query, expected: int) -> Contents:
    """Read contents, each once.

    Of documents with different versions of the signature the newest version counts.

    Args:
        connection: Connection to the server.
        index: Name of the alias or index.
        query: Query for documents that have a signature.
        expected: The approximate number of documents, for which memory is allocated.
    """
    digests = np.empty(expected, dtype=f"S{DIGEST_LENGTH}")
    versions = np.empty(expected, dtype=np.uint32)
    values = np.empty((expected, SIGNATURE_LENGTH), dtype=np.int8)
    length = 0
    for hits in pages(connection, index, Reading(query, columns=("content",))):
        read = [unpack_content(column(hit, "content")) for hit in hits]
        following = length + len(read)
        if following > len(digests):  # another program is writing
            room = (0, following + following // 8 - len(digests))
            digests, versions = np.pad(digests, room), np.pad(versions, room)
            values = np.pad(values, (room, (0, 0)))
        digests[length:following] = [digest for digest, _, _ in read]
        versions[length:following] = [version for _, version, _ in read]
        values[length:following] = unpack_values([packed for _, _, packed in read])
        length = following
    chosen = _newest(digests[:length], versions[:length])
    return Contents.of(digests[chosen], values[chosen])


def _newest(digests: ByteStrings, versions: UInt32Array) -> IntpArray:
    """Return the row with the newest version of each digest."""
    order = np.lexsort((versions, digests))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = digests[order[1:]] != digests[order[:-1]]
    return order[last]


def each_content(connection: Connection, index: str, query: Query) -> Iterator[tuple[bytes, bytes]]:
    """Stream digest and packed signature of each content, in the order of digests; only one page is in memory."""
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


_ROWS_AT_ONCE = 4_096


class ContentIds:
    """Content ids by digest, from 1, valid for as long as the store is open. One thread at a time.

    A content gets its id when it is first returned, so memory grows with the results and not with the index.
    """

    def __init__(self) -> None:
        self._content_ids: dict[bytes, int] = {}
        self._digests: list[bytes] = [b""]

    def of(self, digest: bytes) -> int:
        """Return the content id of a digest, a new one if it has none yet."""
        content_id = self._content_ids.setdefault(digest, len(self._digests))
        if content_id == len(self._digests):
            self._digests.append(digest)
        return content_id

    def of_all(self, digests: Sequence[bytes]) -> Int64Array:
        """Return the content ids of digests, int64, in the same order."""
        return np.fromiter(map(self.of, digests), dtype=np.int64, count=len(digests))

    def digest(self, content_id: int) -> bytes | None:
        """Return the digest of a content id, or ``None`` if there is none."""
        return self._digests[content_id] if 0 < content_id < len(self._digests) else None

    def digests(self, content_ids: Iterable[int]) -> dict[int, bytes]:
        """Return the digests of content ids; unknown ids are not in the answer."""
        found = ((content_id, self.digest(content_id)) for content_id in content_ids)
        return {content_id: digest for content_id, digest in found if digest is not None}


class ContentIdTable:
    """The content ids of rows, which are assigned when a row is first part of a pair. One thread at a time.

    Args:
        content_ids: Content ids of the store.
        digests: ``S32``, shape ``(n,)``, digests of the rows.
        values: int8, shape ``(n, 272)``, signatures of the rows.
    """

    def __init__(self, content_ids: ContentIds, digests: ByteStrings, values: Int8Array) -> None:
        self._content_ids = content_ids
        self._digests = digests.view(f"V{DIGEST_LENGTH}")  # a numpy byte string would lose zero bytes at its end
        self._values = values
        self._given = np.zeros(len(digests), dtype=np.int64)

    def with_content_ids(self, block: PairBlock) -> PairBlock:
        """Return pairs of rows as pairs of content ids, the lesser left."""
        rows = np.unique(np.concatenate([block.left, block.right]))
        new = rows[self._given[rows] == 0]
        self._given[new] = self._content_ids.of_all([self._digests[row].tobytes() for row in new.tolist()])
        left, right, orientation = self._given[block.left], self._given[block.right], block.orientation
        swapped = np.flatnonzero(left > right)
        if len(swapped):
            left[swapped], right[swapped] = right[swapped], left[swapped]
            orientation = orientation.copy()
            orientation[swapped] = self._orientations(block.right[swapped], block.left[swapped])
        return PairBlock(left, right, block.distance, orientation)

    def _orientations(self, left: Int64Array, right: Int64Array) -> UInt8Array:
        """Return the orientations that make left look like right; the least one of several that are equally near."""
        best = np.empty(len(left), dtype=np.uint8)
        for some in row_slices(len(left), _ROWS_AT_ONCE):
            source, target = self._values[left[some]], self._values[right[some]].astype(np.int32)
            products = [
                np.einsum("ij,ij->i", orient_signature(source, way).astype(np.int32), target) for way in ORIENTATIONS
            ]
            best[some] = np.array(ORIENTATIONS, dtype=np.uint8)[np.argmax(products, axis=0)]
        return best


FORMAT: Final = 1
MAX_PAIRS: Final = 40
"""Cached pairs per content, on average. A library of thousands of similar pages has more and is not cached."""

MAX_FILES: Final = 16
"""Cached sets of folders; the least recently used one is deleted first."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CachedPairs:
    """The contents of one search and the pairs among them.

    Attributes:
        distance: Distance of the search.
        keys: ``S16``, ascending, keys of the contents.
        pairs: Pairs of rows of ``keys``.
    """

    distance: float
    keys: ByteStrings
    pairs: PairBlock


class PairCache:
    """A folder with a file of pairs for each set of folders that was searched. Several processes may share it."""

    def __init__(self, folder: Path | None) -> None:
        """Set the folder, which is created when there is something to store; with ``None`` nothing is stored."""
        self._folder = folder

    def load(self, place: Sequence[bytes]) -> CachedPairs | None:
        """Return the cached pairs of a set of folders, or ``None`` if there are none or the file is unreadable."""
        if self._folder is None:
            return None
        path = self._path(place)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if int(stored["format"]) != FORMAT:
                    return None
                columns = (stored["left"], stored["right"], stored["distances"], stored["orientations"])
                cached = CachedPairs(float(stored["distance"]), stored["keys"], PairBlock(*columns))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _LOG.warning("%s cannot be read (%s) and will be rebuilt", path, error)
            return None
        return cached

    def save(self, place: Sequence[bytes], cached: CachedPairs) -> None:
        """Store pairs; a full disk loses the cache and not the run."""
        if self._folder is None:
            return
        columns: dict[str, Any] = {
            "format": np.int64(FORMAT),
            "distance": np.float64(cached.distance),
            "keys": cached.keys,
            "left": cached.pairs.left.astype(np.int32),
            "right": cached.pairs.right.astype(np.int32),
            "distances": cached.pairs.distance,
            "orientations": cached.pairs.orientation,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".", suffix=".npz", delete=False) as arriving:
                np.savez(arriving, **columns)
            Path(arriving.name).replace(self._path(place))
            self._tidy()
        except OSError as error:
            _LOG.warning("the pairs found cannot be cached in %s: %s", self._folder, error)

    def _path(self, place: Sequence[bytes]) -> Path:
        named = json.dumps([part.hex() for part in place]).encode()
        return (self._folder or Path()) / f"{blake3(named).hexdigest(length=12)}.npz"

    def _tidy(self) -> None:
        kept = sorted((self._folder or Path()).glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MAX_FILES]:
            path.unlink(missing_ok=True)


class PairCollector:
    """A collector of the pairs of a search, which gives up when there are too many to cache."""

    def __init__(self, contents: int) -> None:
        self._most = MAX_PAIRS * contents
        self._blocks: list[PairBlock] = []
        self._count = 0

    def add(self, blocks: Iterator[PairBlock]) -> Iterator[PairBlock]:
        """Pass blocks on and collect them."""
        for block in blocks:
            self._count += len(block)
            if self._count <= self._most:
                self._blocks.append(block)
            yield block

    def finish(self, keys: ByteStrings, distance: float) -> CachedPairs | None:
        """Return the pairs to cache, or ``None`` if there were too many.

        Args:
            keys: Keys of the contents that were searched, in the order of the rows.
            distance: Distance of the search.
        """
        if self._count > self._most:
            return None
        return CachedPairs(distance, keys, PairBlock.concatenate(self._blocks))


def reusable_pairs(cached: CachedPairs, keys: ByteStrings) -> tuple[PairBlock, BoolArray]:
    """Return the cached pairs among some contents.

    Args:
        cached: The pairs of an earlier search.
        keys: ``S16``, ascending, keys of the contents.

    Returns:
        The pairs among the contents that were searched, by row of ``keys``; and the mask of those contents.
    """
    if not len(cached.keys):
        return PairBlock.empty(), np.zeros(len(keys), dtype=np.bool_)
    index = np.searchsorted(cached.keys, keys)
    index[index == len(cached.keys)] = 0
    known = cached.keys[index] == keys
    row_of = np.full(len(cached.keys), -1, dtype=np.int64)
    row_of[index[known]] = np.flatnonzero(known)
    pairs = replace(cached.pairs, left=row_of[cached.pairs.left], right=row_of[cached.pairs.right])
    return pairs.filter((pairs.left >= 0) & (pairs.right >= 0)), known
