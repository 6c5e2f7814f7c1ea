"""What a developer without servers sees, and what CI does there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import java
from tests.servers.distribution import NEWEST, OLDEST, ServersMissingError
from tests.servers.java import Java, choose

PROJECT = Path(__file__).resolve().parents[2]
ONE_TEST = "tests/store/test_elastic_contract.py::TestElasticStore::test_putting_nothing_changes_nothing"


def run_without_maven(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    hidden = ("CI", "ELASTICSEARCH_TEST_SESSION", "ELASTICSEARCH_URL")
    kept = {name: value for name, value in os.environ.items() if name not in hidden and not name.startswith("PYTEST_")}
    environment = kept | {"PATH": str(folder), "PY_IMAGE_DEDUP_CACHE": str(folder / "cache")} | changes
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE_TEST],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_servers_the_tests_are_skipped_loudly(tmp_path: Path) -> None:
    done = run_without_maven(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "ELASTICSEARCH WAS NOT TESTED" in done.stdout
    assert "2 skipped" in done.stdout
    assert "install" in done.stdout


def test_in_ci_a_missing_server_is_a_failure(tmp_path: Path) -> None:
    done = run_without_maven(tmp_path, CI="true")
    assert done.returncode == 1
    assert "Elasticsearch must be tested here" in done.stdout


def test_the_oldest_java_that_serves_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = tuple(Java(Path(f"/java{version}"), version) for version in (25, 17, 21, 11))
    monkeypatch.setattr(java, "installed", lambda: homes)
    assert choose(21, 26) == homes[2]
    assert OLDEST.java == homes[1]
    monkeypatch.setattr(java, "installed", lambda: homes[3:])
    with pytest.raises(ServersMissingError, match="needs Java 21 to 26"):
        _ = NEWEST.java
