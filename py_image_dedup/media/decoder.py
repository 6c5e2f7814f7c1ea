"""The decoder: files become facts and canonical images, or pixel digests, in worker processes that may crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget, Reserve, explain
from py_image_dedup.media.opened_file import OpenedFile, opened, read_file
from py_image_dedup.media.process import command_of, end, start
from py_image_dedup.media.worker.protocol import Closed, DecodedPicture, Message, Panel, receive, send, send_file
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import PhotoFacts

__all__ = ["MEDIA_VERSION", "DecodedPicture", "Decoder", "WorkerClient"]

MEDIA_VERSION: Final = 2
"""Version of the facts, the canonical image and the pixel digest; raised when one of them changes for some file.

The next run analyses entries of another version again.
"""

DIGEST_BYTES: Final = 32
_COMMAND = command_of("py_image_dedup.media.worker.main")
_FILES_PER_PROCESS = 1000
"""A worker is replaced after this many files, which bounds what decoders leak."""
_START_SECONDS = 60.0
_Box: TypeAlias = tuple[float, float, float, float, int, int]
"""The edges of a panel, and its width and height, as a worker sends them."""
_EXTERNAL_SIGNALS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that a decoder does not raise by itself: the system was short of memory, or a user ended the process."""


class _CrashedError(MediaError):
    """The worker crashed while it decoded its ``files``-th file."""

    def __init__(self, message: str, files: int) -> None:
        super().__init__(FailureReason.CRASHED, message)
        self.files = files


@dataclass(frozen=True, slots=True)
class RawDescription:
    """The descriptive metadata of a file as they are in it.

    Attributes:
        fields: EXIF and IPTC fields, by the name of the XMP property that they mean.
        packet: The XMP packet; empty if there is none.
        orientation: EXIF orientation, 1 to 8.
        size: Width and height as it is stored, in pixels.
    """

    fields: dict[str, tuple[str, ...]]
    packet: bytes
    orientation: int
    size: tuple[int, int]


class WorkerClient:
    """The client of one decoder worker, which is started on first use and again after a crash.

    For one thread at a time. Close it, or use ``Decoder``, which does.

    Args:
        limits: Cost limits of one file.
        command: Command line of the worker.
        panels: Whether the photos inside a picture are wanted, or the extras of the worker, which need them.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = _COMMAND, *, panels: bool = False) -> None:
        self._limits = limits
        self._command = command
        self._task = "decode-with-panels" if panels else "decode"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._files = 0

    def decode(self, file: OpenedFile, kind: str, reserve: Reserve) -> DecodedPicture:
        """Return the facts and the canonical image of a file.

        Args:
            file: The file; its position is moved to the start.
            kind: The name of its format.
            reserve: Reserves the memory that decoding needs.

        Raises:
            MediaError: The file cannot be decoded; ``crashed`` and ``timeout`` included.
        """
        message, body = self._request(self._task, file, kind, reserve)
        try:
            width, height = int(str(message["width"])), int(str(message["height"]))
            facts = msgspec.convert(message["facts"], PhotoFacts)
            lengths = _lengths(message.get("extras", []))
            boxes = msgspec.convert(message.get("panels", []), list[_Box])
            sizes = [across * down for *_, across, down in boxes]
            pixels, *parts = _split(body, [width * height, *lengths, *sizes])
            extras, cut = parts[: len(lengths)], parts[len(lengths) :]
            panels = tuple(Panel(*box, each) for box, each in zip(boxes, cut, strict=True))
            image_data = bytes.fromhex(str(message["image_data"])) if "image_data" in message else None
        except (KeyError, ValueError, TypeError, msgspec.ValidationError) as error:
            raise self._invalid_answer() from error
        wrong = any(not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1 and min(box[4:]) > 0) for box in boxes)
        if not pixels or wrong or (image_data is not None and len(image_data) != DIGEST_BYTES):
            raise self._invalid_answer()
        return DecodedPicture(facts, width, height, pixels, tuple(extras), image_data, panels)

    def digest(self, file: OpenedFile, kind: str, reserve: Reserve) -> bytes:
        """Return the pixel digest of a file, 32 bytes.

        Args:
            file: The file; its position is moved to the start.
            kind: The name of its format.
            reserve: Reserves the memory that decoding needs.

        Raises:
            MediaError: The file cannot be decoded; ``crashed`` and ``timeout`` included.
        """
        digest = self._request("digest", file, kind, reserve)[1]
        if len(digest) != DIGEST_BYTES:
            raise self._invalid_answer()
        return digest

    def describe(self, file: OpenedFile, kind: str, reserve: Reserve) -> RawDescription:
        """Return the descriptive metadata of a file.

        Args:
            file: The file; its position is moved to the start.
            kind: The name of its format.
            reserve: Reserves the memory that decoding needs, which few formats do.

        Raises:
            MediaError: The file cannot be read; ``crashed`` and ``timeout`` included.
        """
        message, packet = self._request("describe", file, kind, reserve)
        try:
            fields = msgspec.convert(message["properties"], dict[str, tuple[str, ...]])
            size = msgspec.convert(message["size"], tuple[int, int])
            return RawDescription(fields, packet, int(str(message["orientation"])), size)
        except (KeyError, ValueError, msgspec.ValidationError) as error:
            raise self._invalid_answer() from error

    def close(self) -> None:
        """End the worker, which must be idle; closing twice is no error."""
        self._end()

    def start(self) -> None:
        """Start the worker if there is none, without waiting until it is ready.

        Raises:
            MediaError: ``io-error``; the worker cannot be started.
        """
        if self._files >= _FILES_PER_PROCESS or (self._process is not None and self._process.poll() is not None):
            self.close()
        if self._process is None:
            self._start()

    def _request(self, task: str, file: OpenedFile, kind: str, reserve: Reserve) -> tuple[Message, bytes]:
        """Send a request; repeat it to a new worker if one crashed that earlier files may have broken."""
        reserve = _once(reserve)
        try:
            return self._request_once(task, file, kind, reserve)
        except _CrashedError as error:
            if error.files == 1:
                raise
        return self._request_once(task, file, kind, reserve)

    def _request_once(self, task: str, file: OpenedFile, kind: str, reserve: Reserve) -> tuple[Message, bytes]:
        connection = self._ready()
        ends = time.monotonic() + self._limits.timeout_seconds
        request = {
            "task": task,
            "format": kind,
            "size": file.stat.size,
            "free": MemoryBudget.SMALL,
            "max_pixels": self._limits.max_pixels,
            "memory_bytes": self._limits.memory_bytes,
            "timeout_seconds": self._limits.timeout_seconds,
        }
        try:
            connection.settimeout(self._limits.timeout_seconds)
            os.lseek(file.descriptor, 0, os.SEEK_SET)
            send_file(connection, request, file.descriptor)
            while True:
                connection.settimeout(max(0.01, ends - time.monotonic()))
                message, body = receive(connection)
                if "needs" not in message:
                    break
                waited = time.monotonic()
                _reserve_or_refuse(connection, reserve, int(str(message["needs"])))
                ends += time.monotonic() - waited
        except TimeoutError as error:
            self._end()
            raise self._timed_out() from error
        except (Closed, OSError) as error:
            raise self._died() from error
        except MediaError:
            raise  # the memory was refused, and the worker has been notified
        except BaseException:
            self._end()  # interrupted in between: a late answer must not be taken for that of another file
            raise
        if "failure" in message:
            raise MediaError(FailureReason(str(message["failure"])), str(message["message"])[:500])
        return message, body

    def _ready(self) -> socket.socket:
        """Return the connection to a worker that waits for a file."""
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
    def _not_started(cause: str) -> MediaError:
        return MediaError(FailureReason.IO_ERROR, f"the decoder process could not be started ({cause})")

    def _end(self) -> int:
        """Kill the worker and return its exit code."""
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
                process.wait(1)  # the connection closed because it died: wait for its own exit code, not that of a kill
            except subprocess.TimeoutExpired:
                process.kill()
        code = self._end()
        if code == -signal.SIGALRM:
            return self._timed_out()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if -code in _EXTERNAL_SIGNALS:
            return MediaError(
                FailureReason.IO_ERROR, f"the decoder process was ended from outside ({cause}); run the program again"
            )
        return _CrashedError(f"the decoder crashed on this file ({cause})", files)

    def _invalid_answer(self) -> MediaError:
        self._end()
        return MediaError(FailureReason.CRASHED, "the decoder returned an invalid answer")

    def _timed_out(self) -> MediaError:
        return MediaError(FailureReason.TIMEOUT, f"decoding took more than {self._limits.timeout_seconds:g} seconds")


def _once(reserve: Reserve) -> Reserve:
    """Reserve only once although a file may be decoded twice: the memory is released after the second attempt."""
    reserved = False

    def reserve_once(needed: int) -> None:
        nonlocal reserved
        if not reserved:
            reserve(needed)
            reserved = True

    return reserve_once


def _reserve_or_refuse(connection: socket.socket, reserve: Reserve, needed: int) -> None:
    try:
        reserve(needed)
    except MediaError:
        send(connection, {"go": False})
        receive(connection)  # the worker's report of the refusal
        raise
    send(connection, {"go": True})


def _lengths(values: object) -> list[int]:
    if not isinstance(values, list):
        raise TypeError("the lengths are not a list")
    return [int(str(value)) for value in values]


def _split(body: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Split a body into parts of these lengths."""
    if min(lengths) < 0 or sum(lengths) != len(body):
        raise ValueError(f"{len(body)} bytes are not parts of {lengths}")
    ends = list(accumulate(lengths))
    return [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]


class Decoder(Closing):
    """Decodes files one at a time in a worker process, so that a crash costs one file.

    For one thread at a time; each thread has its own, and all share one budget. Creating one costs nothing: its worker
    is started by the first file, or by ``prepare``, and then reused. Use it in a ``with`` block, or close it.

    Args:
        limits: Cost limits of one file.
        budget: Memory shared with other decoders; a budget of its own by default.
        client: Client of another worker than the default one.
        panels: Whether the photos inside a picture are wanted, as local features need them; for the default client.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        budget: MemoryBudget | None = None,
        client: WorkerClient | None = None,
        *,
        panels: bool = False,
    ) -> None:
        self._limits = Limits() if limits is None else limits
        self._budget = MemoryBudget(self._limits.memory_bytes) if budget is None else budget
        self._client = WorkerClient(self._limits, panels=panels) if client is None else client

    def prepare(self) -> None:
        """Start the worker without waiting for it, ahead of the first file."""
        self._client.start()

    def decode(self, file: OpenedFile) -> DecodedPicture:
        """Return the facts and the canonical image of a file.

        Args:
            file: The file.

        Raises:
            MediaError: The file is no image (``not-an-image``), of a format that is not supported (``unsupported``),
                not whole (``truncated``, ``corrupt``), or too expensive (``too-large``, ``timeout``, ``crashed``);
                or it changed in the meantime (``changed``).
        """
        try:
            kind = _recognise(file)
            with self._budget.reservation() as reserve:
                decoded = self._client.decode(file, kind, reserve)
            file.check_unchanged()
        except Exception as error:
            raise explain(error) from error
        return decoded

    def pixel_digest(self, path: Path) -> bytes:
        """Return the pixel digest of a file, 32 bytes; see ``media.worker.pixel_digest``.

        Args:
            path: Absolute path.

        Raises:
            MediaError: As ``read_file`` and ``decode``; ``unsupported`` also where pixels cannot be compared exactly.
        """
        with read_file(path) as file:
            try:
                kind = _recognise(file)
                with self._budget.reservation() as reserve:
                    digest = self._client.digest(file, kind, reserve)
                file.check_unchanged()
            except Exception as error:
                raise explain(error) from error
        return digest

    def describe(self, expected: FileStat) -> RawDescription:
        """Return the descriptive metadata of a file, of which little more than the header is read.

        Args:
            expected: The file as it was analysed.

        Raises:
            MediaError: As ``decode``; ``changed`` if it is another file now.
        """
        with opened(expected.path) as (descriptor, stat):
            if stat.stamp != expected.stamp:
                raise MediaError(FailureReason.CHANGED, "it was changed since it was analysed")
            file = OpenedFile(stat, b"", descriptor)
            try:
                kind = _recognise(file)
                with self._budget.reservation() as reserve:
                    return self._client.describe(file, kind, reserve)
            except Exception as error:
                raise explain(error) from error

    def close(self) -> None:
        """End the worker; closing twice is no error."""
        self._client.close()


def _recognise(file: OpenedFile) -> str:
    return recognise(file.head(HEAD_BYTES), file.tail(TAIL_BYTES), file.stat.path.suffix)
