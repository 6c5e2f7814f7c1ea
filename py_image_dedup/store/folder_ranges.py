"""Folders as ranges of raw paths, disjoint even if the folders are nested."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

_AFTER_SLASH = b"0"  # the byte after "/": every path below a folder sorts between "folder/" and "folder0"


class FolderRanges:
    """The paths below some folders, as half-open ranges that are disjoint and in order.

    ``/a/b`` contains ``/a/b/c`` and neither itself nor ``/a/bc``. A folder inside another one adds nothing, so an
    iteration over the ranges visits each path once, and the paths in order. Immutable; threads may share it.
    """

    def __init__(self, ranges: Sequence[tuple[bytes, bytes | None]]) -> None:
        self._ranges = tuple(ranges)
        self._lows = [low for low, _ in self._ranges]

    @classmethod
    def of(cls, folders: Sequence[Path] | None) -> Self:
        """Return the ranges of the contract's ``under``: ``None`` is everything, an empty sequence nothing."""
        if folders is None:
            return cls([(b"", None)])
        ranges: list[tuple[bytes, bytes | None]] = []
        for stem in sorted({os.fsencode(folder).rstrip(b"/") for folder in folders}, key=lambda stem: stem + b"/"):
            low, high = stem + b"/", stem + _AFTER_SLASH
            inside_the_last = bool(ranges) and low.startswith(ranges[-1][0])
            if not inside_the_last:
                ranges.append((low, high))
        return cls(ranges)

    def __iter__(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Iterate over ``(low, high)`` in order: ``low <= path < high``; no upper bound if ``high`` is ``None``."""
        return iter(self._ranges)

    def __contains__(self, raw_path: object) -> bool:
        """Return whether a raw path lies below one of the folders."""
        if not isinstance(raw_path, bytes):
            return False
        index = bisect_right(self._lows, raw_path) - 1
        if index < 0:
            return False
        high = self._ranges[index][1]
        return high is None or raw_path < high
