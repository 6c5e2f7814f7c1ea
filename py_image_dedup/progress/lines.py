"""Progress as a line of text now and then, for logs and pipes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from py_image_dedup.model.events import Event, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.progress.tally import TITLES, Tally, duration_words

INTERVAL = 10.0
"""Seconds from one line to the next."""


class ProgressLines:
    """An observer that says every ten seconds how far a phase is; a short phase says nothing.

    Safe to be called from several threads.

    Args:
        write: Takes one line, without a line break.
        interval: Seconds from one line to the next.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._tally: Tally | None = None
        self._next = 0.0
        self._spoken = False

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if isinstance(event, PhaseAdvanced):
            self._advance(event)
        elif isinstance(event, PhaseStarted):
            with self._lock:
                now = self._clock()
                self._tally = Tally(event.phase, now, event.total, event.unit)
                self._next, self._spoken = now + self._interval, False
        elif isinstance(event, PhaseFinished):
            self._finish(event)

    def _advance(self, event: PhaseAdvanced) -> None:
        with self._lock:
            tally = self._tally
            if tally is None or tally.phase is not event.phase:
                return
            tally.done += event.steps
            now = self._clock()
            if now >= self._next:
                self._next, self._spoken = now + self._interval, True
                self._write(_line(tally, now))

    def _finish(self, event: PhaseFinished) -> None:
        with self._lock:
            tally, self._tally = self._tally, None
            if tally is not None and tally.phase is event.summary.phase and self._spoken:
                took = duration_words(event.summary.seconds)
                self._write(f"{TITLES[tally.phase]}: {tally.done:,} {tally.unit} in {took}")


def _line(tally: Tally, now: float) -> str:
    of = f" of {tally.total:,}" if tally.total is not None else ""
    left = tally.left(now)
    until = f", {duration_words(left)} left" if left is not None else ""
    return f"{TITLES[tally.phase]}: {tally.done:,}{of} {tally.unit}, {tally.rate(now):,.0f}/s{until}"
