"""A review over a small library, served for real."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from py_image_dedup.api import Deduplicator
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.events import Observer
from py_image_dedup.model.plan import Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.removal.serialization import load_plan
from py_image_dedup.review.access import Gate, TokenGate
from py_image_dedup.review.board import OneView
from py_image_dedup.review.server import ReviewServer
from py_image_dedup.review.session import ReviewSession
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.libraries import Library

OF_THE_GATE = ("/", "/login", "/logout")
"""Paths without the name of a view."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Review:
    """A served review.

    Attributes:
        library: What it is about.
        session: Behind the server.
        server: It.
        views: What it serves.
    """

    library: Library
    session: ReviewSession
    server: ReviewServer
    views: OneView

    @property
    def token(self) -> str:
        return urlsplit(self.server.address).path.strip("/")

    @property
    def view(self) -> str:
        """The name of what is served, which the addresses of its pictures and requests begin with."""
        return self.views.newest().name

    @property
    def port(self) -> int:
        return urlsplit(self.server.address).port or 0

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        """Ask with the token, unless another one is given; a body is sent as JSON."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = json.dumps(body).encode() if not isinstance(body, bytes | None) else body
        if data is not None:
            given = {"Content-Type": "application/json"} | given
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            prefix = self.token if token is None else token
            below = path if path in OF_THE_GATE else f"/{self.view}{path}"
            address = below if token is None and not prefix else f"/{prefix}{below}"
            connection.putrequest(method, address, skip_host="Host" in given)
            for name, value in ({"Content-Length": str(len(data))} if data is not None else {} | {}).items():
                connection.putheader(name, value)
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def idle(self) -> dict[str, Any]:
        """Wait until nothing is in hand; return the status."""
        for _ in range(400):
            status = self.session.status()
            if status["job"] is None:
                return status
            time.sleep(0.05)
        raise AssertionError("the step does not end")

    def decisions(self, **verdicts: str) -> dict[str, Any]:
        """Decide by names without suffix; what is not named stays."""
        content = self.session.content

        def named(number: int) -> dict[str, str]:
            file = content["files"][number]
            return {"path": f"{content['folders'][file['folder']]['name']}/{file['name']}", "digest": file["digest"]}

        def verdict(number: int) -> str:
            return verdicts.get(Path(content["files"][number]["name"]).stem.replace(" ", "_"), "keep")

        groups = [
            {
                "keeper": named(group["keeper"]),
                "not_duplicates": False,
                "files": [{**named(each["file"]), "decision": verdict(each["file"])} for each in group["members"]],
            }
            for group in content["groups"]
            if any(verdict(each["file"]) == "remove" for each in group["members"])
        ]
        return {"version": 1, "run": content["run"], "groups": groups}


@contextmanager
def served(library: Library, gate: Gate | None = None, *, shows_history: bool = False) -> Iterator[Review]:
    """Serve a review of a library, with a token unless another gate is given."""
    result = library.run()
    plan = load_plan(library.state / "runs" / result.run / "plan.json")

    def carry_out(plan: Plan, observer: Observer, should_stop: Callable[[], bool]) -> RunResult:
        with SqliteStore(library.state / "index.sqlite3") as store:
            work = Deduplicator(store, library.options(), observer=observer, should_stop=should_stop)
            return work.apply(plan)

    session = ReviewSession(plan, result, RemovalOptions(), library.state, carry_out, shows_history=shows_history)
    views = OneView(session, Limits(), workers=1)
    server = ReviewServer(views, gate or TokenGate())
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        for _ in range(200):
            if server.is_ready:
                break
            time.sleep(0.05)
        assert server.is_ready
        yield Review(library, session, server, views)
    finally:
        server.end()
        thread.join(20)
        assert not thread.is_alive()


def make_library(top: Path) -> Library:
    """A beach twice by bytes and once smaller in a message, a wood twice, and a lonely lake."""
    library = Library(top)
    beach = library.add("2019/beach.jpg", 1)
    library.copy(beach, "copies/beach copy.jpg")
    library.add("sent/beach small.jpg", 1, quality=20)
    wood = library.add("2019/wood.jpg", 2)
    library.copy(wood, "copies/wood copy.jpg")
    library.add("2019/lake.jpg", 3)
    return library
