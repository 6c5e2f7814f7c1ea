"""A name in an open folder: what is looked at and what is acted on are in the same folder, whatever is renamed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from py_image_dedup.model.file import FileStat, Stamp
from py_image_dedup.removal.durable import flushes_whole_file_systems, fsync

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


CREATED_MODE: Final = 0o600
"""Permission bits of a file that is not whole yet."""


class NotAsPlanned(Exception):  # noqa: N818 - a state of the disk, not a fault
    """The disk is not as it was when the plan was made; the message says what differs. Nothing was done."""


class Stranded(Exception):  # noqa: N818 - as above
    """A file could not be brought to its place nor back.

    Attributes:
        at: Where it is; nothing of it is lost.
    """

    def __init__(self, message: str, at: Path) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder.

    Attributes:
        folder: Descriptor of the folder.
        path: The whole path, for messages and for the journal.
    """

    folder: int
    path: Path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.name

    def beside(self, name: str) -> Place:
        """Return another name in the same folder."""
        return Place(self.folder, self.path.with_name(name))

    def lstat(self) -> os.stat_result:
        """Look at what has this name now; links are not followed."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def look(self) -> os.stat_result | None:
        """Look at what has this name now, or return ``None`` if nothing has."""
        try:
            return self.lstat()
        except FileNotFoundError:
            return None

    def open(self) -> int:
        """Open for reading; a link is an error and a pipe does not wait."""
        return os.open(self.name, _READ, dir_fd=self.folder)

    def create(self) -> int:
        """Create a file that nobody else can read yet, and open it; an error if the name is taken."""
        return os.open(self.name, _CREATE, CREATED_MODE, dir_fd=self.folder)

    def unlink(self) -> None:
        """Take the name away."""
        os.unlink(self.name, dir_fd=self.folder)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what tells a changed file from an unchanged one."""
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def is_file(status: os.stat_result) -> bool:
    """Tell whether this is a regular file."""
    return stat.S_ISREG(status.st_mode)


def anchor_of(path: Path, folders: Sequence[Path]) -> Path:
    """Return the nearest of these folders above a path, or its parent if none is.

    Links above and in the anchor are followed: the user gave it by that name. Below it no folder may be a link.
    """
    above = [folder for folder in folders if folder in path.parents]
    return max(above, key=lambda folder: len(folder.parts), default=path.parent)


def is_planned(status: os.stat_result | None, planned: FileStat) -> bool:
    """Tell whether this can be the file that was analysed, after a restart.

    Devices get other numbers then, and on file systems that have no inodes of their own (FAT, some network shares)
    files do, too.
    """
    return status is not None and is_file(status) and (status.st_size, status.st_mtime_ns) == planned.stamp[:2]


def missing_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders above a path that are not there, outermost first."""
    missing = []
    for folder in path.parents:
        if os.path.lexists(folder):
            break
        missing.append(folder)
    return tuple(reversed(missing))


@contextmanager
def open_place(path: Path, anchors: Sequence[Path], *, make: bool = False) -> Iterator[Place]:
    """Open the folder of a path, part by part below its anchor, so that no link can lead elsewhere.

    Args:
        path: Absolute.
        anchors: Folders that may be reached through links; see ``anchor_of``.
        make: Folders that are missing below the anchor are made.

    Raises:
        NotAsPlanned: A folder is missing, or something else has its name.
        OSError: A folder cannot be opened or made.
    """
    anchor = anchor_of(path, anchors)
    descriptor = _enter(anchor, None, os.fspath(anchor), make=False)
    try:
        folder = anchor
        for part in path.parent.relative_to(anchor).parts:
            folder = folder / part
            inner = _enter(folder, descriptor, part, make=make)
            os.close(descriptor)
            descriptor = inner
        yield Place(descriptor, path)
    finally:
        os.close(descriptor)


def _enter(folder: Path, above: int | None, name: str, *, make: bool) -> int:
    flags = _FOLDER if above is None else _FOLDER | os.O_NOFOLLOW
    try:
        try:
            return os.open(name, flags, dir_fd=above)
        except FileNotFoundError:
            if not make or above is None:
                raise
            _make(name, above)
            return os.open(name, flags, dir_fd=above)
    except FileNotFoundError as error:
        raise NotAsPlanned(f"the folder {folder} is not there any more") from error
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise NotAsPlanned(f"{folder} is no folder (any more): a file or a symbolic link has its name") from error
        raise


def _make(name: str, above: int) -> None:
    try:
        os.mkdir(name, dir_fd=above)
    except FileExistsError:
        return  # somebody else made it just now
    if not flushes_whole_file_systems():
        fsync(above)
