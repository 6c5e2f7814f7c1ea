"""Decoding in a process of its own: what hangs, crashes or eats memory there costs one message here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.examined import Examined
from py_image_dedup.media.limits import Admit, Limits, MemoryBudget
from py_image_dedup.media.process import command_of, end, start
from py_image_dedup.media.source import Source
from py_image_dedup.media.worker.protocol import Closed, Message, receive, send, send_file
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import PhotoFacts

_COMMAND = command_of("py_image_dedup.media.worker.main")
DIGEST_BYTES = 32
_FILES_PER_PROCESS = 1000
"""What decoders leak ends with their process."""
_START_SECONDS = 60.0
_FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""What a decoder does not die of by itself: the system was short of memory, or somebody ended it."""


class _CrashedError(MediaError):
    """The process died of a file, which was the ``files``-th that it had."""

    def __init__(self, message: str, files: int) -> None:
        super().__init__(FailureReason.CRASHED, message)
        self.files = files


class Guard:
    """One guarded decoder process, started when it is first needed and again after it died.

    For one thread at a time. Close it, or use ``Decoder``, which does.

    Args:
        limits: What a file may cost.
        command: What to start instead of the real decoder.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = _COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._files = 0

    def examine(self, source: Source, kind: str, admit: Admit) -> Examined:
        """Do what ``media.examine.examine`` does.

        Raises:
            MediaError: Also ``crashed`` and ``timeout``.
        """
        message, body = self._ask("examine", source, kind, admit)
        try:
            width, height = int(str(message["width"])), int(str(message["height"]))
            facts = _facts(message["facts"])
            grey, *made = _cut(body, [width * height, *_lengths(message.get("made", []))])
        except (KeyError, ValueError, TypeError) as error:
            raise self._nonsense() from error
        if not grey:
            raise self._nonsense()
        return Examined(facts, width, height, grey, tuple(made))

    def digest(self, source: Source, kind: str, admit: Admit) -> bytes:
        """Do what ``media.pixels.digest_pixels`` does.

        Raises:
            MediaError: Also ``crashed`` and ``timeout``.
        """
        digest = self._ask("digest", source, kind, admit)[1]
        if len(digest) != DIGEST_BYTES:
            raise self._nonsense()
        return digest

    def close(self) -> None:
        """End the process, which has nothing in hand; closing twice is no error."""
        self._end()

    def start(self) -> None:
        """Start the process if there is none, without waiting until it is ready.

        Raises:
            MediaError: ``io-error``.
        """
        if self._files >= _FILES_PER_PROCESS or (self._process is not None and self._process.poll() is not None):
            self.close()
        if self._process is None:
            self._start()

    def _ask(self, task: str, source: Source, kind: str, admit: Admit) -> tuple[Message, bytes]:
        """Ask the process, and a new one if it crashed that had decoded other files: they may have broken it."""
        admit = _once(admit)
        try:
            return self._ask_once(task, source, kind, admit)
        except _CrashedError as error:
            if error.files == 1:
                raise
        return self._ask_once(task, source, kind, admit)

    def _ask_once(self, task: str, source: Source, kind: str, admit: Admit) -> tuple[Message, bytes]:
        connection = self._ready()
        ends = time.monotonic() + self._limits.timeout_seconds
        request = {
            "task": task,
            "format": kind,
            "size": source.stat.size,
            "free": MemoryBudget.SMALL,
            "max_pixels": self._limits.max_pixels,
            "memory_bytes": self._limits.memory_bytes,
            "timeout_seconds": self._limits.timeout_seconds,
        }
        try:
            connection.settimeout(self._limits.timeout_seconds)
            os.lseek(source.descriptor, 0, os.SEEK_SET)
            send_file(connection, request, source.descriptor)
            while True:
                connection.settimeout(max(0.01, ends - time.monotonic()))
                message, body = receive(connection)
                if "needs" not in message:
                    break
                waited = time.monotonic()
                _admit_or_refuse(connection, admit, int(str(message["needs"])))
                ends += time.monotonic() - waited
        except TimeoutError as error:
            self._end()
            raise self._overran() from error
        except (Closed, OSError) as error:
            raise self._died() from error
        except MediaError:
            raise  # refused, and the process knows
        except BaseException:
            self._end()  # interrupted half way: what it still answers must not be taken for another file's
            raise
        if "failure" in message:
            raise MediaError(FailureReason(str(message["failure"])), str(message["message"])[:500])
        return message, body

    def _ready(self) -> socket.socket:
        """Return the connection to a process that waits for a file."""
        self.start()
        connection = self._connection
        if connection is None:
            raise self._not_started("it was ended")
        if not self._files:
            try:
                connection.settimeout(_START_SECONDS)
                receive(connection)
            except (OSError, Closed) as error:
                self._end()
                raise self._not_started(str(error) or "it ended at once") from error
        self._files += 1
        return connection

    def _start(self) -> None:
        self._files = 0
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = start(self._command, theirs.fileno())
        except OSError as error:
            ours.close()
            raise self._not_started(str(error)) from error
        self._connection = ours

    @staticmethod
    def _not_started(why: str) -> MediaError:
        return MediaError(FailureReason.IO_ERROR, f"the guarded decoder could not be started ({why})")

    def _end(self) -> int:
        """Kill the process and return how it ended."""
        code = 0
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            code = end(self._process)
            self._process = None
        self._files = 0
        return code

    def _died(self) -> MediaError:
        files, process = self._files, self._process
        if process is not None:
            try:
                process.wait(1)  # it closed the connection by dying: its own cause of death, not our kill
            except subprocess.TimeoutExpired:
                process.kill()
        code = self._end()
        if code == -signal.SIGALRM:
            return self._overran()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if -code in _FROM_OUTSIDE:
            return MediaError(FailureReason.IO_ERROR, f"the decoder was ended from outside ({cause}); run it again")
        return _CrashedError(f"the decoder crashed on it ({cause})", files)

    def _nonsense(self) -> MediaError:
        self._end()
        return MediaError(FailureReason.CRASHED, "the decoder's answer made no sense")

    def _overran(self) -> MediaError:
        return MediaError(FailureReason.TIMEOUT, f"decoding it took more than {self._limits.timeout_seconds:g} seconds")


def _once(admit: Admit) -> Admit:
    """Ask once, although a picture may be decoded twice: the memory is given back when both are done."""
    asked = False

    def admit_once(needed: int) -> None:
        nonlocal asked
        if not asked:
            admit(needed)
            asked = True

    return admit_once


def _admit_or_refuse(connection: socket.socket, admit: Admit, needed: int) -> None:
    try:
        admit(needed)
    except MediaError:
        send(connection, {"go": False})
        receive(connection)  # its report of the refusal
        raise
    send(connection, {"go": True})


def _lengths(values: object) -> list[int]:
    if not isinstance(values, list):
        raise TypeError("no lengths")
    return [int(str(value)) for value in values]


def _cut(body: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Take a body apart."""
    if min(lengths) < 0 or sum(lengths) != len(body):
        raise ValueError(f"{len(body)} bytes are not parts of {lengths}")
    ends = list(accumulate(lengths))
    return [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _facts(values: object) -> PhotoFacts:
    if not isinstance(values, dict):
        raise TypeError("no facts")
    captured = values["captured"]
    return PhotoFacts(
        format=str(values["format"]),
        width=int(values["width"]),
        height=int(values["height"]),
        exif_fields=int(values["exif_fields"]),
        captured=None if captured is None else datetime.fromisoformat(str(captured)),
        camera=None if values["camera"] is None else str(values["camera"]),
        has_gps=bool(values["has_gps"]),
        frames=int(values["frames"]),
    )
