"""The luma of a picture foreseen from another one, in tiles of the picture's own grid of pixels.

What a JPEG rounded is only seen where nothing else changed the values, so the source is never interpolated twice: it is
sampled at the picture's own pixels by the kernel, of those that programs resize with, that fits best. What an edit of
the whole picture did to tone and sharpness is fitted and taken out. Only the tiles with most in them are looked at,
which costs the same for a small picture and for one of 50 megapixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.inspection.align import Mask, Matrix, Pixels, Plane, luma, scaling
from py_image_dedup.inspection.tone import Tone, fit, sample

_SIDE, _SMALL_SIDE = 64, 32
"""Side of a tile, pixels; the second one for pictures below ``_SMALL`` pixels."""
_SMALL = 160
_TILES = 16
"""Tiles of the first size; of the smaller ones, four times as many."""
_FEWEST_TILES = 2
_MARGIN = 2
"""Pixels around a tile that a filter of 5 x 5 needs."""
_BEYOND = 3.0
"""Pixels of the picture by which a tile may reach beyond the source, whose last row is repeated there."""
_CLIPPED = (1, 254)
"""Grey levels up to which, and from which on, a channel is clipped."""
_FEWEST_PIXELS = 2000
_SAME_SIZE = 0.1
"""Pixels over the whole picture that a change of size may amount to for none, and a turn for none."""
_SHIFTED = 0.6
"""Pixels of the source by which repeating pixels may move a picture."""
_TRIED_TILES = 4
"""Tiles that the kernel is chosen by."""
_OUTLIERS = 0.95
"""Quantile of the errors beyond which a pixel is left out when the filter is fitted again."""
_LEVELS = 33
"""Grey levels, one each 8, at which a tone curve is looked for in what is left."""
_CURVED = 0.35
"""Grey levels, root mean square over the pixels, that a tone curve leaves at least in what a filter foresees."""
_WEIGHTS = np.array([0.114, 0.587, 0.299], dtype=np.float32)
"""Blue, green and red in luma, ITU-R BT.601."""

Distances = TypeVar("Distances", npt.NDArray[np.float32], npt.NDArray[np.float64])
_Place = tuple[int, int]
_Stack = npt.NDArray[np.float32]


class Kernel(Protocol):
    """The weights of pixels by their distance, in the precision of the distances."""

    def __call__(self, x: Distances, /) -> Distances:
        """Return the weight of each distance."""


def box(x: Distances) -> Distances:
    """Return 1 up to half a pixel away."""
    return np.asarray((x > -0.5) & (x <= 0.5), dtype=x.dtype)


def linear(x: Distances) -> Distances:
    """Return a triangle of one pixel to each side."""
    return np.asarray(np.maximum(0, 1 - np.abs(x)), dtype=x.dtype)


def cubic(sharpness: float) -> Kernel:
    """Return the cubic convolution of a slope at a distance of one pixel."""

    def kernel(x: Distances) -> Distances:
        x = np.abs(x)
        near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * sharpness
        return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0)), dtype=x.dtype)

    return kernel


def lanczos(x: Distances) -> Distances:
    """Return the sinc function under one of three times its width."""
    return np.asarray(np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0), dtype=x.dtype)


@dataclass(frozen=True, slots=True)
class Resampling:
    """A way in which programs change the size of a picture.

    Attributes:
        weigh: Weights by distance in pixels; ``None`` for the mean of the area.
        reach: Pixels from which on the weights are 0.
        widens: Whether the kernel grows with the pixels of a reduced picture.
        bias: Pixels that a nearest neighbour is looked for beside the centre; programs differ at ties.
        adds_up: Whether places are sums of many steps, whose rounding decides at ties.
    """

    weigh: Kernel | None
    reach: float
    widens: bool = False
    bias: float | None = None
    adds_up: bool = False


_NEAREST = Resampling(None, 0.5, bias=1e-4)
_ENLARGING = (
    Resampling(linear, 1),
    Resampling(cubic(-0.5), 2),
    Resampling(cubic(-0.75), 2),
    Resampling(lanczos, 3),
    _NEAREST,
    Resampling(None, 0.5, bias=-1e-4),
    Resampling(None, 0.5, bias=0, adds_up=True),
)
_REDUCING = (
    Resampling(None, 0.5, widens=True),
    Resampling(box, 0.5, widens=True),
    Resampling(linear, 1, widens=True),
    Resampling(cubic(-0.5), 2, widens=True),
    Resampling(lanczos, 3, widens=True),
    Resampling(linear, 1),
    Resampling(cubic(-0.5), 2),
)


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Tiles of a picture, and what was foreseen wrongly in them.

    Attributes:
        luma: The picture minus 128, float32, all tiles below one another, so that blocks of 8 x 8 stay whole.
        error: The picture minus the forecast, the same shape.
        whole: Blocks of 8 x 8, row by row, in which neither file is clipped.
        plain: The source's luma minus 128 where it lies pixel on pixel, unchanged; ``None`` elsewhere.
        tiles: How many there are.
    """

    luma: Plane
    error: Plane
    whole: Mask
    plain: Plane | None
    tiles: int


def forecast(picture: Pixels, source: Pixels, matrix: Matrix, grid: _Place = (0, 0)) -> Forecast | None:
    """Foresee the luma of a picture from another one.

    Args:
        picture: uint8, grey or BGR.
        source: The other picture, uint8, grey or BGR.
        matrix: 3 x 3, from the picture's pixels to the source's.
        grid: Row and column of the first whole block of the picture.

    Returns:
        What was foreseen; ``None`` if too little is common, or too much is clipped.

    Thread-safety: any number of threads.
    """
    matrix = matrix / matrix[2, 2]
    side, places = _tiles(picture, source.shape, matrix, grid)
    if len(places) < _FEWEST_TILES:
        return None
    seen = np.stack([picture[row : row + side, column : column + side] for row, column in places])
    aim = luma(np.ascontiguousarray(seen.reshape(-1, *seen.shape[2:]))).astype(np.float32)
    laid, is_plain = _laid(source, matrix, places, side, aim, picture.shape)
    inner = laid[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    cut = _cut_off(seen) | _cut_off(inner)
    whole = ~cut.reshape(-1, side // 8, 8, side // 8, 8).any(axis=(2, 4))
    usable = np.repeat(np.repeat(whole, 8, axis=1), 8, axis=2).ravel()
    if np.count_nonzero(usable) < _FEWEST_PIXELS:
        return None
    error = _missed(laid, aim, usable)
    if _is_curved(error, inner, usable):
        tone = fit(sample(_as_picture(inner), _flat(seen), ~cut.reshape(-1, side)))
        toned = _missed(_toned(laid, tone), aim, usable)
        if np.abs(toned[usable]).mean() < np.abs(error[usable]).mean():
            error = toned
    plain = None
    if is_plain:
        grey = inner[..., 0] if inner.shape[3] == 1 else inner @ _WEIGHTS
        plain = np.asarray(grey, dtype=np.float32).reshape(aim.shape) - 128
    return Forecast(aim - 128, error.reshape(aim.shape), whole.ravel(), plain, len(places))


def _tiles(picture: Pixels, source_shape: tuple[int, ...], matrix: Matrix, grid: _Place) -> tuple[int, list[_Place]]:
    """Return the side of the tiles and the corners of those with most in them that both pictures show."""
    height, width = picture.shape[0] - grid[0], picture.shape[1] - grid[1]
    side = _SIDE if min(height, width) >= _SMALL else _SMALL_SIDE
    rows, columns = height // side, width // side
    if not rows * columns:
        return side, []
    step = 4 if height * width > 1_000_000 else 2
    green = picture if picture.ndim == 2 else picture[..., 1]
    few = green[grid[0] : grid[0] + rows * side : step, grid[1] : grid[1] + columns * side : step].astype(np.int16)
    shape = (rows, side // step, columns, side // step)
    busy = np.abs(np.diff(few, axis=1, append=few[:, -1:])).reshape(shape).mean(axis=(1, 3))
    free = ((few > _CLIPPED[0]) & (few < _CLIPPED[1])).reshape(shape).mean(axis=(1, 3))
    row, column = np.mgrid[:rows, :columns]
    there = np.ones((rows, columns), dtype=np.bool_)
    beyond = _BEYOND * max(1.0, math.sqrt(abs(float(np.linalg.det(matrix[:2, :2])))))
    for down in (-_MARGIN, side + _MARGIN - 1):
        for across in (-_MARGIN, side + _MARGIN - 1):
            corner = (column * side + grid[1] + across, row * side + grid[0] + down, np.ones_like(row))
            x, y, weight = np.einsum("ij,jrc->irc", matrix, np.stack(corner).astype(np.float64))
            for place, length in ((x / weight, source_shape[1]), (y / weight, source_shape[0])):
                there &= (place > -beyond) & (place < length - 1 + beyond)
    score = np.where(there, busy * free * free, -1.0).ravel()
    best = np.argsort(score)[::-1][: _TILES if side == _SIDE else 4 * _TILES]
    return side, [
        (int(at) // columns * side + grid[0], int(at) % columns * side + grid[1]) for at in best if score[at] >= 0
    ]


def _cut_off(tiles: npt.NDArray[Any]) -> Mask:
    clipped = (tiles < _CLIPPED[0] + 0.5) | (tiles > _CLIPPED[1] - 0.5)
    if tiles.ndim < 4:
        return np.asarray(clipped, dtype=np.bool_)
    channels = [clipped[..., channel] for channel in range(clipped.shape[3])]
    return np.asarray(np.logical_or.reduce(channels), dtype=np.bool_)


def _laid(
    source: Pixels, matrix: Matrix, places: Sequence[_Place], side: int, aim: Plane, shape: tuple[int, ...]
) -> tuple[_Stack, bool]:
    """Return the source at the tiles' pixels and their margins, and whether pixels lie on pixels."""
    height, width = shape[:2]
    (a, b), (c, d) = matrix[:2, :2]
    is_turned = abs(b) + abs(c) > abs(a) + abs(d)
    shear = max(abs(a) * width, abs(d) * height) if is_turned else max(abs(b) * height, abs(c) * width)
    scales = (abs(b), abs(c)) if is_turned else (abs(a), abs(d))
    if shear > _SAME_SIZE * max(scales) or float(np.abs(matrix[2, :2]).max()) * max(height, width) > 1e-4:
        return _warped(source, matrix, places, side), False
    apart = max(abs(scales[0] - 1), abs(scales[1] - 1)) * max(height, width)
    if apart < _SAME_SIZE and float(np.abs(matrix[:2, 2] - np.rint(matrix[:2, 2])).max()) < _SAME_SIZE:
        return _sampled(source, np.rint(matrix), places, side, _NEAREST), True
    few = places[: _TRIED_TILES * (_SIDE // side) ** 2]
    tried = aim[: len(few) * side].ravel()
    grey, best, exactly, least = luma(source), _NEAREST, matrix, math.inf
    # Repeated pixels move the picture by a fraction of a pixel, which its alignment follows.
    whole = scaling(source.shape[1] / width, source.shape[0] / height)
    is_whole = float(np.abs((whole - matrix)[:2] @ np.array([[0, width], [0, height], [1, 1]])).max()) < _SHIFTED
    for way in _REDUCING if max(scales) > 1 else _ENLARGING:
        placed = whole if is_whole and way.bias is not None else matrix
        error = _filtered(_sampled(grey, placed, few, side, way)[..., 0], (), tried, None, reach=1)
        missed = float(np.median(np.abs(error)))
        if missed < least:
            best, exactly, least = way, placed, missed
    return _sampled(source, exactly, places, side, best), False


def _sampled(source: Pixels, matrix: Matrix, places: Sequence[_Place], side: int, way: Resampling) -> _Stack:
    """Sample a source that is turned by quarters, mirrored, moved and of another size: rows and columns by turns."""
    (a, b, right), (c, d, down) = matrix[:2]
    is_turned = abs(b) + abs(c) > abs(a) + abs(d)
    reach = np.arange(-_MARGIN, side + _MARGIN)
    found = []
    for row, column in places:
        middle = side / 2
        if is_turned:
            across, below = b * (row + reach) + a * (column + middle), c * (column + reach) + d * (row + middle)
        else:
            across, below = a * (column + reach) + b * (row + middle), d * (row + reach) + c * (column + middle)
        first, weights = _weights(across + right, abs(b if is_turned else a), source.shape[1], way)
        top, heights = _weights(below + down, abs(c if is_turned else d), source.shape[0], way)
        patch = source[top : top + heights.shape[1], first : first + weights.shape[1]].astype(np.float32)
        channels = [patch] if patch.ndim == 2 else [patch[..., channel] for channel in range(3)]
        tile = np.stack([heights @ channel @ weights.T for channel in channels], axis=2)
        found.append(tile.transpose(1, 0, 2) if is_turned else tile)
    return np.asarray(np.stack(found), dtype=np.float32)


def _weights(places: npt.NDArray[np.float64], step: float, length: int, way: Resampling) -> tuple[int, Plane]:
    """Return the first pixel of a line that counts, and the weight of it and those behind it at each place."""
    if way.bias is not None:
        nearest = np.floor(places + 0.5 + way.bias)
        if way.adds_up:
            count = max(1, round(length / step))
            sums = np.cumsum(np.concatenate([[0.5 * length / count], np.full(count - 1, length / count)]))
            numbers = np.rint((places + 0.5) / step - 0.5).astype(np.intp)
            nearest = np.floor(sums[np.clip(numbers, 0, count - 1)])
        nearest = np.clip(nearest.astype(np.intp), 0, length - 1)
        first = int(nearest.min())
        weights = np.zeros((len(places), int(nearest.max()) - first + 1), dtype=np.float32)
        weights[np.arange(len(places)), nearest - first] = 1
        return first, weights
    width = max(1.0, step) if way.widens else 1.0
    reach = way.reach * width
    first = min(max(math.floor(places.min() - reach), 0), length - 1)
    last = min(max(math.ceil(places.max() + reach), 0), length - 1)
    apart = np.arange(first, last + 1, dtype=np.float64)[None] - places[:, None]
    if way.weigh is None:
        shared = np.minimum(apart + 0.5, width / 2) - np.maximum(apart - 0.5, -width / 2)
        weights = np.maximum(shared, 0).astype(np.float32)
    else:
        weights = way.weigh((apart / width).astype(np.float32))
    return first, weights / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-6))


def _warped(source: Pixels, matrix: Matrix, places: Sequence[_Place], side: int) -> _Stack:
    """Show a source that is turned by any angle or in perspective."""
    size = side + 2 * _MARGIN
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    corners = np.array([[0, size, size, 0], [0, 0, size, size], [1, 1, 1, 1]], dtype=np.float64)
    found = []
    for row, column in places:
        shown = matrix @ np.array([[1, 0, column - _MARGIN], [0, 1, row - _MARGIN], [0, 0, 1.0]])
        ends = shown @ corners
        left, top = np.maximum(np.floor((ends[:2] / ends[2]).min(axis=1)).astype(int) - 4, 0)
        right, bottom = np.ceil((ends[:2] / ends[2]).max(axis=1)).astype(int) + 5
        patch = np.ascontiguousarray(source[top:bottom, left:right]).astype(np.float32)
        if scale > 1.15:
            patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), 0.45 * math.sqrt(scale * scale - 1)), dtype=np.float32)
        moved = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]]) @ shown
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        tile = cv2.warpPerspective(patch, moved, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        found.append(tile if tile.ndim == 3 else tile[..., None])
    return np.asarray(np.stack(found), dtype=np.float32)


def _missed(laid: _Stack, aim: Plane, usable: Mask) -> Plane:
    """Return what a filter and a mixture of the channels leave of the picture, one value for each pixel."""
    if laid.shape[3] == 1:
        return _filtered(laid[..., 0], (), aim.ravel(), usable)
    grey = np.asarray(laid @ _WEIGHTS, dtype=np.float32)
    return _filtered(grey, (laid[..., 0] - grey, laid[..., 2] - grey), aim.ravel(), usable)


def _filtered(grey: _Stack, tints: Sequence[_Stack], aim: Plane, usable: Mask | None, reach: int = _MARGIN) -> Plane:
    """Fit a filter, weights of the colours and an offset by least squares, and return what they leave.

    Args:
        grey: Luma with its margins.
        tints: Differences of colour with their margins.
        aim: One value for each pixel inside of the margins.
        usable: Pixels that are fitted to; all if ``None``.
        reach: Of the filter, pixels.
    """
    side = grey.shape[1] - 2 * _MARGIN
    shifts = range(_MARGIN - reach, _MARGIN + reach + 1)
    design = np.empty(((2 * reach + 1) ** 2 + len(tints) + 1, len(aim)), dtype=np.float32)
    for number, (down, across) in enumerate((down, across) for down in shifts for across in shifts):
        design[number] = grey[:, down : down + side, across : across + side].reshape(-1)
    for number, tint in enumerate(tints, (2 * reach + 1) ** 2):
        design[number] = tint[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].reshape(-1)
    design[-1] = 16
    # An odd step, so that the pixels are no columns of the tiles.
    places = (np.arange(len(aim)) if usable is None else np.flatnonzero(usable))[::3]
    some, wanted = design[:, places], aim[places]
    weights = _solved(some, wanted)
    if usable is not None:
        error = np.abs(wanted - weights @ some)
        kept = error <= np.quantile(error, _OUTLIERS)
        weights = _solved(some[:, kept], wanted[kept])
    return np.asarray(aim - weights @ design, dtype=np.float32)


def _solved(design: Plane, aim: Plane) -> Plane:
    normal = (design @ design.T).astype(np.float64)
    normal += np.eye(len(normal)) * np.trace(normal) * 1e-7
    return np.asarray(np.linalg.solve(normal, (design @ aim).astype(np.float64)), dtype=np.float32)


def _is_curved(error: Plane, inner: _Stack, usable: Mask) -> bool:
    """Whether what was foreseen wrongly depends on the levels of a channel, as after a tone curve."""
    missed = error[usable]
    for channel in range(inner.shape[3]):
        level = (inner[..., channel].reshape(-1)[usable] * np.float32((_LEVELS - 1) / 255)).astype(np.intp)
        level = np.clip(level, 0, _LEVELS - 1)
        count = np.bincount(level, minlength=_LEVELS)
        mean = np.bincount(level, missed, _LEVELS) / np.maximum(count, 1)
        if math.sqrt(float((mean * mean * count).sum()) / len(missed)) > _CURVED:
            return True
    return False


def _as_picture(tiles: _Stack) -> Pixels:
    flat = tiles.reshape(-1, *tiles.shape[2:])
    levels = np.clip(np.rint(flat if flat.shape[2] > 1 else flat[..., 0]), 0, 255)
    return np.ascontiguousarray(levels, dtype=np.uint8)


def _flat(tiles: Pixels) -> Pixels:
    return np.ascontiguousarray(tiles.reshape(-1, *tiles.shape[2:]))


def _toned(laid: _Stack, tone: Tone) -> _Stack:
    """Return tiles with another tone, not rounded to whole levels."""
    shown = _looked_up(tone.curves, laid)
    if tone.mixture is not None:
        shown = np.clip(shown @ tone.mixture[:, :-1].T + tone.mixture[:, -1], 0, 255).astype(np.float32)
        if tone.last is not None:
            shown = _looked_up(tone.last, shown)
    return shown


def _looked_up(curves: Pixels, tiles: _Stack) -> _Stack:
    below = np.clip(tiles, 0, 254).astype(np.intp)
    part = np.clip(tiles, 0, 255) - below
    shown = np.empty_like(tiles)
    for channel, curve in enumerate(curves.astype(np.float32)):
        start = below[..., channel]
        shown[..., channel] = curve[start] + (curve[start + 1] - curve[start]) * part[..., channel]
    return shown
