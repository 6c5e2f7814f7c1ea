"""The inspection worker: a process that decodes two files in full and compares them.

Started as ``python -m py_image_dedup.inspection.worker`` by ``inspection.client`` with a socket as its standard input.
Files are decoded here and not in the program itself, because a hostile or broken file may end the process that decodes
it. The answer is JSON and nothing that could be executed. The process ends when the other side closes the socket; a
timer of the kernel ends it when a pair takes too long.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import warnings
from typing import Any, cast

import msgspec
import numpy as np

from py_image_dedup.inspection.inspect import inspect, more
from py_image_dedup.inspection.original import of_formats
from py_image_dedup.media.limits import explain
from py_image_dedup.media.worker.inspect import read_embedded, read_full
from py_image_dedup.media.worker.main import allow_memory, set_timer
from py_image_dedup.media.worker.protocol import Closed, Message, receive_file, send
from py_image_dedup.model.full_picture import FullPicture
from py_image_dedup.model.inspection import Inspection, Outcome
from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.blas import single_threaded_blas


def main() -> int:
    """Inspect pairs until the other side closes the connection.

    Returns:
        The exit code.
    """
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection, single_threaded_blas:
        try:
            while True:
                message, keeper = receive_file(connection)
                with os.fdopen(keeper, "rb") as keeper_stream:
                    _, other = receive_file(connection)
                    with os.fdopen(other, "rb") as other_stream:
                        answer = _answer(message, keeper_stream, other_stream)
                send(connection, answer)
        except Closed:
            return 0


def _answer(message: Message, keeper_stream: Any, other_stream: Any) -> Message:
    allow_memory(int(str(message["memory_bytes"])), spare=0)
    set_timer(float(str(message["timeout_seconds"])))
    max_pixels = int(str(message["max_pixels"]))
    which = "keeper"
    try:
        if message["same_pixels"]:
            one = read_embedded(keeper_stream, max_pixels)
            which = "file"
            two = read_embedded(other_stream, max_pixels)
            return {"inspection": msgspec.to_builtins(_of_same_pixels(*one, *two))}
        keeper = read_full(keeper_stream, max_pixels)
        which = "file"
        other = read_full(other_stream, max_pixels)
        which = "pair"
        return {"inspection": _inspect(message, keeper, other)}
    except Exception as error:  # noqa: BLE001 - a broken file makes decoders raise anything
        failure = explain(error)
        return {"failure": failure.reason.value, "which": which, "message": failure.message}
    finally:
        set_timer(0)


def _of_same_pixels(keeper_format: str, keeper: frozenset[str], other_format: str, other: frozenset[str]) -> Inspection:
    """Return what two files with equal pixels are to each other, by their formats and what else is in them."""
    lacks, has_more = tuple(sorted(other - keeper)), tuple(sorted(keeper - other))
    original = of_formats(keeper_format, other_format)
    if lacks:
        return more(lacks, has_more, original)
    reason = "Every pixel is equal, and nothing else is embedded in the other file only."
    return Inspection(Outcome.COVERED, reason, original=original)


def _inspect(message: Message, keeper: FullPicture, other: FullPicture) -> object:
    transform, orientation = message.get("transform"), message.get("orientation")
    matrix = None if transform is None else np.array(transform, dtype=np.float64)
    turned = None if orientation is None else Orientation(int(str(orientation)))
    return cast("object", msgspec.to_builtins(inspect(keeper, other, matrix, turned)))


if __name__ == "__main__":
    sys.exit(main())
