"""The exact search as a store needs it: over contents by their numbers instead of rows.

Both stores find their pairs here, so both find the same: an Elasticsearch index reads the signatures and joins them
locally, as the SQLite index does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH, Signature
from py_image_dedup.search import join as search
from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock, UInt8Array
from py_image_dedup.signature.orientation import inverse, orient_signature
from py_image_dedup.store.base import Neighbour

BLOCK_PAIRS: Final = 65_536
"""No block has more pairs: 1.6 MB."""

_INVERSE = np.array([0, *(inverse(orientation) for orientation in Orientation)], dtype=np.uint8)
_QUARTER_TURNS = (Orientation.ROTATE_90, Orientation.TRANSVERSE, Orientation.ROTATE_270)


def join_contents(numbers: Int64Array, signatures: Int8Array, max_distance: float) -> Iterator[PairBlock]:
    """Stream all pairs among some contents within the distance, each once, by their numbers.

    Args:
        numbers: int64, shape ``(n,)``, ascending, each once.
        signatures: int8, shape ``(n, 272)``, in the same order.
        max_distance: 0 to 1, itself included.
    """
    for block in search.join(signatures, max_distance):
        yield from cut(PairBlock(numbers[block.left], numbers[block.right], block.distance, block.orientation))


def cross_contents(
    numbers: Int64Array,
    signatures: Int8Array,
    other_numbers: Int64Array,
    other_signatures: Int8Array,
    max_distance: float,
) -> Iterator[PairBlock]:
    """Stream all pairs of a content of one set and one of another, each once, by their numbers, the lesser left.

    The answer is what ``join_contents`` of both sets together has of these pairs, orientations included.

    Args:
        numbers: int64, shape ``(n,)``: the smaller set, if there is one.
        signatures: int8, shape ``(n, 272)``.
        other_numbers: int64, shape ``(m,)``; none is in ``numbers``.
        other_signatures: int8, shape ``(m, 272)``.
        max_distance: 0 to 1, itself included.
    """
    for block in search.cross(signatures, other_signatures, max_distance):
        left, right = numbers[block.left], other_numbers[block.right]
        orientation = block.orientation.copy()
        swapped = np.flatnonzero(left > right)
        if len(swapped):
            left_rows, right_rows = block.left[swapped], block.right[swapped]
            orientation[swapped] = _from_the_other_side(
                orientation[swapped], signatures, left_rows, other_signatures, right_rows
            )
        yield from cut(PairBlock(np.minimum(left, right), np.maximum(left, right), block.distance, orientation))


def neighbours(block: PairBlock, queries: int) -> list[list[Neighbour]]:
    """Return for each query what was found for it, nearest first, ties by number.

    Args:
        block: ``left`` numbers the queries, ``right`` the contents that were found.
        queries: How many there are.
    """
    found: list[list[Neighbour]] = [[] for _ in range(queries)]
    order = np.lexsort((block.right, block.distance, block.left))
    columns = (block.left, block.right, block.distance, block.orientation)
    for query, number, distance, orientation in zip(*(column[order].tolist() for column in columns), strict=True):
        found[query].append(Neighbour(number, distance, Orientation(orientation)))
    return found


def together(blocks: Sequence[PairBlock]) -> PairBlock:
    """Return some blocks, one at least, as one."""
    return PairBlock(
        np.concatenate([block.left for block in blocks]),
        np.concatenate([block.right for block in blocks]),
        np.concatenate([block.distance for block in blocks]),
        np.concatenate([block.orientation for block in blocks]),
    )


def matrix_of(signatures: Sequence[Signature]) -> Int8Array:
    """Return signatures as int8 of shape ``(n, 272)``."""
    values = b"".join(signature.values for signature in signatures)
    return np.frombuffer(values, dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)


def within_bounds(max_distance: float) -> float:
    """Return a distance that can be asked for.

    Raises:
        ValueError: It is not from 0 to 1.
    """
    if not 0 <= max_distance <= 1:
        raise ValueError(f"a distance is from 0 to 1, not {max_distance}")
    return float(max_distance)


def cut(block: PairBlock) -> Iterator[PairBlock]:
    """Cut a block into such of at most ``BLOCK_PAIRS`` pairs; an empty one stays: the caller may stop there."""
    for start in range(0, max(1, len(block)), BLOCK_PAIRS):
        some = slice(start, start + BLOCK_PAIRS)
        yield PairBlock(block.left[some], block.right[some], block.distance[some], block.orientation[some])


def select(block: PairBlock, wanted: npt.NDArray[np.bool_]) -> PairBlock:
    """Keep the pairs that a mask of the block's length says."""
    return PairBlock(block.left[wanted], block.right[wanted], block.distance[wanted], block.orientation[wanted])


def _from_the_other_side(
    orientation: UInt8Array, left: Int8Array, left_rows: Int64Array, right: Int8Array, right_rows: Int64Array
) -> UInt8Array:
    """Return the turns that make the right pictures look like the left ones, given the opposite.

    That is the inverse turn. Only where several turns are equally near, and a quarter turn is among them, the least of
    the inverses need not be the inverse of the least: there the products are compared again.
    """
    turned: UInt8Array = _INVERSE[orientation]
    doubtful = np.flatnonzero((orientation == Orientation.ROTATE_90) | (orientation == Orientation.TRANSVERSE))
    for start in range(0, len(doubtful), 4096):
        some = doubtful[start : start + 4096]
        to = left[left_rows[some]].astype(np.int32)
        source = right[right_rows[some]]
        products = [np.einsum("ij,ij->i", orient_signature(source, quarter), to) for quarter in _QUARTER_TURNS]
        turned[some] = np.array(_QUARTER_TURNS, dtype=np.uint8)[np.argmax(products, axis=0)]
    return turned
