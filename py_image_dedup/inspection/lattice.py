"""Compares the coefficients of a JPEG with a forecast from another file, and finds the quality of an earlier save.

A JPEG rounds its coefficients to a lattice. Foreseen from the other file, a coefficient of the earlier file is met far
more exactly than rounding would allow, because the later file holds the rounded value; a coefficient of the later file
is met with the error of its own rounding, evenly spread over half a step. Of two exposures, neither is met.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Matrix, Pixels, Plane, luma
from py_image_dedup.inspection.forecast import Forecast, forecast
from py_image_dedup.model.full_picture import FullPicture

LOSSLESS = frozenset({"PNG", "TIFF", "BMP", "PPM", "TGA", "QOI", "SGI", "PCX", "PSD"})
"""Formats that keep each pixel."""
_WINDOW = 512
"""Side of the part of a picture that is looked at, pixels; a multiple of 8 as its corner is."""
_FEWEST_COEFFICIENTS = 40
_SMALLEST_STEP = 3
_WIDE = 0.6
"""Steps of an error that rounding, half a step at most, and the decoder's own rounding do not make."""
_EVEN = 2.25
"""Reach of errors below which they are evenly spread as those of rounding; between its 1.8 and the 2.4 of noise."""
_GRAINY = 0.15
"""Share of the coefficients beyond half a step and a grey level, from which on noise may have been added."""
_FEWEST_GRAINY = 4
_WHITE = 1.8
"""Ratio of the power of bands within which noise is white; what scenes, lenses and encoders leave falls off by far."""
_EVENLY = 0.06
"""Deviation of the strength of noise over the tiles, in its mean, that added noise stays below: it had 0.02, the noise
of cameras and encoders, which depends on light and on texture, 0.04 to 0.3."""
_OPEN = 0.2
"""Share of wide errors from which on a lattice is not explained by rounding."""
_SEARCHED = 4000
"""Coefficients that a save between two files is looked for in."""
_COARSER_BETWEEN = 1.2
"""Ratio of the steps of a save between two files to the file's own, from which on it shows in what was saved last."""
_ON_GRID = 0.08
"""Median distance to whole steps below which blocks are where they were stored; the rounding of pixels leaves less."""
_CLEARLY = 0.03
"""Steps by which another grid has to fit better than the usual one."""
_BANDS = 8
_QUALITIES = range(30, 97)
"""Qualities that an earlier save is looked for at."""
_EARLIER_BLOCKS = 1200
"""Blocks, those with most in them, that an earlier save is looked for in."""
_ON_LATTICE = 0.12
"""Median distance to a lattice in steps, below which a picture was rounded to it; chance gives 0.20 to 0.24."""
_COARSER = 2.5
"""Ratio of an earlier table's step to the file's own, from which on the later rounding leaves it visible."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The accuracy with which a picture's coefficients are forecast from the other file.

    Attributes:
        miss: Median error in quantiser steps: 0.25 is the error of rounding.
        wide: Share of the errors above 0.6 of a step, which rounding does not make.
        reach: The 90th percentile of the errors in units of their median: 1.8 for the errors of rounding, which are
            evenly spread; 2.4 for noise.
        excess: Share of all coefficients, those that are 0 included, that are missed by more than half a step and a
            grey level: what the picture holds that neither its own rounding nor the other file explains.
        unforeseen: Root mean square of what is not foreseen, in that of the picture.
        between: Quality of a save between the two files, by which the errors are explained; 0 if there was none.
        grain: Root mean square of what is not foreseen, grey levels, if it is white and even over the picture as noise
            that a program adds; 0 otherwise.
        added: What the coefficients differ by beyond their own rounding, as foreseen, squared grey levels; infinite if
            too few of them tell.
        step: Root mean square of the steps that this was measured in.
    """

    miss: float
    wide: float
    reach: float = 1.8
    excess: float = 0.0
    unforeseen: float = 0.0
    between: int = 0
    grain: float = 0.0
    added: float = math.inf
    step: float = 1.0

    @property
    def is_repeated(self) -> bool:
        """Whether the other file holds the rounded values, and was made from this one."""
        # Where something was drawn, or repeated pixels are not met, some are missed widely and the others are not.
        is_met = (self.miss < 0.15 and self.wide < 0.10) or (self.miss < 0.10 and self.wide < 0.25)
        return is_met and not self.between

    @property
    def is_within(self) -> bool:
        """Whether the other file holds all coefficients of this one more exactly than rounding would."""
        return self.miss < 0.235 and self.wide < 0.16 and not self.between

    @property
    def is_rounding(self) -> bool:
        """Whether all that this file lacks of the other one is lost in its own rounding."""
        return 0.22 < self.miss < 0.40 and self.wide < 0.25 and self.reach < _EVEN and not self.between

    @property
    def is_open(self) -> bool:
        """Whether this file lacks something of the other one that its own rounding does not explain."""
        return self.wide > _OPEN and not self.is_rounding

    @property
    def is_exact(self) -> bool:
        """Whether each level of a file without loss is foreseen to within its rounding to a whole number.

        The error of a coefficient is the sum of 64 such errors, bell-shaped with a median of 0.2; programs that enlarge
        in two passes round twice.
        """
        return self.miss < 0.45 and self.wide < 0.36


PIXELS: Final = (1,) * 64
"""The steps of a file without loss, whose values are rounded to whole grey levels only."""


def lattice(picture: FullPicture, source: Pixels, matrix: Matrix, table: tuple[int, ...] = ()) -> Lattice | None:
    """Measure how a JPEG's coefficients are met by a forecast from another picture.

    Args:
        picture: The file with the quantisation tables.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the other's.
        table: Steps to measure in, 64 numbers; the file's own if empty.

    Returns:
        What was measured; ``None`` if the file is no JPEG, or too few coefficients tell.
    """
    grid, steps = (0, 0), np.ones((8, 8), dtype=np.float32)
    if table:
        steps = np.array(table, dtype=np.float32).reshape(8, 8)
    elif picture.quantisation and picture.format in {"JPEG", "MPO"}:
        grid, steps = _stored_grid(picture)
    else:
        return None
    foreseen = forecast(picture.pixels, source, matrix, grid)
    if foreseen is None:
        return None
    coefficients, signed = _blocks(foreseen.luma), _blocks(foreseen.error)
    error = np.abs(signed)
    met = np.abs(coefficients) > 0.7 * steps
    met[:, 0, 0] = False
    met[~foreseen.whole] = False
    smallest = 1 if table == PIXELS else _SMALLEST_STEP
    if np.count_nonzero(met & (steps >= smallest)) < _FEWEST_COEFFICIENTS:
        smallest = max(1, smallest - 1)
    met &= steps >= smallest
    if np.count_nonzero(met) < _FEWEST_COEFFICIENTS:
        return None
    places = np.nonzero(met)[1:]
    plain = None if foreseen.plain is None else _blocks(foreseen.plain)[met]
    errors = _Errors(coefficients[met], signed[met], steps[places], places, plain)
    found, between = errors.measured(), 0
    if found[1] > _OPEN:
        found, between = errors.saved_between(found)
    miss, wide, most = found
    every = error[foreseen.whole]
    beyond = float((every > steps / 2 + 1).mean())
    power = float(np.square(coefficients[foreseen.whole]).sum() - np.square(coefficients[foreseen.whole, 0, 0]).sum())
    left = float(np.square(every).sum() - np.square(every[:, 0, 0]).sum())
    return Lattice(
        miss,
        wide,
        most / max(miss, 1e-6),
        beyond,
        math.sqrt(max(left, 0) / max(power, 1e-9)),
        between,
        _grain(error, foreseen) if beyond > _GRAINY else 0.0,
        *beyond_rounding(coefficients[foreseen.whole] - signed[foreseen.whole], coefficients[foreseen.whole], steps),
    )


def beyond_rounding(foreseen: Plane, stored: Plane, steps: Plane) -> tuple[float, float]:
    """Measure what coefficients differ by from foreseen ones, beyond what rounding those makes.

    Args:
        foreseen: Blocks of coefficients, shape ``(blocks, 8, 8)``.
        stored: The same of the file.
        steps: Of its quantisation table, 8 x 8.

    Returns:
        The mean square, each coefficient weighted by its rounding, and the root mean square of the steps; infinite and
        1 if too few coefficients are foreseen beyond one step.
    """
    told = np.abs(foreseen) > steps
    told[:, 0, 0] = False
    if np.count_nonzero(told) < _FEWEST_COEFFICIENTS:
        return math.inf, 1.0
    expected, step = foreseen[told], np.broadcast_to(steps, told.shape)[told]
    error = np.clip(stored[told] - expected, -2 * step - 4, 2 * step + 4)
    rounding = np.rint(expected / step) * step - expected
    weight = 1 / (step * step / 12 + np.float32(0.5))
    total = float(weight.sum())
    added = float((weight * (error * error - rounding * rounding)).sum()) / total
    return added, math.sqrt(float((weight * step * step).sum()) / total)


def _grain(error: Plane, foreseen: Forecast) -> float:
    """Return the strength of noise if that is what was not foreseen, grey levels; 0 if it is something else."""
    power = np.where(foreseen.whole[:, None, None], np.square(error), np.nan).reshape(foreseen.tiles, -1, 8, 8)
    kept = np.isfinite(power).any(axis=(1, 2, 3))
    if np.count_nonzero(kept) < _FEWEST_GRAINY:
        return 0.0
    mean = np.nanmean(power[kept], axis=1)
    bands = mean.mean(axis=0)
    row, column = np.mgrid[:_BANDS, :_BANDS]
    band = np.maximum(row, column)
    levels = [float(bands[band == each].mean()) for each in range(1, _BANDS)]
    mean[:, 0, 0] = 0
    strengths = np.sqrt(mean.sum(axis=(1, 2)) / (_BANDS * _BANDS - 1))
    is_white = max(levels) < _WHITE * min(levels)
    is_even = float(strengths.std()) < _EVENLY * float(strengths.mean())
    return float(strengths.mean()) if is_white and is_even else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """The coefficients that tell, one after another.

    Attributes:
        stored: Of the picture.
        error: What was not foreseen of them.
        steps: They were rounded to.
        places: Row and column of each in its block.
        plain: The same coefficients of the other file, unchanged; ``None`` if its pixels do not lie on those.
    """

    stored: Plane
    error: Plane
    steps: Plane
    places: tuple[npt.NDArray[np.intp], ...]
    plain: Plane | None

    def measured(self, error: Plane | None = None) -> tuple[float, float, float]:
        """Return the median of the errors in steps, the share of wide ones, and their 90th percentile."""
        ratio = np.abs(self.error if error is None else error) / self.steps
        miss, most = (float(value) for value in np.quantile(ratio, (0.5, 0.9)))
        return miss, float((ratio > _WIDE).mean()), most

    def saved_between(self, without: tuple[float, float, float]) -> tuple[tuple[float, float, float], int]:
        """Look for a save between the two files, whose rounding explains what the picture's own does not.

        Args:
            without: What was measured without one.

        Returns:
            The same with the best one, and its quality; what was given and 0 if none explains the errors.
        """
        some = slice(None, None, max(1, len(self.stored) // _SEARCHED))
        stored, steps = self.stored[some], self.steps[some]
        places = tuple(place[some] for place in self.places)
        least, found, chosen = without[1], 0, self.stored
        for whole in (self.stored - self.error, self.plain):
            if whole is None:
                continue
            foreseen = whole[some]
            # Rounding to the file's own steps explains as much where they are repeated, and proves no other save.
            own = _wide(stored - np.rint(foreseen / steps) * steps, steps)
            for wanted in _QUALITIES:
                table = table_of(wanted)[places]
                if table.mean() < _COARSER_BETWEEN * steps.mean():
                    break
                wide = _wide(stored - np.rint(foreseen / table) * table, steps)
                if wide < least and wide < own / 2:
                    least, found, chosen = wide, wanted, whole
        if not found:
            return without, 0
        table = table_of(found)[self.places]
        best = self.measured(self.stored - np.rint(chosen / table) * table)
        return (best, found) if best[1] < min(_OPEN, without[1] / 2) else (without, 0)


def _wide(error: Plane, steps: Plane) -> float:
    """Return the share of errors that rounding does not make."""
    return float((np.abs(error) > _WIDE * steps).mean())


def _stored_grid(picture: FullPicture) -> tuple[tuple[int, int], Plane]:
    """Return where the blocks of a JPEG begin and their steps, as its picture is shown.

    A picture that is shown turned has its blocks turned too: they may begin behind the remainder of the last block, and
    rows and columns of the table may have changed places. Its coefficients are whole steps in the right case.
    """
    steps = np.array(picture.quantisation[0], dtype=np.float32).reshape(8, 8)
    part = _window(picture.pixels)
    height, width = picture.pixels.shape[:2]
    if part is None:
        return (0, 0), steps
    tables = [steps] if np.array_equal(steps, steps.T) else [steps, steps.T]
    corners = [(row, column) for row in sorted({0, height % 8}) for column in sorted({0, width % 8})]
    best, found = math.inf, ((0, 0), steps)
    for corner in corners:
        rows, columns = (
            slice(side.start + start, side.stop + start - (8 if start else 0))
            for side, start in zip(part, corner, strict=True)
        )
        grey = luma(np.ascontiguousarray(picture.pixels[rows, columns][:256, :256])).astype(np.float32) - 128
        blocks = np.abs(_blocks(grey))
        for table in tables:
            distance = _distance(blocks, table, table >= _SMALLEST_STEP)
            if distance is not None and distance < best - _CLEARLY:
                best, found = distance, (corner, table)
            if best < _ON_GRID:
                return found
    return found


def _distance(blocks: Plane, steps: Plane, visible: Mask, at_most: float = math.inf) -> float | None:
    """Return how far coefficients are from whole steps, in steps, as a median.

    Args:
        blocks: Sizes of the coefficients, shape ``(blocks, 8, 8)``.
        steps: 8 x 8.
        visible: Coefficients that tell.
        at_most: Median beyond which it does not matter.

    Returns:
        The median; ``None`` if too few tell, or it is larger than that.
    """
    visible = visible.copy()
    visible[0, 0] = False
    if not visible.any():
        return None
    ratio = blocks[:, visible] / steps[visible]
    ratio = ratio[ratio > 0.7]
    if len(ratio) < _FEWEST_COEFFICIENTS:
        return None
    apart = np.abs(ratio - np.rint(ratio))
    if 2 * np.count_nonzero(apart <= at_most) < len(apart) - 1:
        return None
    return float(np.median(apart))


def _window(pixels: Pixels) -> tuple[slice, slice] | None:
    """Return the busiest of some parts of a picture, whose corner is that of a block; ``None`` if it is too small."""
    height, width = (min(length, _WINDOW) // 8 * 8 for length in pixels.shape[:2])
    if min(height, width) < 32:
        return None
    best, found = -1.0, None
    for row in range(3 if pixels.shape[0] > 2 * height else 1):
        for column in range(3 if pixels.shape[1] > 2 * width else 1):
            top = (pixels.shape[0] - height) * (row + 1) // (4 if pixels.shape[0] > 2 * height else 2) // 8 * 8
            left = (pixels.shape[1] - width) * (column + 1) // (4 if pixels.shape[1] > 2 * width else 2) // 8 * 8
            part = np.s_[top : top + height, left : left + width]
            few = luma(np.ascontiguousarray(pixels[part][::8, ::2])).astype(np.int16)
            busy = float(np.abs(np.diff(few, axis=1)).mean())
            if busy > best:
                best, found = busy, part
    return found


def _blocks(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = plane.shape
    blocks = plane.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    place = np.arange(8)
    basis = np.cos((2 * place[None, :] + 1) * place[:, None] * math.pi / 16) * 0.5
    basis[0] /= math.sqrt(2)
    transform = basis.astype(np.float32)
    return np.asarray(transform @ blocks @ transform.T, dtype=np.float32)


def quality(tables: tuple[tuple[int, ...], ...]) -> int:
    """Return the quality, 1 to 100, at which the usual encoder writes such a luma table; 0 without tables."""
    if not tables:
        return 0
    percent = 100 * sum(tables[0]) / _PLAIN_SUM
    found = 5000 / percent if percent > 100 else (200 - percent) / 2
    return max(1, min(100, round(found)))


_PLAIN_SUM = 3688
"""Sum of the luma table of ITU-T T.81, table K.1, which the usual encoder scales."""


def table_of(wanted: int) -> npt.NDArray[np.float32]:
    """Return the luma table that the usual encoder writes at a quality, 8 x 8."""
    percent = 5000 // wanted if wanted < 50 else 200 - 2 * wanted
    steps = np.clip((_PLAIN * percent + 50) // 100, 1, 255)
    return np.asarray(steps.reshape(8, 8), dtype=np.float32)


def steps_of(wanted: int) -> tuple[int, ...]:
    """Return the same table as a file states it, row by row."""
    return tuple(int(step) for step in table_of(wanted).ravel())


def as_saved_before(picture: FullPicture) -> FullPicture:
    """Return a file without loss as the JPEG that it once was, if its coefficients show one; any other as it is."""
    earlier = earlier_quality(picture) if picture.format in LOSSLESS else 0
    return replace(picture, format="JPEG", quantisation=(steps_of(earlier),)) if earlier else picture


def earlier_quality(picture: FullPicture) -> int:
    """Return the quality at which a picture was once saved on the same grid of blocks, beside its own; 0 if none shows.

    Args:
        picture: A file of any format.
    """
    part = _window(picture.pixels)
    if part is None:
        return 0
    blocks = _blocks(luma(np.ascontiguousarray(picture.pixels[part])).astype(np.float32) - 128)
    power = np.square(blocks[:, 1:4, 1:4]).sum(axis=(1, 2))
    blocks = np.abs(blocks[np.argsort(power)[-_EARLIER_BLOCKS:]])
    own: npt.NDArray[np.float32] = np.ones((8, 8), dtype=np.float32)
    if picture.quantisation and picture.format in {"JPEG", "MPO"}:
        own = np.array(picture.quantisation[0], dtype=np.float32).reshape(8, 8)
    best, found = _ON_LATTICE, 0
    for wanted in _QUALITIES:
        steps = table_of(wanted)
        visible = (steps >= _COARSER * own) & (steps >= _SMALLEST_STEP)
        distance = _distance(blocks, steps, visible, at_most=best * 1.02)
        # Of tables that share their steps, the finest one that fits is the right one.
        if distance is not None and distance <= best * 1.02:
            best, found = min(best, distance), wanted
    return found


_PLAIN = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip
"""The luma table of ITU-T T.81, table K.1, row by row."""


def gain(larger: Pixels, source: Pixels, matrix: Matrix, ratio: float) -> float:
    """Return how much a picture holds, beyond a forecast, in the bands that a smaller copy of it cannot hold.

    Args:
        larger: The picture, uint8.
        source: The smaller one.
        matrix: 3 x 3, from the larger picture's pixels to the smaller's.
        ratio: The larger one's side in units of the smaller copy's.

    Returns:
        The energy that was not foreseen in these bands in that of the coarsest ones, as a square root.
    """
    foreseen = forecast(larger, source, matrix)
    if foreseen is None:
        return 1.0
    whole, missed = (_blocks(plane)[foreseen.whole] for plane in (foreseen.luma, foreseen.error))
    row, column = np.mgrid[:_BANDS, :_BANDS]
    band = np.maximum(row, column)
    energy = np.mean(missed.astype(np.float64) ** 2, axis=0)[band >= min(7, math.ceil(8.64 / ratio))].sum()
    coarse = np.mean(whole.astype(np.float64) ** 2, axis=0)[(band >= 1) & (band <= 2)].sum()
    return math.sqrt(float(energy) / max(float(coarse), 1e-9))
