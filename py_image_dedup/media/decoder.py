"""A file becomes facts and the canonical grey picture, or a digest of its pixels, whatever it contains."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.limits import Admit, Limits, MediaError, MemoryBudget, explain
from py_image_dedup.media.process import command_of, end, start
from py_image_dedup.media.source import Source, read_source
from py_image_dedup.media.worker.protocol import Closed, Message, receive, send, send_file
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import PhotoFacts


@dataclass(frozen=True, slots=True)
class Examined:
    """What was made of one picture.

    Attributes:
        facts: What it says about itself.
        width: Of the canonical grey picture.
        height: Of the canonical grey picture.
        grey: Its bytes, row by row.
        made: What was made of it where it was decoded, as ``media.guard.Make`` says; often nothing.
    """

    facts: PhotoFacts
    width: int
    height: int
    grey: bytes
    made: tuple[bytes, ...] = ()


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


MEDIA_VERSION = 2
"""Raised when the facts, the canonical grey picture or the pixel digest of a file come out differently than before.

Entries of another version are made anew by the next run.
"""


__all__ = ["MEDIA_VERSION", "Decoded", "Decoder", "decode", "pixel_digest"]

Grey: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture that was decoded whole.

    Attributes:
        facts: What it says about itself.
        grey: The canonical grey picture: uint8 of shape (height, width), C-contiguous, read-only; see ``media.grey``.
        made: What the guarded process made of it besides, if it is one that does.
    """

    facts: PhotoFacts
    grey: Grey
    made: tuple[bytes, ...] = ()


class Decoder:
    """Decodes files, one after another, in a guarded process: what crashes there costs its file and nothing else.

    For one thread at a time; give each thread its own, and all of them one budget. Making one costs nothing: its
    process is started by the first file, or by ``prepare``, and then reused. Use it in a ``with`` block, or close it.

    Args:
        limits: What a file may cost.
        budget: Memory that several decoders share; its own if not given.
        guard: The process.
    """

    def __init__(
        self, limits: Limits | None = None, budget: MemoryBudget | None = None, guard: Guard | None = None
    ) -> None:
        self._limits = Limits() if limits is None else limits
        self._budget = MemoryBudget(self._limits.memory_bytes) if budget is None else budget
        self._guard = Guard(self._limits) if guard is None else guard

    def prepare(self) -> None:
        """Start the process, without waiting for it: there will soon be something to decode."""
        self._guard.start()

    def decode(self, source: Source) -> Decoded:
        """Make the facts and the canonical grey picture of a file that was read.

        Raises:
            MediaError: It is no picture (``not-an-image``), of a kind that is not decoded (``unsupported``), not whole
                (``truncated``, ``corrupt``), or too costly (``too-large``, ``timeout``, ``crashed``); ``changed``.
        """
        try:
            kind = _recognise(source)
            with self._budget.share() as admit:
                found = self._guard.examine(source, kind, admit)
            source.check_unchanged()
        except Exception as error:
            raise explain(error) from error
        return Decoded(found.facts, _array(found), found.made)

    def pixel_digest(self, path: Path) -> bytes:
        """Digest what a viewer shows of a file, 32 bytes; see ``media.pixels``.

        Raises:
            MediaError: As ``read_source`` and ``decode``; ``unsupported`` also where pixels cannot be compared exactly.
        """
        with read_source(path) as source:
            try:
                kind = _recognise(source)
                with self._budget.share() as admit:
                    digest = self._guard.digest(source, kind, admit)
                source.check_unchanged()
            except Exception as error:
                raise explain(error) from error
        return digest

    def close(self) -> None:
        """End the guarded process; closing twice is no error."""
        self._guard.close()

    def __enter__(self) -> Self:
        """Return the decoder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def decode(source: Source, limits: Limits | None = None) -> Decoded:
    """Decode one file; for more than one, a ``Decoder`` does not start a process for each.

    Raises:
        MediaError: As ``Decoder.decode``.
    """
    with Decoder(limits) as decoder:
        return decoder.decode(source)


def pixel_digest(path: Path, limits: Limits | None = None) -> bytes:
    """Digest the pixels of one file; for more than one, a ``Decoder`` does not start a process for each.

    Raises:
        MediaError: As ``Decoder.pixel_digest``.
    """
    with Decoder(limits) as decoder:
        return decoder.pixel_digest(path)


def _recognise(source: Source) -> str:
    return recognise(source.head(HEAD_BYTES), source.tail(TAIL_BYTES), source.stat.path.suffix)


def _array(found: Examined) -> Grey:
    return np.frombuffer(found.grey, dtype=np.uint8).reshape(found.height, found.width)
