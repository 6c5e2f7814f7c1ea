"""The served review: what it does for who has its address, and what it refuses everybody else."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.runs import RunLock, list_runs
from py_image_dedup.removal.undo import undo
from tests.report.test_html import content_of, policy_of
from tests.review.reviews import Review, make_library, served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    """A review of which nothing is removed: attacks do not get in each other's way."""
    with served(make_library(tmp_path_factory.mktemp("shared"))) as review:
        before = review.library.files()
        yield review
        assert review.library.files() == before


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    with served(make_library(tmp_path)) as review:
        yield review


def test_the_page_has_the_groups_and_may_ask_this_server_only(shared: Review) -> None:
    answer = shared.ask("/")
    page = answer.body.decode()
    assert answer.status == 200
    assert content_of(page)["served"] == {
        "base": f"/{shared.token}/{shared.view}/",
        "home": f"/{shared.token}/",
        "end": True,
        "logout": False,
        "history": False,
        "removes": False,
    }
    assert len(content_of(page)["groups"]) == 2
    assert policy_of(page)["img-src"] == ["'self'", "data:"]
    assert policy_of(page)["connect-src"] == ["'self'"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert answer.headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers


@pytest.mark.parametrize(("size", "kind"), [("thumbnail", "WEBP"), ("screen", "JPEG"), ("full", "JPEG")])
def test_a_picture_is_rendered_anew(shared: Review, size: str, kind: str) -> None:
    answer = shared.ask(f"/picture/0/{size}")
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert (picture.format, picture.size) == (kind, (160, 120))
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"


def test_a_placement_is_of_two_files_of_the_run(shared: Review) -> None:
    assert shared.ask("/placement/0/999").json is None
    group = shared.session.content["groups"][0]
    matrix = shared.ask(f"/placement/{group['keeper']}/{group['members'][0]['file']}").json
    assert [round(value) for value in matrix] == [1, 0, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "path",
    [
        "/picture/999/thumbnail",
        "/picture/-1/thumbnail",
        "/picture/0/original",
        "/picture/../../etc/passwd",
        "/picture/..%2f..%2f..%2fetc%2fpasswd/thumbnail",
        "/picture/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/picture/0/thumbnail/../../../../../etc/passwd",
        "/picture/1e0/thumbnail",
        "/picture//thumbnail",
        "/static/page.html",
        "/docs",
        "/nothing",
    ],
)
def test_nothing_is_served_but_pictures_of_the_run_by_number(shared: Review, path: str) -> None:
    answer = shared.ask(path)
    assert answer.status == 404
    assert b"root:" not in answer.body


@pytest.mark.parametrize("path", ["/", "/status", "/picture/0/thumbnail", "/apply"])
@pytest.mark.parametrize("token", ["", "wrong", "x" * 32, "%00", "%C3%A9"])
def test_without_the_token_there_is_nothing(shared: Review, path: str, token: str) -> None:
    answer = shared.ask(path, "POST" if path == "/apply" else "GET", {} if path == "/apply" else None, token=token)
    assert (answer.status, answer.body) == (404, b"Not found.")


def test_a_part_of_the_token_is_not_the_token(shared: Review) -> None:
    assert shared.ask("/", token=shared.token[:-1]).status == 404
    assert shared.ask("/", token=shared.token + "a").status == 404
    assert shared.ask("/", token=shared.token.swapcase()).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}"])
def test_another_name_for_the_address_is_refused(shared: Review, host: str) -> None:
    assert shared.ask("/", Host=host.format(port=shared.port)).status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://evil.127.0.0.1"])
@pytest.mark.parametrize("path", ["/apply", "/undo", "/end"])
def test_another_site_can_change_nothing_even_with_the_token(shared: Review, origin: str, path: str) -> None:
    body = shared.decisions(beach_copy="remove")
    assert shared.ask(path, "POST", body, Origin=origin).status == 403
    assert shared.session.status()["applied"] == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_site_caused_is_refused(shared: Review, site: str) -> None:
    assert shared.ask("/", Sec_Fetch_Site=site).status == 403
    assert shared.ask("/apply", "POST", {}, Sec_Fetch_Site=site).status == 403


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_form_is_no_request(shared: Review, kind: str) -> None:
    body = shared.decisions(beach_copy="remove")
    assert shared.ask("/apply", "POST", body, Content_Type=kind).status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_changed_but_by_post(shared: Review, method: str) -> None:
    assert shared.ask("/apply", method).status == 405


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"version": 1}', b"[" * 100_000])
def test_nonsense_is_refused(shared: Review, body: bytes) -> None:
    assert shared.ask("/apply", "POST", body).status in {400, 422}


def test_files_that_are_not_of_the_run_cannot_be_decided_on(shared: Review, tmp_path: Path) -> None:
    body = shared.decisions(beach_copy="remove")
    body["groups"][0]["files"][0]["path"] = str(tmp_path / "somewhere" / "else.jpg")
    answer = shared.ask("/apply", "POST", body)
    assert answer.status == 422
    assert b"is in no group of this run" in answer.body


def test_decisions_about_another_run_are_refused(shared: Review) -> None:
    answer = shared.ask("/apply", "POST", shared.decisions(beach_copy="remove") | {"run": "another"})
    assert answer.status == 422


def test_steps_of_other_runs_cannot_be_taken_back(shared: Review) -> None:
    assert shared.ask("/undo", "POST", {"run": "../../somewhere"}).status == 400
    assert shared.ask("/undo", "POST", {"run": 7}).status == 400


def test_many_requests_and_slow_clients_do_not_stop_it(shared: Review) -> None:
    slow = [socket.create_connection(("127.0.0.1", shared.port)) for _ in range(20)]
    for each in slow:
        each.sendall(b"POST /x HTTP/1.1\r\nContent-Le")
    wrong = "no"
    try:
        with ThreadPoolExecutor(4) as pool:
            statuses = set(pool.map(lambda number: shared.ask(f"/picture/{number}/x", token=wrong).status, range(1000)))
        assert statuses == {404}
        assert shared.ask("/status").status == 200
    finally:
        for each in slow:
            each.close()


def test_what_is_decided_is_removed_and_brought_back(review: Review) -> None:
    before = review.library.files()
    answer = review.ask("/apply", "POST", review.decisions(beach_copy="remove"))
    assert answer.status == 200
    (step,) = review.idle()["applied"]
    assert (step["done"], step["failed"], step["undone"], step["messages"]) == (1, 0, False, [])
    assert set(before) - set(review.library.files()) == {"copies/beach copy.jpg"}
    assert review.ask("/undo", "POST", {"run": step["run"]}).status == 200
    (step,) = review.idle()["applied"]
    assert step["undone"] is True
    assert review.library.files() == before


def test_every_step_is_a_run_that_the_command_undo_knows(review: Review) -> None:
    review.ask("/apply", "POST", review.decisions(beach_copy="remove"))
    review.idle()
    review.ask("/apply", "POST", review.decisions(wood_copy="remove"))
    steps = review.idle()["applied"]
    runs = [run.run for run in list_runs(review.library.state) if not run.dry_run]
    assert runs == [step["run"] for step in steps]
    with RunLock(review.library.state):
        assert [str(outcome.status) for outcome in undo(review.library.state / "runs" / runs[1])] == ["done"]
    assert (review.library.photos / "copies" / "wood copy.jpg").exists()
    assert not (review.library.photos / "copies" / "beach copy.jpg").exists()


def test_a_chosen_keeper_must_have_everything_that_is_in_what_goes(review: Review) -> None:
    """The message is a smaller file of the beach; what it lacks stays."""
    body = review.decisions(beach_small="remove", beach_copy="remove", beach="remove")
    (group,) = body["groups"]
    files = [group["keeper"], *group["files"]]
    small = next(file for file in files if "small" in file["path"])
    others = [file for file in files if file is not small]
    group["keeper"] = {"path": small["path"], "digest": small["digest"]}
    group["files"] = [{"path": f["path"], "digest": f["digest"], "decision": "remove"} for f in others]
    before = review.library.files()
    assert review.ask("/apply", "POST", body).status == 200
    (step,) = review.idle()["applied"]
    assert (step["done"], step["failed"]) == (0, 2)
    assert len(step["messages"]) == 2
    assert review.library.files() == before


def test_a_file_that_changed_since_the_run_stays_and_it_is_said(review: Review) -> None:
    changed = review.library.photos / "copies" / "beach copy.jpg"
    changed.write_bytes(b"something new")
    review.ask("/apply", "POST", review.decisions(beach_copy="remove", wood_copy="remove"))
    (step,) = review.idle()["applied"]
    assert (step["done"], step["failed"]) == (1, 1)
    assert step["messages"][0].count(str(changed)) == 1
    assert [review.session.content["files"][number]["name"] for number in step["left"]] == ["beach copy.jpg"]
    assert changed.read_bytes() == b"something new"


def test_while_another_program_runs_nothing_is_removed(review: Review) -> None:
    before = review.library.files()
    with RunLock(review.library.state):
        review.ask("/apply", "POST", review.decisions(beach_copy="remove"))
        status = review.idle()
    assert "another run uses" in status["error"]
    assert review.library.files() == before


def test_one_step_at_a_time(review: Review) -> None:
    begun, go_on = threading.Event(), threading.Event()

    carry_out = review.session._carry_out_plan

    def slowly(*arguments: Any) -> RunResult:
        begun.set()
        assert go_on.wait(20)
        return carry_out(*arguments)

    review.session._carry_out_plan = slowly
    review.ask("/apply", "POST", review.decisions(beach_copy="remove"))
    assert begun.wait(20)
    answer = review.ask("/apply", "POST", review.decisions(wood_copy="remove"))
    go_on.set()
    assert (answer.status, answer.body) == (409, b"another step is still in progress; wait until it is finished")
    assert len(review.idle()["applied"]) == 1


def test_a_picture_of_other_bytes_than_the_run_saw_is_not_shown(review: Review) -> None:
    number = next(f["id"] for f in review.session.content["files"] if f["name"] == "wood.jpg")
    Image.new("RGB", (10, 10), "red").save(review.library.photos / "2019" / "wood.jpg")
    assert review.ask(f"/picture/{number}/screen").status == 404


def test_the_page_ends_the_review(review: Review) -> None:
    assert review.ask("/end", "POST", {}).status == 200
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", review.port), 0.2).close()
        except OSError:
            break
        time.sleep(0.05)
    else:
        raise AssertionError("it still listens")


def test_it_listens_on_the_loopback_interface_only(shared: Review) -> None:
    assert shared.server._socket.getsockname()[0] == "127.0.0.1"
