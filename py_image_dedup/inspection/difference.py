"""What differs between two aligned pictures beyond what tone, encoding, resampling, blur and noise explain.

One picture is foreseen from the other with what an edit of the whole picture can do: one curve for each channel, one
mixture of the channels, one blur or sharpening. What is left is smoothed, because encoders distribute their error over
single pixels and draw none of them, and measured in units of what the same pair differs by elsewhere: in the plain
parts, and in proportion to the activity of a place. Both pictures are foreseen from each other, and the better
forecast counts: a clipped or blurred copy is foreseen from the other and not the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Aligned, Mask, Pixels, Plane, luma
from py_image_dedup.inspection.thresholds import THRESHOLDS

_KNOTS = 33
"""Points of a tone curve: one each 8 grey levels, so that it follows a gamma and no object."""
_SAMPLES = 12_000
"""Pixels that curves and mixtures are fitted to."""
_BLURS = (0.8, 1.6, 3.2)
"""Pixels: sums of these follow any blur, sharpening and resampling kernel."""
_ACTIVITY_SIDE = 9
_TEXTURED = 10.0
"""Grey levels of local deviation from which on a place is textured."""
_MOST_PROPORTION = 0.2
"""Share of the activity that a smoothed difference may reach by encoding: JPEG at quality 10."""
_CLIPPED = (4, 251)

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A connected region of the grid that differs.

    Attributes:
        left: First column.
        top: First row.
        width: Columns.
        height: Rows.
        area: Pixels that differ.
        energy: Sum of how many thresholds each pixel differs by, beyond the first.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    energy: float


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Where two aligned pictures differ, and how well they agree elsewhere.

    Attributes:
        spots: Connected regions, those with most energy first.
        mask: The pixels of all spots.
        share: Of the valid pixels, those in spots.
        noise: Grey levels that plain places differ by.
        proportion: Share of the local activity that textured places differ by.
    """

    spots: tuple[Spot, ...]
    mask: Mask
    share: float
    noise: float
    proportion: float


def difference(pair: Aligned) -> Difference:
    """Find where two aligned pictures differ.

    Args:
        pair: Both on one grid.

    Returns:
        The regions.
    """
    keeper, other = luma(pair.keeper), luma(pair.other)
    few = _few(pair.valid)
    foreseen_other = _foresee(pair.keeper, pair.other, few)
    foreseen_keeper = _foresee(pair.other, pair.keeper, few)
    forward = _excess(foreseen_other, other.astype(np.float32), pair.valid)
    backward = _excess(foreseen_keeper, keeper.astype(np.float32), pair.valid)
    excess = np.minimum(forward[0], backward[0])
    excess = np.maximum(excess, _chroma_excess(pair))
    # Filters see half of their neighbourhood at the frame, so that its outermost pixels say nothing.
    inside = cv2.erode(
        pair.valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    excess[inside == 0] = 0
    better = min(forward[1:], backward[1:])
    spots, mask = _spots(excess)
    share = float(mask.sum()) / max(1, int(pair.valid.sum()))
    return Difference(spots, mask, share, *better)


def _few(valid: Mask) -> npt.NDArray[np.intp]:
    places = np.flatnonzero(valid)
    return places[:: max(1, len(places) // _SAMPLES)]


def foresee_colours(source: Pixels, target: Pixels, few: npt.NDArray[np.intp]) -> Plane:
    """Foresee the channels of a picture from another one by curves and a mixture for the whole picture.

    Args:
        source: uint8, grey or BGR.
        target: The same height and width.
        few: Flat indices of the pixels to fit to.

    Returns:
        float32, with the target's channels.
    """
    curves, mixture = _tone(source, target, few)
    return _toned(source, curves, mixture)


def _toned(source: Pixels, curves: _Floats, mixture: _Floats) -> Plane:
    planes = source if source.ndim == 3 else source[:, :, None]
    shown = np.empty((*source.shape[:2], planes.shape[2]), dtype=np.float32)
    for channel in range(planes.shape[2]):
        shown[:, :, channel] = curves[channel].astype(np.float32)[planes[:, :, channel]]
    mixed = cv2.transform(shown, mixture.astype(np.float32))
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.float32)


def _tone(source: Pixels, target: Pixels, few: npt.NDArray[np.intp]) -> tuple[_Floats, _Floats]:
    """Fit a curve for each channel of the source, and the mixture that makes the target's channels of them."""
    smooth = [cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in (source, target)]
    one, two = (plane.reshape(plane.shape[0] * plane.shape[1], -1)[few].astype(np.float64) for plane in smooth)
    count = one.shape[1]
    curves = np.empty((count, 256))
    shown = np.empty_like(one)
    grey = two.mean(axis=1)
    for channel in range(count):
        aim = two[:, channel] if two.shape[1] == count else grey
        curves[channel] = _curve(one[:, channel], aim)
        shown[:, channel] = np.interp(one[:, channel], np.arange(256), curves[channel])
    design = np.column_stack([shown, np.ones(len(shown))])
    mixture = np.zeros((two.shape[1], count + 1))
    for channel in range(two.shape[1]):
        aim = two[:, channel]
        plain = np.zeros(count + 1)
        if two.shape[1] == count:
            plain[channel] = 1
        else:
            plain[:count] = 1 / count
        free = (aim > _CLIPPED[0]) & (aim < _CLIPPED[1])
        if free.sum() < 50:
            free[:] = True
        mixture[channel] = _robust(design[free], aim[free], plain)
    return curves, mixture


def _robust(design: _Floats, aim: _Floats, plain: _Floats) -> _Floats:
    """Fit weights, few outliers aside; fall back to plain ones where they are as good."""
    error = aim - design @ plain
    before = float(np.median(np.abs(error)))
    found = plain
    for _ in range(4):
        scale = 1.48 * float(np.median(np.abs(error))) + 0.3
        weight = 1 / (1 + (error / (2 * scale)) ** 2)
        normal = (design * weight[:, None]).T @ design
        ridge = np.trace(normal) * 1e-5 * np.eye(len(plain))
        found = found + np.linalg.solve(normal + ridge, (design * weight[:, None]).T @ error)
        error = aim - design @ found
    after = float(np.median(np.abs(error)))
    is_better = after < 0.9 * before - 0.05
    return np.asarray(found, dtype=np.float64) if is_better else plain


def _curve(source: _Floats, target: _Floats) -> _Floats:
    """Return a monotone curve of 256 values through the medians of the target at each level of the source."""
    step = 256 / (_KNOTS - 1)
    order = np.argsort(source, kind="stable")
    levels, values = source[order], target[order]
    edges = np.searchsorted(levels, (np.arange(_KNOTS + 1) - 0.5) * step)
    knots, medians, weights = [], [], []
    for start, end in pairwise(edges):
        if end - start >= max(20, 0.0008 * len(source)):
            knots.append(float(levels[start:end].mean()))
            medians.append(float(np.median(values[start:end])))
            weights.append(float(end - start))
    if len(knots) < 2:
        return np.asarray(np.arange(256) + float(np.median(target - source)), dtype=np.float64)
    falling = np.corrcoef(knots, medians)[0, 1] < -0.5 if np.ptp(medians) > 0 else False
    sign = -1 if falling else 1
    rising = sign * _monotone(sign * np.array(medians), np.array(weights))
    curve = np.interp(np.arange(256), knots, rising)
    # Beyond the levels that are there, the curve goes on as it went.
    slope = min(max((rising[-1] - rising[0]) / max(knots[-1] - knots[0], 1), -2), 2)
    place = np.arange(256)
    curve = np.where(place < knots[0], rising[0] + (place - knots[0]) * slope, curve)
    curve = np.where(place > knots[-1], rising[-1] + (place - knots[-1]) * slope, curve)
    return np.asarray(curve, dtype=np.float64)


def _monotone(values: _Floats, weights: _Floats) -> _Floats:
    """Return the nearest rising sequence, by pooling neighbours that fall."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = float(value), float(weight), 1
        while pools and pools[-1][0] > mean:
            last, heavy, many = pools.pop()
            mean = (mean * total + last * heavy) / (total + heavy)
            total, count = total + heavy, count + many
        pools.append((mean, total, count))
    return np.concatenate([np.full(count, mean) for mean, _, count in pools])


def foresee(source: Pixels, target: Pixels, valid: Mask) -> Plane:
    """Foresee the luma of a picture from another one on the same grid.

    Args:
        source: uint8, grey or BGR.
        target: The same height and width.
        valid: Where both pictures are.

    Returns:
        float32, grey levels.
    """
    return _foresee(source, target, _few(valid))


def _foresee(source: Pixels, target: Pixels, few: npt.NDArray[np.intp]) -> Plane:
    curves, mixture = _tone(source, target, few)
    if len(mixture) == 3:
        mixture = np.array([[0.114, 0.587, 0.299]]) @ mixture
    toned = _toned(source, curves, mixture)
    aim = luma(target).astype(np.float32).ravel()[few].astype(np.float64)
    blurred = [toned, *(cv2.GaussianBlur(toned, (0, 0), sigma) for sigma in _BLURS)]
    details = [one - two for one, two in pairwise(blurred)]
    columns = [np.ones(len(few)), blurred[-1].ravel()[few], *(plane.ravel()[few] for plane in details)]
    design = np.column_stack(columns).astype(np.float64)
    weights = _robust(design, aim, np.array([0.0, 1, 1, 1, 1]))
    if np.array_equal(weights, np.array([0.0, 1, 1, 1, 1])):
        return toned
    result = blurred[-1] * np.float32(weights[1]) + np.float32(weights[0])
    for weight, plane in zip(weights[2:], details, strict=True):
        result += np.float32(weight) * plane
    return np.asarray(np.clip(result, 0, 255), dtype=np.float32)


def _activity(plane: Plane) -> Plane:
    mean = cv2.blur(plane, (_ACTIVITY_SIDE, _ACTIVITY_SIDE))
    square = cv2.blur(plane * plane, (_ACTIVITY_SIDE, _ACTIVITY_SIDE))
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), dtype=np.float32)


def _excess(foreseen: Plane, seen: Plane, valid: Mask) -> tuple[Plane, float, float]:
    """Return how many thresholds each pixel differs by, with the noise and the proportion that they rest on."""
    error = seen - foreseen
    activity = np.maximum(_activity(foreseen), _activity(seen))
    part = np.s_[:: max(1, seen.shape[0] // 600), :: max(1, seen.shape[1] // 600)]
    inside = valid[part]
    excess: Plane = np.zeros_like(seen)
    first = (0.0, 0.0)
    for sigma in THRESHOLDS.sigmas:
        smooth = cv2.GaussianBlur(error, (0, 0), sigma)
        few, active = np.abs(smooth[part])[inside], activity[part][inside]
        textured = active > _TEXTURED
        plain = active <= max(_TEXTURED, float(np.quantile(active, 0.3)) if len(active) else 0)
        noise = 1.48 * float(np.median(few[plain])) if plain.sum() > 50 else 1.0
        proportion = 1.48 * float(np.median(few[textured] / active[textured])) if textured.sum() > 50 else 0.03
        proportion = min(proportion, _MOST_PROPORTION / THRESHOLDS.deviations * 3)
        noise = min(noise, 8.0 / sigma)
        bound = np.float32(THRESHOLDS.least_difference / sigma**0.5) + np.float32(THRESHOLDS.deviations) * np.maximum(
            np.float32(noise), np.float32(proportion) * activity
        )
        np.maximum(excess, np.abs(smooth) / bound, out=excess)
        if sigma == THRESHOLDS.sigmas[0]:
            first = (noise, proportion)
    return excess, *first


def _chroma_excess(pair: Aligned) -> Plane:
    """Return how many thresholds the colours differ by, if both pictures have some."""
    height, width = pair.valid.shape
    if pair.keeper.ndim == 2 or pair.other.ndim == 2:
        return np.zeros((height, width), dtype=np.float32)
    size = (max(8, width // 4), max(8, height // 4))
    keeper, other = (
        np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for pixels in (pair.keeper, pair.other)
    )
    valid = cv2.resize(pair.valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    few = _few(np.asarray(valid, dtype=np.bool_))
    least: Plane = np.full(size[::-1], np.inf, dtype=np.float32)
    for source, target in ((keeper, other), (other, keeper)):
        error = target.astype(np.float32) - foresee_colours(source, target, few)
        error -= error.mean(axis=2, keepdims=True)
        smooth = np.abs(cv2.GaussianBlur(error, (0, 0), 1.0)).max(axis=2)
        colour = target.astype(np.float32) - target.mean(axis=2, keepdims=True, dtype=np.float32)
        spread = np.abs(colour).max(axis=2)
        noise = 1.48 * float(np.median(smooth[valid]))
        bound = np.float32(THRESHOLDS.chroma_difference + THRESHOLDS.deviations * min(noise, 4.0)) + 0.15 * spread
        found = np.asarray(smooth / bound, dtype=np.float32)
        least = np.minimum(least, found)
    return np.asarray(cv2.resize(least, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.float32)


def _spots(excess: Plane) -> tuple[tuple[Spot, ...], Mask]:
    """Join the pixels that differ to regions, across gaps as between the letters of a word."""
    over = excess > 1
    mask = np.zeros(excess.shape, dtype=np.bool_)
    if not over.any():
        return (), mask
    joined = cv2.dilate(over.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    labels = labels * over
    areas = np.bincount(labels.ravel(), minlength=count)
    energies = np.bincount(labels.ravel(), weights=(excess - 1).ravel(), minlength=count)
    kept = (areas >= THRESHOLDS.least_area) & (energies >= THRESHOLDS.least_energy)
    kept[0] = False
    if not kept.any():
        return (), mask
    mask = kept[labels]
    # Words and lines are one region for a person.
    reach = max(5, round(min(excess.shape) / 40)) | 1
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    number, groups = cv2.connectedComponents(wide, connectivity=8)
    found = []
    for group in range(1, min(number, 200)):
        rows, columns = np.nonzero(mask & (groups == group))
        top, left = int(rows.min()), int(columns.min())
        energy = float(excess[rows, columns].sum() - len(rows))
        found.append(
            Spot(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1, len(rows), round(energy, 1))
        )
    found.sort(key=lambda spot: -spot.energy)
    return tuple(found), mask
