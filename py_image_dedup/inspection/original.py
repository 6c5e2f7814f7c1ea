"""Decides which of two files the other one was made from, as far as the pixels show it: the rules, surest first.

No rule reads a name or the dates of a file. In the sentences the keeper is A and the other file B, so that they can be
exchanged; only reasons that hardly ever err are ``sure``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from py_image_dedup.inspection.align import Aligned, Matrix, Pixels, luma, shrunk
from py_image_dedup.inspection.lattice import LOSSLESS, PIXELS, Lattice, earlier_quality, lattice, quality
from py_image_dedup.inspection.shots import Noise
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.media.worker.inspect import SAMPLINGS, saved_again
from py_image_dedup.model.full_picture import FullPicture, ShotFacts
from py_image_dedup.model.inspection import Original, Side

_REPEATED = 0.35
"""Ratio of the 20th percentile to the median of the differences of neighbouring rows and columns."""
_EMPTY = 4.0
"""Grey levels of deviation along a row or column, below which there is nothing in it."""
_FEWEST_LINES = 16
_STRETCHED, _UNTOUCHED = 1.8, 1.3
"""Jumps of a histogram, 90th percentile: a stretched tone curve leaves gaps, a camera does not."""
_ADDED_GRAIN = 1.8
"""Grey levels of white noise that is in one file only, from which on it was added."""
_PALER = 0.25
"""Ratio of the spread of chroma below which colours were taken away."""
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
        explained: Returns the shares of the other file's blocks, and of the keeper's, that rounding explains after an
            edit of the whole of the other one; 0 where that was not measured.
        refuted: Sides whose file the other one was not saved from: it has blocks that this does not explain.
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
    explained: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
    refuted: frozenset[Side] = frozenset()
    _measured: dict[Side, Lattice | None] = field(default_factory=dict)

    @property
    def both_ways(self) -> Iterator[tuple[Side, Lattice | None, Lattice | None, FullPicture]]:
        """Each file as the original: it, its lattice, that of the other file, and the other file."""
        yield Side.LEFT, self.one, self.two, self.right
        yield Side.RIGHT, self.two, self.one, self.left

    @property
    def matrix(self) -> Matrix:
        """From the keeper's pixels to the other file's, 3 x 3."""
        return np.asarray(self.pair.to_other @ np.linalg.inv(self.pair.to_keeper), dtype=np.float64)

    @property
    def is_on_one_size(self) -> bool:
        """Whether neither file was resampled."""
        return max(self.pair.scale, 1 / self.pair.scale) <= _RESIZED

    def enlarged(self, side: Side) -> str:
        """The reason that the other file is this one, enlarged; empty if it is not larger."""
        scale = self.scale_of(side)
        return f"{{1}} is {{0}} enlarged {scale:.2g} x" if scale > THRESHOLDS.larger else ""

    def saved_again(self, side: Side) -> str:
        """The reason that the other file was saved from this one."""
        return f"{{1}} was saved again from {{0}} at quality {quality(self.file_of(_other(side)).quantisation)}"

    def scale_of(self, side: Side) -> float:
        """Pixels of the other file in one of this file, along a side."""
        return self.pair.scale if side is Side.LEFT else 1 / self.pair.scale

    def file_of(self, side: Side) -> FullPicture:
        """The file on a side."""
        return self.left if side is Side.LEFT else self.right

    def is_stored_otherwise(self, side: Side) -> bool:
        """Whether a file is neither a JPEG nor without loss, so that it has no steps that could be measured."""
        return self.file_of(side).format not in LOSSLESS | {"JPEG", "MPO"}

    def is_exact(self, side: Side) -> bool:
        """Whether each level of a file without loss follows from the other file."""
        found = self.measured(side)
        return found is not None and found.is_exact

    def measured(self, side: Side) -> Lattice | None:
        """How a file is foreseen from the other one: in its own steps, or in grey levels if it is no JPEG."""
        if side not in self._measured:
            found = self.one if side is Side.LEFT else self.two
            if found is None:
                matrix = self.matrix if side is Side.LEFT else np.linalg.inv(self.matrix)
                source = self.file_of(_other(side)).pixels
                found = lattice(self.file_of(side), source, np.asarray(matrix, dtype=np.float64), PIXELS)
            self._measured[side] = found
        return self._measured[side]


def _other(side: Side) -> Side:
    return Side.RIGHT if side is Side.LEFT else Side.LEFT


def judge(evidence: Evidence) -> Original:
    """Return the file that the other one was made from: the first rule that speaks."""
    for rule in (
        _by_repeated_pixels, _by_border, _by_lattice, _by_levels, _by_palette, _by_earlier_save, _by_histogram,
        _by_resolution, _by_saving_again, _by_edits, _by_weak_lattice, _by_grain, _by_colour, _by_clipping, _by_format,
        _by_detail,
    ):  # fmt: skip
        found = rule(evidence)
        if found.side is not Side.UNKNOWN:
            found = _unless_cut_off(found, evidence)
            return found if found.sure else by_camera_data(evidence.left.shot, evidence.right.shot) or found
    return by_camera_data(evidence.left.shot, evidence.right.shot) or Original()


def _unless_cut_off(found: Original, evidence: Evidence) -> Original:
    """Turn an original round that lacks levels of the other file: nothing is made of what was cut off before.

    A brightened sibling of a JPEG foresees all of its coefficients where neither is white, as a source would.
    """
    clipped = _by_clipping(evidence)
    return replace(clipped, sure=found.sure) if clipped.side is _other(found.side) else found


def by_camera_data(ours: ShotFacts, theirs: ShotFacts) -> Original | None:
    """Propose the file with the camera's data as the camera wrote them, ``None`` if they do not tell.

    They say less than pixels that prove something, because programs copy them, and more than pixels that do not.
    """
    for side, mine, its in ((Side.LEFT, ours, theirs), (Side.RIGHT, theirs, ours)):
        if mine.is_recorded and not its.is_recorded:
            return _is(side, "{0} has the data of its exposure, {1} has none", sure=False)
        if not (mine.is_recorded and its.is_recorded) or mine.camera != its.camera:
            continue
        if mine.is_unchanged and its.changed and not its.is_unchanged:
            return _is(side, f"{{1}} was saved by a program at {its.changed}, {{0}} when it was taken", sure=False)
    for side, mine, its in ((Side.LEFT, ours, theirs), (Side.RIGHT, theirs, ours)):
        if mine.is_recorded and mine.has_maker_note and not its.has_maker_note:
            return _is(side, "{0} has the camera's own data, which {1} lost", sure=False)
    return None


def judge_edited(evidence: Evidence) -> Original:
    """Return the file that the other one was made from, if both differ in a region: by what is the same around it."""
    for rule in (_by_repeated_pixels, _by_lattice, _by_levels, _by_palette, _by_weak_lattice):
        found = rule(evidence)
        if found.side is not Side.UNKNOWN:
            return found if found.sure else by_camera_data(evidence.left.shot, evidence.right.shot) or found
    return by_camera_data(evidence.left.shot, evidence.right.shot) or Original()


def _by_repeated_pixels(evidence: Evidence) -> Original:
    scale = evidence.pair.scale
    if scale > THRESHOLDS.larger and is_repeated(evidence.right.pixels):
        return _is(Side.LEFT, f"{{1}} is {{0}} enlarged {scale:.2g} x by repeating pixels", sure=True)
    if scale < 1 / THRESHOLDS.larger and is_repeated(evidence.left.pixels):
        return _is(Side.RIGHT, f"{{1}} is {{0}} enlarged {1 / scale:.2g} x by repeating pixels", sure=True)
    return Original()


def _by_lattice(evidence: Evidence) -> Original:
    """Decide by what each JPEG's own rounding explains of the difference.

    A file that was saved from the other one is foreseen with the error of its rounding, evenly spread over half a step.
    The file that it was saved from is not: its values are repeated, or more was lost than its own steps explain.
    """
    for side, first, later, _ in evidence.both_ways:
        if first is not None and first.is_repeated and (later is None or later.miss > 1.6 * first.miss):
            why = evidence.enlarged(side) or "{1} repeats the compression noise of {0} and was made from it"
            return _is(side, why, sure=True)
        found = Original()
        if later is not None and later.between and (first is None or not first.between):
            reason = f"{evidence.saved_again(side)}, after a save at quality {later.between}"
            found = _is(side, reason, sure=evidence.is_on_one_size)
        elif later is not None and later.is_rounding and side not in evidence.refuted:
            found = _by_rounding(evidence, side, later)
        if found.side is not Side.UNKNOWN:
            return found
    return Original()


def _by_rounding(evidence: Evidence, side: Side, later: Lattice) -> Original:
    """Decide whether a file of which all is foreseen but its own rounding was saved from the one on a side."""
    first = evidence.one if side is Side.LEFT else evidence.two
    again, enlarged = evidence.saved_again(side), evidence.enlarged(side)
    is_lossless = evidence.file_of(side).format in LOSSLESS
    if first is None:
        if enlarged:
            return _is(side, enlarged, sure=False) if is_lossless else Original()
        # What a lossless file was made of may be this JPEG, whose values it then repeats or follows exactly.
        is_free = evidence.is_stored_otherwise(side) or (is_lossless and not evidence.is_exact(side))
        return _is(side, again, sure=later.wide < _ROUNDED) if is_free else Original()
    if enlarged:
        # A soft picture is foreseen by its own reduction as well as by what it was enlarged from; a reduction does not
        # hold the file's values more exactly than its own steps do.
        return _is(side, enlarged, sure=first.is_within and first.miss < 0.75 * later.miss)
    if first.is_open and first.wide > 1.8 * later.wide:
        # An enlargement foresees all of the file that it was made from, so that rounding in the smaller file says
        # nothing on the direction: only detail that the larger file alone has does.
        is_reduced = evidence.scale_of(side) < 1 / THRESHOLDS.larger
        return _is(side, again, sure=evidence.is_on_one_size or (is_reduced and first.wide > _DETAILED))
    if first.is_within and first.miss < 0.83 * later.miss and later.miss > _HALF:
        return _is(side, "{1} holds all values of {0} to within less than they were rounded by", sure=False)
    return Original()


_ROUNDED = 0.1
"""Share of wide errors up to which rounding is certain where nothing is known about the other file's own."""
_HALF = 0.24
"""Median error of rounding in steps, from which on a file may have been saved from the other one."""
_DETAILED = 0.6
"""Share of wide errors of the larger file's lattice from which on it holds detail that the smaller one lacks: files
enlarged by interpolation had 0.59 at most, real reductions to half of the side left 0.87 at least."""
_RESIZED = 1.005
"""Ratio of sides from which on one file was resampled; the alignment of a part errs by less."""


def _by_levels(evidence: Evidence) -> Original:
    """Find a file without loss whose levels are foreseen to within their rounding to whole numbers.

    A JPEG of fine quality is as near to what it was saved from, so that its own rounding must not explain as much.
    """
    for side, first, _, copy in evidence.both_ways:
        if copy.format not in LOSSLESS or evidence.file_of(side).format in LOSSLESS:
            continue
        known = first is None and evidence.is_stored_otherwise(side)
        if not known and (first is None or first.is_rounding):
            continue
        later = evidence.measured(_other(side))
        if later is not None and later.is_exact:
            reason = "each level of {1} follows from {0}, rounded once"
            if later.between:
                reason = f"{{1}} holds the values of {{0}} after a save at quality {later.between}"
            return _is(side, evidence.enlarged(side) or reason, sure=True)
    if not all(file.format in LOSSLESS for file in (evidence.left, evidence.right)):
        return Original()
    for side in (Side.LEFT, Side.RIGHT):
        first, later = evidence.measured(side), evidence.measured(_other(side))
        if first is None or later is None:
            continue
        if later.is_exact and not first.is_exact and first.miss > 2 * later.miss:
            return _is(side, "each level of {1} follows from {0}, rounded once, and not the other way round", sure=True)
    return Original()


def _by_palette(evidence: Evidence) -> Original:
    """Find the file whose colours were reduced to a palette; a JPEG of a palette is told by its rounding before."""
    for side in (Side.LEFT, Side.RIGHT):
        file, copy = evidence.file_of(side), evidence.file_of(_other(side))
        if copy.mode in _PALETTES and file.mode not in {*_PALETTES, "1"} and file.is_coloured:
            return _is(side, "{1} has the 256 colours of a palette, {0} all of them", sure=True)
    return Original()


_PALETTES = frozenset({"P", "PA"})
"""Modes, as Pillow names them, in which pixels are numbers of a palette."""


def by_edit(words: str) -> Original:
    """Return that the other file is an edit of the keeper, level by level, and the keeper no edit of the other file."""
    return _is(
        Side.LEFT, f"{{1}} is what {words} makes of {{0}}, level by level, and not the other way round", sure=True
    )


def _by_edits(evidence: Evidence) -> Original:
    """Propose the file of which an edit explains the other one better than the other way round.

    Coarse steps are explained by whatever is near, so that only a file with steps as fine counts as an edited one.
    """
    later, first = evidence.explained()
    steps = [
        sum(file.quantisation[0]) if file.quantisation else 64 * (file.format in LOSSLESS)
        for file in (evidence.left, evidence.right)
    ]
    if not all(steps) or not first:
        return Original()
    for side, mine, its, is_fine in (
        (Side.LEFT, first, later, steps[1] <= _AS_FINE * steps[0]),
        (Side.RIGHT, later, first, steps[0] <= _AS_FINE * steps[1]),
    ):
        is_better = its > _EXPLAINED and (1 - its < (1 - mine) / 2 or its > 1.5 * mine)
        if is_fine and is_better:
            return _is(side, "{1} is explained as an edit of {0}, and not the other way round", sure=False)
    return Original()


_AS_FINE = 1.25
"""Ratio of steps up to which one file is as fine as another one."""
_EXPLAINED = 0.4
"""Share of blocks that an edit has to explain."""


def _by_weak_lattice(evidence: Evidence) -> Original:
    """Compare two lattices that do not decide alone; a proposal."""
    one, two = evidence.one, evidence.two
    if one is None or two is None:
        return Original()
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        if first.is_within and first.miss < 0.8 * later.miss and later.miss > _NOT_REPEATED:
            return _is(side, "{1} holds compression noise of {0}", sure=False)
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        is_even = later.reach < _EVEN_ENOUGH and side not in evidence.refuted
        if is_even and later.wide < 0.35 and first.wide > 2.2 * later.wide and first.wide > 0.1:
            return _is(side, "most of what {1} lacks of {0} is lost in rounding", sure=False)
    return Original()


_NOT_REPEATED = 0.2
"""Median error in steps from which on values are not repeated, whatever a tone curve made of the steps."""
_EVEN_ENOUGH = 2.3
"""Reach of errors up to which they may be those of rounding; noise has 2.4 and more."""


def _by_resolution(evidence: Evidence) -> Original:
    """Distinguish a reduction from an enlargement; a proposal, because soft pictures have little to lose."""
    scale = evidence.pair.scale
    if 1 / THRESHOLDS.larger <= scale <= THRESHOLDS.larger:
        return Original()
    larger = Side.RIGHT if scale > 1 else Side.LEFT
    smaller = _other(larger)
    big, small = evidence.measured(larger), evidence.measured(smaller)
    if big is None or small is None:
        # A thumbnail has too few coefficients, and is seldom what somebody enlarges.
        is_much_larger = max(scale, 1 / scale) > _THUMBNAIL
        if not is_much_larger and big is None:
            return Original()
        has_more = is_much_larger or has_resolution(big, evidence.gain)
    else:
        has_more = big.unforeseen > _MORE_DETAIL * small.unforeseen
    if has_more:
        return _is(larger, "{1} was reduced, fine detail is gone", sure=False)
    return _is(smaller, f"{{1}} is {{0}} enlarged {max(scale, 1 / scale):.2g} x", sure=False)


_THUMBNAIL = 1.7
"""Ratio of sides from which on the larger of two files is proposed, if the smaller one is too small to compare."""
_MORE_DETAIL = 1.4
"""Ratio of what is not foreseen of each file, from which on the larger one has detail that the smaller one lacks."""


def _by_detail(evidence: Evidence) -> Original:
    """Propose the file of which less is foreseen: each filter and each encoder takes something away."""
    one, two = evidence.measured(Side.LEFT), evidence.measured(Side.RIGHT)
    if one is None or two is None:
        return Original()
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        if first.is_open and first.unforeseen > 1.1 * later.unforeseen and first.unforeseen > 0.035:
            return _is(side, "{0} has detail that {1} lacks", sure=False)
    return Original()


def _by_saving_again(evidence: Evidence) -> Original:
    """Save a part of each file with the tables of the other one: the copy comes out exactly."""
    left, right = evidence.left, evidence.right
    is_turned = not np.allclose(evidence.matrix, np.eye(3), atol=1e-3)
    if left.pixels.shape != right.pixels.shape or is_turned:
        return Original()
    to_right, to_left = saved_error(left, right), saved_error(right, left)
    is_alike = abs(quality(left.quantisation) - quality(right.quantisation)) <= 3
    for side, forth, back in ((Side.LEFT, to_right, to_left), (Side.RIGHT, to_left, to_right)):
        # What was saved again more finely gives both nearly; at one quality each save loses a little.
        nearly, otherwise = (0.02, 0.05) if is_alike else (_SAVED_EXACTLY, _SAVED_OTHERWISE)
        if forth < nearly and back > max(otherwise, 4 * forth):
            return _is(side, "saving {0} again gives exactly {1}", sure=True)
    return Original()


_SAVED_EXACTLY = 0.1
"""Grey levels, mean over the pixels and channels; encoders differ by single units at ties only."""
_SAVED_OTHERWISE = 0.2
"""Grey levels by which the result differs in the other direction at least."""


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
    """Find the file with noise that a program added: white, and as strong everywhere."""
    if not evidence.is_on_one_size:
        return Original()
    one, two = evidence.measured(Side.LEFT), evidence.measured(Side.RIGHT)
    if one is None or two is None:
        return Original()
    for side, first, later in ((Side.LEFT, one, two), (Side.RIGHT, two, one)):
        # Seen from the other side, a filter that fits takes a part of the noise away.
        if later.grain > _ADDED_GRAIN and first.grain < later.grain:
            return _is(side, "{1} has grain added", sure=False)
    return Original()


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


def saved_error(source: FullPicture, copy: FullPicture) -> float:
    """Return how far a file is from another one saved with its tables, mean grey levels in a part of both.

    Args:
        source: The file to be saved.
        copy: The file whose tables and chroma are used; infinitely far if it is no JPEG in colour.
    """
    if copy.subsampling not in SAMPLINGS or copy.pixels.ndim != source.pixels.ndim:
        return math.inf
    height, width = (min(length, _PART) for length in source.pixels.shape[:2])
    rows, columns = (
        slice(start, start + length)
        for start, length in (
            ((source.pixels.shape[0] - height) // 32 * 16, height), ((source.pixels.shape[1] - width) // 32 * 16, width)
        )
    )  # fmt: skip
    again = saved_again(source.pixels[rows, columns], copy.quantisation, copy.subsampling)
    # The neighbourhood of a block that lies outside of the part has its share in the chroma at its edge.
    inner = np.s_[16:-16, 16:-16]
    if not again[inner].size:
        return math.inf
    return float(cv2.absdiff(again, np.ascontiguousarray(copy.pixels[rows, columns]))[inner].mean())


_PART = 512
"""Side of the part that is saved again, pixels; its corner is that of a block of 16, in which chroma is stored."""


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


_COUNTED = 1_000_000
"""Pixels that levels are counted in; some 4000 for each, so that gaps are no chance."""


def stretch(pixels: Pixels) -> float:
    """Return how much the levels of a picture jump, as they do after its tone curve was stretched."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / _COUNTED))
    few = np.ascontiguousarray(pixels[::step, ::step])
    counts = np.bincount(luma(few).ravel(), minlength=256).astype(np.float64)[4:252]
    if counts.sum() < 1000:
        return 0.0
    middle = (counts[:-2] + counts[2:]) / 2
    common = np.maximum(middle, counts[1:-1]) > counts.sum() / 2000
    if common.sum() < 20:
        return 0.0
    jumps = np.abs(counts[1:-1] - middle) / np.maximum(np.minimum(middle, counts[1:-1]), counts.sum() / 20000)
    return float(np.quantile(jumps[common], 0.9))
