"""What stands beside the program for those who run it: the health check of the image, and the systemd unit."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from py_image_dedup.config import load
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


def health(home: Path = Path("/nonexistent"), **settings: object) -> int:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PY_IMAGE_DEDUP_")}
    environment["HOME"] = str(home)
    environment |= {f"PY_IMAGE_DEDUP_STATS_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, DEPLOY / "docker" / "healthcheck.py"],
        env=environment, capture_output=True, check=False, timeout=30,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "localhost"])  # noqa: S104 - asked, not served
def test_the_health_check_asks_where_the_daemon_answers(port: int, address: str) -> None:
    assert health(port=port, address=address) == 0


def test_the_health_check_reads_the_configuration_that_the_daemon_reads(port: int, tmp_path: Path) -> None:
    (tmp_path / "py_image_dedup.yaml").write_text(f"py_image_dedup: {{stats: {{address: 127.0.0.1, port: {port}}}}}\n")
    assert health(tmp_path) == 0
    (tmp_path / "py_image_dedup.yaml").write_text("py_image_dedup: {stats: {enabled: false}}\n")
    assert health(tmp_path) == 0
    (tmp_path / "py_image_dedup.yaml").write_text("py_image_dedup: {stats: {port: none}}\n")
    assert health(tmp_path) == 1


def test_a_mounted_file_overrides_the_defaults_of_the_image_and_the_environment_both(tmp_path: Path) -> None:
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert re.findall(r"PY_IMAGE_DEDUP_\w+", dockerfile) == ["PY_IMAGE_DEDUP_DEFAULTS_FILE"]
    image = {"PY_IMAGE_DEDUP_DEFAULTS_FILE": str(DEPLOY / "docker" / "defaults.yaml")}
    mounted = tmp_path / "py_image_dedup.yaml"
    mounted.write_text("py_image_dedup: {analysis: {source_directories: [/photos]}}\n")
    assert load(file=mounted, environment=image).settings.analysis.source_directories == (Path("/photos"),)
    assert load(file=mounted, environment=image).settings.state_directory == Path("/state")
    given = {**image, "PY_IMAGE_DEDUP_ANALYSIS_SOURCE_DIRECTORIES": "/other"}
    assert load(file=mounted, environment=given).settings.analysis.source_directories == (Path("/other"),)


def test_the_image_makes_a_password_for_the_review_page_once(tmp_path: Path) -> None:
    state, tools = tmp_path / "state", tmp_path / "tools"
    state.mkdir()
    tools.mkdir()
    for name, script in {"py-image-dedup": "cat", "setpriv": 'shift 4; exec "$@"', "chown": ":"}.items():
        text = f'{script} "{state}/review_password"' if script == "cat" else script
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    entrypoint = tmp_path / "entrypoint.sh"
    entrypoint.write_text((DEPLOY / "docker" / "entrypoint.sh").read_text().replace("/state", str(state)))
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "PUID": "1000", "PGID": "1000"}
    passwords = {
        subprocess.run(["sh", entrypoint], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    (password,) = passwords
    assert len(password.strip()) == 20
    assert (state / "review_password").stat().st_mode & 0o777 == 0o600
    image = {"PY_IMAGE_DEDUP_DEFAULTS_FILE": str(DEPLOY / "docker" / "defaults.yaml")}
    review = load(environment=image).settings.review
    assert (review.enabled, review.is_loopback, review.password_file) == (True, False, Path("/state/review_password"))


def test_the_image_writes_the_reference_configuration_beside_when_the_daemon_starts(tmp_path: Path) -> None:
    state, tools = tmp_path / "state", tmp_path / "tools"
    state.mkdir()
    tools.mkdir()
    program = f'[ "$1" = config ] && exec {sys.executable} -m py_image_dedup "$@"; echo started "$@"'
    for name, script in {"py-image-dedup": program, "setpriv": 'shift 4; exec "$@"', "chown": ":"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    entrypoint = tmp_path / "entrypoint.sh"
    entrypoint.write_text((DEPLOY / "docker" / "entrypoint.sh").read_text().replace("/state", str(state)))
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "PUID": "1000", "PGID": "1000"}
    written = state / "py_image_dedup_reference.yaml"

    def start(*arguments: str) -> str:
        command = ["sh", str(entrypoint), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert start("status") == "started status\n"
    assert not written.exists()
    assert start("daemon") == "started daemon\n"
    assert written.read_text() == (DEPLOY.parent / "py_image_dedup_reference.yaml").read_text()


def test_a_daemon_that_is_stuck_is_not_healthy(port: int, checks: dict[str, str | None]) -> None:
    checks["loop"] = "no progress for 1000 s"
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


def test_the_compose_file_gives_a_dry_run_no_right_to_change_the_library() -> None:
    services = YAML(typ="safe").load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    assert "${PHOTOS:-./photos}:/data/in:${ACCESS:-ro}" in services["py-image-dedup"]["volumes"]
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", [])), name
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_PASSWORD")


def test_the_unit_is_sandboxed_and_names_the_documentation() -> None:
    unit = (DEPLOY / "systemd" / "py-image-dedup.service").read_text()
    for line in (
        "ProtectSystem=strict",
        "NoNewPrivileges=true",
        "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service",
    ):
        assert f"\n{line}\n" in unit
    page = re.search(r"blob/main/(docs/\S+)", unit)
    assert page is not None
    assert (DEPLOY.parent / page[1]).exists()


def test_the_image_is_built_with_every_file_that_the_package_installs() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    files = [file for listed in project["tool"]["setuptools"]["data-files"].values() for file in listed]
    allowed = (DEPLOY.parent / ".dockerignore").read_text()
    copied = (DEPLOY.parent / "Dockerfile").read_text()
    assert files
    for file in files:
        folder = Path(file).parent
        assert f"\nCOPY {folder} {folder}\n" in copied
        assert f"\n!{folder}\n" in allowed
