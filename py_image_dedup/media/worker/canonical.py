"""The size of the canonical grey picture, chosen so that a turned photo has the turned signature.

image-match lays its grid a little beside the middle: points and windows are rounded towards the upper left. Seen from
the other side, in a mirrored copy, the rounding goes the other way, and the signature of a mirrored photograph is some
0.13 away from the mirrored signature (at 341 x 256 pixels): farther than the default ``max_distance``, so that most
turned copies would be missed.

At some sizes nothing is left to round. Between the crop at 5 and at 95 % of ``n = 20 k + 1 + r`` pixels
(``1 <= r <= 19``) lie ``18 k + r - 1`` pixels; if ten divides them, that is ``n = 2 k + 2`` modulo 10, all nine points
are whole and lie half a pixel right of the middle, and a window with an even side lies half a pixel left of its point.
The two cancel, and only the last bit of a mean still depends on the direction in which it was added. So both sides are
taken from those sizes, and the short one, which decides about the window, from those with an even window as well.
"""

from __future__ import annotations

from functools import lru_cache

LARGEST_SHORT_SIDE = 246
"""Of the canonical picture, in pixels; the window is 12 then. A decoder may scale down to anything not below it."""

LARGEST_LONG_SIDE = 16384
"""Bound of the long side, for strips of 66 to 1 and more, which become thinner instead."""

_SMALLEST_SYMMETRIC = 12


@lru_cache(maxsize=256)
def canonical_size(width: int, height: int) -> tuple[int, int]:
    """Return the size that a picture is averaged to before its signature is computed.

    Args:
        width: In pixels, as shown (EXIF orientation applied).
        height: In pixels.

    Returns:
        ``(width, height)``, never larger than the picture; for the turned picture the turned size. The sides' ratio
        changes by some per cent at most (strips apart), which the grid does not see. Pictures below 12 pixels stay as
        they are.
    """
    short, long = sorted((width, height))
    if short < _SMALLEST_SYMMETRIC:
        return width, height
    thin = max(_SMALLEST_SYMMETRIC, short * LARGEST_LONG_SIDE // long)
    new_short = next(size for size in range(min(short, thin, LARGEST_SHORT_SIDE), 0, -1) if _even_window(size))
    new_long = _nearest(min(long * new_short / short, LARGEST_LONG_SIDE), long)
    return (new_short, new_long) if width <= height else (new_long, new_short)


def _symmetric(size: int) -> bool:
    twenties, rest = divmod(size - 1, 20)
    return size > 1 and rest > 0 and (size - 2 * twenties - 2) % 10 == 0


def _even_window(size: int) -> bool:
    return _symmetric(size) and max(2, int(0.5 + size / 20)) % 2 == 0


def _nearest(wanted: float, largest: int) -> int:
    """Return the symmetric size nearest to what is wanted, the smaller of two, at most ``largest``."""
    around = range(max(2, int(wanted) - 12), min(largest, int(wanted) + 12) + 1)
    return min((size for size in around if _symmetric(size)), key=lambda size: (abs(size - wanted), size))
