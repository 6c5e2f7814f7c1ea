"""The walk of the roots, which finds every selected file once, with its stamp."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from py_image_dedup.media.formats import UNREAD, UnreadKind
from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import Inventory, Root, Stamp, UnreadFiles
from py_image_dedup.scan.roots import FileId, resolve_roots
from py_image_dedup.scan.selector import Selector, is_picture, is_system_folder

SYSTEM_FOLDER = "system-folder"
SYMBOLIC_LINK = "symbolic-link"
SPECIAL_FILE = "special-file"
EXCLUDED = "excluded"
OTHER_EXTENSION = "other-extension"
OTHER_SIZE = "other-size"
OTHER_FILE_SYSTEM = "other-file-system"
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
        unread=walked.unread_files(),
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
    unread: dict[UnreadKind, list[bytes]] = field(default_factory=dict)

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
                device = file_id[0] if self.selector.one_file_system else None
                pending.extend(sorted(self.enter(subfolders, device), reverse=True))
        return True

    def folder(self, entries: Iterable[os.DirEntry[bytes]]) -> tuple[list[os.DirEntry[bytes]], bool]:
        """Record the files of one folder; return its sub-folders, and whether the folder has any entry.

        The hot loop of a run over an unchanged library: a few microseconds per file, most of them in ``lstat``.
        """
        extensions = self.selector.raw_extensions
        common = self.selector.common_suffixes
        excluding = bool(self.selector.exclusions) or self.selector.listed is not None or self.selector.limits_size
        stamps = self.stamps
        subfolders: list[os.DirEntry[bytes]] = []
        seen = False
        for entry in entries:
            seen = True
            name = entry.name
            is_named = name[-4:] in common or name[name.rfind(b".") :].lower() in extensions
            if not is_named and not self.is_picture(entry, subfolders):
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
            if excluding and self.is_left_out(path, status.st_size):
                continue
            stamps[path] = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
            if status.st_nlink > 1:
                self.linked.setdefault((status.st_dev, status.st_ino), []).append(path)
        return subfolders, seen

    def is_picture(self, entry: os.DirEntry[bytes], subfolders: list[os.DirEntry[bytes]]) -> bool:
        """Return whether an entry without one of the extensions is a picture all the same; collect it if a folder."""
        if entry.is_dir(follow_symlinks=False):
            subfolders.append(entry)
            return False
        may_be = self.selector.any_extension and entry.is_file(follow_symlinks=False)
        # Excluded files are not opened: they may be on a slow disk.
        if may_be and (self.selector.is_excluded(entry.path) or is_picture(entry.path)):
            return True
        self.skipped[OTHER_EXTENSION] += 1
        self.note_unread(entry)
        return False

    def note_unread(self, entry: os.DirEntry[bytes]) -> None:
        """Record a file that is no photo or cannot be decoded here, unless the user left it out."""
        name = entry.name
        kind = UNREAD.get(name[name.rfind(b".") :].lower())
        if kind is None or self.selector.is_excluded(entry.path) or not entry.is_file(follow_symlinks=False):
            return
        self.unread.setdefault(kind, []).append(entry.path)

    def unread_files(self) -> tuple[UnreadFiles, ...]:
        """Return the files that were recorded, the most frequent kind first."""
        found = sorted(self.unread.items(), key=lambda item: (-len(item[1]), item[0].name))
        return tuple(
            UnreadFiles(kind.name, kind.reason, tuple(Path(os.fsdecode(raw)) for raw in sorted(paths)))
            for kind, paths in found
        )

    def is_left_out(self, path: bytes, size: int) -> bool:
        """Return whether a file is excluded or has another size, and count it."""
        if self.selector.is_excluded(path):
            self.skipped[EXCLUDED] += 1
            return True
        if not self.selector.has_size(size):
            self.skipped[OTHER_SIZE] += 1
            return True
        return False

    def enter(self, subfolders: list[os.DirEntry[bytes]], device: int | None = None) -> Folders:
        """Return the sub-folders to walk next.

        Args:
            subfolders: The sub-folders of one folder.
            device: The only file system whose folders are entered; ``None`` for any.
        """
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
                if device is not None and status.st_dev != device:
                    self.skipped[OTHER_FILE_SYSTEM] += 1
                elif file_id not in self.root_ids:  # a root is walked as such
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
