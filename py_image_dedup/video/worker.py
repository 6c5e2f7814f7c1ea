"""The video worker: a process that samples one video, renders a frame of it, or compares two.

Started as ``python -m py_image_dedup.video.worker`` by ``video.client`` with a socket as its standard input. Videos are
decoded here and not in the program itself, because a hostile or broken file may end the process that decodes it, or
take it over. The answer is JSON and bytes, and nothing that could be executed. A timer of the kernel ends the process
when a file takes too long, and its memory is limited.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO

import av.error
import av.logging
import cv2
import msgspec

from py_image_dedup.media.limits import Limits, MediaError, Reserve, explain
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.media.worker.main import allow_memory, set_timer
from py_image_dedup.media.worker.protocol import Closed, Message, receive_file, send
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.video.candidates import Placement
from py_image_dedup.video.comparison import Comparison, Relation, compare
from py_image_dedup.video.facts import PictureArea, pack
from py_image_dedup.video.reader import frames_equal, open_reader
from py_image_dedup.video.sampling import sample
from py_image_dedup.video.sound import sounds_equal
from py_image_dedup.video.still import render_still

_SPARE_BYTES = 512 << 20
"""Address space beyond the frames of the decoder: code that is loaded late, buffers, and sampled frames."""
_ALIGNED = 0.1
"""Offset up to which two videos begin at once, seconds; it is measured on frames that may stand still."""
_EXACT_SHARE = 0.5
"""Share of the time limit of a pair in which all frames are compared."""


class Side(msgspec.Struct, frozen=True):
    """One of two videos to compare.

    Attributes:
        seconds: Length.
        frame_rate: Frames per second.
        area: The part of its frames that is no black bar.
    """

    seconds: float
    frame_rate: float
    area: PictureArea


class Request(msgspec.Struct, frozen=True):
    """A request to the worker; the open files come with it.

    Attributes:
        task: ``sample`` or ``render`` for one file, ``compare`` for two.
        max_pixels: Largest frame, pixels.
        memory_bytes: Memory that decoding a file may need.
        seconds: Time limit of the request.
        sides: The two videos to compare.
        placements: How the second may lie in the first one: offset in seconds, and number of the orientation.
        same_packets: Whether the encoded pictures are known to be equal, so that only the sound is compared.
        with_sound: Whether the sound is compared.
        rendered_size: Size of the picture, for ``render``.
        may_be_equal: Whether all frames are compared exactly, if the others agree.
    """

    task: str
    max_pixels: int
    memory_bytes: int
    seconds: float
    sides: tuple[Side, ...] = ()
    placements: tuple[tuple[float, int], ...] = ()
    same_packets: bool = False
    with_sound: bool = False
    rendered_size: RenderedSize = RenderedSize.THUMBNAIL
    may_be_equal: bool = False


class Compared(msgspec.Struct, frozen=True):
    """The answer to ``compare``.

    Attributes:
        comparison: The comparison of the frames.
        sounds_equal: Whether the sound is the same, as far as both have any.
        frames_equal: Whether every frame is equal.
    """

    comparison: Comparison
    sounds_equal: bool
    frames_equal: bool


def main() -> int:
    """Serve requests until the other side closes the connection.

    Returns:
        The exit code.
    """
    warnings.simplefilter("ignore")
    av.logging.set_level(av.logging.PANIC)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection, single_threaded_blas:
        try:
            while True:
                message, descriptor = receive_file(connection)
                with ExitStack() as stack:
                    files: list[BinaryIO] = [stack.enter_context(os.fdopen(descriptor, "rb", buffering=0))]
                    request = msgspec.convert(message, Request)
                    if request.task == "compare":
                        files.append(stack.enter_context(os.fdopen(receive_file(connection)[1], "rb", buffering=0)))
                    answer, body = _answer(request, files)
                send(connection, answer, body)
        except Closed:
            return 0


def _answer(request: Request, files: Sequence[BinaryIO]) -> tuple[Message, bytes]:
    limits = Limits(request.max_pixels, request.memory_bytes, request.seconds)
    try:
        allow_memory(len(files) * request.memory_bytes, _SPARE_BYTES)
        set_timer(request.seconds)
        if request.task == "sample":
            found = sample(files[0], limits, _reserve(limits))
            return {"packets": found.packet_digest.hex()}, pack(found.profile)
        if request.task == "render":
            return {}, render_still(files[0], request.rendered_size, limits, _reserve(limits))
        return {"compared": msgspec.to_builtins(_compare(request, files, limits))}, b""
    except Exception as error:  # noqa: BLE001 - a broken file makes decoders raise anything
        failure = explain(_readable(error))
        return {"failure": failure.reason.value, "message": failure.message}, b""
    finally:
        set_timer(0)


def _readable(error: Exception) -> Exception:
    """Return an error of FFmpeg with the cause that it logged instead of its number; any other one as it is."""
    if not isinstance(error, av.error.FFmpegError) or isinstance(error, MemoryError):
        return error
    log: Any = error.log
    cause = str(log[2]).strip() if log else error.strerror
    return MediaError(FailureReason.CORRUPT, f"the file is damaged: {cause}")


def _compare(request: Request, files: Sequence[BinaryIO], limits: Limits) -> Compared:
    comparison = Comparison(Relation.SAME)
    if not request.same_packets:
        with ExitStack() as stack:
            left, right = (
                stack.enter_context(
                    open_reader(file, side.seconds, side.frame_rate, side.area, limits, _reserve(limits))
                )
                for file, side in zip(files, request.sides, strict=True)
            )
            placements = [Placement(offset, Orientation(turn)) for offset, turn in request.placements]
            comparison = compare(left, right, placements)
    equal = True
    if request.with_sound and comparison.relation is not Relation.DIFFERENT:
        lengths = (request.sides[0].seconds, request.sides[1].seconds)
        equal = sounds_equal(files[0], files[1], comparison.offset, lengths)
    exact = False
    is_aligned = comparison.orientation is Orientation.UPRIGHT and abs(comparison.offset) < _ALIGNED
    if request.may_be_equal and is_aligned and comparison.relation in {Relation.SAME, Relation.STILL}:
        exact = frames_equal(files[0], files[1], limits, seconds=_EXACT_SHARE * request.seconds)
    return Compared(comparison, equal, exact)


def _reserve(limits: Limits) -> Reserve:
    def reserve(needed: int) -> None:
        if needed > limits.memory_bytes:
            raise MediaError(
                FailureReason.TOO_LARGE,
                f"decoding needs {needed / 2**20:,.0f} MiB of memory; "
                f"the limit is {limits.memory_bytes / 2**20:,.0f} MiB",
            )

    return reserve


if __name__ == "__main__":
    sys.exit(main())
