"""Cost limits of decoding: of one file, and of all files that are decoded at a time; the CPUs that may be used."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from py_image_dedup.model.failure import FailureReason


class MediaError(Exception):
    """A file cannot be read, is no image, or is not whole.

    Attributes:
        reason: The kind of failure.
        message: The cause for the user, without the path, which the caller knows.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def explain(error: Exception) -> MediaError:
    """Return the ``MediaError`` for an exception that a decoder raised.

    Decoders raise nearly every exception there is when a file is broken: known ones are classified, all others mean
    that the file is corrupt.

    Args:
        error: An exception of Pillow, of one of its plug-ins, or from reading the file; a ``MediaError`` is returned
            unchanged.
    """
    if isinstance(error, MediaError):
        return error
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, MemoryError):
        return MediaError(FailureReason.TOO_LARGE, "decoding needs more memory than one file may use")
    if isinstance(error, OSError) and error.errno is not None:
        return MediaError(FailureReason.IO_ERROR, f"reading failed: {error.strerror or words}")
    if isinstance(error, ImportError):
        return MediaError(FailureReason.UNSUPPORTED, f"the decoder of this format is not installed: {words}")
    if isinstance(error, EOFError) or any(sign in words.lower() for sign in _CUT_OFF):
        return MediaError(FailureReason.TRUNCATED, f"the file ends too early: {words}")
    if isinstance(error, NotImplementedError) or any(sign in words.lower() for sign in _NOT_HANDLED):
        return MediaError(FailureReason.UNSUPPORTED, f"this variant of the format cannot be decoded: {words}")
    return MediaError(FailureReason.CORRUPT, f"the file is damaged: {words}")


_CUT_OFF = ("truncated", "unexpected end", "premature end", "not enough image data", "unexpected eof", "end of file")
_NOT_HANDLED = ("unsupported", "not supported", "cannot handle", "unknown compression", "unknown pixel mode")


Reserve: TypeAlias = Callable[[int], None]
"""Reserves memory, in bytes, once per picture, before it is decoded; waits until it is free or raises MediaError."""


def available_cpus() -> int:
    """Return the number of CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Cost limits of decoding; a file beyond them fails with a message.

    Attributes:
        max_pixels: Largest width times height. The largest cameras reach 200 million pixels, stitched panoramas and
            scans a few hundred million; beyond that a header is wrong more often than right.
        memory_bytes: Memory of all pictures that are decoded at a time, and so of one. The default is enough for an
            RGB PNG of 268 megapixels or a 1-bit scan of 1,000. JPEG is decoded at a reduced scale and needs little.
        timeout_seconds: Wall time of decoding one file.
    """

    max_pixels: int = 500_000_000
    memory_bytes: int = 1 << 30
    timeout_seconds: float = 60.0

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture whose header states an impossible or too large size.

        Raises:
            MediaError: ``corrupt`` for a side of no pixels, ``too-large`` beyond ``max_pixels``.
        """
        if width < 1 or height < 1:
            raise MediaError(FailureReason.CORRUPT, f"the picture has no pixels ({width} x {height})")
        if width * height > self.max_pixels:
            raise MediaError(
                FailureReason.TOO_LARGE,
                f"{width} x {height} are {width * height / 1e6:,.0f} megapixels; "
                f"the limit is {self.max_pixels / 1e6:,.0f}",
            )


class MemoryBudget:
    """Memory that the decoders of several threads share; reservations are granted first come, first served.

    Small reservations are granted at once: ordinary photos never wait, and their memory is bounded by the number of
    threads. Thread-safe.

    Args:
        total: Bytes that may be reserved at a time.
    """

    SMALL = 8 << 20
    """Largest reservation, bytes, that is granted without being counted."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def reservation(self) -> Iterator[Reserve]:
        """Yield a ``Reserve`` whose bytes are released at the end of the ``with`` block."""
        taken = 0

        def reserve(needed: int) -> None:
            nonlocal taken
            if needed > self.SMALL:
                self._take(needed)
                taken += needed

        try:
            yield reserve
        finally:
            if taken:
                with self._changed:
                    self._used -= taken
                    self._changed.notify_all()

    def _take(self, needed: int) -> None:
        if needed > self._total:
            raise MediaError(
                FailureReason.TOO_LARGE,
                f"decoding needs {needed / 2**20:,.0f} MiB of memory; the limit is {self._total / 2**20:,.0f} MiB",
            )
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            self._changed.wait_for(lambda: self._queue[0] is ticket and self._used + needed <= self._total)
            self._queue.popleft()
            self._used += needed
            self._changed.notify_all()
