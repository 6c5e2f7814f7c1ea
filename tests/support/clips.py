"""Small generated videos and what is done to them: each edit is one that people make."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
WIDTH, HEIGHT, RATE = 128, 96, 12
_SOUND_RATE = 16_000
_FORMATS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "avi": "avi", "3gp": "3gp", "ts": "mpegts"}


def texture(seed: int, width: int, height: int) -> Frame:
    """A landscape of clouds and shapes in colour, without two places that look alike."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((4, 1.0), (9, 0.8), (20, 0.6)):
        small = rng.random((cells, cells * width // height + 1, 3)).astype(np.float32)
        whole += weight * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(255 * whole / 2.4, 0, 255).astype(np.uint8)
    for _ in range(width * height // 2500):
        place = tuple(int(v) for v in rng.integers(0, (width, height)))
        colour = tuple(int(v) for v in rng.integers(0, 255, 3))
        cv2.circle(picture, place, int(rng.integers(3, 12)), colour, -1)
    return picture


def pan(seed: int, seconds: float = 4.0, size: tuple[int, int] = (WIDTH, HEIGHT), rate: int = RATE) -> list[Frame]:
    """A camera that moves over a landscape, with turns and a change of speed."""
    width, height = size
    rng = np.random.default_rng(seed + 1000)
    land = texture(seed, 3 * width, 2 * height)
    count = round(seconds * rate)
    knots = rng.random((5, 2)) * (2 * width, height)
    at = np.linspace(0, 4, count)
    return [
        land[y : y + height, x : x + width].copy()
        for x, y in ((int(np.interp(t, range(5), knots[:, 0])), int(np.interp(t, range(5), knots[:, 1]))) for t in at)
    ]


def walk_by(seed: int, scene: int, seconds: float = 4.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Frame]:
    """A camera on a tripod: the scene stands still, and something passes through it; ``seed`` says what and where."""
    width, height = size
    still, rng = texture(scene, width, height), np.random.default_rng(seed)
    count = round(seconds * RATE)
    start, end = rng.random(2) * width, rng.random(2) * width
    colour = tuple(int(v) for v in rng.integers(0, 255, 3))
    tall = height // 4
    frames = []
    for share in np.arange(count) / count:
        frame = still.copy()
        x = int(start[0] + (end[0] - start[0]) * share)
        y = int((start[1] + (end[1] - start[1]) * share) * 0.6 * height / width)
        cv2.rectangle(frame, (x - tall // 2, y), (x + tall // 2, y + tall), colour, -1)
        cv2.circle(frame, (x, y + tall // 3), tall // 4, colour[::-1], -1)
        grain = rng.normal(0, 1.5, frame.shape)
        frames.append(np.clip(frame + grain, 0, 255).astype(np.uint8))
    return frames


def game(seed: int, seconds: float = 4.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Frame]:
    """A game: its frame stands still, and the field inside moves."""
    hud = texture(4711, *size)
    width, height = size
    inner = (width * 6 // 10 // 2 * 2, height * 6 // 10 // 2 * 2)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    frames = []
    for field_ in pan(seed, seconds, inner):
        frame = hud.copy()
        frame[y : y + inner[1], x : x + inner[0]] = field_
        frames.append(frame)
    return frames


def over_picture(
    picture: Frame, seed: int, seconds: float = 4.0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[Frame]:
    """A camera that moves over a picture, RGB."""
    rng = np.random.default_rng(seed)
    width, height = size
    large = cv2.resize(picture, (3 * width, 3 * height), interpolation=cv2.INTER_AREA)
    knots = rng.random((4, 2)) * (2 * width, 2 * height)
    at = np.linspace(0, 3, round(seconds * RATE))
    places = ((int(np.interp(t, range(4), knots[:, 0])), int(np.interp(t, range(4), knots[:, 1]))) for t in at)
    return [np.ascontiguousarray(large[y : y + height, x : x + width]) for x, y in places]


def slides(seeds: Sequence[int], seconds: float = 1.0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Frame]:
    """Still pictures one after the other."""
    return [texture(seed, *size) for seed in seeds for _ in range(round(seconds * RATE))]


def black(seconds: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Frame]:
    """Nothing."""
    return [np.zeros((size[1], size[0], 3), np.uint8)] * round(seconds * RATE)


def logo(seconds: float = 1.5, size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Frame]:
    """An intro: a logo that grows on black."""
    frames = []
    for k in range(round(seconds * RATE)):
        frame = np.zeros((size[1], size[0], 3), np.uint8)
        cv2.circle(frame, (size[0] // 2, size[1] // 2), 10 + k, (200, 60, 30), -1)
        cv2.putText(frame, "LOGO", (size[0] // 4, size[1] // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
        frames.append(frame)
    return frames


def noise(seconds: float, seed: int) -> npt.NDArray[np.int16]:
    """Sound with a loudness that changes: mono, 16 kHz."""
    rng = np.random.default_rng(seed)
    loud = np.repeat(rng.random(round(seconds * 20) + 1), _SOUND_RATE // 20)[: round(seconds * _SOUND_RATE)]
    return (loud * rng.normal(0, 6000, len(loud))).clip(-32000, 32000).astype(np.int16)


_QUICK: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "threads": "1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"},
}


@dataclass(frozen=True, slots=True)
class Clip:
    """How frames become a file."""

    frames: Sequence[Frame]
    rate: int = RATE
    codec: str = "libx264"
    container: str = "mp4"
    bit_rate: int = 0
    sound: npt.NDArray[np.int16] | None = None
    sound_codec: str = "aac"
    tags: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    options: dict[str, str] = field(default_factory=dict)


def encode(clip: Clip) -> bytes:
    """The file of a clip."""
    out = io.BytesIO()
    options = _QUICK.get(clip.codec, {}) | ({"crf": "20"} if clip.codec == "libx264" and not clip.bit_rate else {})
    with av.open(out, "w", format=_FORMATS[clip.container]) as file:
        file.metadata.update(clip.tags)
        video: Any = file.add_stream(clip.codec, rate=clip.rate, options=options | clip.options)
        video.height, video.width = clip.frames[0].shape[:2]
        video.pix_fmt = "yuvj420p" if clip.codec == "mjpeg" else "yuv420p"
        if clip.bit_rate:
            video.bit_rate = clip.bit_rate
        elif clip.codec == "mpeg4":
            video.bit_rate = 1_500_000
        if clip.rotation:
            video.set_display_rotation(clip.rotation)
        sound: Any = None
        if clip.sound is not None:
            sound = file.add_stream(clip.sound_codec, rate=_SOUND_RATE, layout="mono")
        for number, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.rate)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if sound is not None and clip.sound is not None:
            for part in range(0, len(clip.sound), 1024):
                block = av.AudioFrame.from_ndarray(clip.sound[None, part : part + 1024], format="s16", layout="mono")
                block.sample_rate, block.pts = _SOUND_RATE, part
                block.time_base = Fraction(1, _SOUND_RATE)
                file.mux(sound.encode(block))
            file.mux(sound.encode(None))
    return out.getvalue()


def remux(data: bytes, container: str, tags: dict[str, str] | None = None, *, audio: bool = True) -> bytes:
    """The same packets in another container, or with other tags."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format=_FORMATS[container]) as file:
        file.metadata.update(tags or {})
        streams = {
            stream.index: file.add_stream_from_template(stream)
            for stream in source.streams
            if stream.type == "video" or (audio and stream.type == "audio")
        }
        for packet in source.demux():
            if packet.dts is not None and packet.stream.index in streams:
                packet.stream = streams[packet.stream.index]
                file.mux(packet)
    return out.getvalue()


def each(frames: Iterable[Frame], edit: Callable[[Frame], Frame]) -> list[Frame]:
    """Every frame, edited."""
    return [np.ascontiguousarray(edit(frame)) for frame in frames]


def letterbox(frame: Frame) -> Frame:
    """Black bars above and below."""
    height, width = frame.shape[:2]
    bar = height // 8 // 2 * 2
    return np.concatenate([np.zeros((bar, width, 3), np.uint8), frame, np.zeros((bar, width, 3), np.uint8)])


def subtitled(frames: Sequence[Frame], texts: Sequence[str] = ("GOOD DAY", "TO YOU", "AND ALL")) -> list[Frame]:
    """Text at the bottom that changes."""
    found = []
    for k, frame in enumerate(frames):
        drawn = frame.copy()
        height, width = frame.shape[:2]
        text = texts[k * len(texts) // len(frames)]
        scale = width / 200
        place = (int(width * 0.2), int(height * 0.93))
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 4)
        cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1)
        found.append(drawn)
    return found


def edits(frames: Sequence[Frame], sound: npt.NDArray[np.int16] | None = None) -> Iterator[tuple[str, bytes]]:
    """Twelve edits of a clip, each with its name."""
    original = encode(Clip(frames, sound=sound))
    rate, half = RATE, (frames[0].shape[1] // 2 // 2 * 2, frames[0].shape[0] // 2 // 2 * 2)
    bits = 8 * len(original) / (len(frames) / rate)
    fifth = len(frames) // 5
    yield "codec", encode(Clip(frames, codec="mpeg4", container="avi", sound=sound, sound_codec="mp3"))
    yield "half bit rate", encode(Clip(frames, bit_rate=int(bits / 2), sound=sound))
    yield (
        "half size",
        encode(Clip(each(frames, lambda f: cv2.resize(f, half, interpolation=cv2.INTER_AREA)), sound=sound)),
    )
    yield "frame rate", encode(Clip(frames[::2], rate=rate // 2, sound=sound))
    yield "container", remux(original, "mkv")
    yield "tags", remux(original, "mp4", {"title": "holiday", "comment": "in spain"})
    yield "trimmed 1 s", encode(Clip(frames[rate:], sound=None if sound is None else sound[_SOUND_RATE:]))
    yield "trimmed 20 %", encode(Clip(frames[:-fifth], sound=None if sound is None else sound[: -len(sound) // 5]))
    yield "letterbox", encode(Clip(each(frames, letterbox), sound=sound))
    yield "mirrored", encode(Clip(each(frames, lambda f: f[:, ::-1]), sound=sound))
    yield "subtitles burnt in", encode(Clip(subtitled(frames), sound=sound))
    yield "audio removed", remux(original, "mp4", audio=False)
    yield "turned 90 degrees", encode(Clip(each(frames, lambda f: np.rot90(f, -1)), sound=sound))
