"""Finds what a file has beyond another one.

In its picture: fine structure, highlights, shadows, a wider view. Beside it: frames, opacity, depth, colour, embedded
parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Aligned, Mask, Matrix, Pixels, luma, scaling, shrunk
from py_image_dedup.inspection.difference import Difference, difference, foresee, windows
from py_image_dedup.inspection.lattice import gain, quality
from py_image_dedup.inspection.resampling import reductions
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.inspection.tone import fit, sample
from py_image_dedup.model.full_picture import Frame, FullPicture
from py_image_dedup.model.inspection import Inspection, Original, Outcome

_BLOCK = 8
"""Pixels: clipping is looked at in blocks, in which noise averages out and a scene does not."""
_BURNT, _BLACK = 254, 2
"""Grey levels from which on, and up to which, all of a block is clipped."""
_LOST_SHARE = 0.004
"""Share of the picture in which levels were lost: a face in a group photo is 0.5 %."""
_LOST_LEVELS = 24.0
"""Grey levels between the 5th and the 95th percentile of what was lost: a brightening that burns out a sky loses 60,
JPEG and grain average to some 2, the edge of a saturated thing to 15."""
_LESS = 0.5
"""Ratio of edge energy below which the keeper lost detail that no sharpening adds."""
_WINDOW, _WINDOWS = 288, 3
"""Side of the parts that fine structure is compared in, pixels, and how many along a side."""
_THUMBNAIL = 400
_OUTSIDE = 0.003
"""Share of a picture outside of the common area that rounding a size leaves."""
_PAPER_SPREAD = 16
"""Grey levels that paper, printed or scanned, varies by."""
_STRIPS = 16
"""Of so many rows one is looked at first, or the height of a strip that is looked at first is one of so many parts."""
_LEAST_STRUCTURE = 2.0
"""Grey levels of deviation that a picture has to have."""
_PLAIN = 0.93
"""Share of a border's pixels that are of one level."""
_MOST_APART = 6.0
"""Grey levels, root mean square, of two thumbnails of one frame."""
_FURTHEST_APART = 48.0
"""Grey levels of one pixel of the same: a changed word on a page."""
_WIDE = ("adobe", "p3", "prophoto", "rec2020", "rec. 2020", "bt.2020", "wide")


def lost_levels(keeper: Pixels, other: Pixels, valid: Mask) -> tuple[str, ...]:
    """Say which levels are cut off in the keeper and there in the other picture.

    Args:
        keeper: uint8, grey or BGR.
        other: The same height and width.
        valid: Where both pictures are.

    Returns:
        ``highlights``, ``shadows``.
    """
    ours = shrunk(keeper, _BLOCK)
    cut = {"highlights": _inner(ours >= _BURNT), "shadows": _inner(ours <= _BLACK)}
    least = max(4, _LOST_SHARE * ours.shape[0] * ours.shape[1])
    if not any(np.count_nonzero(mask) >= least for masks in cut.values() for mask in masks):
        return ()
    # What a map of colours makes of the other channels there was not lost.
    toned = fit(sample(keeper, other, valid)).apply(keeper)
    theirs = shrunk(other, _BLOCK).astype(np.float32) - shrunk(toned, _BLOCK)
    planes = [theirs] if theirs.ndim == 2 else list(cv2.split(theirs))
    return tuple(
        name
        for name, masks in cut.items()
        if any(np.count_nonzero(mask) >= least and _varies(planes, mask) for mask in masks)
    )


def _inner(clipped: Mask) -> list[Mask]:
    """Return where all of the neighbourhood is clipped, for each channel."""
    planes = [clipped] if clipped.ndim == 2 else [clipped[..., channel] for channel in range(3)]
    return [cv2.erode(plane.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for plane in planes]


def _varies(planes: Sequence[npt.NDArray[Any]], mask: Mask) -> bool:
    return any(float(np.subtract(*np.percentile(plane[mask], (95, 5)))) > _LOST_LEVELS for plane in planes)


def has_less_detail(pair: Aligned) -> bool:
    """Whether the other file has fine structure that no filter makes of the keeper."""
    ours: list[npt.NDArray[np.float32]] = []
    theirs: list[npt.NDArray[np.float32]] = []
    errors, seen = [], []
    spreads = [float(luma(shrunk(pixels, 4)).std()) + 1 for pixels in (pair.keeper, pair.other)]
    for part in windows(pair.valid.shape, _WINDOW, _WINDOWS):
        inside = pair.valid[part]
        for pixels, spread, fine in zip((pair.keeper, pair.other), spreads, (ours, theirs), strict=True):
            fine.append(np.asarray(np.abs(_fine(pixels[part])[inside]) / spread, dtype=np.float32))
    one, two = np.concatenate(ours), np.concatenate(theirs)
    strong = one + two
    edges = strong >= np.quantile(strong[::5], 0.9) if len(strong) else np.zeros(0, dtype=np.bool_)
    if not edges.any() or float(one[edges].mean()) >= _LESS * float(two[edges].mean()):
        return False
    foreseen = foresee(pair.keeper, pair.other, pair.valid)
    for part in windows(pair.valid.shape, _WINDOW, _WINDOWS):
        inside = pair.valid[part]
        errors.append((luma(pair.other[part]) - foreseen[part])[inside])
        seen.append(_fine(pair.other[part])[inside])
    missed, whole = np.concatenate(errors)[edges], np.concatenate(seen)[edges]
    share = float(np.sqrt(float((missed**2).mean()) / max(float((whole**2).mean()), 1e-6)))
    return share > THRESHOLDS.unexplained


def _fine(pixels: Pixels) -> npt.NDArray[np.float32]:
    grey = luma(pixels).astype(np.float32)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 1.0), dtype=np.float32)


def outside(picture: FullPicture, to_picture: Matrix, valid: Mask) -> tuple[float, bool]:
    """Return the share of a picture outside of the common area, plain borders not counted, and whether it has one.

    Args:
        picture: The file.
        to_picture: 3 x 3, from the common grid to its pixels.
        valid: Where both pictures are, on the grid.
    """
    height, width = picture.height, picture.width
    factor = max(1.0, max(height, width) / _THUMBNAIL)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    matrix = np.linalg.inv(to_picture) @ scaling(width / size[0], height / size[1])
    covered = cv2.warpPerspective(valid.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    beyond = cv2.erode((covered == 0).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    share = float(beyond.mean())
    if share < _OUTSIDE:
        return 0.0, False
    small = cv2.resize(luma(picture.pixels), size, interpolation=cv2.INTER_AREA)
    levels = small[beyond].astype(np.float32)
    plain = np.abs(levels - np.median(levels)) <= THRESHOLDS.border_step
    return (0.0, True) if plain.mean() > _PLAIN else (share, False)


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


def more(lacks: tuple[str, ...], has_more: tuple[str, ...], original: Original) -> Inspection:
    """Return what a pair is of which the keeper lacks something.

    Args:
        lacks: Names of what only the other file has; not empty.
        has_more: Names of what only the keeper has.
        original: The file that the other one was made from.
    """
    missing = ", ".join(lacks)
    if has_more:
        reason = (
            "Each file has something that the other lacks: "
            f"the keeper lacks {missing}, the other {', '.join(has_more)}."
        )
        return Inspection(Outcome.BOTH_HAVE_MORE, reason, lacks=lacks, original=original)
    return Inspection(
        Outcome.MORE, f"The keeper lacks what the other file has: {missing}.", lacks=lacks, original=original
    )


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


def on_one_ground(keeper: FullPicture, other: FullPicture) -> tuple[Pixels, Pixels]:
    """Return both pictures on the background that shows what is in them.

    White text on a transparent background is seen on black only, black text on white only: a middle grey shows both.
    Where one of them was flattened, the other one is laid on what it was flattened on.
    """
    ground = 128.0
    if keeper.alpha is not None and other.alpha is None and min(keeper.alpha.shape) > 8:
        ground = _ground(keeper.alpha, other.pixels)
    elif other.alpha is not None and keeper.alpha is None and min(other.alpha.shape) > 8:
        ground = _ground(other.alpha, keeper.pixels)
    return _on(keeper, ground), _on(other, ground)


def _ground(alpha: Pixels, flat: Pixels) -> float:
    small = cv2.resize(alpha, flat.shape[1::-1], interpolation=cv2.INTER_AREA)
    clear = small < 8
    return float(np.median(luma(flat)[clear])) if clear.any() else 128.0


def _on(picture: FullPicture, ground: float) -> Pixels:
    if picture.alpha is None:
        return picture.pixels
    opacity = picture.alpha.astype(np.float32) / 255
    if picture.pixels.ndim == 3:
        opacity = opacity[:, :, None]
    return np.asarray(np.rint(picture.pixels * opacity + ground * (1 - opacity)), dtype=np.uint8)


def of_other_kind(keeper: FullPicture, other: FullPicture) -> str:
    """Say why the other file stands for something else, though the keeper holds it; empty if it does not.

    A cover is no copy of its pages, and what was flattened may be what a page shows.
    """
    if len(keeper.frames) > len(other.frames):
        return f"The keeper has {len(keeper.frames) + 1} frames or pages, the other file {len(other.frames) + 1}."
    if keeper.alpha is not None and other.alpha is None:
        return "The keeper is transparent, the other file was flattened."
    return ""


def is_equal(keeper: FullPicture, other: FullPicture) -> bool:
    """Whether all pixels and their opacity are equal."""
    if keeper.pixels.shape != other.pixels.shape:
        return False
    # Most files differ everywhere: a few rows tell, before all are compared.
    for step in (_STRIPS, 1):
        if not np.array_equal(keeper.pixels[::step], other.pixels[::step]):
            return False
    one, two = keeper.alpha, other.alpha
    return one is two or (one is not None and two is not None and np.array_equal(one, two))


def is_page(pixels: Pixels) -> bool:
    """Whether a picture is a printed page: most of it is paper."""
    grey = luma(pixels)[::2, ::2].astype(np.int16)
    return float((np.abs(grey - np.median(grey)) <= _PAPER_SPREAD).mean()) > THRESHOLDS.paper


def is_poor(keeper: FullPicture, other: FullPicture, scale: float) -> bool:
    """Whether the keeper was saved so small that the other file must have more.

    Args:
        keeper: The file that stays.
        other: The file that would go.
        scale: Pixels of the other file in one of the keeper, along a side.
    """
    ours, theirs = (quality(one.quantisation) for one in (keeper, other))
    is_kept_better = theirs > ours + 20 or (not theirs and other.format in {"PNG", "TIFF", "BMP"})
    return 0 < ours < THRESHOLDS.poor_quality and is_kept_better and scale > 0.7


def has_structure(pixels: Pixels) -> bool:
    """Whether there is enough in a picture to compare."""
    few = pixels[::3, ::3]
    # The deviation of a strip bounds that of the whole from below, and settles most pictures.
    start, size = len(few) // 2, max(1, len(few) // _STRIPS)
    some = luma(np.ascontiguousarray(few[start : start + size]))
    if float(some.std()) * math.sqrt(size / len(few)) >= _LEAST_STRUCTURE:
        return True
    return float(luma(np.ascontiguousarray(few)).std()) >= _LEAST_STRUCTURE


def is_on_pixels(pair: Aligned, keeper: FullPicture, other: FullPicture) -> bool:
    """Whether the pixels of one file lie on those of the other, and all of them are compared."""
    are_plain = np.allclose(pair.to_keeper, np.eye(3)) and np.allclose(pair.to_other, np.eye(3))
    return are_plain and pair.valid.shape == keeper.pixels.shape[:2] == other.pixels.shape[:2]


def gain_beyond(keeper: FullPicture, other: FullPicture, scale: float, forth: Matrix) -> float:
    """Return what the larger file has beyond the smaller one; 0 if both are of one size, or the larger is a JPEG.

    Args:
        keeper: The file that stays.
        other: The file that would go.
        scale: Pixels of the other file in one of the keeper, along a side.
        forth: 3 x 3, from the keeper's pixels to the other file's.
    """
    if 1 / THRESHOLDS.larger <= scale <= THRESHOLDS.larger:
        return 0.0
    larger, smaller = (other, keeper) if scale > 1 else (keeper, other)
    if larger.quantisation:
        return 0.0
    matrix = np.asarray(np.linalg.inv(forth) if scale > 1 else forth, dtype=np.float64)
    return gain(larger.pixels, smaller.pixels, matrix, max(scale, 1 / scale))


def closest(pair: Aligned, keeper: FullPicture, other: FullPicture, found: Difference) -> Difference:
    """Compare with the keeper as programs reduce it, which leaves less of a page than a blurred forecast does."""
    size = other.pixels.shape[:2]
    if pair.other.shape[:2] != size or not np.allclose(pair.to_other, np.eye(3)) or keeper.alpha is not None:
        return found
    made = (replace(pair, keeper=one) for one in reductions(keeper.pixels, pair.to_keeper, size))
    return min((found, *map(difference, made)), key=lambda one: one.usual)
