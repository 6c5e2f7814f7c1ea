"""A plain way to verify matches, for tests of what is made of verdicts: it believes eight features that agree."""

from __future__ import annotations

import cv2
import numpy as np

from py_image_dedup.features.codebook import codebook
from py_image_dedup.features.extract import Features
from py_image_dedup.model.match import Evidence, MatchClass, Orientation, Verdict
from py_image_dedup.pipeline.options import VerificationMethod
from py_image_dedup.verification.picture import Picture

_ENOUGH = 8
_TURNS = [Orientation.UPRIGHT, Orientation.ROTATE_90, Orientation.ROTATE_180, Orientation.ROTATE_270]
_MIRRORED = [Orientation.MIRROR, Orientation.TRANSPOSE, Orientation.FLIP, Orientation.TRANSVERSE]


def verify(first: Picture, second: Picture) -> Verdict | None:
    """Say how the left picture lies on the right one, if it does."""
    left, right = first.features, second.features
    upright, mirrored = _align(left, right), _align(left.mirrored(), right)
    inliers, linear = max(upright, mirrored, key=lambda found: found[0])
    if inliers < _ENOUGH:
        return None
    corners = np.array([[0, 0, 1], [left.width, left.height, 1]]) @ linear.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    common = np.maximum(np.minimum(high, [right.width, right.height]) - np.maximum(low, 0), 0).prod()
    of_left, of_right = float(common / (high - low).prod()), float(common / (right.width * right.height))
    quarter = round(np.arctan2(linear[1, 0], linear[0, 0]) / (np.pi / 2)) % 4
    orientation = (_MIRRORED if mirrored[0] > upright[0] else _TURNS)[quarter]
    if min(of_left, of_right) > 0.9:
        return Verdict(MatchClass.SIMILAR, orientation, Evidence((), inliers, 0.0, of_left, of_right))
    words = [(f"crop: {100 * share:.0f} % of the keeper",) for share in (of_left, of_right)]
    seen = Evidence(words[0], inliers, 0.0, of_left, of_right, words[1])
    return Verdict(MatchClass.PARTIAL, orientation, seen)


def _align(left: Features, right: Features) -> tuple[int, np.ndarray]:
    nothing = (0, np.zeros((2, 3)))
    if min(len(left), len(right)) < _ENOUGH:
        return nothing
    one, other = codebook().expand(left.descriptors), codebook().expand(right.descriptors)
    unlike = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    nearest = unlike.argmin(axis=1)
    rows = np.flatnonzero(unlike.argmin(axis=0)[nearest] == np.arange(len(one)))
    if len(rows) < _ENOUGH:
        return nothing
    linear, agree = cv2.estimateAffinePartial2D(
        left.points[rows, :2], right.points[nearest[rows], :2], ransacReprojThreshold=6, maxIters=5000
    )
    return nothing if linear is None else (int(agree.sum()), linear)


VERIFIER = VerificationMethod(verify, version=1)
