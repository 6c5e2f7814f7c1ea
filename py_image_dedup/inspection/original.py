"""Decides which of two files the other one was made from, as far as the pixels show it: the rules, surest first.

No rule reads a date or a name. In the sentences the keeper is A and the other file B, so that they can be exchanged;
only reasons that hardly ever err are ``sure``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from py_image_dedup.inspection.align import Aligned, Pixels, luma, shrunk
from py_image_dedup.inspection.lattice import Lattice, earlier_quality, quality
from py_image_dedup.inspection.shots import Noise, measure_noise
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.inspection.tone import fit, sample
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Original, Side

_REPEATED = 0.35
"""Ratio of the 20th percentile to the median of the differences of neighbouring rows and columns."""
_EMPTY = 4.0
"""Grey levels of deviation along a row or column, below which there is nothing in it."""
_FEWEST_LINES = 16
_STRETCHED, _UNTOUCHED = 1.8, 1.3
"""Jumps of a histogram, 90th percentile: a stretched tone curve leaves gaps, a camera does not."""
_ADDED_GRAIN = 1.5
"""Grey levels of noise that is in one file only, from which on it was added or another file was smoothed."""
_FINE_GRAIN = 75
"""JPEG quality below which encoding leaves no grain."""
_PALER = 0.25
"""Ratio of the spread of chroma below which colours were taken away."""
LOSSLESS = frozenset({"PNG", "TIFF", "BMP", "PPM", "TGA", "QOI", "SGI", "PCX", "PSD"})
"""Formats that keep each pixel."""
_NAMES = {Side.LEFT: ("A", "B"), Side.RIGHT: ("B", "A")}


def _is(side: Side, reason: str, *, sure: bool) -> Original:
    """Return a finding; the reason has the original's name as ``{0}`` and the copy's as ``{1}``."""
    return Original(side, sure=sure, reason=reason.format(*_NAMES[side]))


def by_facts(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Original:
    """Return which file lost something that an edit only takes away: colour, depth, transparency, frames."""
    if ours and not theirs:
        return _is(Side.LEFT, f"{{0}} has {ours[0]} that {{1}} lacks", sure=True)
    if theirs and not ours:
        return _is(Side.RIGHT, f"{{0}} has {theirs[0]} that {{1}} lacks", sure=True)
    return Original()


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The measurements that the rules use.

    Attributes:
        left: The keeper.
        right: The other file.
        pair: Both on one grid.
        one: How the keeper's coefficients are foreseen from the other file; ``None`` if it has none.
        two: How the other file's coefficients are foreseen from the keeper.
        noise: What each has of its own in quiet places.
        gain: Energy in the finest bands of the larger file that the smaller one does not foresee.
        bordered: Which files have a plain border that the other one lacks.
        lost: Levels that are cut off in the keeper only, and in the other file only.
    """

    left: FullPicture
    right: FullPicture
    pair: Aligned
    one: Lattice | None
    two: Lattice | None
    noise: Noise
    gain: float
    bordered: tuple[bool, bool]
    lost: tuple[tuple[str, ...], tuple[str, ...]]


def judge(evidence: Evidence) -> Original:
    """Return the file that the other one was made from: the first rule that speaks."""
    for rule in (
        _by_repeated_pixels, _by_lattice, _by_resolution, _by_earlier_save, _by_histogram, _by_weak_lattice, _by_border,
        _by_grain, _by_colour, _by_clipping, _by_format, _by_quality,
    ):  # fmt: skip
        found = rule(evidence)
        if found.side is not Side.UNKNOWN:
            return found
    return Original()


def _by_repeated_pixels(evidence: Evidence) -> Original:
    scale = evidence.pair.scale
    if scale > THRESHOLDS.larger and is_repeated(evidence.right.pixels):
        return _is(Side.LEFT, f"{{1}} is {{0}} enlarged {scale:.2g} x by repeating pixels", sure=True)
    if scale < 1 / THRESHOLDS.larger and is_repeated(evidence.left.pixels):
        return _is(Side.RIGHT, f"{{1}} is {{0}} enlarged {1 / scale:.2g} x by repeating pixels", sure=True)
    return Original()


def _by_lattice(evidence: Evidence) -> Original:
    for side, first, later, copy in (
        (Side.LEFT, evidence.one, evidence.two, evidence.right),
        (Side.RIGHT, evidence.two, evidence.one, evidence.left),
    ):
        scale = evidence.pair.scale if side is Side.LEFT else 1 / evidence.pair.scale
        enlarged = f"{{1}} is {{0}} enlarged {scale:.2g} x" if scale > THRESHOLDS.larger else ""
        if first is not None and first.is_repeated and (later is None or later.miss > 1.6 * first.miss):
            why = enlarged or "{1} repeats the compression noise of {0} and was made from it"
            return _is(side, why, sure=True)
        if later is None or not later.is_rounding or first is None or first.wide <= _OPEN:
            continue
        if enlarged:
            # A soft picture is foreseen by its own reduction as well as by what it was enlarged from.
            return _is(side, enlarged, sure=False)
        # An enlargement foresees all of the file that it was made from, so that rounding in the smaller file says
        # nothing on the direction: only detail that the larger file alone has does.
        is_resized = max(scale, 1 / scale) > _RESIZED
        if not is_resized and quality(copy.quantisation) >= _FINE and _sharpness(evidence, side) > _SHARPENED:
            continue
        if not is_resized or (scale < 1 / THRESHOLDS.larger and first.wide > _DETAILED):
            why = f"{{1}} was saved again from {{0}} at quality {quality(copy.quantisation)}"
            return _is(side, why, sure=True)
    return Original()


def _sharpness(evidence: Evidence, side: Side) -> float:
    """Return how much stronger the edges of one file are than those of the other."""
    one, two = (
        float(np.abs(cv2.Laplacian(luma(picture.pixels).astype(np.float32), cv2.CV_32F)).mean()) + 0.1
        for picture in (evidence.left, evidence.right)
    )
    return one / two if side is Side.LEFT else two / one


_FINE = 75
"""JPEG quality from which on saving again leaves edges nearly as they are."""
_SHARPENED = 1.3
"""Ratio of edges from which on the sharper file of two was sharpened: saving at a fine quality takes 10 % at most, and
a sharpened copy foresees what it was made from as well as an original foresees what was saved from it."""
_DETAILED = 0.6
"""Share of wide errors of the larger file's lattice from which on it holds detail that the smaller one lacks: files
enlarged by interpolation had 0.59 at most, real reductions to half of the side left 0.87 at least."""
_RESIZED = 1.005
"""Ratio of sides from which on one file was resampled; the alignment of a part errs by less."""
_OPEN = 0.2
"""Share of wide errors from which on a lattice is not explained by rounding."""


def _by_weak_lattice(evidence: Evidence) -> Original:
    """Compare two lattices that do not decide alone; a proposal."""
    one, two = evidence.one, evidence.two
    if one is None or two is None:
        return Original()
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        if first.is_within and first.miss < 0.8 * later.miss:
            return _is(side, "{1} holds compression noise of {0}", sure=False)
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        if later.wide < 0.35 and first.wide > 1.8 * later.wide and first.wide > 0.16:
            return _is(side, "most of what {1} lacks of {0} is lost in rounding", sure=False)
    return Original()


def _by_resolution(evidence: Evidence) -> Original:
    """Distinguish a reduction from an enlargement; a proposal, because soft pictures have little to lose."""
    scale = evidence.pair.scale
    if 1 / THRESHOLDS.larger <= scale <= THRESHOLDS.larger:
        return Original()
    larger, smaller = (Side.RIGHT, Side.LEFT) if scale > 1 else (Side.LEFT, Side.RIGHT)
    if has_resolution(evidence.two if scale > 1 else evidence.one, evidence.gain):
        return _is(larger, "{1} was reduced, fine detail is gone", sure=False)
    return _is(smaller, f"{{1}} is {{0}} enlarged {max(scale, 1 / scale):.2g} x", sure=False)


def has_resolution(larger: Lattice | None, gain: float) -> bool:
    """Return whether the larger file holds what the smaller one does not foresee.

    Args:
        larger: How its coefficients are foreseen from the smaller one; ``None`` if it has none.
        gain: Energy in its finest bands that is not foreseen.
    """
    if larger is not None:
        return larger.wide > THRESHOLDS.foreseen_larger
    return gain > THRESHOLDS.enlarged_gain


def _by_earlier_save(evidence: Evidence) -> Original:
    """Find the file that was once saved worse than it says."""
    kept = [quality(file.quantisation) or 101 for file in (evidence.left, evidence.right)]
    earlier = [earlier_quality(file) for file in (evidence.left, evidence.right)]
    for side, its, others in ((Side.LEFT, 1, 0), (Side.RIGHT, 0, 1)):
        best = earlier[others] or kept[others]
        if 0 < earlier[its] < kept[its] - 3 and earlier[its] < best - 1:
            return _is(side, f"{{1}} was once saved at quality {earlier[its]}, whatever it says now", sure=True)
    return Original()


def _by_histogram(evidence: Evidence) -> Original:
    if evidence.left.format == "JPEG" and evidence.right.format == "JPEG":
        return Original()
    one, two = stretch(evidence.left.pixels), stretch(evidence.right.pixels)
    for side, mine, its in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        if its > _STRETCHED and mine < _UNTOUCHED:
            return _is(side, "the tone curve of {1} was stretched", sure=True)
    return Original()


def _by_border(evidence: Evidence) -> Original:
    left, right = evidence.bordered
    if left == right:
        return Original()
    return _is(Side.LEFT if right else Side.RIGHT, "{1} has a border", sure=True)


def _by_grain(evidence: Evidence) -> Original:
    """Find the file with noise of its own, where the other one has none."""
    pair = evidence.pair
    if not 1 / THRESHOLDS.larger <= pair.scale <= THRESHOLDS.larger:
        return Original()
    side = _quieter(evidence, evidence.noise)
    if side is Side.UNKNOWN:
        return Original()
    # A tone curve amplifies the noise by its slope, which differs from level to level: grain is what remains after
    # either file was given the tone of the other one.
    samples = sample(pair.keeper, pair.other, pair.valid)
    toned = (
        replace(pair, keeper=fit(samples).apply(pair.keeper)),
        replace(pair, other=fit(samples.reversed()).apply(pair.other)),
    )
    if any(_quieter(evidence, measure_noise(one)) is not side for one in toned):
        return Original()
    return _is(side, "{1} has grain added", sure=False)


def _quieter(evidence: Evidence, noise: Noise) -> Side:
    """Return the file that lacks the noise of the other one."""
    for side, mine, its, file in (
        (Side.LEFT, noise.keeper, noise.other, evidence.right),
        (Side.RIGHT, noise.other, noise.keeper, evidence.left),
    ):
        keeps_grain = file.format in LOSSLESS or quality(file.quantisation) >= _FINE_GRAIN
        if its > _ADDED_GRAIN and mine < 0.4 * its and keeps_grain:
            return side
    return Side.UNKNOWN


def _by_colour(evidence: Evidence) -> Original:
    spreads = [_chroma(pixels) for pixels in (evidence.pair.keeper, evidence.pair.other)]
    for side, mine, its in ((Side.LEFT, spreads[0], spreads[1]), (Side.RIGHT, spreads[1], spreads[0])):
        if mine > 2 and its < _PALER * mine:
            return _is(side, "{1} lost its colours", sure=False)
    return Original()


def _chroma(pixels: Pixels) -> float:
    if pixels.ndim == 2:
        return 0.0
    blue, green, red = cv2.split(shrunk(pixels, 4).astype(np.float32))
    return float((blue - green).std() + (red - green).std())


def _by_clipping(evidence: Evidence) -> Original:
    ours, theirs = evidence.lost
    if bool(ours) == bool(theirs):
        return Original()
    return _is(Side.RIGHT if ours else Side.LEFT, f"{(ours or theirs)[0]} are cut off in {{1}}", sure=False)


def _by_format(evidence: Evidence) -> Original:
    """Propose a JPEG or lossless file over one in another lossy format."""
    files = (evidence.left, evidence.right)
    plain = [file.format in LOSSLESS or file.format in {"JPEG", "MPO"} for file in files]
    if plain[0] == plain[1]:
        return Original()
    return _is(Side.LEFT if plain[0] else Side.RIGHT, "{1} is in a format that programs convert to", sure=False)


def of_equal(left: FullPicture, right: FullPicture) -> Original:
    """Return the original of two files with equal pixels: a lossless file holds what a JPEG rounded."""
    return of_formats(left.format, right.format)


def of_formats(left: str, right: str) -> Original:
    """Return the original of two files with equal pixels by their formats, as Pillow names them."""
    for side, first, later in ((Side.LEFT, left, right), (Side.RIGHT, right, left)):
        if first in {"JPEG", "MPO"} and later in LOSSLESS:
            return _is(side, "{1} holds the rounded values of {0} and was made from it", sure=True)
    return Original()


def _by_quality(evidence: Evidence) -> Original:
    one, two = quality(evidence.left.quantisation), quality(evidence.right.quantisation)
    if not (one and two) or abs(one - two) <= 10:
        return Original()
    side = Side.LEFT if one > two else Side.RIGHT
    return _is(side, f"{{0}} was saved at quality {max(one, two)}, {{1}} at {min(one, two)}", sure=False)


def is_repeated(pixels: Pixels) -> bool:
    """Whether a picture was enlarged by repeating its rows and columns."""
    grey = luma(pixels).astype(np.int16)[:1024, :1024]
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        # The empty lines of a page are equal and repeat nothing.
        spread = grey.std(axis=1 - axis)
        steps = steps[np.maximum(spread[1:], spread[:-1]) > _EMPTY]
        if len(steps) < _FEWEST_LINES:
            return False
        if float(np.quantile(steps, 0.2)) >= _REPEATED * float(np.median(steps)):
            return False
    return True


def stretch(pixels: Pixels) -> float:
    """Return how much the levels of a picture jump, as they do after its tone curve was stretched."""
    counts = np.bincount(luma(pixels).ravel(), minlength=256).astype(np.float64)[4:252]
    if counts.sum() < 1000:
        return 0.0
    middle = (counts[:-2] + counts[2:]) / 2
    common = np.maximum(middle, counts[1:-1]) > counts.sum() / 2000
    if common.sum() < 20:
        return 0.0
    jumps = np.abs(counts[1:-1] - middle) / np.maximum(np.minimum(middle, counts[1:-1]), counts.sum() / 20000)
    return float(np.quantile(jumps[common], 0.9))
