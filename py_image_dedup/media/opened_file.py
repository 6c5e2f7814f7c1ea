"""Reads a file once, and keeps it open so that what is decoded later is what the digest was taken of."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.file import FileStat

_CHUNK = 1 << 18
"""Bytes read at a time; fits the cache of a core, and memory does not grow with the file."""


@dataclass(frozen=True, slots=True)
class OpenedFile(Closing):
    """A regular file that was read whole and is still open.

    Close it, or use it in a ``with`` block; not for several threads at once. Its bytes are not in memory: the decoder
    reads them again from the system's page cache, where taking the digest has just brought them. A memory map instead
    would end the process with a bus error when another program shortens the file.

    Attributes:
        stat: The file's stat, equal before and after reading.
        digest: BLAKE3 of the file's bytes, 32 bytes.
        descriptor: The open file descriptor.
    """

    stat: FileStat
    digest: bytes
    descriptor: int

    def head(self, length: int) -> bytes:
        """Return the first bytes."""
        return os.pread(self.descriptor, length, 0)

    def tail(self, length: int) -> bytes:
        """Return the last bytes."""
        return os.pread(self.descriptor, length, max(0, self.stat.size - length))

    def check_unchanged(self) -> None:
        """Check that the file is still the one that the digest was taken of.

        Raises:
            MediaError: ``changed``.
        """
        _check_same(self.stat, os.fstat(self.descriptor))

    def close(self) -> None:
        """Close the descriptor; call it once."""
        os.close(self.descriptor)


def read_file(path: Path) -> OpenedFile:
    """Read a file whole and return it opened, with its stat and the digest of its bytes.

    Symbolic links are not followed, and special files are refused without waiting for them.

    Args:
        path: Absolute path.

    Raises:
        MediaError: ``vanished``, ``no-permission``, ``changed`` (also if it is no longer a regular file), ``empty``,
            ``io-error``.
    """
    with opened(path) as (descriptor, stat):
        if not stat.size:
            raise MediaError(FailureReason.EMPTY, "the file is empty")
        digest, count = _digest(descriptor)
        _check_same(stat, os.fstat(descriptor))
        if count != stat.size:
            raise MediaError(FailureReason.CHANGED, f"{count} bytes were read of {stat.size}")
        return OpenedFile(stat, digest, os.dup(descriptor))


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, FileStat]]:
    """Open a regular file for the block, and yield its descriptor and its stat.

    Symbolic links are not followed, and special files are refused without waiting for them.

    Args:
        path: Absolute path.

    Raises:
        MediaError: ``vanished``, ``no-permission``, ``changed``, ``io-error``; also for what the block meets.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
        try:
            seen = os.fstat(descriptor)
            if not stat_bits.S_ISREG(seen.st_mode):
                raise MediaError(FailureReason.CHANGED, "it is no longer a regular file")
            yield descriptor, FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _from_os(error) from error


def _from_os(error: OSError) -> MediaError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}:
        return MediaError(FailureReason.VANISHED, "the file no longer exists")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MediaError(FailureReason.NO_PERMISSION, "this user has no permission to read the file")
    if error.errno in {errno.ELOOP, errno.ENXIO, errno.EMLINK}:
        return MediaError(FailureReason.CHANGED, "it is no longer a regular file")
    return MediaError(FailureReason.IO_ERROR, f"reading failed: {error.strerror or error}")


def _check_same(before: FileStat, after: os.stat_result) -> None:
    if (before.size, before.mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise MediaError(FailureReason.CHANGED, "the file changed while it was read")


def _digest(descriptor: int) -> tuple[bytes, int]:
    hasher = blake3()
    buffer = memoryview(bytearray(_CHUNK))
    total = 0
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
        total += count
    return hasher.digest(), total
