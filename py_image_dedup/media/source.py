"""Reading a file: once, whole, and as it was when its digest was taken."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from blake3 import blake3

from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.file import FileStat

_CHUNK = 1 << 18
"""Fits a core's own cache, so that a file costs no memory of its size."""


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file that was read whole. Close it, or use it in a ``with`` block; not for several threads at once.

    It is kept open and not in memory: who decodes it reads it again from the system's page cache, where the digest
    has just brought it. Mapping it instead would end the process with a bus error when another program shortens it.

    Attributes:
        stat: The file as its open descriptor showed it, before and after reading.
        digest: BLAKE3 of its bytes, 32 bytes.
        descriptor: The open file.
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
        """Make sure that what was decoded since is what the digest says.

        Raises:
            MediaError: ``changed``.
        """
        _same(self.stat, os.fstat(self.descriptor))

    def close(self) -> None:
        """Give the descriptor back; call it once."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def read_source(path: Path) -> Source:
    """Read a file once: its stat and the digest of its bytes, which belong together.

    Symbolic links are not followed and special files are not waited for.

    Args:
        path: Absolute.

    Raises:
        MediaError: ``vanished``, ``no-permission``, ``changed`` (also when it is no regular file any more), ``empty``,
            ``io-error``.
    """
    with _opened(path) as (descriptor, stat):
        if not stat.size:
            raise MediaError(FailureReason.EMPTY, "the file is empty")
        digest, count = _streamed(descriptor)
        _same(stat, os.fstat(descriptor))
        if count != stat.size:
            raise MediaError(FailureReason.CHANGED, f"{count} bytes were read of {stat.size}")
        return Source(stat, digest, os.dup(descriptor))


def digest_file(path: Path) -> bytes:
    """Return the BLAKE3 digest (32 bytes) of a file as it is now; memory does not grow with its size.

    Raises:
        MediaError: As ``read_source``, without ``empty``.
    """
    with _opened(path) as (descriptor, stat):
        digest, _ = _streamed(descriptor)
        _same(stat, os.fstat(descriptor))
        return digest


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, FileStat]]:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
        try:
            seen = os.fstat(descriptor)
            if not stat_bits.S_ISREG(seen.st_mode):
                raise MediaError(FailureReason.CHANGED, "it is not a regular file any more")
            yield descriptor, FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _from_os(error) from error


def _from_os(error: OSError) -> MediaError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}:
        return MediaError(FailureReason.VANISHED, "the file is not there any more")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return MediaError(FailureReason.NO_PERMISSION, "the file may not be read by this user")
    if error.errno in {errno.ELOOP, errno.ENXIO, errno.EMLINK}:
        return MediaError(FailureReason.CHANGED, "it is not a regular file any more")
    return MediaError(FailureReason.IO_ERROR, f"reading it failed: {error.strerror or error}")


def _same(before: FileStat, after: os.stat_result) -> None:
    if (before.size, before.mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise MediaError(FailureReason.CHANGED, "the file changed while it was read")


def _streamed(descriptor: int) -> tuple[bytes, int]:
    hasher = blake3()
    buffer = memoryview(bytearray(_CHUNK))
    total = 0
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
        total += count
    return hasher.digest(), total
