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
from py_image_dedup.signature.distance import from_products, squared_lengths
from py_image_dedup.signature.orientation import ORIENTATIONS, turn
from py_image_dedup.signature.pairs import Float64Array, Int8Array, Int64Array, PairBlock, UInt8Array
from py_image_dedup.signature.search_plan import SLACK, Float32Array, Plan, Product, least_cosine

TILE = 2**18
"""Pairs in a tile; its floats take a megabyte."""

_GRID_WORTH = 12
"""A matrix product of so many pairs costs as much as one pair looked at by itself."""

_AT_ONCE = 2048
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
        columns = tuple(plan.columns(turn(values, product.turned)) for product in plan.products)
        return cls(first, values, columns, squared_lengths(values))

    def turned(self, orientation: Orientation) -> Float32Array:
        """Return the rows turned, as float32; remembered."""
        if orientation not in self._turned:
            self._turned[orientation] = turn(self.values, orientation).astype(np.float32)
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

    def search(self, strip: Strip, start: int, stop: int) -> PairBlock:
        """Return the pairs within the distance of a strip and the right rows from ``start`` to ``stop``."""
        width = stop - start
        if not self._plan.products:
            return self._grid(strip, start, np.arange(len(strip.values)), np.arange(width))
        left, by_product = self._left(strip, start, stop)
        if not len(left):
            return EMPTY
        rows, columns = np.unique(left // width), np.unique(left % width)
        if len(rows) * len(columns) <= _GRID_WORTH * len(left):
            return self._grid(strip, start, rows, columns)
        near = [self._near(strip, start, width, flat, product) for product, flat in by_product]
        return self._exact(strip, start, width, np.unique(np.concatenate(near)))

    def _left(self, strip: Strip, start: int, stop: int) -> tuple[Int64Array, list[tuple[Product, Int64Array]]]:
        """Return the flat places in the tile that the bounds leave, of all products and of each."""
        by_product = []
        for product, (even, odd) in zip(self._plan.products, strip.columns, strict=True):
            flat = self._bounded(even, odd, start, stop)
            if self._triangular and strip.first + len(strip.values) > start:
                row, column = np.divmod(flat, stop - start)
                flat = flat[row + strip.first < column + start]
            if len(flat):
                by_product.append((product, flat))
        if not by_product:
            return _NOTHING, by_product
        if len(by_product) == 1:
            return by_product[0][1], by_product
        return np.unique(np.concatenate([flat for _, flat in by_product])), by_product

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
        # Eight flags are one word: most words are zero, and looking for others is 15 times faster than for flags.
        flags = self._mask[: -(-height * width // 8) * 8]
        flags[height * width :] = False
        np.greater_equal(bound, self._least, out=flags[: height * width].reshape(height, width))
        words = np.flatnonzero(flags.view(np.uint64))
        if not len(words):
            return _NOTHING
        word, flag = np.nonzero(flags.reshape(-1, 8)[words])
        return words[word] * 8 + flag

    def _near(self, strip: Strip, start: int, width: int, flat: Int64Array, product: Product) -> Int64Array:
        """Return those places at which the distance is within the bound in an orientation that the product bounds."""
        return np.concatenate([_NOTHING, *(
            part[self._pairs(strip, start, width, part, product.bounds)[0] <= self._max_distance]
            for part in _parts(flat)
        )])  # fmt: skip

    def _exact(self, strip: Strip, start: int, width: int, flat: Int64Array) -> PairBlock:
        """Return pairs with their least distance; all of them are within it."""
        found = [(part, *self._pairs(strip, start, width, part, self._orientations)) for part in _parts(flat)]
        if not found:
            return EMPTY
        places, distances, orientations = (np.concatenate(column) for column in zip(*found, strict=True))
        return PairBlock(strip.first + places // width, start + places % width, distances, orientations)

    def _pairs(
        self, strip: Strip, start: int, width: int, flat: Int64Array, orientations: tuple[Orientation, ...]
    ) -> tuple[Float64Array, UInt8Array]:
        """Return the least distance of each pair over some orientations, and the orientation."""
        row, column = np.divmod(flat, width)
        column += start
        right = self._rights.values[column].astype(np.float32)
        best = np.full(len(flat), -np.inf, dtype=np.float32)
        which = np.zeros(len(flat), dtype=np.uint8)
        for orientation in orientations:
            dots = np.einsum("ij,ij->i", strip.turned(orientation)[row], right)
            which[dots > best] = orientation
            np.maximum(best, dots, out=best)
        squared = strip.squared[row].astype(np.float64), self._rights.squared[column].astype(np.float64)
        return from_products(best.astype(np.float64), *squared), which

    def _grid(self, strip: Strip, start: int, rows: Int64Array, columns: Int64Array) -> PairBlock:
        """Return the pairs within the distance of some rows with some columns, by matrix products."""
        rights = columns + start
        right = self._rights.values[rights].astype(np.float32).T
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
        left_squared, right_squared = strip.squared[rows], self._rights.squared[rights]
        np.multiply(best, _inverse(left_squared)[:, None], out=dots)
        np.multiply(dots, _inverse(right_squared), out=dots)
        np.greater_equal(dots, self._least, out=better)
        if self._triangular and strip.first + len(strip.values) > start:
            better &= (rows + strip.first)[:, None] < rights
        row, column = np.nonzero(better)
        squared = left_squared[row].astype(np.float64), right_squared[column].astype(np.float64)
        distances = from_products(best[row, column].astype(np.float64), *squared)
        near = distances <= self._max_distance
        row, column = row[near], column[near]
        return PairBlock(strip.first + rows[row], rights[column], distances[near], which[row, column])


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


def _parts(flat: Int64Array) -> list[Int64Array]:
    return [flat[start : start + _AT_ONCE] for start in range(0, len(flat), _AT_ONCE)]


def _inverse(squared: npt.NDArray[np.int32]) -> Float32Array:
    """Return 1 over each length; 0 for nothing, whose cosine to anything is called 0."""
    lengths = np.sqrt(squared.astype(np.float32))
    inverse: Float32Array = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse


_NOTHING: Int64Array = np.zeros(0, dtype=np.int64)
EMPTY = PairBlock(_NOTHING, _NOTHING, np.zeros(0, dtype=np.float64), np.zeros(0, dtype=np.uint8))
"""No pairs."""
