"""Visual words: the quantised descriptors of a picture, which an inverted index can look up.

J. Sivic and A. Zisserman: "Video Google", ICCV 2003, with the product quantiser of H. Jegou and others (PAMI 2011) as
the vocabulary: the nearest of 2,048 centres in each half of a compressed descriptor, together one of 4 million words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from py_image_dedup.features.codebook import CENTRES, DIMENSIONS, HALVES, codebook
from py_image_dedup.signature.arrays import Int8Array, Int64Array, UInt32Array

if TYPE_CHECKING:
    from py_image_dedup.features.extract import Features

WordArray = UInt32Array

MAX_REPEATS = 2
"""The largest number of occurrences of a word in a picture: a more frequent word is part of a pattern and is not
discriminative."""

_HALF = DIMENSIONS // HALVES


def quantise(descriptors: Int8Array) -> WordArray:
    """Return the word of each compressed descriptor.

    Args:
        descriptors: int8, shape ``(n, 16)``, as ``Codebook.compress`` makes them.

    Returns:
        uint32, shape ``(n,)``, below 2,048 squared.

    Thread-safety: any number of threads.
    """
    book = codebook()
    values = book.expand(descriptors).reshape(len(descriptors), HALVES, _HALF)
    word: Int64Array = np.zeros(len(descriptors), dtype=np.int64)
    # One product of all descriptors: the last bit of a BLAS product depends on its shape on some processors, so blocks
    # of rows could change words.
    nearness = np.empty((len(descriptors), CENTRES), dtype=np.float32)
    for half, centres in enumerate(book.centres):
        np.matmul(values[:, half], centres.T, out=nearness)
        nearness -= book.half_norms[half]
        word = word * CENTRES + nearness.argmax(axis=1)
    return word.astype(np.uint32)


def words(descriptors: Int8Array) -> WordArray:
    """Return the distinct words of a picture in ascending order, without those that occur too often.

    Args:
        descriptors: int8, shape ``(n, 16)``; those of ``Features.mirrored`` for the mirrored picture.
    """
    found, counts = np.unique(quantise(descriptors), return_counts=True)
    return found[counts <= MAX_REPEATS]


def pack_words(features: Features) -> bytes:
    """Return the words of a picture and of its mirror image as bytes for the index.

    Args:
        features: Features of the picture; the words of its insets are among its own.

    Returns:
        uint32, little-endian: the number of plain words, the plain words, the mirrored words.
    """
    plain, mirrored = _all_words(features), _all_words(features.mirrored())
    return np.concatenate([np.array([len(plain)]), plain, mirrored]).astype("<u4").tobytes()


def _all_words(features: Features) -> WordArray:
    """Return the distinct words of a picture and of its insets, ascending."""
    own = words(features.descriptors)
    if not features.insets:
        return own
    return np.unique(np.concatenate([own, *(words(inset.features.descriptors) for inset in features.insets)]))


def unpack_words(packed: bytes) -> tuple[WordArray, WordArray]:
    """Return the words of ``pack_words``: those of a picture and those of its mirror image, each ascending.

    Raises:
        ValueError: The bytes are not packed words.
    """
    if len(packed) < 4 or len(packed) % 4:
        raise ValueError(f"{len(packed)} bytes are not packed words: the index entry is damaged")
    values = np.frombuffer(packed, dtype="<u4").astype(np.uint32, copy=False)
    plain = int(values[0]) + 1
    if plain > len(values):
        raise ValueError(f"{len(values) - 1} words instead of at least {plain - 1}: the index entry is damaged")
    return values[1:plain], values[plain:]
