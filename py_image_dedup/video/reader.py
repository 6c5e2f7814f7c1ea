"""Exact frames of a video: at given times, small and grey, for comparing it with another one; and all of two videos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO, Final

import av
import av.error
import cv2
import numpy as np

from py_image_dedup.media.limits import Limits, Reserve
from py_image_dedup.model.match import Orientation
from py_image_dedup.video import container as media
from py_image_dedup.video.comparison import HEIGHT, QUARTER_TURNS, TURNS, WIDTH, Thumbnail
from py_image_dedup.video.facts import PictureArea
from py_image_dedup.video.sampling import cut_to, resized

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_GO_ON_SECONDS: Final = 1.0
"""Distance to a later frame that is decoded towards; for more, a key frame in between is looked for."""
_BACK_SECONDS: Final = (0.0, 2.0, 10.0)
"""How much earlier a search begins if the container led to a frame that is too late."""
_BLUR: Final = 3
_SAME_TIME: Final = 0.003
"""Seconds by which containers round the time of a frame."""


class VideoReader:
    """The frames of one open video, as ``comparison.FrameSource``. Not thread-safe.

    Args:
        container: The open file.
        track: Its video track.
        seconds: Its length.
        frame_rate: Its frames per second.
        area: The part of the frames that is compared.
    """

    def __init__(
        self,
        container: InputContainer,
        track: VideoStream,
        seconds: float,
        frame_rate: float,
        area: PictureArea,
    ) -> None:
        self._container = container
        self._track = track
        self._base = float(track.time_base or 1)
        self._area = area
        self.seconds = seconds
        self.frame_rate = frame_rate
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._now: float | None = None
        self._ahead: tuple[float, av.VideoFrame] | None = None
        self._start = self._first_time()

    def window(self, start: float, end: float, orientation: Orientation) -> list[tuple[float, Thumbnail]]:
        """See ``FrameSource.window``."""
        before: tuple[float, av.VideoFrame] | None = None
        found: list[tuple[float, Thumbnail]] = []
        for at, frame in self._from(start):
            if at < start - 1e-4:
                before = (at, frame)
                continue
            if at > end + 1e-4:
                self._ahead = (at, frame)
                break
            found.append((at, self._thumbnail(frame, orientation)))
        if not found and before is not None:
            found = [(before[0], self._thumbnail(before[1], orientation))]
        elif not found and self._ahead is not None:
            found = [(self._ahead[0], self._thumbnail(self._ahead[1], orientation))]
        return found

    def _thumbnail(self, frame: av.VideoFrame, orientation: Orientation) -> Thumbnail:
        picture = cut_to(media.grey(frame), self._area)
        size = (HEIGHT, WIDTH) if orientation in QUARTER_TURNS else (WIDTH, HEIGHT)
        # Blurred a little: a low bit rate costs fine texture first, and that shall not count.
        small = cv2.blur(resized(picture, size), (_BLUR, _BLUR))
        return np.ascontiguousarray(TURNS[orientation](np.asarray(small, dtype=np.uint8)))

    def _from(self, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yield frames from one at or before a time on, where there is one."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] <= start and start - ahead[0] <= _GO_ON_SECONDS:
            yield ahead
            yield from self._following()
            return
        for back in _BACK_SECONDS:
            self._seek(max(0.0, start - back))
            frames = self._following()
            first = next(frames, None)
            if first is None:
                continue
            if first[0] <= start + 1e-4 or start - back <= 0:
                yield first
                yield from frames
                return
        self._seek(0.0)
        yield from self._following()

    def _seek(self, seconds: float) -> None:
        target = int((seconds + self._start) / self._base)
        try:
            self._container.seek(target, stream=self._track, backward=True)
        except av.error.FFmpegError:
            self._container.seek(int(self._start / self._base), stream=self._track, backward=True, any_frame=False)
        self._track.codec_context.flush_buffers()
        self._frames = iter(self._container.decode(self._track))

    def _following(self) -> Iterator[tuple[float, av.VideoFrame]]:
        for frame in self._frames:
            if frame.pts is not None:
                yield frame.pts * self._base - self._start, frame

    def _first_time(self) -> float:
        first = next((frame for frame in self._container.decode(self._track) if frame.pts is not None), None)
        return 0.0 if first is None or first.pts is None else first.pts * self._base


@contextmanager
def open_reader(
    stream: BinaryIO,
    seconds: float,
    frame_rate: float,
    area: PictureArea,
    limits: Limits,
    reserve: Reserve = lambda needed: None,  # noqa: ARG005 - the signature of Reserve
) -> Iterator[VideoReader]:
    """Open the frames of a video for the block.

    Args:
        stream: An open binary file that can seek.
        seconds: Length of the video.
        frame_rate: Its frames per second.
        area: The part of the frames that is compared.
        limits: Cost limits of one file.
        reserve: Reserves the memory of the decoder.

    Raises:
        MediaError: It is no video.
    """
    with media.open_video(stream) as (container, track, _):
        media.check_size(track, limits)
        reserve(media.decoder_bytes(track))
        yield VideoReader(container, track, seconds, frame_rate, area)


def frames_equal(left: BinaryIO, right: BinaryIO, limits: Limits, *, seconds: float) -> bool:
    """Return whether two videos show the same frames at the same times, pixel by pixel.

    Both are decoded side by side until a frame differs, which is the first one unless one video was made from the other
    without loss.

    Args:
        left: An open binary file that can seek.
        right: Another one.
        limits: Cost limits of one file.
        seconds: Time after which they count as different.

    Raises:
        MediaError: One of them is no video.
    """
    ends = time.monotonic() + seconds
    with media.open_video(left) as (one, track, _), media.open_video(right) as (other, others, _):
        for each in (track, others):
            media.check_size(each, limits)
        frames = zip_longest(_timed(one, track), _timed(other, others))
        return all(
            mine is not None and theirs is not None and _is_same(mine, theirs) and time.monotonic() < ends
            for mine, theirs in frames
        )


def _timed(container: InputContainer, track: VideoStream) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield all frames with their times from the first one on, in seconds."""
    base, start = float(track.time_base or 1), None
    for frame in container.decode(track):
        at = 0.0 if frame.pts is None else frame.pts * base
        start = at if start is None else start
        yield at - start, frame


def _is_same(one: tuple[float, av.VideoFrame], other: tuple[float, av.VideoFrame]) -> bool:
    (at, left), (then, right) = one, other
    if abs(at - then) > _SAME_TIME or (left.format.name, left.width, left.height) != (
        right.format.name,
        right.width,
        right.height,
    ):
        return False
    # What the numbers stand for has to be the same as well; some containers state it, and some do not.
    if left.colorspace != right.colorspace or left.color_range != right.color_range:
        return False
    try:
        return bool(np.array_equal(left.to_ndarray(), right.to_ndarray()))
    except ValueError:  # a format of pixels that PyAV has no array for
        return False
