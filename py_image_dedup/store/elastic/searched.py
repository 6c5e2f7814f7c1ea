"""What was searched before, kept beside the other state of this machine, so that a later pass searches what is new.

A pair depends on nothing but its two signatures. So what is kept names contents by a digest of content and signature,
and holds for any index; losing it costs the time of a pass and nothing else. Invariant: of the contents that are kept,
every pair within ``distance`` is kept.
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.elastic.contents import ByteStrings

FORMAT: Final = 1
MOST_PAIRS: Final = 40
"""A content, on average. More are not kept: a library of thousands of like pages would fill the disk with them."""

MOST_FILES: Final = 16
"""Sets of folders that are remembered; the one that was not asked for longest goes first."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """The contents of one pass and the pairs among them.

    Attributes:
        distance: They were searched at.
        keys: Of the contents, ``S16``, ascending.
        pairs: By row of ``keys``; left looks like right when turned.
    """

    distance: float
    keys: ByteStrings
    pairs: PairBlock


class SearchedFolder:
    """A folder with a file for each set of folders that was searched. Several processes may use it at once."""

    def __init__(self, folder: Path | None) -> None:
        """Choose the folder; it is made when there is something to keep. None: nothing is kept."""
        self._folder = folder

    def load(self, place: Sequence[bytes]) -> Searched | None:
        """Read what was kept for these folders; a file that cannot be read counts as none."""
        if self._folder is None:
            return None
        path = self._path(place)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                if int(kept["format"]) != FORMAT:
                    return None
                columns = (kept["left"], kept["right"], kept["distances"], kept["orientations"])
                searched = Searched(float(kept["distance"]), kept["keys"], PairBlock(*columns))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _LOG.warning("%s cannot be read (%s) and is made anew", path, error)
            return None
        return searched

    def save(self, place: Sequence[bytes], searched: Searched) -> None:
        """Keep a pass; a disk that is full costs the memory of it, not the run."""
        if self._folder is None:
            return
        columns: dict[str, Any] = {
            "format": np.int64(FORMAT),
            "distance": np.float64(searched.distance),
            "keys": searched.keys,
            "left": searched.pairs.left.astype(np.int32),
            "right": searched.pairs.right.astype(np.int32),
            "distances": searched.pairs.distance,
            "orientations": searched.pairs.orientation,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".", suffix=".npz", delete=False) as arriving:
                np.savez(arriving, **columns)
            Path(arriving.name).replace(self._path(place))
            self._tidy()
        except OSError as error:
            _LOG.warning("what was searched cannot be kept in %s: %s", self._folder, error)

    def _path(self, place: Sequence[bytes]) -> Path:
        named = json.dumps([part.hex() for part in place]).encode()
        return (self._folder or Path()) / f"{blake3(named).hexdigest(length=12)}.npz"

    def _tidy(self) -> None:
        kept = sorted((self._folder or Path()).glob("*.npz"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-MOST_FILES]:
            path.unlink(missing_ok=True)


class Gathered:
    """Gathers the pairs of a pass as they are told, unless there are too many to keep."""

    def __init__(self, contents: int) -> None:
        self._most = MOST_PAIRS * contents
        self._blocks: list[PairBlock] = []
        self._count = 0

    def add(self, blocks: Iterator[PairBlock]) -> Iterator[PairBlock]:
        """Pass blocks on and remember them."""
        for block in blocks:
            self._count += len(block)
            if self._count <= self._most:
                self._blocks.append(block)
            yield block

    def finish(self, keys: ByteStrings, distance: float) -> Searched | None:
        """Make of it what is kept.

        Args:
            keys: Of the contents that were searched, in the order of the rows.
            distance: They were searched at.

        Returns:
            None if there were too many pairs.
        """
        if self._count > self._most:
            return None
        return Searched(distance, keys, concatenated(self._blocks))


def recalled(searched: Searched, keys: ByteStrings) -> tuple[PairBlock, npt.NDArray[np.bool_]]:
    """Find what was kept of some contents.

    Args:
        searched: What was kept.
        keys: Of the contents, ascending.

    Returns:
        The pairs among those that were searched, by row of ``keys``; and which of them were.
    """
    if not len(searched.keys):
        return concatenated([]), np.zeros(len(keys), dtype=np.bool_)
    place = np.searchsorted(searched.keys, keys)
    place[place == len(searched.keys)] = 0
    known = searched.keys[place] == keys
    row_of = np.full(len(searched.keys), -1, dtype=np.int64)
    row_of[place[known]] = np.flatnonzero(known)
    left, right = row_of[searched.pairs.left], row_of[searched.pairs.right]
    there = np.flatnonzero((left >= 0) & (right >= 0))
    pairs = searched.pairs
    return PairBlock(left[there], right[there], pairs.distance[there], pairs.orientation[there]), known


def concatenated(blocks: Sequence[PairBlock]) -> PairBlock:
    """Put blocks together."""
    none = PairBlock(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint8))
    parts = [none, *blocks]
    return PairBlock(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.orientation for part in parts]),
    )
