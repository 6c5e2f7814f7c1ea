"""The roots of a run: the folders that the user gave, made distinct, and the root that a file belongs to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import Root

FileId: TypeAlias = tuple[int, int]
"""Device and inode, which are equal for two paths of one folder or file."""


def resolve_roots(roots: Sequence[Root]) -> tuple[list[tuple[Root, FileId]], list[Failure]]:
    """Return each root folder once, with its file id, in the order of paths.

    Two roots that are one folder (given twice, or through a link) become one: the real path if it is among them, else
    the lesser path. A root inside a protected one is protected; links are resolved for this.

    Returns:
        The roots that exist, and a failure for each other one.
    """
    found: dict[FileId, list[Root]] = {}
    failures: list[Failure] = []
    for root in roots:
        path = Path(os.path.abspath(root.path))  # noqa: PTH100 - Path.absolute() keeps "..", resolve() follows links
        try:
            status = path.stat()
        except OSError as error:
            failures.append(_missing(path, error))
            continue
        if not stat.S_ISDIR(status.st_mode):
            message = f"{path} is not a folder; give the folder that contains it"
            failures.append(Failure(path, Phase.COUNT, FailureReason.UNSUPPORTED, message))
            continue
        found.setdefault((status.st_dev, status.st_ino), []).append(Root(path, root.protected))
    protected_paths = [os.path.realpath(root.path) for same in found.values() for root in same if root.protected]
    settled = [(_choose(same, protected_paths), file_id) for file_id, same in found.items()]
    return sorted(settled, key=lambda item: os.fsencode(item[0].path)), failures


def _choose(same: Sequence[Root], protected_paths: Iterable[str]) -> Root:
    real = os.path.realpath(same[0].path)
    chosen = min(same, key=lambda root: (str(root.path) != real, os.fsencode(root.path)))
    protected = any(real == above or real.startswith(above.rstrip("/") + "/") for above in protected_paths)
    return replace(chosen, protected=protected)


def _missing(path: Path, error: OSError) -> Failure:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        message = f"{path} is missing; mount it, or remove it from the roots. Its entries in the index are kept"
        return Failure(path, Phase.COUNT, FailureReason.VANISHED, message)
    reason = FailureReason.NO_PERMISSION if isinstance(error, PermissionError) else FailureReason.IO_ERROR
    message = f"{path} cannot be opened: {error.strerror or error}. Its entries in the index are kept"
    return Failure(path, Phase.COUNT, reason, message)


class Ownership:
    """The assignment of files to roots: a file belongs to the most specific root above it. Threads may share it.

    Args:
        roots: Roots as in ``Inventory.roots``: distinct, and with ``protected`` inherited.
    """

    __slots__ = ("_by_folder", "_roots")

    def __init__(self, roots: Sequence[Root]) -> None:
        self._roots = {os.fsencode(root.path).rstrip(b"/"): root for root in roots}
        self._by_folder: dict[bytes, Root | None] = {}

    def root_of(self, raw_path: bytes) -> Root | None:
        """Return the root of a file, or ``None`` if it is under no root."""
        folder = raw_path.rpartition(b"/")[0]
        if folder not in self._by_folder:
            self._by_folder[folder] = self._find(folder)
        return self._by_folder[folder]

    def is_protected(self, raw_path: bytes) -> bool:
        """Return whether a file must never be removed or changed."""
        root = self.root_of(raw_path)
        return root is not None and root.protected

    def _find(self, folder: bytes) -> Root | None:
        while folder not in self._roots:
            if not folder:
                return None
            folder = folder.rpartition(b"/")[0]
        return self._roots[folder]


def topmost(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the folders that are not inside another one, in the order of their paths."""
    chosen: list[tuple[bytes, Path]] = []
    for raw, folder in sorted((os.fsencode(folder).rstrip(b"/") + b"/", folder) for folder in folders):
        if not chosen or not raw.startswith(chosen[-1][0]):
            chosen.append((raw, folder))
    return tuple(folder for _, folder in chosen)
