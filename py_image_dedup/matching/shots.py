"""Two pictures that look the same and were taken one after the other: frames of a burst, a bracket from a tripod.

No comparison of pixels tells a copy from the next frame of a still scene. What the camera wrote does: a copy keeps the
moment of its original, another shot has another one.
"""

from __future__ import annotations

from datetime import timedelta

from py_image_dedup.model.photo import PhotoFacts

_TIME_ZONES = timedelta(minutes=15)
"""Clocks are put right by whole quarters of an hour, when the camera has been to another country."""

_SECOND = timedelta(seconds=1)


def time_between(left: PhotoFacts | None, right: PhotoFacts | None) -> timedelta | None:
    """Return how long after one another two shots were taken; ``None`` if they may be one.

    They may be one if either does not know its moment, if the moments are the same as far as both know them (editors
    lose fractions of a second), or differ by a change of clocks.
    """
    if left is None or right is None or left.captured is None or right.captured is None:
        return None
    one, other = left.captured, right.captured
    if not one.microsecond or not other.microsecond:
        one, other = one.replace(microsecond=0), other.replace(microsecond=0)
    apart = abs(one - other)
    return None if not apart or not apart % _TIME_ZONES else apart


def words_for(apart: timedelta) -> str:
    """Put the time between two shots into words: ``taken 0.2 s apart``, ``taken 3 days apart``."""
    seconds = apart.total_seconds()
    if apart < _SECOND:
        return f"taken {seconds:.2g} s apart"
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"taken {seconds / unit:.0f} {name} apart"
    return f"taken {seconds:.0f} s apart"
