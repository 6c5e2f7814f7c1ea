"""How much one file may cost, and how much all files together may hold at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from py_image_dedup.model.failure import FailureReason


class MediaError(Exception):
    """A file cannot be read, is no picture, or is not whole.

    Attributes:
        reason: The kind of failure.
        message: The cause in words for a person; does not repeat the path, which the caller knows.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def explain(error: Exception) -> MediaError:
    """Say in our own terms what a decoder complained about.

    Decoders raise nearly every exception there is when a file is broken, so this sorts by what is known of them and
    calls the rest corrupt.

    Args:
        error: What Pillow, one of its plugins, or reading the file raised.

    Returns:
        The error to raise instead; a ``MediaError`` is returned as it is.
    """
    if isinstance(error, MediaError):
        return error
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, MemoryError):
        return MediaError(FailureReason.TOO_LARGE, "decoding it needs more memory than a file may use")
    if isinstance(error, OSError) and error.errno is not None:
        return MediaError(FailureReason.IO_ERROR, f"reading it failed: {error.strerror or words}")
    if isinstance(error, ImportError):
        return MediaError(FailureReason.UNSUPPORTED, f"what decodes this format is not installed: {words}")
    if isinstance(error, EOFError) or any(sign in words.lower() for sign in _CUT_OFF):
        return MediaError(FailureReason.TRUNCATED, f"the file ends too early: {words}")
    if isinstance(error, NotImplementedError) or any(sign in words.lower() for sign in _NOT_HANDLED):
        return MediaError(FailureReason.UNSUPPORTED, f"this variant of the format cannot be decoded: {words}")
    return MediaError(FailureReason.CORRUPT, f"the file is damaged: {words}")


_CUT_OFF = ("truncated", "unexpected end", "premature end", "not enough image data", "unexpected eof", "end of file")
_NOT_HANDLED = ("unsupported", "not supported", "cannot handle", "unknown compression", "unknown pixel mode")


Admit: TypeAlias = Callable[[int], None]
"""Asked once before a picture is decoded, with the bytes that it needs; waits for room, or raises ``MediaError``."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost before it is given up with a message.

    Attributes:
        max_pixels: Width times height. The largest cameras reach 200 million, stitched panoramas and scans some
            hundred million; beyond that a header is more often a lie than a photo.
        memory_bytes: What all pictures that are being decoded may need together, and so the most that one may need:
            an RGB PNG of 268 megapixels, a 1-bit scan of 1,000. JPEG is decoded at a reduced scale and needs little.
        timeout_seconds: Wall time that decoding one file may take.
    """

    max_pixels: int = 500_000_000
    memory_bytes: int = 1 << 30
    timeout_seconds: float = 60.0

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture whose header claims an impossible or too large size.

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
    """Bytes that the decoders of several threads share, handed out in the order in which they were asked for.

    Small requests pass at once: ordinary photos never wait, and what they hold is bounded by the number of threads.
    Thread-safe.

    Args:
        total: Bytes that may be out at a time.
    """

    SMALL = 8 << 20

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def share(self) -> Iterator[Admit]:
        """Yield an ``Admit`` whose bytes are given back at the end of the ``with`` block."""
        taken = 0

        def admit(needed: int) -> None:
            nonlocal taken
            if needed > self.SMALL:
                self._take(needed)
                taken += needed

        try:
            yield admit
        finally:
            if taken:
                with self._changed:
                    self._used -= taken
                    self._changed.notify_all()

    def _take(self, needed: int) -> None:
        if needed > self._total:
            raise MediaError(
                FailureReason.TOO_LARGE,
                f"decoding it needs {needed / 2**20:,.0f} MiB; the limit is {self._total / 2**20:,.0f} MiB",
            )
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            self._changed.wait_for(lambda: self._queue[0] is ticket and self._used + needed <= self._total)
            self._queue.popleft()
            self._used += needed
            self._changed.notify_all()
