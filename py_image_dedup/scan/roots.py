"""The folders that the user gave, made distinct; and which of them a file belongs to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import Root

Place: TypeAlias = tuple[int, int]
"""Device and inode: what makes two paths one folder."""


def resolve_roots(roots: Sequence[Root]) -> tuple[list[tuple[Root, Place]], list[Failure]]:
    """Look at the roots: each folder once, in the order of paths, with its place on the disk.

    Two roots that are one folder (given twice, or through a link) become one: the real path if it is among them,
    else the lesser. A root inside a protected one is protected, links resolved.

    Returns:
        The roots that are there, and a failure for each that is not.
    """
    found: dict[Place, list[Root]] = {}
    failures: list[Failure] = []
    for root in roots:
        path = Path(os.path.abspath(root.path))  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links
        try:
            status = path.stat()
        except OSError as error:
            failures.append(_missing(path, error))
            continue
        if not stat.S_ISDIR(status.st_mode):
            message = f"{path} is not a folder; give the folder that it is in"
            failures.append(Failure(path, Phase.COUNT, FailureReason.UNSUPPORTED, message))
            continue
        found.setdefault((status.st_dev, status.st_ino), []).append(Root(path, root.protected))
    guarded = [os.path.realpath(root.path) for same in found.values() for root in same if root.protected]
    settled = [(_choose(same, guarded), place) for place, same in found.items()]
    return sorted(settled, key=lambda item: os.fsencode(item[0].path)), failures


def _choose(same: Sequence[Root], guarded: Iterable[str]) -> Root:
    real = os.path.realpath(same[0].path)
    chosen = min(same, key=lambda root: (str(root.path) != real, os.fsencode(root.path)))
    protected = any(real == guard or real.startswith(guard.rstrip("/") + "/") for guard in guarded)
    return replace(chosen, protected=protected)


def _missing(path: Path, error: OSError) -> Failure:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        message = f"{path} is not there; mount it, or take it out of the roots. What the index knows of it is kept"
        return Failure(path, Phase.COUNT, FailureReason.VANISHED, message)
    reason = FailureReason.NO_PERMISSION if isinstance(error, PermissionError) else FailureReason.IO_ERROR
    message = f"{path} cannot be opened: {error.strerror or error}. What the index knows of it is kept"
    return Failure(path, Phase.COUNT, reason, message)


class Ownership:
    """Which root a file belongs to: the most specific one above it. Threads may share it.

    Args:
        roots: As ``Inventory.roots`` has them: distinct, and ``protected`` inherited.
    """

    __slots__ = ("_by_folder", "_roots")

    def __init__(self, roots: Sequence[Root]) -> None:
        self._roots = {os.fsencode(root.path).rstrip(b"/"): root for root in roots}
        self._by_folder: dict[bytes, Root | None] = {}

    def root_of(self, raw_path: bytes) -> Root | None:
        """Return the root of a file, or ``None`` if it is under none."""
        folder = raw_path.rpartition(b"/")[0]
        if folder not in self._by_folder:
            self._by_folder[folder] = self._find(folder)
        return self._by_folder[folder]

    def is_protected(self, raw_path: bytes) -> bool:
        """Tell whether a file may never be removed or changed."""
        root = self.root_of(raw_path)
        return root is not None and root.protected

    def _find(self, folder: bytes) -> Root | None:
        while folder not in self._roots:
            if not folder:
                return None
            folder = folder.rpartition(b"/")[0]
        return self._roots[folder]


def topmost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders that are in none of the others, in the order of their paths."""
    chosen: list[tuple[bytes, Path]] = []
    for raw, folder in sorted((os.fsencode(folder).rstrip(b"/") + b"/", folder) for folder in folders):
        if not chosen or not raw.startswith(chosen[-1][0]):
            chosen.append((raw, folder))
    return tuple(folder for _, folder in chosen)
