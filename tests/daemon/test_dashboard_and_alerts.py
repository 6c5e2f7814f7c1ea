"""The dashboard's queries and the alerts, evaluated by a real Prometheus over the program's own metrics."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.metrics.observer import MetricsObserver
from py_image_dedup.metrics.server import MetricsServer
from py_image_dedup.model import events
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import OutcomeStatus
from tests.daemon.process import DaemonProcess
from tests.daemon.prometheus import DEPLOY, Prometheus, dashboard_queries, need_prometheus
from tests.metrics.test_metrics import group, outcome, result
from tests.support.pictures import picture, write

pytestmark = pytest.mark.xdist_group("prometheus")


class Scraped:
    """Metrics that the test turns, and the Prometheus that reads them."""

    def __init__(self, folder: Path) -> None:
        self.instruments = Instruments("3.0.0")
        self.tell = MetricsObserver(self.instruments)
        self.server = MetricsServer("127.0.0.1", 0, self.instruments.registry, alive=dict, ready=dict)
        self.prometheus = Prometheus(folder / "prometheus", self.server.port)

    def close(self) -> None:
        self.prometheus.close()
        self.server.close()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    need_prometheus()
    both = Scraped(tmp_path_factory.mktemp("scraped"))
    both.prometheus.until("py_image_dedup_build_info")
    time.sleep(0.6)  # two samples at zero, so that what follows is an increase
    both.tell(events.RunStarted("run", dry_run=False))
    both.tell(events.FileAnalysed(1_000_000, 0.02, decoded=True))
    both.tell(events.FileEventSeen("created"))
    both.tell(events.ActionFinished(outcome(OutcomeStatus.DONE, 70)))
    both.tell(events.QueueChanged(3, 12.0))
    both.tell(events.WatcherChanged(1, 2, restarted=True))
    both.tell(events.IndexMeasured(500, 65536))
    for phase in result().phases:
        both.tell(events.PhaseFinished(phase))
    both.tell(events.RunFinished(result(group(MatchClass.SIMILAR, 70), group(MatchClass.IDENTICAL, 30))))
    both.prometheus.until("py_image_dedup_queue_paths == 3")
    time.sleep(0.6)
    yield both
    both.close()


def test_every_query_of_the_dashboard_has_an_answer(scraped: Scraped) -> None:
    unanswered = [name for name, query in dashboard_queries().items() if not scraped.prometheus.query(query)]
    assert unanswered == []


@pytest.mark.parametrize(
    ("panel", "labels", "expected"),
    [
        ("Photos A", "", 12),
        ("Groups of duplicates A", "", 2),
        ("Redundant files A", "class=similar", 1),
        ("Reclaimable space A", "class=identical", 30),
        ("Index entries A", "", 500),
        ("Waiting files A", "", 3),
        ("Oldest waiting file A", "", 12),
        ("Unwatched roots A", "", 1),
        ("Watcher restarts A", "", 1),
        ("Last full run succeeded A", "", 1),
        ("Duration A", "", 5),
        ("Up A", "", 1),
    ],
)
def test_a_panel_shows_what_happened(scraped: Scraped, panel: str, labels: str, expected: float) -> None:
    assert scraped.prometheus.query(dashboard_queries()[panel])[labels] == expected


@pytest.mark.parametrize(
    ("panel", "labels"),
    [
        ("Files moved or deleted per hour A", "action=move"),
        ("Space freed per hour A", "action=move"),
        ("Files analysed A", "state=decoded"),
        ("File events A", "type=created"),
        ("Time by phase A", "phase=find"),
    ],
)
def test_a_panel_of_a_rate_rises_with_what_happened(scraped: Scraped, panel: str, labels: str) -> None:
    assert scraped.prometheus.query(dashboard_queries()[panel])[labels] > 0


def test_every_rule_is_evaluated_and_only_the_dead_watcher_is_on_its_way(scraped: Scraped) -> None:
    end = time.monotonic() + 10
    while scraped.prometheus.alerts()["PyImageDedupWatcherDead"] == "inactive":
        assert time.monotonic() < end
        time.sleep(0.2)
    states = scraped.prometheus.alerts()
    assert states.pop("PyImageDedupWatcherDead") == "pending"
    assert set(states.values()) == {"inactive"}
    assert set(states) == {
        "PyImageDedupDown", "PyImageDedupFailing", "PyImageDedupStoreErrors", "PyImageDedupFallingBehind",
        "PyImageDedupNoFullRun", "PyImageDedupRemovalsFailing", "PyImageDedupQuarantineGrows", "PyImageDedupIndexGrows",
    }  # fmt: skip


def test_a_failed_run_a_silent_index_and_an_old_path_are_alerted(tmp_path: Path) -> None:
    need_prometheus()
    failing = Scraped(tmp_path)
    try:
        failing.prometheus.until("py_image_dedup_build_info")
        time.sleep(0.6)
        failing.tell(events.RunStarted("run", dry_run=True))
        failing.tell(events.RunFailed("the index is away"))
        for _ in range(30):
            failing.tell(events.StoreFailed("the index is away"))
        failing.tell(events.ActionFinished(outcome(OutcomeStatus.FAILED, 70)))
        failing.tell(events.QueueChanged(1, 4000.0))
        wanted = {"PyImageDedupFailing": "firing", "PyImageDedupStoreErrors": "firing"}
        wanted["PyImageDedupRemovalsFailing"] = "firing"
        wanted["PyImageDedupFallingBehind"] = "pending"
        end = time.monotonic() + 20
        while not wanted.items() <= failing.prometheus.alerts().items():
            assert time.monotonic() < end, failing.prometheus.alerts()
            time.sleep(0.2)
    finally:
        failing.close()


def test_promtool_accepts_the_rules_and_the_metrics(scraped: Scraped) -> None:
    rules = subprocess.run(
        ["promtool", "check", "rules", DEPLOY / "prometheus" / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert rules.returncode == 0, rules.stdout + rules.stderr
    url = f"http://127.0.0.1:{scraped.server.port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as page:
        text = page.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    # Two names were published by the first program and end in their type; everything else is without fault.
    published = ("analyse_file_summary", "find_duplicates_summary")
    complaints = [line for line in checked.stderr.decode().splitlines() if not line.startswith(published)]
    assert complaints == []


def test_a_real_daemon_answers_every_query_of_the_dashboard(tmp_path: Path) -> None:
    need_prometheus()
    daemon = DaemonProcess(tmp_path)
    for seed in range(3):
        write(daemon.photos / f"{seed}.jpg", picture(seed))
    prometheus = None
    try:
        daemon.start()
        prometheus = Prometheus(tmp_path / "prometheus", daemon.port)
        prometheus.until("py_image_dedup_files")
        time.sleep(0.6)
        shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
        daemon.until(lambda: daemon.moved() == {"1 copy.jpg"})
        prometheus.until('duplicate_action_total{action="move"} == 1')
        # Set when a run ends, which a busy machine may do some time after the file was moved.
        prometheus.until("py_image_dedup_index_bytes")
        prometheus.until("py_image_dedup_reclaimable_bytes")
        time.sleep(0.6)
        answers = {name: prometheus.query(query) for name, query in dashboard_queries().items()}
        assert [name for name, answer in answers.items() if not answer] == []
        assert answers["Photos A"] == {"": 3.0}
        assert answers["Files moved or deleted per hour A"]["action=move"] > 0
        assert answers["Last full run succeeded A"] == {"": 1.0}
        assert answers["Unwatched roots A"] == {"": 0.0}
        assert answers["Memory A"][""] > 10 * 2**20
    finally:
        if prometheus is not None:
            prometheus.close()
        daemon.close()
