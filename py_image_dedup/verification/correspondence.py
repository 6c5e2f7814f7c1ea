"""Correspondences of keypoints by their descriptors, and the transform that most of them agree on.

Deterministic: hypotheses come from all correspondences in turn, not from random samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from py_image_dedup.features.codebook import codebook
from py_image_dedup.features.extract import Features
from py_image_dedup.signature.arrays import BoolArray, Float32Array, Float64Array
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, estimate_affine, estimate_similarity


@dataclass(frozen=True, slots=True, eq=False)
class PreparedKeypoints:
    """The keypoints of a picture, prepared for matching with those of others.

    Attributes:
        points: float64, shape ``(n, 4)``: x, y and size in pixels of the frame, angle in radians; see
            ``Features.points``.
        values: float32, shape ``(n, 16)``: descriptors, comparable by Euclidean distance.
        squares: float32, shape ``(n,)``: squared lengths of the descriptors.
    """

    points: Float64Array
    values: Float32Array
    squares: Float32Array

    @classmethod
    def of(cls, features: Features) -> Self:
        """Prepare the keypoints of a picture."""
        values = codebook().expand(features.descriptors)
        squares: Float32Array = (values * values).sum(axis=1)
        return cls(features.points.astype(np.float64), values, squares)

    def __len__(self) -> int:
        """Return the number of keypoints."""
        return len(self.points)


@dataclass(frozen=True, slots=True, eq=False)
class Correspondences:
    """Keypoints of two pictures with matching descriptors, row by row.

    Attributes:
        left: float64, shape ``(n, 4)``: as ``PreparedKeypoints.points``.
        right: float64, shape ``(n, 4)``.
    """

    left: Float64Array
    right: Float64Array

    def __len__(self) -> int:
        """Return the number of correspondences."""
        return len(self.left)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A transform that keypoints agree on.

    Attributes:
        transform: Map from the left frame to the right one.
        inliers: Number of correspondences that agree with it, those in one small cell counted once.
        left: float64, shape ``(n, 2)``: positions of those that agree at least roughly, pixels of the left frame.
        right: float64, shape ``(n, 2)``: their positions in the right frame.
    """

    transform: Transform
    inliers: int
    left: Float64Array
    right: Float64Array

    @property
    def is_affine(self) -> bool:
        """Whether nearly all correspondences that agree roughly agree well: there is no perspective."""
        offsets = np.linalg.norm(self.transform.apply(self.left) - self.right, axis=1)
        apart = int((offsets > T.perspective_distance * max(1.0, self.transform.scale)).sum())
        return apart < max(T.min_inliers, T.affine_outliers * len(offsets))


def match_descriptors(left: PreparedKeypoints, right: PreparedKeypoints) -> Correspondences:
    """Match keypoints that are mutual nearest neighbours and pass the ratio test.

    Thread-safety: any number of threads.
    """
    nothing = np.zeros((0, 4))
    if len(left) < T.min_matches or len(right) < T.min_matches:
        return Correspondences(nothing, nothing)
    squared = left.values @ right.values.T
    squared *= -2
    squared += right.squares
    squared += left.squares[:, None]
    rows = np.arange(len(left))
    nearest = squared.argmin(axis=1)
    least = squared[rows, nearest]
    squared[rows, nearest] = np.inf
    chosen = np.flatnonzero(least < T.ratio_test**2 * squared.min(axis=1))
    squared[rows, nearest] = least
    # Only few columns are left to search, each of which is scattered in memory.
    chosen = chosen[squared[:, nearest[chosen]].argmin(axis=0) == chosen]
    return Correspondences(left.points[chosen], right.points[nearest[chosen]])


def fit(pairs: Correspondences, min_support: int = T.min_matches) -> Fit | None:
    """Find the transform that most correspondences agree on.

    Each correspondence, with its sizes and angles, is a hypothesis of a similarity (shift, rotation, scale); the four
    with most support are refined, first as similarities, then as affine maps, which squashed copies need.

    Args:
        pairs: The correspondences.
        min_support: Fewest correspondences that support the best hypothesis before it is refined.

    Returns:
        The best fit, or ``None`` if fewer agree.
    """
    if len(pairs) < max(T.min_matches, min_support):
        return None
    agreeing = _votes(pairs)
    support = agreeing.sum(axis=1)
    if support.max() < min_support:
        return None
    best: Fit | None = None
    tried: BoolArray = np.zeros(len(pairs), dtype=np.bool_)
    for _ in range(T.max_hypotheses):
        hypothesis = int(np.where(tried, 0, support).argmax())
        # Support is counted generously: a hypothesis gets no more inliers than that.
        if tried[hypothesis] or support[hypothesis] < (T.min_matches if best is None else best.inliers + 1):
            break
        # Hypotheses with mostly the same supporters would lead to the same transform.
        tried |= 10 * (agreeing & agreeing[hypothesis]).sum(axis=1) > 7 * support
        tried[hypothesis] = True
        found = _refine(pairs, agreeing[hypothesis], 0 if best is None else best.inliers)
        if found is not None:
            best = found
            # More than a third of all agree: no other third will.
            if best.inliers > max(T.decisive_inliers, len(pairs) // 3):
                break
    return best


def most_agree(pairs: Correspondences, transform: Transform) -> bool:
    """Return whether so many correspondences agree with a transform that ``fit`` cannot find another one.

    Args:
        pairs: The correspondences.
        transform: Map from the left frame to the right one.
    """
    near = _distances(transform, pairs.left[:, :2], pairs.right[:, :2]) < T.affine_distances[-1]
    if 2 * np.count_nonzero(near) <= len(pairs):
        return False
    agreeing = min(_distinct(pairs.left[near, :2]), _distinct(pairs.right[near, :2]))
    return agreeing > max(T.certain_inliers, len(pairs) - int(near.sum()))


def _votes(pairs: Correspondences) -> BoolArray:
    """Return, for each hypothesis (row), which correspondences (column) support it."""
    octaves = np.log(pairs.right[:, 2] / pairs.left[:, 2])
    turns = pairs.right[:, 3] - pairs.left[:, 3]
    factors = np.exp(octaves + 1j * turns)
    left = pairs.left[:, 0] + 1j * pairs.left[:, 1]
    right = pairs.right[:, 0] + 1j * pairs.right[:, 1]
    shifts = right - factors * left
    offsets = factors[:, None] * left
    offsets += shifts[:, None]
    offsets -= right
    reach = T.vote_distance * np.maximum(1.0, np.exp(octaves))
    near = offsets.real**2 + offsets.imag**2 < (reach * reach)[:, None]
    turned = np.abs((turns[:, None] - turns + math.pi) % (2 * math.pi) - math.pi)
    agreeing: BoolArray = near & (np.abs(octaves[:, None] - octaves) < T.vote_scale) & (turned < T.vote_angle)
    return agreeing


def _refine(pairs: Correspondences, chosen: BoolArray, needed: int) -> Fit | None:
    """Refine a hypothesis from its supporters; ``None`` if it does not get more inliers than needed."""
    left, right = pairs.left[:, :2], pairs.right[:, :2]
    similarity: Transform | None = None
    for pixels in T.similarity_distances:
        similarity = estimate_similarity(left[chosen], right[chosen])
        if similarity is None:
            return None
        chosen = _distances(similarity, left, right) < pixels
        if np.count_nonzero(chosen) < T.min_matches:
            return None
    if similarity is None:
        return None
    found, distances = _grow(left, right, similarity, chosen)
    chosen = distances < T.affine_distances[-1]
    needed = max(needed + 1, T.min_matches)
    if np.count_nonzero(chosen) < needed:
        return None
    inliers = min(_distinct(left[chosen]), _distinct(right[chosen]))
    if inliers < needed:
        return None
    roughly = distances < T.rough_distance
    return Fit(found, inliers, left[roughly], right[roughly])


def _grow(
    left: Float64Array, right: Float64Array, similarity: Transform, chosen: BoolArray
) -> tuple[Transform, Float64Array]:
    """Return the affine map that grows from a similarity's inliers, or the similarity, with all distances."""
    found, distances = similarity, _distances(similarity, left, right)
    for pixels in T.affine_distances:
        affine = estimate_affine(left[chosen], right[chosen])
        if affine is None or affine.anisotropy > T.max_anisotropy:
            break
        grown = _distances(affine, left, right)
        near = grown < pixels
        if np.count_nonzero(near) <= T.min_matches:
            break
        found, chosen, distances = affine, near, grown
    return found, distances


def _distances(transform: Transform, left: Float64Array, right: Float64Array) -> Float64Array:
    """Return the distances of transformed points from their counterparts, pixels of the finer of the two frames."""
    offsets = left @ transform.linear.T
    offsets += transform.matrix[:2, 2]
    offsets -= right
    distances: Float64Array = np.hypot(offsets[:, 0], offsets[:, 1])
    distances /= max(1.0, transform.scale)
    return distances


def _distinct(points: Float64Array) -> int:
    """Return the number of distinct cells that the points lie in: a corner often has several keypoints."""
    return len(set(map(tuple, (points // T.inlier_cell).tolist())))
