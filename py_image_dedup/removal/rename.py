"""A file gets another name, and nothing that has that name is ever overwritten."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import cache
from typing import Final, TypeAlias

from py_image_dedup.model.file import Stamp
from py_image_dedup.removal.filesystem import NotAsPlanned, Place, Stranded, stamp_of

_NOREPLACE: Final = 1
_CANNOT: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK})
"""What a system or a file system answers when it does not know the call."""

Method: TypeAlias = Callable[[Place, Place], None]


class CannotTell(OSError):  # noqa: N818 - it is how a method passes the turn to the next
    """This file system does not know this method."""


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


def by_renameat2(source: Place, target: Place) -> None:
    """Rename in one call that refuses a taken name (Linux)."""
    function = _renameat2()
    if function is None:
        raise CannotTell(errno.ENOSYS, os.strerror(errno.ENOSYS))
    old, new = os.fsencode(source.name), os.fsencode(target.name)
    if function(source.folder, old, target.folder, new, _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number in {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}:
        raise CannotTell(number, os.strerror(number))
    raise OSError(number, os.strerror(number), os.fspath(source.path), None, os.fspath(target.path))


def by_link(source: Place, target: Place) -> None:
    """Give the file its second name, which refuses a taken one, then take the first away."""
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
            raise CannotTell(error.errno, error.strerror) from error
        raise
    source.unlink()


def by_claim(source: Place, target: Place) -> None:
    """Claim the name with an empty file of our own, which refuses a taken one, then rename over the claim."""
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
"""Surest first: file systems without hard links or without ``RENAME_NOREPLACE`` know one of the others."""


def rename_new(source: Place, target: Place, methods: tuple[Method, ...] = METHODS) -> None:
    """Rename a file to a name that nothing has.

    Raises:
        FileExistsError: Something has the name; nothing was done.
        OSError: With ``errno.EXDEV`` if the target is on another file system; nothing was done.
    """
    for method in methods[:-1]:
        try:
            method(source, target)
        except CannotTell:
            continue
        return
    methods[-1](source, target)


def take_aside(place: Place, name: str, expected: Stamp) -> Place:
    """Give a file a name that only this action knows and make sure that it is the one that was checked.

    Whoever replaces a file at the last moment by renaming another one over it replaces it before this call, and the
    difference shows; or after it, and then the new file has the old place and is not touched.

    Returns:
        Where it is now.

    Raises:
        NotAsPlanned: It is another file, or it changed; it has its own name again.
        Stranded: It is another file and its name was taken meanwhile; it keeps the new name.
    """
    aside = place.beside(name)
    rename_new(place, aside)
    if stamp_of(aside.lstat()) != expected:
        put_back(aside, place)
        raise NotAsPlanned(f"{place.path} was replaced or changed at the last moment")
    return aside


def put_back(aside: Place, place: Place) -> None:
    """Undo ``take_aside`` or a move.

    Raises:
        Stranded: The name was taken meanwhile, or the disk refuses; the file keeps the name that it has.
    """
    try:
        rename_new(aside, place)
    except OSError as error:
        raise Stranded(
            f"{place.path} could not get its name back ({error.strerror}); it is {aside.path}", aside.path
        ) from error
