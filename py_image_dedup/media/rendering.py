"""Renders files for a browser: decodes them in a worker process and encodes them as WebP or JPEG.

A browser never receives bytes of the file itself: its decoders are not exposed to hostile files, and formats that
browsers do not support are shown like any other.
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
    """The sizes of rendered pictures; smaller pictures are not enlarged."""

    THUMBNAIL = "thumbnail"
    SCREEN = "screen"
    FULL = "full"

    @property
    def longest_side(self) -> int:
        """The largest width and height, in pixels."""
        return {RenderedSize.THUMBNAIL: 320, RenderedSize.SCREEN: 2048, RenderedSize.FULL: 8192}[self]

    @property
    def media_type(self) -> str:
        """The media type of the rendered picture."""
        return "image/webp" if self is RenderedSize.THUMBNAIL else "image/jpeg"


class _Client(WorkerClient):
    def render(self, size: RenderedSize, source: OpenedFile, kind: str, reserve: Reserve) -> bytes:
        return self._request(size.value, source, kind, reserve)[1]


class Renderer(Closing):
    """Renders files one at a time in its own worker process.

    Not thread-safe: each thread needs its own, and all share one budget. Use it in a ``with`` block, or close it.

    Args:
        limits: Cost limits of one file.
        budget: Memory budget that several renderers share; one of its own by default.
    """

    def __init__(self, limits: Limits | None = None, budget: MemoryBudget | None = None) -> None:
        self._limits = Limits() if limits is None else limits
        self._budget = MemoryBudget(self._limits.memory_bytes) if budget is None else budget
        self._client = _Client(self._limits, _COMMAND)

    def render(self, path: Path, size: RenderedSize, digest: bytes | None = None) -> bytes:
        """Return a picture with its orientation applied, encoded as WebP (thumbnail) or JPEG.

        Args:
            path: Absolute path.
            size: Size of the rendered picture.
            digest: Expected BLAKE3 digest of the file; ``None`` to accept any.

        Raises:
            MediaError: The file cannot be read or decoded, or has another digest (``changed``).
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
        """Stop the worker process; closing twice is not an error."""
        self._client.close()
