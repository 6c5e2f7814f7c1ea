"""The walk of the roots, which finds every selected file once, with its stamp."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import Inventory, Root, Stamp
from py_image_dedup.scan.roots import FileId, resolve_roots
from py_image_dedup.scan.selector import Selector, is_system_folder

SYSTEM_FOLDER = "system-folder"
SYMBOLIC_LINK = "symbolic-link"
SPECIAL_FILE = "special-file"
EXCLUDED = "excluded"
OTHER_EXTENSION = "other-extension"
SET_APART = "set-apart"
SAME_FOLDER = "same-folder"
VANISHED = "vanished"

_TYPE = 0o170000
_REGULAR = stat.S_IFREG
_LINK = stat.S_IFLNK
_FOLDER = stat.S_IFDIR

Folders: TypeAlias = list[tuple[bytes, FileId]]


def walk(
    roots: Sequence[Root],
    selector: Selector,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    advanced: Callable[[int], None] = lambda files: None,  # noqa: ARG005
) -> Inventory:
    """Return the inventory of all selected files below the roots.

    A file is found once: roots may overlap, nest, or lead to the same folder by a link or a bind mount. It belongs to
    the most specific root above it, and is protected if any root above it is protected. A root that is itself a
    symbolic link to a folder is followed, because the user named it; links below the roots are not followed.

    A file or folder that cannot be read is a failure and is listed in ``Inventory.incomplete``; the walk continues. A
    root without a single entry is incomplete too: an unmounted disk looks like that. When ``should_stop`` returns true,
    the walk ends early and every root is incomplete.

    Args:
        roots: Root folders, in any order.
        selector: Selection of files.
        should_stop: Called once for each folder; true ends the walk.
        advanced: Called after each folder with the number of its selected files.
    """
    resolved, failures = resolve_roots(roots)
    walked = _Walk(selector, {file_id: root for root, file_id in resolved}, advanced)
    walked.failures.extend(failures)
    walked.incomplete.extend(failure.path for failure in failures)
    stopped = False
    for root, file_id in resolved:
        stopped = stopped or not walked.root(root, file_id, should_stop)
    if stopped:
        walked.incomplete[:] = [root.path for root in roots]
    distinct = tuple(root for root, _ in resolved)
    aliases = walked.take_aliases(distinct)
    return Inventory(
        roots=distinct,
        stamps=walked.stamps,
        aliases=aliases,
        linked=walked.linked_paths(),
        skipped=dict(walked.skipped),
        failures=tuple(walked.failures),
        incomplete=tuple(walked.incomplete),
    )


@dataclass(slots=True)
class _Walk:
    """The state of a walk."""

    selector: Selector
    root_ids: dict[FileId, Root]
    advanced: Callable[[int], None]
    stamps: dict[bytes, Stamp] = field(default_factory=dict)
    linked: dict[FileId, list[bytes]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    incomplete: list[Path] = field(default_factory=list)
    visited: set[FileId] = field(default_factory=set)

    def root(self, root: Root, file_id: FileId, should_stop: Callable[[], bool]) -> bool:
        """Walk one root; return whether the walk was not stopped."""
        top = os.fsencode(root.path)
        pending: Folders = [(top, file_id)]
        while pending:
            if should_stop():
                return False
            folder, here = pending.pop()
            if here in self.visited:
                self.skipped[SAME_FOLDER] += 1
                continue
            self.visited.add(here)
            before = len(self.stamps)
            try:
                with os.scandir(folder) as entries:
                    subfolders, seen = self.folder(entries)
            except OSError as error:
                self.fail(folder, error)
                continue
            if folder == top and not seen:
                self.incomplete.append(root.path)
            self.advanced(len(self.stamps) - before)
            if self.selector.recursive:
                # Sorted, so that the same one of two paths to a folder is taken every time.
                pending.extend(sorted(self.enter(subfolders), reverse=True))
        return True

    def folder(self, entries: Iterable[os.DirEntry[bytes]]) -> tuple[list[os.DirEntry[bytes]], bool]:
        """Record the files of one folder; return its sub-folders, and whether the folder has any entry.

        The hot loop of a run over an unchanged library: a few microseconds per file, most of them in ``lstat``.
        """
        extensions = self.selector.raw_extensions
        common = self.selector.common_suffixes
        excluding = bool(self.selector.exclusions) or self.selector.listed is not None
        stamps = self.stamps
        subfolders: list[os.DirEntry[bytes]] = []
        seen = False
        others = 0
        for entry in entries:
            seen = True
            name = entry.name
            if name[-4:] not in common and name[name.rfind(b".") :].lower() not in extensions:
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(entry)
                else:
                    others += 1
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                self.fail(entry.path, error)
                continue
            path = entry.path
            if status.st_mode & _TYPE != _REGULAR:
                if status.st_mode & _TYPE == _FOLDER:  # a folder with the name of a picture
                    subfolders.append(entry)
                else:
                    self.skipped[SYMBOLIC_LINK if status.st_mode & _TYPE == _LINK else SPECIAL_FILE] += 1
                continue
            if excluding and self.selector.is_excluded(path):
                self.skipped[EXCLUDED] += 1
                continue
            stamps[path] = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
            if status.st_nlink > 1:
                self.linked.setdefault((status.st_dev, status.st_ino), []).append(path)
        if others:
            self.skipped[OTHER_EXTENSION] += others
        return subfolders, seen

    def enter(self, subfolders: list[os.DirEntry[bytes]]) -> Folders:
        """Return the sub-folders to walk next."""
        entered: Folders = []
        for entry in subfolders:
            path = entry.path
            if is_system_folder(entry.name):
                self.skipped[SYSTEM_FOLDER] += 1
            elif path in self.selector.set_apart:
                self.skipped[SET_APART] += 1
            elif self.selector.excludes_all_below(path):
                self.skipped[EXCLUDED] += 1
            else:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self.fail(path, error)
                    continue
                file_id = (status.st_dev, status.st_ino)
                if file_id not in self.root_ids:  # a root is walked as such
                    entered.append((path, file_id))
        return entered

    def fail(self, raw_path: bytes, error: OSError) -> None:
        """Record a file or folder that cannot be read; the entries of the index below it are kept."""
        path = Path(os.fsdecode(raw_path))
        self.incomplete.append(path)
        if isinstance(error, FileNotFoundError):
            self.skipped[VANISHED] += 1
            return
        self.failures.append(failure_of(path, error))

    def take_aliases(self, roots: Sequence[Root]) -> dict[bytes, bytes]:
        """Keep one name of each inode in ``stamps``, and return the other names."""
        protected = tuple(os.fsencode(root.path).rstrip(b"/") + b"/" for root in roots if root.protected)
        aliases: dict[bytes, bytes] = {}
        for paths in self.linked.values():
            chosen, *others = sorted(paths, key=lambda path: (not path.startswith(protected), path))
            for other in others:
                del self.stamps[other]
                aliases[other] = chosen
        return aliases

    def linked_paths(self) -> frozenset[bytes]:
        """Return the names in ``stamps`` of files that have several."""
        return frozenset(path for paths in self.linked.values() for path in paths if path in self.stamps)


def failure_of(path: Path, error: OSError) -> Failure:
    """Return the failure for a folder or file that cannot be read."""
    if isinstance(error, PermissionError):
        reason, advice = FailureReason.NO_PERMISSION, "grant this user read permission, or exclude it"
    else:
        reason, advice = FailureReason.IO_ERROR, "check the disk or the network share"
    return Failure(path, Phase.COUNT, reason, f"{path} cannot be read: {error.strerror or error}; {advice}")
