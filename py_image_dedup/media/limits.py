"""How much one file may cost, and how much all files together may hold at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from py_image_dedup.media.errors import MediaError
from py_image_dedup.model.failure import FailureReason

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
