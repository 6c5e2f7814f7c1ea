"""Types of the arrays that the packages above exchange, and pairs of signatures as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Int8Array: TypeAlias = npt.NDArray[np.int8]
Int64Array: TypeAlias = npt.NDArray[np.int64]
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PairBlock:
    """Some pairs within the distance. All columns have the same length.

    Attributes:
        left: int64, a number of a content (or a row); ``left < right``.
        right: int64.
        distance: float64, 0 to the bound; the least of the eight orientations.
        orientation: uint8, the ``model.match.Orientation`` that makes left look like right.
    """

    left: Int64Array
    right: Int64Array
    distance: Float64Array
    orientation: UInt8Array

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.left)
