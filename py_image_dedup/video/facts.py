"""The facts and the sampled frames of a video, and the form in which the index keeps both."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from py_image_dedup.model.photo import SIGNATURE_LENGTH, Footage, PhotoFacts
from py_image_dedup.signature.arrays import Float32Array, Int8Array

VIDEO_VERSION: Final = 1
"""Version of the facts, the packet digest and the sampled frames of a video; raised when one of them changes."""

_HEADER = struct.Struct("<4sHII")
VIDEO_FEATURES: Final = 1_000_000
"""Number added to the version of videos in the place of the version of features, which never reaches it."""

_MAGIC: Final = b"PIDV"
_MOST_BYTES: Final = 4 << 20
"""Largest size of unpacked frames: twenty times what a video has, and too little to hurt."""


@dataclass(frozen=True, slots=True)
class Track:
    """An audio track or a track of subtitles.

    Attributes:
        codec: Short name of the codec, as FFmpeg has it.
        language: Language code as the file states it; empty if unknown.
        channels: Number of audio channels; 0 for subtitles.
    """

    codec: str
    language: str = ""
    channels: int = 0


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The properties of a video that its file states, or that follow from its packets.

    Attributes:
        container: Format of the file: ``MP4``, ``MOV``, ``MKV``, ``WEBM``, ``AVI``, ``3GP``, ``MTS``.
        codec: Short name of the video codec, as FFmpeg has it: ``h264``.
        width: Width in pixels as shown, with rotation and the shape of the pixels applied.
        height: Height in pixels as shown.
        seconds: Length of the video track.
        frames: Number of frames.
        bit_rate: Mean bit rate of the video track, bits per second.
        bits: Bits of a colour value.
        is_hdr: Whether the brightness is coded for high dynamic range (PQ or HLG).
        audio: Audio tracks, in the order of the file.
        subtitles: Tracks of subtitles, in the order of the file.
        chapters: Number of chapters.
        tags: Number of metadata entries of the file and of its tracks.
        captured: Time of recording as the file states it, without time zone.
        camera: Maker and model.
        has_gps: Whether a position is stored.
    """

    container: str
    codec: str
    width: int
    height: int
    seconds: float
    frames: int
    bit_rate: int
    bits: int = 8
    is_hdr: bool = False
    audio: tuple[Track, ...] = ()
    subtitles: tuple[Track, ...] = ()
    chapters: int = 0
    tags: int = 0
    captured: datetime | None = None
    camera: str | None = None
    has_gps: bool = False

    @property
    def pixels(self) -> int:
        """The number of pixels of a frame."""
        return self.width * self.height

    @property
    def frame_rate(self) -> float:
        """The mean number of frames per second."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def footage(self) -> Footage:
        """The properties that reports show beside those of photos."""
        audio = tuple(
            ", ".join(filter(None, (each.codec, _channel_words(each.channels), each.language))) for each in self.audio
        )
        return Footage(self.seconds, self.codec, round(self.frame_rate, 3), audio)

    @property
    def as_photo_facts(self) -> PhotoFacts:
        """The properties that photos have as well, for reports and rules."""
        return PhotoFacts(
            self.container,
            self.width,
            self.height,
            exif_fields=self.tags,
            captured=self.captured,
            camera=self.camera,
            has_gps=self.has_gps,
            frames=max(1, self.frames),
        )


def _channel_words(channels: int) -> str:
    return {0: "", 1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")


@dataclass(frozen=True, slots=True)
class PictureArea:
    """The part of each frame that is not a black bar, as shares of the shown frame, 0 to 1.

    Attributes:
        left: Left edge.
        top: Upper edge.
        right: Right edge.
        bottom: Lower edge.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    @property
    def share(self) -> float:
        """The area as a share of the frame."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True, eq=False)
class VideoProfile:
    """What the index keeps of a video, enough to find possible copies.

    Attributes:
        facts: Properties of the video.
        area: The part of the frames that is no black bar.
        times: float32, shape ``(n,)``, ascending: times of the sampled frames, seconds from the first frame.
        signatures: int8, shape ``(n, 272)``: their signatures, of the area only.
    """

    facts: VideoFacts
    area: PictureArea
    times: Float32Array
    signatures: Int8Array


class _Head(msgspec.Struct, frozen=True):
    facts: VideoFacts
    area: PictureArea


def pack(profile: VideoProfile) -> bytes:
    """Return a profile as the bytes that the index keeps."""
    head = msgspec.json.encode(_Head(profile.facts, profile.area))
    frames = profile.times.astype("<f4").tobytes() + np.ascontiguousarray(profile.signatures).tobytes()
    return _HEADER.pack(_MAGIC, VIDEO_VERSION, len(head), len(profile.times)) + head + zlib.compress(frames, 6)


def unpack(data: bytes) -> VideoProfile | None:
    """Return the profile that ``pack`` made into bytes.

    Args:
        data: The bytes; from an index or from a process that decodes hostile files.

    Returns:
        The profile; ``None`` if the bytes are those of another version, or of no video.
    """
    try:
        magic, version, head_length, count = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != VIDEO_VERSION:
            return None
        head = msgspec.json.decode(data[_HEADER.size : _HEADER.size + head_length], type=_Head)
        frames = zlib.decompressobj().decompress(data[_HEADER.size + head_length :], _MOST_BYTES)
        times: Float32Array = np.frombuffer(frames, dtype="<f4", count=count).astype(np.float32)
        signatures: Int8Array = np.frombuffer(frames, dtype=np.int8, offset=4 * count)
        return VideoProfile(head.facts, head.area, times, signatures.reshape(count, SIGNATURE_LENGTH))
    except (struct.error, ValueError, zlib.error, msgspec.MsgspecError):
        return None
