"""When is a file that changed ready to be read? A pure object: no thread, no sleep, the clock is given.

A camera import, a slow network copy and an editor's save all look alike at first: events on a path. A path is handed
on when it has had no event for a while *and* has the same size and time at the end of that while as at its beginning.
So a file is never decoded half, also when the copying program writes without events in between (a network share,
``mmap``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from py_image_dedup.model.file import Stamp


@dataclass(frozen=True, slots=True)
class Debounced:
    """What is ready.

    Attributes:
        ready: Regular files that stopped changing, oldest event first.
        gone: Paths that are no files any more.
        never_quiet: Paths that have been changing for longer than the patience; told once each, still waited for.
    """

    ready: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    never_quiet: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Waiting:
    since: float
    quiet_since: float
    stamp: Stamp | None
    told: bool = False


class Debouncer:
    """Keeps the paths that had events until they are ready. Not thread-safe: the caller serialises.

    Args:
        quiet_seconds: How long a path must have no event and no change.
        clock: Seconds, never going back.
        look: The stamp of a path, or ``None`` if it is no regular file (any more).
        patience_seconds: After this long without settling a path is reported as never_quiet.
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
        # In the order of the last event: what is due stands at the front, so a look at the queue costs what is due.
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        """How many paths wait."""
        return len(self._waiting)

    @property
    def oldest_seconds(self) -> float:
        """How long the path that waits longest has waited; 0 if none does."""
        if not self._waiting:
            return 0.0
        return self._clock() - min(waiting.since for waiting in self._waiting.values())

    def note_event(self, raw_path: bytes) -> None:
        """Take an event on a path: its quiet time begins again."""
        now = self._clock()
        waiting = self._waiting.pop(raw_path, None) or _Waiting(now, now, None)
        self._wait(raw_path, waiting, self._look(raw_path), now)

    def forget(self, raw_path: bytes) -> None:
        """Drop a path that somebody else takes care of."""
        self._waiting.pop(raw_path, None)

    def pending(self) -> frozenset[bytes]:
        """The paths that wait."""
        return frozenset(self._waiting)

    def next_due(self) -> float | None:
        """When the next path could be ready, by the clock; ``None`` if none waits."""
        for waiting in self._waiting.values():
            return waiting.quiet_since + self._quiet
        return None

    def take(self, limit: int | None = None) -> Debounced:
        """Hand over what is ready now, at most ``limit`` paths, and keep the rest."""
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
            if not waiting.told and now - waiting.since >= self._patience:
                waiting.told = True
                found.append(raw_path)
        return tuple(found)
