"""Numbers of contents: the server knows digests, the search speaks of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock, UInt8Array
from py_image_dedup.signature.orientation import ORIENTATIONS, turn
from py_image_dedup.store.elastic.contents import ByteStrings
from py_image_dedup.store.elastic.packing import DIGEST_LENGTH

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
            products = [np.einsum("ij,ij->i", turn(source, way).astype(np.int32), target) for way in ORIENTATIONS]
            best[some] = np.array(ORIENTATIONS, dtype=np.uint8)[np.argmax(products, axis=0)]
        return best
