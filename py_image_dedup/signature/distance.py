"""The distance of two signatures: ``|a - b| / (|a| + |b|)``, from 0 (equal) to 1 (opposite).

Everything under the roots is an integer, so every function here and the search give the same float64 to the last bit.
The distance of a featureless picture (all values zero) to any picture, itself included, is 1.
"""

from __future__ import annotations

import numpy as np

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import Float64Array, Int8Array, Int32Array, UInt8Array, row_slices
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature

_ROWS_AT_ONCE = 4096


def distances(one: Int8Array, many: Int8Array) -> tuple[Float64Array, UInt8Array]:
    """Return the least distance of one signature, in its eight orientations, to each of many.

    Args:
        one: int8, shape ``(272,)``.
        many: int8, shape ``(n, 272)``.

    Returns:
        float64 distances, shape ``(n,)``, and the ``Orientation`` values that make ``one`` look like each of them,
        uint8; the lowest value among equal distances, so that ``UPRIGHT`` wins a tie.

    Raises:
        ValueError: The arrays have another shape or type.

    Thread-safety: any number of threads.
    """
    check_signatures(many)
    turned = np.stack([orient_signature(one, orientation) for orientation in ORIENTATIONS]).astype(np.float32)
    squared = np.float64(one.astype(np.int64) @ one.astype(np.int64))
    least = np.empty(len(many), dtype=np.float64)
    best = np.empty(len(many), dtype=np.uint8)
    for rows in row_slices(len(many), _ROWS_AT_ONCE):
        part = many[rows].astype(np.float32)
        with blas.single_threaded_blas:
            products = part @ turned.T
        winner = products.argmax(axis=1)
        largest = products[np.arange(len(part)), winner].astype(np.float64)
        least[rows] = from_products(largest, squared, np.einsum("ij,ij->i", part, part).astype(np.float64))
        best[rows] = winner + 1
    return least, best


def upright_distances(one: Int8Array, many: Int8Array) -> Float64Array:
    """Return the distance of one signature to each of many, without rotating or mirroring it.

    Args:
        one: int8, shape ``(272,)``.
        many: int8, shape ``(n, 272)``.

    Returns:
        float64 distances, shape ``(n,)``.

    Raises:
        ValueError: The arrays have another shape or type.

    Thread-safety: any number of threads.
    """
    check_signatures(many)
    own = one.astype(np.int64)
    products = np.einsum("ij,j->i", many, own, dtype=np.int64).astype(np.float64)
    return from_products(products, np.float64(own @ own), squared_lengths(many).astype(np.float64))


def from_products(
    dots: Float64Array, left_squared: Float64Array | np.float64, right_squared: Float64Array
) -> Float64Array:
    """Return distances from dot products and squared lengths, all of them whole numbers.

    Args:
        dots: float64, shape ``(n,)``, dot products of left and right signatures.
        left_squared: float64, squared lengths of the left signatures, or one value for all.
        right_squared: float64, squared lengths of the right signatures.
    """
    lengths = np.sqrt(left_squared) + np.sqrt(right_squared)
    squares = left_squared + right_squared - 2 * dots
    found: Float64Array = np.divide(np.sqrt(squares), lengths, out=np.ones_like(lengths), where=lengths > 0)
    return found


def check_distance(max_distance: float) -> float:
    """Return a bound on distances unchanged, once its range is checked.

    Raises:
        ValueError: The bound is not between 0 and 1.
    """
    if not 0 <= max_distance <= 1:
        raise ValueError(f"a distance is between 0 and 1, not {max_distance}")
    return float(max_distance)


def check_signatures(array: Int8Array) -> Int8Array:
    """Return an array of signatures unchanged, once its type and shape are checked.

    Raises:
        ValueError: The array is not int8 of shape ``(n, 272)``.
    """
    if array.dtype != np.int8 or array.ndim != 2 or array.shape[1] != SIGNATURE_LENGTH:
        raise ValueError(f"signatures are int8 of shape (n, {SIGNATURE_LENGTH}), not {array.dtype} {array.shape}")
    return array


def squared_lengths(many: Int8Array) -> Int32Array:
    """Return the squared length of each signature, shape ``(n,)``: at most 1088."""
    squared = np.empty(len(many), dtype=np.int32)
    for rows in row_slices(len(many), _ROWS_AT_ONCE):
        squared[rows] = np.einsum("ij,ij->i", many[rows], many[rows], dtype=np.int32)
    return squared
