"""The review page behind a password: who gets in, for how long, and what attacks come to."""

from __future__ import annotations

import http.client
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote

import pytest

from py_image_dedup.review import server as server_module
from py_image_dedup.review.access import COOKIE, Attempts, PasswordGate, Sessions, client_of
from tests.review.reviews import Answer, Review, make_library, served

PASSWORD = "correct horse & battery"  # noqa: S105 - of a test
REQUESTS = 10_000


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Review]:
    """A review behind a password, of which nothing is removed whatever is tried."""
    library = make_library(tmp_path_factory.mktemp("shared"))
    with served(library, PasswordGate(PASSWORD, 3600, clock), shows_history=True) as review:
        before = review.library.files()
        yield review
        assert review.library.files() == before
        assert review.session.status()["applied"] == []


@pytest.fixture(autouse=True)
def later(clock: Clock) -> None:
    """Each test begins when every wait of the one before is over."""
    clock.now += 100_000


def login(review: Review, password: str = PASSWORD, **headers: str) -> Answer:
    body = f"password={quote(password)}".encode()
    return review.ask("/login", "POST", body, Content_Type="application/x-www-form-urlencoded", **headers)


@pytest.fixture
def cookie(shared: Review) -> str:
    return login(shared).headers["set-cookie"].split(";")[0]


def test_the_password_opens_the_page_and_the_cookie_keeps_it_open(shared: Review) -> None:
    first = shared.ask("/")
    assert (first.status, first.headers["location"]) == (303, "/login")
    form = shared.ask("/login")
    assert (form.status, b'type="password"' in form.body) == (200, True)
    answer = login(shared)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{COOKIE}=")
    assert {each.lower() for each in attributes} == {"httponly", "max-age=3600", "path=/", "samesite=strict"}
    page = shared.ask("/", Cookie=cookie)
    assert page.status == 200
    assert b"beach copy.jpg" in page.body
    assert shared.ask("/status", Cookie=cookie).json["applied"] == []
    assert shared.ask("/picture/0/thumbnail", Cookie=cookie).headers["content-type"] == "image/webp"


def test_over_https_the_cookie_never_leaves_unencrypted(shared: Review) -> None:
    answer = login(shared, Host="photos.example", Origin="https://photos.example")
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_a_session_ends_after_its_time_and_by_logging_out(shared: Review, cookie: str, clock: Clock) -> None:
    assert shared.ask("/status", Cookie=cookie).status == 200
    clock.now += 3599
    assert shared.ask("/status", Cookie=cookie).status == 200
    clock.now += 1
    answer = shared.ask("/status", Cookie=cookie)
    assert (answer.status, answer.body) == (401, b"Your session has ended: load the page again and log in.")
    again = login(shared).headers["set-cookie"].split(";")[0]
    assert shared.ask("/logout", "GET", Cookie=again).status == 405
    assert shared.ask("/logout", "POST", {}, Cookie=again).status == 200
    assert shared.ask("/status", Cookie=again).status == 401


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/status", "GET"),
        ("/picture/0/thumbnail", "GET"),
        ("/picture/0/full", "GET"),
        ("/placement/0/1", "GET"),
        ("/history", "GET"),
        ("/history/x", "GET"),
        ("/apply", "POST"),
        ("/undo", "POST"),
        ("/end", "POST"),
        ("/logout", "POST"),
        ("/../../../../etc/passwd", "GET"),
    ],
)
@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}={'x' * 32}", f"{COOKIE}=\u00e9", "session=1"])
def test_without_a_session_there_is_nothing(shared: Review, path: str, method: str, cookie: str) -> None:
    body = shared.decisions(beach_copy="remove") if method == "POST" else None
    headers = {"Cookie": cookie.encode("latin-1").decode("latin-1")} if cookie else {}
    answer = shared.ask(path, method, body, **headers)
    assert answer.status == 401
    assert b".jpg" not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", "http://"]
)
@pytest.mark.parametrize("path", ["/apply", "/undo", "/logout"])
def test_another_site_changes_nothing_even_with_the_cookie(shared: Review, cookie: str, origin: str, path: str) -> None:
    body = shared.decisions(beach_copy="remove")
    assert shared.ask(path, "POST", body, Cookie=cookie, Origin=origin).status == 403
    assert shared.ask("/status", Cookie=cookie).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_another_site_caused_is_refused(shared: Review, cookie: str, site: str) -> None:
    assert shared.ask("/status", Cookie=cookie, Sec_Fetch_Site=site).status == 403
    assert shared.ask("/picture/0/thumbnail", Cookie=cookie, Sec_Fetch_Site=site).status == 403
    assert login(shared, Sec_Fetch_Site=site).status == 403
    followed = shared.ask("/", Cookie=cookie, Sec_Fetch_Site=site)
    assert (followed.status, b"beach" in followed.body) == (200, False)  # a link leads to the form only


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_form_cannot_apply(shared: Review, cookie: str, kind: str) -> None:
    body = shared.decisions(beach_copy="remove")
    assert shared.ask("/apply", "POST", body, Cookie=cookie, Content_Type=kind).status == 415


def test_five_wrong_passwords_must_wait_and_meanwhile_the_right_one_does_not_help(
    shared: Review, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert [login(shared, f"wrong {number}").status for number in range(5)] == [401, 401, 401, 401, 429]
        refused = login(shared)
        assert (refused.status, refused.headers["retry-after"]) == (429, "31")
        assert "set-cookie" not in refused.headers
        clock.now += 31
        assert login(shared, "wrong again").status == 429
        assert 59 < float(login(shared).headers["retry-after"]) < 63
        clock.now += 61
        assert login(shared).status == 303
        assert login(shared, "wrong").status == 401  # counted from the beginning
    assert "wrong password from 127.0.0.1 (5)" in caplog.text
    assert PASSWORD not in caplog.text
    assert "wrong again" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"password",
        b"password=a&password=" + quote(PASSWORD).encode(),
        b"password=" + b"x" * 5000,
        b"\xff=\xff",
        b"&" * 100,
        b"name=" + quote(PASSWORD).encode(),
    ],
)
def test_a_login_that_is_none_is_refused(shared: Review, body: bytes) -> None:
    answer = shared.ask("/login", "POST", body, Content_Type="application/x-www-form-urlencoded")
    assert answer.status == 400
    assert "set-cookie" not in answer.headers


def test_the_login_page_cannot_be_framed_scripted_or_cached(shared: Review) -> None:
    headers = login(shared, "<script>alert(1)</script>").headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in headers["content-security-policy"]
    assert headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert headers["cache-control"] == "no-store"
    assert b"<script>" not in login(shared, "<script>alert(1)</script>").body


@pytest.mark.parametrize(
    "path",
    [
        "/picture/0/../../../../../../etc/passwd",
        "/picture/..%2f..%2fetc%2fpasswd/thumbnail",
        "/picture/999/full",
        "/history/..%2f..%2f..%2fetc",
        "/history/%2e%2e",
        "/history/.",
        "/../status",
    ],
)
def test_with_a_session_too_there_are_pictures_and_runs_by_name_only(shared: Review, cookie: str, path: str) -> None:
    answer = shared.ask(path, Cookie=cookie)
    assert answer.status == 404
    assert b"root:" not in answer.body


@pytest.mark.parametrize("run", ["../../somewhere", "..", "", "/etc", "2020-01-01T00-00-00-000Z", 7, None, ["x"]])
def test_only_runs_of_the_list_can_be_undone(shared: Review, cookie: str, run: object) -> None:
    assert shared.ask("/undo", "POST", {"run": run}, Cookie=cookie).status == 400


def test_pictures_of_another_view_are_not_found(shared: Review, cookie: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
    other = "y" * len(shared.view)
    for path in (f"/{other}/picture/0/thumbnail", f"/{other}/status", f"/{shared.view[:-1]}/status", "/status"):
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 404
    connection.close()


def test_thousands_of_requests_leave_it_as_it_was(shared: Review, cookie: str) -> None:
    attacks = [
        ("GET", f"/{shared.view}/status", {}),
        ("GET", f"/{shared.view}/picture/0/thumbnail", {"Cookie": f"{COOKIE}=guess"}),
        ("POST", f"/{shared.view}/apply", {"Content-Type": "application/json"}),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", {}),
    ]

    def attack(share: int) -> set[int]:
        connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
        statuses = set()
        for number in range(share):
            method, path, headers = attacks[number % len(attacks)]
            connection.request(method, path, b"{}" if method == "POST" else None, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(attack, [REQUESTS // 4] * 4)) == {401}
    assert shared.ask("/status", Cookie=cookie).status == 200


def test_a_client_that_sends_nothing_or_half_a_request_is_cut_off(
    shared: Review, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_HEADERS_WITHIN_SECONDS", 0.3)
    begun = time.monotonic()
    slow = [socket.create_connection(("127.0.0.1", shared.port), 10) for _ in range(20)]
    for each in slow[10:]:
        each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nCook")
    assert shared.ask("/status", Cookie=cookie).status == 200
    for each in slow:
        with each, suppress(ConnectionResetError):
            assert each.recv(1) == b""
    assert time.monotonic() - begun < 8


def test_another_address_is_not_punished_for_the_first_and_a_whole_network_counts_as_one() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(5):
        attempts.note_wrong("192.168.1.7")
    assert attempts.seconds_to_wait("192.168.1.7") == 30
    assert attempts.seconds_to_wait("192.168.1.8") == 0
    for _ in range(5000):
        attempts.note_wrong("192.168.1.7")
    assert attempts.seconds_to_wait("192.168.1.7") == 3600
    assert (
        client_of({"client": ("2001:db8::1:2", 1)}) == client_of({"client": ("2001:db8::ffff", 2)}) == "2001:db8::/64"
    )
    assert client_of({"client": ("::ffff:10.0.0.1", 1)}) == "10.0.0.1"
    assert client_of({}) == "unknown"


def test_memory_of_clients_and_sessions_is_bounded() -> None:
    attempts, sessions = Attempts(Clock()), Sessions(60, Clock())
    for number in range(20_000):
        attempts.note_wrong(str(number))
    first = sessions.begin()
    for _ in range(200):
        sessions.begin()
    assert len(attempts._wrong) == 10_000
    assert not sessions.knows(first)
