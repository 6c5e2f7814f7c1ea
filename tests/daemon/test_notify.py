"""A run of the daemon that did something is reported to a command and to a web address."""

from __future__ import annotations

import http.server
import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup.config.settings import NotifySettings
from py_image_dedup.daemon.notify import Notifier, summary_of
from py_image_dedup.model.plan import OutcomeStatus
from tests.report.results import result

RESULT = result(OutcomeStatus.DONE, OutcomeStatus.FAILED, dry_run=False)


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a server, and what it received."""
    bodies: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_command_and_a_web_address_get_the_same_summary(
    tmp_path: Path, received: tuple[str, list[dict[str, Any]]]
) -> None:
    url, bodies = received
    out = tmp_path / "out.json"
    write = f"import sys, pathlib; pathlib.Path({str(out)!r}).write_text(sys.stdin.read())"
    notifier = Notifier(NotifySettings(command=(sys.executable, "-c", write), url=url))
    notifier(RESULT, full=False)
    notifier.wait()
    assert bodies == [json.loads(out.read_text())] == [summary_of(RESULT, full=False)]
    assert bodies[0]["redundant"] == sum(len(group.redundant) for group in RESULT.groups)
    assert bodies[0]["removed"] + bodies[0]["planned"] + bodies[0]["not_removed"] == len(RESULT.outcomes)
    assert bodies[0]["actions"][0].keys() == {"path", "action", "outcome"}


def test_a_run_that_did_nothing_is_not_reported_and_one_that_failed_is(
    received: tuple[str, list[dict[str, Any]]],
) -> None:
    url, bodies = received
    notifier = Notifier(NotifySettings(url=url))
    notifier(replace(RESULT, outcomes=()), full=True)
    notifier(replace(RESULT, outcomes=(), error="the disk is full"), full=True)
    notifier.wait()
    assert [body["text"] for body in bodies] == ["py-image-dedup: the disk is full"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (NotifySettings(command=("/nowhere/program",)), "notify.command failed"),
        (NotifySettings(command=(sys.executable, "-c", "raise SystemExit('no')")), "notify.command ended with 1: no"),
        (NotifySettings(url="http://127.0.0.1:9/"), "notify.url could not be reached"),
        (
            NotifySettings(command=("sleep", "9"), timeout=timedelta(seconds=0.05)),
            "notify.command failed: Command '('sleep', '9')' timed out",
        ),
    ],
)
def test_a_notification_that_fails_is_a_line_in_the_log(
    settings: NotifySettings, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(settings)
    with caplog.at_level(logging.WARNING):
        notifier(RESULT, full=False)
        notifier.wait()
    assert words in caplog.text
