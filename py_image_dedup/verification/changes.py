"""What the places look like where two aligned pictures differ: drawn over in one of them, or another moment.

A caption, a sticker and a watermark are put on top of a copy. A person who walked on between two shots from a tripod
leaves an equally sharp background behind. The grey values of the changed pixels tell the one from the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.verification.compare import Comparison
from py_image_dedup.verification.overlap import Overlap

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_CHANGED_LEVELS = 20.0
_FEWEST_PIXELS = 20
_ONE_COLOUR = 0.58
_MANY_COLOURS = 0.4
_CLEARLY_STEEPER = 2.0
_WRITING_SLOPE = 30.0
_WRITING_RATIO = 2.5
_VEIL_SIGN = 0.97
_VEIL_DETAIL = 0.1
_VEIL_RATIO = 1.5
_COVERED_LEVELS = 30.0


@dataclass(frozen=True, slots=True)
class Changes:
    """The places that differ.

    Attributes:
        drawn: Something was drawn over one of the pictures: in one colour, as writing, or as a veil.
        over_base: Whether over the base picture, and not over the moved one; ``None`` if that is not clear.
        uncovered: Of the blocks that differ, how many still have the ground that the other picture has: what is written
            there differs.
        rest_least: The lowest correlation of a block with strong texture, covered ones left out.
        covered_share: Of all blocks, those whose ground was covered.
    """

    drawn: bool
    over_base: bool | None
    uncovered: int
    rest_least: float
    covered_share: float


def look_at_changes(found: Overlap, comparison: Comparison) -> Changes:
    """Look at the places that differ.

    Thread-safety: any number of threads.
    """
    different = comparison.blocks.different
    place = np.zeros(found.base.shape, dtype=np.uint8)
    half = comparison.side // 2
    for row, column in zip(comparison.blocks.row[different], comparison.blocks.column[different], strict=True):
        place[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = 1
    same = (place == 0) & (found.valid > 0)
    moved = _same_tone(found.moved, found.base, same)
    covered = _covered(found.base, moved, comparison)
    rest = comparison.blocks.correlation[comparison.blocks.strong & ~covered]
    drawn, over_base = _drawn(found.base, moved, (place > 0) & (found.valid > 0))
    return Changes(
        drawn,
        over_base,
        uncovered=int((different & ~covered).sum()),
        rest_least=float(rest.min()) if len(rest) else 0.0,
        covered_share=float(covered.mean()),
    )


def _same_tone(pixels: Float32Array, model: Float32Array, same: BoolArray) -> Float32Array:
    """Give one picture the brightness and contrast of the other, as they are where both show the same."""
    if same.sum() < _FEWEST_PIXELS or pixels[same].std() < 1:
        return pixels
    gain, lift = np.polyfit(pixels[same].astype(np.float64), model[same].astype(np.float64), 1)
    toned: Float32Array = (pixels * gain + lift).astype(np.float32)
    return toned


def _drawn(base: Float32Array, moved: Float32Array, place: BoolArray) -> tuple[bool, bool | None]:
    """Tell whether something was drawn over one of the pictures, and whether over the base, if that is clear."""
    difference = cv2.GaussianBlur(moved - base, (0, 0), 0.7)
    changed = place & (np.abs(difference) > _CHANGED_LEVELS)
    if changed.sum() < _FEWEST_PIXELS:
        return False, None
    colours = (_one_colour(base[changed]), _one_colour(moved[changed]))
    slopes = tuple(float(_slope(pixels)[changed].mean()) for pixels in (base, moved))
    ratio = max(slopes) / max(min(slopes), 1.0)
    # Writing over a sky: the sky is what has one colour. A bar over a lawn: the lawn is what has the edges.
    if ratio >= _CLEARLY_STEEPER:
        over_base: bool | None = slopes[0] > slopes[1]
    elif max(colours) >= _ONE_COLOUR and min(colours) < _MANY_COLOURS:
        over_base = colours[0] > colours[1]
    else:
        over_base = None
    if max(colours) >= _ONE_COLOUR or (max(slopes) >= _WRITING_SLOPE and ratio >= _WRITING_RATIO):
        return True, over_base
    lighter = float((difference[changed] > 0).mean())
    one_way = max(lighter, 1 - lighter) >= _VEIL_SIGN
    return one_way and ratio >= _VEIL_RATIO and _shared_detail(base, moved, changed) >= _VEIL_DETAIL, over_base


def _one_colour(values: Float32Array) -> float:
    """Return the share of values within ten levels of the most frequent one."""
    counts = np.bincount(np.clip(values, 0, 255).astype(np.int64) // 4, minlength=64)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / len(values))


def _slope(pixels: Float32Array) -> Float32Array:
    horizontal = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, scale=0.125)
    vertical = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, scale=0.125)
    return np.hypot(horizontal, vertical).astype(np.float32, copy=False)


def _shared_detail(base: Float32Array, moved: Float32Array, changed: BoolArray) -> float:
    """Return how much of one picture's fine detail shines through in the other."""
    one, other = ((pixels - cv2.GaussianBlur(pixels, (0, 0), 1.5))[changed] for pixels in (base, moved))
    if one.std() < 1e-3 or other.std() < 1e-3:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _covered(base: Float32Array, moved: Float32Array, comparison: Comparison) -> BoolArray:
    """Mark blocks whose ground, the paper between the letters, is another one in the other picture."""
    side = min(comparison.side, 11)
    one, other = (
        cv2.medianBlur(np.clip(pixels, 0, 255).astype(np.uint8), side).astype(np.float32) for pixels in (base, moved)
    )
    other_ground = (np.abs(one - other) > _COVERED_LEVELS).astype(np.uint8)
    reach = np.ones((2 * comparison.side + 1,) * 2, dtype=np.uint8)
    blocks = comparison.blocks
    marked: BoolArray = cv2.dilate(other_ground, reach)[blocks.row, blocks.column] > 0
    return marked
