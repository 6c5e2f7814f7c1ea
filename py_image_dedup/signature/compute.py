"""The perceptual hash of a grey picture: the signature of Goldberg and others, value for value as image-match's.

H. C. Wong, M. Bern, D. Goldberg: "An image signature for any kind of image", ICIP 2002. The picture is cropped to where
its detail is, the mean grey around 81 points of a 9 x 9 grid is compared with that of the 8 neighbours, and each
difference is kept as one of five steps: same, darker, much darker, lighter, much lighter.

image-match works on greys from 0 to 1, so "the same grey array" means ``grey / 255`` in float64 in both programs; its
tolerance of 2/255, two grey levels, is made for that scale. (With uint8 its differences would wrap around.)

Equal to the last bit, because a difference can lie on a border between two steps, and then the rounding of a sum
decides: about one picture in thirty has such a difference. The costly half, finding the crop, is done in integers,
where no rounding can matter; the greys of a window are added in the very order in which numpy's ``mean`` adds them.
"""

from __future__ import annotations

import numpy as np

from py_image_dedup.model.photo import SIGNATURE_LENGTH, Signature
from py_image_dedup.signature.arrays import Float64Array, Int8Array, Int64Array, UInt8Array
from py_image_dedup.signature.orientation import GRID, NEIGHBOUR, POINT

SIGNATURE_VERSION = 1
"""The version of the method: it grows when the same grey array may give other values."""

MIN_NONZERO = 54
"""The number of values other than zero below which a picture has no signature (one value in five).

One straight edge on an empty background gives 25 such values, one straight line 50. They encode the position of the
line and nothing else: every picture with a line there would be "the same". Photographs have 150 and more.
"""

_IDENTICAL_TOLERANCE = 2 / 255.0
_LOWER_SHARE = 5 / 100
_UPPER_SHARE = 95 / 100
_WHITE = 1.0
_SUMMED_FLAT = 4096
"""The largest window, in pixels, that numpy sums in one run: fewer values than its buffer holds (8192)."""

_LEVELS: Float64Array = np.arange(256) / 255.0
_LEVELS.setflags(write=False)


def compute(grey: UInt8Array) -> Signature | None:
    """Compute the signature of a grey picture.

    Args:
        grey: uint8, shape ``(height, width)``, at least one pixel; any memory layout. Not changed.

    Returns:
        The signature, or ``None`` for a featureless picture, whose signature would not be discriminative.

    Raises:
        ValueError: Not uint8, not two-dimensional, or empty.

    Thread-safety: any number of threads; numpy releases the interpreter lock in the costly part.
    """
    values = compute_values(grey)
    if np.count_nonzero(values) < MIN_NONZERO:
        return None
    return Signature(values.tobytes())


def compute_values(grey: UInt8Array) -> Int8Array:
    """Compute the values of a signature, of a featureless picture too.

    Args:
        grey: As for ``compute``.

    Returns:
        int8, shape ``(272,)``, each from -2 to 2: the difference of a grid point to its right, lower left, lower and
        lower right neighbour, positive where the point is lighter. ``orientation.expand`` gives image-match's 648.

    Raises:
        ValueError: As ``compute``.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or grey.size == 0:
        raise ValueError(f"a grey picture is a two-dimensional uint8 array with pixels, not {grey.dtype} {grey.shape}")
    top, bottom, left, right = _crop(grey)
    means = _window_means(grey, _grid_points(top, bottom), _grid_points(left, right))
    return _quantise(means[POINT] - means[NEIGHBOUR])


def _crop(grey: UInt8Array) -> tuple[int, int, int, int]:
    """Return ``(top, bottom, left, right)``: the middle 90 % of the differences between neighbouring pixels."""
    height, width = grey.shape
    # 255 times the longer side must fit; the narrow type is twice as fast.
    total = np.uint32 if max(height, width) < 2**24 else np.uint64
    along_rows = _differences(grey[:, 1:], grey[:, :-1])
    along_columns = _differences(grey[1:], grey[:-1])
    top, bottom = _middle(np.add.reduce(along_rows, axis=1, dtype=total))
    left, right = _middle(np.add.reduce(along_columns, axis=0, dtype=total))
    return top, bottom, left, right


def _differences(one: UInt8Array, other: UInt8Array) -> UInt8Array:
    return np.maximum(one, other) - np.minimum(one, other)


def _middle(detail: np.ndarray) -> tuple[int, int]:
    """Return the indices between which the cumulative detail goes from its 5th to its 95th percentile."""
    cumulative: Int64Array = np.cumsum(detail, dtype=np.int64)
    size = len(cumulative)
    lower = _crossing(cumulative, (size - 1) * _LOWER_SHARE, side="right")
    upper = _crossing(cumulative, (size - 1) * _UPPER_SHARE, side="left")
    if lower > upper:  # nearly all detail lies in one row or column, or there is none
        return int(_LOWER_SHARE * size), int(_UPPER_SHARE * size)
    return lower, upper


def _crossing(cumulative: Int64Array, index: float, *, side: str) -> int:
    """Return ``searchsorted(cumulative, percentile, side)`` without computing the percentile.

    numpy's percentile at an ``index`` between two elements lies strictly between them if they differ, and is their
    value if they do not; at a whole ``index`` it is that element.
    """
    before = int(index)
    if index > before and cumulative[before] < cumulative[before + 1]:
        return before + 1
    return int(np.searchsorted(cumulative, cumulative[before], "left" if side == "left" else "right"))


def _grid_points(start: int, stop: int) -> list[int]:
    """Return nine points inside, as ``numpy.linspace(start, stop, 11, dtype=int)[1:-1]`` rounds them."""
    step = (stop - start) / (GRID + 1)
    return [int(i * step + start) for i in range(1, GRID + 1)]


def _window_means(grey: UInt8Array, rows: list[int], columns: list[int]) -> Float64Array:
    """Return the mean grey (0 to 1) of the square window around each grid point, shape ``(81,)``, points by rows."""
    height, width = grey.shape
    side = max(2, int(0.5 + min(height, width) / 20))
    tops = [int(max(row - side / 2, 0)) for row in rows]
    lefts = [int(max(column - side / 2, 0)) for column in columns]
    inside = tops[-1] + side <= height and lefts[-1] + side <= width
    if not inside or side * side > _SUMMED_FLAT:
        return _odd_window_means(grey, tops, lefts, side)
    offsets = np.arange(side)
    strips = grey.take((np.array(tops)[:, None] + offsets).ravel(), axis=0)
    windows = strips.take((np.array(lefts)[:, None] + offsets).ravel(), axis=1)
    one_a_row = windows.reshape(GRID, side, GRID, side).transpose(0, 2, 1, 3)
    greys = _LEVELS.take(one_a_row).reshape(GRID * GRID, side * side)
    sums: Float64Array = np.add.reduce(greys, axis=1)
    return sums / (side * side)


def _odd_window_means(grey: UInt8Array, tops: list[int], lefts: list[int], side: int) -> Float64Array:
    """Return ``_window_means`` one by one, for windows that the border cuts or that numpy sums in several runs."""
    image = _LEVELS.take(grey)
    return np.array([np.mean(image[top : top + side, left : left + side]) for top in tops for left in lefts])


def _quantise(differences: Float64Array) -> Int8Array:
    """Quantise differences to -2 to 2: zero below two grey levels, one up to the median size, two above it."""
    size = np.abs(differences)
    sizes = np.sort(size[size >= _IDENTICAL_TOLERANCE])
    count = len(sizes)
    if count == 0:
        return np.zeros(SIGNATURE_LENGTH, dtype=np.int8)
    upper_middle = sizes[count // 2]
    median = upper_middle if count % 2 else upper_middle - (upper_middle - sizes[count // 2 - 1]) * 0.5
    steps = (size >= _IDENTICAL_TOLERANCE).astype(np.int8)
    if sizes[-1] >= _WHITE:
        # Pure white beside pure black: image-match overwrites the differences with steps in place, and then takes
        # each step 1 for a difference of 1.0, which belongs to the second step.
        steps *= 2
    else:
        steps += size > median
    steps *= np.sign(differences).astype(np.int8)
    return steps
