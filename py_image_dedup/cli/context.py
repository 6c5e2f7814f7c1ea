"""One call of the program: its global options, and the settings that follow from them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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
