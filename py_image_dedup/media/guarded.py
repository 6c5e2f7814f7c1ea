"""Decoding in a process of its own: what hangs, crashes or eats memory there costs one message here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.examine import Examined
from py_image_dedup.media.limits import Admit, Limits
from py_image_dedup.media.source import Source
from py_image_dedup.media.wire import Closed, Message, receive, send
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.photo import PhotoFacts

_COMMAND = (sys.executable, "-P", "-m", "py_image_dedup.media.guard")
DIGEST_BYTES = 32
_FILES_PER_PROCESS = 1000
"""What decoders leak ends with their process."""
_START_SECONDS = 60.0


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
        message, grey = self._ask("examine", source, kind, admit)
        try:
            width, height = int(str(message["width"])), int(str(message["height"]))
            facts = _facts(message["facts"])
        except (KeyError, ValueError, TypeError) as error:
            raise self._nonsense() from error
        if len(grey) != width * height or not grey:
            raise self._nonsense()
        return Examined(facts, width, height, grey)

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
        """End the process; closing twice is no error."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ask(self, task: str, source: Source, kind: str, admit: Admit) -> tuple[Message, bytes]:
        connection = self._ready()
        ends = time.monotonic() + self._limits.timeout_seconds
        request = {
            "task": task,
            "format": kind,
            "size": source.stat.size,
            "descriptor": source.data is None,
            "max_pixels": self._limits.max_pixels,
            "memory_bytes": self._limits.memory_bytes,
            "timeout_seconds": self._limits.timeout_seconds,
        }
        try:
            connection.settimeout(self._limits.timeout_seconds)
            send(connection, request, source.data or b"")
            if source.descriptor is not None:
                os.lseek(source.descriptor, 0, os.SEEK_SET)
                socket.send_fds(connection, [b"f"], [source.descriptor])
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
        if self._files >= _FILES_PER_PROCESS or (self._process is not None and self._process.poll() is not None):
            self.close()
        self._files += 1
        return self._connection if self._connection is not None else self._start()

    def _start(self) -> socket.socket:
        self._files = 1
        ours, theirs = socket.socketpair()
        # Its own session: the terminal's Ctrl-C is for us, and we let the file in hand be finished.
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    self._command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                )
            self._connection = ours
            ours.settimeout(_START_SECONDS)
            receive(ours)
        except (OSError, Closed) as error:
            ours.close()
            self._end()
            words = f"the guarded decoder could not be started ({str(error) or 'it ended at once'})"
            raise MediaError(FailureReason.IO_ERROR, words) from error
        return ours

    def _end(self) -> int:
        """Kill the process and return how it ended."""
        code = 0
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            code = self._process.wait()
            self._process = None
        return code

    def _died(self) -> MediaError:
        process = self._process
        if process is not None:
            try:
                process.wait(1)  # it closed the connection by dying: its own cause of death, not our kill
            except subprocess.TimeoutExpired:
                process.kill()
        code = self._end()
        if code == -signal.SIGALRM:
            return self._overran()
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return MediaError(FailureReason.CRASHED, f"the decoder crashed on it ({cause})")

    def _nonsense(self) -> MediaError:
        self._end()
        return MediaError(FailureReason.CRASHED, "the decoder's answer made no sense")

    def _overran(self) -> MediaError:
        return MediaError(FailureReason.TIMEOUT, f"decoding it took more than {self._limits.timeout_seconds:g} seconds")


def _admit_or_refuse(connection: socket.socket, admit: Admit, needed: int) -> None:
    try:
        admit(needed)
    except MediaError:
        send(connection, {"go": False})
        receive(connection)  # its report of the refusal
        raise
    send(connection, {"go": True})


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
