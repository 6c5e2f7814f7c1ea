"""The parent's side of inspection: worker processes that are asked about pairs of files."""

from __future__ import annotations

import os
import queue
import socket
import stat as stat_bits
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
from blake3 import blake3

from py_image_dedup.inspection.thresholds import THRESHOLDS
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.process import command_of, end, start
from py_image_dedup.media.worker.protocol import Closed, Message, receive, send_file
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import TRANSIENT, FailureReason
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.inspection import Inspection, Outcome
from py_image_dedup.model.match import Orientation

_ALGORITHM: Final = 5
"""Raised when the same two files may get another answer though no threshold changed."""

VERSION: Final = int.from_bytes(blake3(f"{_ALGORITHM} {THRESHOLDS!r}".encode()).digest()[:6], "big")
"""Of the method that inspections are made with: its algorithm and all of its thresholds."""

MAX_PIXELS: Final = 150_000_000
"""The largest picture that is compared in full; the largest cameras of today reach 100 to 200 million."""
MEMORY_BYTES: Final = 4 << 30
"""Address space that comparing one pair may need: both pictures, and about 10 bytes a pixel for what is computed."""
_FILES: Final = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A pair of files to compare in full.

    Attributes:
        keeper: The file that stays, as it was when it was analysed.
        other: The file that would go.
        orientation: The turn that makes the keeper look like the other file; ``None`` if it is not known.
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
    """What came of a question.

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
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, question: Question, limits: Limits) -> Answer:
        keeper = _open(question.keeper, "the keeper")
        try:
            other = _open(question.other, "the file")
            try:
                answer = self._exchange(question, limits, keeper, other)
                _check(question.keeper, os.fstat(keeper), "the keeper")
                _check(question.other, os.fstat(other), "the file")
            finally:
                os.close(other)
        finally:
            os.close(keeper)
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
        if self._connection is None:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._process = start(command_of("py_image_dedup.inspection.worker"), theirs.fileno())
                except OSError:
                    ours.close()
                    return None
            self._connection = ours
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            end(self._process)
            self._process = None


def _undecided(cause: str, *, lasting: bool) -> Answer:
    reason = f"It could not be compared in full: {cause}."
    return Answer(Inspection(Outcome.UNDECIDED, reason), lasting)


def _open(expected: FileStat, name: str) -> int:
    """Open a file that still is what the index knows.

    Raises:
        MediaError: It is gone, may not be read, or changed.
    """
    try:
        descriptor = os.open(expected.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise MediaError(FailureReason.VANISHED, f"{name} cannot be opened ({error.strerror or error})") from error
    try:
        _check(expected, os.fstat(descriptor), name)
    except MediaError:
        with suppress(OSError):
            os.close(descriptor)
        raise
    return descriptor


def _check(expected: FileStat, seen: os.stat_result, name: str) -> None:
    stamp = (seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)
    if stamp != expected.stamp or not stat_bits.S_ISREG(seen.st_mode):
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
