"""The parent's side of the video worker, through which videos become profiles and pairs are compared.

PyAV is imported in the worker only.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import OpenedFile
from py_image_dedup.media.process import Worker, command_of, end, start_worker
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.media.worker.protocol import Closed, Message, receive, send_file
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.video.candidates import Placement
from py_image_dedup.video.comparison import Comparison
from py_image_dedup.video.facts import VideoFacts, VideoProfile, unpack

COMMAND: Final = command_of("py_image_dedup.video.worker")
_MEGABYTE: Final = 1 << 20
_SLOWEST: Final = 4 * _MEGABYTE
"""Bytes a second that a disk reads at least."""
_GRACE_SECONDS: Final = 5.0
_VIDEOS_PER_PROCESS: Final = 200
_DIGEST_BYTES: Final = 32
_EXTERNAL_SIGNALS: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
_PAIR_FACTOR: Final = 3
"""Time for comparing a pair as a multiple of that for decoding a file."""


def seconds_for(size: int, limits: Limits) -> float:
    """Return the time limit of sampling a video, in seconds.

    Args:
        size: Size of the file, bytes.
        limits: Cost limits of one file.
    """
    return limits.timeout_seconds + size / _SLOWEST


@dataclass(frozen=True, slots=True)
class ComparedVideos:
    """The result of comparing two videos.

    Attributes:
        comparison: The comparison of the frames.
        sounds_equal: Whether the sound is the same, as far as both have any.
        frames_equal: Whether every decoded frame is equal; compared only where that is possible.
    """

    comparison: Comparison
    sounds_equal: bool
    frames_equal: bool = False


def _may_be_equal(left: VideoFacts, right: VideoFacts) -> bool:
    """Return whether the frames of two videos may be equal, pixel by pixel."""
    one, other = ((each.width, each.height, each.frames, each.bits, each.is_hdr) for each in (left, right))
    return one == other


class VideoWorker(Closing):
    """One worker process, which starts when it is needed and again after a crash. For one thread at a time.

    Args:
        limits: Cost limits of one video; reading a large file may take longer than ``timeout_seconds``.
        command: Command line of the worker.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._worker: Worker[socket.socket] | None = None
        self._requests = 0
        self._grace = _GRACE_SECONDS

    def sample(self, file: OpenedFile) -> tuple[VideoProfile, bytes, bytes]:
        """Return the profile of a video, the same packed, and the digest of its packets.

        Args:
            file: The file.

        Raises:
            MediaError: It is no video, is not whole, or cannot be decoded; ``crashed`` and ``timeout`` included.
        """
        seconds = seconds_for(file.stat.size, self._limits)
        os.lseek(file.descriptor, 0, os.SEEK_SET)
        answer, packed = self._exchange({"task": "sample"}, [file.descriptor], seconds)
        file.check_unchanged()
        profile = unpack(packed)
        with suppress(KeyError, ValueError):
            packets = bytes.fromhex(str(answer["packets"]))
            if profile is not None and len(packets) == _DIGEST_BYTES:
                return profile, packed, packets
        self.close()
        raise MediaError(FailureReason.CRASHED, "the decoder returned an invalid answer")

    def compare(
        self,
        files: tuple[int, int],
        profiles: tuple[VideoProfile, VideoProfile],
        placements: Sequence[Placement],
        *,
        same_packets: bool = False,
    ) -> ComparedVideos:
        """Return the result of comparing two videos.

        Args:
            files: Descriptors of both open files.
            profiles: Profiles of both.
            placements: How the second video may lie in the first one, the likeliest first.
            same_packets: Whether their encoded pictures are known to be equal, so that only the sound is compared.

        Raises:
            MediaError: One of them cannot be decoded; ``crashed`` and ``timeout`` included.
        """
        request = {
            "task": "compare",
            "sides": [
                {
                    "seconds": each.facts.seconds,
                    "frame_rate": each.facts.frame_rate,
                    "area": msgspec.to_builtins(each.area),
                }
                for each in profiles
            ],
            "placements": [[each.offset, int(each.orientation)] for each in placements],
            "same_packets": same_packets,
            "with_sound": all(each.facts.audio for each in profiles),
            "may_be_equal": _may_be_equal(profiles[0].facts, profiles[1].facts),
        }
        seconds = _PAIR_FACTOR * self._limits.timeout_seconds
        answer, _ = self._exchange(request, list(files), seconds)
        try:
            return msgspec.convert(answer["compared"], ComparedVideos)
        except (KeyError, msgspec.ValidationError) as error:
            self.close()
            raise MediaError(FailureReason.CRASHED, "the decoder returned an invalid answer") from error

    def render(self, descriptor: int, size: RenderedSize) -> bytes:
        """Return a frame of a video that shows something, encoded in the format of ``RenderedSize.media_type``.

        Args:
            descriptor: Descriptor of the open file.
            size: Size of the rendered picture.

        Raises:
            MediaError: It is no video, or cannot be decoded; ``crashed`` and ``timeout`` included.
        """
        os.lseek(descriptor, 0, os.SEEK_SET)
        request = {"task": "render", "rendered_size": size.value}
        return self._exchange(request, [descriptor], self._limits.timeout_seconds)[1]

    def close(self) -> None:
        """End the process; closing twice is no error."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _exchange(self, request: Message, files: list[int], seconds: float) -> tuple[Message, bytes]:
        connection = self._connected()
        message = {
            **request,
            "max_pixels": self._limits.max_pixels,
            "memory_bytes": self._limits.memory_bytes,
            "seconds": seconds,
        }
        try:
            connection.settimeout(seconds + self._grace)
            send_file(connection, message, files[0])
            for descriptor in files[1:]:
                send_file(connection, {}, descriptor)
            answer, body = receive(connection)
        except (Closed, OSError) as error:
            raise self._died(isinstance(error, TimeoutError), seconds) from error
        except BaseException:
            self.close()  # interrupted in between: a late answer must not be taken for that of another file
            raise
        if "failure" in answer:
            raise MediaError(FailureReason(str(answer["failure"])), str(answer["message"])[:500])
        return answer, body

    def _connected(self) -> socket.socket:
        if self._requests >= _VIDEOS_PER_PROCESS:
            self.close()
        if self._worker is None:
            self._requests = 0
            try:
                self._worker = start_worker(self._command, socket.socketpair)
            except OSError as error:
                cause = f"the decoder process could not be started ({error})"
                raise MediaError(FailureReason.IO_ERROR, cause) from error
        self._requests += 1
        return self._worker.connection

    def _died(self, timed_out: bool, seconds: float) -> MediaError:  # noqa: FBT001 - private
        worker, self._worker = self._worker, None
        code = 0
        if worker is not None:
            worker.connection.close()
            if not timed_out:
                with suppress(Exception):
                    code = worker.process.wait(1)
            code = code or end(worker.process)
        if timed_out or code == -signal.SIGALRM:
            return MediaError(FailureReason.TIMEOUT, f"decoding took more than {seconds:.0f} seconds")
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if -code in _EXTERNAL_SIGNALS:
            return MediaError(
                FailureReason.IO_ERROR, f"the decoder process was ended from outside ({cause}); run the program again"
            )
        return MediaError(FailureReason.CRASHED, f"the decoder crashed on this file ({cause})")
