"""The review page of the daemon: what it shows, what it does, and when it is not served at all."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import stat
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from py_image_dedup.config import ConfigError, Settings, load
from py_image_dedup.daemon.review import ADDRESS_NAME, ReviewPage, ReviewPageError, password_of
from py_image_dedup.daemon.runner import LibraryRunner
from py_image_dedup.model.events import ignore
from py_image_dedup.wiring import build, build_store, options_of, roots_of, runs_directory
from tests.daemon.process import DaemonProcess
from tests.report.test_html import content_of
from tests.support.pictures import picture, write

PASSWORD = "correct horse"  # noqa: S105 - of a test


class Site:
    """A library, the runner of a daemon, and its review page.

    The page has no password unless one is given.
    """

    def __init__(self, folder: Path, *, dry_run: bool, **review: object) -> None:
        self.photos = folder / "photos"
        self.state = folder / "state"
        first = write(self.photos / "photo.jpg", picture(1, 640, 480))
        shutil.copy2(first, self.photos / "photo copy.jpg")
        write(self.photos / "crop.jpg", picture(1, 640, 480).crop((90, 60, 560, 420)))
        values: dict[str, object] = {
            "dry_run": dry_run,
            "state_directory": str(self.state),
            "analysis.source_directories": [str(self.photos)],
            "analysis.threads": 1,
            "review.enabled": True,
            **{f"review.{name}": value for name, value in review.items()},
        }
        self.settings = replace_port(load(environment={}, command_line=values).settings)
        self.page = ReviewPage(self.settings)
        self.runner = LibraryRunner(
            roots_of(self.settings),
            options_of(self.settings).walked,
            open_store=lambda: build_store(self.settings),
            make=lambda store: build(self.settings, store),
            dry_run=dry_run,
            observer=ignore,
            keep=lambda _: None,
            runs_directory=runs_directory(self.settings),
            publish=self.page.publish,
        )
        self.home = urlsplit(self.page.address)
        self.cookie = ""

    def close(self) -> None:
        self.page.close()
        self.runner.close()

    def ask(self, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.home.port, timeout=20)
        headers = {"Cookie": self.cookie} if self.cookie else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def content(self) -> Any:
        return content_of(self.ask(self.home.path)[1].decode())

    def classes(self) -> list[str]:
        return sorted(member["class"] for group in self.content()["groups"] for member in group["members"])

    def idle(self, base: str) -> Any:
        for _ in range(400):
            status = json.loads(self.ask(f"{base}status")[1])
            if status["job"] is None:
                return status
            time.sleep(0.05)
        raise AssertionError("the step does not end")

    def names(self) -> set[str]:
        return {path.name for path in self.photos.iterdir() if path.is_file()}


def replace_port(settings: Settings) -> Settings:
    """A free port: the configuration has no way to say so."""
    return replace(settings, review=replace(settings.review, port=0))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, dry_run=False)
    yield site
    site.close()


def decisions(content: Any, *names: str) -> dict[str, Any]:
    """The decision to remove files: those of these names, or else everything that is proposed."""

    def named(number: int) -> dict[str, str]:
        file = content["files"][number]
        return {"path": f"{content['folders'][file['folder']]['name']}/{file['name']}", "digest": file["digest"]}

    def goes(member: Any) -> bool:
        return content["files"][member["file"]]["name"] in names if names else member["outcome"] == "planned"

    groups = [
        {
            "keeper": named(group["keeper"]),
            "not_duplicates": False,
            "files": [
                {**named(each["file"]), "decision": "remove" if goes(each) else "keep"} for each in group["members"]
            ],
        }
        for group in content["groups"]
        if any(goes(member) for member in group["members"])
    ]
    return {"version": 1, "run": content["run"], "groups": groups}


def test_it_shows_what_was_found_and_not_done_and_undoes_what_was_done(real: Site) -> None:
    assert b"The first run is not finished yet." in real.ask(real.home.path)[1]
    real.runner.full(())
    assert len(real.names()) == 2
    content = real.content()
    assert real.classes() == ["partial"]  # the copy is gone, the crop is for a person to decide
    base = content["served"]["base"]
    (run,) = json.loads(real.ask(f"{base}history")[1])
    assert (run["done"], run["restorable"], run["restored"]) == (1, 1, 0)
    (file,) = json.loads(real.ask(f"{base}history/{run['run']}")[1])
    assert (file["class"], file["place"], file["restorable"]) == ("identical", "deleted", True)
    assert real.ask(f"{base}undo", {"run": run["run"], "files": [file["number"]]})[0] == 200
    assert real.idle(base)["error"] == ""
    assert real.names() == {"photo.jpg", "photo copy.jpg", "crop.jpg"}
    (run,) = json.loads(real.ask(f"{base}history")[1])
    assert (run["restored"], run["restorable"]) == (1, 0)
    assert real.ask(f"{base}undo", {"run": run["run"]})[0] == 400


def test_what_a_person_decides_is_done_and_what_they_bring_back_stays(real: Site) -> None:
    real.runner.full(())
    content = real.content()
    base = content["served"]["base"]
    assert real.ask(f"{base}apply", decisions(content, "crop.jpg"))[0] == 200
    (step,) = real.idle(base)["applied"]
    assert (step["done"], step["failed"], step["messages"]) == (1, 0, [])
    assert len(real.names()) == 1
    assert real.classes() == []
    runs = json.loads(real.ask(f"{base}history")[1])
    assert next(each["run"] for each in runs) == step["run"]
    (file,) = json.loads(real.ask(f"{base}history/{step['run']}")[1])
    assert (file["class"], file["place"]) == ("partial", "in quarantine")
    assert real.ask(f"{base}undo", {"run": step["run"]})[0] == 200
    assert real.idle(base)["applied"][0]["undone"] is True
    real.runner.batch([bytes(real.photos / "crop.jpg")], [])
    assert "crop.jpg" in real.names()
    assert real.classes() == []  # remembered: not offered again


def test_a_dry_run_proposes_and_the_page_carries_out(tmp_path: Path) -> None:
    site = Site(tmp_path, dry_run=True)
    try:
        site.runner.full(())
        content = site.content()
        assert site.classes() == ["identical", "partial"]
        (planned,) = [m for g in content["groups"] for m in g["members"] if m["outcome"] == "planned"]
        name = content["files"][planned["file"]]["name"]
        assert site.ask(f"{content['served']['base']}apply", decisions(content, name))[0] == 200
        assert site.idle(content["served"]["base"])["applied"][0]["done"] == 1
        assert name not in site.names()
    finally:
        site.close()


def test_photos_of_several_files_go_as_a_whole_from_a_full_run_and_from_batches(tmp_path: Path) -> None:
    site = Site(tmp_path, dry_run=True)
    try:
        (site.photos / "photo.xmp").write_text("<x/>")
        site.runner.full(())
        for name in ("photo.jpg", "photo.xmp"):
            (site.photos / "copies").mkdir(exist_ok=True)
            shutil.copy2(site.photos / name, site.photos / "copies" / name)
        copies = [site.photos / "copies" / name for name in ("photo.jpg", "photo.xmp")]
        site.runner.batch([bytes(path) for path in copies], [])
        content = site.content()
        base = content["served"]["base"]
        planned = [m for g in content["groups"] for m in g["members"] if m["outcome"] == "planned"]
        assert site.ask(f"{base}apply", decisions(content))[0] == 200
        status = site.idle(base)
        (step,) = status["applied"]
        # The sidecar of the copied photo is on its card, and goes with it.
        files = sum(1 + len(member.get("parts", ())) for member in planned)
        assert files == len(planned) + 1
        assert (status["error"], step["done"], step["failed"], step["messages"]) == ("", files, 0, [])
        left = {path.relative_to(site.photos).as_posix() for path in site.photos.rglob("*") if path.is_file()}
        assert left == {"photo.jpg", "photo.xmp", "crop.jpg"}
    finally:
        site.close()


def test_batches_add_to_the_page_and_an_open_page_stays_usable(real: Site) -> None:
    real.runner.full(())
    before = real.content()
    write(real.photos / "other.jpg", picture(2, 640, 480))
    write(real.photos / "other crop.jpg", picture(2, 640, 480).crop((90, 60, 560, 420)))
    real.runner.batch([bytes(real.photos / name) for name in ("other.jpg", "other crop.jpg")], [])
    assert real.classes() == ["partial", "partial"]
    after = real.content()
    assert after["served"]["base"] != before["served"]["base"]
    assert after["served"]["base"] == real.content()["served"]["base"]
    assert real.ask(f"{before['served']['base']}picture/0/thumbnail")[0] == 200
    assert real.ask(f"{before['served']['base']}status")[0] == 200


def workers() -> set[str]:
    """The processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return {pid for each in lists for pid in each.read_text().split()}


def test_after_each_run_no_process_of_the_page_is_left_and_pictures_come_again(real: Site) -> None:
    real.runner.full(())
    base = real.content()["served"]["base"]
    before = workers()
    assert real.ask(f"{base}picture/0/screen")[0] == 200
    assert len(workers() - before) == 1
    real.runner.full(())
    assert workers() <= before
    assert real.ask(f"{base}picture/0/screen")[0] == 200


def test_the_page_cannot_end_the_daemon(real: Site) -> None:
    real.runner.full(())
    assert real.ask(f"{real.content()['served']['base']}end", {})[0] == 404


def test_without_a_password_the_address_is_a_secret_that_its_owner_can_read(real: Site) -> None:
    file = real.state / ADDRESS_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{real.page.address}\n"
    assert real.ask("/")[0] == 404
    assert real.ask(f"{real.home.path}x")[0] == 404


@pytest.mark.parametrize("address", ["127.0.0.3", "::1", "localhost"])
def test_every_loopback_address_serves_the_page_under_its_own_name(tmp_path: Path, address: str) -> None:
    values = {
        "review.enabled": True, "review.address": address, "state_directory": str(tmp_path), "analysis.threads": 1,
        "analysis.source_directories": [str(tmp_path)],
    }  # fmt: skip
    page = ReviewPage(replace_port(load(environment={}, command_line=values).settings))
    try:
        with urllib.request.urlopen(page.address, timeout=20) as answer:  # noqa: S310 - our own server
            assert b"The first run is not finished yet." in answer.read()
    finally:
        page.close()


def test_other_machines_are_served_with_a_password_only(tmp_path: Path) -> None:
    values = {"review.enabled": True, "review.address": "0.0.0.0"}  # noqa: S104 - refused
    with pytest.raises(ConfigError, match=r"needs a password: set review\.password_file or review\.password, or"):
        load(environment={}, command_line=values)
    with pytest.raises(ConfigError, match="too short: use 8 characters or more"):
        load(environment={}, command_line={**values, "review.password": "short"})
    both = load(environment={}, command_line={**values, "review.password": PASSWORD, "review.password_file": "/x"})
    assert password_of(both.settings.review) == PASSWORD
    assert load(environment={}, command_line={**values, "review.password": PASSWORD}).settings.review.enabled
    for address in ("127.0.0.1", "127.3.2.1", "::1", "localhost"):
        assert load(environment={}, command_line={**values, "review.address": address}).settings.review.is_loopback


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "cannot be read from"), ("", "must be a password"), ("short\n", "8 characters")]
)
def test_a_password_file_without_a_password_refuses_to_start(tmp_path: Path, text: str | None, problem: str) -> None:
    file = tmp_path / "password"
    if text is not None:
        file.write_text(text)
    values = {"review.enabled": True, "review.password_file": str(file)}
    with pytest.raises(ReviewPageError, match=problem):
        ReviewPage(load(environment={}, command_line=values).settings)


def test_the_daemon_serves_it_behind_the_password_of_a_file_and_tells_it_to_nobody(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    daemon = DaemonProcess(tmp_path, review={"enabled": True, "password_file": str(password), "port": port})
    write(daemon.photos / "photo.jpg", picture(1, 640, 480))
    write(daemon.photos / "crop.jpg", picture(1, 640, 480).crop((90, 60, 560, 420)))
    try:
        daemon.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.getheader("location")) == (303, "/login")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", f"password={quote(PASSWORD)}", form)
        answer = connection.getresponse()
        answer.read()
        cookie = (answer.getheader("set-cookie") or "").split(";")[0]
        connection.request("GET", "/", headers={"Cookie": cookie})
        content = content_of(connection.getresponse().read().decode())
        assert [each["reported"] for each in content["groups"]] == [True]
        assert content["served"]["logout"] is True
        connection.close()
    finally:
        daemon.stop()
    log = daemon.log.read_text()
    assert PASSWORD not in log
    assert re.search(rf"review page: http://127\.0\.0\.1:{port}/$", log, re.MULTILINE)
    assert not (daemon.state / ADDRESS_NAME).exists()
