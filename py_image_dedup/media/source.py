"""Reading a file: once, whole, and as it was when its digest was taken."""

from __future__ import annotations

import errno
import io
import os
import stat as stat_bits
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from blake3 import blake3

from py_image_dedup.media.errors import MediaError
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.file import FileStat

IN_MEMORY_BYTES = 32 << 20
"""Larger files are not held in memory: their digest is streamed, and they are decoded from the open file.

Mapping them instead would end the whole process with a bus error when another program shortens the file meanwhile.
"""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A regular file that was read whole. Close it, or use it in a ``with`` block; not for several threads at once.

    Attributes:
        stat: The file as its open descriptor showed it, before and after reading.
        digest: BLAKE3 of its bytes, 32 bytes.
        data: Its bytes; none if there are more than ``IN_MEMORY_BYTES``.
        descriptor: The open file instead, if there are.
    """

    stat: FileStat
    digest: bytes
    data: bytes | None
    descriptor: int | None = None

    def head(self, length: int) -> bytes:
        """Return the first bytes."""
        if self.data is not None:
            return self.data[:length]
        return b"" if self.descriptor is None else os.pread(self.descriptor, length, 0)

    def tail(self, length: int) -> bytes:
        """Return the last bytes."""
        if self.data is not None:
            return self.data[-length:]
        start = max(0, self.stat.size - length)
        return b"" if self.descriptor is None else os.pread(self.descriptor, length, start)

    def open(self) -> BinaryIO:
        """Return a stream over the bytes, at their beginning."""
        if self.data is not None or self.descriptor is None:
            return io.BytesIO(self.data or b"")
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return open(self.descriptor, "rb", closefd=False)

    def check_unchanged(self) -> None:
        """Make sure that what was decoded is what the digest says: a large file is read twice.

        Raises:
            MediaError: ``changed``.
        """
        if self.descriptor is not None:
            _same(self.stat, os.fstat(self.descriptor))

    def close(self) -> None:
        """Give the descriptor back; call it once."""
        if self.descriptor is not None:
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
    """Read a file once: its bytes, their digest, and its stat, which belong together.

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
        if stat.size > IN_MEMORY_BYTES:
            digest = _streamed(descriptor)
            _same(stat, os.fstat(descriptor))
            return Source(stat, digest, None, os.dup(descriptor))
        data = _read(descriptor, stat.size)
        _same(stat, os.fstat(descriptor))
        if len(data) != stat.size:
            raise MediaError(FailureReason.CHANGED, f"{len(data)} bytes were read of {stat.size}")
        return Source(stat, blake3(data).digest(), data)


def digest_file(path: Path) -> bytes:
    """Return the BLAKE3 digest (32 bytes) of a file as it is now; memory does not grow with its size.

    Raises:
        MediaError: As ``read_source``, without ``empty``.
    """
    with _opened(path) as (descriptor, stat):
        digest = _streamed(descriptor)
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


def _read(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    if len(data) == size:
        return data
    pieces = [data]  # a network file system may return less at a time
    got = len(data)
    while data and got < size:
        data = os.read(descriptor, size - got)
        pieces.append(data)
        got += len(data)
    return b"".join(pieces)


def _streamed(descriptor: int) -> bytes:
    hasher = blake3()
    buffer = memoryview(bytearray(_CHUNK))
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
    return hasher.digest()
