"""Panels: photos inside a larger picture, such as on a page, in a collage or in a screenshot of an app.

A panel is a rectangle with straight, upright edges on plain ground. Ground is recognised by its rows or columns, none
of which changes from pixel to pixel; what is left between them is divided again (recursive X-Y cut: G. Nagy and S.
Seth, "Hierarchical representation of optically scanned documents", ICPR 1984). Only Pillow is needed, and 0.4 ms of CPU
time for a picture without any ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from PIL import Image, ImageChops

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom edge, pixels, as Pillow has them."""

WANTED_SIDE: Final = 80
"""Short side of a panel, pixels, from which on it is not decoded at a finer scale: its visual words are then those of
the photo. At half of that, three of ten panels do not share five words with it."""

MAX_PANELS: Final = 9
"""The largest number of panels of one picture: a collage of three by three. The largest ones are kept."""
_MIN_SIDE: Final = 24
"""Shortest side of a panel, pixels of the canonical image: a tenth of the width of a page."""
_MAX_SHARE: Final = 0.85
"""Largest share of the picture's area; a larger one is the picture itself, with a border."""
_STEP: Final = 8
"""Difference of neighbouring pixels, grey levels, up to which ground is plain."""
_STEPS: Final = [255 * (value > _STEP) for value in range(256)]
_EDGE: Final = 12
"""Least difference between a panel and the ground beside it, grey levels."""
_EDGE_SHARE: Final = 0.5
"""Share of the length of its sides where a panel differs from the ground beside it."""
_LEAST_EDGE_SHARE: Final = 0.2
"""The same for each single side; of three and more sides, one may be without an edge."""
_MAX_DEPTH: Final = 8


def find_panels(grey: Image.Image) -> list[Box]:
    """Return the panels of a picture, the largest first; none for nearly all photos.

    Args:
        grey: Mode ``L``.

    Thread-safety: any number of threads.
    """
    width, height = grey.size
    across = _changes(grey, (1, 0))
    down = _changes(grey, (0, 1))
    whole = (0, 0, width, height)
    found = [box for box in _parts(across, down, whole, 0) if box != whole and _is_panel(grey, box)]
    return sorted(found, key=lambda box: (-_area(box), box))[:MAX_PANELS]


def _changes(grey: Image.Image, step: tuple[int, int]) -> Image.Image:
    """Return where a pixel differs from the next one: 255, elsewhere 0. One pixel smaller in the direction."""
    width, height = grey.size
    one = grey.crop((0, 0, width - step[0], height - step[1]))
    other = grey.crop((step[0], step[1], width, height))
    return ImageChops.difference(one, other).point(_STEPS)


def _parts(across: Image.Image, down: Image.Image, box: Box, depth: int) -> Iterator[Box]:
    """Yield the parts of a box that plain rows and columns leave."""
    left, top, right, bottom = box
    if min(right - left, bottom - top) < _MIN_SIDE:
        return
    rows = across.crop((left, top, max(left + 1, right - 1), bottom)).resize((1, bottom - top), Image.Resampling.BOX)
    for first, last in _runs(rows.tobytes()):
        if last - first < _MIN_SIDE:
            continue
        strip = down.crop((left, top + first, right, top + max(first + 1, last - 1)))
        columns = strip.resize((right - left, 1), Image.Resampling.BOX)
        for begin, end in _runs(columns.tobytes()):
            part = (left + begin, top + first, left + end, top + last)
            if part == box or depth == _MAX_DEPTH:
                if min(end - begin, last - first) >= _MIN_SIDE:
                    yield part
            else:
                yield from _parts(across, down, part, depth + 1)


def _runs(changes: bytes) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each run of lines that are not plain."""
    begin = 0
    for piece in changes.split(b"\0"):
        if piece:
            yield begin, begin + len(piece)
        begin += len(piece) + 1


def _is_panel(grey: Image.Image, box: Box) -> bool:
    """Return whether a part has straight edges all around, but for those on the edge of the picture."""
    width, height = grey.size
    if _area(box) > _MAX_SHARE * width * height:
        return False
    left, top, right, bottom = box
    sides = (
        (left, (left - 2, top, left - 1, bottom), (left + 1, top, left + 2, bottom)),
        (top, (left, top - 2, right, top - 1), (left, top + 1, right, top + 2)),
        (width - right, (right + 1, top, right + 2, bottom), (right - 2, top, right - 1, bottom)),
        (height - bottom, (left, bottom + 1, right, bottom + 2), (left, bottom - 2, right, bottom - 1)),
    )
    shares = sorted(_differing(grey, outside, inside) for margin, outside, inside in sides if margin >= 2)
    if len(shares) > 2:  # one side may be as light as the ground: a white sky on a white page
        del shares[0]
    return bool(shares) and shares[0] >= _LEAST_EDGE_SHARE and sum(shares) >= _EDGE_SHARE * len(shares)


def _differing(grey: Image.Image, one: Box, other: Box) -> float:
    """Return the share of the pixels of two lines that differ."""
    counts = ImageChops.difference(grey.crop(one), grey.crop(other)).histogram()
    return sum(counts[_EDGE:]) / sum(counts)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
