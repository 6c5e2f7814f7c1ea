"""``--output json`` of the small commands: JSON and nothing else on standard output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from py_image_dedup.cli.main import application
from tests.support.pictures import picture, write

BROKEN_NAME = "not\udcffutf8.jpg"


class Home:
    """A library of which one copy was removed, and the commands in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.beach = write(self.photos / "beach.jpg", picture(1, 320, 240))
        small = write(self.photos / "small.jpg", picture(1, 320, 240).resize((160, 120)), quality=30)
        self.small = small.rename(small.with_name(BROKEN_NAME))
        write(self.photos / "wood.jpg", picture(2, 320, 240))
        (self.photos / "bad.jpg").write_bytes(b"no picture")
        self.call("deduplicate", str(self.photos), "--no-dry-run", "--yes", "--summary")

    def call(self, *arguments: str, code: int = 0, **environment: str) -> str:
        given = {"HOME": str(self.folder), "PY_IMAGE_DEDUP_STATE_DIRECTORY": str(self.folder / "state"), **environment}
        ended = CliRunner().invoke(application, arguments, env=given, standalone_mode=False)
        assert (ended.exception, ended.return_value or 0) == (None, code), ended.stderr
        return ended.stdout

    def json(self, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call(*arguments, "--output", "json", code=code, **environment))
        assert found["version"] == 1
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def test_runs_and_their_files(home: Home) -> None:
    (run,) = home.json("runs")["runs"]
    assert (run["outcomes"], run["restored"], run["dry_run"], run["problem"]) == ({"done": 1}, 0, False, None)
    shown = home.json("runs", "show", run["run"])
    (file,) = shown["files"]
    assert (file["class"], file["action"], file["state"]) == ("similar", "quarantine", "done")
    assert (file["path"], "path_bytes" in file) == (str(home.small).replace("\udcff", "\ufffd"), True)
    assert file["keeper"] == str(home.beach)
    assert shown["not_begun"] == []


def test_what_waits_in_quarantine(home: Home) -> None:
    (file,) = home.json("quarantine", "list", str(home.photos))["files"]
    assert file["original"] == str(home.small).replace("\udcff", "\ufffd")
    assert ".py-image-dedup-quarantine" in file["path"]
    assert file["size"] > 0
    assert file["since"]
    preview = home.json("quarantine", "purge", str(home.photos), "--dry-run")
    assert preview["dry_run"] is True
    assert len(preview["other_outcomes"]) == 1


def test_what_came_back_from_the_quarantine(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (waiting,) = home.json("quarantine", "list", str(home.photos))["files"]
    shutil.rmtree(home.folder / "state" / "runs")  # the quarantine has records of its own
    restored = home.json("quarantine", "restore", str(home.small))
    (run,) = restored["runs"]
    assert run["run"] == waiting["run"]
    assert [(each["path"], each["outcome"]) for each in run["files"]] == [(waiting["original"], "done")]
    assert restored["without_record"] == []
    assert home.small.exists()
    stray = home.photos / ".py-image-dedup-quarantine" / waiting["run"] / "stray.jpg"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"put here by hand")
    restored = home.json("quarantine", "restore", str(stray))
    assert restored["runs"] == []
    (file,) = restored["without_record"]
    assert (file["original"], file["problem"]) == (str(home.photos / "stray.jpg"), None)
    assert (home.photos / "stray.jpg").exists()


def test_what_an_undo_would_do(home: Home) -> None:
    (run,) = home.json("undo", "--dry-run")["runs"]
    assert [each["outcome"] for each in run["files"]] == ["planned"]
    assert home.json("undo", "--dry-run", run["run"])["runs"][0]["run"] == run["run"]


def test_the_index(home: Home) -> None:
    status = home.json("status")
    assert (status["exists"], status["files"], status["unreadable"]) == (True, 3, {"not-an-image": 1})
    assert status["index"] == str(home.folder / "state" / "index.sqlite3")
    nothing = home.json("status", PY_IMAGE_DEDUP_STATE_DIRECTORY=str(home.folder / "none"))
    assert (nothing["exists"], nothing["files"]) == (False, 0)


def test_known_pictures(home: Home, tmp_path: Path) -> None:
    copy = Path(shutil.copyfile(home.beach, tmp_path / "copy.jpg"))
    other = write(tmp_path / "other.jpg", picture(9, 320, 240))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"another one")
    found = home.json("known", str(copy), str(other), str(broken), code=1)["files"]
    assert [(each["path"], each["known"]) for each in found] == [
        (str(copy), True), (str(other), False), (str(broken), False),
    ]  # fmt: skip
    assert [match["class"] for match in found[0]["matches"]] == ["identical"]
    assert found[0]["matches"][0]["path"] == str(home.beach)
    assert found[2]["problem"]


def test_the_configuration(home: Home, tmp_path: Path) -> None:
    valid = home.json("config", "check")
    assert (valid["valid"], valid["problems"]) == (True, [])
    assert any("source_directories is not set" in warning for warning in valid["warnings"])
    file = tmp_path / "x.yaml"
    file.write_text("py_image_dedup: {analysis: {threads: many}, review: {enabled: true, address: 0.0.0.0}}\n")
    wrong = home.json("--config", str(file), "config", "check", code=2)
    assert wrong["valid"] is False
    assert {each["key"] for each in wrong["problems"]} == {"analysis.threads", "review.address"}
