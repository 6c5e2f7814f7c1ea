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
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""Settings of glibc's allocator: keep a few megabytes of freed memory. Getting the same memory from the system again
for each small picture (2,000 page faults a photo) takes a third of the time of extracting its features."""


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this package.

    Args:
        module: Full name of the module.
    """
    return (sys.executable, "-P", "-m", module)


def start(command: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
    """Start a process that communicates with this one through its standard input.

    Args:
        command: Command line.
        stdin: Descriptor of the process's end of a socket.

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
        env=_MALLOC | os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
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


def start_worker(command: Sequence[str], connect: Callable[[], tuple[Connection, Connection]]) -> Worker[Connection]:
    """Start a process with a connection to it.

    Args:
        command: The command of the process.
        connect: Makes the two ends of a connection, such as ``socket.socketpair``.

    Raises:
        OSError: The process cannot be started.
    """
    ours, theirs = connect()
    try:
        return Worker(start(command, theirs.fileno()), ours)
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
