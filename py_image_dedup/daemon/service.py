"""The daemon's loop: changes settle, batches run, a full run now and then picks up what events missed.

One thread runs the loop and everything that touches the index; the watchers' threads only leave changes behind. One run
at a time: what happens meanwhile waits and is merged, and if too much waits a full run takes its place.
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

_LOG = logging.getLogger(__name__)


class Postponed(Exception):  # noqa: N818 - no error: the work is done later
    """The work cannot be done now: another program's run is under way, or the run failed."""


class IndexAway(Postponed):
    """The index does not answer."""


class Runner(Protocol):
    """What the loop sets to work.

    Both kinds of runs raise ``Postponed`` when a later try may do, and return the paths that were to be handled and had
    changed by then: nobody knows them any more, so they are worth another look.
    """

    def full(self, unsettled: Collection[bytes]) -> Collection[bytes]:
        """Run all phases over the roots, and leave out the paths that are still being written."""

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> Collection[bytes]:
        """Run the phases for these files only; nothing to do is no run."""

    def below(self, raw_folder: bytes) -> Iterable[bytes]:
        """Return the files that count below a folder that appeared."""

    def counts(self, raw_path: bytes) -> bool:
        """Tell whether a file of this name would count."""


class Watching(Protocol):
    """What the loop needs of ``watcher.Watcher``."""

    @property
    def problems(self) -> dict[Path, str]:
        """Roots that are not watched, and why."""

    def check_watches(self) -> None:
        """Keep the watching alive."""

    def ensure_watched(self, raw_folders: Collection[bytes]) -> None:
        """Make sure that these folders are watched."""

    def close(self) -> None:
        """Stop watching."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When the loop does what, in seconds.

    Attributes:
        full_run_interval: From the end of a full run to the next.
        tick: Between two looks at the watchers while nothing happens.
        first_retry: After the first failure; doubled each time.
        longest_retry: What the doubling ends at.
        silence: Without a sign of life for this long the loop counts as stuck.
        batch_limit: Paths in a batch.
        backlog_limit: Paths that may wait; beyond it a full run takes their place.
    """

    full_run_interval: float = 86400.0
    tick: float = 1.0
    first_retry: float = 5.0
    longest_retry: float = 300.0
    silence: float = 900.0
    batch_limit: int = 1000
    backlog_limit: int = 200_000


class Service:
    """The loop. ``run`` blocks until ``stop``; the other methods may be called from any thread.

    Args:
        runner: Does the work.
        debouncer: Decides when a path is ready; used by the loop's thread only.
        watch: Makes the watcher, given what takes changes and what takes gaps.
        timing: When to do what.
        clock: Seconds, never going back; the debouncer's clock.
        observer: Is told the queue and what fails.
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
        self._sign_of_life = clock()
        self._watcher = watch(self.changed, self.missed)

    def changed(self, change: Change) -> None:
        """Take a change; costs next to nothing."""
        with self._lock:
            if len(self._changes) >= self._timing.backlog_limit:
                self._overrun = True
            else:
                self._changes[change] = None
        self._wake.set()

    def missed(self, root: Path) -> None:  # noqa: ARG002 - a full run looks at every root anyway
        """Take the word that changes may have been missed: a full run is due."""
        self._full_due_at = self._clock()
        self._wake.set()

    def stop(self) -> None:
        """End the loop after the file in hand."""
        self._stopping.set()
        self._wake.set()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called: what runs poll."""
        return self._stopping.is_set()

    def heartbeat(self, event: events.Event, /) -> None:  # noqa: ARG002 - any event will do
        """Listen to runs: as long as they tell something the loop is not stuck."""
        self._sign_of_life = self._clock()

    def alive(self) -> Checks:
        """What ``/healthz`` shows."""
        silent = self._clock() - self._sign_of_life
        stuck = f"no sign of life for {silent:.0f} s" if silent > self._timing.silence else None
        return {"loop": stuck}

    def ready(self) -> Checks:
        """What ``/readyz`` shows."""
        problems = "; ".join(self._watcher.problems.values()) or None
        return {"index": self._index_problem, "watchers": problems, "last run": self._run_problem}

    def run(self) -> None:
        """Work until ``stop``."""
        try:
            while not self.stopping:
                self._sign_of_life = self._clock()
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
        # A storm of events wakes the loop once a tenth of a second, not once an event.
        self._stopping.wait(min(0.1, until_due))
        self._wake.wait(max(0.0, min(self._timing.tick, until_due) - 0.1))
        self._wake.clear()

    def _take_changes(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, {}
            overrun, self._overrun = self._overrun, False
        if overrun:
            _LOG.warning("more than %d changes wait: a full run takes their place", self._timing.backlog_limit)
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
        settled = self._debouncer.take(self._timing.batch_limit)
        for raw_path in settled.never_quiet:
            _LOG.warning("%r has been changing all the time and is still waited for", raw_path)
        if not settled.ready and not settled.gone:
            return
        self._look_into(self._folders.intersection(settled.gone))
        try:
            changed = self._runner.batch(settled.ready, settled.gone)
        except Postponed as reason:
            for raw_path in (*settled.ready, *settled.gone):
                self._debouncer.note_event(raw_path)
            self._postpone(reason)
            return
        self._recovered()
        self._look_again(changed)

    def _look_into(self, raw_folders: Collection[bytes]) -> None:
        """Look once more into folders that have come to rest: while they were made or moved, events may be lost."""
        self._folders.difference_update(raw_folders)
        there = [raw_folder for raw_folder in raw_folders if os.path.isdir(raw_folder)]  # noqa: PTH112 - a raw path
        if there:
            self._watcher.ensure_watched(there)
        for raw_folder in there:
            for raw_path in self._runner.below(raw_folder):
                self._debouncer.note_event(raw_path)

    def _look_again(self, raw_paths: Collection[bytes]) -> None:
        """Wait for paths to settle as if they had had an event, once from one full run to the next."""
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
        _LOG.warning("%s; nothing is removed; trying again in %.0f s", reason, wait)

    def _recovered(self) -> None:
        if self._index_problem is not None:
            _LOG.info("the index answers again")
        self._index_problem, self._run_problem, self._retries = None, None, 0
