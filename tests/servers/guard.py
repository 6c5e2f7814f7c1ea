"""Stops the servers of a test session that was killed: ``python -m tests.servers.guard PROCESS FOLDER``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.servers.node import stop_all


def main() -> None:
    """Wait until the process has ended; if its folder is still there, stop what runs in it."""
    process, session = int(sys.argv[1]), Path(sys.argv[2])
    while session.exists():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            stop_all(session)
            return
        time.sleep(1)


if __name__ == "__main__":
    main()
