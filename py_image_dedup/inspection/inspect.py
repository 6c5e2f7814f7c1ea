"""Two files compared in full: may the one go for the other?

A file may go only if the keeper has everything that is in it. The questions, in this order: can it be told at all; do
both show the same; is it one exposure; is anything different inside; and does the other file hold anything more?
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from py_image_dedup.inspection import original as origin
from py_image_dedup.inspection.align import Aligned, Matrix, Pixels, align, luma
from py_image_dedup.inspection.difference import difference, foresee
from py_image_dedup.inspection.extras import has_other_alpha, lacking
from py_image_dedup.inspection.regions import describe
from py_image_dedup.inspection.shots import is_on_one_scale, measure_noise, other_moment
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Inspection, Original, Outcome, Side
from py_image_dedup.model.match import Orientation

_LEAST_STRUCTURE = 2.0
"""Grey levels of deviation that a picture has to have."""
_CROPPED = 0.03
"""Share of the keeper that is missing in the other file from which on that is a part."""
_BURNT = 254
"""Grey level from which on a channel is clipped."""
_MOST_BURNT = 0.02
"""Share of clipped values that loses something; white paper is clipped in both files."""
_LESS_DETAIL = 0.5
"""Ratio of edge energy below which the keeper lost detail that no sharpening adds."""


def inspect(
    keeper: FullPicture,
    other: FullPicture,
    transform: Matrix | None = None,
    orientation: Orientation | None = None,
) -> Inspection:
    """Compare two files in full.

    Args:
        keeper: The file that stays; A in what is said of the original.
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
    facts = origin.by_facts(keeper, other, has_more, lacks)
    if keeper.has_too_many_frames or other.has_too_many_frames:
        return Inspection(Outcome.UNDECIDED, "It has too many frames to compare them all.", lacks=lacks)
    apart = _of_other_kind(keeper, other)
    if apart and not lacks:
        return Inspection(Outcome.PARTIAL, apart, original=facts)
    if _is_equal(keeper, other):
        return _of_equal(lacks, has_more, facts)
    if min(keeper.width, keeper.height, other.width, other.height) < THRESHOLDS.fewest_side:
        return Inspection(Outcome.UNDECIDED, "It is too small to tell.", lacks=lacks, original=facts)
    pair = align(*_shown(keeper, other), transform, orientation)
    return _Question(keeper, other, pair, lacks, has_more, facts).answer()


def _of_other_kind(keeper: FullPicture, other: FullPicture) -> str:
    """Say why the other file stands for something else, though the keeper holds it; empty if it does not.

    A cover is no copy of its pages, and what was flattened may be what a page shows.
    """
    if len(keeper.frames) > len(other.frames):
        return f"The keeper has {len(keeper.frames) + 1} frames or pages, the other file {len(other.frames) + 1}."
    if keeper.alpha is not None and other.alpha is None:
        return "The keeper is transparent, the other file was flattened."
    return ""


def _is_equal(keeper: FullPicture, other: FullPicture) -> bool:
    if keeper.pixels.shape != other.pixels.shape or not np.array_equal(keeper.pixels, other.pixels):
        return False
    one, two = keeper.alpha, other.alpha
    return one is two or (one is not None and two is not None and np.array_equal(one, two))


def _of_equal(lacks: tuple[str, ...], has_more: tuple[str, ...], facts: Original) -> Inspection:
    if lacks:
        return _more(lacks, has_more, facts)
    return Inspection(Outcome.COVERED, "Every pixel of the first picture is equal.", original=facts)


def _more(lacks: tuple[str, ...], has_more: tuple[str, ...], original: Original) -> Inspection:
    missing = ", ".join(lacks)
    if has_more:
        said = (
            "Each file has something that the other lacks: "
            f"the keeper lacks {missing}, the other {', '.join(has_more)}."
        )
        return Inspection(Outcome.BOTH_HAVE_MORE, said, lacks=lacks, original=original)
    return Inspection(
        Outcome.MORE, f"The keeper lacks what the other file has: {missing}.", lacks=lacks, original=original
    )


def _shown(keeper: FullPicture, other: FullPicture) -> tuple[Pixels, Pixels]:
    """Return both pictures on the ground that shows what is in them.

    White text on a transparent ground is seen on black only, black text on white only: a middle grey shows both. Where
    one of them was flattened, the other one is laid on what it was flattened on.
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


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    keeper: FullPicture
    other: FullPicture
    pair: Aligned
    lacks: tuple[str, ...]
    has_more: tuple[str, ...]
    facts: Original

    def answer(self) -> Inspection:
        pair = self.pair
        spread = min(float(luma(pixels).std()) for pixels in (pair.keeper, pair.other))
        if spread < _LEAST_STRUCTURE or pair.valid.mean() < 0.02:
            return self._said(Outcome.UNDECIDED, "There is too little in the pictures to tell.")
        if pair.correlation < THRESHOLDS.same_correlation:
            said = f"The pictures do not show the same: they agree to {100 * max(0.0, pair.correlation):.0f} %."
            return self._said(Outcome.DIFFERENT, said)
        return self._another_shot() or self._edited() or self._view() or self._rest()

    def _said(self, outcome: Outcome, reason: str, original: Original | None = None) -> Inspection:
        return Inspection(outcome, reason, lacks=self.lacks, original=original or self.facts)

    def _another_shot(self) -> Inspection | None:
        noise = measure_noise(self.pair)
        moment = other_moment(self.keeper.shot, self.other.shot)
        suspicious = is_on_one_scale(self.pair) and noise.is_independent
        if not (moment or suspicious) or self._is_derived():
            return None
        if suspicious:
            said = (
                f"Each file has noise of its own, {noise.keeper:.1f} and {noise.other:.1f} grey levels: "
                "they are two exposures."
            )
            return self._said(Outcome.ANOTHER_SHOT, said)
        if moment:
            return self._said(Outcome.ANOTHER_SHOT, f"The camera says that they are two exposures: {moment}.")
        return None

    def _is_derived(self) -> bool:
        """Whether the coefficients of one JPEG are foreseen from the other file to within rounding."""
        found = [one for one in self._lattices() if one is not None]
        return bool(found) and min(one.wide for one in found) < THRESHOLDS.foreseen

    def _edited(self) -> Inspection | None:
        found = difference(self.pair)
        if not found.spots:
            return None
        if found.share > THRESHOLDS.most_changed:
            return self._said(Outcome.DIFFERENT, f"The pictures differ in {100 * found.share:.0f} % of their area.")
        regions, whole = describe(self.pair, found)
        count = len(found.spots)
        first = regions[0]
        places = "1 region" if count == 1 else f"{count} regions"
        said = (
            f"Something differs in {places}; the largest, {first.kind.value}, is {first.width} x {first.height} pixels "
            f"at {first.x}, {first.y}."
        )
        best = whole if whole.side is not Side.UNKNOWN else self.facts
        return replace(self._said(Outcome.EDITED, said, best), regions=regions)

    def _view(self) -> Inspection | None:
        """Compare what lies outside of the common area."""
        pair = self.pair
        beyond_other = _outside(self.keeper, pair.to_keeper, pair.valid)
        beyond_keeper = _outside(self.other, pair.to_other, pair.valid)
        if beyond_keeper > 1 - THRESHOLDS.whole:
            part = Original(
                Side.RIGHT,
                sure=beyond_other < 0.3 * beyond_keeper,
                reason=f"A is a part of B, {100 * beyond_keeper:.0f} % cut off",
            )
            said = f"The other file shows {100 * beyond_keeper:.0f} % more than the keeper."
            found = self._said(Outcome.PARTIAL, said, part if part.sure else None)
            return replace(found, lacks=(*self.lacks, "field of view"))
        if beyond_other > _CROPPED:
            part = Original(Side.LEFT, sure=True, reason=f"B is a part of A, {100 * beyond_other:.0f} % cut off")
            return self._said(
                Outcome.PARTIAL,
                f"The other file is a part of the keeper, {100 * beyond_other:.0f} % are cut off.",
                part,
            )
        return None

    def _rest(self) -> Inspection:
        lacks = list(self.lacks)
        original = self.facts if self.facts.side is not Side.UNKNOWN else self._made_from()
        if has_other_alpha(self.keeper, self.other):
            lacks.append("transparency")
        is_larger = self.pair.scale > THRESHOLDS.larger
        is_enlarged = original.side is Side.LEFT and original.sure
        if is_larger and not is_enlarged and self._gain() > THRESHOLDS.enlarged_gain:
            lacks.append("resolution")
        if not is_enlarged and (_has_less_detail(self.pair) or self._is_poor()):
            lacks.append("detail")
        if _is_burnt(self.pair.keeper, self.pair.other):
            lacks.append("highlights")
        if lacks:
            return _more(tuple(lacks), self.has_more, original)
        height, width = self.pair.valid.shape
        said = f"The keeper has everything that is in the other file, compared at {width} x {height} pixels."
        return Inspection(Outcome.COVERED, said, original=original)

    def _is_poor(self) -> bool:
        """Whether the keeper was saved so small that the other file must have more."""
        ours, theirs = (origin.quality(one.quantisation) for one in (self.keeper, self.other))
        is_kept_better = theirs > ours + 20 or (not theirs and self.other.format in {"PNG", "TIFF", "BMP"})
        return 0 < ours < THRESHOLDS.poor_quality and is_kept_better and self.pair.scale > 0.7

    def _made_from(self) -> Original:
        scale = self.pair.scale
        if scale > THRESHOLDS.larger and origin.is_repeated(self.other.pixels):
            return Original(Side.LEFT, sure=True, reason=f"B is A enlarged {scale:.2g} x by repeating pixels")
        if scale < 1 / THRESHOLDS.larger and origin.is_repeated(self.keeper.pixels):
            return Original(Side.RIGHT, sure=True, reason=f"A is B enlarged {1 / scale:.2g} x by repeating pixels")
        found = self._lattice()
        return found if found.side is not Side.UNKNOWN else self._by_detail()

    @property
    def _forth(self) -> Matrix:
        return np.asarray(self.pair.to_other @ np.linalg.inv(self.pair.to_keeper), dtype=np.float64)

    @property
    def _back(self) -> Matrix:
        return np.asarray(np.linalg.inv(self._forth), dtype=np.float64)

    def _lattices(self) -> tuple[origin.Lattice | None, origin.Lattice | None]:
        forth = self._forth
        one = origin.lattice(self.keeper, self.other.pixels, forth)
        two = origin.lattice(self.other, self.keeper.pixels, self._back)
        return one, two

    def _gain(self) -> float:
        """Return what the larger file has beyond the smaller one."""
        scale, forth = self.pair.scale, self._forth
        if scale > 1:
            return origin.gain(self.other.pixels, self.keeper.pixels, self._back, scale)
        return origin.gain(self.keeper.pixels, self.other.pixels, forth, 1 / scale)

    def _lattice(self) -> Original:
        one, two = self._lattices()
        found = origin.by_lattice(self.keeper, self.other, one, two)
        scale = self.pair.scale
        if found.side is Side.LEFT and scale > THRESHOLDS.larger:
            return replace(found, reason=f"B is A enlarged {scale:.2g} x")
        if found.side is Side.RIGHT and scale < 1 / THRESHOLDS.larger:
            return replace(found, reason=f"A is B enlarged {1 / scale:.2g} x")
        return found

    def _by_detail(self) -> Original:
        """Propose the file with more detail; never sure."""
        scale = self.pair.scale
        if scale > THRESHOLDS.larger:
            real = self._gain() > THRESHOLDS.enlarged_gain
            return (
                Original(Side.RIGHT, reason="A was reduced, fine detail is gone")
                if real
                else Original(Side.LEFT, reason=f"B is A enlarged {scale:.2g} x")
            )
        if scale < 1 / THRESHOLDS.larger:
            real = self._gain() > THRESHOLDS.enlarged_gain
            return (
                Original(Side.LEFT, reason="B was reduced, fine detail is gone")
                if real
                else Original(Side.RIGHT, reason=f"A is B enlarged {1 / scale:.2g} x")
            )
        one, two = origin.quality(self.keeper.quantisation), origin.quality(self.other.quantisation)
        if one and two and abs(one - two) > 10:
            better = Side.LEFT if one > two else Side.RIGHT
            names = ("A", "B") if better is Side.LEFT else ("B", "A")
            return Original(
                better, reason=f"{names[0]} was saved at quality {max(one, two)}, {names[1]} at {min(one, two)}"
            )
        return Original()


def _is_burnt(keeper: Pixels, other: Pixels) -> bool:
    """Whether the keeper is clipped where the other file has levels."""
    ours, theirs = (float((pixels[::2, ::2] >= _BURNT).mean()) for pixels in (keeper, other))
    return ours > _MOST_BURNT and ours > 3 * theirs


def _outside(picture: FullPicture, to_picture: Matrix, valid: np.typing.NDArray[np.bool_]) -> float:
    """Return the share of a picture outside of the common area, plain borders not counted."""
    height, width = picture.height, picture.width
    factor = max(1.0, max(height, width) / 400)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    scaling = np.array(
        [[width / size[0], 0, (width / size[0] - 1) / 2], [0, height / size[1], (height / size[1] - 1) / 2], [0, 0, 1]]
    )
    matrix = np.linalg.inv(to_picture) @ scaling
    covered = cv2.warpPerspective(valid.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    beyond = cv2.erode((covered == 0).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    share = float(beyond.mean())
    if share < 0.003:
        return 0.0
    small = cv2.resize(luma(picture.pixels), size, interpolation=cv2.INTER_AREA)
    levels = small[beyond].astype(np.float64)
    plain = np.abs(levels - np.median(levels)) <= THRESHOLDS.border_step
    return 0.0 if plain.mean() > 0.93 else share


def _has_less_detail(pair: Aligned) -> bool:
    """Whether the other file has fine structure that no filter makes of the keeper."""
    fine = []
    for pixels in (pair.keeper, pair.other):
        grey = luma(pixels).astype(np.float32)
        coarse = cv2.GaussianBlur(grey, (0, 0), 2.5)
        spread = float(coarse[pair.valid].std()) + 1
        fine.append(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.0)) / spread)
    strong = (fine[1] + fine[0]) * pair.valid
    edges = strong >= np.quantile(strong, 0.9)
    if float(fine[0][edges].mean()) >= _LESS_DETAIL * float(fine[1][edges].mean()):
        return False
    error = luma(pair.other) - foresee(pair.keeper, pair.other, pair.valid)
    seen = luma(pair.other).astype(np.float32)
    seen -= cv2.GaussianBlur(seen, (0, 0), 1.0)
    missed = float(np.sqrt((error[edges] ** 2).mean() / max(float((seen[edges] ** 2).mean()), 1e-6)))
    return missed > THRESHOLDS.unexplained
