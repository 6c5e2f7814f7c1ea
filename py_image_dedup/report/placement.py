"""Locates parts of pictures in the whole ones, so that a page can lay one on the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from py_image_dedup.features.extract import extract
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.report.page_content import PageFiles
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.verify import locate

Matrix: TypeAlias = tuple[float, ...]
"""Nine numbers, row by row: the homography that maps pixels of a file onto pixels of its keeper, both as shown."""

_KEPT: Final = 64
"""Number of pictures whose features are kept: the files of one group are read one after another."""


def placeable(content: Mapping[str, Any], files: PageFiles) -> Iterator[tuple[dict[str, Any], IndexEntry, IndexEntry]]:
    """Yield the members of a page that are parts of their keeper, each with its keeper's entry and its own."""
    for group in content["groups"]:
        for member in group["members"]:
            if member["class"] == MatchClass.PARTIAL.value:
                yield member, files.entries[group["keeper"]], files.entries[member["file"]]


class Placer(Closing):
    """Finds where pictures lie in others, by decoding both anew. For one thread at a time; close it.

    Args:
        limits: What decoding one file may cost.
        budget: Memory that several placers share; its own if not given.
    """

    def __init__(self, limits: Limits | None = None, budget: MemoryBudget | None = None) -> None:
        self._decoder = Decoder(limits, budget, panels=True)
        self._pictures: dict[bytes, Picture] = {}

    def place(self, keeper: IndexEntry, other: IndexEntry) -> Matrix | None:
        """Return where a file lies in its keeper; ``None`` if that cannot be found out any more."""
        if any(each.facts is not None and each.facts.footage is not None for each in (keeper, other)):
            return None  # videos are no pictures, and reading large ones whole would take minutes
        try:
            whole, part = self._picture(keeper), self._picture(other)
            found = None if whole is None or part is None else locate(part, whole)
        except (MediaError, ValueError):
            return None
        if found is None or whole is None or part is None:
            return None
        to_keeper = np.linalg.inv(_to_thumbnail(keeper, whole)) @ found @ _to_thumbnail(other, part)
        return tuple(float(value) for value in (to_keeper / to_keeper[2, 2]).ravel())

    def _picture(self, entry: IndexEntry) -> Picture | None:
        digest = entry.digest or b""
        known = self._pictures.get(digest)
        if known is not None:
            return known
        with read_file(entry.stat.path) as file:
            if file.digest != digest:
                return None
            decoded = self._decoder.decode(file)
            picture = Picture(extract(decoded.canonical, decoded.panels))
        while len(self._pictures) >= _KEPT:
            del self._pictures[next(iter(self._pictures))]
        self._pictures[digest] = picture
        return picture

    def close(self) -> None:
        """End the worker process; closing twice is no error."""
        self._decoder.close()


def _to_thumbnail(entry: IndexEntry, picture: Picture) -> Any:
    """Return the map from a picture as shown to its thumbnail, 3 x 3."""
    if entry.facts is None:
        raise ValueError("a picture without facts has no size")
    width, height = picture.size
    return np.diag([width / entry.facts.width, height / entry.facts.height, 1.0])
