"""Visual words: the local features of a picture as numbers that an inverted index can look up.

J. Sivic and A. Zisserman: "Video Google", ICCV 2003, with the product quantiser of H. Jegou and others (PAMI 2011) as
the vocabulary: the nearest of 2,048 centres in each half of a compressed descriptor, together one of 4 million words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from py_image_dedup.features.codebook import CENTRES, DIMENSIONS, HALVES, codebook
from py_image_dedup.signature.arrays import Int8Array, Int64Array

if TYPE_CHECKING:
    from py_image_dedup.features.extract import Features

WordArray = npt.NDArray[np.uint32]

WORDS_VERSION = 1
"""Changes when the same features may give other words."""

MOST_REPEATED = 2
"""A word that a picture has more often than this is part of a pattern and says nothing about where it came from."""

_HALF = DIMENSIONS // HALVES


def quantise(descriptors: Int8Array) -> WordArray:
    """Name the word of each compressed descriptor.

    Args:
        descriptors: int8, shape ``(n, 16)``, as ``Codebook.compress`` makes them.

    Returns:
        uint32, shape ``(n,)``, below 2,048 squared.

    Thread-safety: any number of threads.
    """
    book = codebook()
    values = book.expand(descriptors).reshape(len(descriptors), HALVES, _HALF)
    word: Int64Array = np.zeros(len(descriptors), dtype=np.int64)
    for half, centres in enumerate(book.centres):
        nearness = values[:, half] @ centres.T - (centres * centres).sum(axis=1) / 2
        word = word * CENTRES + nearness.argmax(axis=1)
    return word.astype(np.uint32)


def words(descriptors: Int8Array) -> WordArray:
    """Return the distinct words of a picture in ascending order, without those that it repeats.

    Args:
        descriptors: int8, shape ``(n, 16)``; with ``Features.mirrored`` those of the mirrored picture.
    """
    found, counts = np.unique(quantise(descriptors), return_counts=True)
    return found[counts <= MOST_REPEATED]


def pack_words(features: Features) -> bytes:
    """Name the words of a picture, and those that its mirror image would have, as bytes for the index.

    Args:
        features: Of the picture.

    Returns:
        uint32, little-endian: how many plain words there are, the plain words, the mirrored ones.
    """
    plain, mirrored = words(features.descriptors), words(features.mirrored().descriptors)
    return np.concatenate([np.array([len(plain)]), plain, mirrored]).astype("<u4").tobytes()


def unpack_words(packed: bytes) -> tuple[WordArray, WordArray]:
    """Undo ``pack_words``: the words of a picture, and those of its mirror image, each ascending.

    Raises:
        ValueError: These are not the bytes of words.
    """
    if len(packed) < 4 or len(packed) % 4:
        raise ValueError(f"{len(packed)} bytes are no words: the index entry is damaged")
    values = np.frombuffer(packed, dtype="<u4").astype(np.uint32, copy=False)
    plain = int(values[0]) + 1
    if plain > len(values):
        raise ValueError(f"{len(values) - 1} words are fewer than {plain - 1}: the index entry is damaged")
    return values[1:plain], values[plain:]
