"""The debouncer: it decides when a changed file is ready to be read. No thread and no sleep; the clock is injected.

A camera import, a slow network copy and a save in an editor all start as events on a path. A path is ready when it has
had no event for the quiet period *and* its size and time are the same at the end of the period as at its beginning. So
a file is never decoded while half written, even if the writing program causes no events in between (a network share,
``mmap``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from py_image_dedup.model.file import Stamp


@dataclass(frozen=True, slots=True)
class Debounced:
    """The paths whose quiet period has ended.

    Attributes:
        ready: Regular files that stopped changing, oldest event first.
        gone: Paths that are not regular files any more.
        never_quiet: Paths that have been changing for longer than the patience; each is reported once and stays queued.
    """

    ready: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    never_quiet: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Waiting:
    since: float
    quiet_since: float
    stamp: Stamp | None
    reported: bool = False


class Debouncer:
    """Queues the paths that had events until they are ready. Not thread-safe: the caller serialises the calls.

    Args:
        quiet_seconds: Quiet period: seconds without an event or a change.
        clock: Monotonic clock, in seconds.
        look: Returns the stamp of a path, or ``None`` if it is not a regular file.
        patience_seconds: Seconds after which a path that keeps changing is reported as never quiet.
    """

    def __init__(
        self,
        quiet_seconds: float,
        *,
        clock: Callable[[], float],
        look: Callable[[bytes], Stamp | None],
        patience_seconds: float = 3600.0,
    ) -> None:
        self._quiet = quiet_seconds
        self._clock = clock
        self._look = look
        self._patience = patience_seconds
        # In the order of the last event: due paths are at the front, so that a call costs only the due paths.
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        """Return the number of queued paths."""
        return len(self._waiting)

    @property
    def oldest_seconds(self) -> float:
        """The waiting time of the oldest queued path, in seconds; 0 if the queue is empty."""
        if not self._waiting:
            return 0.0
        return self._clock() - min(waiting.since for waiting in self._waiting.values())

    def note_event(self, raw_path: bytes) -> None:
        """Record an event on a path: its quiet period starts again."""
        now = self._clock()
        waiting = self._waiting.pop(raw_path, None) or _Waiting(now, now, None)
        self._wait(raw_path, waiting, self._look(raw_path), now)

    def forget(self, raw_path: bytes) -> None:
        """Remove a path from the queue."""
        self._waiting.pop(raw_path, None)

    def pending(self) -> frozenset[bytes]:
        """Return the queued paths."""
        return frozenset(self._waiting)

    def next_due(self) -> float | None:
        """Return the clock time at which the next path could be ready, or ``None`` if the queue is empty."""
        for waiting in self._waiting.values():
            return waiting.quiet_since + self._quiet
        return None

    def take(self, limit: int | None = None) -> Debounced:
        """Remove and return the paths that are ready, at most ``limit``; the others stay queued."""
        now = self._clock()
        ready: list[bytes] = []
        gone: list[bytes] = []
        for raw_path, waiting in list(self._waiting.items()):
            if now - waiting.quiet_since < self._quiet or len(ready) + len(gone) == limit:
                break
            stamp = self._look(raw_path)
            if stamp is not None and stamp != waiting.stamp:
                del self._waiting[raw_path]
                self._wait(raw_path, waiting, stamp, now)
                continue
            del self._waiting[raw_path]
            (gone if stamp is None else ready).append(raw_path)
        return Debounced(tuple(ready), tuple(gone), self._never_quiet(now))

    def _wait(self, raw_path: bytes, waiting: _Waiting, stamp: Stamp | None, now: float) -> None:
        waiting.stamp = stamp
        waiting.quiet_since = now
        self._waiting[raw_path] = waiting

    def _never_quiet(self, now: float) -> tuple[bytes, ...]:
        found = []
        for raw_path, waiting in self._waiting.items():
            if not waiting.reported and now - waiting.since >= self._patience:
                waiting.reported = True
                found.append(raw_path)
        return tuple(found)
