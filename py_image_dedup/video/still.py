"""A still of a video for reports: one frame that shows something, as a viewer shows it, encoded like a photo.

Copies of a video have the same still as far as they can, because it is taken at the same share of the length.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final

import av.error
import cv2
import numpy as np

from py_image_dedup.media.limits import Limits, MediaError, Reserve
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.signature.arrays import UInt8Array
from py_image_dedup.video import container as media

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_PLACES: Final = (1 / 3, 1 / 2, 1 / 6, 3 / 4)
"""Where a frame is looked for, as shares of the length, the preferred place first."""
_STRUCTURE: Final = 12.0
"""Standard deviation of brightness at which a frame shows something: less is a blank or a nearly black one."""
_MOST_PIXELS: Final = 250 * 1920 * 1080
"""Pixels that are decoded on the way from a key frame to the wanted place: the usual distance of key frames in HD."""
_WEBP_QUALITY: Final = 58
_JPEG_QUALITY: Final = 90


def render_still(stream: BinaryIO, size: RenderedSize, limits: Limits, reserve: Reserve) -> bytes:
    """Return a frame of a video, encoded in the format of ``RenderedSize.media_type``.

    Args:
        stream: An open binary file that can seek.
        size: Size of the rendered picture.
        limits: Cost limits of one file.
        reserve: Reserves the memory of the decoder.

    Raises:
        MediaError: It is no video, or no frame can be decoded.
    """
    with media.open_video(stream) as (container, track, _):
        media.check_size(track, limits)
        reserve(media.decoder_bytes(track))
        best: tuple[float, av.VideoFrame] | None = None
        for place in _PLACES:
            frame = _frame_at(container, track, place)
            if frame is None:
                continue
            structure = float(media.grey(frame, 64).std())
            if best is None or structure > best[0]:
                best = (structure, frame)
            if structure >= _STRUCTURE:
                break
        if best is None:
            raise MediaError(FailureReason.CORRUPT, "no frame of the video can be decoded")
        return _encoded(_as_shown(best[1], track, size.longest_side), size)


def _frame_at(container: InputContainer, track: VideoStream, place: float) -> av.VideoFrame | None:
    """Return the frame at a share of the length, or the last one before it that is not too far to decode."""
    base = float(track.time_base or 1)
    start = (track.start_time or 0) * base
    length = track.duration * base if track.duration else (container.duration or 0) / av.time_base
    wanted = start + place * length
    try:
        container.seek(int(wanted / base), stream=track, backward=True)
        track.codec_context.flush_buffers()
        found = None
        most = max(1, _MOST_PIXELS // max(1, track.width * track.height))
        for frame in islice(container.decode(track), most):
            if found is not None and frame.pts is not None and frame.pts * base > wanted + 1e-4:
                break
            found = frame
    except av.error.FFmpegError:
        return None
    return found


def _as_shown(frame: av.VideoFrame, track: VideoStream, longest_side: int) -> UInt8Array:
    """Return a frame in RGB with its rotation and the shape of its pixels applied, at most as large as wanted."""
    picture = np.asarray(frame.reformat(format="rgb24").to_ndarray(), dtype=np.uint8)
    height, width = picture.shape[:2]
    shape = float(track.sample_aspect_ratio or 1)
    shown = (max(1.0, width * shape if shape > 0 else width), float(height))
    scale = min(1.0, longest_side / max(shown))
    target = (max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale)))
    if target != (width, height):
        picture = np.asarray(cv2.resize(picture, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90) % 4))


def _encoded(picture: UInt8Array, size: RenderedSize) -> bytes:
    suffix, options = (
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
        if size is RenderedSize.THUMBNAIL
        else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    )
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()
