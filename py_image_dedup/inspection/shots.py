"""Distinguishes copies from other exposures: a copy repeats the noise of its original, another exposure has its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Aligned, Mask, Matrix, Pixels, Plane, luma, whole
from py_image_dedup.inspection.coefficients import coefficients, is_cut_off, luma_steps, plane_of
from py_image_dedup.inspection.difference import windows
from py_image_dedup.inspection.forecast import forecast
from py_image_dedup.inspection.lattice import LOSSLESS, Lattice, beyond_rounding, quality, table_of
from py_image_dedup.inspection.resampling import anew
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.full_picture import FullPicture, ShotFacts
from py_image_dedup.model.inspection import Outcome
from py_image_dedup.model.match import Orientation

_TILE, _BLOCK = 24, 8
"""Pixels of the side of a place that noise is measured in, and of a block of a JPEG."""
_FINE, _COARSE = 0.6, 2.4
"""Pixels: noise is measured between these, above what JPEG leaves out and below what is drawn."""
_QUIETEST = 0.25
"""Share of the tiles that are looked at: those with least in them but noise."""
_BUSIEST = 0.2
"""Share of the tiles that show how contrast and sharpness of the pictures differ: those with most in them."""
_BLACK, _WHITE, _SILENT = 10, 245, 0.05
"""Grey levels beyond which noise is cut off, and squared ones: a tile that encoding left nothing in says nothing."""
_WINDOW, _WINDOWS = 336, 3
"""Side of the parts that are looked at, in pixels, and how many along a side of the picture."""
_FEWEST_TILES = 6
_MOST_SCALED, _SMALLEST_SCALE = 1.04, 0.45
"""Ratios of sides: of one scale, and below which the noise of a reduction was averaged out."""
_MOVED, _ALIGNED = 0.3, 300_000
"""Pixels of the keeper, or of the grid of so many pixels that pictures are aligned on, that two files may lie beside a
plain change of size: copies had 0.15 at most, hand-held frames 0.4 at least."""
_CLEARLY = 2.0
"""Times what a copy may have beyond its rounding, from which on two exposures are certain."""
_NO_CAMERA = 30
"""JPEG quality at which no camera saves: a file of it was saved again by a program."""
_FORESEEN = 0.3
"""Share of what a copy may have, up to which it is one though a kernel foresees more: frames of a tripod had 0.34."""
_MANY_TILES, _NOTHING = 30, 0.1
"""Quiet places, and grey levels of noise of its own that a file has none below: exposures had 0.3 at least."""
_WELL_MEASURED, _UNLIKE = 200, 0.55
"""Quiet places, and ratio of noise that exposures do not have: two stops apart 0.71, saved again at 50 0.63."""
_SAME_LIGHT = 3.0
"""Grey levels by which smoothing and grain change the mean at most."""
_LIKELY, _SURE, _GRAINIER = 2.0, 6.0, 2.2
"""Standard errors, and the ratio of the noise in quiet places from which on grain was added to one file."""
_PART, _PARTS = 128, 3
"""Side of the parts that an explained file is looked at in, pixels, and how many along a side of the picture."""
_NO_EDIT = (0.3, 3.0)
"""Changes of contrast beyond which a straight line is no description of an edit."""
_FEWEST_BLOCKS, _FEWEST_COEFFICIENTS = 16, 40
_QUALITIES, _SEARCHED_BLOCKS = range(40, 97), 200
"""Qualities that a save between two files is looked for at, and the blocks that it is looked for in."""
_EXPLAINED = 0.7
"""Share of what was not foreseen that a save between two files leaves at most, to be one."""
_BURNT, _MOSTLY, _SAME_CONTRAST = 253, 0.5, (0.98, 1.02)
"""Grey level from which on a channel may be clipped, and the share of the pixels; change of contrast that is none."""
_LIGHTER, _COARSER, _MUCH_COARSER, _NOISE = 6.0, 1.1, 1.6, 4.0
"""Grey levels by which exposures differ in light; ratios of steps of two files; grey levels of noise to smooth away."""
_FINELY = 150.0
"""Levels of 16 bits to a grey level."""


@dataclass(frozen=True, slots=True)
class Noise:
    """The fine structure of two aligned pictures in their quietest places, divided in what they share and their own.

    A copy adds to what it shares or loses some of it. Only of two exposures each has something of its own.

    Attributes:
        keeper: Standard deviation of what only the keeper has, grey levels; 0 if it has nothing of its own.
        other: The same of the other picture.
        tiles: Places that it was measured at.
    """

    keeper: float
    other: float
    tiles: int

    @property
    def is_independent(self) -> bool:
        """Whether each file has noise of its own, and of one strength as a camera makes it.

        Rounding by an encoder looks the same where it is as strong, so that this is a suspicion only.
        """
        weaker, stronger = sorted((self.keeper, self.other))
        measured = self.tiles >= _FEWEST_TILES and weaker >= THRESHOLDS.noise_measurable
        return measured and weaker > THRESHOLDS.noise_alike * stronger

    @property
    def is_unlike(self) -> bool:
        """Whether the noise is measured well, and of a strength in each that no two exposures of one camera have."""
        return self.tiles >= _WELL_MEASURED and min(self.keeper, self.other) < _UNLIKE * max(self.keeper, self.other)

    @property
    def sentence(self) -> str:
        """That the files are two exposures."""
        own = f"{self.keeper:.1f} and {self.other:.1f} grey levels"
        return f"Each file has noise of its own, {own}: they are two exposures."

    @property
    def is_on_both(self) -> bool:
        """Whether each file has some noise of its own."""
        return self.tiles >= _FEWEST_TILES and min(self.keeper, self.other) >= THRESHOLDS.noise_measurable

    @property
    def is_strong(self) -> bool:
        """Whether the noise of both is stronger, and more similar, than what encoders leave of a copy's."""
        weaker, stronger = sorted((self.keeper, self.other))
        return self.is_independent and weaker >= THRESHOLDS.noise_strong and weaker > 0.88 * stronger


def measure_noise(pair: Aligned) -> Noise:
    """Measure the noise of two aligned pictures, and how much of it is the same."""
    ones, twos, clears = [], [], []
    for part in windows(pair.valid.shape, _WINDOW, _WINDOWS):
        planes, clear = [], None
        rows, columns = (length // _TILE for length in pair.valid[part].shape)
        if not rows * columns:
            continue
        for pixels in (pair.keeper, pair.other):
            fine, coarse = _band(luma(pixels[part]))
            planes.append(_tiles(fine, rows, columns))
            mean = _tiles(coarse, rows, columns)
            within = (mean.min(axis=1) > _BLACK) & (mean.max(axis=1) < _WHITE)
            clear = within if clear is None else clear & within
        there = _tiles(pair.valid[part], rows, columns).all(axis=1)
        ones.append(planes[0])
        twos.append(planes[1])
        clears.append(there if clear is None else clear & there)
    if not ones or sum(len(one) for one in ones) < _FEWEST_TILES:
        return Noise(0, 0, 0)
    return _shared(np.concatenate(ones), np.concatenate(twos), np.concatenate(clears))


def rounding_noise(pixels: Pixels, steps: Sequence[int]) -> float:
    """Return how much fine structure the rounding of a JPEG leaves in the quietest places of its picture.

    The picture is rounded a second time, on blocks that lie between its own, which errs as much as the first time did.

    Args:
        pixels: uint8, grey or BGR, as the file shows it.
        steps: The file's 64 steps for luma, row by row.

    Returns:
        Standard deviation in grey levels, between the same scales as ``measure_noise``; 0 if the picture is too small.
    """
    table = np.array(steps, dtype=np.float32).reshape(_BLOCK, _BLOCK)
    fine, errors = [], []
    for part in windows(pixels.shape, _WINDOW, _WINDOWS):
        grey = luma(np.ascontiguousarray(pixels[part]))[_BLOCK // 2 :, _BLOCK // 2 :].astype(np.float32)
        height, width = (length // _BLOCK * _BLOCK for length in grey.shape)
        if height < _TILE or width < _TILE:
            continue
        grey = np.ascontiguousarray(grey[:height, :width])
        values = coefficients(grey)
        each = table[:, None, :]
        error = plane_of(np.asarray(np.rint(values / each) * each - values, dtype=np.float32))
        rows, columns = (length // _TILE for length in grey.shape)
        fine.append(_tiles(_band(grey)[0], rows, columns))
        errors.append(_tiles(_band(error)[0], rows, columns))
    if not fine:
        return 0.0
    power = (np.concatenate(fine) ** 2).mean(axis=1)
    quiet = power <= np.quantile(power, _QUIETEST)
    return float(np.sqrt((np.concatenate(errors)[quiet] ** 2).mean()))


def _band(plane: Pixels | Plane) -> tuple[Plane, Plane]:
    """Return the structure between the scales that noise is measured at, and what is coarser."""
    # Half a grey level of the coarse part is none of a single one, and bytes are blurred in a fraction of the time.
    coarse = cv2.GaussianBlur(plane, (0, 0), _COARSE)
    fine = cv2.subtract(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), _FINE), coarse, dtype=cv2.CV_32F)
    return np.asarray(fine, dtype=np.float32), np.asarray(coarse)


def _shared(one: Plane, two: Plane, clear: Mask) -> Noise:
    """Divide the noise of tiles, one in a row, in what is common and what is each picture's own."""
    power_one, power_two = (one * one).mean(axis=1), (two * two).mean(axis=1)
    loudest = np.maximum(power_one, power_two)
    clear &= np.minimum(power_one, power_two) > _SILENT
    if clear.sum() < _FEWEST_TILES:
        return Noise(0, 0, 0)
    quiet = clear & (loudest <= np.quantile(loudest[clear], _QUIETEST))
    busy = clear & (loudest >= np.quantile(loudest[clear], 1 - _BUSIEST))
    # In the busiest tiles noise is nothing beside the scene, and their ratio is that of contrast and sharpness.
    gain = float(np.sqrt(power_one[busy].mean() / power_two[busy].mean()))
    two = two * np.float32(min(max(gain, 0.2), 5.0))
    common = float((one * two)[quiet].mean())
    own = [float(np.sqrt(max(0.0, float((plane * plane)[quiet].mean()) - common))) for plane in (one, two)]
    return Noise(own[0], own[1], int(quiet.sum()))


def _tiles(plane: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    cut = plane[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, -1)


class Exposure(Enum):
    """Whether two files that show the same are of one exposure, with a sentence where that is not proven."""

    @property
    def outcome(self) -> Outcome:
        """What a pair is of which this is not proven."""
        return Outcome.ANOTHER_SHOT if self is Exposure.OTHER else Outcome.UNDECIDED

    SAME = ""
    OTHER = "Neither file is made from the other: each has noise of its own, so they are two exposures."
    UNCLEAR = "The files are too small, or saved too coarsely, to tell whether they are of one exposure."
    EMPTY = "There is too little detail to tell whether the files are of one exposure."


def exposure(
    keeper: FullPicture, other: FullPicture, pair: Aligned, lattices: Sequence[Lattice | None], noise: Noise
) -> Exposure:
    """Look for proof that two files that show the same are of one exposure.

    Exposures of a still scene differ by noise; a copy by what was rounded and done to the whole, which is foreseen.

    Args:
        keeper: One file.
        other: The other one.
        pair: Both on one grid.
        lattices: Of the keeper, foreseen from the other file, and the other way round.
        noise: What each has of its own in quiet places.

    Returns:
        What is proven. Files that are stored in steps that are not known, as WebP and AVIF, are taken for one exposure.
    """
    files = (keeper, other)
    if any(file.format not in LOSSLESS | {"JPEG", "MPO"} for file in files):
        return Exposure.SAME
    to_keeper, is_plain = _plainly(pair, keeper, other)
    exact, is_known = _made(keeper, other, to_keeper, lattices) if is_plain else (False, False)
    if exact:
        return Exposure.SAME
    is_level = is_plain and is_on_one_scale(pair)
    told = _told(pair, lattices, is_plain=is_plain)
    # Of two exposures each has noise of its own, unless light cut it off in one: then its coefficients differ.
    is_silent = noise.tiles >= _MANY_TILES and min(noise.keeper, noise.other) < _NOTHING
    if is_level and is_silent and min(told, default=0.0) <= _CLEARLY:
        return Exposure.SAME
    if is_plain and noise.is_unlike and min(told, default=math.inf) < _LIKELY * _CLEARLY:
        return Exposure.SAME
    # Where a usual kernel foresees better than any filter, nothing was edited, and what is left is no edit's.
    if min(told, default=math.inf) <= (_FORESEEN if is_known else 1):
        return Exposure.SAME
    if is_level and is_filtered(keeper, other, pair, noise):
        return Exposure.SAME
    if told and min(told) > _CLEARLY and pair.scale > _SMALLEST_SCALE:
        return Exposure.OTHER
    if told:
        is_coarse = any(0 < quality(file.quantisation) <= _NO_CAMERA for file in files) and min(told) <= _CLEARLY
        return Exposure.SAME if is_coarse else Exposure.UNCLEAR
    # Where nearly all is clipped, only the quiet places are left.
    return Exposure.SAME if is_level and _is_burnt(pair) and not noise.is_independent else Exposure.EMPTY


def is_repeated(file: FullPicture, shown: Pixels, source: FullPicture) -> bool:
    """Whether what rounding explains of a file, block by block, leaves no room for the noise of another exposure.

    Rounding alone hides weak noise in each coefficient, but not in thousands of them.

    Args:
        file: The file, of which each block is explained.
        shown: The other picture, turned and reduced as the file is.
        source: The file that this was made from.
    """
    steps = _steps(file)
    if steps is None:
        return True
    stored, made = [], []
    for rows, columns in windows(file.pixels.shape, _PART, _PARTS):
        top, left = rows.start // _BLOCK * _BLOCK, columns.start // _BLOCK * _BLOCK
        height, width = ((side.stop - side.start) // _BLOCK * _BLOCK for side in (rows, columns))
        part = np.s_[top : top + height, left : left + width]
        seen, wanted = (np.ascontiguousarray(pixels[part]) for pixels in (file.pixels, shown))
        if not seen.size:
            continue
        free = ~(is_cut_off(seen) | is_cut_off(wanted)).ravel()
        stored.append(_blocks(luma(seen).astype(np.float32) - 128)[free])
        made.append(_blocks(luma(wanted).astype(np.float32) - 128)[free])
    if not stored or sum(map(len, stored)) < _FEWEST_BLOCKS:
        return True
    found = _added(np.concatenate(made), np.concatenate(stored), steps)
    ratio = math.sqrt(file.width * file.height / (source.width * source.height))
    theirs = min(THRESHOLDS.coarsest_sibling, found.step * _coarseness(source, file)) * min(1.0, ratio)
    is_reduced = ratio < 1 / _MOST_SCALED
    return not math.isfinite(found.power) or found.power <= found.allowed(theirs, is_reduced=is_reduced)


def _is_burnt(pair: Aligned) -> bool:
    """Whether one picture was brightened until most of it is clipped in some channel, so that no block tells."""
    few = (
        pixels[::3, ::3].reshape(-1, pixels.shape[2] if pixels.ndim > 2 else 1) for pixels in (pair.keeper, pair.other)
    )
    return max(float((pixels >= _BURNT).any(axis=1).mean()) for pixels in few) > _MOSTLY


def _told(pair: Aligned, lattices: Sequence[Lattice | None], *, is_plain: bool) -> list[float]:
    """Return what each file has beyond its rounding, in what it may have if it was made from the other one."""
    spreads = [float(luma(pixels)[::3, ::3].std()) + 1e-6 for pixels in (pair.keeper, pair.other)]
    is_lighter = _light(pair) > _LIGHTER
    told = []
    for number, one in enumerate(lattices):
        if one is None or not math.isfinite(one.added):
            continue
        bound = THRESHOLDS.added if is_plain else THRESHOLDS.added_moved
        # Reducing averages the noise, and of two exposures to light little else is left.
        if pair.scale < _SMALLEST_SCALE:
            bound = min(bound, THRESHOLDS.added_small)
        if pair.scale < 1 / _MOST_SCALED and is_lighter:
            bound = min(bound, THRESHOLDS.added_lighter)
        # Forecasts err in proportion to the contrast.
        bound *= min(1.0, spreads[number] / spreads[1 - number]) ** 2
        found = one.added / (bound + THRESHOLDS.added_rounding * one.step**2)
        told.append(0.0 if one.between and is_plain else found)
    return told


def _made(
    keeper: FullPicture, other: FullPicture, to_keeper: Matrix, lattices: Sequence[Lattice | None]
) -> tuple[bool, bool]:
    """Look whether a usual kernel makes one file of the other one.

    Returns:
        Whether it does, to within the rounding of both; and whether it foresees more of it than a fitted filter.
    """
    ratio = math.sqrt(other.pixels.shape[0] * other.pixels.shape[1] / (keeper.width * keeper.height))
    tried = [(other, keeper, to_keeper, lattices[1])]
    if ratio == 1:
        tried.append((keeper, other, np.asarray(np.linalg.inv(to_keeper), dtype=np.float64), lattices[0]))
    is_known = False
    for file, source, matrix, filtered in tried:
        made = added_anew(file, source.pixels, matrix)
        is_known |= filtered is not None and not made.is_edited and made.power < filtered.added
        # What a file foresees that was saved more coarsely is within its rounding, whatever the other one shows.
        coarser = _coarseness(source, file)
        theirs = min(THRESHOLDS.coarsest_sibling, made.step * coarser) * min(1.0, ratio)
        if coarser <= _COARSER and made.power <= made.allowed(theirs, is_reduced=ratio < 1 / _MOST_SCALED):
            return True, True
    return False, is_known


def _plainly(pair: Aligned, keeper: FullPicture, other: FullPicture) -> tuple[Matrix, bool]:
    """Return the turn and change of size that lays one whole file on the other one, and whether they lie so."""
    height, width = pair.valid.shape
    corners = np.array([[0, width - 1, width - 1, 0], [0, 0, height - 1, height - 1], [1, 1, 1, 1]], dtype=np.float64)
    ours, theirs = pair.to_keeper @ corners, pair.to_other @ corners
    found = []
    for turn in Orientation:
        plain = np.asarray(np.linalg.inv(whole(keeper.pixels.shape, other.pixels.shape, turn)), dtype=np.float64)
        laid = plain @ (theirs / theirs[2])
        found.append((float(np.abs(laid[:2] / laid[2] - ours[:2] / ours[2]).max()), plain))
    moved, plain = min(found, key=lambda each: each[0])
    return plain, moved < _MOVED * max(1.0, math.sqrt(keeper.width * keeper.height / _ALIGNED))


def _light(pair: Aligned) -> float:
    """Return the difference of the means of two pictures, grey levels."""
    return abs(float(luma(pair.keeper)[::3, ::3].mean()) - float(luma(pair.other)[::3, ::3].mean()))


def _coarseness(one: FullPicture, two: FullPicture) -> float:
    """Return the ratio of the steps of two files."""
    first, second = (
        1.0 if each is None else float(np.sqrt(np.square(each).mean())) for each in map(_steps, (one, two))
    )
    return first / second


def is_filtered(keeper: FullPicture, other: FullPicture, pair: Aligned, noise: Noise) -> bool:
    """Whether one file is the other one smoothed, or with grain added.

    Its source lacks nothing of what was smoothed, and what got grain has all of it. Exposures lack each other's noise.

    Args:
        keeper: One file.
        other: The other one.
        pair: Both on one grid.
        noise: What each has of its own in quiet places.
    """
    if _light(pair) > _SAME_LIGHT:
        return False
    forth = np.asarray(pair.to_other @ np.linalg.inv(pair.to_keeper), dtype=np.float64)
    theirs = own_structure(other, keeper.pixels, np.asarray(np.linalg.inv(forth), dtype=np.float64))
    ours = own_structure(keeper, other.pixels, forth)
    if theirs is None or ours is None:
        return False
    coarser = _coarseness(keeper, other)
    for source, copy, grain, other_grain, ratio in (
        (ours, theirs, noise.other, noise.keeper, coarser),
        (theirs, ours, noise.keeper, noise.other, 1 / coarser),
    ):
        # What coarse steps round to zero looks like something that the other file lost.
        is_smoothed = (
            ratio < _MUCH_COARSER and source.power < -_LIKELY * source.error and copy.power > _SURE * copy.error
        )
        is_grained = grain > _GRAINIER * other_grain and copy.power < _LIKELY * copy.error
        if is_smoothed or is_grained:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Own:
    """What a source has of its own fine structure beside what a file repeats of it.

    Attributes:
        power: Squared grey levels. Noise of the source that the file lacks counts as positive; what the source lost of
            the file's texture as negative.
        error: Standard error of it.
    """

    power: float
    error: float


@dataclass(frozen=True, slots=True)
class Added:
    """What a JPEG has beyond its own rounding, compared with what a kernel makes of another picture.

    Attributes:
        power: Mean square of the difference, squared grey levels; infinite if it could not be measured.
        step: Root mean square of the file's steps that it was measured in.
        between: The same of an earlier save that explains a part of the difference; 0 if none does.
        is_edited: The kernel foresees more if contrast and brightness are changed.
    """

    power: float = math.inf
    step: float = 1.0
    between: float = 0.0
    is_edited: bool = False

    def allowed(self, theirs: float, *, is_reduced: bool) -> float:
        """Return the power up to which the other picture explains the file.

        Args:
            theirs: Root mean square of what the other picture's steps amount to in the file: siblings that were saved
                from one source differ by the rounding of both.
            is_reduced: The file is smaller.
        """
        bound = THRESHOLDS.added_reduced if is_reduced else THRESHOLDS.added_anew
        return bound + THRESHOLDS.added_sibling * theirs**2 + THRESHOLDS.added_between * self.between


def added_anew(file: FullPicture, source: Pixels, matrix: Matrix) -> Added:
    """Measure what a file has beyond rounding what the usual kernels make of another picture.

    A change of contrast and brightness is taken out, and an earlier save of what was made counts as rounding too.

    Args:
        file: The smaller file, or one of two of the same size; a JPEG, or without loss.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the other picture's, a turn and a change of size.

    Returns:
        What the best kernel leaves.
    """
    best, steps = Added(), _steps(file)
    if steps is None:
        return best
    for seen, wanted, free in anew(file, source, matrix):
        blocks = free.ravel()
        if np.count_nonzero(blocks) < _FEWEST_BLOCKS:
            continue
        stored = _blocks(seen.astype(np.float32) - 128)[blocks]
        there = np.repeat(np.repeat(free, _BLOCK, axis=0), _BLOCK, axis=1)
        (spread, common), (_, _) = np.cov(wanted[there].astype(np.float64), seen[there].astype(np.float64))
        slope = common / spread if spread else 1.0
        offset = float(seen[there].mean()) - slope * float(wanted[there].mean())
        edited = [wanted * np.float32(slope) + np.float32(offset)] if _NO_EDIT[0] < slope < _NO_EDIT[1] else []
        for number, plane in enumerate((wanted, *edited)):
            found = _added(_blocks(plane - 128)[blocks], stored, steps)
            is_edited = number > 0 and not (_SAME_CONTRAST[0] < slope < _SAME_CONTRAST[1] and abs(offset) < _SAME_LIGHT)
            best = replace(found, is_edited=is_edited) if found.power < best.power else best
    return best


def _added(made: Plane, stored: Plane, steps: Plane) -> Added:
    """Measure blocks against those that were made, once saved between at the quality that explains most."""
    some = np.s_[:: max(1, len(made) // _SEARCHED_BLOCKS)]
    found = Added(*beyond_rounding(made, stored, steps))
    least, between = _EXPLAINED * beyond_rounding(made[some], stored[some], steps)[0], None
    for each in _QUALITIES:
        table = table_of(each)
        tried = beyond_rounding(np.rint(made[some] / table) * table, stored[some], steps)[0]
        if tried < least:
            least, between = tried, table
    if between is None:
        return found
    power, step = beyond_rounding(np.rint(made / between) * between, stored, steps)
    share = math.sqrt(float(np.square(between).mean() / np.square(steps).mean()))
    return Added(power, step, step * share) if power < _EXPLAINED * found.power else found


def own_structure(file: FullPicture, source: Pixels, matrix: Matrix) -> Own | None:
    """Measure what a source has of fine structure that a file lacks, where the file keeps detail.

    Noise rides on large coefficients through rounding. A copy repeats it there, another exposure has other noise.

    Args:
        file: The file.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the other picture's.

    Returns:
        What was measured; ``None`` if too little tells.
    """
    steps = _steps(file)
    steps = np.ones((_BLOCK, _BLOCK), dtype=np.float32) if steps is None else steps
    foreseen = forecast(file.pixels, source, matrix)
    if foreseen is None:
        return None
    plane = foreseen.luma - foreseen.error
    tiles = plane.reshape(foreseen.tiles, -1, plane.shape[1])
    smooth = _blocks(np.concatenate([_denoised(tile) for tile in tiles]))
    residual, error = _blocks(plane) - smooth, _blocks(foreseen.error)
    told = np.abs(smooth) > steps
    told[:, 0, 0] = False
    told[~foreseen.whole] = False
    if np.count_nonzero(told) < _FEWEST_COEFFICIENTS:
        return None
    step = np.broadcast_to(steps, told.shape)[told]
    weight = 1 / (step * step / 12 + np.float32(0.5))
    product = -weight * residual[told] * np.clip(error[told], -2 * step - 4, 2 * step + 4)
    total = float(weight.sum())
    return Own(float(product.sum()) / total, math.sqrt(float(np.square(product).sum())) / total)


def _denoised(tile: Plane) -> Plane:
    """Return a tile of luma minus 128 without its noise."""
    levels = np.clip((tile + 192) * _FINELY, 0, 65535).astype(np.uint16)
    smooth = cv2.fastNlMeansDenoising(
        levels, h=[_NOISE * _FINELY], templateWindowSize=5, searchWindowSize=11, normType=cv2.NORM_L1
    )
    return np.asarray(smooth.astype(np.float32) / _FINELY - 192, dtype=np.float32)


def _steps(file: FullPicture) -> Plane | None:
    """Return the steps of luma, which are whole numbers in a file without loss; ``None`` if they are not known."""
    return np.ones((_BLOCK, _BLOCK), dtype=np.float32) if file.format in LOSSLESS else luma_steps(file)


def _blocks(plane: npt.NDArray[np.float32]) -> Plane:
    """Return the coefficients of the blocks of a plane, shape ``(blocks, 8, 8)``."""
    values = coefficients(np.ascontiguousarray(plane, dtype=np.float32))
    return np.ascontiguousarray(values.transpose(0, 2, 1, 3).reshape(-1, _BLOCK, _BLOCK))


def is_on_one_scale(pair: Aligned) -> bool:
    """Whether both have nearly the same size, so that noise was not averaged out in one of them."""
    return 1 / _MOST_SCALED < pair.scale < _MOST_SCALED


def is_reduced(pair: Aligned) -> bool:
    """Whether the other picture is smaller, and not so small that averaging has left no noise."""
    return _SMALLEST_SCALE < pair.scale <= 1 / _MOST_SCALED


def other_moment(left: ShotFacts, right: ShotFacts) -> str:
    """Say in words what the cameras recorded differently; empty if nothing, or if one recorded nothing."""
    if left.moment and right.moment and left.moment != right.moment and _both_fractions_or_seconds(left, right):
        return f"taken at {left.moment} and at {right.moment}"
    if left.sequence is not None and right.sequence is not None and left.sequence != right.sequence:
        return f"image number {left.sequence} and {right.sequence}"
    if _unlike(left.exposure_seconds, right.exposure_seconds):
        return f"exposed for {left.exposure_seconds:.4g} s and for {right.exposure_seconds:.4g} s"
    if _unlike(left.f_number, right.f_number):
        return f"aperture {left.f_number:.3g} and {right.f_number:.3g}"
    if _unlike(left.focal_length_mm, right.focal_length_mm):
        return f"focal length {left.focal_length_mm:.3g} mm and {right.focal_length_mm:.3g} mm"
    if left.iso and right.iso and left.iso != right.iso:
        return f"ISO {left.iso} and {right.iso}"
    return ""


def _both_fractions_or_seconds(left: ShotFacts, right: ShotFacts) -> bool:
    """Whether the moments differ in what both recorded: a program that drops the fractions made no other moment."""
    seconds = left.moment.split(".")[0] != right.moment.split(".")[0]
    return seconds or ("." in left.moment and "." in right.moment)


def _unlike(left: float | None, right: float | None) -> bool:
    return left is not None and right is not None and abs(left - right) > 0.01 * max(abs(left), abs(right))
