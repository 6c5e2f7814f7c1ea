"""imagededup: the Hamming distance of two perceptual hashes of 64 bits.

The package drags in a machine-learning library, so it lives in an environment of its own and is asked through a pipe.
It computes the hashes; a pair is a duplicate when at most so many bits differ, as its ``find_duplicates`` has it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from measures.album import photos_in
from measures.peer_setting import Bools, Files, Floats, Setting, counted, without_false_pair

DEFAULT = 10
INSTALL = "python -m venv PEERS && PEERS/bin/pip install imagededup, then --imagededup PEERS/bin/python"

Words = npt.NDArray[np.uint64]


def installed(python: str | None) -> bool:
    """Return whether an interpreter is there and has the package."""
    if not python or not shutil.which(python):
        return False
    return subprocess.run([python, "-c", "import imagededup"], stderr=subprocess.DEVNULL, check=False).returncode == 0


class ImageDedup:
    """PHash of imagededup, in another interpreter."""

    def __init__(self, python: str) -> None:
        self.name = "imagededup, pHash"
        self._bounds: list[int] = []
        script = Path(__file__).with_name("peer_imagededup_hashes.py")
        self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = str(self._answer())

    def settle(self, strangers: Mapping[str, Path]) -> Sequence[Setting]:
        """Measure the default and the largest distance without a false pair."""
        pairs = {folder: self._pairs(path) for folder, path in strangers.items()}
        bounds = {f"distance <= {DEFAULT} of 64, its default": DEFAULT}
        nearest = {folder: float(found.min(initial=65)) for folder, found in pairs.items()}
        for where, least in without_false_pair(nearest).items():
            best = int(least) - 1
            bounds[f"best without a false pair {where}: " + (f"<= {best}" if best >= 0 else "none")] = best
        self._bounds = list(bounds.values())
        return [Setting(name, counted(pairs, bound)) for name, bound in bounds.items()]

    def found(self, files: Files) -> Bools:
        """Return which copies are near enough to their original, for each bound."""
        original, *copies = self._hashes([files.original, *files.copies])
        if original is None:
            return np.zeros((len(self._bounds), len(copies)), np.bool_)
        distance = [65 if copy is None else (original ^ copy).bit_count() for copy in copies]
        return np.array(distance) <= np.array(self._bounds)[:, None]

    def close(self) -> None:
        """End the other interpreter."""
        self._process.communicate()

    def _pairs(self, folder: Path) -> Floats:
        hashes = [found for found in self._hashes(photos_in(folder)) if found is not None]
        words: Words = np.array(hashes, np.uint64)
        rows = [_bits(words[row + 1 :] ^ word) for row, word in enumerate(words[:-1])]
        return np.concatenate(rows) if rows else np.zeros(0)

    def _hashes(self, photos: Sequence[Path]) -> list[int | None]:
        assert self._process.stdin is not None
        print(json.dumps([str(photo) for photo in photos]), file=self._process.stdin, flush=True)
        answer = self._answer()
        assert isinstance(answer, list)
        return [None if found is None else int(found, 16) for found in answer]

    def _answer(self) -> object:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("imagededup ended before it answered; its own message is above")
        return json.loads(line)


def _bits(words: Words) -> Floats:
    return np.bitwise_count(words).astype(np.float64)
