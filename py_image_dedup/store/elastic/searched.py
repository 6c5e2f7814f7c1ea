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

from py_image_dedup.signature.orientation import ORIENTATIONS, turn
from py_image_dedup.signature.pairs import Float64Array, Int8Array, Int64Array, PairBlock, UInt8Array

FORMAT: Final = 1
KEY_LENGTH: Final = 16
MOST_PAIRS: Final = 40
"""A content, on average. More are not kept: a library of thousands of like pages would fill the disk with them."""

MOST_FILES: Final = 16
"""Sets of folders that are remembered; the one that was not asked for longest goes first."""

_ROWS_AT_ONCE = 4_096
_LOG = logging.getLogger(__name__)

Keys = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """The contents of one pass and the pairs among them.

    Attributes:
        distance: They were searched at.
        keys: Of the contents, ``S16``, ascending.
        pairs: Rows of ``keys`` instead of numbers; left looks like right when turned.
    """

    distance: float
    keys: Keys
    pairs: PairBlock


def keys_of(digests: Sequence[bytes], values: Int8Array) -> Keys:
    """Name contents by digest and signature; dtype ``S16``."""
    named = (
        blake3(digest + row.tobytes()).digest(length=KEY_LENGTH) for digest, row in zip(digests, values, strict=True)
    )
    return np.frombuffer(b"".join(named), dtype=f"S{KEY_LENGTH}")


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

    def finish(self, numbers: Int64Array, keys: Keys, distance: float) -> Searched | None:
        """Make of it what is kept.

        Args:
            numbers: Of the contents, ascending.
            keys: In the same order.
            distance: They were searched at.

        Returns:
            None if there were too many pairs.
        """
        if self._count > self._most:
            return None
        order = np.argsort(keys)
        row_of = np.empty(len(keys), dtype=np.int64)
        row_of[order] = np.arange(len(keys))
        whole = concatenated(self._blocks)
        left, right = (row_of[np.searchsorted(numbers, side)] for side in (whole.left, whole.right))
        return Searched(distance, keys[order], PairBlock(left, right, whole.distance, whole.orientation))


def recalled(
    searched: Searched, numbers: Int64Array, values: Int8Array, keys: Keys
) -> tuple[PairBlock, npt.NDArray[np.bool_]]:
    """Find what was kept of these contents.

    Args:
        searched: What was kept.
        numbers: Of the contents that are asked for, ascending.
        values: Their signatures.
        keys: Their keys.

    Returns:
        The pairs among those that were searched, by number, the lesser left; and which of the contents were.
    """
    place = np.searchsorted(searched.keys, keys)
    place[place == len(searched.keys)] = 0
    known = searched.keys[place] == keys if len(searched.keys) else np.zeros(len(keys), dtype=np.bool_)
    row_of = np.full(len(searched.keys), -1, dtype=np.int64)
    row_of[place[known]] = np.flatnonzero(known)
    left, right = row_of[searched.pairs.left], row_of[searched.pairs.right]
    there = np.flatnonzero((left >= 0) & (right >= 0))
    left, right, orientation = left[there], right[there], searched.pairs.orientation[there].astype(np.uint8)
    turned = np.flatnonzero(left > right)
    left[turned], right[turned] = right[turned], left[turned]
    orientation[turned] = _turns(values, left[turned], right[turned])
    distance: Float64Array = searched.pairs.distance[there]
    return PairBlock(numbers[left], numbers[right], distance, orientation), known


def _turns(values: Int8Array, left: Int64Array, right: Int64Array) -> UInt8Array:
    """The turns that make left look like right; among equally good ones the least, as everywhere."""
    best = np.empty(len(left), dtype=np.uint8)
    for start in range(0, len(left), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        source, target = values[left[some]], values[right[some]].astype(np.int32)
        products = [np.einsum("ij,ij->i", turn(source, way).astype(np.int32), target) for way in ORIENTATIONS]
        best[some] = np.array(ORIENTATIONS, dtype=np.uint8)[np.argmax(products, axis=0)]
    return best


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
