"""The contents of an index that have a signature: read as columns, or streamed one by one."""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock, UInt8Array
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature
from py_image_dedup.store.elastic.client import Connection
from py_image_dedup.store.elastic.document import DIGEST_LENGTH, unpack_content, unpack_values
from py_image_dedup.store.elastic.reader import Hit, Query, Reading, column, pages

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


_ROWS_AT_ONCE = 4_096


class Numbers:
    """Digests and the numbers given to them, from 1, for as long as the store is open. One thread at a time.

    A content is numbered when it is first told of, so memory grows with what is found and not with the index.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._digests: list[bytes] = [b""]

    def of(self, digest: bytes) -> int:
        """The number of a content; a new one if it has none yet."""
        number = self._numbers.setdefault(digest, len(self._digests))
        if number == len(self._digests):
            self._digests.append(digest)
        return number

    def of_all(self, digests: Sequence[bytes]) -> Int64Array:
        """The numbers of contents, int64, in the same order."""
        return np.fromiter(map(self.of, digests), dtype=np.int64, count=len(digests))

    def digest(self, number: int) -> bytes | None:
        """The content that was given this number, if any was."""
        return self._digests[number] if 0 < number < len(self._digests) else None


class NumberedRows:
    """Contents as rows of a table, numbered as far as they are told of. One thread at a time.

    Args:
        numbers: Where the numbers come from.
        digests: Of the rows.
        values: Their signatures.
    """

    def __init__(self, numbers: Numbers, digests: ByteStrings, values: Int8Array) -> None:
        self._numbers = numbers
        self._digests = digests.view(f"V{DIGEST_LENGTH}")  # text of numpy would lose zero bytes at the end
        self._values = values
        self._given = np.zeros(len(digests), dtype=np.int64)

    def numbered(self, block: PairBlock) -> PairBlock:
        """Turn pairs of rows into pairs of numbers, the lesser left."""
        rows = np.unique(np.concatenate([block.left, block.right]))
        new = rows[self._given[rows] == 0]
        self._given[new] = self._numbers.of_all([self._digests[row].tobytes() for row in new.tolist()])
        left, right, orientation = self._given[block.left], self._given[block.right], block.orientation
        turned = np.flatnonzero(left > right)
        if len(turned):
            left[turned], right[turned] = right[turned], left[turned]
            orientation = orientation.copy()
            orientation[turned] = self._turns(block.right[turned], block.left[turned])
        return PairBlock(left, right, block.distance, orientation)

    def _turns(self, left: Int64Array, right: Int64Array) -> UInt8Array:
        """The turns that make left look like right; among equally good ones the least, as everywhere."""
        best = np.empty(len(left), dtype=np.uint8)
        for start in range(0, len(left), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            source, target = self._values[left[some]], self._values[right[some]].astype(np.int32)
            products = [
                np.einsum("ij,ij->i", orient_signature(source, way).astype(np.int32), target) for way in ORIENTATIONS
            ]
            best[some] = np.array(ORIENTATIONS, dtype=np.uint8)[np.argmax(products, axis=0)]
        return best


FORMAT: Final = 1
MOST_PAIRS: Final = 40
"""A content, on average. More are not kept: a library of thousands of like pages would fill the disk with them."""

MOST_FILES: Final = 16
"""Sets of folders that are remembered; the one that was not asked for longest goes first."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """The contents of one pass and the pairs among them.

    Attributes:
        distance: They were searched at.
        keys: Of the contents, ``S16``, ascending.
        pairs: By row of ``keys``; left looks like right when turned.
    """

    distance: float
    keys: ByteStrings
    pairs: PairBlock


class SearchedFolder:
    """A folder with a file for each set of folders that was searched. Several processes may use it at once."""

    def __init__(self, folder: Path | None) -> None:
        """Choose the folder; it is made when there is something to keep. None: nothing is kept."""
        self._folder = folder

    def load(self, place: Sequence[bytes]) -> Searched | None:
        """Read what was kept for these folders; a file that cannot be read counts as none."""
        if self._folder is None:
            return None
        path = self._path(place)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if int(kept["format"]) != FORMAT:
                    return None
                columns = (kept["left"], kept["right"], kept["distances"], kept["orientations"])
                searched = Searched(float(kept["distance"]), kept["keys"], PairBlock(*columns))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _LOG.warning("%s cannot be read (%s) and is made anew", path, error)
            return None
        return searched

    def save(self, place: Sequence[bytes], searched: Searched) -> None:
        """Keep a pass; a disk that is full costs the memory of it, not the run."""
        if self._folder is None:
            return
        columns: dict[str, Any] = {
            "format": np.int64(FORMAT),
            "distance": np.float64(searched.distance),
            "keys": searched.keys,
            "left": searched.pairs.left.astype(np.int32),
            "right": searched.pairs.right.astype(np.int32),
            "distances": searched.pairs.distance,
            "orientations": searched.pairs.orientation,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".", suffix=".npz", delete=False) as arriving:
                np.savez(arriving, **columns)
            Path(arriving.name).replace(self._path(place))
            self._tidy()
        except OSError as error:
            _LOG.warning("what was searched cannot be kept in %s: %s", self._folder, error)

    def _path(self, place: Sequence[bytes]) -> Path:
        named = json.dumps([part.hex() for part in place]).encode()
        return (self._folder or Path()) / f"{blake3(named).hexdigest(length=12)}.npz"

    def _tidy(self) -> None:
        kept = sorted((self._folder or Path()).glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MOST_FILES]:
            path.unlink(missing_ok=True)


class Gathered:
    """Gathers the pairs of a pass as they are told, unless there are too many to keep."""

    def __init__(self, contents: int) -> None:
        self._most = MOST_PAIRS * contents
        self._blocks: list[PairBlock] = []
        self._count = 0

    def add(self, blocks: Iterator[PairBlock]) -> Iterator[PairBlock]:
        """Pass blocks on and remember them."""
        for block in blocks:
            self._count += len(block)
            if self._count <= self._most:
                self._blocks.append(block)
            yield block

    def finish(self, keys: ByteStrings, distance: float) -> Searched | None:
        """Make of it what is kept.

        Args:
            keys: Of the contents that were searched, in the order of the rows.
            distance: They were searched at.

        Returns:
            None if there were too many pairs.
        """
        if self._count > self._most:
            return None
        return Searched(distance, keys, concatenated(self._blocks))


def recalled(searched: Searched, keys: ByteStrings) -> tuple[PairBlock, npt.NDArray[np.bool_]]:
    """Find what was kept of some contents.

    Args:
        searched: What was kept.
        keys: Of the contents, ascending.

    Returns:
        The pairs among those that were searched, by row of ``keys``; and which of them were.
    """
    if not len(searched.keys):
        return concatenated([]), np.zeros(len(keys), dtype=np.bool_)
    place = np.searchsorted(searched.keys, keys)
    place[place == len(searched.keys)] = 0
    known = searched.keys[place] == keys
    row_of = np.full(len(searched.keys), -1, dtype=np.int64)
    row_of[place[known]] = np.flatnonzero(known)
    left, right = row_of[searched.pairs.left], row_of[searched.pairs.right]
    there = np.flatnonzero((left >= 0) & (right >= 0))
    pairs = searched.pairs
    return PairBlock(left[there], right[there], pairs.distance[there], pairs.orientation[there]), known


def concatenated(blocks: Sequence[PairBlock]) -> PairBlock:
    """Put blocks together."""
    none = PairBlock(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))
    parts = [none, *blocks]
    return PairBlock(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.orientation for part in parts]),
    )
