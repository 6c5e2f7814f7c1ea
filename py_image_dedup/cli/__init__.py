"""The command line: it turns arguments into settings, a run, a report and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

_NEW_OBJECTS = 100_000


def main() -> NoReturn:
    """Run the program with the arguments of the process and end it with an exit code."""
    # Imports and runs create many objects and hardly any reference cycles: collect less often.
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
    from py_image_dedup.cli.main import run

    _end(run(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """Exit without freeing the memory object by object, which can take longer than searching a library.

    All files are closed by then. An error of standard output is left to the interpreter to report.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        sys.exit(code)
    os._exit(code)
