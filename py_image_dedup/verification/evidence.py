"""Human-readable evidence of a match: what one picture shows of the other, and what was changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from py_image_dedup.model.match import WHOLE, Orientation
from py_image_dedup.signature.arrays import Float64Array, UInt8Array
from py_image_dedup.verification.registration import warp
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform


@dataclass(frozen=True, slots=True)
class Coverage:
    """The part of one picture that the other one shows.

    Attributes:
        share: Share of the picture's area, 0 to 1.
        framed: Whether the rest is an even border.
        mostly_even: Whether half of the rest has one grey value: a page, the screen of a phone.
    """

    share: float
    framed: bool
    mostly_even: bool


def cover(thumbnail: UInt8Array, other: UInt8Array, to_other: Transform) -> Coverage:
    """Measure how much of a picture another one shows.

    Args:
        thumbnail: uint8, shape ``(height, width)``.
        other: uint8, the other picture.
        to_other: Map from points of the thumbnail to points of the other one.
    """
    height, width = thumbnail.shape
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64) * other.shape[::-1]
    share = min(1.0, _area_within(to_other.inverse().apply(corners), width, height) / (width * height))
    shown = warp(np.ones(other.shape, dtype=np.float32), to_other, thumbnail.shape, outside=0.0)
    # Compression of the thumbnail smears the edge of the shown part into its border.
    near = cv2.dilate((shown > 0).astype(np.uint8), np.ones((T.border_rim, T.border_rim), dtype=np.uint8))
    rest = thumbnail[near == 0].astype(np.int64)
    # A thinner rest is all smeared edge: a border cannot be distinguished from a dark corner.
    if len(rest) < T.min_border * thumbnail.size:
        return Coverage(share, framed=False, mostly_even=False)
    even = float((np.abs(rest - np.median(rest)) <= T.even_levels).mean())
    return Coverage(share, framed=even >= T.even_share, mostly_even=even >= T.blank_share)


def _area_within(corners: Float64Array, width: float, height: float) -> float:
    """Return the area of a convex polygon, shape ``(n, 2)``, inside a rectangle at the origin."""
    rectangle = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    if not np.isfinite(corners).all():
        return 0.0
    area, _ = cv2.intersectConvexConvex(corners.astype(np.float32), rectangle)
    return float(area)


_ORIENTATION_WORDS = {
    Orientation.UPRIGHT: (),
    Orientation.MIRROR: ("mirrored",),
    Orientation.ROTATE_180: ("rotated 180°",),
    Orientation.FLIP: ("mirrored top to bottom",),
    Orientation.TRANSPOSE: ("mirrored", "rotated 270°"),
    Orientation.ROTATE_90: ("rotated 90°",),
    Orientation.TRANSVERSE: ("mirrored", "rotated 90°"),
    Orientation.ROTATE_270: ("rotated 270°",),
}

_OVER = {
    None: "small changes inside",
    True: "small changes inside: drawn over it",
    False: "small changes inside: drawn over the keeper",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """The geometry and the changes of a match, the left picture being the keeper.

    Attributes:
        orientation: Orientation change that makes the left picture look like the right one.
        left: The part of the left picture that the right one shows.
        right: The part of the right picture that the left one shows.
        skew: Rotation beside the orientation, degrees.
        perspective: Whether there is a perspective.
        changed: Share of the common part that differs, 0 to 1.
        drawn: Whether an overlay on one of them explains what differs.
        certain: Whether they are copies of each other beyond doubt.
        over_right: Whether the overlay is on the right picture; false: on the left one; ``None``: not clear.
    """

    orientation: Orientation
    left: Coverage
    right: Coverage
    skew: float
    perspective: bool
    changed: float
    drawn: bool
    certain: bool = True
    over_right: bool | None = None

    def reversed(self) -> Findings:
        """Return the findings with left and right exchanged."""
        return replace(
            self,
            orientation=self.orientation.inverse,
            left=self.right,
            right=self.left,
            over_right=None if self.over_right is None else not self.over_right,
        )


def describe(findings: Findings) -> tuple[str, ...]:
    """Return findings in words, the most important first; none for a plain copy."""
    words = list(_extent(findings.left, findings.right))
    words += _ORIENTATION_WORDS[findings.orientation]
    if findings.perspective:
        words.append("in perspective")
    elif findings.skew > T.max_skew:
        words.append(f"tilted {findings.skew:.0f}°" if findings.skew >= 1 else f"tilted {findings.skew:.1f}°")
    if findings.changed > 0:
        words.append(_OVER[findings.over_right] if findings.drawn else "parts differ")
    elif not findings.certain and covers(findings.left) and covers(findings.right):
        words.append("not certainly a copy")
    return tuple(words)


def covers(coverage: Coverage) -> bool:
    """Return whether a picture is shown whole, apart from a border."""
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
