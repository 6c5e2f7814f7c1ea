"""How far a phase is, how fast, and how long it will take."""

from __future__ import annotations

from dataclasses import dataclass

from py_image_dedup.model.failure import Phase

TITLES = {
    Phase.COUNT: "Counting files",
    Phase.CLEANUP: "Cleaning the index",
    Phase.ANALYSE: "Analysing",
    Phase.FIND: "Finding duplicates",
    Phase.RANK: "Choosing keepers",
    Phase.REMOVE: "Removing",
    Phase.PRUNE: "Removing empty folders",
}
"""What a phase is called while it runs."""


@dataclass(slots=True)
class Tally:
    """A phase that runs. Not locked: its owner is.

    Attributes:
        phase: Which.
        started: When, in seconds of a monotonic clock.
        total: Steps that it will take, if that is known.
        unit: What a step is, in the plural.
        done: Steps taken.
    """

    phase: Phase
    started: float
    total: int | None
    unit: str
    done: int = 0

    def rate(self, now: float) -> float:
        """Steps a second."""
        passed = now - self.started
        return self.done / passed if passed > 0 else 0.0

    def left(self, now: float) -> float | None:
        """Seconds that it will take at this rate; ``None`` if nobody can know."""
        rate = self.rate(now)
        if self.total is None or rate == 0:
            return None
        return max(0, self.total - self.done) / rate


def duration_words(seconds: float) -> str:
    """Return ``0:42``, ``3:05`` or ``2:03:04``."""
    whole = round(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
