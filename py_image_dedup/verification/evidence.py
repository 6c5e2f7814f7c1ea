"""What a proof says, in words for the person who has to believe it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from py_image_dedup.model.match import WHOLE, Orientation
from py_image_dedup.signature.arrays import Float64Array, UInt8Array
from py_image_dedup.verification.registration import warp
from py_image_dedup.verification.transform import Alignment

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


_TURNED = {
    Orientation.UPRIGHT: (),
    Orientation.MIRROR: ("mirrored",),
    Orientation.ROTATE_180: ("turned 180°",),
    Orientation.FLIP: ("mirrored top to bottom",),
    Orientation.TRANSPOSE: ("mirrored", "turned 270°"),
    Orientation.ROTATE_90: ("turned 90°",),
    Orientation.TRANSVERSE: ("mirrored", "turned 90°"),
    Orientation.ROTATE_270: ("turned 270°",),
}

_OVER = {
    None: "small changes inside",
    True: "small changes inside: drawn over it",
    False: "small changes inside: drawn over the keeper",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about two pictures of which the left one is the keeper.

    Attributes:
        orientation: The turn that makes the left one look like the right one.
        left: How much of the left one the right one shows.
        right: How much of the right one the left one shows.
        tilt: Degrees of a slight turn.
        bent: With a perspective.
        changed: Share of the common part that differs.
        drawn: What differs was drawn over one of them.
        over_right: Over the right one; false: over the left one; ``None``: that is not clear.
        certain: The pictures are copies of each other beyond doubt.
    """

    orientation: Orientation
    left: Coverage
    right: Coverage
    tilt: float
    bent: bool
    changed: float
    drawn: bool
    certain: bool = True
    over_right: bool | None = None

    def reversed(self) -> Findings:
        """Return the same for the right picture being the keeper."""
        return replace(
            self,
            orientation=self.orientation.inverse,
            left=self.right,
            right=self.left,
            over_right=None if self.over_right is None else not self.over_right,
        )


def describe(findings: Findings, *, most_tilted: float) -> tuple[str, ...]:
    """Put findings into words, the most important first; none for a plain copy.

    Args:
        findings: What was found out.
        most_tilted: Degrees that are no tilt yet.
    """
    words = list(_extent(findings.left, findings.right))
    words += _TURNED[findings.orientation]
    if findings.bent:
        words.append("in perspective")
    elif findings.tilt > most_tilted:
        words.append(f"tilted {findings.tilt:.0f}°" if findings.tilt >= 1 else f"tilted {findings.tilt:.1f}°")
    if findings.changed > 0:
        words.append(_OVER[findings.over_right] if findings.drawn else "parts differ")
    elif not findings.certain and covers(findings.left) and covers(findings.right):
        words.append("not certainly a copy")
    return tuple(words)


def covers(coverage: Coverage) -> bool:
    """Whether a picture is shown whole, a border left out of account."""
    return coverage.share >= WHOLE or coverage.framed


def _extent(left: Coverage, right: Coverage) -> list[str]:
    if covers(left) and covers(right):
        bordered = [side for side in (left, right) if side.share < WHOLE]
        if not bordered:
            return []
        return ["with a border" if right.share < WHOLE else "without the keeper's border"]
    if covers(right):
        return [f"crop: {_percent(left.share)} of the keeper"]
    if covers(left):
        if right.mostly_even:
            return [f"on a page: the keeper is {_percent(right.share)} of it"]
        return [f"shows more: the keeper is {_percent(right.share)} of it"]
    return [f"overlap: {_percent(left.share)} of the keeper"]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
