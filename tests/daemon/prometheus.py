"""A real Prometheus on loopback that scrapes what a test shows it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IN_CI

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
JOB = "py-image-dedup"


def need_prometheus() -> None:
    """Skip the test where Prometheus is not installed; fail in CI."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        reason = "needs prometheus and promtool (Debian package prometheus)"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)


class Prometheus:
    """The server, with the project's own rules loaded; ``close`` stops it."""

    def __init__(self, folder: Path, target_port: int) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        folder.mkdir()
        shutil.copy(DEPLOY / "prometheus" / "rules.yml", folder)
        config = folder / "prometheus.yml"
        config.write_text(
            (DEPLOY / "prometheus" / "prometheus.yml")
            .read_text()
            .replace("15s", "250ms")
            .replace("py-image-dedup:8000", f"127.0.0.1:{target_port}")
        )
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def close(self) -> None:
        """Stop it and wait."""
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def query(self, expression: str) -> dict[str, float]:
        """Evaluate an expression now: label text to value."""
        answer = self._get("query", query=expression)
        return {_labels(sample["metric"]): float(sample["value"][1]) for sample in answer["data"]["result"]}

    def history(self, expression: str, begin: float, end: float, step: float) -> dict[str, list[tuple[float, float]]]:
        """Evaluate an expression from time to time: label text to moments, as Unix time, and values."""
        answer = self._get("query_range", query=expression, start=str(begin), end=str(end), step=str(step))
        return {
            _labels(series["metric"]): [(float(moment), float(value)) for moment, value in series["values"]]
            for series in answer["data"]["result"]
        }

    def alerts(self) -> dict[str, str]:
        """The state of every rule: name to ``inactive``, ``pending`` or ``firing``."""
        groups = self._get("rules")["data"]["groups"]
        assert all(rule["health"] == "ok" for group in groups for rule in group["rules"]), groups
        return {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}

    def until(self, expression: str, seconds: float = 20.0) -> dict[str, float]:
        """Wait until an expression has an answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                answer = self.query(expression)
            except OSError:
                answer = {}
            if answer:
                return answer
            assert time.monotonic() < end, f"Prometheus has no answer to {expression}"
            time.sleep(0.1)

    def _get(self, what: str, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)


def _labels(metric: dict[str, str]) -> str:
    left = {key: value for key, value in metric.items() if key not in {"__name__", "job", "instance"}}
    return ",".join(f"{key}={left[key]}" for key in sorted(left))


def dashboard_queries() -> dict[str, str]:
    """Every query of the dashboard, by panel title and reference."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "py-image-dedup.json").read_text())
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
