"""One call of the program: its global options, and the settings that follow from them."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from rich.console import Console

    from py_image_dedup.config import Settings


class _Lines(logging.StreamHandler[Any]):
    """Log lines on standard error, wherever that is just now: progress bars put themselves in between."""

    def __init__(self, *, traces: bool) -> None:
        super().__init__()
        self._traces = traces

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        words = f"{record.levelname.capitalize()}: {record.getMessage()}"
        if record.exc_info and self._traces:
            words += "\n" + logging.Formatter().formatException(record.exc_info)
        return words


def _send_log_to_the_terminal(*, verbose: bool, quiet: bool) -> None:
    logger = logging.getLogger("py_image_dedup")
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)
    logger.handlers = [_Lines(traces=verbose)]
    logger.propagate = False


class Invocation:
    """The global options.

    Attributes:
        verbose: More is said, and errors show where they come from.
        quiet: Only errors are printed.
    """

    def __init__(self, config_file: Path | None, state_directory: Path | None, *, verbose: bool, quiet: bool) -> None:
        self.config_file: Path | None = None
        self.state_directory: Path | None = None
        self.verbose = False
        self.quiet = False
        self.change(config_file=config_file, state_directory=state_directory, verbose=verbose, quiet=quiet)

    def change(
        self,
        *,
        config_file: Path | None = None,
        state_directory: Path | None = None,
        verbose: bool = False,
        quiet: bool = False,
    ) -> None:
        """Take what is given; what is not given stays.

        Raises:
            click.UsageError: More and less shall be said at once.
        """
        self.config_file = config_file or self.config_file
        self.state_directory = state_directory or self.state_directory
        self.verbose = verbose or self.verbose
        self.quiet = quiet or self.quiet
        if self.verbose and self.quiet:
            raise click.UsageError("-v and -q contradict each other.")
        _send_log_to_the_terminal(verbose=self.verbose, quiet=self.quiet)

    def settings(self, command_line: Mapping[str, Any] | None = None) -> Settings:
        """Read the configuration and tell its warnings.

        Raises:
            ConfigError: Something is wrong with it.
        """
        from py_image_dedup.config import load

        given = {"state_directory": self.state_directory, **(command_line or {})}
        loaded = load(file=self.config_file, command_line=given)
        for warning in loaded.warnings:
            self.say(f"Warning: {warning}")
        return loaded.settings

    def say(self, words: str) -> None:
        """Print a remark beside the report, unless the user wants errors only."""
        if not self.quiet:
            click.echo(words, err=True)


def roots_on_the_command_line(roots: Sequence[Path], scope: str | None) -> dict[str, Any]:
    """Return what ROOTs mean for the settings: they are searched instead of the configured ones, as one pool."""
    if not roots:
        return {"analysis.scope": scope}
    return {"analysis.source_directories": [str(root) for root in roots], "analysis.scope": scope or "all"}


pass_invocation = click.make_pass_decorator(Invocation)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Listens for Ctrl-C, and for the signal with which a system stops a program, while it is a context.

    Args:
        say: Tells the user that it was heard. Called from a signal handler.
        before_death: Gives the terminal back before the program is ended at once.
    """

    def __init__(self, say: Callable[[str], None], before_death: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self._before_death = before_death
        self._asked = False
        self._former: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether it is time to stop."""
        return self._asked

    def __enter__(self) -> Self:
        """Begin to listen."""
        for number in _SIGNALS:
            self._former[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the signals as they were."""
        for number, former in self._former.items():
            signal.signal(number, former)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the user is asked, Ctrl-C is an answer: ``KeyboardInterrupt``."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is Python's
        if self._asked:
            self._before_death()
            # To end by the signal itself is what shells and service managers expect.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._asked = True
        # The signal may have come in the middle of a write to the terminal, which does not take another one.
        with suppress(RuntimeError):
            self._say("Stopping after the file in hand; once more stops at once.")


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


def make_console(*, stderr: bool = False) -> Console:
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
