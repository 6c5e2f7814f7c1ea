"""Finds the differences of two aligned pictures that tone, encoding, resampling, blur and noise do not explain.

One picture is foreseen from the other with what an edit of the whole picture can do: one curve for each channel, one
mixture of the channels, one blur or sharpening. What is left is smoothed, because encoders distribute their error over
single pixels and draw none of them, and measured in units of what the same pair differs by elsewhere: in the plain
parts, and in proportion to the activity of a place. If something is left, the forecast is made the other way round
too, and the better one counts: a clipped or blurred copy is foreseen from the other and not the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from py_image_dedup.inspection.align import Aligned, Mask, Pixels, Plane, luma, shrunk
from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.inspection.tone import Samples, fit, robust, sample

_BLURS = (0.8, 1.6, 3.2)
"""Pixels: sums of these follow any blur, sharpening and resampling kernel."""
_WINDOW = 160
"""Side of the windows that a filter is fitted in, pixels."""
_WINDOWS = 3
"""Windows along a side of the picture."""
_BLOCK = 4
"""Side of the blocks in which activity and chroma are measured, in pixels."""
_TEXTURED = 10.0
"""Grey levels of local deviation from which on a place is textured."""
_MOST_PROPORTION = 0.2
"""Share of the activity that a smoothed difference may reach by encoding: JPEG at quality 10."""
_TAIL = 0.998
"""Quantile of the textured pixels' differences that says how well the forecast holds at its worst."""
_FEWEST_TEXTURED = 500
_LEAST_PEAK, _LEAST_LEVEL = 0.7, 0.45
"""Thresholds that a region which stands out reaches at its peak, and that its pixels reach."""
_OUTLYING = 3.0
"""Times the worst thousandth of the picture, that such a peak reaches: weak edits reach 2.7, a figure of 7 pixels that
was reduced by half 3.1."""
_FEWEST_OUTLYING, _LEAST_OUTLYING = 5, 1.5
"""Pixels of such a region, and the sum of what they are beyond its level, in levels."""
_MOST_PIXELS, _MOST_FEW = 250_000, 2_000
"""Pixels that the worst thousandth is taken of, about, and at least."""
_CONCENTRATED = 0.5
"""Share of the worst thousandth of the pixels from which on it is one place: encoding spreads it over the picture."""
_MOST_LEFT_OUT = 0.05
"""Share of the picture that such a place and its surroundings cover at most; a larger edit has energy enough."""
_PLACES = 3
"""Most places that are left out, one after another."""
_SURROUNDINGS = 15
"""Side of the square, pixels, by which the surroundings of a place reach."""
_FEW = 300
"""Rows and columns in which the usual difference is measured."""


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
    """Where two aligned pictures differ.

    Attributes:
        spots: Connected regions, those with most energy first.
        mask: The pixels of all spots.
        share: Share of the valid pixels that are in spots, 0 to 1.
        usual: Value that 99.9 % of the pixels stay below, in thresholds; 0 if that was not measured.
    """

    spots: tuple[Spot, ...]
    mask: Mask
    share: float
    usual: float = 0.0


def difference(pair: Aligned) -> Difference:
    """Find where two aligned pictures differ.

    Args:
        pair: Both on one grid.

    Returns:
        The regions.
    """
    samples = sample(pair.keeper, pair.other, pair.valid)
    # Filters see half of their neighbourhood at the frame, so that its outermost pixels say nothing.
    inside = cv2.erode(
        pair.valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    outside = inside == 0
    excess, chroma, tail = _forecast(pair.keeper, pair.other, samples, pair.valid, outside)
    usual = _usual(excess, pair.valid)
    spots, mask = _spots(_joined(excess, chroma, outside), usual, tail)
    if spots or usual > THRESHOLDS.legible:
        backward = _forecast(pair.other, pair.keeper, samples.reversed(), pair.valid, outside)
        np.minimum(excess, backward[0], out=excess)
        if chroma is not None and backward[1] is not None:
            np.minimum(chroma, backward[1], out=chroma)
        usual = _usual(excess, pair.valid)
        spots, mask = _spots(_joined(excess, chroma, outside), usual, min(tail, backward[2]))
    share = float(np.count_nonzero(mask)) / max(1, int(np.count_nonzero(pair.valid)))
    return Difference(spots, mask, share, usual)


def _joined(excess: Plane, chroma: Plane | None, outside: Mask) -> Plane:
    joined = excess
    if chroma is not None:
        large = cv2.resize(chroma, excess.shape[::-1], interpolation=cv2.INTER_NEAREST)
        joined = np.asarray(np.maximum(excess, large), dtype=np.float32)
    joined[outside] = 0
    return joined


def _forecast(
    source: Pixels, target: Pixels, samples: Samples, valid: Mask, outside: Mask
) -> tuple[Plane, Plane | None, float]:
    """Return how many thresholds each pixel of the target differs by, in luma and in chroma by blocks, and the tail."""
    toned = fit(samples).apply(source)
    seen = luma(target)
    excess, tail = _excess(_filtered(luma(toned), seen, valid), seen, valid, outside)
    if source.ndim == 2 or target.ndim == 2:
        return excess, None, tail
    return excess, _chroma_excess(toned, target, valid, outside), tail


def foresee(source: Pixels, target: Pixels, valid: Mask) -> Plane:
    """Foresee the luma of a picture from another one on the same grid.

    Args:
        source: uint8, grey or BGR.
        target: The same height and width.
        valid: Where both pictures are.

    Returns:
        float32, grey levels.
    """
    toned = fit(sample(source, target, valid)).apply(source)
    shown = _filtered(luma(toned), luma(target), valid)
    return shown if toned.ndim == 2 else _balanced(shown, toned, target, valid)


def _balanced(shown: Plane, toned: Pixels, target: Pixels, valid: Mask) -> Plane:
    """Take out of a forecast of luma what small errors of the mixture left in it of the colours."""
    blue, grey, red = (toned[..., 0], luma(toned), toned[..., 2])
    tints = [np.asarray(cv2.subtract(tint, grey, dtype=cv2.CV_32F), dtype=np.float32) for tint in (blue, red)]
    few = np.flatnonzero(valid)[::11]
    design = np.column_stack([np.ones(len(few), dtype=np.float32), *(tint.ravel()[few] for tint in tints)])
    missed = luma(target).ravel()[few] - shown.ravel()[few]
    offset, *weights = robust(design, missed, np.zeros(3, dtype=np.float32))
    for weight, tint in zip(weights, tints, strict=True):
        if weight:
            shown = np.asarray(cv2.scaleAdd(tint, float(weight), shown), dtype=np.float32)
    return np.asarray(shown + offset, dtype=np.float32)


def _filtered(toned: Pixels, aim: Pixels, valid: Mask) -> Plane:
    """Blur or sharpen a picture as it fits another one best."""
    plain = np.array([0, 1, 1, 1, 1], dtype=np.float32)
    designs, aims = [], []
    for part in windows(toned.shape, _WINDOW, _WINDOWS):
        inside = np.flatnonzero(valid[part])[::7]
        blurred = [toned[part], *_blurred(toned[part])]
        planes = [plane.ravel()[inside].astype(np.float32) for plane in blurred]
        details = [one - two for one, two in pairwise(planes)]
        designs.append(np.column_stack([np.ones(len(inside), dtype=np.float32), planes[-1], *details]))
        aims.append(aim[part].ravel()[inside].astype(np.float32))
    weights = robust(np.concatenate(designs), np.concatenate(aims), plain)
    if np.array_equal(weights, plain):
        return toned.astype(np.float32)
    offset, coarse, first, second, third = (float(weight) for weight in weights)
    near, middle, far = _blurred(toned)
    result = cv2.addWeighted(toned, first, near, second - first, offset, dtype=cv2.CV_32F)
    rest = cv2.addWeighted(middle, third - second, far, coarse - third, 0, dtype=cv2.CV_32F)
    result = cv2.add(result, rest, dst=result)
    return np.asarray(np.clip(result, 0, 255, out=result), dtype=np.float32)


def _blurred(plane: Pixels) -> list[Pixels]:
    return [np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), dtype=np.uint8) for sigma in _BLURS]


def windows(shape: tuple[int, ...], side: int, count: int) -> list[tuple[slice, slice]]:
    """Return square parts that are spread evenly over a picture; the whole of it if it is small.

    Args:
        shape: Height and width.
        side: Side of a part, in pixels.
        count: Largest number of parts along each side of the picture.
    """
    places = []
    for length in shape[:2]:
        many = max(1, min(count, length // side))
        size = side if length >= side * many and length > side * 1.5 else length
        many = 1 if size == length else many
        room = length - size * many
        places.append(
            [
                slice(start, start + size)
                for start in ((2 * number + 1) * room // (2 * many) + number * size for number in range(many))
            ]
        )
    return [(rows, columns) for rows in places[0] for columns in places[1]]


def _activity(*planes: Plane | Pixels) -> Plane:
    """Return the largest local deviation of some pictures, by blocks, grey levels."""
    height, width = planes[0].shape
    rows, columns = max(1, height // _BLOCK), max(1, width // _BLOCK)
    cut = np.s_[: rows * _BLOCK, : columns * _BLOCK]
    largest: Plane = np.zeros((rows, columns), dtype=np.float32)
    for plane in planes:
        values = np.ascontiguousarray(plane[cut], dtype=np.float32)
        mean = cv2.blur(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), (3, 3))
        squares = cv2.multiply(values, values)
        square = cv2.blur(cv2.resize(squares, (columns, rows), interpolation=cv2.INTER_AREA), (3, 3))
        np.maximum(largest, square - mean * mean, out=largest)
    return np.asarray(np.sqrt(largest), dtype=np.float32)


def _excess(foreseen: Plane, seen: Pixels, valid: Mask, outside: Mask) -> tuple[Plane, float]:
    """Return how many thresholds each pixel differs by, and by how many the worst of the textured ones usually do."""
    height, width = seen.shape
    error = np.asarray(cv2.subtract(seen, foreseen, dtype=cv2.CV_32F), dtype=np.float32)
    # Smoothing would carry what lies outside, as a border, into the common area.
    error[outside] = 0
    blocks = _activity(foreseen, seen)
    activity = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_LINEAR)
    part = np.s_[:: max(1, height // _FEW), :: max(1, width // _FEW)]
    inside = valid[part]
    active = activity[part][inside]
    textured = active > _TEXTURED
    calm = active <= max(_TEXTURED, float(np.quantile(active, 0.3)) if len(active) else 0)
    excess: Plane | None = None
    for sigma in THRESHOLDS.sigmas:
        smooth = _smoothed(error, sigma)
        few = np.abs(smooth[part])[inside]
        noise = 1.48 * float(np.median(few[calm])) if calm.sum() > 50 else 1.0
        proportion = 1.48 * float(np.median(few[textured] / active[textured])) if textured.sum() > 50 else 0.03
        proportion = min(proportion, _MOST_PROPORTION / THRESHOLDS.deviations * 3)
        noise = min(noise, 8.0 / sigma)
        bound = np.maximum(np.float32(noise), np.float32(proportion) * activity)
        bound *= np.float32(THRESHOLDS.deviations)
        bound += np.float32(THRESHOLDS.least_difference / sigma**0.5)
        ratio = np.divide(np.abs(smooth, out=smooth), bound, out=bound)
        excess = ratio if excess is None else np.maximum(excess, ratio, out=excess)
    if excess is None:
        return np.zeros_like(foreseen), 0.0
    worst = excess[part][inside][textured]
    return excess, float(np.quantile(worst, _TAIL)) if len(worst) > _FEWEST_TEXTURED else 1.0


def _smoothed(error: Plane, sigma: float) -> Plane:
    """Blur; widely on half the grid, where it costs an eighth."""
    height, width = error.shape
    if sigma < 3 or min(height, width) < 64:
        return np.asarray(cv2.GaussianBlur(error, (0, 0), sigma), dtype=np.float32)
    half = cv2.resize(error, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), sigma / 2)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _chroma_excess(foreseen: Pixels, target: Pixels, valid: Mask, outside: Mask) -> Plane:
    """Return how many thresholds the colours differ by, in blocks."""
    expected, colour = (cv2.split(shrunk(pixels, _BLOCK).astype(np.float32)) for pixels in (foreseen, target))
    size = colour[0].shape[::-1]
    inside = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    errors = [two - one for one, two in zip(expected, colour, strict=True)]
    if not valid.all():
        beyond = cv2.resize(outside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        for error in errors:
            error[beyond] = 0
    mean = (errors[0] + errors[1] + errors[2]) * np.float32(1 / 3)
    apart = [np.abs(cv2.GaussianBlur(error - mean, (0, 0), 1.0)) for error in errors]
    smooth = np.maximum(np.maximum(apart[0], apart[1]), apart[2])
    spread = np.maximum(np.maximum(*colour[:2]), colour[2]) - np.minimum(np.minimum(*colour[:2]), colour[2])
    noise = 1.48 * float(np.median(smooth[inside])) if inside.any() else 0.0
    bound = np.float32(THRESHOLDS.chroma_difference + THRESHOLDS.deviations * min(noise, 4.0))
    return np.asarray(smooth / (bound + np.float32(0.1) * spread), dtype=np.float32)


def _spots(excess: Plane, usual: float, tail: float) -> tuple[tuple[Spot, ...], Mask]:
    """Join the pixels that differ to regions, across gaps as between the letters of a word.

    A region has pixels beyond their thresholds, and more of them where the forecast holds badly at its worst. Or it
    stands out: what encoding, resampling and filters leave comes to an end soon beyond its worst thousandth.
    """
    mask = np.zeros(excess.shape, dtype=np.bool_)
    peak = max(_LEAST_PEAK, _OUTLYING * usual)
    level = min(1.0, max(_LEAST_LEVEL, 2 * usual))
    over = excess > level
    if float(excess.max()) < min(1.0, peak):
        return (), mask
    joined = cv2.dilate(over.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    places = np.flatnonzero(over)
    groups, values = np.asarray(labels, dtype=np.intp).ravel()[places], excess.ravel()[places]
    beyond = np.maximum(values - 1, 0)
    areas = np.bincount(groups[values > 1], minlength=count)
    energies = np.bincount(groups, weights=beyond, minlength=count)
    kept = (areas >= THRESHOLDS.least_area) & (energies >= THRESHOLDS.least_energy * min(1.0, max(0.25, tail)))
    peaks = np.zeros(count, dtype=np.float32)
    np.maximum.at(peaks, groups, values)
    wide = np.bincount(groups, minlength=count) >= _FEWEST_OUTLYING
    kept |= (
        wide & (peaks > peak) & (np.bincount(groups, weights=values / level - 1, minlength=count) >= _LEAST_OUTLYING)
    )
    kept[0] = False
    if not kept.any():
        return (), mask
    mask.ravel()[places] = kept[groups]
    return _grouped(mask, excess), mask


def _usual(excess: Plane, valid: Mask) -> float:
    """Return what all but a thousandth of the pixels stay below, without a place that has most of this thousandth.

    A small edit of a small picture is a thousandth of it. It must not be measured against itself.
    """
    step = max(1, int((excess.size / _MOST_PIXELS) ** 0.5))
    few, inside = excess[::step, ::step], valid[::step, ::step]
    if np.count_nonzero(inside) <= _MOST_FEW:
        return 1.0
    usual = float(np.quantile(few[inside], 1 - 1e-3))
    for _ in range(_PLACES):
        place = _concentrated(few, inside, usual)
        inside = inside if place is None else inside & ~place
        if place is None or np.count_nonzero(inside) <= _MOST_FEW:
            break
        usual = min(usual, float(np.quantile(few[inside], 1 - 1e-3)))
    return usual


def _concentrated(excess: Plane, inside: Mask, usual: float) -> Mask | None:
    """Return the small place, with its surroundings, that has most of the pixels beyond a value, if there is one."""
    over = (excess > usual) & inside
    count, labels = cv2.connectedComponents(cv2.dilate(over.astype(np.uint8), np.ones((5, 5), np.uint8)))
    sizes = np.bincount(np.asarray(labels, dtype=np.intp)[over], minlength=count)
    best = int(sizes.argmax())
    if not sizes[best] or sizes[best] < _CONCENTRATED * sizes.sum():
        return None
    around = np.ones((_SURROUNDINGS, _SURROUNDINGS), np.uint8)
    place = cv2.dilate((np.asarray(labels) == best).astype(np.uint8), around) > 0
    return np.asarray(place) if np.count_nonzero(place) <= _MOST_LEFT_OUT * np.count_nonzero(inside) else None


def differing(pair: Aligned) -> Mask:
    """Return where two aligned pictures of one tone differ by what can be seen."""
    apart = cv2.absdiff(pair.keeper, pair.other) if pair.keeper.ndim == pair.other.ndim else None
    if apart is None:
        apart = cv2.absdiff(luma(pair.keeper), luma(pair.other))
    elif apart.ndim > 2:
        apart = cv2.max(cv2.max(apart[..., 0], apart[..., 1]), apart[..., 2])
    return np.asarray(cv2.GaussianBlur(apart, (0, 0), THRESHOLDS.sigmas[0]) > THRESHOLDS.least_difference)


def grouped(mask: Mask, valid: Mask) -> Difference:
    """Join pixels that differ to regions.

    Args:
        mask: The pixels, on a grid.
        valid: Where both pictures are.

    Returns:
        The regions; the energy of one is its area.
    """
    share = float(np.count_nonzero(mask)) / max(1, int(np.count_nonzero(valid)))
    return Difference(_grouped(mask, mask.astype(np.float32) + 1), mask, share)


def _grouped(mask: Mask, excess: Plane) -> tuple[Spot, ...]:
    """Return the regions of a mask; words and lines are one region for a person."""
    reach = max(5, round(min(excess.shape) / 40)) | 1
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return ()
    # Most regions are small: only what is around them is looked at.
    left, top = max(0, x - reach) // 2 * 2, max(0, y - reach) // 2 * 2
    around = np.s_[top : y + height + reach, left : x + width + reach]
    mask, excess = mask[around], excess[around]
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    number, groups, boxes, _ = cv2.connectedComponentsWithStats(wide, connectivity=8)
    found = []
    for group in range(1, min(number, 200)):
        x, y, width, height = (int(value) for value in boxes[group, :4])
        part = np.s_[y : y + height, x : x + width]
        rows, columns = np.nonzero(mask[part] & (groups[part] == group))
        first_row, first_column = y + int(rows.min()), x + int(columns.min())
        energy = float(excess[part][rows, columns].sum() - len(rows))
        wide_by, high_by = x + int(columns.max()) + 1 - first_column, y + int(rows.max()) + 1 - first_row
        spot = Spot(left + first_column, top + first_row, wide_by, high_by, len(rows), round(energy, 1))
        found.append(spot)
    found.sort(key=lambda spot: -spot.energy)
    return tuple(found)
