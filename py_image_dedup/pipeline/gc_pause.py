"""Python's collector of circles, kept from looking where there are none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the collector for a phase that makes a small tuple or two for every file of a library.

    None of them is in a circle, and the collector would look at all of them again and again: a fifth of the time of a
    run over an unchanged library. It goes on afterwards, unless somebody else had paused it.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
