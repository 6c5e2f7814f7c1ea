"""The decoder worker: a process that decodes files one at a time; a crash costs one file.

``media.decoder.WorkerClient`` starts it as ``python -m py_image_dedup.media.worker.main`` with a socket as its standard
input. It ends when the other side closes the socket, also when that process was killed; a decoder that hangs is ended
by a kernel timer, so a worker outlives a run by at most the time limit of one file.
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
from dataclasses import replace
from functools import partial
from typing import BinaryIO, TypeAlias

import msgspec
from PIL import Image

from py_image_dedup.media.formats import RAW, format_named
from py_image_dedup.media.limits import Limits, MediaError, Reserve, explain
from py_image_dedup.media.worker.decode import decode
from py_image_dedup.media.worker.embedded import embedded_beside
from py_image_dedup.media.worker.image_data import image_data_digest
from py_image_dedup.media.worker.jxl import read_header
from py_image_dedup.media.worker.open import has_more_pictures, open_picture, webp_bytes, webp_size
from py_image_dedup.media.worker.pixel_digest import digest_pixels
from py_image_dedup.media.worker.protocol import Closed, DecodedPicture, Message, receive, receive_file, send
from py_image_dedup.model.failure import FailureReason

Task: TypeAlias = Callable[[BinaryIO, str, Limits, Reserve], tuple[Message, bytes]]
"""``(stream, format, limits, reserve) -> (message, bytes)``."""

MakeExtras: TypeAlias = Callable[[DecodedPicture], Sequence[bytes]]
"""``decoded -> parts``: computed by a higher layer from the canonical image and the panels, in the worker itself."""

_SPARE_BYTES = 256 << 20
"""Address space beyond the reserved memory, for code that is loaded late and what the estimates leave out."""
_GRACE_SECONDS = 5.0


def main(make_extras: MakeExtras | None = None) -> int:
    """Serve requests until the other side closes the connection, and return the exit code.

    Args:
        make_extras: Computes extras from each decoded picture, which are returned with it.
    """
    # Pillow's process-wide settings are changed here and in prepare_reader only, in a process of our own: the size is
    # checked against the limits instead, and the warnings of decoders have no reader.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")
    plain = partial(_decode, make_extras=make_extras)
    return serve(
        {
            "decode": plain,
            "decode-with-panels": partial(plain, panels=True),
            "digest": _digest,
            "describe": _describe,
        }
    )


def serve(tasks: dict[str, Task]) -> int:
    """Answer requests on standard input, and return the exit code when the other side closed the connection.

    A request names a task, the format and the limits, and carries the open file. Before pixels are decoded that need
    more memory than the request allows, the worker sends ``{"needs": bytes}`` and waits for ``{"go": true}``. The
    answer is that of the task, or ``{"failure": reason, "message": text}``.

    Args:
        tasks: Tasks by name.
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

    def reserve(needed: int) -> None:
        set_timer(0)
        if needed > free:
            send(connection, {"needs": needed})
            if not receive(connection)[0].get("go"):
                raise MediaError(FailureReason.TOO_LARGE, "decoding needs more memory than is available")
        allow_memory(needed + size)
        set_timer(limits.timeout_seconds + _GRACE_SECONDS)

    try:
        allow_memory(2 * size)
        set_timer(limits.timeout_seconds + _GRACE_SECONDS)
        return tasks[str(request["task"])](stream, str(request["format"]), limits, reserve)
    except Closed:
        raise
    except Exception as error:  # noqa: BLE001 - a broken file makes decoders raise anything
        failure = explain(error)
        return {"failure": failure.reason.value, "message": failure.message}, b""
    finally:
        set_timer(0)


def _decode(
    stream: BinaryIO,
    kind: str,
    limits: Limits,
    reserve: Reserve,
    make_extras: MakeExtras | None = None,
    *,
    panels: bool = False,
) -> tuple[Message, bytes]:
    def reopen() -> Image.Image:
        stream.seek(0)
        return open_picture(stream, kind)

    image_data: bytes | None = None
    if kind == RAW:
        from py_image_dedup.media.worker.raw import decode_raw  # it needs an optional package

        decoded = decode_raw(stream, limits, reserve)
    else:
        reserve = prepare_reader(stream, kind, limits, reserve)
        with open_picture(stream, kind) as picture:
            decoded = decode(picture, kind, limits, reserve, reopen if panels else None)
            image_data = image_data_digest(stream, picture, kind)
            # The digest of a JPEG ends where its picture ends, unless others follow that belong to it.
            behind = stream.tell() if image_data is not None and "mp" not in picture.info else 0
            embedded = tuple(sorted(embedded_beside(picture, stream, kind, behind)))
            decoded = replace(decoded, facts=replace(decoded.facts, embedded=embedded))
    extras: Sequence[bytes] = ()
    if make_extras is not None:
        # A failure here is a defect of the program and not of the file: the parent then computes the extras itself and
        # sees the error.
        with suppress(Exception):
            extras = make_extras(decoded)
    message: dict[str, object] = {
        "facts": msgspec.to_builtins(decoded.facts),
        "width": decoded.width,
        "height": decoded.height,
        "extras": [len(part) for part in extras],
    }
    parts = [decoded.pixels, *extras]
    if decoded.panels and not extras:
        message["panels"] = [
            (panel.left, panel.top, panel.right, panel.bottom, panel.width, panel.height) for panel in decoded.panels
        ]
        parts += [panel.pixels for panel in decoded.panels]
    if image_data is not None:
        message["image_data"] = image_data.hex()
    return message, b"".join(parts)


def _digest(stream: BinaryIO, kind: str, limits: Limits, reserve: Reserve) -> tuple[Message, bytes]:
    if kind == RAW:
        from py_image_dedup.media.worker.raw import digest_raw  # it needs an optional package

        return {}, digest_raw(stream, limits, reserve)
    if kind == "JPEG" and has_more_pictures(stream):
        kind = "MPO"
    reserve = prepare_reader(stream, kind, limits, reserve)
    with open_picture(stream, kind) as picture:
        return {}, digest_pixels(picture, kind, limits, reserve)


def _describe(stream: BinaryIO, kind: str, limits: Limits, reserve: Reserve) -> tuple[Message, bytes]:
    from py_image_dedup.media.worker.describe import describe  # few runs merge metadata

    return describe(stream, kind, limits, prepare_reader(stream, kind, limits, reserve))


def prepare_reader(stream: BinaryIO, kind: str, limits: Limits, reserve: Reserve) -> Reserve:
    """Do what some formats need before they are opened, and return what reserves the memory of decoding."""
    if kind == "AVIF":
        from PIL import AvifImagePlugin  # loads a large library that few files need

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    elif kind == "HEIF":
        import pillow_heif  # as above

        pillow_heif.options.DECODE_THREADS = 1
    elif kind == "WEBP":
        width, height = webp_size(stream.read(30))
        stream.seek(0)
        return _reserve_early(width, height, webp_bytes(width, height), limits, reserve)
    elif kind == "JXL":
        header = read_header(stream)
        needed = (4 + format_named(kind).decoder_bytes) * header.width * header.height
        return _reserve_early(header.width, header.height, needed, limits, reserve)
    return reserve


def _reserve_early(width: int, height: int, needed: int, limits: Limits, reserve: Reserve) -> Reserve:
    """Reserve the memory of a file before it is opened, where the decoder takes it at once.

    Returns:
        A function that reserves nothing more: two threads that hold memory and wait for more would wait for each other.
    """
    limits.check_size(width, height)
    reserve(needed)
    return lambda needed: None  # noqa: ARG005 - the signature of Reserve


def set_timer(seconds: float) -> None:
    """Have the kernel end this process after a time, whatever a decoder is doing; 0 cancels it."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def allow_memory(more: int, spare: int = _SPARE_BYTES) -> None:
    """Limit the address space to what is used now, what was reserved, and some spare.

    Args:
        more: Reserved bytes.
        spare: Bytes for code that is loaded late, and for what estimates leave out.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except FileNotFoundError:
        return  # systems without it do not enforce the limit either
    used = int(os.read(statm, 100).split()[0]) * resource.getpagesize()
    os.close(statm)
    resource.setrlimit(resource.RLIMIT_AS, (used + more + spare, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main())
