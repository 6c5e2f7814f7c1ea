"""The HTTP server of the daemon: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from prometheus_client import CollectorRegistry, exposition

Checks: TypeAlias = Mapping[str, str | None]
"""Health checks by name: ``None`` if the check passes, otherwise a description of the problem."""


class MetricsServer:
    """Serves the pages from a thread of its own until it is closed.

    Args:
        address: Address to listen on; ``127.0.0.1`` for this machine only.
        port: Port to listen on; 0 for a free one, which ``port`` returns.
        registry: The metrics of ``/metrics``.
        alive: Returns the checks of ``/healthz``: whether the daemon's loop is running.
        ready: Returns the checks of ``/readyz``: index reachable, watchers up, last run successful.

    Raises:
        OSError: The address and port cannot be bound.
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
        """The port that the server listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and join the thread."""
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
        timeout = 10  # seconds; a client that connects and sends nothing does not hold a thread
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
            """Do not log requests: there is one every few seconds."""

    return Pages
