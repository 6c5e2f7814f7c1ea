"""The guarded decoder: a process of its own that decodes one file after another and may die of any of them.

Started as ``python -m py_image_dedup.media.guard`` by ``media.guarded`` with a socket as its standard input. It ends
when the other side closes the socket, also when that process was killed; a decoder that hangs is ended by a timer of
the kernel, so no such process outlives a run for more than the time that one file may take.
"""

from __future__ import annotations

import io
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, TypeAlias

from PIL import AvifImagePlugin, Image

from py_image_dedup.media.errors import MediaError, explain
from py_image_dedup.media.examine import examine
from py_image_dedup.media.limits import Admit, Limits
from py_image_dedup.media.opening import WEBP_BYTES, open_picture, webp_size
from py_image_dedup.media.pixels import digest_pixels
from py_image_dedup.media.wire import Closed, Message, receive, send
from py_image_dedup.model.failure import FailureReason

Task: TypeAlias = Callable[[BinaryIO, str, Limits, Admit], tuple[Message, bytes]]
"""``(stream, format, limits, admit) -> (message, bytes)``."""

_SPARE_BYTES = 256 << 20
"""Address space beyond what a picture was admitted with: code that is loaded late, and what estimates leave out."""
_GRACE_SECONDS = 5.0


def main() -> int:
    """Serve the decoders until the other side closes the connection."""
    # The only place where Pillow's process-wide settings are changed, in a process that nobody else uses: the size is
    # checked against the limits instead, what a decoder warns about is nobody's concern, and each one uses one thread.
    Image.MAX_IMAGE_PIXELS = None
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    warnings.simplefilter("ignore")
    with suppress(ImportError):  # HEIF files are then reported as what cannot be decoded, all others are read
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1
    return serve({"examine": _examine, "digest": _digest})


def serve(tasks: dict[str, Task]) -> int:
    """Answer requests on standard input.

    A request names a task, the format, and the limits, and carries the file as bytes, or its descriptor. Before pixels
    are decoded, ``{"needs": bytes}`` asks for room and ``{"go": true}`` grants it. The answer is the task's, or
    ``{"failure": reason, "message": words}``.

    Args:
        tasks: By name.

    Returns:
        The exit code, when the other side is gone.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        try:
            send(connection, {"ready": True})
            while True:
                request, data = receive(connection)
                message, body = _answer(connection, request, data, tasks)
                send(connection, message, body)
        except Closed:
            return 0


def _answer(connection: socket.socket, request: Message, data: bytes, tasks: dict[str, Task]) -> tuple[Message, bytes]:
    limits = Limits(
        max_pixels=int(str(request["max_pixels"])),
        memory_bytes=int(str(request["memory_bytes"])),
        timeout_seconds=float(str(request["timeout_seconds"])),
    )
    size = int(str(request["size"]))

    def admit(needed: int) -> None:
        _set_timer(0)
        send(connection, {"needs": needed})
        if not receive(connection)[0].get("go"):
            raise MediaError(FailureReason.TOO_LARGE, "it needs more memory than there is")
        _allow_memory(needed + size)
        _set_timer(limits.timeout_seconds + _GRACE_SECONDS)

    with _stream(connection, data, passed=bool(request.get("descriptor"))) as stream:
        try:
            _allow_memory(2 * size)
            _set_timer(limits.timeout_seconds + _GRACE_SECONDS)
            return tasks[str(request["task"])](stream, str(request["format"]), limits, admit)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - a broken file makes decoders raise anything
            failure = explain(error)
            return {"failure": failure.reason.value, "message": failure.message}, b""
        finally:
            _set_timer(0)


def _stream(connection: socket.socket, data: bytes, *, passed: bool) -> BinaryIO:
    if not passed:
        return io.BytesIO(data)
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    if not descriptors:
        raise Closed
    return os.fdopen(descriptors[0], "rb")


def _examine(stream: BinaryIO, kind: str, limits: Limits, admit: Admit) -> tuple[Message, bytes]:
    admit = _admit_early(stream, kind, limits, admit)
    with open_picture(stream, kind) as picture:
        found = examine(picture, kind, limits, admit)
    facts = asdict(found.facts) | {"captured": found.facts.captured and found.facts.captured.isoformat()}
    return {"facts": facts, "width": found.width, "height": found.height}, found.grey


def _digest(stream: BinaryIO, kind: str, limits: Limits, admit: Admit) -> tuple[Message, bytes]:
    admit = _admit_early(stream, kind, limits, admit)
    with open_picture(stream, kind) as picture:
        return {}, digest_pixels(picture, kind, limits, admit)


def _admit_early(stream: BinaryIO, kind: str, limits: Limits, admit: Admit) -> Admit:
    """Ask for the memory of a WebP file before it is opened: its decoder makes its canvases at once.

    Returns:
        What to ask when it is decoded: nothing more, if it was asked for here. Nobody asks twice, because two threads
        that hold a share and wait for more would wait for each other.
    """
    if kind != "WEBP":
        return admit
    width, height = webp_size(stream.read(30))
    stream.seek(0)
    limits.check_size(width, height)
    admit(WEBP_BYTES * width * height)
    return lambda needed: None  # noqa: ARG005 - as Admit has it


def _set_timer(seconds: float) -> None:
    """Let the kernel end this process after a time, whatever a decoder is doing; 0 calls it off."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _allow_memory(more: int) -> None:
    """Bound the address space to what is used now, what was admitted, and some spare."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return  # systems without it do not enforce the limit either
    used = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more + _SPARE_BYTES, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
