"""The command line: arguments become settings, a run, a report, an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the program with the arguments of the process and end it with an exit code."""
    from py_image_dedup.cli.application import run

    sys.exit(run(sys.argv[1:]))
