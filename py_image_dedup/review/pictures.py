"""The pictures that a review shows, by the numbers of its files: never by a path, and never anything else."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from typing import Final

from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.rendering import RenderedSize, Renderer
from py_image_dedup.report.page_content import PageFiles
from py_image_dedup.report.placement import Matrix, Placer

_KEPT_BYTES: Final = 64 << 20
"""Rendered thumbnails that are kept: some 7,000."""


class Pictures:
    """Renders pictures with a few worker processes. For any number of threads.

    Args:
        files: Of the page, by number.
        limits: What rendering one may cost.
        workers: Processes that render at a time.
    """

    def __init__(self, files: PageFiles, limits: Limits, workers: int) -> None:
        self._entries = files.entries
        budget = MemoryBudget(limits.memory_bytes)
        self._renderers = [Renderer(limits, budget) for _ in range(max(1, workers))]
        # The one that was used last is the one whose process is there.
        self._idle: queue.LifoQueue[Renderer] = queue.LifoQueue()
        for renderer in self._renderers:
            self._idle.put(renderer)
        self._placer = Placer(limits, budget)
        self._placing = threading.Lock()
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0

    def get(self, number: int, size: RenderedSize) -> bytes | None:
        """Return a rendered picture, or ``None`` if there is none of this number or it cannot be shown any more."""
        if not 0 <= number < len(self._entries):
            return None
        if size is RenderedSize.THUMBNAIL:
            with self._lock:
                kept = self._kept.get(number)
                if kept is not None:
                    self._kept.move_to_end(number)
                    return kept
        entry = self._entries[number]
        renderer = self._idle.get()
        try:
            picture = renderer.render(entry.stat.path, size, entry.digest)
        except MediaError:
            return None
        finally:
            self._idle.put(renderer)
        if size is RenderedSize.THUMBNAIL:
            self._keep(number, picture)
        return picture

    def placement(self, keeper: int, number: int) -> Matrix | None:
        """Return where a file lies in its keeper, or ``None`` if there are no such files or it does not."""
        if not (0 <= keeper < len(self._entries) and 0 <= number < len(self._entries)):
            return None
        with self._placing:
            return self._placer.place(self._entries[keeper], self._entries[number])

    def _keep(self, number: int, picture: bytes) -> None:
        with self._lock:
            if number not in self._kept:
                self._kept[number] = picture
                self._kept_bytes += len(picture)
            while self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def close(self) -> None:
        """End the worker processes."""
        for renderer in self._renderers:
            renderer.close()
        self._placer.close()
