"""What an edit of a whole picture does to its tone and colour, and to its sharpness, fitted to two pictures.

An edit of the whole picture does the same to equal colours wherever they are: a curve for each channel, a mixture of
the channels as of saturation, sepia and grey, and a second curve where the result was coloured by a map. None of it
knows a place, so nothing that was drawn is foreseen. Clipping is part of the curves: they end at 0 and 255.

``fit`` follows the tone of any two aligned pictures by smooth curves. ``edits`` is for two pictures whose pixels lie on
each other: it makes the edited picture exactly, level by level, as the program did, or with its filter or its palette.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Pixels, luma

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

_BANDS, _BAND = 40, 3
"""Bands of rows that exact curves and weights are fitted to, and the rows of each."""
_MOST_LEVELS = 300_000
"""Pixels that exact curves are fitted to, about."""
_CALMEST = 30
"""Pixels of a level that count at least, if there are so many; of more than twice as many, half."""
_REACH = 5
"""Pixels that a filter may reach to: three times the deviation of a blur of 1.6 pixels."""
_FILTER_WINDOWS, _FILTER_SIDE = 3, 96
"""Windows along a side that a filter is fitted in, and their side in pixels."""
_FEWEST_FILTERED = 500
_KEPT = 0.95
"""Share of the pixels, those that are foreseen best, that a filter or a mixture is fitted to again."""
_MEDIANS = (3, 5)
"""Sides of the squares of which programs take the median, pixels."""
_MOST_COLOURS = 256
"""Colours of the largest palette."""
_MATCHED = 1 << 16
"""Colours that are matched with a palette at a time."""
_PACKED = np.array([1, 1 << 8, 1 << 16], dtype=np.uint32)
"""Weights that make one number of three channels."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What a program does to a whole picture, by the same rule at every place.

    Attributes:
        words: What was done, as the end of a sentence.
        apply: Makes the edited picture, uint8, of the source or of a part of it.
        removes: Whether small things vanish in it.
    """

    words: str
    apply: Callable[[Pixels], Pixels]
    removes: bool = False


def edits(source: Pixels, target: Pixels) -> Iterator[Edit]:
    """Fit each kind of edit that may have made the whole of one picture of another one.

    Nothing is fitted but what a program could choose: a table of levels, weights of the channels, a filter, a palette.
    What was not made in this way is not explained by the result, with which the target has still to be compared.

    Args:
        source: uint8, grey or BGR.
        target: The same height and width, uint8, grey or BGR.

    Yields:
        Edits of the source.
    """
    bands = _Bands.of(source, target)
    if source.ndim == target.ndim:
        yield Edit("a change of its tones", partial(_looked_up, bands.curves(bands.one)))
    if source.ndim == 3:
        yield Edit("a change of its colours", partial(_mixed, bands.weights()))
    if target.ndim == 3:
        grey = bands.one if source.ndim == 2 else cv2.cvtColor(bands.one[None], cv2.COLOR_BGR2GRAY)[0][:, None]
        yield Edit("a tint", partial(_tinted, bands.curves(np.repeat(grey, 3, axis=1))))
    kernel = _kernel(source, target)
    if kernel is not None:
        yield Edit("a blur or sharpening", partial(_convolved, *kernel))
    for side in _MEDIANS:
        yield Edit(f"a median of {side} x {side} pixels", partial(_ranked, side), removes=True)
    colours = _palette(target)
    if colours is not None and source.ndim == 3:
        yield Edit(f"a palette of {len(colours)} colours", partial(_numbered, colours))


@dataclass(frozen=True, slots=True, eq=False)
class _Bands:
    """Pixels of both pictures from rows that are spread over them.

    Attributes:
        one: Of the source, uint8, shape ``(pixels, channels)``.
        two: The same of the target.
        unrest: How far the neighbours of each are from each other, grey levels.
    """

    one: Pixels
    two: Pixels
    unrest: Pixels

    @staticmethod
    def of(source: Pixels, target: Pixels) -> _Bands:
        height, width = source.shape[:2]
        count = max(1, min(_BANDS, height // _BAND))
        tops = [(height - _BAND) * number // max(1, count - 1) if count > 1 else 0 for number in range(count)]
        step = max(1, count * width * (_BAND - 2) // _MOST_LEVELS) | 1
        ones: list[Pixels] = []
        twos: list[Pixels] = []
        unrests: list[Pixels] = []
        for top in tops:
            row = slice(max(0, top), top + _BAND)
            unrest = np.zeros(width, dtype=np.uint8)
            for pixels, taken in ((source, ones), (target, twos)):
                part = np.ascontiguousarray(pixels[row])
                spread = cv2.morphologyEx(part, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[len(part) // 2]
                unrest = np.maximum(unrest, spread if spread.ndim == 1 else spread.max(axis=1))
                taken.append(part[len(part) // 2].reshape(width, -1)[::step])
            unrests.append(unrest[::step])
        return _Bands(np.concatenate(ones), np.concatenate(twos), np.concatenate(unrests))

    def curves(self, levels: Pixels) -> Pixels:
        """Return for each channel of the target the level that each of 256 levels became, uint8 ``(channels, 256)``."""
        return np.stack([self._curve(levels[:, i], self.two[:, i]) for i in range(self.two.shape[1])])

    def _curve(self, levels: Pixels, aims: Pixels) -> Pixels:
        # Beside an edge, subsampled chroma and the rounding of coefficients carry levels into each other.
        order = np.lexsort((self.unrest, levels))
        counts = np.bincount(levels, minlength=256)
        known = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[known]
        kept = np.maximum(np.minimum(counts[known], _CALMEST), counts[known] // 2)
        total = np.concatenate([[0.0], np.cumsum(aims[order], dtype=np.float64)])
        means = (total[starts + kept] - total[starts]) / kept
        return np.asarray(np.rint(np.interp(np.arange(256), known, means)), dtype=np.uint8)

    def weights(self) -> _Floats:
        """Return the weights of the source's channels for each of the target's, and an offset as the last column."""
        design = np.column_stack([self.one, np.ones(len(self.one), dtype=np.float32)]).astype(np.float32)
        low, high = _CLIPPED
        found = []
        for channel in range(self.two.shape[1]):
            aim = self.two[:, channel].astype(np.float32)
            free = (aim > low) & (aim < high)
            found.append(_trimmed(design[free], aim[free]) if free.sum() >= _FEWEST_FREE else _trimmed(design, aim))
        return np.stack(found)


def _trimmed(design: _Floats, aim: _Floats) -> _Floats:
    """Fit weights by least squares, again and again to those that are foreseen best."""
    kept: slice | Mask = slice(None)
    for _ in range(3):
        some = design[kept]
        normal = (some.T @ some).astype(np.float64)
        normal += np.trace(normal) * 1e-9 * np.eye(len(normal))
        weights = np.linalg.solve(normal, (some.T @ aim[kept]).astype(np.float64)).astype(np.float32)
        error = np.abs(design @ weights - aim)
        kept = error <= np.quantile(error, _KEPT)
    return np.asarray(weights, dtype=np.float32)


def _mixed(weights: _Floats, pixels: Pixels) -> Pixels:
    return np.asarray(cv2.transform(pixels, weights), dtype=np.uint8)


def _tinted(curves: Pixels, pixels: Pixels) -> Pixels:
    return _looked_up(curves, np.asarray(cv2.cvtColor(luma(pixels), cv2.COLOR_GRAY2BGR), dtype=np.uint8))


def _kernel(source: Pixels, target: Pixels) -> tuple[_Floats, float, int] | None:
    """Fit a filter with the same weight in all directions, as those of blurring and sharpening have.

    Returns:
        The filter, an offset, and how many pixels at the edges the program left as they were.
    """
    height, width = source.shape[:2]
    side = min(_FILTER_SIDE, (min(height, width) - 2 * _REACH) // _FILTER_WINDOWS)
    if side < 2 * _REACH:
        return None
    rings = sorted({(abs(i), abs(j)) for i in range(_REACH + 1) for j in range(i + 1)})
    low, high = _CLIPPED
    designs, aims = [], []
    for row in range(_FILTER_WINDOWS):
        for column in range(_FILTER_WINDOWS):
            top, left = (
                (length - 2 * _REACH - side) * number // (_FILTER_WINDOWS - 1)
                for length, number in ((height, row), (width, column))
            )
            part = np.s_[top : top + side + 2 * _REACH, left : left + side + 2 * _REACH]
            seen, aim = (luma(np.ascontiguousarray(pixels[part])).astype(np.float32) for pixels in (source, target))
            free = np.flatnonzero((aim := aim[_REACH:-_REACH, _REACH:-_REACH].ravel()).clip(low, high) == aim)[::3]
            sums = [
                sum(seen[_REACH + i : _REACH + i + side, _REACH + j : _REACH + j + side] for i, j in _around(ring))
                for ring in rings
            ]
            designs.append(np.stack([np.asarray(plane).ravel()[free] for plane in sums], axis=1))
            aims.append(aim[free])
    design, wanted = np.concatenate(designs), np.concatenate(aims)
    if len(design) < _FEWEST_FILTERED:
        return None
    weights = _trimmed(np.column_stack([design, np.full(len(design), 16, dtype=np.float32)]), wanted)
    kernel = np.zeros((2 * _REACH + 1, 2 * _REACH + 1), dtype=np.float32)
    for ring, weight in zip(rings, weights, strict=False):
        for i, j in _around(ring):
            kernel[_REACH + i, _REACH + j] = weight
    return kernel, 16 * float(weights[-1]), _untouched(source, target, kernel)


def _around(ring: tuple[int, int]) -> set[tuple[int, int]]:
    """Return the places that a square's symmetries carry one place to."""
    both = (ring, ring[::-1])
    return {(down * a, across * b) for a, b in both for down in (1, -1) for across in (1, -1)}


def _untouched(source: Pixels, target: Pixels, kernel: _Floats) -> int:
    """Return how many rows at the edge a program did not filter, because its filter reaches beyond them."""
    strip = np.s_[: 4 * _REACH]
    one, two = (luma(np.ascontiguousarray(pixels[strip])).astype(np.float32) for pixels in (source, target))
    made = cv2.filter2D(one, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    kept, changed = (np.abs(plane - two).mean(axis=1) for plane in (one, made))
    count = 0
    while count < 2 and kept[count] < changed[count]:
        count += 1
    return count


def _convolved(kernel: _Floats, offset: float, untouched: int, pixels: Pixels) -> Pixels:
    made = cv2.filter2D(pixels, cv2.CV_8U, kernel, delta=offset, borderType=cv2.BORDER_REPLICATE)
    if untouched:
        for edge in (np.s_[:untouched], np.s_[-untouched:], np.s_[:, :untouched], np.s_[:, -untouched:]):
            made[edge] = pixels[edge]
    return np.asarray(made, dtype=np.uint8)


def _ranked(side: int, pixels: Pixels) -> Pixels:
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(pixels), side), dtype=np.uint8)


def _palette(pixels: Pixels) -> Pixels | None:
    """Return the colours of a picture that has few, BGR ``(colours, 3)``; ``None`` if it has more than a palette."""
    if pixels.ndim == 2:
        return None
    step = max(1, len(pixels) // _BANDS)
    for few in (pixels[::step], pixels):
        numbers = np.unique(np.ascontiguousarray(few).astype(np.uint32) @ _PACKED)
        if len(numbers) > _MOST_COLOURS:
            return None
    return np.stack([numbers & 255, (numbers >> 8) & 255, numbers >> 16], axis=1).astype(np.uint8)


def _numbered(colours: Pixels, pixels: Pixels) -> Pixels:
    """Give each pixel the nearest colour of a palette, as programs do that do not dither."""
    packed = np.ascontiguousarray(pixels).astype(np.uint32) @ _PACKED
    numbers, places = np.unique(packed, return_inverse=True)
    levels = np.stack([numbers & 255, (numbers >> 8) & 255, numbers >> 16], axis=1).astype(np.float32)
    nearest = np.empty((len(numbers), 3), dtype=np.uint8)
    aims = colours.astype(np.float32)
    half = np.square(aims).sum(axis=1) / 2
    for start in range(0, len(numbers), _MATCHED):
        part = slice(start, start + _MATCHED)
        nearest[part] = colours[np.argmin(half - levels[part] @ aims.T, axis=1)]
    return np.asarray(nearest[places.reshape(pixels.shape[:2])], dtype=np.uint8)
