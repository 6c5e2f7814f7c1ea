"""Worker processes that run a module of this package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

_END_SECONDS = 5.0
KEPT_BYTES = 8 << 20
"""Freed memory that a process keeps for its next allocations, unless it works on large pictures."""


def allocator(kept_bytes: int) -> dict[str, str]:
    """Return the settings of glibc's allocator, as environment variables, with which a process keeps freed memory.

    Getting the same memory from the system again for each picture costs a page fault for every 4 kB: a third of the
    time of extracting the features of a small photo, and half of that of copying the pixels of a large one.

    Args:
        kept_bytes: Freed memory that is kept; half as much is the largest piece that is.
    """
    return {"MALLOC_MMAP_THRESHOLD_": str(kept_bytes // 2), "MALLOC_TRIM_THRESHOLD_": str(kept_bytes)}


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this package.

    Args:
        module: Full name of the module.
    """
    return (sys.executable, "-P", "-m", module)


def start(command: Sequence[str], stdin: int, kept_bytes: int = KEPT_BYTES) -> subprocess.Popen[bytes]:
    """Start a process that communicates with this one through its standard input.

    Args:
        command: Command line.
        stdin: Descriptor of the process's end of a socket.
        kept_bytes: Freed memory that it keeps.

    Raises:
        OSError: The process cannot be started.
    """
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # A session of its own: Ctrl-C in the terminal must not end it before this process let it finish its file.
    return subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=allocator(kept_bytes) | os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Kill a process and return its exit code; 0 if it does not end.

    A process that waits in the kernel for an unreachable network share dies only when the share answers: it is left
    behind.
    """
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_END_SECONDS)
    return 0


class Endpoint(Protocol):
    """One end of a connection to a process."""

    def fileno(self) -> int:
        """Return its descriptor."""

    def close(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Endpoint)


@dataclass(frozen=True, slots=True)
class Worker(Generic[Connection]):
    """A process with the connection to its standard input.

    Attributes:
        process: The process.
        connection: Our end of the connection.
    """

    process: subprocess.Popen[bytes]
    connection: Connection

    def close(self) -> None:
        """Close the connection and kill the process."""
        self.connection.close()
        end(self.process)


def start_worker(
    command: Sequence[str], connect: Callable[[], tuple[Connection, Connection]], kept_bytes: int = KEPT_BYTES
) -> Worker[Connection]:
    """Start a process with a connection to it.

    Args:
        command: The command of the process.
        connect: Makes the two ends of a connection, such as ``socket.socketpair``.
        kept_bytes: Freed memory that the process keeps.

    Raises:
        OSError: The process cannot be started.
    """
    ours, theirs = connect()
    try:
        return Worker(start(command, theirs.fileno(), kept_bytes), ours)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
