"""How much of each picture the other one shows, and whether the rest is content or only a border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.verification.overlap import warp
from py_image_dedup.verification.transform import Alignment

Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

_RIM = 7
_EVEN_LEVELS = 8
_EVEN_SHARE = 0.985
_THINNEST = 0.02
_HALF_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Coverage:
    """One picture, as far as the other one shows it.

    Attributes:
        share: Of its area, 0 to 1.
        framed: What the other one does not show is an even border.
        mostly_even: Half of what the other one does not show has one grey value: a page, the screen of a telephone.
    """

    share: float
    framed: bool
    mostly_even: bool


def cover(thumbnail: UInt8Array, other: UInt8Array, to_other: Alignment) -> Coverage:
    """Tell how much of a picture another one shows.

    Args:
        thumbnail: uint8, shape ``(height, width)``.
        other: uint8, the other picture.
        to_other: From points of the thumbnail to points of the other one.
    """
    height, width = thumbnail.shape
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64) * other.shape[::-1]
    share = min(1.0, _area_within(to_other.inverse().apply(corners), width, height) / (width * height))
    shown = warp(np.ones(other.shape, dtype=np.float32), to_other, thumbnail.shape, outside=0.0)
    # The compression of the thumbnail smears the picture's edge into its border.
    near = cv2.dilate((shown > 0).astype(np.uint8), np.ones((_RIM, _RIM), dtype=np.uint8))
    rest = thumbnail[near == 0].astype(np.int64)
    # Of a thinner rest nothing is left beside the smeared edge to tell a border from a dark corner by.
    if len(rest) < _THINNEST * thumbnail.size:
        return Coverage(share, framed=False, mostly_even=False)
    even = float((np.abs(rest - np.median(rest)) <= _EVEN_LEVELS).mean())
    return Coverage(share, framed=even >= _EVEN_SHARE, mostly_even=even >= _HALF_SHARE)


def _area_within(corners: Float64Array, width: float, height: float) -> float:
    """Return the area that a convex polygon has inside a rectangle at the origin (Sutherland and Hodgman, 1974)."""
    points = [(float(x), float(y)) for x, y in corners]
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        kept: list[tuple[float, float]] = []
        for place, point in enumerate(points):
            before = points[place - 1]
            depth, depth_before = sign * (point[axis] - limit), sign * (before[axis] - limit)
            if (depth >= 0) != (depth_before >= 0):
                part = depth_before / (depth_before - depth)
                kept.append((before[0] + part * (point[0] - before[0]), before[1] + part * (point[1] - before[1])))
            if depth >= 0:
                kept.append(point)
        points = kept
    doubled = sum(points[i - 1][0] * points[i][1] - points[i][0] * points[i - 1][1] for i in range(len(points)))
    return abs(doubled) / 2
