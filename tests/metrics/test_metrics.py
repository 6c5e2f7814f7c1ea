"""The metrics that a run leaves behind, read as Prometheus reads them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.metrics.observer import MetricsObserver
from py_image_dedup.metrics.server import MetricsServer
from py_image_dedup.model import events
from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import PhaseSummary, RunResult

NOW = 1_800_000_000.0


@pytest.fixture
def instruments() -> Instruments:
    return Instruments("3.0.0")


@pytest.fixture
def observe(instruments: Instruments) -> MetricsObserver:
    return MetricsObserver(instruments, clock=lambda: NOW)


def value(instruments: Instruments, name: str, **labels: str) -> float | None:
    return instruments.registry.get_sample_value(name, labels)


def stat(name: str, size: int) -> FileStat:
    return FileStat(Path("/photos") / name, size, 1, 1, hash(name) % 1000)


def entry(name: str, size: int) -> IndexEntry:
    return IndexEntry(stat(name, size), Versions(1, 1), b"d" * 32)


def outcome(status: OutcomeStatus, size: int = 70) -> Outcome:
    action = Action(
        1, 1, ActionKind.MOVE, MatchClass.SIMILAR, stat("b.jpg", size), b"", stat("a.jpg", 9), b"", Path("/photos")
    )
    return Outcome(action, status)


def result(
    *groups: RankedGroup, error: str | None = None, interrupted: bool = False, outcomes: tuple[Outcome, ...] = ()
) -> RunResult:
    return RunResult(
        "run", datetime(2026, 1, 1, tzinfo=UTC), not outcomes, (Path("/photos"),), 0.1, groups, outcomes, files=12,
        error=error, interrupted=interrupted, phases=(PhaseSummary(Phase.COUNT, 2.0), PhaseSummary(Phase.FIND, 3.0)),
    )  # fmt: skip


def group(kind: MatchClass, size: int) -> RankedGroup:
    match = Match(entry("a.jpg", 9), entry("b.jpg", size), kind)
    return RankedGroup(match.left, (Redundant(match, Reason("path", "a", "b")),))


def test_every_labelled_series_exists_at_zero_before_anything_happened(instruments: Instruments) -> None:
    assert value(instruments, "duplicate_action_total", action="move") == 0
    assert value(instruments, "file_event_total", type="created") == 0
    assert value(instruments, "py_image_dedup_failures_total", phase="analyse", reason="truncated") == 0
    assert value(instruments, "py_image_dedup_runs_total", kind="full", result="failed") == 0
    assert value(instruments, "py_image_dedup_redundant_files", **{"class": "same-pixels"}) == 0
    assert value(instruments, "py_image_dedup_last_full_run_success") == 0


def test_names_that_the_first_program_published_are_kept(instruments: Instruments) -> None:
    assert value(instruments, "analyse_file_summary_count") == 0
    assert value(instruments, "find_duplicates_summary_sum") == 0


def test_a_moved_file_counts_as_a_move_and_its_bytes_as_removed(
    instruments: Instruments, observe: MetricsObserver
) -> None:
    observe(events.ActionFinished(outcome(OutcomeStatus.DONE)))
    assert value(instruments, "duplicate_action_total", action="move") == 1
    assert value(instruments, "py_image_dedup_removed_bytes_total", action="move") == 70


def test_a_planned_or_skipped_action_counts_as_none_done(instruments: Instruments, observe: MetricsObserver) -> None:
    observe(events.ActionFinished(outcome(OutcomeStatus.PLANNED)))
    observe(events.ActionFinished(outcome(OutcomeStatus.SKIPPED)))
    assert value(instruments, "duplicate_action_total", action="none") == 2
    assert value(instruments, "duplicate_action_total", action="move") == 0
    assert value(instruments, "py_image_dedup_actions_total", action="move", outcome="skipped") == 1


def test_a_full_run_sets_the_library_by_class(instruments: Instruments, observe: MetricsObserver) -> None:
    observe(events.RunStarted("run", dry_run=True))
    observe(events.RunFinished(result(group(MatchClass.SIMILAR, 70), group(MatchClass.IDENTICAL, 30))))
    assert value(instruments, "py_image_dedup_files") == 12
    assert value(instruments, "py_image_dedup_groups") == 2
    assert value(instruments, "py_image_dedup_reclaimable_bytes", **{"class": "similar"}) == 70
    assert value(instruments, "py_image_dedup_reclaimable_bytes", **{"class": "identical"}) == 30
    assert value(instruments, "py_image_dedup_last_full_run_timestamp_seconds") == NOW
    assert value(instruments, "py_image_dedup_last_full_run_duration_seconds") == 5.0
    assert value(instruments, "py_image_dedup_last_full_run_success") == 1


def test_after_a_real_run_the_gauges_are_without_what_it_removed(
    instruments: Instruments, observe: MetricsObserver
) -> None:
    moved = result(group(MatchClass.SIMILAR, 70), outcomes=(outcome(OutcomeStatus.DONE),))
    skipped = result(group(MatchClass.SIMILAR, 70), outcomes=(outcome(OutcomeStatus.SKIPPED),))
    for run, files, left, size in ((skipped, 12, 1, 70), (moved, 11, 0, 0)):
        observe(events.RunStarted("run", dry_run=False))
        observe(events.RunFinished(run))
        assert value(instruments, "py_image_dedup_files") == files
        assert value(instruments, "py_image_dedup_groups") == left
        assert value(instruments, "py_image_dedup_redundant_files", **{"class": "similar"}) == left
        assert value(instruments, "py_image_dedup_reclaimable_bytes", **{"class": "similar"}) == size


def test_a_file_that_leaves_the_quarantine_was_no_file_of_the_library(
    instruments: Instruments, observe: MetricsObserver
) -> None:
    done = outcome(OutcomeStatus.DONE)
    expired = replace(done, action=replace(done.action, kind=ActionKind.EXPIRE))
    observe(events.RunStarted("run", dry_run=False))
    observe(events.RunFinished(result(outcomes=(expired,))))
    assert value(instruments, "py_image_dedup_files") == 12


def test_a_batch_leaves_the_library_figures_of_the_full_run(instruments: Instruments, observe: MetricsObserver) -> None:
    observe(events.RunStarted("run", dry_run=True))
    observe(events.RunFinished(result(group(MatchClass.SIMILAR, 70))))
    observe(events.RunStarted("batch", dry_run=True, full=False))
    observe(events.RunFinished(result()))
    assert value(instruments, "py_image_dedup_groups") == 1
    assert value(instruments, "py_image_dedup_runs_total", kind="batch", result="done") == 1


@pytest.mark.parametrize(
    ("how", "event"),
    [
        ("failed", events.RunFailed("the index is away")),
        ("failed", events.RunFinished(result(error="x"))),
        ("interrupted", events.RunFinished(result(interrupted=True))),
    ],
)
def test_a_full_run_that_did_not_end_well_is_no_success(
    instruments: Instruments, observe: MetricsObserver, how: str, event: events.Event
) -> None:
    observe(events.RunStarted("run", dry_run=True))
    observe(event)
    assert value(instruments, "py_image_dedup_last_full_run_success") == 0
    assert value(instruments, "py_image_dedup_runs_total", kind="full", result=how) == 1


def test_a_batch_that_could_not_begin_says_nothing_about_the_last_full_run(
    instruments: Instruments, observe: MetricsObserver
) -> None:
    observe(events.RunStarted("run", dry_run=True))
    observe(events.RunFinished(result()))
    observe(events.RunFailed("the index is away", full=False))
    assert value(instruments, "py_image_dedup_last_full_run_success") == 1
    assert value(instruments, "py_image_dedup_runs_total", kind="batch", result="failed") == 1
    assert value(instruments, "py_image_dedup_runs_total", kind="full", result="failed") == 0


def test_a_failure_is_counted_by_phase_and_reason(instruments: Instruments, observe: MetricsObserver) -> None:
    failure = Failure(Path("/photos/x.jpg"), Phase.ANALYSE, FailureReason.TRUNCATED, "ends in the middle")
    observe(events.FileFailed(failure))
    assert value(instruments, "py_image_dedup_failures_total", phase="analyse", reason="truncated") == 1


def test_analysis_is_counted_with_its_time_and_bytes(instruments: Instruments, observe: MetricsObserver) -> None:
    observe(events.FileAnalysed(1000, 0.25, decoded=True))
    observe(events.FileAnalysed(500, 0.05, decoded=False))
    assert value(instruments, "analyse_file_summary_sum") == pytest.approx(0.30)
    assert value(instruments, "py_image_dedup_analysed_files_total", state="known") == 1
    assert value(instruments, "py_image_dedup_analysed_bytes_total") == 1500


def test_the_daemons_own_events_have_their_metrics(instruments: Instruments, observe: MetricsObserver) -> None:
    observe(events.FileEventSeen("moved"))
    observe(events.QueueChanged(7, 3.5))
    observe(events.WatcherChanged(1, 2, restarted=True))
    observe(events.StoreFailed("away"))
    observe(events.IndexMeasured(100, 4096))
    observe(events.QuarantineMeasured(3, 2048))
    assert value(instruments, "file_event_total", type="moved") == 1
    assert value(instruments, "py_image_dedup_queue_paths") == 7
    assert value(instruments, "py_image_dedup_queue_oldest_seconds") == 3.5
    assert value(instruments, "py_image_dedup_watchers_alive") == 1
    assert value(instruments, "py_image_dedup_watcher_restarts_total") == 1
    assert value(instruments, "py_image_dedup_store_errors_total") == 1
    assert value(instruments, "py_image_dedup_index_bytes") == 4096
    assert value(instruments, "py_image_dedup_quarantine_files") == 3
    assert value(instruments, "py_image_dedup_quarantine_bytes") == 2048


class Health:
    def __init__(self) -> None:
        self.problem: str | None = None


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(instruments: Instruments, health: Health) -> Iterator[MetricsServer]:
    pages = MetricsServer(
        "127.0.0.1", 0, instruments.registry, alive=lambda: {"loop": None}, ready=lambda: {"index": health.problem}
    )
    yield pages
    pages.close()


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_metrics_page_is_in_the_text_format(server: MetricsServer) -> None:
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'duplicate_action_total{action="move"} 0.0' in text
    assert 'py_image_dedup_build_info{version="3.0.0"} 1.0' in text


def test_readiness_tells_what_is_wrong_and_recovers(server: MetricsServer, health: Health) -> None:
    assert get(server, "/readyz")[0] == 200
    health.problem = "no answer"
    status, text = get(server, "/readyz")
    assert status == 503
    assert json.loads(text) == {"status": "failing", "checks": {"index": "no answer"}}
    assert get(server, "/healthz")[0] == 200
    health.problem = None
    assert get(server, "/readyz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/debug", "/metrics/", "/../etc/passwd"])
def test_nothing_but_the_three_pages_is_served(server: MetricsServer, path: str) -> None:
    assert get(server, path)[0] == 404
