"""Pictures for people: a file decoded in the worker process and encoded again for a browser.

What a browser gets is never a byte of the file itself: its decoders are not exposed to hostile files, and formats that
no browser knows are shown like any other.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from py_image_dedup.media.decoder import WorkerClient
from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget, Reserve, explain
from py_image_dedup.media.opened_file import OpenedFile, read_file
from py_image_dedup.media.process import command_of
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import FailureReason

_COMMAND = command_of("py_image_dedup.media.worker.render")


class RenderedSize(StrEnum):
    """How large a rendered picture is; a smaller one is not enlarged."""

    THUMBNAIL = "thumbnail"
    SCREEN = "screen"
    FULL = "full"

    @property
    def longest_side(self) -> int:
        """The largest width and height, in pixels."""
        return {RenderedSize.THUMBNAIL: 320, RenderedSize.SCREEN: 2048, RenderedSize.FULL: 8192}[self]

    @property
    def media_type(self) -> str:
        """The type that a browser is given."""
        return "image/webp" if self is RenderedSize.THUMBNAIL else "image/jpeg"


class _Client(WorkerClient):
    def render(self, size: RenderedSize, source: OpenedFile, kind: str, reserve: Reserve) -> bytes:
        return self._request(size.value, source, kind, reserve)[1]


class Renderer(Closing):
    """Renders files, one after another, in a worker process of its own.

    For one thread at a time; give each thread its own, and all of them one budget. Use it in a ``with`` block, or
    close it.

    Args:
        limits: What a file may cost.
        budget: Memory that several renderers share; its own if not given.
    """

    def __init__(self, limits: Limits | None = None, budget: MemoryBudget | None = None) -> None:
        self._limits = Limits() if limits is None else limits
        self._budget = MemoryBudget(self._limits.memory_bytes) if budget is None else budget
        self._client = _Client(self._limits, _COMMAND)

    def render(self, path: Path, size: RenderedSize, digest: bytes | None = None) -> bytes:
        """Return a picture as it is meant to be seen, its orientation applied, as WebP (thumbnail) or JPEG.

        Args:
            path: Absolute.
            size: How large.
            digest: BLAKE3 of the bytes that are meant; ``None`` if any will do.

        Raises:
            MediaError: It cannot be read or decoded, or has other bytes (``changed``).
        """
        with read_file(path) as source:
            if digest is not None and source.digest != digest:
                raise MediaError(FailureReason.CHANGED, "the file is not the one that was analysed")
            try:
                kind = recognise(source.head(HEAD_BYTES), source.tail(TAIL_BYTES), path.suffix)
                with self._budget.reservation() as reserve:
                    return self._client.render(size, source, kind, reserve)
            except Exception as error:
                raise explain(error) from error

    def close(self) -> None:
        """End the worker process; closing twice is no error."""
        self._client.close()
