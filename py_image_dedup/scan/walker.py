"""One walk of the roots: every file that counts, once, with its stamp."""

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
from py_image_dedup.scan.roots import Place, resolve_roots
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

Folders: TypeAlias = list[tuple[bytes, Place]]


def _never() -> bool:
    return False


def _pass_by(files: int) -> None:
    del files


def walk(
    roots: Sequence[Root],
    selector: Selector,
    *,
    should_stop: Callable[[], bool] = _never,
    advanced: Callable[[int], None] = _pass_by,
) -> Inventory:
    """Find every file below the roots that counts.

    A file is found once: roots may overlap, nest, or lead to the same folder by a link or a bind mount. It belongs to
    the most specific root above it, and is protected if any protected root is above it. A root that is itself a
    symbolic link to a folder is followed, because the user named it; below the roots no link is followed.

    What cannot be read is a failure and leaves its folder in ``Inventory.incomplete``; the walk goes on. So does a
    root without a single entry: an unmounted disk looks like that. When ``should_stop`` says so, the walk ends early
    and every root is incomplete.

    Args:
        roots: The folders; their order does not matter.
        selector: Which files count.
        should_stop: Polled once a folder.
        advanced: Told after each folder how many files of it count.
    """
    places, failures = resolve_roots(roots)
    walked = _Walk(selector, {place: root for root, place in places}, advanced)
    walked.failures.extend(failures)
    walked.incomplete.extend(failure.path for failure in failures)
    stopped = False
    for root, place in places:
        stopped = stopped or not walked.root(root, place, should_stop)
    if stopped:
        walked.incomplete[:] = [root.path for root in roots]
    settled = tuple(root for root, _ in places)
    aliases = walked.take_aliases(settled)
    return Inventory(
        roots=settled,
        stamps=walked.stamps,
        aliases=aliases,
        linked=walked.linked_paths(),
        skipped=dict(walked.skipped),
        failures=tuple(walked.failures),
        incomplete=tuple(walked.incomplete),
    )


@dataclass(slots=True)
class _Walk:
    """What is gathered on the way."""

    selector: Selector
    root_places: dict[Place, Root]
    advanced: Callable[[int], None]
    stamps: dict[bytes, Stamp] = field(default_factory=dict)
    linked: dict[Place, list[bytes]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    incomplete: list[Path] = field(default_factory=list)
    visited: set[Place] = field(default_factory=set)

    def root(self, root: Root, place: Place, should_stop: Callable[[], bool]) -> bool:
        """Walk one root; tell whether it was walked to its end."""
        top = os.fsencode(root.path)
        pending: Folders = [(top, place)]
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
                # Sorted, so that of two ways to one folder the same one is taken every time.
                pending.extend(sorted(self.enter(subfolders), reverse=True))
        return True

    def folder(self, entries: Iterable[os.DirEntry[bytes]]) -> tuple[list[os.DirEntry[bytes]], bool]:
        """Take the files of one folder; return its sub-folders, and whether there was anything at all.

        The hot loop of a run over an unchanged library: a few microseconds a file, most of them in ``lstat``.
        """
        extensions = self.selector.raw_extensions
        usual = self.selector.usual_ends
        excluding = bool(self.selector.exclusions) or self.selector.listed is not None
        stamps = self.stamps
        subfolders: list[os.DirEntry[bytes]] = []
        seen = False
        others = 0
        for entry in entries:
            seen = True
            name = entry.name
            if name[-4:] not in usual and name[name.rfind(b".") :].lower() not in extensions:
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
                if status.st_mode & _TYPE == _FOLDER:  # a folder that is named like a picture
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
        """Choose the sub-folders that are walked next."""
        entered: Folders = []
        for entry in subfolders:
            path = entry.path
            if is_system_folder(entry.name):
                self.skipped[SYSTEM_FOLDER] += 1
            elif path in self.selector.apart:
                self.skipped[SET_APART] += 1
            elif self.selector.excludes_all_below(path):
                self.skipped[EXCLUDED] += 1
            else:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self.fail(path, error)
                    continue
                place = (status.st_dev, status.st_ino)
                if place not in self.root_places:  # a root of its own is walked as such
                    entered.append((path, place))
        return entered

    def fail(self, raw_path: bytes, error: OSError) -> None:
        """Note that something could not be looked at; what the index knows below it is kept."""
        path = Path(os.fsdecode(raw_path))
        self.incomplete.append(path)
        if isinstance(error, FileNotFoundError):
            self.skipped[VANISHED] += 1
            return
        self.failures.append(failure_of(path, error))

    def take_aliases(self, roots: Sequence[Root]) -> dict[bytes, bytes]:
        """Leave one name of each inode in ``stamps``, and return the others."""
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
    """Put into words why a folder or a file could not be looked at."""
    if isinstance(error, PermissionError):
        reason, advice = FailureReason.NO_PERMISSION, "give this user the right to read it, or exclude it"
    else:
        reason, advice = FailureReason.IO_ERROR, "check the disk or the network share"
    return Failure(path, Phase.COUNT, reason, f"{path} cannot be read: {error.strerror or error}; {advice}")
