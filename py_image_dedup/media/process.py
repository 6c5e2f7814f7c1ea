"""Processes that run a module of this package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_END_SECONDS = 5.0
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""For glibc: keep a few megabytes of what was freed. Small pictures come and go by the hundred, and to get the same
memory from the system again and again (2,000 page faults a photo) takes a third of the time of describing it."""


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this package.

    Args:
        module: Its whole name.
    """
    return (sys.executable, "-P", "-m", module)


def start(command: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
    """Start a process that talks to this one through its standard input.

    Args:
        command: What to start.
        stdin: Descriptor of its end of a socket.

    Raises:
        OSError: It cannot be started.
    """
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Its own session: the terminal's Ctrl-C is for us, and we let what is in hand be finished.
    return subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=_MALLOC | os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Kill a process and return how it ended; 0 if it does not.

    One that waits in the kernel for a share that is gone does not die before the share answers: it is left behind.
    """
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(_END_SECONDS)
    return 0
