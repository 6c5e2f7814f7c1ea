"""Both ends of inspection in worker processes: the pool that sends pairs of files, and the process that compares them.

Files are decoded in a process of their own and not in the program itself, because a hostile or broken file may end the
process that decodes it. The worker is started as ``python -m py_image_dedup.inspection.client`` with a socket as its
standard input, and only there are the decoders and the comparison imported. Its answer is JSON and nothing that could
be executed. It ends when the other side closes the socket; a timer of the kernel ends it when a pair takes too long.
"""

from __future__ import annotations

import os
import queue
import resource
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import msgspec
from blake3 import blake3

from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.media.limits import Limits, MediaError, explain
from py_image_dedup.media.opened_file import opened
from py_image_dedup.media.process import Worker, command_of, start_worker
from py_image_dedup.media.worker.protocol import Closed, Message, receive, receive_file, send, send_file
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import TRANSIENT, FailureReason
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.inspection import Inspection, Outcome
from py_image_dedup.model.match import Orientation

if TYPE_CHECKING:
    from py_image_dedup.model.full_picture import FullPicture

_ALGORITHM: Final = 11
"""Raised when the same two files may get another answer though no threshold changed."""

VERSION: Final = int.from_bytes(blake3(f"{_ALGORITHM} {THRESHOLDS!r}".encode()).digest()[:6], "big")
"""Of the method that inspections are made with: its algorithm and all of its thresholds."""

MAX_PIXELS: Final = 150_000_000
"""The largest picture that is compared in full; the largest cameras of today reach 100 to 200 million."""
MEMORY_BYTES: Final = 4 << 30
"""Address space that comparing one pair may need: both pictures, and about 10 bytes a pixel for what is computed."""
KEPT_BYTES: Final = 128 << 20
"""Freed memory that a worker keeps for the next picture: 12 megapixels are 36 MB."""
_FILES: Final = 2
_COMMAND: Final = command_of("py_image_dedup.inspection.client")


@dataclass(frozen=True, slots=True)
class Question:
    """A pair of files to compare in full.

    Attributes:
        keeper: The file that stays, as it was when it was analysed.
        other: The file that would go.
        orientation: The orientation that makes the keeper look like the other file; ``None`` if it is not known.
        transform: 3 x 3, row by row, from the keeper's pixels to the other's; ``None`` if each shows the whole of the
            other.
        same_pixels: All pixels are known to be equal, so that only what is embedded beside them is compared.
    """

    keeper: FileStat
    other: FileStat
    orientation: Orientation | None = None
    transform: tuple[tuple[float, ...], ...] | None = None
    same_pixels: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question.

    Attributes:
        inspection: The verdict; ``undecided`` where a file could not be compared.
        lasting: The same files get the same answer again, so that it may be remembered.
    """

    inspection: Inspection
    lasting: bool


class InspectionPool(Closing):
    """Worker processes that compare pairs of files. For one thread at a time; use it in a ``with`` block.

    Processes start with the first question. One that dies or takes too long costs its pair and is replaced.

    Args:
        processes: How many pairs are compared at a time.
        limits: What a file may cost; a pair may take twice the time of a file.
    """

    def __init__(self, processes: int, limits: Limits) -> None:
        self._limits = limits
        self._count = max(1, processes)
        self._threads = ThreadPoolExecutor(self._count, "inspect")
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._processes = [_Process() for _ in range(self._count)]
        for process in self._processes:
            self._idle.put(process)

    def ask(
        self, questions: Iterable[Question], should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Question, Answer]]:
        """Compare pairs of files, several at a time.

        Args:
            questions: The pairs.
            should_stop: Polled; when true, no further pair is begun.

        Yields:
            Each question with its answer, as they come.
        """
        pending = iter(questions)
        running: dict[Future[Answer], Question] = {}
        while True:
            wanted = 0 if should_stop() else 2 * self._count - len(running)
            for question in islice(pending, wanted):
                running[self._threads.submit(self._answer, question)] = question
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()

    def close(self) -> None:
        """End the processes."""
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    def _answer(self, question: Question) -> Answer:
        process = self._idle.get()
        try:
            return process.ask(question, self._limits)
        except MediaError as error:
            return _undecided(error.message, lasting=error.reason not in TRANSIENT)
        finally:
            self._idle.put(process)


class _Process:
    """One worker process; for one thread at a time. It starts when it is needed."""

    def __init__(self) -> None:
        self._worker: Worker[socket.socket] | None = None

    def ask(self, question: Question, limits: Limits) -> Answer:
        with _unchanged(question.keeper, "the keeper") as keeper, _unchanged(question.other, "the file") as other:
            answer = self._exchange(question, limits, keeper, other)
        if answer is None:
            return _undecided("comparing the two files in full took too long or ended the decoder", lasting=False)
        if "failure" in answer:
            reason = FailureReason(str(answer["failure"]))
            which = {"keeper": "the keeper could not be decoded in full: ", "file": "it could not be decoded in full: "}
            return _undecided(
                which.get(str(answer["which"]), "") + str(answer["message"]), lasting=reason not in TRANSIENT
            )
        return Answer(msgspec.convert(answer["inspection"], Inspection), lasting=True)

    def _exchange(self, question: Question, limits: Limits, keeper: int, other: int) -> Message | None:
        """Send the question and wait for the answer; ``None`` if the process died of it."""
        connection = self._connected()
        if connection is None:
            return None
        seconds = _FILES * limits.timeout_seconds
        message = {
            "max_pixels": min(MAX_PIXELS, limits.max_pixels),
            "memory_bytes": MEMORY_BYTES,
            "timeout_seconds": seconds,
            "orientation": None if question.orientation is None else int(question.orientation),
            "transform": question.transform,
            "same_pixels": question.same_pixels,
        }
        try:
            connection.settimeout(seconds + 5)
            send_file(connection, message, keeper)
            send_file(connection, {}, other)
            return receive(connection)[0]
        except (Closed, TimeoutError, OSError):
            self.close()
            return None

    def _connected(self) -> socket.socket | None:
        if self._worker is None:
            with suppress(OSError):
                self._worker = start_worker(_COMMAND, socket.socketpair, KEPT_BYTES)
        return None if self._worker is None else self._worker.connection

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _undecided(cause: str, *, lasting: bool) -> Answer:
    reason = f"It could not be compared in full: {cause}."
    return Answer(Inspection(Outcome.UNDECIDED, reason), lasting)


@contextmanager
def _unchanged(expected: FileStat, name: str) -> Iterator[int]:
    """Open a file that is what the index knows, before the block and after it.

    Raises:
        MediaError: It is gone, may not be read, or changed.
    """
    with ExitStack() as stack:
        try:
            descriptor, seen = stack.enter_context(opened(expected.path))
        except MediaError as error:
            raise MediaError(error.reason, f"{name} cannot be opened ({error.message})") from error
        _check(expected, seen, name)
        yield descriptor
        now = os.fstat(descriptor)
        _check(expected, FileStat(expected.path, now.st_size, now.st_mtime_ns, now.st_dev, now.st_ino), name)


def _check(expected: FileStat, seen: FileStat, name: str) -> None:
    if seen.stamp != expected.stamp:
        raise MediaError(FailureReason.CHANGED, f"{name} changed since it was analysed")


def encode(inspection: Inspection) -> bytes:
    """Return an inspection as the JSON text that the index keeps."""
    return msgspec.json.encode(inspection)


def decode(data: bytes) -> Inspection | None:
    """Return the inspection of a JSON text; ``None`` if it is none, so that the pair is compared again."""
    try:
        return msgspec.json.decode(data, type=Inspection)
    except msgspec.DecodeError:  # of which a wrong type is one
        return None


def main() -> int:
    """Inspect pairs until the other side closes the connection: what the worker process does.

    Returns:
        The exit code.
    """
    from py_image_dedup.signature.blas import single_threaded_blas

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection, single_threaded_blas:
        try:
            while True:
                message, keeper = receive_file(connection)
                with os.fdopen(keeper, "rb") as keeper_stream:
                    _, other = receive_file(connection)
                    with os.fdopen(other, "rb") as other_stream:
                        response = _respond(message, keeper_stream, other_stream)
                send(connection, response)
        except Closed:
            return 0


def _respond(message: Message, keeper_stream: BinaryIO, other_stream: BinaryIO) -> Message:
    from py_image_dedup.media.worker.inspect import read_embedded, read_full
    from py_image_dedup.media.worker.main import allow_memory, set_timer

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
    from py_image_dedup.inspection.detail import more
    from py_image_dedup.inspection.original import of_formats

    lacks, has_more = tuple(sorted(other - keeper)), tuple(sorted(keeper - other))
    original = of_formats(keeper_format, other_format)
    if lacks:
        return more(lacks, has_more, original)
    reason = "Every pixel is equal, and nothing else is embedded in the other file only."
    return Inspection(Outcome.COVERED, reason, original=original)


def _inspect(message: Message, keeper: FullPicture, other: FullPicture) -> object:
    import numpy as np

    from py_image_dedup.inspection.inspect import inspect

    transform, orientation = message.get("transform"), message.get("orientation")
    matrix = None if transform is None else np.array(transform, dtype=np.float64)
    turned = None if orientation is None else Orientation(int(str(orientation)))
    return cast("object", msgspec.to_builtins(inspect(keeper, other, matrix, turned)))


if __name__ == "__main__":
    sys.exit(main())
