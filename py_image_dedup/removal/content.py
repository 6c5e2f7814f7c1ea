"""The bytes of files: compared, digested, copied."""

from __future__ import annotations

import os
from typing import Final

from blake3 import blake3

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
    """Digest a file that was flushed as the disk has it: what the memory remembers of it is forgotten first."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return digest_of(descriptor)
