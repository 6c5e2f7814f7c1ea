"""One run at a time for a state directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

LOCK_NAME: Final = "run.lock"
"""Of the file in the state directory that is locked. It stays there; the lock goes with the process."""

_HOLDER_NAME: Final = "run.lock.holder"


class RunLockedError(Exception):
    """Another run uses the state directory; the message says which process."""


class RunLock:
    """Held while a run, an ``apply``, an ``undo`` or anything else writes to the state directory.

    A context manager. The lock of a killed process is free. Not to be shared between threads.

    Args:
        state_directory: Made if it is not there.
    """

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory
        self._holder = state_directory / _HOLDER_NAME
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock, or say who has it; never waits.

        Raises:
            RunLockedError: Another process, or another part of this one, has it.
            OSError: The state directory cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._directory / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunLockedError(
                f"another run uses {self._directory} ({self._who()}); wait until it is over, or stop it"
            ) from error
        self._lock = lock
        self._holder.write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Give the lock back; without it nothing happens."""
        if self._lock is None:
            return
        with suppress(FileNotFoundError):
            self._holder.unlink()
        self._lock.release()
        self._lock = None

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()

    def _who(self) -> str:
        try:
            return f"process {int(self._holder.read_text(encoding='ascii'))}"
        except (OSError, ValueError):
            return "a process that has just begun"
