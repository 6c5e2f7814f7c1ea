"""The loop of the daemon: it debounces changes, runs batches, and starts full runs, which catch missed changes.

One thread runs the loop and everything that uses the index; the threads of the watchers only queue changes. There is
one run at a time: changes during a run are queued and merged, and if too many are queued a full run replaces them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from py_image_dedup.daemon.debounce import Debouncer
from py_image_dedup.daemon.watcher import Change
from py_image_dedup.metrics.server import Checks
from py_image_dedup.model import events
from py_image_dedup.report.text import readable

_LOG = logging.getLogger(__name__)


class Postponed(Exception):  # noqa: N818 - not an error: the work is done later
    """The work must be repeated later: another run is in progress, or the run failed."""


class IndexAway(Postponed):
    """The index is not available."""


class Runner(Protocol):
    """The interface of the runner.

    Both kinds of runs raise ``Postponed`` if a later attempt may succeed. They return the raw paths that had changed
    before they could be processed: these are not in the index any more and must be queued again.
    """

    def full(self, unfinished: Collection[bytes]) -> Collection[bytes]:
        """Run all phases over the roots without the files that are still being written."""

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> Collection[bytes]:
        """Run all phases for some files; without anything to do there is no run."""

    def below(self, raw_folder: bytes) -> Iterable[bytes]:
        """Return the files of the library below a new folder."""

    def counts(self, raw_path: bytes) -> bool:
        """Return whether a file of this path would belong to the library."""


class Watching(Protocol):
    """The interface of ``watcher.Watcher``."""

    @property
    def problems(self) -> dict[Path, str]:
        """The roots that are not watched, with the reason."""

    def check_watches(self) -> None:
        """Start and restart watchers as needed."""

    def ensure_watched(self, raw_folders: Collection[bytes]) -> None:
        """Make sure that new folders are watched."""

    def close(self) -> None:
        """Stop watching."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The intervals and limits of the loop.

    Attributes:
        full_run_interval: Seconds from the end of a full run to the next.
        tick: Seconds between two checks of the watchers while nothing happens.
        first_retry: Seconds to the attempt after the first failure; doubled after each failure.
        longest_retry: Longest time between two attempts, in seconds.
        silence: Seconds without a heartbeat after which the loop counts as stuck.
        batch_limit: Largest number of paths in a batch.
        backlog_limit: Largest number of queued changes; beyond it a full run replaces them.
    """

    full_run_interval: float
    tick: float = 1.0
    first_retry: float = 5.0
    longest_retry: float = 300.0
    silence: float = 900.0
    batch_limit: int = 1000
    backlog_limit: int = 200_000


class Service:
    """The loop. ``run`` blocks until ``stop``; the other methods are thread-safe.

    Args:
        runner: Carries out the runs.
        debouncer: Decides when a path is ready; used by the thread of the loop only.
        watch: Creates the watcher from the functions that receive changes and gaps.
        timing: Intervals and limits.
        clock: Monotonic clock, in seconds; that of the debouncer.
        observer: Receives the state of the queue and failures.
    """

    def __init__(
        self,
        runner: Runner,
        debouncer: Debouncer,
        watch: Callable[[Callable[[Change], None], Callable[[Path], None]], Watching],
        *,
        timing: Timing,
        observer: events.Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = runner
        self._debouncer = debouncer
        self._timing = timing
        self._observer = observer
        self._clock = clock
        self._lock = threading.Lock()
        self._changes: dict[Change, None] = {}
        self._overrun = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._full_due_at = clock()
        self._retry_at = clock()
        self._retries = 0
        self._index_problem: str | None = None
        self._run_problem: str | None = "there has been no full run yet"
        self._folders: set[bytes] = set()
        self._looked_again: set[bytes] = set()
        self._last_heartbeat = clock()
        self._watcher = watch(self.changed, self.missed)

    def changed(self, change: Change) -> None:
        """Queue a change."""
        with self._lock:
            if len(self._changes) >= self._timing.backlog_limit:
                self._overrun = True
            else:
                self._changes[change] = None
        self._wake.set()

    def missed(self, root: Path) -> None:  # noqa: ARG002 - a full run covers every root
        """Schedule a full run, because changes may have been missed."""
        self._full_due_at = self._clock()
        self._wake.set()

    def stop(self) -> None:
        """Stop the loop after the current file."""
        self._stopping.set()
        self._wake.set()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopping.is_set()

    def heartbeat(self, event: events.Event, /) -> None:  # noqa: ARG002 - any event will do
        """Note that the loop makes progress: as long as a run sends events, the loop is not stuck."""
        self._last_heartbeat = self._clock()

    def alive(self) -> Checks:
        """Return the checks of ``/healthz``."""
        silent = self._clock() - self._last_heartbeat
        stuck = f"no progress for {silent:.0f} s" if silent > self._timing.silence else None
        return {"loop": stuck}

    def ready(self) -> Checks:
        """Return the checks of ``/readyz``."""
        problems = "; ".join(self._watcher.problems.values()) or None
        return {"index": self._index_problem, "watchers": problems, "last run": self._run_problem}

    def run(self) -> None:
        """Run the loop until ``stop``."""
        try:
            while not self.stopping:
                self._last_heartbeat = self._clock()
                self._watcher.check_watches()
                self._take_changes()
                self._work()
                self._observer(events.QueueChanged(len(self._debouncer), self._debouncer.oldest_seconds))
                self._wait()
        finally:
            self._watcher.close()

    def _wait(self) -> None:
        due = self._debouncer.next_due()
        until_due = self._timing.tick if due is None else max(0.0, due - self._clock())
        if self._clock() < self._retry_at:
            until_due = self._timing.tick
        # A storm of events wakes the loop ten times per second at most, not once per event.
        self._stopping.wait(min(0.1, until_due))
        self._wake.wait(max(0.0, min(self._timing.tick, until_due) - 0.1))
        self._wake.clear()

    def _take_changes(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, {}
            overrun, self._overrun = self._overrun, False
        if overrun:
            _LOG.warning("more than %d changes are queued: a full run replaces them", self._timing.backlog_limit)
            self._full_due_at = self._clock()
        for change in changes:
            if change.folder:
                self._folders.add(change.raw_path)
                self._debouncer.note_event(change.raw_path)
                for raw_path in self._runner.below(change.raw_path):
                    self._debouncer.note_event(raw_path)
            elif self._runner.counts(change.raw_path):
                self._debouncer.note_event(change.raw_path)

    def _work(self) -> None:
        if self._clock() < self._retry_at:
            return
        if self._clock() >= self._full_due_at:
            self._full()
        else:
            self._batch()

    def _full(self) -> None:
        self._full_due_at = float("inf")
        try:
            changed = self._runner.full(self._debouncer.pending())
        except Postponed as reason:
            self._full_due_at = self._clock()
            self._postpone(reason)
            return
        self._recovered()
        self._looked_again.clear()
        self._look_again(changed)
        self._full_due_at = min(self._full_due_at, self._clock() + self._timing.full_run_interval)

    def _batch(self) -> None:
        due = self._debouncer.take(self._timing.batch_limit)
        for raw_path in due.never_quiet:
            _LOG.warning("%s keeps changing; it is processed when it is quiet", readable(os.fsdecode(raw_path)))
        if not due.ready and not due.gone:
            return
        self._look_into(self._folders.intersection(due.gone))
        try:
            changed = self._runner.batch(due.ready, due.gone)
        except Postponed as reason:
            for raw_path in (*due.ready, *due.gone):
                self._debouncer.note_event(raw_path)
            self._postpone(reason)
            return
        self._recovered()
        self._look_again(changed)

    def _look_into(self, raw_folders: Collection[bytes]) -> None:
        """Look again into folders that are quiet now: while they were created or moved, events may have been lost."""
        self._folders.difference_update(raw_folders)
        there = [raw_folder for raw_folder in raw_folders if os.path.isdir(raw_folder)]  # noqa: PTH112 - a raw path
        if there:
            self._watcher.ensure_watched(there)
        for raw_folder in there:
            for raw_path in self._runner.below(raw_folder):
                self._debouncer.note_event(raw_path)

    def _look_again(self, raw_paths: Collection[bytes]) -> None:
        """Queue paths as if they had had an event, once between two full runs."""
        for raw_path in set(raw_paths) - self._looked_again:
            self._looked_again.add(raw_path)
            self._debouncer.note_event(raw_path)

    def _postpone(self, reason: Postponed) -> None:
        self._run_problem = str(reason)
        if isinstance(reason, IndexAway):
            self._index_problem = str(reason)
            self._observer(events.StoreFailed(str(reason)))
        if self.stopping:
            return
        wait = min(self._timing.longest_retry, self._timing.first_retry * 2**self._retries)
        self._retries += 1
        self._retry_at = self._clock() + wait
        _LOG.warning("%s; nothing is removed; next attempt in %.0f s", readable(str(reason)), wait)

    def _recovered(self) -> None:
        if self._index_problem is not None:
            _LOG.info("the index is available again")
        self._index_problem, self._run_problem, self._retries = None, None, 0
