"""What the other programs have in common: a setting says which copies are found and which strangers are paired."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from ladder import LADDER, Original

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SAME_SCENE = frozenset({"street", "turntable"})
"""Folders that show one scene again and again: a peer's best setting is also given without them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to run a peer.

    Attributes:
        name: As in the table.
        false: How many pairs of different pictures it calls duplicates, by folder.
    """

    name: str
    false: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one photo and its copies, each copy in a folder of its own."""

    folder: Path
    original: Path
    copies: tuple[Path, ...]


class Peer(Protocol):
    """Another program."""

    name: str

    def settle(self, strangers: Mapping[str, Path]) -> Sequence[Setting]:
        """Look at folders of which no two pictures are the same, and say with which settings to look for copies."""

    def found(self, files: Files) -> Bools:
        """Return which copies are called duplicates of their original: settings by copies."""

    def close(self) -> None:
        """End what was started."""


@contextmanager
def written(photo: Path) -> Iterator[Files]:
    """Write every copy of the ladder of a photo into a temporary folder; the original stays the file it is."""
    source = Original.read(photo)
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name).resolve()
        original = folder / "original" / f"original{photo.suffix.lower()}"
        original.parent.mkdir()
        shutil.copyfile(photo, original)
        copies = []
        for number, edit in enumerate(LADDER):
            copy = folder / f"{number:03}" / f"copy{edit.suffix}"
            copy.parent.mkdir()
            copy.write_bytes(edit.make(source))
            copies.append(copy)
        yield Files(folder, original, tuple(copies))


def counted(distances: Mapping[str, Floats], bound: float) -> dict[str, int]:
    """Return how many pairs of each folder are within a distance."""
    return {folder: int((found <= bound).sum()) for folder, found in distances.items()}


def without_false_pair(nearest: Mapping[str, float]) -> dict[str, float]:
    """Return the distances that a setting has to stay below, by the folders in which it then has no false pair.

    Args:
        nearest: The least distance of two different pictures of each folder.
    """
    bounds = {"in any folder": min(nearest.values())}
    apart = {folder: distance for folder, distance in nearest.items() if folder not in SAME_SCENE}
    if len(apart) not in {0, len(nearest)}:
        bounds[f"in {', '.join(apart)}"] = min(apart.values())
    return bounds
