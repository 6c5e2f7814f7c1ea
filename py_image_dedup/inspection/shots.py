"""Distinguishes copies from other exposures: a copy repeats the noise of its original, another exposure has its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Aligned, Mask, Pixels, Plane, luma
from py_image_dedup.inspection.difference import windows
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.model.full_picture import ShotFacts

_TILE = 24
_BLOCK = 8
"""Pixels of the side of a block of a JPEG."""
_FINE, _COARSE = 0.6, 2.4
"""Pixels: noise is measured between these, above what JPEG leaves out and below what is drawn."""
_QUIETEST = 0.25
"""Share of the tiles that are looked at: those with least in them but noise."""
_BUSIEST = 0.2
"""Share of the tiles that show how contrast and sharpness of the pictures differ: those with most in them."""
_BLACK, _WHITE = 10, 245
"""Grey levels beyond which noise is cut off."""
_SILENT = 0.05
"""Squared grey levels: a tile that encoding left nothing in says nothing."""
_WINDOW, _WINDOWS = 336, 3
"""Side of the parts that are looked at, in pixels, and how many along a side of the picture."""
_FEWEST_TILES = 6
_MOST_SCALED = 1.04
_SMALLEST_SCALE = 0.45
"""Ratio of sides below which the noise of a reduction was averaged out."""


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
            grey = luma(pixels[part])
            coarse = cv2.GaussianBlur(grey, (0, 0), _COARSE, dst=None)
            fine = cv2.subtract(cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _FINE), coarse, dtype=cv2.CV_32F)
            planes.append(_tiles(np.asarray(fine, dtype=np.float32), rows, columns))
            mean = _tiles(np.asarray(coarse, dtype=np.uint8), rows, columns)
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
    basis = cv2.dct(np.eye(_BLOCK, dtype=np.float32), flags=cv2.DCT_ROWS).T
    table = np.array(steps, dtype=np.float32).reshape(_BLOCK, _BLOCK)
    fine, errors = [], []
    for part in windows(pixels.shape, _WINDOW, _WINDOWS):
        grey = luma(np.ascontiguousarray(pixels[part]))[_BLOCK // 2 :, _BLOCK // 2 :].astype(np.float32)
        height, width = (length // _BLOCK for length in grey.shape)
        if height * _BLOCK < _TILE or width * _BLOCK < _TILE:
            continue
        grey = np.ascontiguousarray(grey[: height * _BLOCK, : width * _BLOCK])
        blocks = grey.reshape(height, _BLOCK, width, _BLOCK).transpose(0, 2, 1, 3)
        values = basis @ blocks @ basis.T
        missed = basis.T @ (np.rint(values / table) * table - values) @ basis
        error = np.ascontiguousarray(missed.transpose(0, 2, 1, 3).reshape(grey.shape), dtype=np.float32)
        rows, columns = (length // _TILE for length in grey.shape)
        fine.append(_tiles(_band(grey), rows, columns))
        errors.append(_tiles(_band(error), rows, columns))
    if not fine:
        return 0.0
    power = (np.concatenate(fine) ** 2).mean(axis=1)
    quiet = power <= np.quantile(power, _QUIETEST)
    return float(np.sqrt((np.concatenate(errors)[quiet] ** 2).mean()))


def _band(plane: Plane) -> Plane:
    """Return the structure between the scales that noise is measured at."""
    fine, coarse = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    return np.asarray(fine - coarse, dtype=np.float32)


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
