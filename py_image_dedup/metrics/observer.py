"""The observer that turns events of runs and of the daemon into metrics."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable
from typing import Final

from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.model import events
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.match import REMOVABLE_CLASSES, MatchClass
from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import RunResult

_DONE: Final = OutcomeStatus.DONE


class MetricsObserver:
    """Updates the instruments from the events of runs and of the daemon.

    Thread-safe: the instruments lock themselves, and only one run at a time writes the attribute.

    Args:
        instruments: The metrics to update.
        clock: Clock that returns Unix time, in seconds.
    """

    def __init__(self, instruments: Instruments, clock: Callable[[], float] = time.time) -> None:
        self._to = instruments
        self._clock = clock
        self._full = True

    def __call__(self, event: events.Event, /) -> None:  # noqa: C901 - one flat case per event
        """Handle one event."""
        to = self._to
        match event:
            case events.FileAnalysed(size, seconds, decoded):
                to.analyse_file.observe(seconds)
                to.analysed.labels("decoded" if decoded else "known").inc()
                to.analysed_bytes.inc(size)
            case events.FileFailed(failure):
                to.failures.labels(failure.phase.value, failure.reason.value).inc()
            case events.ActionFinished(outcome):
                self._action(outcome)
            case events.PhaseFinished(summary):
                to.phase_seconds.labels(summary.phase.value).observe(summary.seconds)
                if summary.phase is Phase.FIND:
                    to.find_duplicates.observe(summary.seconds)
            case events.RunStarted(full=full):
                self._full = full
            case events.RunFinished(result):
                self._finished(result)
            case events.RunFailed(full=full):
                self._full = full
                self._ended("failed")
            case events.FileEventSeen(kind):
                to.file_event.labels(kind).inc()
            case events.QueueChanged(pending, oldest):
                to.queue.set(pending)
                to.queue_age.set(oldest)
            case events.WatcherChanged(alive, wanted, restarted):
                to.watchers_alive.set(alive)
                to.watchers_wanted.set(wanted)
                to.watcher_restarts.inc(int(restarted))
            case events.StoreFailed():
                to.store_errors.inc()
            case events.IndexMeasured(entries, size):
                to.index_entries.set(entries)
                if size is not None:
                    to.index_bytes.set(size)
            case events.QuarantineMeasured(files, size):
                to.quarantine_files.set(files)
                to.quarantine_bytes.set(size)
            case (
                events.PhaseStarted()
                | events.PhaseAdvanced()
                | events.PhaseExtended()
                | events.GroupFound()
                | events.MatchReported()
            ):
                pass  # nothing to count: the phase or the run brings their result

    def _action(self, outcome: Outcome) -> None:
        kind = outcome.action.kind.value
        self._to.actions.labels(kind, outcome.status.value).inc()
        if outcome.status is _DONE:
            self._to.duplicate_action.labels(kind).inc()
            self._to.removed_bytes.labels(kind).inc(outcome.action.source.size)
        else:
            self._to.duplicate_action.labels("none").inc()

    def _finished(self, result: RunResult) -> None:
        if self._full:
            self._library(result)
        if result.error is not None:
            self._ended("failed")
        elif result.interrupted:
            self._ended("interrupted")
        else:
            self._ended("done")
        if self._full:
            self._to.full_run_seconds.set(sum(phase.seconds for phase in result.phases))

    def _library(self, result: RunResult) -> None:
        """Set the gauges of the library to its state after the run: without the files that the run removed."""
        removed = {
            each.action.source.path
            for each in result.outcomes
            if each.status is _DONE and each.action.kind is not ActionKind.EXPIRE  # a quarantine is no part of it
        }
        files: Tally[MatchClass] = Tally()
        size: Tally[MatchClass] = Tally()
        groups = 0
        for group in result.groups:
            left = [each for each in group.redundant if each.entry.stat.path not in removed]
            groups += bool(left)
            for redundant in left:
                files[redundant.match.match_class] += 1
                size[redundant.match.match_class] += redundant.entry.stat.size
        self._to.files.set(result.files - len(removed))
        self._to.groups.set(groups)
        for kind in REMOVABLE_CLASSES:
            self._to.redundant.labels(kind.value).set(files[kind])
            self._to.reclaimable.labels(kind.value).set(size[kind])

    def _ended(self, how: str) -> None:
        self._to.runs.labels("full" if self._full else "batch", how).inc()
        if self._full:
            self._to.full_run_success.set(how == "done")
            self._to.full_run_time.set(self._clock())
