"""A proxy on loopback that makes trouble: it delays, cuts, and answers for the server."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one request.

    Attributes:
        status: Answered instead of forwarding, if not 0.
        body: With that status.
        delay: Seconds before anything happens.
        cut: The connection ends without an answer.
        cut_after: The request is carried out, and then the connection ends without an answer.
        edit: The request is carried out, and this is made of its answer.
    """

    status: int = 0
    body: str = '{"error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}, "status": 429}'
    delay: float = 0.0
    cut: bool = False
    cut_after: bool = False
    edit: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    method: str
    path: str
    body: bytes
    authorization: str = ""


Script = Callable[[Request], "Trouble | None"]


class Proxy:
    """Stands between a store and a server; ``script`` decides what happens to each request."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.script: Script = _no_trouble
        self.seen: list[Request] = []
        self.product = True

    def count(self, part: str) -> int:
        """How many requests had this in their path."""
        return sum(part in request.path for request in self.seen)


def _no_trouble(request: Request) -> Trouble | None:
    return None


def first(count: int, part: str, trouble: Trouble) -> Script:
    """Trouble for the first requests with ``part`` in their path, and none for those that follow."""
    left = [count]

    def script(request: Request) -> Trouble | None:
        if part in request.path and left[0] > 0:
            left[0] -= 1
            return trouble
        return None

    return script


def always(part: str, trouble: Trouble) -> Script:
    """Trouble for every request with ``part`` in its path."""
    return lambda request: trouble if part in request.path else None


def in_part(status: int, kind: str) -> Script:
    """The first bulk is answered as if the server had turned down every second operation."""

    def edit(answer: bytes) -> bytes:
        items = json.loads(answer)["items"]
        for item in items[::2]:
            (operation,) = item
            item[operation] = {"status": status, "error": {"type": kind, "reason": "not now"}}
        return json.dumps({"items": items}).encode()

    return first(1, "_bulk", Trouble(edit=edit))


_OWN = frozenset({"host", "connection", "content-length"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version: ClassVar[str] = "HTTP/1.1"

    @property
    def proxy(self) -> Proxy:
        return self.server.proxy

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, body, self.headers.get("Authorization") or "")
        self.proxy.seen.append(request)
        trouble = self.proxy.script(request) or Trouble()
        time.sleep(trouble.delay)
        if trouble.cut:
            self.close_connection = True
            return
        if trouble.status:
            self._answer(trouble.status, "application/vnd.elasticsearch+json;compatible-with=8", trouble.body.encode())
            return
        status, kind, answer = self._forward(body)
        if trouble.cut_after:
            self.close_connection = True
            return
        self._answer(status, kind, trouble.edit(answer) if trouble.edit else answer)

    def _forward(self, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.target, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type") or "application/json", answer.read()
        except OSError:
            return 503, "application/json", b"{}"
        finally:
            connection.close()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        if self.proxy.product:
            self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - the base's names


@contextmanager
def proxy_to(target: int) -> Iterator[Proxy]:
    """Run a proxy in front of a port of loopback."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = Proxy(server.server_address[1], target)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
