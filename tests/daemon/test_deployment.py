"""What stands beside the program for those who run it: the health check of the image, and the systemd unit."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.metrics.server import Checks, MetricsServer
from tests.conftest import IN_CI

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture
def checks() -> dict[str, str | None]:
    return {"loop": None}


@pytest.fixture
def port(checks: Checks) -> Iterator[int]:
    server = MetricsServer("127.0.0.1", 0, Instruments("3").registry, alive=lambda: checks, ready=dict)
    yield server.port
    server.close()


def health(**settings: object) -> int:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PY_IMAGE_DEDUP_")}
    environment |= {f"PY_IMAGE_DEDUP_STATS_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, DEPLOY / "docker" / "healthcheck.py"],
        env=environment, capture_output=True, check=False, timeout=30,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "localhost"])  # noqa: S104 - asked, not served
def test_the_health_check_asks_where_the_daemon_answers(port: int, address: str) -> None:
    assert health(port=port, address=address) == 0


def test_a_daemon_that_is_stuck_is_not_healthy(port: int, checks: dict[str, str | None]) -> None:
    checks["loop"] = "no sign of life for 1000 s"
    assert health(port=port) == 1


def test_a_daemon_that_does_not_answer_is_not_healthy_unless_it_serves_no_pages() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert health(port=port) == 1
        assert health(port=port, enabled="False") == 0


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        reason = "checking the unit needs systemd-analyze (Debian package systemd)"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    unit = tmp_path / "py-image-dedup.service"
    text = (DEPLOY / "systemd" / unit.name).read_text()
    unit.write_text(text.replace("/opt/py-image-dedup/bin/py-image-dedup", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    # Of other units on this machine it says what it wants.
    assert [line for line in checked.stderr.splitlines() if unit.name in line] == []
