"""czkawka: the command-line program, run as it is and read through its JSON results.

Its groups depend on what else is in a folder (a file joins the most similar one, and then no other), so the original is
given as the reference that all copies are compared with; nothing is found by way of another copy. Strangers are shown a
folder at a time, and every two members of a group count as a pair. Its cache, in a temporary folder, spares decoding a
file twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from measures.peer_setting import Bools, Files, Setting, without_false_pair

DEFAULT = 5
LARGEST = 40
"""The largest difference that the program takes."""
INSTALL = "cargo install czkawka_cli, then --czkawka PROGRAM if it is not on the path"


@dataclass(slots=True)
class Variant:
    """A way to hash, and the differences to allow.

    Attributes:
        name: As in the table.
        options: Of the program.
        fixed: Measure the default difference too.
        best: Measure the largest difference without a false pair.
        bounds: The differences that came of that.
    """

    name: str
    options: tuple[str, ...]
    fixed: bool = False
    best: bool = True
    bounds: list[int] = field(default_factory=list)


def _variants() -> list[Variant]:
    # By default files below 16 KiB are passed over, which most small copies of a small photo are.
    small = ("--minimal-file-size", "1")
    turned = ("--geometric-invariance", "mirror-flip-rotate90")
    smooth = ("--image-filter", "Lanczos3")
    return [
        Variant("default", (), fixed=True, best=False),
        Variant("small files too", small, fixed=True),
        Variant("small files too, turned, Lanczos3", (*small, *turned, *smooth), fixed=True),
        Variant("small files too, turned, Triangle", (*small, *turned, "--image-filter", "Triangle")),
        Variant("small files too, turned, Lanczos3, hash size 32", (*small, *turned, *smooth, "--hash-size", "32")),
    ]


class Czkawka:
    """The similar-images tool of czkawka."""

    def __init__(self, program: str) -> None:
        self.name = "czkawka"
        self._program = program
        self._variants = _variants()
        self._cache = tempfile.TemporaryDirectory(prefix="peers-")
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = shown.splitlines()[0]

    def settle(self, strangers: Mapping[str, Path]) -> Sequence[Setting]:
        """Measure the default and, for some ways to hash, the largest difference without a false pair."""
        return [setting for variant in self._variants for setting in self._settle(variant, strangers)]

    def found(self, files: Files) -> Bools:
        """Return which copies are in a group with their original, for each setting."""
        rows = []
        with tempfile.TemporaryDirectory(prefix="peers-") as cache:
            for variant in self._variants:
                differences = np.array(self._differences(files, variant, cache))
                rows += [differences <= bound for bound in variant.bounds]
        return np.stack(rows)

    def close(self) -> None:
        """Remove the cache."""
        self._cache.cleanup()

    def _settle(self, variant: Variant, strangers: Mapping[str, Path]) -> list[Setting]:
        named = {f"{variant.name}, difference <= {DEFAULT}": DEFAULT} if variant.fixed else {}
        if variant.best:
            nearest = {name: float(self._nearest(folder, variant)) for name, folder in strangers.items()}
            for where, least in without_false_pair(nearest).items():
                best = int(least) - 1
                shown = f"<= {best}" if best >= 0 else "none"
                named[f"{variant.name}, best without a false pair {where}: {shown}"] = best
        variant.bounds = list(named.values())
        return [
            Setting(name, {of: self._pairs(folder, variant, bound) for of, folder in strangers.items()})
            for name, bound in named.items()
        ]

    def _nearest(self, folder: Path, variant: Variant) -> int:
        """Return the least difference with a group, or one more than there is."""
        low, high = 0, LARGEST + 1
        while low < high:
            middle = (low + high) // 2
            if self._pairs(folder, variant, middle):
                high = middle
            else:
                low = middle + 1
        return low

    def _pairs(self, folder: Path, variant: Variant, bound: int) -> int:
        if bound < 0:
            return 0
        groups = self._run([folder], variant, bound, self._cache.name)
        return sum(len(group) * (len(group) - 1) // 2 for group in groups)

    def _differences(self, files: Files, variant: Variant, cache: str) -> list[int]:
        """Return how different each copy is from its original, which as a reference is what all are compared with.

        A copy with the very hash of another copy would be found by way of that one or not at all, so these are never
        shown together.
        """
        batches: dict[int, list[Path]] = {}
        alike = self._run([files.folder], variant, 0, cache)
        number = {entry["path"]: place for group in alike for place, entry in enumerate(group)}
        for copy in files.copies:
            batches.setdefault(number.get(str(copy), 0), []).append(copy.parent)
        found: dict[str, int] = {}
        for folders in batches.values():
            for _, entries in self._run(folders, variant, LARGEST, cache, files.original.parent):
                found.update({entry["path"]: int(entry["difference"]) for entry in entries})
        return [found.get(str(copy), LARGEST + 1) for copy in files.copies]

    def _run(
        self, folders: Sequence[Path], variant: Variant, bound: int, cache: str, reference: Path | None = None
    ) -> list[Any]:
        result = Path(cache) / "result.json"
        result.unlink(missing_ok=True)
        command = [self._program, "image", "--thread-number", "1", "--max-difference", str(bound), *variant.options]
        for folder in folders:
            command += ["--directories", str(folder)]
        if reference is not None:
            command += ["--reference-directories", str(reference)]
        command += ["--compact-file-to-save", str(result)]
        command += ["--do-not-print-results", "--do-not-print-messages", "--ignore-error-code-on-found"]
        place = {"CZKAWKA_CACHE_PATH": cache, "CZKAWKA_CONFIG_PATH": cache}
        subprocess.run(command, env=os.environ | place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        found = json.loads(result.read_text()) if result.exists() else []
        assert isinstance(found, list)
        return found
