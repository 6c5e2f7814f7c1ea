"""Numbers of contents: the server knows digests, the search speaks of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from py_image_dedup.signature.pairs import Int64Array


class Numbers:
    """Digests and the numbers given to them, from 1, for as long as the store is open. One thread at a time."""

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
