"""The search of one tile of the table of pairs: bounds first, then the exact distances of the remaining candidates.

A tile is a block of left rows against a range of right rows, small enough for the processor's cache. Surviving pairs
are evaluated one by one; but where whole rows and columns survive, because pictures are nearly the same or the distance
is large, the products of these rows with these columns are one matrix product, at a twentieth of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.search.plan import SLACK, BoundProduct, Plan, least_cosine
from py_image_dedup.signature.arrays import (
    Float32Array,
    Float64Array,
    Int8Array,
    Int32Array,
    Int64Array,
    PairBlock,
    UInt8Array,
    row_slices,
)
from py_image_dedup.signature.distance import from_products, squared_lengths
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature

TILE = 2**17
"""Pairs of a tile; its floats take half a megabyte."""

_Candidates: TypeAlias = tuple[BoundProduct, Int64Array, Int64Array]
"""Rows and columns of the pairs that the bound of a product does not exclude."""

_GRID_WORTH = 12
"""The number of pairs of a matrix product that costs as much as one pair evaluated by itself."""

_DENSE_ROW = 16
"""The number of waiting pairs from which on a row is evaluated as part of a grid."""

_PAIRS_AT_ONCE = 1024
_WAITING_PAIRS = 2**15
"""The number of pairs that are collected before they are evaluated together."""
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class RightSide:
    """The right side of a search: signatures, projected for a plan. Read-only, shared by all threads.

    Attributes:
        values: int8, shape ``(n, 272)``.
        squared: int32, shape ``(n,)``: squared lengths.
        even: float32, shape ``(n, columns)``; without columns in the plan *full*.
        odd: float32, shape ``(n, columns)``.
    """

    values: Int8Array
    squared: Int32Array
    even: Float32Array
    odd: Float32Array

    @classmethod
    def of(cls, values: Int8Array, plan: Plan) -> RightSide:
        """Project signatures, a few thousand at a time."""
        even = np.empty((len(values), len(plan.even) + len(plan.residuals)), dtype=np.float32)
        odd = np.empty((len(values), len(plan.odd)), dtype=np.float32)
        for rows in row_slices(len(values) if plan.products else 0, _ROWS_AT_ONCE):
            even[rows], odd[rows] = plan.columns(values[rows])
        return cls(values, squared_lengths(values), even, odd)


@dataclass(slots=True, eq=False)
class LeftBlock:
    """A block of left rows, reoriented as needed. Belongs to one thread.

    Attributes:
        first: Number of the first row.
        values: int8, shape ``(m, 272)``.
        columns: Even and odd columns for each product of the plan.
        squared: int32, shape ``(m,)``: squared lengths.
    """

    first: int
    values: Int8Array
    columns: tuple[tuple[Float32Array, Float32Array], ...]
    squared: Int32Array
    _turned: dict[Orientation, Float32Array] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Int8Array, first: int, plan: Plan) -> LeftBlock:
        """Reorient and project the left rows for every product."""
        columns = tuple(plan.columns(orient_signature(values, product.turned)) for product in plan.products)
        return cls(first, values, columns, squared_lengths(values))

    def turned(self, orientation: Orientation) -> Float32Array:
        """Return the rows in another orientation, as float32; the result is cached."""
        if orientation not in self._turned:
            self._turned[orientation] = orient_signature(self.values, orientation).astype(np.float32)
        return self._turned[orientation]


class Tiles:
    """A searcher of tiles with buffers of its own: one for each thread.

    Args:
        plan: The products that bound the pairs.
        right_side: The right rows, projected for this plan.
        max_distance: 0 to 1.
        orientations: The orientations of the left rows that count.
        triangular: Whether left and right rows are the same rows, so that only ``left < right`` counts.
    """

    def __init__(
        self,
        plan: Plan,
        right_side: RightSide,
        max_distance: float,
        orientations: tuple[Orientation, ...] = ORIENTATIONS,
        *,
        triangular: bool = False,
    ) -> None:
        self._plan = plan
        self._right = right_side
        self._max_distance = max_distance
        self._orientations = orientations
        self._triangular = triangular
        self._least = np.float32(least_cosine(max_distance) - SLACK)
        self._bound, self._other = np.empty((2, TILE), dtype=np.float32)
        self._mask = np.zeros(TILE, dtype=np.bool_)
        self._waiting: list[_Candidates] = []
        self._waiting_pairs = 0

    def search(self, left: LeftBlock, start: int, stop: int) -> PairBlock:
        """Search a block of left rows against the right rows from ``start`` to ``stop``.

        Returns:
            Pairs within the distance, of this tile and of earlier tiles of this block, as far as they are evaluated by
            now. ``finish`` returns the others.
        """
        if not self._plan.products:
            return self._grid(left, np.arange(len(left.values)), np.arange(start, stop))
        candidates = self._candidates(left, start, stop)
        self._waiting += candidates
        self._waiting_pairs += sum(len(rows) for _, rows, _ in candidates)
        return self.finish(left) if self._waiting_pairs >= _WAITING_PAIRS else EMPTY

    def finish(self, left: LeftBlock) -> PairBlock:
        """Evaluate the waiting pairs of this block of left rows and return those within the distance."""
        waiting, self._waiting, self._waiting_pairs = self._waiting, [], 0
        if not waiting:
            return EMPTY
        rows, columns = (
            np.concatenate(part) for part in zip(*((rows, columns) for _, rows, columns in waiting), strict=True)
        )
        dense = np.bincount(rows, minlength=len(left.values)) >= _DENSE_ROW
        in_grid = dense[rows]
        grid_rows, grid_columns = np.flatnonzero(dense), np.unique(columns[in_grid])
        if len(grid_rows) * len(grid_columns) > _GRID_WORTH * np.count_nonzero(in_grid):
            return self._one_by_one(left, waiting)
        waiting = [(product, rows[~dense[rows]], columns[~dense[rows]]) for product, rows, columns in waiting]
        return PairBlock.concatenate([self._grid(left, grid_rows, grid_columns), self._one_by_one(left, waiting)])

    def _one_by_one(self, left: LeftBlock, waiting: list[_Candidates]) -> PairBlock:
        near = []
        for product in self._plan.products:
            of_product = [(rows, columns) for of, rows, columns in waiting if of is product]
            if of_product:
                rows, columns = (np.concatenate(part) for part in zip(*of_product, strict=True))
                near.append(self._near(left, rows, columns, product.bounds))
        found = PairBlock.concatenate(near)
        if len(self._plan.products) == 1 or not len(found):
            return found
        # A product bounds some orientations only; another orientation may be nearer.
        pairs = np.unique(np.stack([found.left - left.first, found.right]), axis=1)
        return self._near(left, pairs[0], pairs[1], self._orientations)

    def _candidates(self, left: LeftBlock, start: int, stop: int) -> list[_Candidates]:
        """Return the pairs that each product's bound does not exclude."""
        candidates = []
        for product, (even, odd) in zip(self._plan.products, left.columns, strict=True):
            flat = self._bounded(even, odd, start, stop)
            rows, columns = np.divmod(flat, stop - start)
            columns += start
            if self._triangular and left.first + len(left.values) > start:
                ordered = rows + left.first < columns
                rows, columns = rows[ordered], columns[ordered]
            if len(rows):
                candidates.append((product, rows, columns))
        return candidates

    def _bounded(self, even: Float32Array, odd: Float32Array, start: int, stop: int) -> Int64Array:
        """Return the flat indices at which one product's bound reaches the least cosine."""
        height, width = len(even), stop - start
        bound = self._bound[: height * width].reshape(height, width)
        np.matmul(even, self._right.even[start:stop].T, out=bound)
        if odd.shape[1]:
            other = self._other[: height * width].reshape(height, width)
            np.matmul(odd, self._right.odd[start:stop].T, out=other)
            np.abs(other, out=other)
            np.add(bound, other, out=bound)
        # Eight flags are one word and most words are zero: ten times faster than testing flags or floats.
        flags = self._mask[: -(-height * width // 8) * 8]
        flags[height * width :] = False
        np.greater_equal(bound, self._least, out=flags[: height * width].reshape(height, width))
        words = np.flatnonzero(flags.view(np.uint64) != 0)
        word, flag = np.nonzero(flags.reshape(-1, 8)[words])
        found: Int64Array = words[word] * 8 + flag
        return found

    def _near(
        self, left: LeftBlock, rows: Int64Array, columns: Int64Array, orientations: tuple[Orientation, ...]
    ) -> PairBlock:
        """Return the pairs that are within the distance in at least one of the orientations."""
        blocks = []
        for part in row_slices(len(rows), _PAIRS_AT_ONCE):
            distances, which = self._pairs(left, rows[part], columns[part], orientations)
            near = np.flatnonzero(distances <= self._max_distance)
            blocks.append(PairBlock(left.first + rows[part][near], columns[part][near], distances[near], which[near]))
        return PairBlock.concatenate(blocks)

    def _pairs(
        self, left: LeftBlock, rows: Int64Array, columns: Int64Array, orientations: tuple[Orientation, ...]
    ) -> tuple[Float64Array, UInt8Array]:
        """Return the least distance of each pair over some orientations, and the orientation."""
        right = self._right.values[columns].astype(np.float32)
        best = np.full(len(rows), -np.inf, dtype=np.float32)
        which = np.zeros(len(rows), dtype=np.uint8)
        for orientation in orientations:
            dots = np.einsum("ij,ij->i", left.turned(orientation)[rows], right)
            which[dots > best] = orientation
            np.maximum(best, dots, out=best)
        squared = left.squared[rows].astype(np.float64), self._right.squared[columns].astype(np.float64)
        return from_products(best.astype(np.float64), *squared), which

    def _grid(self, left: LeftBlock, rows: Int64Array, columns: Int64Array) -> PairBlock:
        """Return the pairs within the distance among given rows and columns, by matrix products."""
        parts = row_slices(len(columns), TILE // len(rows)) if len(rows) else ()
        return PairBlock.concatenate(self._small_grid(left, rows, columns[part]) for part in parts)

    def _small_grid(self, left: LeftBlock, rows: Int64Array, columns: Int64Array) -> PairBlock:
        right = self._right.values[columns].astype(np.float32).T
        shape, size = (len(rows), len(columns)), len(rows) * len(columns)
        best, dots = self._bound[:size].reshape(shape), self._other[:size].reshape(shape)
        better = self._mask[:size].reshape(shape)
        which = np.zeros(shape, dtype=np.uint8)
        best.fill(-np.inf)
        for orientation in self._orientations:
            np.matmul(left.turned(orientation)[rows], right, out=dots)
            np.greater(dots, best, out=better)
            np.copyto(which, np.uint8(orientation), where=better)
            np.maximum(best, dots, out=best)
        left_squared, right_squared = left.squared[rows], self._right.squared[columns]
        np.multiply(best, _inverse(left_squared)[:, None], out=dots)
        np.multiply(dots, _inverse(right_squared), out=dots)
        np.greater_equal(dots, self._least, out=better)
        if self._triangular:
            better &= (rows + left.first)[:, None] < columns
        row, column = np.divmod(np.flatnonzero(better), len(columns))
        squared = left_squared[row].astype(np.float64), right_squared[column].astype(np.float64)
        distances = from_products(best[row, column].astype(np.float64), *squared)
        near = distances <= self._max_distance
        row, column = row[near], column[near]
        return PairBlock(left.first + rows[row], columns[column], distances[near], which[row, column])


def _inverse(squared: Int32Array) -> Float32Array:
    """Return 1 over each length; 0 for length 0, so that its cosine to anything is 0."""
    lengths = np.sqrt(squared.astype(np.float32))
    inverse: Float32Array = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


EMPTY = PairBlock.empty()
"""No pairs."""
