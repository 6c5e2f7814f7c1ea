"""The pictures of reports and of the page: photos as they are, and a still of each video.

Both are decoded in worker processes with the limits of the analysis, and encoded anew.
"""

from __future__ import annotations

from py_image_dedup.media.formats import VIDEO_EXTRA, VIDEO_SUFFIXES
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.opened_file import opened
from py_image_dedup.media.rendering import RenderedSize, Renderer
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.video.client import VideoWorker


class EntryRenderer(Closing):
    """Renders the files of index entries, one at a time.

    Not thread-safe: each thread needs its own, and all share one budget. Use it in a ``with`` block, or close it.

    Args:
        limits: Cost limits of one file.
        budget: Memory budget that several renderers share; one of its own by default.
    """

    def __init__(self, limits: Limits | None = None, budget: MemoryBudget | None = None) -> None:
        limits = Limits() if limits is None else limits
        self._photos = Renderer(limits, budget)
        self._videos = VideoWorker(limits)

    def render(self, entry: IndexEntry, size: RenderedSize) -> bytes:
        """Return the picture of a file, encoded in the format of ``RenderedSize.media_type``.

        Args:
            entry: The file. A photo must have the digest of the entry, if that has one; a video, which may be large,
                the same size and time.
            size: Size of the rendered picture.

        Raises:
            MediaError: The file cannot be read or decoded, or is not the one of the entry (``changed``).
        """
        path = entry.stat.path
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            return self._photos.render(path, size, entry.digest)
        if not VIDEO_EXTRA.is_installed:
            raise MediaError(FailureReason.UNSUPPORTED, VIDEO_EXTRA.advice)
        with opened(path) as (descriptor, stat):
            if stat.stamp != entry.stat.stamp:
                raise MediaError(FailureReason.CHANGED, "the file is not the one that was analysed")
            return self._videos.render(descriptor, size)

    def close(self) -> None:
        """Stop the worker processes; closing twice is not an error."""
        self._photos.close()
        self._videos.close()
