"""What was written is on the disk: many files with one wait."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable
from functools import cache


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
    """Tell whether ``flush`` covers folders that were made on the way, too."""
    return _syncfs() is not None


def fsync(descriptor: int) -> None:
    """Wait until a file or a folder is on the disk.

    Network file systems that keep folders on their server answer that there is nothing to wait for; that is no error.

    Raises:
        OSError: The disk did not take it.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
            raise


def flush(descriptors: Iterable[int]) -> None:
    """Wait until everything written to these files and folders is on the disk.

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
