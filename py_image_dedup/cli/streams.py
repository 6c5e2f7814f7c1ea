"""Standard output and error that never fail over a name, a locale or a closed pipe."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def make_safe() -> None:
    """Let characters that the locale cannot show become ``?`` instead of an error.

    Streams that the caller has closed, as some schedulers do, become empty ones: otherwise nothing could be written,
    and the next file that is opened takes the place of standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def console(*, stderr: bool = False) -> Console:
    """Make a console that prints names as they are: nothing in them is markup, a smiley or a number to colour."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Quiet(stderr=stderr, highlight=False, markup=False, emoji=False)


def swallow_output() -> None:
    """Send what is still to be written to standard output nowhere, because nobody reads it any more."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, io.UnsupportedOperation):
        sys.stdout = io.StringIO()


@contextmanager
def readers_may_leave() -> Iterator[None]:
    """Let a reader such as ``head`` close the pipe early; the command goes on and ends as it would have."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        swallow_output()


def write_bytes(text: str) -> None:
    """Write UTF-8 to standard output whatever the locale says: programs read it."""
    binary: IO[Any] | None = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    if binary is None:
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8"))
        binary.flush()
