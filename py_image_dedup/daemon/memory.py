"""Memory that is free goes back to the system: a process that runs for a year shall not keep what a minute needed."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Ask the C library for it; one that cannot, or does so by itself, does nothing.

    glibc keeps what was freed below anything that is still in use. After a library was walked and its index loaded that
    is as much again as the index.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
