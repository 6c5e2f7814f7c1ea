"""Two files compared in full: may the one go for the other?

A file may go only if the keeper has everything that is in it. The questions, in this order: is there enough to see; do
both show the same; is it one exposure; is anything different inside; and does the other file hold anything more?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from py_image_dedup.inspection import original as origin
from py_image_dedup.inspection.align import Aligned, Matrix, Pixels, align, luma, plain, turn, unturned
from py_image_dedup.inspection.coefficients import plain_lattice, plain_lattices
from py_image_dedup.inspection.detail import (
    closest,
    gain_beyond,
    has_less_detail,
    has_other_alpha,
    has_structure,
    is_equal,
    is_on_pixels,
    is_page,
    is_poor,
    lacking,
    lost_levels,
    more,
    of_other_kind,
    on_one_ground,
    outside,
)
from py_image_dedup.inspection.difference import Difference, difference, differing, grouped
from py_image_dedup.inspection.lattice import (
    LOSSLESS,
    Lattice,
    as_saved_before,
    earlier_quality,
    lattice,
    quality,
    steps_of,
)
from py_image_dedup.inspection.lattice import gain as gain_of
from py_image_dedup.inspection.reencoding import Edited, Reencoding, edited, reencoding, reencodings
from py_image_dedup.inspection.regions import describe, missing, step_across, within
from py_image_dedup.inspection.resampling import best_lattice, reduced_anew
from py_image_dedup.inspection.shots import (
    Exposure,
    Noise,
    exposure,
    is_filtered,
    is_on_one_scale,
    is_reduced,
    is_repeated,
    measure_noise,
    other_moment,
    rounding_noise,
)
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Inspection, Original, Outcome, Region, Side
from py_image_dedup.model.match import Orientation

_BLOCK = 8
"""Pixels of the side of a block of a JPEG."""
_EDITED = "The same photo, but something inside differs."
_LIGHTER = 6.0
"""Grey levels by which two exposures differ in light at least, on average."""
_BEYOND_ROUNDING = 1.2
"""Ratio of noise to what rounding leaves, from which on encoding does not explain it; two files of one source had
1.16."""
_ADDED = 0.25
"""Ratio of the noise of two files below which some was added to one: a poorer quality takes three quarters at most."""
_SAME_AREA = 1.1
"""Ratio of areas up to which noise is as strong as it was."""
_AROUND = 16
"""Pixels around changed blocks that smoothing reaches."""
_HALVED = 0.1
"""Share of the picture that differs from which on a step across it is looked for."""
_CROPPED = 0.03
"""Share of the keeper that is missing in the other file from which on that is a part."""


def inspect(
    keeper: FullPicture,
    other: FullPicture,
    transform: Matrix | None = None,
    orientation: Orientation | None = None,
) -> Inspection:
    """Compare two files in full.

    Args:
        keeper: The file that stays; A in what is reason of the original.
        other: The file that would go; B.
        transform: 2 x 3 or 3 x 3, from the keeper's pixels to the other's, whose centres are whole numbers; ``None``
            if the whole of one is the whole of the other.
        orientation: The turn that makes the keeper look like the other, if it is known.

    Returns:
        What the two are to each other.

    Thread-safety: any number of threads.
    """
    lacks = lacking(keeper, other)
    has_more = lacking(other, keeper)
    facts = origin.by_facts(has_more, lacks)
    if keeper.has_too_many_frames or other.has_too_many_frames:
        return Inspection(Outcome.UNDECIDED, "One of the files has too many frames to compare them all.", lacks=lacks)
    apart = of_other_kind(keeper, other)
    if apart and not lacks:
        return Inspection(Outcome.PARTIAL, apart, original=facts)
    if is_equal(keeper, other):
        known = facts if facts.side is not Side.UNKNOWN else origin.of_equal(keeper, other)
        return _of_equal(lacks, has_more, known)
    if min(keeper.width, keeper.height, other.width, other.height) < THRESHOLDS.fewest_side:
        return Inspection(
            Outcome.UNDECIDED, "One of the files is too small to be compared.", lacks=lacks, original=facts
        )
    if keeper.alpha is None and other.alpha is None:
        orientation = turn(keeper.pixels, other.pixels, orientation)
    encoded = _Encoded.of(keeper, other, transform, orientation)
    if encoded is not None and has_structure(other.pixels):
        if encoded.other is not None and encoded.other.is_whole and is_repeated(other, encoded.shown, keeper):
            return _of_reencoded(keeper, other, encoded, lacks, has_more, facts)
        if encoded.is_edit and not other_moment(keeper.shot, other.shot):
            return _of_edited(keeper, other, encoded, lacks, has_more)
    settled = encoded is not None and encoded.is_settled
    pair = align(*on_one_ground(keeper, other), transform, orientation, settled=settled)
    return _Question(keeper, other, pair, lacks, has_more, facts, encoded).answer()


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """Two files, each looked at as an encoding of the other one.

    Attributes:
        shown: The keeper's pixels, turned and reduced as the other file is.
        to_keeper: 3 x 3, from the other file's pixels to the keeper's.
        other: The other file as an encoding of the keeper; ``None`` if its format says nothing.
        keeper: The keeper, turned as the other file is, as an encoding of it; ``None`` as well if the first is whole,
            or the keeper was turned or reduced.
        edited: The keeper, edited as a whole as the other file may be; ``None`` if they are explained without.
    """

    shown: Pixels
    to_keeper: Matrix
    other: Reencoding | None
    keeper: Reencoding | None
    edited: Edited | None = None

    @staticmethod
    def of(
        keeper: FullPicture, other: FullPicture, transform: Matrix | None, orientation: Orientation | None
    ) -> _Encoded | None:
        if keeper.alpha is not None or other.alpha is not None:
            return None
        to_keeper = plain(keeper.pixels, other.pixels, transform, orientation)
        if to_keeper is None:
            return None
        shown, rest = unturned(keeper.pixels, to_keeper)
        if shown.shape[:2] != other.pixels.shape[:2]:
            if shown.shape[0] < other.pixels.shape[0] or shown.shape[1] < other.pixels.shape[1]:
                return None
            anew = reduced_anew(other, keeper.pixels, to_keeper)
            return None if anew is None else _Encoded(anew, to_keeper, reencoding(other, anew), None)
        if not np.allclose(rest, np.eye(3)):
            return None
        if np.allclose(to_keeper, np.eye(3)):
            found = _Encoded(shown, to_keeper, *reencodings(other, keeper))
        else:
            found = _Encoded(shown, to_keeper, reencoding(other, shown), None)
        return found if found.is_settled else replace(found, edited=edited(other, shown))

    @property
    def is_settled(self) -> bool:
        """Whether blocks are explained that no shift by a part of a pixel leaves so."""
        return self.changed is not None or any(one is not None and one.is_whole for one in (self.other, self.keeper))

    @property
    def is_edit(self) -> bool:
        """Whether the other file is the keeper, edited as a whole."""
        return self.edited is not None and self.edited.is_all

    def refuted(self, undone: Callable[[], Edited | None]) -> frozenset[Side]:
        """Return the sides whose file the other one was not saved from, though most of it is explained so."""
        near = [(Side.LEFT, self.edited)] if self.other is not None and self.other.is_near else []
        if self.keeper is not None and self.keeper.is_near:
            near.append((Side.RIGHT, undone()))
        return frozenset(side for side, edit in near if edit is None or not edit.found.is_whole)

    @property
    def changed(self) -> Pixels | None:
        """Blocks that were changed, 1 or 0, in the direction that explains more; ``None`` if there are none."""
        both = [one for one in (self.other, self.keeper) if one is not None]
        best = max(both, key=lambda one: one.explained, default=None)
        return best.changed.astype(np.uint8) if best is not None and best.changed.any() else None


def _of_reencoded(
    keeper: FullPicture,
    other: FullPicture,
    encoded: _Encoded,
    lacks: tuple[str, ...],
    has_more: tuple[str, ...],
    facts: Original,
) -> Inspection:
    """Return what two files are of which the other is what encoding the keeper makes: it shows nothing else."""
    height, width = other.pixels.shape[:2]
    valid = np.ones((height, width), dtype=np.bool_)
    scale = (height * width / (keeper.height * keeper.width)) ** 0.5
    is_exact = scale == 1
    pair = Aligned(encoded.shown, other.pixels, valid, encoded.to_keeper, np.eye(3), 1.0, scale, is_exact)
    found = facts
    if found.side is Side.UNKNOWN:
        one, two = plain_lattices((encoded.shown, other.pixels), (keeper if is_exact else None, other))
        gain = 0.0
        if not is_exact:
            forth = np.asarray(np.linalg.inv(encoded.to_keeper), dtype=np.float64)
            one = lattice(keeper, other.pixels, forth)
            gain = 0.0 if keeper.quantisation else gain_of(keeper.pixels, other.pixels, forth, 1 / scale)
        evidence = origin.Evidence(keeper, other, pair, one, two, Noise(0, 0, 0), gain, (False, False), ((), ()))
        found = origin.judge(evidence)
    if lacks:
        return more(lacks, has_more, found)
    reason = "The other file is what encoding the keeper makes, block by block, to within the rounding of its values."
    return Inspection(Outcome.COVERED, reason, original=found)


def _of_edited(
    keeper: FullPicture, other: FullPicture, encoded: _Encoded, lacks: tuple[str, ...], has_more: tuple[str, ...]
) -> Inspection:
    """Return what two files are of which the other is the keeper, edited as a whole: it shows nothing else."""
    turned = replace(keeper, pixels=encoded.shown)
    back = edited(turned, other.pixels)
    # Colours that follow from the levels of the other file are nothing that a file has of its own.
    lacks = tuple(name for name in lacks if name != "colour")
    if back is not None and back.is_all:
        has_more = tuple(name for name in has_more if name != "colour")
    found = origin.by_facts(has_more, lacks)
    edit = encoded.edited
    if found.side is Side.UNKNOWN and edit is not None:
        height, width = other.pixels.shape[:2]
        valid = np.ones((height, width), dtype=np.bool_)
        pair = Aligned(encoded.shown, other.pixels, valid, encoded.to_keeper, np.eye(3), 1.0, 1.0, is_exact=True)
        one = plain_lattice(turned, other.pixels) if back is None else back.lattice
        cut = ((), lost_levels(other.pixels, encoded.shown, valid))
        shares = (edit.found.explained, 0.0 if back is None else back.found.explained)
        evidence = origin.Evidence(
            keeper, other, pair, one, edit.lattice, Noise(0, 0, 0), 0.0, (False, False), cut, lambda: shares
        )
        if edit.lattice is None and not (back is not None and back.is_all):
            found = origin.by_edit(edit.words)
        else:
            found = origin.judge(replace(evidence, refuted=encoded.refuted(lambda: back)))
    if lacks:
        return more(lacks, has_more, found)
    what = f"after {edit.words}, " if edit else ""
    reason = f"The other file is what encoding the keeper makes {what}to within the rounding of its values."
    return Inspection(Outcome.COVERED, reason, original=found)


def _of_equal(lacks: tuple[str, ...], has_more: tuple[str, ...], facts: Original) -> Inspection:
    if lacks:
        return more(lacks, has_more, facts)
    return Inspection(Outcome.COVERED, "Every pixel of the first picture is equal.", original=facts)


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    keeper: FullPicture
    other: FullPicture
    pair: Aligned
    lacks: tuple[str, ...]
    has_more: tuple[str, ...]
    facts: Original
    encoded: _Encoded | None = None
    lattices: list[Lattice | None] = field(default_factory=list)
    """Of the keeper and of the other file, once they were measured."""
    undone: list[Edited | None] = field(default_factory=list)
    """What ``_undone`` returned, once it was called."""

    def answer(self) -> Inspection:
        pair = self.pair
        if not (has_structure(pair.keeper) and has_structure(pair.other)) or pair.valid.mean() < 0.02:
            return self._result(Outcome.UNDECIDED, "There is too little in the pictures to compare.")
        if pair.correlation < THRESHOLDS.same_correlation:
            reason = f"The pictures do not show the same: they agree to {100 * max(0.0, pair.correlation):.0f} %."
            return self._result(Outcome.DIFFERENT, reason, missing(pair))
        first = None if self.encoded is None else self.encoded.keeper
        if first is not None and first.is_whole and is_repeated(self.keeper, self.other.pixels, self.other):
            return self._rest(Noise(0, 0, 0))
        changed = self._changed()
        if changed is not None:
            return changed
        noise = measure_noise(pair)
        edited = self._edited()
        if edited is not None and edited.original.sure and edited.original != self.facts:
            return edited  # damage says more than noise does
        return self._another_shot(noise) or edited or self._view() or self._proven(self._rest(noise), noise)

    def _result(self, outcome: Outcome, reason: str, original: Original | None = None) -> Inspection:
        known = original if original is not None and original.side is not Side.UNKNOWN else self.facts
        return Inspection(outcome, reason, lacks=self.lacks, original=known)

    def _another_shot(self, noise: Noise) -> Inspection | None:
        moment = other_moment(self.keeper.shot, self.other.shot)
        scaled, level = is_reduced(self.pair), is_on_one_scale(self.pair)
        beyond = self._beyond_rounding(noise) if level and noise.is_on_both else (False, False)
        suspicious = noise.is_independent and (scaled or all(beyond))
        exposed = any(beyond) and (self._are_alike() or self._is_exposed_otherwise() or self._are_unforeseen(noise))
        if exposed and not self._was_derived() and not is_filtered(self.keeper, self.other, self.pair, noise):
            return self._result(Outcome.ANOTHER_SHOT, noise.sentence)
        if not (moment or suspicious) or self._is_derived(noise, scaled=scaled, moment=bool(moment)):
            return None
        same_kind = noise.is_strong and self.keeper.format == self.other.format and not scaled
        if suspicious and (self._shows_all() or same_kind):
            return self._result(Outcome.ANOTHER_SHOT, noise.sentence)
        if moment:
            return self._result(Outcome.ANOTHER_SHOT, f"The camera says that they are two exposures: {moment}.")
        return None

    def _are_alike(self) -> bool:
        """Whether two files with one table of steps are foreseen equally badly, as two exposures of one camera are."""
        if not self.keeper.quantisation or self.keeper.quantisation[0] != (self.other.quantisation or ((),))[0]:
            return False
        one, two = self._lattices()
        if one is None or two is None:
            return False
        better, worse = sorted((one.wide, two.wide))
        return better > THRESHOLDS.foreseen_by_neither and better > THRESHOLDS.foreseen_alike * worse

    def _is_exposed_otherwise(self) -> bool:
        """Whether neither file is foreseen from the other one, and one is lighter: an edit of tone is foreseen."""
        inside = self.pair.valid[::3, ::3]
        keeper, other = (
            luma(pixels)[::3, ::3][inside].astype(np.int16) for pixels in (self.pair.keeper, self.pair.other)
        )
        if not inside.any() or abs(float(keeper.mean()) - float(other.mean())) < _LIGHTER:
            return False
        return all(one is not None and one.wide > THRESHOLDS.foreseen_by_neither for one in self._lattices())

    def _are_unforeseen(self, noise: Noise) -> bool:
        """Whether neither file foresees the other's coefficients, as those of one scene with other noise."""
        if min(noise.keeper, noise.other) < _ADDED * max(noise.keeper, noise.other):
            return False
        return all(one is not None and one.wide > THRESHOLDS.unforeseen for one in self._lattices())

    def _shows_all(self) -> bool:
        """Whether each file would show that it was made from the other one: by its coefficients, or without loss.

        WebP and AVIF smooth away what the coefficients of the other file would repeat.
        """
        measured = zip(self._lattices(), (self.keeper, self.other), strict=True)
        return any(self._lattices()) and all(one is not None or file.format in LOSSLESS for one, file in measured)

    def _is_derived(self, noise: Noise, *, scaled: bool, moment: bool) -> bool:
        """Whether the coefficients of one JPEG are foreseen from the other file to within rounding.

        Args:
            noise: What each picture has of its own.
            scaled: The other file is smaller: noise averages out in it, and its coefficients alone tell.
            moment: The cameras say that they are two exposures, which only a closer forecast refutes.
        """
        found = [one for one in (self._lattices()[1:] if scaled else self._lattices()) if one is not None]
        if not found:
            return scaled and not moment
        best = min(one.wide for one in found)
        if scaled:
            if moment:
                return best < THRESHOLDS.foreseen_exactly or self._is_reduced_anew(THRESHOLDS.foreseen_exactly)
            # Two files that were saved from one source differ by the rounding of both, and by no more.
            is_rounding = noise.other < _BEYOND_ROUNDING * self._rounding(self.other, self.pair.to_other)
            met = THRESHOLDS.foreseen_reduced if is_rounding else THRESHOLDS.foreseen_exactly
            return best < THRESHOLDS.foreseen_reduced or self._is_reduced_anew(met)
        return best < (THRESHOLDS.foreseen_by_neither if moment else THRESHOLDS.foreseen) or self._was_derived()

    def _proven(self, found: Inspection, noise: Noise) -> Inspection:
        """Return what was found, if one file is foreseen from the other as a copy is: likeness proves no copy."""
        if found.outcome is not Outcome.COVERED:
            return found
        keeper, other = as_saved_before(self.keeper), as_saved_before(self.other)
        lattices = self._lattices()
        if keeper is not self.keeper or other is not self.other:
            lattices = [lattice(keeper, other.pixels, self._forth), lattice(other, keeper.pixels, self._back)]
        told = exposure(keeper, other, self.pair, lattices, noise)
        # The paper of a page that no camera took is without noise: what differs of it is legible, or rounding.
        if told is Exposure.SAME or (told is Exposure.EMPTY and is_page(self.pair.other)):
            return found
        return self._result(told.outcome, told.value, found.original)

    def _beyond_rounding(self, noise: Noise) -> tuple[bool, bool]:
        """Return for each file whether its noise is more than its encoding leaves: rounding alone is no camera's."""
        return (
            noise.keeper >= _BEYOND_ROUNDING * self._rounding(self.keeper, self.pair.to_keeper),
            noise.other >= _BEYOND_ROUNDING * self._rounding(self.other, self.pair.to_other),
        )

    def _rounding(self, file: FullPicture, matrix: Matrix) -> float:
        """Return the noise that rounding left; 0 if the file is no JPEG, or noise was measured on another scale."""
        is_on_its_scale = 1 / _SAME_AREA < abs(float(np.linalg.det(matrix[:2, :2]))) < _SAME_AREA
        return rounding_noise(file.pixels, file.quantisation[0]) if file.quantisation and is_on_its_scale else 0.0

    def _is_reduced_anew(self, bound: float) -> bool:
        """Whether reducing the keeper meets the other file, in its own steps or in those of an earlier save of it."""
        files = [self.other]
        earlier = earlier_quality(self.other)
        if 0 < earlier < quality(self.other.quantisation):
            files.append(replace(self.other, quantisation=(steps_of(earlier),)))
        found = (best_lattice(file, self.keeper.pixels, self._back) for file in files)
        return any(one is not None and one.wide < bound for one in found)

    def _was_derived(self) -> bool:
        """Whether one JPEG was derived from the other file in two steps: foreseen in the steps of an earlier save."""
        for file, source, matrix in (
            (self.other, self.keeper, self._back),
            (self.keeper, self.other, self._forth),
        ):
            earlier = earlier_quality(file) if file.quantisation or file.format in LOSSLESS else 0
            if not earlier or earlier >= (quality(file.quantisation) or 101):
                continue
            found = lattice(file, source.pixels, matrix, steps_of(earlier))
            if found is not None and found.wide < THRESHOLDS.foreseen:
                return True
        return False

    def _changed(self) -> Inspection | None:
        """Return the edit that is left where rounding explains nearly all of one file's blocks."""
        blocks = None if self.encoded is None else self.encoded.changed
        if blocks is None:
            return None
        height, width = self.other.pixels.shape[:2]
        near = cv2.dilate(blocks, np.ones((3, 3), np.uint8))
        wide = np.repeat(np.repeat(near, _BLOCK, axis=0), _BLOCK, axis=1)[:height, :width]
        size = self.pair.valid.shape[::-1]
        there = cv2.resize(wide, size, interpolation=cv2.INTER_NEAREST) > 0
        mask = np.zeros_like(there)
        left, top, across, down = cv2.boundingRect(there.view(np.uint8))
        part = np.s_[max(0, top - _AROUND) : top + down + _AROUND, max(0, left - _AROUND) : left + across + _AROUND]
        shown = replace(self.pair, keeper=self.pair.keeper[part], other=self.pair.other[part])
        np.logical_and(there[part], differing(shown), out=mask[part])
        return self._of(grouped(mask if mask.any() else there, self.pair.valid))

    def _edited(self) -> Inspection | None:
        found = self._after_edit(difference(self.pair))
        if not found.spots:
            step = step_across(self.pair)
            if step is not None:
                return self._stepped(*step)
            if found.usual <= THRESHOLDS.legible or not is_page(self.pair.other):
                return None
            found = closest(self.pair, self.keeper, self.other, found)
            if found.usual > THRESHOLDS.legible:
                return self._result(Outcome.UNDECIDED, "The pages agree too roughly to tell whether a figure differs.")
        return self._of(found) if found.spots else None

    def _after_edit(self, found: Difference) -> Difference:
        """Compare one file with the other one as it was edited as a whole, if that foresees more."""
        encoded, pair = self.encoded, self.pair
        is_close = not found.spots and found.usual <= THRESHOLDS.legible
        if encoded is None or encoded.edited is None or is_close or not is_on_pixels(pair, self.keeper, self.other):
            return found
        made = [replace(pair, keeper=encoded.edited.pixels)] if encoded.edited.is_likely else []
        undone = self._undone()
        if undone is not None and undone.is_likely:
            made.append(replace(pair, other=undone.pixels))
        return min((found, *map(difference, made)), key=lambda one: one.usual)

    def _undone(self) -> Edited | None:
        """Return the edit of the other file that explains the keeper best."""
        if not self.undone and self.encoded is not None:
            self.undone.append(edited(replace(self.keeper, pixels=self.encoded.shown), self.other.pixels))
        return self.undone[0] if self.undone else None

    def _of(self, found: Difference) -> Inspection:
        if found.share > THRESHOLDS.most_changed:
            reason = f"The pictures differ in {100 * found.share:.0f} % of their area."
            return self._result(Outcome.DIFFERENT, reason, missing(self.pair))
        regions, whole = describe(self.pair, found)
        best = whole if whole.side is not Side.UNKNOWN else self.facts
        # A step divides the picture in two halves, neither of which is a region.
        step = step_across(self.pair) if not best.sure and found.share > _HALVED else None
        if step is not None and step[1].side is not Side.UNKNOWN:
            return self._stepped(*step)
        if not best.sure:
            # Copies of one photo, one of which was drawn on, are foreseen from each other as well: what is around a
            # difference proves nothing unless the difference says the same.
            around = self._around()
            if around.side is not Side.UNKNOWN:
                best = replace(around, sure=around.sure and around.side is best.side)
        return replace(
            self._result(Outcome.EDITED, _EDITED, best),
            regions=tuple(within(region, self.keeper) for region in regions),
        )

    def _stepped(self, region: Region, whole: Original) -> Inspection:
        original = whole if whole.side is not Side.UNKNOWN else replace(self._around(), sure=False)
        return replace(self._result(Outcome.EDITED, _EDITED, original), regions=(within(region, self.keeper),))

    def _around(self) -> Original:
        """Return the original by what is the same around a difference."""
        return origin.judge_edited(self._evidence(Noise(0, 0, 0)))

    def _view(self) -> Inspection | None:
        """Compare what lies outside of the common area."""
        pair = self.pair
        beyond_other = outside(self.keeper, pair.to_keeper, pair.valid)[0]
        beyond_keeper = outside(self.other, pair.to_other, pair.valid)[0]
        if beyond_keeper > 1 - THRESHOLDS.whole:
            part = Original(
                Side.RIGHT,
                sure=beyond_other < 0.3 * beyond_keeper,
                reason=f"A is a part of B, {100 * beyond_keeper:.0f} % cut off",
            )
            reason = f"The other file shows {100 * beyond_keeper:.0f} % more than the keeper."
            found = self._result(Outcome.PARTIAL, reason, part if part.sure else None)
            return replace(found, lacks=(*self.lacks, "field of view"))
        if beyond_other > _CROPPED:
            part = Original(Side.LEFT, sure=True, reason=f"B is a part of A, {100 * beyond_other:.0f} % cut off")
            return self._result(
                Outcome.PARTIAL,
                f"The other file is a part of the keeper, {100 * beyond_other:.0f} % are cut off.",
                part,
            )
        return None

    def _rest(self, noise: Noise) -> Inspection:
        lacks = list(self.lacks)
        lost = lost_levels(self.pair.keeper, self.pair.other, self.pair.valid)
        gain = gain_beyond(self.keeper, self.other, self.pair.scale, self._forth)
        original = self.facts if self.facts.side is not Side.UNKNOWN else self._made_from(noise, lost, gain)
        if has_other_alpha(self.keeper, self.other):
            lacks.append("transparency")
        is_larger = self.pair.scale > THRESHOLDS.larger
        # What was made from the keeper has nothing more, however rounding changed it; facts alone do not prove that.
        first = self._lattices()[0]
        is_made = (original.side is Side.LEFT and original.sure and self.facts.side is Side.UNKNOWN) or (
            first is not None and first.is_within
        )
        if is_larger and not is_made and origin.has_resolution(self._lattices()[1], gain):
            lacks.append("resolution")
        if not is_made and (has_less_detail(self.pair) or is_poor(self.keeper, self.other, self.pair.scale)):
            lacks.append("detail")
        if not is_made:
            lacks.extend(lost)
        if lacks:
            return more(tuple(lacks), self.has_more, original)
        height, width = self.pair.valid.shape
        reason = f"The keeper has everything that is in the other file, compared at {width} x {height} pixels."
        return Inspection(Outcome.COVERED, reason, original=original)

    def _made_from(self, noise: Noise, lost: tuple[str, ...], gain: float) -> Original:
        pair = self.pair
        bordered = (
            outside(self.keeper, pair.to_keeper, pair.valid)[1],
            outside(self.other, pair.to_other, pair.valid)[1],
        )
        cut = (lost, lost_levels(pair.other, pair.keeper, pair.valid))
        refuted = frozenset() if self.encoded is None else self.encoded.refuted(self._undone)
        found = replace(self._evidence(noise), gain=gain, bordered=bordered, lost=cut, explained=self._explained)
        return origin.judge(replace(found, refuted=refuted))

    def _explained(self) -> tuple[float, float]:
        """Return the shares of the other file's and of the keeper's blocks that an edit of the other one explains."""
        if self.encoded is None or self.encoded.edited is None:
            return 0.0, 0.0
        back = self._undone()
        found = self.encoded.keeper if back is None else back.found
        return self.encoded.edited.found.explained, 0.0 if found is None else found.explained

    def _evidence(self, noise: Noise) -> origin.Evidence:
        """Return what can be measured of any pair."""
        one, two = self._lattices()
        return origin.Evidence(self.keeper, self.other, self.pair, one, two, noise, 0.0, (False, False), ((), ()))

    @property
    def _forth(self) -> Matrix:
        return np.asarray(self.pair.to_other @ np.linalg.inv(self.pair.to_keeper), dtype=np.float64)

    @property
    def _back(self) -> Matrix:
        return np.asarray(np.linalg.inv(self._forth), dtype=np.float64)

    def _lattices(self) -> list[Lattice | None]:
        if not self.lattices:
            self.lattices.append(lattice(self.keeper, self.other.pixels, self._forth))
            self.lattices.append(lattice(self.other, self.keeper.pixels, self._back))
        return self.lattices
