"""File operations relative to open folders, which never overwrite and survive a crash, and the metadata of files.

A check and the act that follows it are in the same folder, whatever is renamed in between.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from blake3 import blake3

from py_image_dedup.model.file import FileStat, Stamp


@cache
def _syncfs() -> Callable[[int], int] | None:
    """``syncfs(2)`` of the C library, where there is one."""
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_int]
    function.restype = ctypes.c_int
    return function


def flushes_whole_file_systems() -> bool:
    """Return whether ``fsync_all`` also covers folders that were created on the way."""
    return _syncfs() is not None


def fsync(descriptor: int) -> None:
    """Wait until a file or a folder is on disk.

    Network file systems that keep folders on their server report that this is not supported; that is no error. On
    macOS, only ``F_FULLFSYNC`` waits for the disk itself.

    Raises:
        OSError: The disk did not take it.
    """
    if _FULL_FSYNC is not None:
        with suppress(OSError):  # file systems without it
            fcntl.fcntl(descriptor, _FULL_FSYNC)
            return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            raise


_FULL_FSYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)


def fsync_all(descriptors: Iterable[int]) -> None:
    """Flush files and folders to disk, many at once.

    A single one is flushed alone; several at once by flushing their file systems, which costs one wait instead of one
    each. Where the system cannot do that, each is flushed alone.

    Raises:
        OSError: The disk did not take it all.
    """
    descriptors = tuple(descriptors)
    syncfs = _syncfs()
    if syncfs is None or len(descriptors) == 1:
        for descriptor in descriptors:
            fsync(descriptor)
        return
    by_device = {os.fstat(descriptor).st_dev: descriptor for descriptor in descriptors}
    for descriptor in by_device.values():
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


CREATED_MODE: Final = 0o600
"""Permission bits of a file that is not whole yet."""


class NotAsPlanned(Exception):  # noqa: N818 - a state of the disk, not a fault
    """The disk is not as planned; the message says what differs. Nothing was done."""


class Stranded(Exception):  # noqa: N818 - as above
    """A file could be moved neither to its destination nor back.

    Attributes:
        location: Where it is; nothing of it is lost.
    """

    def __init__(self, message: str, location: Path) -> None:
        super().__init__(message)
        self.location = location


@dataclass(frozen=True, slots=True)
class NameInDir:
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

    def beside(self, name: str) -> NameInDir:
        """Return another name in the same folder."""
        return NameInDir(self.folder, self.path.with_name(name))

    def lstat(self) -> os.stat_result:
        """Return the status of the file of this name; links are not followed."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def look(self) -> os.stat_result | None:
        """Return the status of the file of this name, or ``None`` if there is none."""
        try:
            return self.lstat()
        except FileNotFoundError:
            return None

    def open(self) -> int:
        """Open for reading; a link is an error and a pipe does not wait."""
        return os.open(self.name, _READ, dir_fd=self.folder)

    def create(self) -> int:
        """Create and open a file that no other user can read; an existing file is an error."""
        return os.open(self.name, _CREATE, CREATED_MODE, dir_fd=self.folder)

    def unlink(self) -> None:
        """Remove the name."""
        os.unlink(self.name, dir_fd=self.folder)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file, which changes with its content."""
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def is_file(status: os.stat_result) -> bool:
    """Return whether this is a regular file."""
    return stat.S_ISREG(status.st_mode)


def trusted_root_of(path: Path, folders: Sequence[Path]) -> Path:
    """Return the nearest of these folders above a path, or its parent if none is.

    Links above and in a trusted root are followed: the user gave it by that name. Below it no folder may be a link.
    """
    above = [folder for folder in folders if folder in path.parents]
    return max(above, key=lambda folder: len(folder.parts), default=path.parent)


def is_planned(status: os.stat_result | None, planned: FileStat) -> bool:
    """Return whether this can be the file that was analysed, also after a restart.

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
def open_in_dir(path: Path, trusted_roots: Sequence[Path], *, make: bool = False) -> Iterator[NameInDir]:
    """Open the folder of a path, part by part below its trusted root, so that no link can lead elsewhere.

    Args:
        path: Absolute.
        trusted_roots: Folders that may be reached through links; see ``trusted_root_of``.
        make: Create folders that are missing below the trusted root.

    Raises:
        NotAsPlanned: A folder is missing, or something else has its name.
        OSError: A folder cannot be opened or made.
    """
    anchor = trusted_root_of(path, trusted_roots)
    descriptor = _enter(anchor, None, os.fspath(anchor), make=False)
    try:
        folder = anchor
        for part in path.parent.relative_to(anchor).parts:
            folder = folder / part
            inner = _enter(folder, descriptor, part, make=make)
            os.close(descriptor)
            descriptor = inner
        yield NameInDir(descriptor, path)
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
        return  # another process made it just now
    if not flushes_whole_file_systems():
        fsync(above)


_NOREPLACE: Final = 1
_CANNOT: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK})
"""Errors of a system or a file system that does not support the call."""

Method: TypeAlias = Callable[[NameInDir, NameInDir], None]


class Unsupported(OSError):  # noqa: N818 - the next method is tried
    """The file system does not support this method."""


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """``renameat2(2)`` of the C library, where there is one."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function


def by_renameat2(source: NameInDir, target: NameInDir) -> None:
    """Rename in one call that refuses a taken name (Linux)."""
    function = _renameat2()
    if function is None:
        raise Unsupported(errno.ENOSYS, os.strerror(errno.ENOSYS))
    old, new = os.fsencode(source.name), os.fsencode(target.name)
    if function(source.folder, old, target.folder, new, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}:
        raise Unsupported(number, os.strerror(number))
    raise OSError(number, os.strerror(number), os.fspath(source.path), None, os.fspath(target.path))


def by_link(source: NameInDir, target: NameInDir) -> None:
    """Create a hard link, which fails if the name is taken, then remove the old name."""
    try:
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.folder,
            dst_dir_fd=target.folder,
            follow_symlinks=False,
        )
    except OSError as error:
        if error.errno in _CANNOT:
            raise Unsupported(error.errno, error.strerror) from error
        raise
    source.unlink()


def by_claim(source: NameInDir, target: NameInDir) -> None:
    """Create an empty file, which fails if the name is taken, then rename over it."""
    if source.lstat().st_dev != os.fstat(target.folder).st_dev:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    descriptor = target.create()
    try:
        claim = os.fstat(descriptor)
        try:
            now = target.lstat()
            if (now.st_ino, now.st_size) != (claim.st_ino, 0):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target.path))
            os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
        except OSError:
            now = target.lstat()
            if (now.st_ino, now.st_size) == (claim.st_ino, 0):
                target.unlink()
            raise
    finally:
        os.close(descriptor)


METHODS: Final[tuple[Method, ...]] = (by_renameat2, by_link, by_claim)
"""The safest first: file systems without hard links or without ``RENAME_NOREPLACE`` support one of the others."""


def rename_new(source: NameInDir, target: NameInDir, methods: tuple[Method, ...] = METHODS) -> None:
    """Rename a file without overwriting.

    Raises:
        FileExistsError: Something has the name; nothing was done.
        OSError: With ``errno.EXDEV`` if the target is on another file system; nothing was done.
    """
    for method in methods[:-1]:
        try:
            method(source, target)
        except Unsupported:
            continue
        return
    methods[-1](source, target)


def set_aside(place: NameInDir, name: str, expected: Stamp) -> NameInDir:
    """Rename a file to a name that only this action knows, and check that it is the expected one.

    A program that replaces the file at the last moment does so before this call, and the difference is noticed; or
    after it, and then the new file has the old name and is not touched.

    Returns:
        Where it is now.

    Raises:
        NotAsPlanned: It is another file, or it changed; it has its own name again.
        Stranded: It is another file and its name was taken meanwhile; it keeps the new name.
    """
    staged = place.beside(name)
    rename_new(place, staged)
    if stamp_of(staged.lstat()) != expected:
        put_back(staged, place)
        raise NotAsPlanned(f"{place.path} was replaced or changed at the last moment")
    return staged


def put_back(staged: NameInDir, place: NameInDir) -> None:
    """Undo ``set_aside`` or a move.

    Raises:
        Stranded: The name was taken meanwhile, or the disk refuses; the file keeps the name that it has.
    """
    try:
        rename_new(staged, place)
    except OSError as error:
        raise Stranded(
            f"{place.path} could not get its name back ({error.strerror}); it is {staged.path}", staged.path
        ) from error


_CHUNK: Final = 1 << 20


def digest_of(descriptor: int) -> bytes:
    """Return the BLAKE3 digest (32 bytes) of an open file, read from its beginning."""
    hasher = blake3()
    offset = 0
    while chunk := os.pread(descriptor, _CHUNK, offset):
        hasher.update(chunk)
        offset += len(chunk)
    return hasher.digest()


def same_bytes(left: int, right: int) -> bytes | None:
    """Compare two open files byte by byte.

    Returns:
        Their digest if they are the same, else ``None``.
    """
    hasher = blake3()
    offset = 0
    while True:
        chunk = _full(left, offset)
        if chunk != _full(right, offset):
            return None
        if not chunk:
            return hasher.digest()
        hasher.update(chunk)
        offset += len(chunk)


def _full(descriptor: int, offset: int) -> bytes:
    """Read a whole chunk unless the file ends: two files may be read in pieces of different length."""
    chunk = os.pread(descriptor, _CHUNK, offset)
    while 0 < len(chunk) < _CHUNK and (more := os.pread(descriptor, _CHUNK - len(chunk), offset + len(chunk))):
        chunk += more
    return chunk


def copy_bytes(source: int, target: int) -> bytes:
    """Copy an open file into an empty one.

    Returns:
        The digest of what was read.

    Raises:
        OSError: ``ENOSPC`` and its kind; the target is incomplete then.
    """
    hasher = blake3()
    offset = 0
    while chunk := os.pread(source, _CHUNK, offset):
        hasher.update(chunk)
        view = memoryview(chunk)
        written = 0
        while written < len(view):
            written += os.pwrite(target, view[written:], offset + written)
        offset += len(chunk)
    return hasher.digest()


def digest_on_disk(descriptor: int) -> bytes:
    """Return the digest of a flushed file as it is on disk: its cached pages are dropped first."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest_of(descriptor)


_MOST_ATTRIBUTES: Final = 64 * 1024
"""Bytes of extended attributes that are kept of one file."""


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """Metadata of a file or a folder.

    Attributes:
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        atime_ns: Last read, nanoseconds since the epoch.
        mtime_ns: Last change, nanoseconds since the epoch.
        attributes: Extended attributes, by name.
    """

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    attributes: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, target: int | Path) -> FileMetadata:
        """Read the metadata of an open file, or of a path without following a link."""
        status = os.fstat(target) if isinstance(target, int) else target.lstat()
        return cls(
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            atime_ns=status.st_atime_ns,
            mtime_ns=status.st_mtime_ns,
            attributes=_attributes(target),
        )

    def apply_to(self, descriptor: int) -> None:
        """Apply the metadata to an open file, as far as this user may and the file system can; the times always.

        Raises:
            OSError: Not even the times could be set.
        """
        if hasattr(os, "setxattr"):
            for name, value in self.attributes:
                with suppress(OSError):  # labels of the system, and file systems without attributes
                    os.setxattr(descriptor, name, value)
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (self.uid, self.gid):
            with suppress(OSError):  # only root may give files away
                os.fchown(descriptor, self.uid, self.gid)
        with suppress(OSError):  # file systems without permission bits
            os.fchmod(descriptor, self.mode)
        os.utime(descriptor, ns=(self.atime_ns, self.mtime_ns))


def _attributes(target: int | Path) -> tuple[tuple[str, bytes], ...]:
    if not hasattr(os, "listxattr"):
        return ()
    follow = isinstance(target, int)
    found: list[tuple[str, bytes]] = []
    with suppress(OSError):  # a file system without attributes, or ones that this user may not read
        for name in os.listxattr(target, follow_symlinks=follow):
            with suppress(OSError):
                found.append((name, os.getxattr(target, name, follow_symlinks=follow)))
    return tuple(found) if sum(len(value) for _, value in found) <= _MOST_ATTRIBUTES else ()
