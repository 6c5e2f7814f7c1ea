"""The sound of two videos compared: whether what is heard is the same recording, whatever codec it is in.

Codecs for sound keep the wave itself at low frequencies. So parts of both, taken at the same moment of the film, have a
high correlation at some small shift, and two different recordings have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

import av
import av.error
import numpy as np

from py_image_dedup.signature.arrays import Float32Array
from py_image_dedup.video.container import open_container

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_RATE: Final = 8000
_PARTS: Final = 6
_PART_SECONDS: Final = 1.5
_SHIFT_SECONDS: Final = 0.4
_SILENT: Final = 60.0
"""Root mean square below which nothing is heard; the largest value is 32,767."""
_LEAST_CORRELATION: Final = 0.3
_LEAST_SHARE: Final = 0.8
_MOST_TRACKS: Final = 8


def sounds_equal(left: BinaryIO, right: BinaryIO, offset: float, seconds: tuple[float, float]) -> bool:
    """Return whether each sound track of two videos is heard in the other one as well, in the same order.

    Tracks that only one of them has do not count; silence equals silence.

    Args:
        left: An open video that can seek.
        right: Another one.
        offset: Time in the left video at which the right one begins, seconds.
        seconds: Lengths of both.

    Raises:
        MediaError: One of them is no video.
    """
    start, end = max(0.0, offset), min(seconds[0], offset + seconds[1])
    length = min(_PART_SECONDS, end - start)
    if length <= 0:
        return False
    count = max(1, min(_PARTS, int((end - start) / length)))
    places = [start + (end - start - length) * place / max(1, count - 1) for place in range(count)]
    with open_container(left) as one, open_container(right) as two:
        tracks = list(zip(one.streams.audio, two.streams.audio, strict=False))
        if len(tracks) > _MOST_TRACKS:
            return False
        return all(_track_equal(one, mine, two, theirs, places, length, offset) for mine, theirs in tracks)


def _track_equal(
    left: InputContainer,
    mine: AudioStream,
    right: InputContainer,
    theirs: AudioStream,
    places: list[float],
    length: float,
    offset: float,
) -> bool:
    heard = equal = 0
    for place in places:
        one = _part(left, mine, place, length)
        two = _part(right, theirs, place - offset - _SHIFT_SECONDS, length + 2 * _SHIFT_SECONDS)
        loud = [len(part) > 0 and float(np.sqrt((part * part).mean())) > _SILENT for part in (one, two)]
        if not any(loud):
            continue
        heard += 1
        equal += all(loud) and correlation(one, two) >= _LEAST_CORRELATION
    return equal >= _LEAST_SHARE * heard


def correlation(one: Float32Array, two: Float32Array) -> float:
    """Return the greatest correlation of a part of sound with a longer one, over all shifts: 0 to 1.

    Args:
        one: float32, shape ``(n,)``.
        two: float32, shape ``(m,)``.
    """
    if len(two) < len(one):
        one, two = two, one
    if not len(one):
        return 0.0
    one = one - one.mean()
    size = 1 << (len(one) + len(two)).bit_length()
    product = np.fft.irfft(np.fft.rfft(two, size) * np.conj(np.fft.rfft(one, size)), size)[: len(two) - len(one) + 1]
    energy = np.concatenate([[0.0], np.cumsum(np.square(two, dtype=np.float64))])
    energies = energy[len(one) :] - energy[: len(energy) - len(one)]
    scale = np.sqrt(np.maximum(energies * float(np.square(one, dtype=np.float64).sum()), 1.0))
    return float(np.abs(product / scale).max())


def _part(container: InputContainer, track: AudioStream, start: float, length: float) -> Float32Array:
    """Return the sound from a time on, as one channel; silence where there is none."""
    out: Float32Array = np.zeros(round(length * _RATE), dtype=np.float32)
    base = float(track.time_base or 1)
    first = (track.start_time or 0) * base
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    try:
        container.seek(max(0, int((start + first) / base)), stream=track, backward=True)
        track.codec_context.flush_buffers()
        for frame in container.decode(track):
            if frame.pts is None:
                continue
            at = frame.pts * base - first - start
            for piece in resampler.resample(frame):
                _lay(out, piece.to_ndarray().ravel(), round(at * _RATE))
                at += piece.samples / _RATE
            if at >= length:
                break
    except av.error.FFmpegError:
        return out
    return out


def _lay(out: Float32Array, samples: np.ndarray, at: int) -> None:
    first, last = max(0, at), min(len(out), at + len(samples))
    if first < last:
        out[first:last] = samples[first - at : last - at]
