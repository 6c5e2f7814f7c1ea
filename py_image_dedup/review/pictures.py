"""The pictures of a review, addressed by the numbers of its files: a request cannot name any other file."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Final

from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.report.page_content import PageFiles
from py_image_dedup.report.pictures import EntryRenderer
from py_image_dedup.report.placement import Matrix, Placer

_KEPT_BYTES: Final = 64 << 20
"""Size of the cache of rendered thumbnails, in bytes: some 7,000 of them."""


class Pictures:
    """Renders pictures with a few worker processes. Thread-safe.

    Args:
        files: Files of the page, by number.
        limits: Cost limits of rendering one picture.
        workers: Number of rendering processes.
    """

    def __init__(self, files: PageFiles, limits: Limits, workers: int) -> None:
        self._entries = files.entries
        budget = MemoryBudget(limits.memory_bytes)
        self._renderers = [EntryRenderer(limits, budget) for _ in range(max(1, workers))]
        # Last in, first out: the last used renderer has a running process.
        self._idle: queue.LifoQueue[EntryRenderer] = queue.LifoQueue()
        for renderer in self._renderers:
            self._idle.put(renderer)
        self._placer = Placer(limits, budget)
        self._placing = threading.Lock()
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._closed = False

    def get(self, number: int, size: RenderedSize) -> bytes | None:
        """Return a rendered picture; ``None`` if no file has this number or it can no longer be rendered."""
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
            if self._closed:
                return None
            picture = renderer.render(entry, size)
        except MediaError:
            return None
        finally:
            self._idle.put(renderer)
        if size is RenderedSize.THUMBNAIL:
            self._keep(number, picture)
        return picture

    def placement(self, keeper: int, number: int) -> Matrix | None:
        """Return the transform from a file to its keeper; ``None`` for unknown numbers or if there is none."""
        if not (0 <= keeper < len(self._entries) and 0 <= number < len(self._entries)):
            return None
        with self._placing:
            if self._closed:
                return None
            return self._placer.place(self._entries[keeper], self._entries[number])

    def _keep(self, number: int, picture: bytes) -> None:
        with self._lock:
            if number not in self._kept:
                self._kept[number] = picture
                self._kept_bytes += len(picture)
            while self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def rest(self) -> None:
        """End worker processes that are idle; they are started again when they are needed."""
        resting: list[EntryRenderer] = []
        with suppress(queue.Empty):
            while True:
                resting.append(self._idle.get_nowait())
        for renderer in resting:
            renderer.close()
            self._idle.put(renderer)
        if self._placing.acquire(blocking=False):
            try:
                self._placer.close()
            finally:
                self._placing.release()

    def close(self) -> None:
        """End the worker processes, each after the picture in hand. There are no pictures from then on."""
        self._closed = True
        for _ in self._renderers:
            self._idle.get().close()
        for renderer in self._renderers:  # for requests that wait
            self._idle.put(renderer)
        with self._placing:
            self._placer.close()
