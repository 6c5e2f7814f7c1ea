"""The criteria by which two files match: scope, method and similarity, with the bounds of the distance they imply.

Kept apart from the matchers, so that the configuration can name them without loading numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """The set of files within which duplicates are searched.

    ``AGAINST`` compares each file with the files of protected roots only.
    """

    ALL = "all"
    ROOT = "root"
    FOLDER = "folder"
    AGAINST = "against"


class Matching(StrEnum):
    """The methods of matching similar pictures: by distance of signatures, or by geometric verification."""

    DISTANCE = "distance"
    VERIFIED = "verified"


MAX_DISTANCE: Mapping[Matching, float] = {Matching.DISTANCE: 0.10, Matching.VERIFIED: 0.35}
"""Default bounds of the distance of signatures. Where the distance decides, it is that of the reference program; where
matches are verified, it is large enough to find copies that share no visual words."""


class Similarity(StrEnum):
    """The similarity that pictures need to match, narrowest level first; each includes those before it.

    - ``IDENTICAL``: the same bytes.
    - ``SAME_PIXELS``: the same decoded pixels too, in other bytes.
    - ``STRICT``: verified copies with signatures within 0.1 too: re-encoded, resized or slightly toned ones.
    - ``NORMAL``: all verified copies, also strongly toned, bordered or drawn-over ones.
    - ``LOOSE``: the same, with more pairs verified: those with signatures within 0.5 instead of 0.35.

    Where the distance alone decides, ``STRICT``, ``NORMAL`` and ``LOOSE`` are bounds of 0.05, 0.1 and 0.15.
    """

    IDENTICAL = "identical"
    SAME_PIXELS = "same-pixels"
    STRICT = "strict"
    NORMAL = "normal"
    LOOSE = "loose"


STRICT_DISTANCE = 0.10
"""Bound of the distance of verified copies at the level ``STRICT``: re-encoding and resizing stay below it."""

_BOUNDS: Mapping[tuple[Matching, Similarity], float] = {
    (Matching.DISTANCE, Similarity.STRICT): 0.05,
    (Matching.DISTANCE, Similarity.LOOSE): 0.15,
    (Matching.VERIFIED, Similarity.LOOSE): 0.5,
}
"""Bounds that differ from those of ``MAX_DISTANCE``."""


DEFAULT_SCOPE: Final = Scope.ROOT
DEFAULT_MATCHING: Final = Matching.VERIFIED
DEFAULT_SIMILARITY: Final = Similarity.NORMAL


def distance_bound(matching: Matching, similarity: Similarity) -> float:
    """Return the largest distance of signatures, 0 to 1, at which pictures are similar or are verified."""
    return _BOUNDS.get((matching, similarity), MAX_DISTANCE[matching])
