"""The three pages that a daemon serves: ``/metrics``, ``/healthz``, ``/readyz``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from prometheus_client import CollectorRegistry, exposition

Checks: TypeAlias = Mapping[str, str | None]
"""What has to be well, by name: ``None`` if it is, else what is wrong in words."""


class MetricsServer:
    """Serves the pages from a thread of its own until it is closed.

    Args:
        address: To listen on; ``127.0.0.1`` keeps it on this machine.
        port: 0 takes a free one, see ``port``.
        registry: What ``/metrics`` shows.
        alive: What ``/healthz`` asks: is the daemon's own loop turning?
        ready: What ``/readyz`` asks: index reachable, watchers up, last run well?

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(
        self,
        address: str,
        port: int,
        registry: CollectorRegistry,
        *,
        alive: Callable[[], Checks],
        ready: Callable[[], Checks],
    ) -> None:
        self._server = _Server((address, port), _page_maker(registry, alive, ready))
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and end the thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16


def _page_maker(
    registry: CollectorRegistry, alive: Callable[[], Checks], ready: Callable[[], Checks]
) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        timeout = 10  # a client that connects and says nothing does not hold a thread
        server_version = "py-image-dedup"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/metrics":
                encode, content_type = exposition.choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, encode(registry), content_type)
            elif path == "/healthz":
                self._checked(alive())
            elif path == "/readyz":
                self._checked(ready())
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics /healthz /readyz\n", "text/plain; charset=utf-8")

        def _checked(self, checks: Checks) -> None:
            wrong = any(problem is not None for problem in checks.values())
            status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            body = {"status": "failing" if wrong else "ok", "checks": {k: v or "ok" for k, v in checks.items()}}
            self._answer(status, json.dumps(body, indent=1).encode() + b"\n", "application/json")

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's names
            """Say nothing: a scrape every few seconds is no news."""

    return Pages
