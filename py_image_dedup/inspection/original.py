"""Which of two files the other one was made from, as far as the pixels show it.

A JPEG rounds its coefficients. Foreseen from the other file, a coefficient of the earlier file is met far more exactly
than rounding would allow, because the later file holds the rounded value; a coefficient of the later file is met with
the error of its own rounding, evenly spread over half a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Matrix, Pixels, luma, render
from py_image_dedup.inspection.difference import foresee
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Original, Side

_WINDOW = 768
"""Side of the part of a picture that is looked at, pixels; a multiple of 8 as its corner is."""
_FEWEST_COEFFICIENTS = 40
_SMALLEST_STEP = 3
_REPEATED = 0.35
"""Ratio of the 20th percentile to the median of the differences of neighbouring rows and columns."""
_STRETCHED, _UNTOUCHED = 1.8, 1.3
"""Jumps of a histogram, 90th percentile: a stretched tone curve leaves gaps, a camera does not."""
_BANDS = 8


@dataclass(frozen=True, slots=True)
class Lattice:
    """How a JPEG's coefficients are met by a forecast from the other file.

    Attributes:
        miss: Median error in quantiser steps: 0.25 is the error of rounding.
        wide: Share of the errors above 0.6 of a step, which rounding does not make.
    """

    miss: float
    wide: float

    @property
    def is_repeated(self) -> bool:
        """Whether the other file holds the rounded values, and was made from this one."""
        return self.miss < 0.14 and self.wide < 0.10

    @property
    def is_rounding(self) -> bool:
        """Whether all that this file lacks of the other one is lost in its own rounding."""
        return 0.2 < self.miss < 0.32 and self.wide < 0.10


def lattice(picture: FullPicture, source: Pixels, matrix: Matrix) -> Lattice | None:
    """Measure how a JPEG's coefficients are met by a forecast from another picture.

    Args:
        picture: The file with the quantisation tables.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the file's pixels to the other's.

    Returns:
        What was measured; ``None`` if the file is no JPEG, or too few coefficients tell.
    """
    if not picture.quantisation or picture.format not in {"JPEG", "MPO"}:
        return None
    height, width = min(picture.height, _WINDOW) // 8 * 8, min(picture.width, _WINDOW) // 8 * 8
    if min(height, width) < 32:
        return None
    top, left = (picture.height - height) // 16 * 8, (picture.width - width) // 16 * 8
    seen = np.ascontiguousarray(picture.pixels[top : top + height, left : left + width])
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    laid, valid, _ = render(source, matrix @ shift, (width, height))
    if valid.mean() < 0.9:
        return None
    foreseen = foresee(laid, seen, valid)
    coefficients, error = _blocks(luma(seen).astype(np.float32) - 128), _blocks(luma(seen) - foreseen)
    steps = np.array(picture.quantisation[0], dtype=np.float32).reshape(8, 8)
    told = (np.abs(coefficients) > 0.7 * steps) & (steps >= _SMALLEST_STEP)
    told[:, 0, 0] = False
    if told.sum() < _FEWEST_COEFFICIENTS:
        return None
    ratio = (np.abs(error) / steps)[told]
    return Lattice(float(np.median(ratio)), float((ratio > 0.6).mean()))


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


def is_repeated(pixels: Pixels) -> bool:
    """Whether a picture was enlarged by repeating its rows and columns."""
    grey = luma(pixels).astype(np.int16)[:1024, :1024]
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
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
    height, width = min(larger.shape[0], _WINDOW) // 8 * 8, min(larger.shape[1], _WINDOW) // 8 * 8
    if min(height, width) < 32:
        return 1.0
    top, left = (larger.shape[0] - height) // 16 * 8, (larger.shape[1] - width) // 16 * 8
    seen = np.ascontiguousarray(larger[top : top + height, left : left + width])
    shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    laid, valid, _ = render(source, matrix @ shift, (width, height))
    if valid.mean() < 0.5:
        return 1.0
    whole = _blocks(luma(seen).astype(np.float32) - 128)
    missed = _blocks(luma(seen) - foresee(laid, seen, valid))
    row, column = np.mgrid[:_BANDS, :_BANDS]
    band = np.maximum(row, column)
    energy = np.mean(missed.astype(np.float64) ** 2, axis=0)[band >= min(7, math.ceil(8.64 / ratio))].sum()
    coarse = np.mean(whole.astype(np.float64) ** 2, axis=0)[(band >= 1) & (band <= 2)].sum()
    return math.sqrt(float(energy) / max(float(coarse), 1e-9))


def by_lattice(left: FullPicture, right: FullPicture, one: Lattice | None, two: Lattice | None) -> Original:
    """Say which file was made from the other one, by the coefficients of both.

    Args:
        left: File A.
        right: File B.
        one: How A's coefficients are foreseen from B; ``None`` if it has none.
        two: How B's are foreseen from A.

    Returns:
        The original, or that it is unknown.
    """
    found = _derived(one, two, right, "A", "B")
    if found:
        return Original(Side.LEFT, sure=True, reason=found)
    found = _derived(two, one, left, "B", "A")
    return Original(Side.RIGHT, sure=True, reason=found) if found else Original()


def _derived(first: Lattice | None, later: Lattice | None, copy: FullPicture, name: str, its: str) -> str:
    """Say why the second file is a copy of the first one; empty if it does not show."""
    if first is not None and first.is_repeated and (later is None or later.miss > 1.6 * first.miss):
        return f"{its} repeats the compression noise of {name} and was made from it"
    opened = first is not None and first.wide > 0.2
    if later is not None and later.is_rounding and opened:
        return f"{its} was saved again from {name} at quality {quality(copy.quantisation)}"
    return ""


def by_facts(left: FullPicture, right: FullPicture, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Original:
    """Say which file lost something that an edit only takes away: colour, depth, transparency, frames."""
    if ours and not theirs:
        return Original(Side.LEFT, sure=True, reason=f"A has {ours[0]} that B lacks")
    if theirs and not ours:
        return Original(Side.RIGHT, sure=True, reason=f"B has {theirs[0]} that A lacks")
    one, two = stretch(left.pixels), stretch(right.pixels)
    if left.format != "JPEG" or right.format != "JPEG":
        if two > _STRETCHED and one < _UNTOUCHED:
            return Original(Side.LEFT, sure=True, reason="the tone curve of B was stretched")
        if one > _STRETCHED and two < _UNTOUCHED:
            return Original(Side.RIGHT, sure=True, reason="the tone curve of A was stretched")
    return Original()
