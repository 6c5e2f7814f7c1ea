"""What the program's end tells the one who started it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The codes, listed in every help text."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3


EPILOG = """\b
Exit codes:
  0  done
  1  the run failed, or was stopped before its end
  2  wrong usage or configuration
  3  done, but some removals were not carried out"""
