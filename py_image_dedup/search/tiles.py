"""One tile of the table of all pairs: bounds first, then the exact distances of what they leave.

A tile is a strip of left rows against a run of right rows, small enough for the processor's cache. What the bounds
leave is looked at pair by pair; but where whole rows and columns are left, because pictures are nearly the same or the
distance is large, the products of these rows with these columns are one matrix product, and cost a twentieth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.search.plan import SLACK, Plan, Product, least_cosine
from py_image_dedup.signature.arrays import Float32Array, Float64Array, Int8Array, Int64Array, PairBlock, UInt8Array
from py_image_dedup.signature.distance import from_products, squared_lengths
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature

TILE = 2**17
"""Pairs in a tile; its floats take half a megabyte."""

_GRID_WORTH = 12
"""A matrix product of so many pairs costs as much as one pair looked at by itself."""

_CROWD = 16
"""Rows with so many pairs among those that wait are taken for the rows of a grid."""

_AT_ONCE = 1024
_ENOUGH = 2**15
"""Pairs wait for so many others, to be looked at together."""
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Rights:
    """The right side of a search: signatures, and their columns of a plan. Read-only, shared by all threads.

    Attributes:
        values: int8, shape ``(n, 272)``.
        squared: int32, shape ``(n,)``: squared lengths.
        even: float32, shape ``(n, columns)``; without columns in the plan *whole*.
        odd: float32, shape ``(n, columns)``.
    """

    values: Int8Array
    squared: npt.NDArray[np.int32]
    even: Float32Array
    odd: Float32Array

    @classmethod
    def of(cls, values: Int8Array, plan: Plan) -> Rights:
        """Project signatures, some thousand at a time."""
        even = np.empty((len(values), len(plan.even) + len(plan.rests)), dtype=np.float32)
        odd = np.empty((len(values), len(plan.odd)), dtype=np.float32)
        for start in range(0, len(values) if plan.products else 0, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            even[rows], odd[rows] = plan.columns(values[rows])
        return cls(values, squared_lengths(values), even, odd)


@dataclass(slots=True, eq=False)
class Strip:
    """Some left rows, turned as needed. Belongs to one thread.

    Attributes:
        first: The number of the first row.
        values: int8, shape ``(m, 272)``.
        columns: For each product of the plan the even and the odd columns.
    """

    first: int
    values: Int8Array
    columns: tuple[tuple[Float32Array, Float32Array], ...]
    squared: npt.NDArray[np.int32]
    _turned: dict[Orientation, Float32Array] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Int8Array, first: int, plan: Plan) -> Strip:
        """Turn and project the left rows for every product."""
        columns = tuple(plan.columns(orient_signature(values, product.turned)) for product in plan.products)
        return cls(first, values, columns, squared_lengths(values))

    def turned(self, orientation: Orientation) -> Float32Array:
        """Return the rows turned, as float32; remembered."""
        if orientation not in self._turned:
            self._turned[orientation] = orient_signature(self.values, orientation).astype(np.float32)
        return self._turned[orientation]


class Tiles:
    """Searches tiles with the buffers that it owns: one for each thread.

    Args:
        plan: How pairs are bounded.
        rights: The right side, projected for this plan.
        max_distance: 0 to 1.
        orientations: Which turns of the left side count.
        triangular: Whether left and right rows are the same ones and only ``left < right`` counts.
    """

    def __init__(
        self,
        plan: Plan,
        rights: Rights,
        max_distance: float,
        orientations: tuple[Orientation, ...] = ORIENTATIONS,
        *,
        triangular: bool = False,
    ) -> None:
        self._plan = plan
        self._rights = rights
        self._max_distance = max_distance
        self._orientations = orientations
        self._triangular = triangular
        self._least = np.float32(least_cosine(max_distance) - SLACK)
        self._bound, self._other = np.empty((2, TILE), dtype=np.float32)
        self._mask = np.zeros(TILE, dtype=np.bool_)
        self._waiting: list[tuple[Product, Int64Array, Int64Array]] = []
        self._waiting_pairs = 0

    def search(self, strip: Strip, start: int, stop: int) -> PairBlock:
        """Look at a strip and the right rows from ``start`` to ``stop``.

        Returns:
            Pairs within the distance: of this tile, or of earlier ones of this strip, as many as were looked at until
            now. ``finish`` returns the others.
        """
        if not self._plan.products:
            return self._grid(strip, np.arange(len(strip.values)), np.arange(start, stop))
        left = self._left(strip, start, stop)
        self._waiting += left
        self._waiting_pairs += sum(len(rows) for _, rows, _ in left)
        return self.finish(strip) if self._waiting_pairs >= _ENOUGH else EMPTY

    def finish(self, strip: Strip) -> PairBlock:
        """Return the pairs within the distance among those of this strip that wait to be looked at."""
        waiting, self._waiting, self._waiting_pairs = self._waiting, [], 0
        if not waiting:
            return EMPTY
        rows, columns = (
            np.concatenate(part) for part in zip(*((rows, columns) for _, rows, columns in waiting), strict=True)
        )
        crowded = np.bincount(rows, minlength=len(strip.values)) >= _CROWD
        in_grid = crowded[rows]
        grid_rows, grid_columns = np.flatnonzero(crowded), np.unique(columns[in_grid])
        if len(grid_rows) * len(grid_columns) > _GRID_WORTH * np.count_nonzero(in_grid):
            return self._one_by_one(strip, waiting)
        waiting = [(product, rows[~crowded[rows]], columns[~crowded[rows]]) for product, rows, columns in waiting]
        return join_blocks([self._grid(strip, grid_rows, grid_columns), self._one_by_one(strip, waiting)])

    def _one_by_one(self, strip: Strip, waiting: list[tuple[Product, Int64Array, Int64Array]]) -> PairBlock:
        near = []
        for product in self._plan.products:
            of_product = [(rows, columns) for of, rows, columns in waiting if of is product]
            if of_product:
                rows, columns = (np.concatenate(part) for part in zip(*of_product, strict=True))
                near.append(self._near(strip, rows, columns, product.bounds))
        found = join_blocks(near)
        if len(self._plan.products) == 1 or not len(found):
            return found
        # Found by a product that bounds some orientations; another may have an orientation that is nearer.
        pairs = np.unique(np.stack([found.left - strip.first, found.right]), axis=1)
        return self._near(strip, pairs[0], pairs[1], self._orientations)

    def _left(self, strip: Strip, start: int, stop: int) -> list[tuple[Product, Int64Array, Int64Array]]:
        """Return the rows and columns of the pairs that each product's bound leaves."""
        left = []
        for product, (even, odd) in zip(self._plan.products, strip.columns, strict=True):
            flat = self._bounded(even, odd, start, stop)
            rows, columns = np.divmod(flat, stop - start)
            columns += start
            if self._triangular and strip.first + len(strip.values) > start:
                ordered = rows + strip.first < columns
                rows, columns = rows[ordered], columns[ordered]
            if len(rows):
                left.append((product, rows, columns))
        return left

    def _bounded(self, even: Float32Array, odd: Float32Array, start: int, stop: int) -> Int64Array:
        """Return the flat places at which one product's bound reaches the least cosine."""
        height, width = len(even), stop - start
        bound = self._bound[: height * width].reshape(height, width)
        np.matmul(even, self._rights.even[start:stop].T, out=bound)
        if odd.shape[1]:
            other = self._other[: height * width].reshape(height, width)
            np.matmul(odd, self._rights.odd[start:stop].T, out=other)
            np.abs(other, out=other)
            np.add(bound, other, out=bound)
        # Eight flags are one word and most words are zero: ten times faster than to look at flags or at numbers.
        flags = self._mask[: -(-height * width // 8) * 8]
        flags[height * width :] = False
        np.greater_equal(bound, self._least, out=flags[: height * width].reshape(height, width))
        words = np.flatnonzero(flags.view(np.uint64) != 0)
        word, flag = np.nonzero(flags.reshape(-1, 8)[words])
        found: Int64Array = words[word] * 8 + flag
        return found

    def _near(
        self, strip: Strip, rows: Int64Array, columns: Int64Array, orientations: tuple[Orientation, ...]
    ) -> PairBlock:
        """Return those pairs that are within the distance in some of the orientations."""
        blocks = []
        for start in range(0, len(rows), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            distances, which = self._pairs(strip, rows[part], columns[part], orientations)
            near = np.flatnonzero(distances <= self._max_distance)
            blocks.append(PairBlock(strip.first + rows[part][near], columns[part][near], distances[near], which[near]))
        return join_blocks(blocks)

    def _pairs(
        self, strip: Strip, rows: Int64Array, columns: Int64Array, orientations: tuple[Orientation, ...]
    ) -> tuple[Float64Array, UInt8Array]:
        """Return the least distance of each pair over some orientations, and the orientation."""
        right = self._rights.values[columns].astype(np.float32)
        best = np.full(len(rows), -np.inf, dtype=np.float32)
        which = np.zeros(len(rows), dtype=np.uint8)
        for orientation in orientations:
            dots = np.einsum("ij,ij->i", strip.turned(orientation)[rows], right)
            which[dots > best] = orientation
            np.maximum(best, dots, out=best)
        squared = strip.squared[rows].astype(np.float64), self._rights.squared[columns].astype(np.float64)
        return from_products(best.astype(np.float64), *squared), which

    def _grid(self, strip: Strip, rows: Int64Array, columns: Int64Array) -> PairBlock:
        """Return the pairs within the distance of some rows with some columns, by matrix products."""
        width = TILE // max(1, len(rows))
        parts = [columns[start : start + width] for start in range(0, len(columns), width)] if len(rows) else []
        return join_blocks([self._small_grid(strip, rows, part) for part in parts])

    def _small_grid(self, strip: Strip, rows: Int64Array, columns: Int64Array) -> PairBlock:
        right = self._rights.values[columns].astype(np.float32).T
        shape, size = (len(rows), len(columns)), len(rows) * len(columns)
        best, dots = self._bound[:size].reshape(shape), self._other[:size].reshape(shape)
        better = self._mask[:size].reshape(shape)
        which = np.zeros(shape, dtype=np.uint8)
        best.fill(-np.inf)
        for orientation in self._orientations:
            np.matmul(strip.turned(orientation)[rows], right, out=dots)
            np.greater(dots, best, out=better)
            np.copyto(which, np.uint8(orientation), where=better)
            np.maximum(best, dots, out=best)
        left_squared, right_squared = strip.squared[rows], self._rights.squared[columns]
        np.multiply(best, _inverse(left_squared)[:, None], out=dots)
        np.multiply(dots, _inverse(right_squared), out=dots)
        np.greater_equal(dots, self._least, out=better)
        if self._triangular:
            better &= (rows + strip.first)[:, None] < columns
        row, column = np.divmod(np.flatnonzero(better), len(columns))
        squared = left_squared[row].astype(np.float64), right_squared[column].astype(np.float64)
        distances = from_products(best[row, column].astype(np.float64), *squared)
        near = distances <= self._max_distance
        row, column = row[near], column[near]
        return PairBlock(strip.first + rows[row], columns[column], distances[near], which[row, column])


def join_blocks(blocks: list[PairBlock]) -> PairBlock:
    """Return one block of several."""
    if not blocks:
        return EMPTY
    return PairBlock(
        np.concatenate([block.left for block in blocks]),
        np.concatenate([block.right for block in blocks]),
        np.concatenate([block.distance for block in blocks]),
        np.concatenate([block.orientation for block in blocks]),
    )


def _inverse(squared: npt.NDArray[np.int32]) -> Float32Array:
    """Return 1 over each length; 0 for nothing, whose cosine to anything is called 0."""
    lengths = np.sqrt(squared.astype(np.float32))
    inverse: Float32Array = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


_NOTHING: Int64Array = np.zeros(0, dtype=np.int64)
EMPTY = PairBlock(_NOTHING, _NOTHING, np.zeros(0, dtype=np.float64), np.zeros(0, dtype=np.uint8))
"""No pairs."""
