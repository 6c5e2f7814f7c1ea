"""The command line: arguments become settings, a run, a report, an exit code."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

_NEW_OBJECTS = 100_000


def main() -> NoReturn:
    """Run the program with the arguments of the process and end it with an exit code."""
    # Imports and runs make many values and hardly a circle of them, which the collector looks for all the time.
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
    from py_image_dedup.cli.main import run

    _end(run(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """End the process without giving the memory back piece by piece, which takes longer than to search a library.

    All files are closed by then. What standard output does not take is told as the interpreter tells it.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        sys.exit(code)
    os._exit(code)
