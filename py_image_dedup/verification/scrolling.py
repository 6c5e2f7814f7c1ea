"""Screens of one app that was scrolled between them: the same content elsewhere, between a head and a foot that stay.

Laid on each other where the content agrees, head and foot lie on content, so the pictures as a whole do not match. The
strip of content that both show is cut out of each and compared like any other two documents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from py_image_dedup.signature.arrays import BoolArray, Float32Array, UInt8Array
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.registration import Overlap, warp
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, translation


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """The strips of content that two screens share.

    Attributes:
        left: uint8, shape ``(height, width)``, a cut-out of the left thumbnail.
        right: uint8, the same of the right one.
        left_top: Row of the left thumbnail where its strip begins.
        right_top: Row of the right thumbnail where its strip begins.
        start: Map from the left strip to the right one, correct to a pixel.
    """

    left: UInt8Array
    right: UInt8Array
    left_top: int
    right_top: int
    start: Transform

    def within_pictures(self, overlap: Overlap) -> Overlap:
        """Return an overlap of the strips as one of the whole thumbnails."""
        tops = (self.left_top, self.right_top) if overlap.reference_is_left else (self.right_top, self.left_top)
        x, y = overlap.origin
        return replace(
            overlap, origin=(x, y + tops[0]), to_finer=overlap.to_finer.then(translation(0.0, float(tops[1])))
        )


def shared_strips(left: Picture, right: Picture, start: Transform) -> Strips | None:
    """Return the strips of content that two screens of one size share, if one was scrolled.

    Args:
        left: One picture.
        right: The other picture.
        start: Map from points of the left thumbnail to points of the right one, correct to a few pixels.

    Returns:
        The strips; ``None`` if the map is no shift along the height, if the strips are short, or if what is above and
        below them differs.

    Thread-safety: any number of threads. 0.2 ms of CPU time; nothing for most pairs.
    """
    (a, b, x), (c, d, y), _ = start.matrix.tolist()
    straight = max(abs(a - 1), abs(d - 1), abs(b), abs(c)) <= T.scroll_distortion and abs(x) <= T.scroll_aside
    shift = round(y)
    if left.thumbnail.shape != right.thumbnail.shape or not straight or abs(shift) < T.min_scroll:
        return None
    one, other = (cv2.GaussianBlur(p.thumbnail, (0, 0), 1.0).astype(np.float32) for p in (left, right))
    height = len(one)
    moved = warp(other, translation(x, y), one.shape)
    first, last = max(0, -shift), min(height, height - shift)
    begin, end = _longest_run(_rows_agree(one[first:last], moved[first:last]))
    begin, end = begin + first, end + first
    if end - begin < T.min_strip * height:
        return None
    fixed = np.ones(height, dtype=np.bool_)
    fixed[min(begin, begin + shift) : max(end, end + shift)] = False
    if fixed.mean() < T.min_fixed or _rows_agree(one[fixed], other[fixed]).mean() < T.fixed_share:
        return None
    return Strips(
        left.thumbnail[begin:end],
        right.thumbnail[begin + shift : end + shift],
        begin,
        begin + shift,
        translation(x, y - shift),
    )


def _rows_agree(one: Float32Array, other: Float32Array) -> BoolArray:
    """Return for each row whether nearly all of its pixels are the same."""
    agree: BoolArray = (np.abs(one - other) > T.changed_levels).mean(axis=1) <= T.row_difference
    return agree


def _longest_run(agree: BoolArray) -> tuple[int, int]:
    """Return the begin and the end of the longest run of rows that agree, but for a few between them."""
    gap = np.ones((2 * T.row_gap + 1, 1), dtype=np.uint8)
    closed = cv2.morphologyEx(agree.astype(np.uint8)[:, None], cv2.MORPH_CLOSE, gap).ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], closed, [0]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    return int(begins[longest]), int(ends[longest])
