"""The metrics: the name, meaning and labels of each.

Four names come from py-image-dedup 2.0, so that existing dashboards keep working; the others follow
``py_image_dedup_<noun>_<unit>[_total]``. Units are seconds and bytes. No label ever holds a path.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector, Summary

from py_image_dedup.model.failure import FailureReason, Phase
from py_image_dedup.model.match import REMOVABLE_CLASSES, MatchClass
from py_image_dedup.model.plan import ActionKind, OutcomeStatus

EVENT_KINDS = ("created", "modified", "moved", "deleted", "overflow")
RUN_RESULTS = ("done", "failed", "interrupted")


class Instruments:
    """The metrics of the program in a registry of their own. Thread-safe, as prometheus_client's metrics are.

    Args:
        version: Version of the program, for ``py_image_dedup_build_info``.
    """

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        own = "py_image_dedup_"

        self.duplicate_action = Counter("duplicate_action", "Redundant files by action", ["action"], registry=registry)
        self.file_event = Counter(
            "file_event", "Changes seen in the watched folders, by type", ["type"], registry=registry
        )
        self.analyse_file = Summary("analyse_file_summary", "Seconds spent analysing a file", registry=registry)
        self.find_duplicates = Summary(
            "find_duplicates_summary", "Seconds spent finding the duplicates of a run", registry=registry
        )

        self.files = Gauge(f"{own}files", "Files in the library after the last full run", registry=registry)
        self.analysed = Counter(
            f"{own}analysed_files", "Files analysed, by state: decoded, or known content", ["state"],
            registry=registry,
        )  # fmt: skip
        self.analysed_bytes = Counter(f"{own}analysed_bytes", "Bytes of the files analysed", registry=registry)
        self.failures = Counter(
            f"{own}failures", "Files that could not be processed, by phase and reason", ["phase", "reason"],
            registry=registry,
        )  # fmt: skip
        self.phase_seconds = Summary(f"{own}phase_seconds", "Seconds spent in a phase", ["phase"], registry=registry)

        self.groups = Gauge(f"{own}groups", "Groups of duplicates after the last full run", registry=registry)
        self.redundant = Gauge(
            f"{own}redundant_files", "Redundant files after the last full run, by class", ["class"], registry=registry
        )
        self.reclaimable = Gauge(
            f"{own}reclaimable_bytes",
            "Size of the redundant files after the last full run",
            ["class"],
            registry=registry,
        )
        self.actions = Counter(f"{own}actions", "Actions by kind and outcome", ["action", "outcome"], registry=registry)
        self.removed_bytes = Counter(
            f"{own}removed_bytes",
            "Size of the files that were moved or deleted, by action",
            ["action"],
            registry=registry,
        )

        self.queue = Gauge(f"{own}queue_paths", "Changed paths waiting to be quiet or processed", registry=registry)
        self.queue_age = Gauge(
            f"{own}queue_oldest_seconds", "Waiting time of the oldest waiting path", registry=registry
        )
        self.watchers_wanted = Gauge(f"{own}watchers_wanted", "Roots that should be watched", registry=registry)
        self.watchers_alive = Gauge(f"{own}watchers_alive", "Roots that are watched", registry=registry)
        self.watcher_restarts = Counter(
            f"{own}watcher_restarts", "Watchers restarted after they had died", registry=registry
        )

        self.store_errors = Counter(f"{own}store_errors", "Errors of the index", registry=registry)
        self.index_entries = Gauge(f"{own}index_entries", "Entries in the index", registry=registry)
        self.index_bytes = Gauge(f"{own}index_bytes", "Size of the index", registry=registry)
        self.quarantine_files = Gauge(
            f"{own}quarantine_files", "Files in quarantine after the last full run", registry=registry
        )
        self.quarantine_bytes = Gauge(f"{own}quarantine_bytes", "Size of the files in quarantine", registry=registry)

        self.runs = Counter(f"{own}runs", "Runs by kind and result", ["kind", "result"], registry=registry)
        self.full_run_time = Gauge(
            f"{own}last_full_run_timestamp_seconds", "Unix time at which the last full run ended; 0 if there was none",
            registry=registry,
        )  # fmt: skip
        self.full_run_seconds = Gauge(
            f"{own}last_full_run_duration_seconds", "Duration of the last full run", registry=registry
        )
        self.full_run_success = Gauge(
            f"{own}last_full_run_success", "1 if the last full run succeeded, 0 if it failed or there was none",
            registry=registry,
        )  # fmt: skip
        Info(f"{own}build", "The version of the program", registry=registry).info({"version": version})
        ProcessCollector(registry=registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create every labelled series: an alert on a counter that never moved must see 0, not a missing series."""
        _create_series(self.duplicate_action, [("none",), *((kind.value,) for kind in ActionKind)])
        _create_series(self.file_event, [(kind,) for kind in EVENT_KINDS])
        _create_series(self.analysed, [("decoded",), ("known",)])
        _create_series(self.failures, [(phase.value, reason.value) for phase in Phase for reason in FailureReason])
        _create_series(self.phase_seconds, [(phase.value,) for phase in Phase])
        _create_series(self.redundant, [(kind.value,) for kind in MatchClass if kind in REMOVABLE_CLASSES])
        _create_series(self.reclaimable, [(kind.value,) for kind in MatchClass if kind in REMOVABLE_CLASSES])
        _create_series(self.actions, [(kind.value, status.value) for kind in ActionKind for status in OutcomeStatus])
        _create_series(self.removed_bytes, [(kind.value,) for kind in ActionKind])
        _create_series(self.runs, [(kind, result) for kind in ("full", "batch") for result in RUN_RESULTS])


def _create_series(metric: Counter | Gauge | Summary, labels: Iterable[tuple[str, ...]]) -> None:
    for values in labels:
        metric.labels(*values)
