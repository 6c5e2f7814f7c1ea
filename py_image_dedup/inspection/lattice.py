"""Compares the coefficients of a JPEG with a forecast from another file, and finds the quality of an earlier save.

A JPEG rounds its coefficients to a lattice. Foreseen from the other file, a coefficient of the earlier file is met far
more exactly than rounding would allow, because the later file holds the rounded value; a coefficient of the later file
is met with the error of its own rounding, evenly spread over half a step. Of two exposures, neither is met.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Matrix, Pixels, luma, render
from py_image_dedup.inspection.difference import foresee
from py_image_dedup.model.full_picture import FullPicture

_WINDOW = 512
"""Side of the part of a picture that is looked at, pixels; a multiple of 8 as its corner is."""
_FEWEST_COEFFICIENTS = 40
_SMALLEST_STEP = 3
_CLIPPED = (1, 254)
"""Grey levels up to which, and from which on, a channel is clipped."""
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
    """The accuracy with which a JPEG's coefficients are forecast from the other file.

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
    def is_within(self) -> bool:
        """Whether the other file holds all coefficients of this one more exactly than rounding would."""
        return self.miss < 0.235 and self.wide < 0.16

    @property
    def is_rounding(self) -> bool:
        """Whether all that this file lacks of the other one is lost in its own rounding."""
        return 0.2 < self.miss < 0.32 and self.wide < 0.10


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
    if not table:
        if not picture.quantisation or picture.format not in {"JPEG", "MPO"}:
            return None
        table = picture.quantisation[0]
    part = _window(picture.pixels)
    if part is None:
        return None
    rows, columns = part
    seen = np.ascontiguousarray(picture.pixels[part])
    shift = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
    laid, valid, _ = render(source, matrix @ shift, (seen.shape[1], seen.shape[0]))
    if valid.mean() < 0.9:
        return None
    foreseen = foresee(laid, seen, valid)
    grey = luma(seen).astype(np.float32)
    coefficients, error = _blocks(grey - 128), _blocks(grey - foreseen)
    steps = np.array(table, dtype=np.float32).reshape(8, 8)
    met = (np.abs(coefficients) > 0.7 * steps) & (steps >= _SMALLEST_STEP)
    met[:, 0, 0] = False
    met[_cut_off(seen) | _cut_off(laid)] = False
    if met.sum() < _FEWEST_COEFFICIENTS:
        return None
    ratio = (np.abs(error) / steps)[met]
    return Lattice(float(np.median(ratio)), float((ratio > 0.6).mean()))


def _cut_off(pixels: Pixels) -> Mask:
    """Return which blocks of a picture are clipped somewhere: there decoding itself has lost what was stored."""
    channels = pixels.reshape(*pixels.shape[:2], -1)
    clipped = ((channels >= _CLIPPED[1]) | (channels <= _CLIPPED[0])).any(axis=2)
    height, width = clipped.shape
    return np.asarray(clipped.reshape(height // 8, 8, width // 8, 8).any(axis=(1, 3)).ravel(), dtype=np.bool_)


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
    blocks = blocks[np.argsort(power)[-_EARLIER_BLOCKS:]]
    own: npt.NDArray[np.float32] = np.ones((8, 8), dtype=np.float32)
    if picture.quantisation and picture.format in {"JPEG", "MPO"}:
        own = np.array(picture.quantisation[0], dtype=np.float32).reshape(8, 8)
    best, found = _ON_LATTICE, 0
    for wanted in _QUALITIES:
        steps = table_of(wanted)
        visible = (steps >= _COARSER * own) & (steps >= _SMALLEST_STEP)
        visible[0, 0] = False
        if not visible.any():
            continue
        ratio = np.abs(blocks[:, visible]) / steps[visible]
        ratio = ratio[ratio > 0.7]
        if len(ratio) < _FEWEST_COEFFICIENTS:
            continue
        distance = float(np.median(np.abs(ratio - np.rint(ratio))))
        # Of tables that share their steps, the finest one that fits is the right one.
        if distance <= best * 1.02:
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
    part = _window(larger)
    if part is None:
        return 1.0
    rows, columns = part
    seen = np.ascontiguousarray(larger[part])
    shift = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
    laid, valid, _ = render(source, matrix @ shift, (seen.shape[1], seen.shape[0]))
    if valid.mean() < 0.5:
        return 1.0
    whole = _blocks(luma(seen).astype(np.float32) - 128)
    missed = _blocks(luma(seen) - foresee(laid, seen, valid))
    row, column = np.mgrid[:_BANDS, :_BANDS]
    band = np.maximum(row, column)
    energy = np.mean(missed.astype(np.float64) ** 2, axis=0)[band >= min(7, math.ceil(8.64 / ratio))].sum()
    coarse = np.mean(whole.astype(np.float64) ** 2, axis=0)[(band >= 1) & (band <= 2)].sum()
    return math.sqrt(float(energy) / max(float(coarse), 1e-9))
