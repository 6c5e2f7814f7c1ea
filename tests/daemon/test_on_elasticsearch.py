"""The daemon as a process on a real server that goes away and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from py_image_dedup.store.elastic import ElasticOptions, ElasticStore
from tests.daemon.process import QUIET_SECONDS, DaemonProcess
from tests.servers.distribution import NEWEST
from tests.servers.node import Node, prepare
from tests.servers.plugin import started
from tests.support.pictures import picture, write

pytestmark = [pytest.mark.elasticsearch, pytest.mark.timeout(600)]

STORE_ERRORS = "py_image_dedup_store_errors_total"
BATCHES = 'py_image_dedup_runs_total{kind="batch",result="done"}'


@pytest.fixture
def node() -> Iterator[Node]:
    """A server for one test at a time: nobody else is on it when it is killed."""
    name = f"daemon-{os.getpid()}"
    made = started(name, lambda session: prepare(NEWEST, session, name))
    if made.pid is None:
        made.start()
    yield made
    if made.pid is not None:
        made.resume()


@pytest.fixture
def daemon(tmp_path: Path, node: Node) -> Iterator[DaemonProcess]:
    elastic = {"host": "127.0.0.1", "port": node.port, "index": f"daemon-{uuid4().hex[:12]}"}
    made = DaemonProcess(tmp_path, elasticsearch=elastic)
    for seed in range(4):
        write(made.photos / f"{seed}.jpg", picture(seed))
    yield made
    made.close()


def known(daemon: DaemonProcess) -> set[str]:
    elastic = daemon.settings["elasticsearch"]
    assert isinstance(elastic, dict)
    options = ElasticOptions(hosts=(elastic["host"],), port=elastic["port"], index=elastic["index"])
    with ElasticStore(options) as store:
        return {entry.stat.path.name for entry in store.entries([daemon.photos])}


def not_ready(daemon: DaemonProcess, reason: str) -> Callable[[], bool]:
    def holds() -> bool:
        status, text = daemon.page("/readyz")
        return status == 503 and reason in text

    return holds


def test_what_happens_while_the_server_is_away_is_handled_when_it_is_back(daemon: DaemonProcess, node: Node) -> None:
    daemon.start()
    assert known(daemon) == {f"{seed}.jpg" for seed in range(4)}
    node.kill()
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    write(daemon.photos / "new.jpg", picture(20))
    (daemon.photos / "3.jpg").unlink()
    daemon.until(not_ready(daemon, node.url))
    assert daemon.page("/healthz")[0] == 200
    daemon.until(lambda: daemon.metric(STORE_ERRORS) >= 2)
    assert daemon.metric("py_image_dedup_queue_paths") == 3
    assert daemon.moved() == set()
    assert daemon.metric(BATCHES) == 0
    assert daemon.metric("py_image_dedup_last_full_run_success") == 1
    assert "nothing is removed" in daemon.words()
    assert "Traceback" not in daemon.words()
    node.start()
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"}, 120)
    daemon.until(daemon.is_ready)
    daemon.until(daemon.is_quiet)
    assert known(daemon) == {"0.jpg", "1.jpg", "2.jpg", "new.jpg"}
    assert "the index is available again" in daemon.words()


def test_a_start_without_the_server_waits_for_it(daemon: DaemonProcess, node: Node) -> None:
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    node.kill()
    daemon.start_only()
    daemon.until(lambda: node.url in daemon.words())
    daemon.until(not_ready(daemon, node.url))
    assert daemon.metric(STORE_ERRORS) >= 1
    assert (daemon.photos / "1 copy.jpg").exists()
    node.start()
    daemon.until(lambda: daemon.moved() == {"1 copy.jpg"}, 120)
    daemon.until(daemon.is_ready)


@pytest.mark.parametrize("away", ["killed", "hanging"])
def test_sigterm_ends_it_within_ten_seconds_while_the_server_is_away(
    daemon: DaemonProcess, node: Node, away: str
) -> None:
    daemon.start()
    (node.kill if away == "killed" else node.pause)()
    shutil.copy2(daemon.photos / "1.jpg", daemon.photos / "1 copy.jpg")
    # Into the middle of a request.
    time.sleep(QUIET_SECONDS + 1.5)
    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.process is not None
    assert daemon.process.wait(60) == 0, daemon.words()
    assert time.monotonic() - began < 10
    assert daemon.moved() == set()
    assert "Traceback" not in daemon.words()
