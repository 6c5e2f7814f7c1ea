"""One pass over the packets of a video: its facts, the digest of its packets, and the signatures of some frames.

Key frames can be decoded alone, so they are what is sampled, about two seconds apart. Only where they are rarer, as in
films from messengers, are the frames in between decoded as well. A film that was encoded again has its key frames at
other places, so at two places of each video some frames in a row are sampled: these meet the key frames of the other
one, whatever was cut off before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import av
import av.error
import cv2
import numpy as np

from py_image_dedup.media.limits import Limits, MediaError, Reserve
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.arrays import Float32Array, Int8Array, UInt8Array
from py_image_dedup.signature.compute import compute
from py_image_dedup.video import container as media
from py_image_dedup.video.facts import PictureArea, VideoFacts, VideoProfile
from py_image_dedup.video.packets import PacketDigest

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

SIDE: Final = 256
"""Shorter side of a sampled frame, pixels."""
STEP_SECONDS: Final = 3.0
"""Wanted time between two sampled frames; key frames that are at most one and a half times as rare are enough."""
_LEAST_STEP: Final = 0.3
_FEWEST_FRAMES: Final = 16
"""Frames that are wanted of a short video."""
_DECODED_SHARE: Final = 0.25
_DECODED_SECONDS: Final = (20.0, 60.0)
"""Share of a video with rare key frames that is decoded whole, in parts that are evenly spread, and the least and
greatest length of it. Of 225 pairs of clips with rare key frames at other places all were candidates with a quarter,
as with all frames, and 103 with the key frames alone."""
MOST_FRAMES: Final = 100
"""Frames that are sampled of a long video, the rows at two places not counted."""
_ROW_SECONDS: Final = 0.2
"""Time between the frames of a row."""
_DENSE_SECONDS: Final = 0.1
"""Time between the sampled frames of a short video that has to be decoded anyway."""
_ROWS_AT: Final = (0.3, 0.7)
"""Places of the rows, as shares of the length."""
_LONGEST_ROW: Final = 0.7
_BUFFER_BYTES: Final = 64 << 20
_BLACK: Final = 28
"""Brightness up to which a pixel is black: 16 in most videos, and some more for what encoding adds."""
_LIT: Final = 48
"""Brightness that a picture must have somewhere, so that its dark edges count as bars."""
_LEAST_AREA: Final = 0.25
_STRUCTURE: Final = 6.0
"""Standard deviation of brightness below which a frame shows nothing."""
_UNKNOWN_LENGTH: Final = 600.0
_END_MISSES: Final = 1.0
_END_SHARE: Final = 0.03


@dataclass(frozen=True, slots=True)
class SampledVideo:
    """The result of the pass.

    Attributes:
        profile: Facts and sampled frames.
        packet_digest: Digest of the encoded pictures, 32 bytes; see ``packets``.
    """

    profile: VideoProfile
    packet_digest: bytes


def sample(stream: BinaryIO, limits: Limits, reserve: Reserve) -> SampledVideo:
    """Read a video once.

    Args:
        stream: An open binary file that can seek.
        limits: Cost limits of one file.
        reserve: Reserves the memory of the decoder.

    Raises:
        MediaError: It is no video, is not whole, or cannot be decoded.
    """
    with media.open_video(stream) as (container, track, name):
        media.check_size(track, limits)
        reserve(media.decoder_bytes(track))
        length = _stated_length(container, track)
        samples = _Samples(track.codec_context, float(track.time_base or 1), length.seconds or _UNKNOWN_LENGTH)
        digest = PacketDigest(track.codec_context.name, track.codec_context.extradata)
        passed = _pass(container, track, samples, digest)
        if not passed.frames or not samples.frames:
            raise MediaError(FailureReason.CORRUPT, "no frame of the video can be decoded")
        if samples.damaged:
            raise MediaError(
                FailureReason.CORRUPT,
                f"{samples.damaged} of {samples.damaged + len(samples.frames)} sampled frames cannot be decoded",
            )
        if length.seconds - passed.seconds > length.tolerance:
            raise MediaError(
                FailureReason.TRUNCATED,
                f"the file ends too early: {passed.seconds:.0f} of {length.seconds:.0f} seconds are there",
            )
        facts = _facts(container, track, name, passed, samples)
        shown = f"{samples.rotation} {track.sample_aspect_ratio or 1} {passed.hidden}"
        return SampledVideo(_profile(facts, samples), digest.digest(shown))


@dataclass(slots=True)
class _Pass:
    frames: int = 0
    bytes: int = 0
    hidden: int = 0
    first: float | None = None
    last: float = 0.0

    @property
    def seconds(self) -> float:
        if self.first is None:
            return 0.0
        spacing = (self.last - self.first) / (self.frames - 1) if self.frames > 1 else 0.0
        return self.last - self.first + spacing


def _pass(container: InputContainer, track: VideoStream, samples: _Samples, digest: PacketDigest) -> _Pass:
    passed = _Pass()
    base = float(track.time_base or 1)
    for packet in container.demux(track):
        if not packet.size:
            continue
        digest.update(bytes(packet))
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.is_discard:
            passed.hidden += 1
        else:
            passed.frames += 1
            passed.bytes += packet.size
            if stamp is not None:
                at = stamp * base
                passed.first = at if passed.first is None else min(passed.first, at)
                passed.last = max(passed.last, at)
        samples.add(packet, None if stamp is None else stamp * base)
    samples.end()
    return passed


@dataclass(frozen=True, slots=True)
class _Length:
    """The length that the header of a file states; 0 seconds if it states none."""

    seconds: float
    tolerance: float


def _stated_length(container: InputContainer, track: VideoStream) -> _Length:
    if track.duration is not None and track.time_base is not None:
        seconds = float(track.duration * track.time_base)
        return _Length(seconds, max(_END_MISSES, _END_SHARE * seconds))
    # The length of the whole file, in which a sound track may be a little longer.
    seconds = 0.0 if container.duration is None else container.duration / av.time_base
    return _Length(seconds, max(2 * _END_MISSES, 3 * _END_SHARE * seconds))


@dataclass(slots=True)
class _Samples:
    """Collects sampled frames, packet by packet. It holds the packets of one group of pictures at most.

    Attributes:
        codec: The decoder.
        time_base: Unit of times, seconds.
        seconds: Length of the video, as far as it is known.
        frames: ``(time in seconds, grey picture)`` of the sampled frames, ascending.
        rotation: Rotation for showing, degrees counter-clockwise.
        damaged: Number of wanted frames that could not be decoded.
        size: Width and height of a frame as shown, before the shape of pixels is applied.
    """

    codec: VideoCodecContext
    time_base: float
    seconds: float
    frames: list[tuple[float, UInt8Array]] = field(default_factory=list)
    rotation: int = 0
    damaged: int = 0
    size: tuple[int, int] = (0, 0)
    _group: list[av.Packet[Any]] = field(default_factory=list)
    _group_bytes: int = 0
    _group_start: float = 0.0
    _decoding: bool = False
    _spacing: float = 0.0
    _due: float = 0.0
    _until: float = float("inf")
    _rows: list[float] = field(default_factory=list)
    _last: float = -1e9
    _is_long: bool = False
    _long_groups: int = 0

    def __post_init__(self) -> None:
        self._rows = [self.seconds * share for share in _ROWS_AT]

    @property
    def _step(self) -> float:
        return max(min(STEP_SECONDS, self.seconds / _FEWEST_FRAMES), _LEAST_STEP, self.seconds / MOST_FRAMES)

    def add(self, packet: av.Packet[Any], at: float | None) -> None:
        """Take the next packet.

        Args:
            packet: The packet.
            at: Its time, in seconds.
        """
        if packet.is_keyframe or not (self._group or self._decoding):
            self._finish()
            self._start(packet, at)
            return
        if self._decoding:
            self._decode(packet)
            return
        self._group_bytes += packet.size
        if self._group_bytes <= _BUFFER_BYTES and not self._is_long:
            self._group.append(packet)
        else:
            del self._group[1:]
        if at is not None and not self._is_long and at - self._group_start > 1.5 * self._step:
            self._is_long = True
            self._long_groups += 1
            decoded = min(max(_DECODED_SHARE * self.seconds, _DECODED_SECONDS[0]), _DECODED_SECONDS[1])
            if (self._long_groups - 1) % math.ceil(self.seconds / decoded) == 0 and len(self._group) > 1:
                self._decode_group(max(_DENSE_SECONDS, self.seconds / MOST_FRAMES), float("inf"))

    def end(self) -> None:
        """Take what is left after the last packet."""
        self._finish()

    def _start(self, packet: av.Packet[Any], at: float | None) -> None:
        self._group, self._group_bytes, self._is_long = [packet], packet.size, False
        self._group_start = at if at is not None else self._group_start

    def _row_is_due(self) -> bool:
        is_due = False
        while self._rows and self._group_start >= self._rows[0] - self._step / 2:
            self._rows.pop(0)
            is_due = True
        return is_due

    def _decode_group(self, spacing: float, until: float) -> None:
        """Decode the packets that were held back, and those that follow in this group as they come."""
        self._decoding, self._spacing, self._until = True, spacing, until
        self._due = self._group_start
        held, self._group = self._group, []
        for packet in held:
            self._decode(packet)

    def _finish(self) -> None:
        if self._decoding:
            self._decode(None)
        elif self._group and self._row_is_due():
            self._decode_group(_ROW_SECONDS, self._group_start + _LONGEST_ROW)
            self._decode(None)
        elif self._group and (not self.frames or self._group_start - self._last >= 0.75 * self._step):
            # A key frame alone.
            self._spacing, self._due, self._until = 0.0, -1e9, float("inf")
            before = len(self.frames)
            self._decode(self._group[0])
            self._decode(None)
            self.damaged += len(self.frames) == before and self._group_start > 0
        if self._decoding or self._group:
            self.codec.flush_buffers()
        self._decoding, self._group = False, []

    def _decode(self, packet: av.Packet[Any] | None) -> None:
        if self._due > self._until:
            return
        try:
            found = self.codec.decode(packet)
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            self.damaged += 1
            return
        for frame in found:
            self._take(frame)

    def _take(self, frame: av.VideoFrame) -> None:
        at = self._group_start if frame.pts is None else frame.pts * self.time_base
        if at < self._due - 1e-4 or self._due > self._until:
            return
        if frame.is_corrupt:
            self.damaged += 1
        self.rotation = round(frame.rotation)
        shown = (frame.width, frame.height)
        self.size = shown[::-1] if round(frame.rotation / 90) % 2 else shown
        self.frames.append((at, media.grey(frame, SIDE)))
        self._last = at
        self._due = max(self._due, at) + self._spacing


def _facts(container: InputContainer, track: VideoStream, name: str, passed: _Pass, samples: _Samples) -> VideoFacts:
    width, height = samples.size
    shape = float(track.sample_aspect_ratio or 1)
    if shape > 0:
        sideways = round(samples.rotation / 90) % 2
        width, height = (width, round(height * shape)) if sideways else (round(width * shape), height)
    audio, subtitles = media.tracks(container)
    tags = media.tags_of(container)
    pixel_format = track.codec_context.format
    return VideoFacts(
        container=name,
        codec=track.codec_context.name,
        width=max(1, width),
        height=max(1, height),
        seconds=round(passed.seconds, 3),
        frames=passed.frames,
        bit_rate=round(8 * passed.bytes / passed.seconds) if passed.seconds else 0,
        bits=max((each.bits for each in pixel_format.components), default=8) if pixel_format else 8,
        is_hdr=media.is_hdr(track),
        audio=audio,
        subtitles=subtitles,
        chapters=len(container.chapters()),
        tags=len(tags),
        captured=media.captured(tags),
        camera=media.camera(tags),
        has_gps=media.has_position(tags),
    )


def _profile(facts: VideoFacts, samples: _Samples) -> VideoProfile:
    start = samples.frames[0][0]
    area = picture_area([picture for _, picture in samples.frames])
    times: list[float] = []
    signatures: list[bytes] = []
    for at, picture in samples.frames:
        inside = cut_to(picture, area)
        if float(inside.std()) < _STRUCTURE:
            continue
        found = compute(np.ascontiguousarray(inside))
        if found is not None:
            times.append(at - start)
            signatures.append(found.values)
    when: Float32Array = np.array(times, dtype=np.float32)
    values: Int8Array = np.frombuffer(b"".join(signatures), dtype=np.int8).reshape(-1, SIGNATURE_LENGTH)
    return VideoProfile(facts, area, when, values)


def picture_area(pictures: list[UInt8Array]) -> PictureArea:
    """Return the part of the frames of a video that is not black in all of them.

    Args:
        pictures: Grey pictures of one size, uint8, shape ``(height, width)``.
    """
    shape = pictures[0].shape
    alike = [picture for picture in pictures if picture.shape == shape]
    # Mean brightness and not the brightest pixel: a subtitle or a logo in a bar does not make it a part of the picture.
    rows = np.max([_brightness(picture, 1) for picture in alike], axis=0)
    columns = np.max([_brightness(picture, 0) for picture in alike], axis=0)
    if float(max(rows.max(), columns.max())) < _LIT:
        return PictureArea()
    top, bottom = _lit(rows)
    left, right = _lit(columns)
    area = PictureArea(left / shape[1], top / shape[0], right / shape[1], bottom / shape[0])
    return area if area.share >= _LEAST_AREA else PictureArea()


def _brightness(picture: UInt8Array, axis: int) -> UInt8Array:
    """Return the brightness of each row or column that 15 % of its pixels exceed."""
    place = int(0.85 * (picture.shape[axis] - 1))
    found: UInt8Array = np.partition(picture, place, axis=axis).take([place], axis=axis).ravel()
    return found


def _lit(brightness: UInt8Array) -> tuple[int, int]:
    lit = np.flatnonzero(brightness > _BLACK)
    return (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, len(brightness))


def cut_to(picture: UInt8Array, area: PictureArea) -> UInt8Array:
    """Return the part of a picture that an area covers; a view.

    Args:
        picture: uint8, shape ``(height, width)``.
        area: The area.
    """
    height, width = picture.shape
    top, bottom = round(area.top * height), round(area.bottom * height)
    left, right = round(area.left * width), round(area.right * width)
    return picture[top : max(bottom, top + 1), left : max(right, left + 1)]


def resized(picture: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Return a picture of another size; the mean of the pixels where it is smaller.

    Args:
        picture: uint8, shape ``(height, width)``.
        size: Width and height, pixels.
    """
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
