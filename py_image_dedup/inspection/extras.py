"""Compares what files have besides their first picture: frames, opacity, depth, colour, embedded parts."""

from __future__ import annotations

import cv2
import numpy as np

from py_image_dedup.model.full_picture import Frame, FullPicture

_MOST_APART = 6.0
"""Grey levels, root mean square, of two thumbnails of one frame."""
_FURTHEST_APART = 48.0
"""Grey levels of one pixel of the same: a changed word on a page."""
_WIDE = ("adobe", "p3", "prophoto", "rec2020", "rec. 2020", "bt.2020", "wide")


def lacking(keeper: FullPicture, other: FullPicture) -> tuple[str, ...]:
    """Return the names of what the other file holds and the keeper lacks.

    Args:
        keeper: The file that stays.
        other: The file that would go.

    Returns:
        Names in a fixed order; resolution, field of view and detail are not judged here.
    """
    found = []
    if other.frames and not _has_frames(keeper.frames, other.frames):
        found.append("frames")
    if other.alpha is not None and keeper.alpha is None:
        found.append("transparency")
    if other.bits > keeper.bits:
        found.append("bit depth")
    if other.is_coloured and not keeper.is_coloured:
        found.append("colour")
    if other.is_cmyk and not keeper.is_cmyk:
        found.append("CMYK")
    if _is_wide(other.profile) and not _is_wide(keeper.profile):
        found.append("wide gamut")
    found.extend(sorted(other.extras - keeper.extras))
    return tuple(found)


def has_other_alpha(keeper: FullPicture, other: FullPicture) -> bool:
    """Whether both are transparent, and not at the same places; both have the same proportions."""
    if keeper.alpha is None or other.alpha is None:
        return False
    height, width = min(keeper.alpha.shape, other.alpha.shape)
    small = (min(width, 1024), min(height, 1024))
    one, two = (
        cv2.resize(alpha, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        for alpha in (keeper.alpha, other.alpha)
    )
    apart = np.abs(cv2.GaussianBlur(one - two, (0, 0), 1.2))
    return bool((apart > 24).sum() >= 12)


def _has_frames(ours: tuple[Frame, ...], theirs: tuple[Frame, ...]) -> bool:
    return len(ours) >= len(theirs) and all(_is_same(one, two) for one, two in zip(ours, theirs, strict=False))


def _is_same(one: Frame, two: Frame) -> bool:
    if one.digest == two.digest:
        return True
    if abs(one.thumbnail.shape[0] - two.thumbnail.shape[0]) + abs(one.thumbnail.shape[1] - two.thumbnail.shape[1]) > 2:
        return False
    size = one.thumbnail.shape[::-1]
    left = one.thumbnail.astype(np.float32)
    right = cv2.resize(two.thumbnail, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    apart = np.abs(left - right)
    return bool(np.sqrt((apart**2).mean()) < _MOST_APART and apart.max() < _FURTHEST_APART)


def _is_wide(profile: str) -> bool:
    return any(name in profile.lower() for name in _WIDE)
