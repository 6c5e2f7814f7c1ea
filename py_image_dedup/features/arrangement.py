"""The arrangement of visual words: how many of the words that two pictures share lie in the same places in both.

In a library of screenshots of one app, invoices of one shop or pages in one typeface, each picture shares dozens of
words with every other one: those of the template, and those of frequent letters. Their number hardly tells a copy from
another page. Two things do: words that few others of the crowd have, and their places, which agree on one shift,
rotation and scale.

The votes are those of a coarse Hough transform (D. G. Lowe, IJCV 2004, section 7.3), for all pictures of a crowd at
once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from py_image_dedup.features.extract import FRAME, Features
from py_image_dedup.features.visual_words import MAX_REPEATS, WordArray, quantise
from py_image_dedup.signature.arrays import Float32Array, Float64Array, Int8Array, Int64Array

_ANGLES: Final = 12
_SCALES_PER_OCTAVE: Final = 2.0
_PLACES: Final = 8.0
"""Cells of shift along a short side."""
_SPAN: Final = 64
"""Cells of a coordinate of the table of votes; beyond it votes wrap around, which hardly ever matters."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedWords:
    """The words of a picture with their places, words ascending. The arrays are read-only.

    Attributes:
        words: uint32, shape ``(n,)``; a word that occurs more than twice, in the picture or in one inset, is left out.
        points: float64, shape ``(n, 4)``: as ``Features.points``.
    """

    words: WordArray
    points: Float64Array

    @classmethod
    def of(cls, features: Features) -> Self:
        """Return the words of a picture and of its insets with their places."""
        words, points = _frequent_left_out(features.descriptors, features.points)
        if features.insets:
            parts = [_frequent_left_out(inset.features.descriptors, inset.points) for inset in features.insets]
            words = np.concatenate([words, *(part[0] for part in parts)])
            points = np.concatenate([points, *(part[1] for part in parts)])
            order = np.argsort(words, kind="stable")
            words, points = words[order], points[order]
        return cls(words, points.astype(np.float64))

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.words)


def _frequent_left_out(descriptors: Int8Array, points: Float32Array) -> tuple[WordArray, Float32Array]:
    """Return the words of some descriptors, ascending, without those that occur too often, and their points."""
    found = quantise(descriptors)
    _, group, counts = np.unique(found, return_inverse=True, return_counts=True)
    order = np.argsort(found, kind="stable")
    order = order[counts[group[order]] <= MAX_REPEATS]
    return found[order], points[order]


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """The agreement of one picture with each of several others, as columns.

    Attributes:
        weight: float64, the sum of the weights of the shared words that agree on one transform. A word that all of them
            have has no weight, and one of a single picture has that of the logarithm of their number.
        words: int64, number of shared words that agree on one transform, whatever their weight.
    """

    weight: Float64Array
    words: Int64Array


def agreement(picture: Sequence[PlacedWords], others: Sequence[PlacedWords]) -> Agreement:
    """Measure how well the places of shared words agree.

    Args:
        picture: Words of the picture, and those of its mirror image.
        others: Words of the other pictures.

    Thread-safety: any number of threads. 0.1 ms of CPU time for each other picture.
    """
    number = len(others)
    words = np.concatenate([other.words for other in others])
    owner = np.repeat(np.arange(number), [len(other) for other in others])
    points = np.concatenate([other.points for other in others])
    # The number of pictures that have a word: a word twice in a picture counts once.
    pairs = np.unique(words.astype(np.int64) * number + owner)
    distinct, having = np.unique(pairs // number, return_counts=True)
    rarity = np.log2(number / having)
    weight, count = np.zeros(number), np.zeros(number, dtype=np.int64)
    for own in picture:
        mine, theirs = _shared(own.words, words)
        values = rarity[np.searchsorted(distinct, words[theirs])]
        one_weight, one_count = _votes(own.points[mine], points[theirs], owner[theirs], values, number)
        np.maximum(weight, one_weight, out=weight)
        np.maximum(count, one_count, out=count)
    return Agreement(weight, count)


def _shared(own: WordArray, words: WordArray) -> tuple[Int64Array, Int64Array]:
    """Return the rows of equal words, each pair of rows once.

    Args:
        own: Ascending.
        words: In any order.
    """
    first, last = np.searchsorted(own, words, "left"), np.searchsorted(own, words, "right")
    rows = np.flatnonzero(last > first)
    twice = rows[last[rows] - first[rows] > 1]
    return np.concatenate([first[rows], first[twice] + 1]), np.concatenate([rows, twice])


def _votes(
    left: Float64Array, right: Float64Array, owner: Int64Array, values: Float64Array, number: int
) -> tuple[Float64Array, Int64Array]:
    """Return the greatest sum of values, and the greatest number, of pairs of places that agree, for each owner."""
    if not len(owner):
        return np.zeros(number), np.zeros(number, dtype=np.int64)
    octaves = np.log2(right[:, 2] / left[:, 2])
    turns = (right[:, 3] - left[:, 3]) / (2 * math.pi) % 1.0
    # The place of the left picture's centre in the right one, nearly the same for all words that agree.
    factor = np.exp2(octaves) * np.exp(2j * math.pi * turns)
    middle = (right[:, 0] + 1j * right[:, 1]) - factor * ((left[:, 0] - FRAME / 2) + 1j * (left[:, 1] - FRAME / 2))
    cell = FRAME / _PLACES * np.exp2(np.maximum(octaves, 0.0))
    columns = [
        turns * _ANGLES,
        octaves * _SCALES_PER_OCTAVE,
        middle.real / cell,
        middle.imag / cell,
    ]
    weight, count = np.zeros(number), np.zeros(number, dtype=np.int64)
    # Two grids, half a cell apart: what a border of one cuts is together in the other.
    for offset in (0.0, 0.5):
        key = owner.astype(np.int64)
        for column, span in zip(columns, (_ANGLES, _SPAN, _SPAN, _SPAN), strict=True):
            key = key * span + np.floor(column + offset).astype(np.int64) % span
        cells, group = np.unique(key, return_inverse=True)
        owners = cells // (_ANGLES * _SPAN**3)
        np.maximum.at(weight, owners, np.bincount(group, values))
        np.maximum.at(count, owners, np.bincount(group))
    return weight, count
