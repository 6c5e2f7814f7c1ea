"""Errors in words, and the exit codes that they have."""

from __future__ import annotations

import os

from py_image_dedup.cli.exit_codes import ExitCode
from py_image_dedup.config import ConfigError
from py_image_dedup.report.text import readable


def words_for(error: Exception) -> tuple[list[str], ExitCode]:
    """Return what to print for an error, and the exit code."""
    if isinstance(error, ConfigError):
        count = len(error.problems)
        head = "The configuration has an error:" if count == 1 else f"The configuration has {count} errors:"
        return [head, *(f"  {readable(str(problem))}" for problem in error.problems)], ExitCode.USAGE
    if isinstance(error, OSError):
        name = f"{readable(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        words = f"{name}{error.strerror or error}"
    elif isinstance(error, MemoryError):
        words = "the memory of this machine is used up"
    elif _is_ours(error):
        words = readable(str(error))
    else:
        words = f"{type(error).__name__}: {readable(str(error))} (run again with -v before the command for details)"
    return [f"Error: {words}"], ExitCode.FAILED


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised with words for a person."""
    return type(error).__module__.startswith("py_image_dedup.") and bool(str(error))
