"""Which features of two pictures look alike, and where they put one picture in the other.

Deterministic: no random draws, so the same two pictures always get the same answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from py_image_dedup.features.codebook import codebook
from py_image_dedup.features.extract import Features
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array
from py_image_dedup.verification.transform import Alignment, fit_affine, fit_similarity

UNAMBIGUOUS = 0.85
"""The second most alike feature must be this much less alike (Lowe's ratio)."""
FEWEST = 3
"""Correspondences below this put nothing anywhere."""
MOST_STRETCHED = 1.6
"""Ratio of the two scales of an alignment; squashing to four fifths and a little shear stay below."""

_HYPOTHESES = 4
_CERTAIN = 20
_VOTE_PIXELS = 18.0
_VOTE_SCALE = 0.5
_VOTE_ANGLE = math.radians(25)
_SIMILARITY_PIXELS = (10.0, 6.0, 4.0, 4.0)
_AFFINE_PIXELS = (10.0, 8.0, 6.0, 4.0, 4.0)
_ROUGHLY_PIXELS = 14.0
_CELL = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """The features of a picture made ready to be paired with those of others.

    Attributes:
        points: float64, shape ``(n, 4)``: x, y, size, angle; see ``Features.points``.
        values: float32, shape ``(n, 16)``, comparable by their Euclidean distance.
        squares: float32, shape ``(n,)``, of the lengths of the values.
    """

    points: Float64Array
    values: Float32Array
    squares: Float32Array

    @classmethod
    def of(cls, features: Features) -> Self:
        """Make them ready."""
        values = codebook().expand(features.descriptors)
        squares: Float32Array = (values * values).sum(axis=1)
        return cls(features.points.astype(np.float64), values, squares)

    def __len__(self) -> int:
        """How many."""
        return len(self.points)


@dataclass(frozen=True, slots=True, eq=False)
class Correspondence:
    """Features of the left and the right picture that look alike, row by row.

    Attributes:
        left: float64, shape ``(n, 4)``: x, y, size, angle; see ``Features.points``.
        right: float64, shape ``(n, 4)``.
    """

    left: Float64Array
    right: Float64Array

    def __len__(self) -> int:
        """How many pairs of features."""
        return len(self.left)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Where the features put the left picture.

    Attributes:
        alignment: From the left frame to the right one.
        inliers: Correspondences that agree, at distinct places.
        left: float64, shape ``(n, 2)``, the places of those that agree at least roughly.
        right: float64, shape ``(n, 2)``.
    """

    alignment: Alignment
    inliers: int
    left: Float64Array
    right: Float64Array


def correspond(left: Places, right: Places) -> Correspondence:
    """Pair the features that are each other's most alike, clearly.

    Thread-safety: any number of threads.
    """
    nothing = np.zeros((0, 4))
    if len(left) < FEWEST or len(right) < FEWEST:
        return Correspondence(nothing, nothing)
    unlike = left.values @ right.values.T
    unlike *= -2
    unlike += right.squares
    unlike += left.squares[:, None]
    rows = np.arange(len(left))
    nearest = unlike.argmin(axis=1)
    least = unlike[rows, nearest]
    mutual = unlike.argmin(axis=0)[nearest] == rows
    unlike[rows, nearest] = np.inf
    chosen = np.flatnonzero(mutual & (least < UNAMBIGUOUS**2 * unlike.min(axis=1)))
    return Correspondence(left.points[chosen], right.points[nearest[chosen]])


def fit(pairs: Correspondence) -> Fit | None:
    """Find the alignment that most correspondences agree on.

    Each correspondence, with its sizes and angles, is a guess of the whole similarity (shift, turn, scale); the four
    with most support are refined, first as similarities, then as affine maps, which also squashed copies need.

    Returns:
        The best fit, or ``None`` if no three agree.
    """
    if len(pairs) < FEWEST:
        return None
    agreeing = _votes(pairs)
    support = agreeing.sum(axis=1)
    best: Fit | None = None
    tried: BoolArray = np.zeros(len(pairs), dtype=np.bool_)
    for _ in range(_HYPOTHESES):
        guess = int(np.where(tried, 0, support).argmax())
        if tried[guess] or support[guess] < FEWEST:
            break
        # Guesses with mostly the same supporters would lead to the same place.
        tried |= 10 * (agreeing & agreeing[guess]).sum(axis=1) > 7 * support
        tried[guess] = True
        found = _refine(pairs, agreeing[guess])
        if found is not None and (best is None or found.inliers > best.inliers):
            best = found
            # More than a third of all agree: no other third will.
            if best.inliers > max(_CERTAIN, len(pairs) // 3):
                break
    return best


def _votes(pairs: Correspondence) -> BoolArray:
    """Return, for each correspondence's guess (row), which correspondences (column) agree with it."""
    octaves = np.log(pairs.right[:, 2] / pairs.left[:, 2])
    turns = pairs.right[:, 3] - pairs.left[:, 3]
    factors = np.exp(octaves + 1j * turns)
    left = pairs.left[:, 0] + 1j * pairs.left[:, 1]
    right = pairs.right[:, 0] + 1j * pairs.right[:, 1]
    shifts = right - factors * left
    apart = np.abs(factors[:, None] * left + shifts[:, None] - right)
    turned = np.abs((turns[:, None] - turns + math.pi) % (2 * math.pi) - math.pi)
    near = apart < _VOTE_PIXELS * np.maximum(1.0, np.exp(octaves))[:, None]
    agreeing: BoolArray = near & (np.abs(octaves[:, None] - octaves) < _VOTE_SCALE) & (turned < _VOTE_ANGLE)
    return agreeing


def _refine(pairs: Correspondence, chosen: BoolArray) -> Fit | None:
    left, right = pairs.left[:, :2], pairs.right[:, :2]
    found: Alignment | None = None
    for pixels in _SIMILARITY_PIXELS:
        found = fit_similarity(left[chosen], right[chosen])
        if found is None:
            return None
        chosen = _near(found, left, right, pixels)
        if chosen.sum() < FEWEST:
            return None
    for pixels in _AFFINE_PIXELS:
        grown = fit_affine(left[chosen], right[chosen])
        if grown is None or grown.stretch > MOST_STRETCHED:
            break
        near = _near(grown, left, right, pixels)
        if near.sum() <= FEWEST:
            break
        found, chosen = grown, near
    if found is None:
        return None
    chosen = _near(found, left, right, _AFFINE_PIXELS[-1])
    inliers = min(_distinct(left[chosen]), _distinct(right[chosen]))
    roughly = _near(found, left, right, _ROUGHLY_PIXELS)
    return Fit(found, inliers, left[roughly], right[roughly]) if inliers >= FEWEST else None


def _near(alignment: Alignment, left: Float64Array, right: Float64Array, pixels: float) -> BoolArray:
    apart = np.linalg.norm(alignment.apply(left) - right, axis=1)
    near: BoolArray = apart < pixels * max(1.0, alignment.scale)
    return near


def _distinct(points: Float64Array) -> int:
    """Count points, those in one cell once: a corner often has several features on top of each other."""
    return len(np.unique((points // _CELL).astype(np.int64), axis=0)) if len(points) else 0
