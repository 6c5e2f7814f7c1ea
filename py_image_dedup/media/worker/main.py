"""The guarded decoder: a process of its own that decodes one file after another and may die of any of them.

Started as ``python -m py_image_dedup.media.worker.main`` by ``media.guarded`` with a socket as its standard input. It
ends when the other side closes the socket, also when that process was killed; a decoder that hangs is ended by a
timer of the kernel, so no such process outlives a run for more than the time that one file may take.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from typing import BinaryIO, TypeAlias

from PIL import Image

from py_image_dedup.media.limits import Admit, Limits, MediaError, explain
from py_image_dedup.media.worker.decode import examine
from py_image_dedup.media.worker.open import WEBP_BYTES, has_more_pictures, open_picture, webp_size
from py_image_dedup.media.worker.pixel_digest import digest_pixels
from py_image_dedup.media.worker.protocol import Closed, Message, receive, receive_file, send
from py_image_dedup.model.failure import FailureReason

Task: TypeAlias = Callable[[BinaryIO, str, Limits, Admit], tuple[Message, bytes]]
"""``(stream, format, limits, admit) -> (message, bytes)``."""

Make: TypeAlias = Callable[[int, int, bytes], Sequence[bytes]]
"""``(width, height, grey) -> parts``: what a room above makes of a canonical grey picture where it was decoded."""

_SPARE_BYTES = 256 << 20
"""Address space beyond what a picture was admitted with: code that is loaded late, and what estimates leave out."""
_GRACE_SECONDS = 5.0


def main(make: Make | None = None) -> int:
    """Serve the decoders until the other side closes the connection.

    Args:
        make: What to do with each grey picture; the answer carries what it returns.

    Returns:
        The exit code.
    """
    # Pillow's process-wide settings are changed here and in _prepare only, in a process that nobody else uses: the size
    # is checked against the limits instead, and what a decoder warns about is nobody's concern.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")
    return serve({"examine": partial(_examine, make=make), "digest": _digest})


def serve(tasks: dict[str, Task]) -> int:
    """Answer requests on standard input.

    A request names a task, the format, and the limits, and carries the open file. Before pixels are decoded that need
    more than the request allows, ``{"needs": bytes}`` asks for room and ``{"go": true}`` grants it. The answer is the
    task's, or ``{"failure": reason, "message": words}``.

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
                request, descriptor = receive_file(connection)
                with os.fdopen(descriptor, "rb") as stream:
                    message, body = _answer(connection, request, stream, tasks)
                send(connection, message, body)
        except Closed:
            return 0


def _answer(
    connection: socket.socket, request: Message, stream: BinaryIO, tasks: dict[str, Task]
) -> tuple[Message, bytes]:
    limits = Limits(
        max_pixels=int(str(request["max_pixels"])),
        memory_bytes=int(str(request["memory_bytes"])),
        timeout_seconds=float(str(request["timeout_seconds"])),
    )
    size, free = int(str(request["size"])), int(str(request["free"]))

    def admit(needed: int) -> None:
        _set_timer(0)
        if needed > free:
            send(connection, {"needs": needed})
            if not receive(connection)[0].get("go"):
                raise MediaError(FailureReason.TOO_LARGE, "it needs more memory than there is")
        _allow_memory(needed + size)
        _set_timer(limits.timeout_seconds + _GRACE_SECONDS)

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


def _examine(
    stream: BinaryIO, kind: str, limits: Limits, admit: Admit, make: Make | None = None
) -> tuple[Message, bytes]:
    admit = _prepare(stream, kind, limits, admit)
    with open_picture(stream, kind) as picture:
        found = examine(picture, kind, limits, admit)
    facts = {field.name: getattr(found.facts, field.name) for field in fields(found.facts)}
    facts["captured"] = found.facts.captured and found.facts.captured.isoformat()
    made: Sequence[bytes] = ()
    if make is not None:
        # If it fails, it is the fault of the program and not of the file: who gets nothing makes it and learns why.
        with suppress(Exception):
            made = make(found.width, found.height, found.grey)
    message = {"facts": facts, "width": found.width, "height": found.height, "made": [len(part) for part in made]}
    return message, b"".join((found.grey, *made))


def _digest(stream: BinaryIO, kind: str, limits: Limits, admit: Admit) -> tuple[Message, bytes]:
    if kind == "JPEG" and has_more_pictures(stream):
        kind = "MPO"
    admit = _prepare(stream, kind, limits, admit)
    with open_picture(stream, kind) as picture:
        return {}, digest_pixels(picture, kind, limits, admit)


def _prepare(stream: BinaryIO, kind: str, limits: Limits, admit: Admit) -> Admit:
    """Do what some formats need before they are opened; return what to ask for the memory that decoding needs."""
    if kind == "AVIF":
        from PIL import AvifImagePlugin  # loads a large library that few files need

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    elif kind == "HEIF":
        import pillow_heif  # as above

        pillow_heif.options.DECODE_THREADS = 1
    elif kind == "WEBP":
        return _admit_early(stream, limits, admit)
    return admit


def _admit_early(stream: BinaryIO, limits: Limits, admit: Admit) -> Admit:
    """Ask for the memory of a WebP file before it is opened: its decoder makes its canvases at once.

    Returns:
        What to ask when it is decoded: nothing more, if it was asked for here. Nobody asks twice, because two threads
        that hold a share and wait for more would wait for each other.
    """
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
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except FileNotFoundError:
        return  # systems without it do not enforce the limit either
    used = int(os.read(statm, 100).split()[0]) * resource.getpagesize()
    os.close(statm)
    resource.setrlimit(resource.RLIMIT_AS, (used + more + _SPARE_BYTES, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
