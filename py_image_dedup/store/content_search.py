"""The exact search in terms of content ids instead of rows.

Both stores find their pairs here, so both find the same pairs: the Elasticsearch index reads the signatures and joins
them locally, as the SQLite index does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH, Signature
from py_image_dedup.search import join as search
from py_image_dedup.signature.arrays import Int8Array, Int64Array, PairBlock, UInt8Array, row_slices
from py_image_dedup.signature.orientation import inverse, orient_signature
from py_image_dedup.store.base import Neighbour

BLOCK_PAIRS: Final = 65_536
"""The largest number of pairs of a block: 1.6 MB."""

_ROWS_AT_ONCE = 4096
_INVERSE = np.array([0, *(inverse(orientation) for orientation in Orientation)], dtype=np.uint8)
_QUARTER_TURNS = (Orientation.ROTATE_90, Orientation.TRANSVERSE, Orientation.ROTATE_270)


def join_contents(content_ids: Int64Array, signatures: Int8Array, max_distance: float) -> Iterator[PairBlock]:
    """Stream all pairs of contents within a distance, each once, by content id.

    Args:
        content_ids: int64, shape ``(n,)``, ascending, each once.
        signatures: int8, shape ``(n, 272)``, in the same order.
        max_distance: 0 to 1, itself included.
    """
    for block in search.join(signatures, max_distance):
        numbered = replace(block, left=content_ids[block.left], right=content_ids[block.right])
        yield from numbered.chunks(BLOCK_PAIRS)


def cross_contents(
    content_ids: Int64Array,
    signatures: Int8Array,
    other_ids: Int64Array,
    other_signatures: Int8Array,
    max_distance: float,
) -> Iterator[PairBlock]:
    """Stream all pairs within a distance between two sets of contents, each once, the lesser content id left.

    The pairs equal those that ``join_contents`` of the union has between the two sets, orientations included.

    Args:
        content_ids: int64, shape ``(n,)``: the smaller set, if there is one.
        signatures: int8, shape ``(n, 272)``.
        other_ids: int64, shape ``(m,)``; none of them is in ``content_ids``.
        other_signatures: int8, shape ``(m, 272)``.
        max_distance: 0 to 1, itself included.
    """
    for block in search.cross(signatures, other_signatures, max_distance):
        left, right = content_ids[block.left], other_ids[block.right]
        orientation = block.orientation.copy()
        swapped = np.flatnonzero(left > right)
        if len(swapped):
            left_rows, right_rows = block.left[swapped], block.right[swapped]
            orientation[swapped] = _reversed(orientation[swapped], signatures, left_rows, other_signatures, right_rows)
        ordered = PairBlock(np.minimum(left, right), np.maximum(left, right), block.distance, orientation)
        yield from ordered.chunks(BLOCK_PAIRS)


def neighbours(block: PairBlock, queries: int) -> list[list[Neighbour]]:
    """Return the neighbours of each query, nearest first, ties by content id.

    Args:
        block: Pairs of the number of a query (``left``) and a content id (``right``).
        queries: The number of queries.
    """
    found: list[list[Neighbour]] = [[] for _ in range(queries)]
    order = np.lexsort((block.right, block.distance, block.left))
    columns = (block.left, block.right, block.distance, block.orientation)
    for query, content_id, distance, orientation in zip(*(column[order].tolist() for column in columns), strict=True):
        found[query].append(Neighbour(content_id, distance, Orientation(orientation)))
    return found


def matrix_of(signatures: Sequence[Signature]) -> Int8Array:
    """Return signatures as one array, int8 of shape ``(n, 272)``."""
    values = b"".join(signature.values for signature in signatures)
    return np.frombuffer(values, dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)


def _reversed(
    orientation: UInt8Array, left: Int8Array, left_rows: Int64Array, right: Int8Array, right_rows: Int64Array
) -> UInt8Array:
    """Return the orientations that make the right pictures look like the left ones, given those of the other direction.

    That is the inverse orientation. Only where several orientations are equally near, and a quarter turn is among them,
    the least of the inverses need not be the inverse of the least: there the products are compared again.
    """
    turned: UInt8Array = _INVERSE[orientation]
    doubtful = np.flatnonzero((orientation == Orientation.ROTATE_90) | (orientation == Orientation.TRANSVERSE))
    for rows in row_slices(len(doubtful), _ROWS_AT_ONCE):
        some = doubtful[rows]
        to = left[left_rows[some]].astype(np.int32)
        source = right[right_rows[some]]
        products = [np.einsum("ij,ij->i", orient_signature(source, quarter), to) for quarter in _QUARTER_TURNS]
        turned[some] = np.array(_QUARTER_TURNS, dtype=np.uint8)[np.argmax(products, axis=0)]
    return turned
