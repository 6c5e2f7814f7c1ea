"""Video files as PyAV opens them: the container by its first bytes, the video track, and frames as grey pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import av
import av.error
import cv2
import numpy as np
from av.stream import Discard, Stream

from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.signature.arrays import UInt8Array
from py_image_dedup.video.facts import Track
from py_image_dedup.video.recognition import HEAD_BYTES, container_name, demuxer_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_READ_BYTES: Final = 1 << 20
"""Bytes that FFmpeg reads at a time: each read passes through Python."""
_HDR_TRANSFERS: Final = frozenset({16, 18})  # SMPTE ST 2084 and HLG, in ISO 23091-2
_ATTACHED_PICTURE: Final = 0x400
_TAGS_OF_POSITION: Final = ("location", "com.apple.quicktime.location.iso6709", "xyz", "gps")
_TAGS_OF_DATE: Final = ("com.apple.quicktime.creationdate", "creation_time", "date")


@contextmanager
def open_container(stream: BinaryIO) -> Iterator[InputContainer]:
    """Open a video file for the block.

    Args:
        stream: An open binary file that can seek.

    Raises:
        MediaError: It is no video.
    """
    with _opened(stream)[0] as container:
        yield container


def _opened(stream: BinaryIO) -> tuple[InputContainer, str]:
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    demuxer = demuxer_of(head)
    if not demuxer:
        raise MediaError(FailureReason.NOT_AN_IMAGE, "the content is not that of any known video format")
    container = av.open(stream, "r", format=demuxer, buffer_size=_READ_BYTES, metadata_errors="replace")
    return container, container_name(head)


@contextmanager
def open_video(stream: BinaryIO) -> Iterator[tuple[InputContainer, VideoStream, str]]:
    """Open a video for the block, and yield it with its video track and the name of its container.

    Args:
        stream: An open binary file that can seek.

    Raises:
        MediaError: It is no video, has no video track, or has one of an unknown codec.
    """
    opened, name = _opened(stream)
    with opened as container:
        found = [each for each in container.streams.video if not int(each.disposition) & _ATTACHED_PICTURE]
        if not found:
            raise MediaError(FailureReason.UNSUPPORTED, "the file has no video track")
        known = [each for each in found if _codec(each)]
        if not known:
            raise MediaError(FailureReason.UNSUPPORTED, "the codec of the video track is not known")
        track = max(known, key=lambda each: (each.width * each.height, -each.index))
        for each in container.streams:
            if each.index != track.index:
                each.discard = Discard.all
        track.codec_context.thread_count = 1
        yield container, track, name


def check_size(track: VideoStream, limits: Limits) -> None:
    """Refuse frames of an impossible or too large size; see ``Limits.check_size``.

    Raises:
        MediaError: ``corrupt`` or ``too-large``.
    """
    limits.check_size(track.width, track.height)


def decoder_bytes(track: VideoStream) -> int:
    """Return the memory that decoding a track needs: the frames that a decoder keeps, with up to two bytes a value."""
    return track.width * track.height * 3 * 10


def grey(frame: av.VideoFrame, side: int | None = None) -> UInt8Array:
    """Return the brightness of a frame as it is shown, uint8, shape ``(height, width)``.

    Args:
        frame: The decoded frame.
        side: Length of the shorter side in pixels that the picture is reduced to; ``None`` for its own size.
    """
    name, components = frame.format.name, frame.format.components
    if components[0].bits == 8 and (name.startswith(("yuv", "nv1", "nv2")) and frame.format.is_planar):
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
        picture = rows[: frame.height, : frame.width]
    else:
        picture = np.asarray(frame.reformat(format="gray").to_ndarray(), dtype=np.uint8)
    shorter = min(picture.shape)
    if side is not None and shorter > side:
        factor = side / shorter
        size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns))


def is_hdr(track: VideoStream) -> bool:
    """Return whether a track is coded for high dynamic range."""
    return int(track.codec_context.color_trc) in _HDR_TRANSFERS


def tracks(container: InputContainer) -> tuple[tuple[Track, ...], tuple[Track, ...]]:
    """Return the audio tracks and the tracks of subtitles."""
    audio = tuple(
        Track(_codec(each) or "unknown", _language(each.language), each.channels) for each in container.streams.audio
    )
    subtitles = tuple(
        Track(_codec(each) or "unknown", _language(each.language)) for each in container.streams.subtitles
    )
    return audio, subtitles


def _codec(track: Stream) -> str:
    """Return the short name of a track's codec; empty if FFmpeg has no decoder for it."""
    context: Any = track.codec_context
    return "" if context is None else str(context.name)


def _language(code: str | None) -> str:
    return "" if code in {None, "und"} else str(code)


def tags_of(container: InputContainer) -> dict[str, str]:
    """Return the metadata of a file and of its tracks, names in lower case; those of the file win."""
    found: dict[str, str] = {}
    for each in container.streams:
        found |= {str(name).lower(): str(value) for name, value in each.metadata.items()}
    found |= {str(name).lower(): str(value) for name, value in container.metadata.items()}
    written = (
        "encoder",
        "software",
        "handler_name",
        "vendor_id",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "language",
    )
    return {name: value for name, value in found.items() if not name.startswith(written) and name != "duration"}


def captured(tags: dict[str, str]) -> datetime | None:
    """Return the time of recording, without time zone; a local time is preferred to one in UTC."""
    for name in _TAGS_OF_DATE:
        try:
            return datetime.fromisoformat(tags.get(name, "").strip()).replace(tzinfo=None)
        except ValueError:
            continue
    return None


def camera(tags: dict[str, str]) -> str | None:
    """Return the maker and model."""
    maker, model = (
        next((tags[name] for name in names if tags.get(name)), "")
        for names in (
            ("com.apple.quicktime.make", "com.android.manufacturer", "make"),
            ("com.apple.quicktime.model", "com.android.model", "model"),
        )
    )
    return " ".join(part for part in (maker, model) if part) or None


def has_position(tags: dict[str, str]) -> bool:
    """Return whether a position is stored."""
    return any(name.startswith(_TAGS_OF_POSITION) and tags[name].strip() for name in tags)
