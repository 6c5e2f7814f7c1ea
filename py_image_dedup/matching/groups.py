"""Numbers joined by pairs: a union-find over columns, with memory for the numbers and not for the pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from py_image_dedup.signature.arrays import Int64Array


class Components:
    """Sets of numbers, grown pair by pair. Not for several threads.

    The forest is one int64 array over the numbers, so numbers should be small, as
    those of an index's contents are.
    A parent is always less than its child, so there are no circles, and a component is named by its least number.
    """

    __slots__ = ("_parents",)

    def __init__(self) -> None:
        self._parents: Int64Array = np.empty(0, dtype=np.int64)

    def join(self, left: Int64Array, right: Int64Array) -> None:
        """Join each pair of numbers.

        Args:
            left: int64, not negative.
            right: int64, of the same length.
        """
        if not len(left):
            return
        self._grow(int(max(left.max(), right.max())) + 1)
        while True:
            left, right = self._tops(left), self._tops(right)
            apart = left != right
            if not apart.any():
                return
            left, right = left[apart], right[apart]
            # Where several pairs hang the same top below others only one takes effect; the loop comes back to the rest.
            self._parents[np.maximum(left, right)] = np.minimum(left, right)

    def members(self) -> Iterator[Int64Array]:
        """Yield each component of two and more numbers, ascending; the components by their least numbers."""
        parents = self._parents
        numbers = np.arange(len(parents), dtype=np.int64)
        tops = self._tops(numbers)
        sizes = np.bincount(tops, minlength=len(parents))
        joined = numbers[sizes[tops] > 1]
        if not len(joined):
            return
        order = np.argsort(tops[joined], kind="stable")
        cuts = np.flatnonzero(np.diff(tops[joined][order])) + 1
        yield from np.split(joined[order], cuts)

    def top(self, number: int) -> int:
        """Return the least number of the component of a number; the number itself if it was never joined."""
        if number >= len(self._parents):
            return number
        return int(self._tops(np.array([number], dtype=np.int64))[0])

    def _grow(self, size: int) -> None:
        known = len(self._parents)
        if size > known:
            grown = np.arange(max(size, known + known // 2), dtype=np.int64)
            grown[:known] = self._parents
            self._parents = grown

    def _tops(self, numbers: Int64Array) -> Int64Array:
        """Follow the parents up, and shorten the way for the next time."""
        parents = self._parents
        tops = parents[numbers]
        while True:
            above = parents[tops]
            if np.array_equal(above, tops):
                parents[numbers] = tops
                return tops
            tops = above
