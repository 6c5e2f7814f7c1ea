"""The tone and colour of one picture foreseen from another one, by curves and a mixture for the whole picture.

An edit of the whole picture does the same to equal colours wherever they are: a curve for each channel, a mixture of
the channels as of saturation, sepia and grey, and a second curve where the result was coloured by a map. None of it
knows a place, so nothing that was drawn is foreseen. Clipping is part of the curves: they end at 0 and 255.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Pixels

_KNOTS = 33
"""Points of a curve: one each 8 grey levels, so that it follows a gamma and no object."""
_SAMPLES = 9_000
"""Pixels that curves and mixtures are fitted to."""
_CLIPPED = (4, 251)
"""Grey levels beyond which a channel may have been cut off."""
_MOST_UNREST = 1024
"""More than the unrest of a place, of two pictures of 256 levels, can be."""
_FEWEST = 12
"""Samples that a point of a curve rests on."""
_FEWEST_FREE = 50
"""Samples that are not clipped, and that a mixture rests on."""
_MISSED = 0.8
"""Median error in grey levels from which on more is tried than curves; rounding leaves 0.25."""

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The same places of two pictures.

    Attributes:
        one: Channels of the first picture, float32, shape ``(samples, channels)``.
        two: The same of the second one.
        unrest: How much both change around each place, grey levels.
    """

    one: _Floats
    two: _Floats
    unrest: _Floats

    def reversed(self) -> Samples:
        """Return the same with the pictures exchanged."""
        return Samples(self.two, self.one, self.unrest)


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """What was done to the tone and colour of a picture.

    Attributes:
        curves: One of 256 levels for each channel of the source, uint8, shape ``(channels, 256)``.
        mixture: Weights of the curves' results for each channel of the target, and an offset as the last column;
            ``None`` if each channel is its own.
        last: A curve for each channel of the target, uint8, applied last; ``None`` if there is none.
    """

    curves: Pixels
    mixture: _Floats | None
    last: Pixels | None

    def apply(self, source: Pixels) -> Pixels:
        """Return the picture with its tone and colour changed, uint8."""
        shown = _looked_up(self.curves, source)
        if self.mixture is not None:
            shown = np.asarray(cv2.transform(shown, self.mixture), dtype=np.uint8)
            if self.last is not None:
                shown = _looked_up(self.last, shown)
        return shown


def sample(one: Pixels, two: Pixels, valid: Mask) -> Samples:
    """Take the pixels of two aligned pictures that curves are fitted to.

    Args:
        one: uint8, grey or BGR.
        two: The same height and width.
        valid: Where both pictures are.

    Returns:
        Means of 2 x 2 pixels or more, which resampling and encoding have little part in.
    """
    height, width = valid.shape
    factor = 2 if min(height, width) >= 64 else 1
    size = (width // factor, height // factor)
    inside = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).ravel() > 0
    places = np.flatnonzero(inside)
    if not len(places):
        places = np.arange(len(inside))
    # An odd step, so that the samples are no columns of the picture.
    step = max(1, len(places) // _SAMPLES) | 1
    places = places[::step]
    taken, unrest = [], np.zeros(len(places), dtype=np.float32)
    for pixels in (one, two):
        small = pixels if factor == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        around = cv2.blur(small, (3, 3))
        flat = small.reshape(len(inside), -1)[places].astype(np.float32)
        unrest += np.abs(flat - around.reshape(len(inside), -1)[places]).max(axis=1)
        taken.append(flat)
    return Samples(taken[0], taken[1], unrest)


def fit(samples: Samples) -> Tone:
    """Fit what makes the second picture's tone and colour of the first one's.

    Curves come before the mixture, as of a gamma with a filter of colour, or there are none before it, as of
    saturation, where the levels of a channel do not say what becomes of it: whichever fits better.
    """
    one, two = samples.one, samples.two
    count, aims = one.shape[1], two.shape[1]
    grey = two.mean(axis=1)
    curves = np.stack([_curve(one[:, i], two[:, i] if aims == count else grey, samples.unrest) for i in range(count)])
    shown = np.column_stack([curves[i][np.rint(one[:, i]).astype(np.intp)] for i in range(count)])
    levels = np.clip(np.rint(curves), 0, 255).astype(np.uint8)
    if aims == count and _missed(shown, two) < _MISSED:
        return Tone(levels, None, None)
    mixture, mixed = _mixture(shown, two)
    best, missed = Tone(levels, mixture, _last(mixed, two, samples.unrest)), _missed(mixed, two)
    if count == 1:
        return best
    mixture, mixed = _mixture(one, two)
    if _missed(mixed, two) < 0.9 * missed:
        same = np.tile(np.arange(256, dtype=np.uint8), (count, 1))
        best = Tone(same, mixture, _last(mixed, two, samples.unrest))
    return best


def _missed(shown: _Floats, aims: _Floats) -> float:
    return float(np.median(np.abs(shown - aims)))


def _mixture(shown: _Floats, two: _Floats) -> tuple[_Floats, _Floats]:
    """Fit the weights of the channels that make another picture's channels, and return them with their result."""
    count, aims = shown.shape[1], two.shape[1]
    design = np.column_stack([shown, np.ones(len(shown), dtype=np.float32)])
    mixture = np.zeros((aims, count + 1), dtype=np.float32)
    for channel in range(aims):
        plain = np.zeros(count + 1, dtype=np.float32)
        if aims == count:
            plain[channel] = 1
        else:
            plain[:count] = 1 / count
        aim = two[:, channel]
        free = (aim > _CLIPPED[0]) & (aim < _CLIPPED[1])
        if free.sum() < _FEWEST_FREE:
            free[:] = True
        mixture[channel] = robust(design[free], aim[free], plain)
    return mixture, np.asarray(np.clip(design @ mixture.T, 0, 255), dtype=np.float32)


def _last(mixed: _Floats, aims: _Floats, unrest: _Floats) -> Pixels | None:
    """Return the curves that bring a mixture nearer to its aim; ``None`` if it is near enough."""
    before = _missed(mixed, aims)
    if before < _MISSED:
        return None
    curves = np.stack([_curve(mixed[:, i], aims[:, i], unrest) for i in range(aims.shape[1])])
    shown = np.column_stack([curves[i][np.rint(mixed[:, i]).astype(np.intp)] for i in range(aims.shape[1])])
    if _missed(shown, aims) > 0.8 * before:
        return None
    return np.clip(np.rint(curves), 0, 255).astype(np.uint8)


def robust(design: _Floats, aim: _Floats, plain: _Floats) -> _Floats:
    """Fit weights by least squares with outliers weighted down.

    Args:
        design: Shape ``(samples, weights)``.
        aim: What the weighted sums should be.
        plain: Weights to start from, which are kept where the fit is not clearly better.

    Returns:
        The weights.
    """
    error = aim - design @ plain
    before = float(np.median(np.abs(error)))
    found, scale = plain.astype(np.float64), before
    for _ in range(3):
        weight = 1 / (1 + (error / np.float32(2 * (1.48 * scale + 0.3))) ** 2)
        weighted = design * weight[:, None]
        normal = (weighted.T @ design).astype(np.float64)
        ridge = np.trace(normal) * 1e-5 * np.eye(len(plain))
        found = found + np.linalg.solve(normal + ridge, (weighted.T @ error).astype(np.float64))
        error = aim - design @ found.astype(np.float32)
        scale = float(np.median(np.abs(error)))
    return found.astype(np.float32) if scale < 0.9 * before - 0.05 else plain


def _curve(source: _Floats, target: _Floats, unrest: _Floats) -> _Floats:
    """Return a monotone curve of 256 values through the medians of the target at each level of the source.

    At each level the calmer half counts: beside an edge, a mean over some pixels mixes what lies on both sides, which
    a curve with a bend does not map to the mean of what it makes of them.
    """
    step = 256 / (_KNOTS - 1)
    bins = np.rint(source / np.float32(step)).astype(np.int64)
    # Unrest is a sum of differences of levels: with the bin it makes one small number, which sorts in linear time.
    order = np.argsort((bins * _MOST_UNREST + unrest.astype(np.int64)).astype(np.uint16), kind="stable")
    edges = np.searchsorted(bins[order], np.arange(_KNOTS + 1))
    knots, medians, weights = [], [], []
    for start, end in pairwise(edges):
        calm = order[start : start + max(_FEWEST, (end - start + 1) // 2)] if end - start >= _FEWEST else order[:0]
        if len(calm):
            knots.append(float(source[calm].mean()))
            medians.append(_median(target[calm]))
            weights.append(float(len(calm)))
    place = np.arange(256, dtype=np.float32)
    if len(knots) < 2:
        return np.asarray(place + np.float32(np.median(target - source)), dtype=np.float32)
    falling = np.corrcoef(knots, medians)[0, 1] < -0.5 if np.ptp(medians) > 0 else False
    sign = -1 if falling else 1
    rising = sign * _monotone(sign * np.array(medians), np.array(weights))
    curve = np.interp(place, knots, rising)
    # Beyond the levels that are there, the curve goes on as it went.
    slope = min(max((rising[-1] - rising[0]) / max(knots[-1] - knots[0], 1), -2), 2)
    curve = np.where(place < knots[0], rising[0] + (place - knots[0]) * slope, curve)
    curve = np.where(place > knots[-1], rising[-1] + (place - knots[-1]) * slope, curve)
    return np.asarray(curve, dtype=np.float32)


def _median(values: _Floats) -> float:
    """Return the median of some values; several times as quick for few as numpy's."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    middle = np.partition(values, (half - 1, half))
    return float((middle[half - 1] + middle[half]) / np.float32(2))


def _monotone(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
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


def _looked_up(curves: Pixels, source: Pixels) -> Pixels:
    if source.ndim == 2:
        return np.asarray(cv2.LUT(source, curves[0]), dtype=np.uint8)
    return np.asarray(cv2.LUT(source, np.ascontiguousarray(curves.T[None])), dtype=np.uint8)
