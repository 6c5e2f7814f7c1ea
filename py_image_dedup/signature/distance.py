"""How unlike two signatures are: the normalised distance ``|a - b| / (|a| + |b|)``, 0 the same to 1 the opposite.

Everything under the roots is an integer, so every function here and the search give the same float64 to the last bit.
A picture without structure (all values zero) is like nothing, itself included: its distance to anything is 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import Float64Array, Int8Array, UInt8Array
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature

_ROWS_AT_ONCE = 4096


def distance(a: Int8Array, b: Int8Array) -> float:
    """Return the distance of two signatures as they stand, in one orientation.

    Args:
        a: int8, shape ``(272,)``.
        b: int8, shape ``(272,)``.

    Returns:
        0 to 1.
    """
    one, other = a.astype(np.int64), b.astype(np.int64)
    dots = np.array([one @ other], dtype=np.float64)
    return float(from_products(dots, np.array([one @ one], np.float64), np.array([other @ other], np.float64))[0])


def distances(one: Int8Array, many: Int8Array) -> tuple[Float64Array, UInt8Array]:
    """Return the least distance of one signature, in its eight orientations, to each of many.

    Args:
        one: int8, shape ``(272,)``.
        many: int8, shape ``(n, 272)``.

    Returns:
        float64 distances, shape ``(n,)``, and the ``Orientation`` values that make ``one`` look like each, uint8; among
        equal distances the lowest value, so that what needs no turn is not turned.

    Raises:
        ValueError: Arrays of another shape or type.

    Thread-safety: any number of threads.
    """
    signatures(many)
    turned = np.stack([orient_signature(one, orientation) for orientation in ORIENTATIONS]).astype(np.float32)
    squared = np.float64(one.astype(np.int64) @ one.astype(np.int64))
    least = np.empty(len(many), dtype=np.float64)
    best = np.empty(len(many), dtype=np.uint8)
    for rows in _slices(len(many)):
        part = many[rows].astype(np.float32)
        with blas.single_threaded_blas:
            products = part @ turned.T
        winner = products.argmax(axis=1)
        largest = products[np.arange(len(part)), winner].astype(np.float64)
        least[rows] = from_products(largest, squared, np.einsum("ij,ij->i", part, part).astype(np.float64))
        best[rows] = winner + 1
    return least, best


def from_products(
    dots: Float64Array, left_squared: Float64Array | np.float64, right_squared: Float64Array
) -> Float64Array:
    """Return distances from dot products and squared lengths, all of them whole numbers.

    Args:
        dots: float64, products of a left and a right signature.
        left_squared: float64, squared lengths of the left ones, or one for all.
        right_squared: float64, squared lengths of the right ones.
    """
    lengths = np.sqrt(left_squared) + np.sqrt(right_squared)
    squares = left_squared + right_squared - 2 * dots
    found: Float64Array = np.divide(np.sqrt(squares), lengths, out=np.ones_like(lengths), where=lengths > 0)
    return found


def signatures(array: Int8Array) -> Int8Array:
    """Return the array if it holds signatures.

    Raises:
        ValueError: It is not int8 of shape ``(n, 272)``.
    """
    if array.dtype != np.int8 or array.ndim != 2 or array.shape[1] != SIGNATURE_LENGTH:
        raise ValueError(f"signatures are int8 of shape (n, {SIGNATURE_LENGTH}), not {array.dtype} {array.shape}")
    return array


def squared_lengths(many: Int8Array) -> npt.NDArray[np.int32]:
    """Return the squared length of each signature, shape ``(n,)``: at most 1088."""
    squared = np.empty(len(many), dtype=np.int32)
    for rows in _slices(len(many)):
        squared[rows] = np.einsum("ij,ij->i", many[rows], many[rows], dtype=np.int32)
    return squared


def _slices(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, rows))
