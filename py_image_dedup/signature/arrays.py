"""Type aliases of the arrays that the packages above exchange, and blocks of pairs as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

Int8Array: TypeAlias = npt.NDArray[np.int8]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Int64Array: TypeAlias = npt.NDArray[np.int64]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
UInt32Array: TypeAlias = npt.NDArray[np.uint32]
IntpArray: TypeAlias = npt.NDArray[np.intp]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PairBlock:
    """Pairs within a distance, as columns of equal length.

    Attributes:
        left: int64, content ids or row numbers; ``left < right``.
        right: int64.
        distance: float64, 0 to the bound; the least of the eight orientations.
        orientation: uint8, the ``model.match.Orientation`` that makes left look like right.
    """

    left: Int64Array
    right: Int64Array
    distance: Float64Array
    orientation: UInt8Array

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left)

    @classmethod
    def empty(cls) -> Self:
        """Return a block without pairs."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))

    @classmethod
    def concatenate(cls, blocks: Iterable[PairBlock]) -> Self:
        """Return one block with the pairs of several, in their order."""
        parts = list(blocks)
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.distance for part in parts]),
            np.concatenate([part.orientation for part in parts]),
        )

    def chunks(self, size: int) -> Iterator[PairBlock]:
        """Split the block into blocks of at most ``size`` pairs; an empty block is yielded as it is."""
        return map(self._part, row_slices(max(1, len(self)), size))

    def filter(self, wanted: BoolArray) -> PairBlock:
        """Return the pairs for which a mask, shape ``(len(self),)``, is true."""
        return self._part(wanted)

    def _part(self, rows: BoolArray | slice) -> PairBlock:
        return PairBlock(self.left[rows], self.right[rows], self.distance[rows], self.orientation[rows])


def row_slices(rows: int, size: int) -> Iterator[slice]:
    """Yield the slices that split ``rows`` rows into parts of at most ``size`` rows, in their order."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
