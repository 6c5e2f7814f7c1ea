"""What runs are called."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path


def run_name(when: datetime) -> str:
    """Return the name of a run that started then: by UTC, so that names sort by time in winter and summer."""
    utc = when.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H-%M-%S}-{utc.microsecond // 1000:03}Z"


def free_run_name(when: datetime, runs: Path) -> str:
    """Return the name of a run that started then, or the next one that no run has.

    Args:
        when: With time zone.
        runs: The folder that has a folder for each run; need not be there.
    """
    while os.path.lexists(runs / (name := run_name(when))):
        when += timedelta(milliseconds=1)
    return name
