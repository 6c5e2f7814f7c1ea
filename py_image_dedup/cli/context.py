"""The context of a command: global options, settings, log, signals, and the standard streams."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from rich.console import Console

    from py_image_dedup.config import Loaded, Settings


class _LogLines(logging.StreamHandler[Any]):
    """Writes log lines to the current standard error, which progress bars replace. File names in them are escaped.

    Args:
        traces: Whether to print the trace of an exception.
        times: Whether each line starts with the time.
    """

    def __init__(self, *, traces: bool, times: bool) -> None:
        super().__init__()
        self._traces = traces
        self._times = times

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        from py_image_dedup.report.text import readable

        line = f"{record.levelname.capitalize()}: {readable(record.getMessage())}"
        if self._times:
            line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(record.created))} {line}"
        if record.exc_info and self._traces:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
        return line


def send_log_to_stderr(level: int, *, traces: bool, times: bool = False) -> None:
    """Write the log of the program to standard error.

    Args:
        level: Lowest level that is written.
        traces: Whether to print the trace of an exception.
        times: Whether each line starts with the time.
    """
    logger = logging.getLogger("py_image_dedup")
    logger.setLevel(level)
    logger.handlers = [_LogLines(traces=traces, times=times)]
    logger.propagate = False


class Invocation:
    """The global options of a command, and what follows from them.

    Attributes:
        verbose: Whether more is printed, with the traces of errors.
        quiet: Whether only errors are printed.
        color: Whether to use colours; ``None`` to decide by the terminal.
    """

    def __init__(self) -> None:
        self.config_file: Path | None = None
        self.state_directory: Path | None = None
        self.verbose = False
        self.quiet = False
        self.color: bool | None = None

    def change(
        self,
        *,
        config_file: Path | None = None,
        state_directory: Path | None = None,
        verbose: bool = False,
        quiet: bool = False,
        color: bool | None = None,
    ) -> None:
        """Change the given options; the others stay.

        Raises:
            click.UsageError: -v and -q were both given.
        """
        self.config_file = config_file or self.config_file
        self.state_directory = state_directory or self.state_directory
        self.verbose = verbose or self.verbose
        self.quiet = quiet or self.quiet
        self.color = self.color if color is None else color
        if self.verbose and self.quiet:
            raise click.UsageError("-v and -q contradict each other.")
        level = logging.DEBUG if self.verbose else logging.ERROR if self.quiet else logging.WARNING
        send_log_to_stderr(level, traces=self.verbose)

    def settings(self, command_line: Mapping[str, Any] | None = None) -> Settings:
        """Load the settings and print the warnings about them.

        Args:
            command_line: Values by dotted key path; ``None`` values are ignored.

        Raises:
            ConfigError: The configuration has errors.
        """
        loaded = self.load(command_line)
        for warning in loaded.warnings:
            self.say(f"Warning: {warning}")
        return loaded.settings

    def load(self, command_line: Mapping[str, Any] | None = None) -> Loaded:
        """Load the configuration without printing its warnings; see ``settings``."""
        from py_image_dedup.config import load

        given = {"state_directory": self.state_directory, **(command_line or {})}
        return load(file=self.config_file, command_line=given)

    def say(self, words: str) -> None:
        """Print a remark to standard error, unless only errors are wanted."""
        if not self.quiet:
            click.echo(words, err=True)


def roots_on_the_command_line(roots: Sequence[Path], scope: str | None) -> dict[str, Any]:
    """Return the settings that ROOTs on the command line make: they replace the configured folders, as one pool."""
    if not roots:
        return {"analysis.scope": scope}
    return {"analysis.source_directories": [str(root) for root in roots], "analysis.scope": scope or "all"}


pass_invocation = click.make_pass_decorator(Invocation)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A context manager that handles Ctrl-C and SIGTERM: the first one requests a stop, the second one stops at once.

    Args:
        say: Tells the user that the signal was received. Called from a signal handler.
        before_exit: Releases the terminal before the second signal ends the process.
    """

    def __init__(self, say: Callable[[str], None], before_exit: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self._before_exit = before_exit
        self._received: int | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Return whether a stop was requested."""
        return self._received is not None

    @property
    def exit_code(self) -> int:
        """The exit code after a stop: 128 and the number of the signal, as shells have it."""
        return 128 + (self._received or signal.SIGINT)

    def __enter__(self) -> Self:
        """Start handling the signals."""
        for number in _SIGNALS:
            self._former[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous handlers."""
        for number, former in self._former.items():
            signal.signal(number, former)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Let Ctrl-C raise ``KeyboardInterrupt`` during a question."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is Python's
        if self._received is not None:
            self._before_exit()
            # Shells and service managers expect a process to end by the signal itself.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._received = number
        # The signal may have interrupted a write to the terminal, which cannot be entered again.
        with suppress(RuntimeError):
            self._say("Stopping after the current file; press Ctrl-C again to stop at once.")


def make_safe() -> None:
    """Print characters that the locale cannot encode as ``?``, and replace closed streams by empty ones.

    Some schedulers close the standard streams; then the next file that is opened would become standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def make_console(color: bool | None = None, *, stderr: bool = False) -> Console:  # noqa: FBT001 - as in click
    """Return a console that prints text without markup, emoji or highlighting.

    Args:
        color: Whether to use colours; ``None`` to decide by the terminal.
        stderr: Whether to print to standard error.
    """
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Quiet(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=True if color else None,
        no_color=None if color is None else not color,
    )


def swallow_output() -> None:
    """Discard the rest of standard output, because its reader has closed the pipe."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, io.UnsupportedOperation):
        sys.stdout = io.StringIO()


@contextmanager
def readers_may_leave() -> Iterator[None]:
    """Let a reader such as ``head`` close the pipe early: the command continues and ends normally."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        swallow_output()


def write_bytes(parts: Iterable[str]) -> None:
    """Write UTF-8 to standard output, whatever the locale: programs read it."""
    binary: IO[Any] | None = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    if binary is None:
        sys.stdout.writelines(parts)
    else:
        binary.writelines(part.encode("utf-8") for part in parts)
        binary.flush()
