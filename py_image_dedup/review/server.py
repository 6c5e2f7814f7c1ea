"""The web server of the review: serves the page and its pictures, and carries out its requests.

The server listens on the loopback interface and requires the secret token in the address of each request; requests
that other sites caused are refused even with it.
"""

from __future__ import annotations

import hmac
import json
import secrets
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from py_image_dedup.media.limits import Limits
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.removal.plan import PlanError
from py_image_dedup.report.html import page_template
from py_image_dedup.report.page_content import as_script
from py_image_dedup.report.text import readable
from py_image_dedup.review.decisions import DecisionsError, decisions_from_json
from py_image_dedup.review.pictures import Pictures
from py_image_dedup.review.session import BusyError, ReviewSession

HOST: Final = "127.0.0.1"

_LARGEST_BODY: Final = 64 << 20
"""Largest request body, in bytes: decisions on some 200,000 groups."""
_MOST_CONNECTIONS: Final = 200
_NAMES: Final = ("127.0.0.1", "localhost")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NOTHING_ALLOWED: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"


def make_token() -> str:
    """Return an unguessable token that is valid in an address."""
    return secrets.token_urlsafe(24)


class _Gate:
    """Middleware that passes requests to this host with the token, from its own page or from no page.

    All other requests get a short refusal that reveals nothing.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in _NAMES}
        self._origins = {b"http://" + host for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                if b"content-security-policy" not in present:
                    added.append((b"content-security-policy", _NOTHING_ALLOWED.encode()))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_safely)
        else:
            await refusal(scope, receive, send_safely)

    def _refusal(self, scope: Scope) -> Response | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        given = scope["path"].split("/")[1].encode()
        if not hmac.compare_digest(given, self._token):
            return PlainTextResponse("Not found.", 404)
        host, origin = headers.get(b"host", []), headers.get(b"origin", [])
        # Another name of this address, as in a DNS rebinding attack, is another site.
        if len(host) != 1 or host[0] not in self._hosts:
            return PlainTextResponse("The host name is not accepted.", 403)
        if any(each not in self._origins for each in origin):
            return PlainTextResponse("Requests from other sites are refused.", 403)
        if any(each not in {b"same-origin", b"none"} for each in headers.get(b"sec-fetch-site", [])):
            return PlainTextResponse("Requests from other sites are refused.", 403)
        return None


class _Server(uvicorn.Server):
    """A server that stops on Ctrl-C without raising the signal again, since stopping it is the normal end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


class ReviewServer:
    """Serves a review until ``end`` is called or the process is interrupted.

    Args:
        session: The review.
        limits: Cost limits of rendering one picture.
        workers: Number of rendering processes.
        port: Port on the loopback interface; 0 for a free one.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, session: ReviewSession, limits: Limits, workers: int, port: int = 0) -> None:
        self._session = session
        self._pictures = Pictures(session.files, limits, workers)
        self._token = make_token()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
            self._socket.listen()  # requests that arrive before the server is ready wait instead of being refused
        except OSError:
            self._socket.close()
            raise
        self._port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _Gate(self._app(), self._token, self._port),
            access_log=False,
            lifespan="off",
            limit_concurrency=_MOST_CONNECTIONS,
            log_level="critical",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            ws="none",
        )
        self._server = _Server(config)

    @property
    def address(self) -> str:
        """The address of the page, with the token."""
        return f"http://{HOST}:{self._port}/{self._token}/"

    def serve(self) -> None:
        """Serve until ``end`` is called or, in the main thread, Ctrl-C is pressed; finish the current file first."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._session.close()
            self._pictures.close()
            self._socket.close()

    def end(self) -> None:
        """Make ``serve`` return."""
        self._server.should_exit = True

    @property
    def is_ready(self) -> bool:
        """Whether the server accepts requests."""
        return self._server.started

    def _app(self) -> Starlette:
        prefix = f"/{self._token}"
        return Starlette(
            routes=[
                Route(f"{prefix}/", self._page),
                Route(f"{prefix}/picture/{{number:int}}/{{size:str}}", self._picture),
                Route(f"{prefix}/placement/{{keeper:int}}/{{number:int}}", self._placement),
                Route(f"{prefix}/status", self._status),
                Route(f"{prefix}/apply", self._posted(self._apply), methods=["POST"]),
                Route(f"{prefix}/undo", self._posted(self._undo), methods=["POST"]),
                Route(f"{prefix}/end", self._posted(self._end), methods=["POST"]),
            ]
        )

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - the signature is Starlette's
        page = page_template().with_sources("'self' data:", "'self'")
        content = {**self._session.content, "served": {"base": f"/{self._token}/"}}
        text = page.head + as_script(content) + page.middle + page.tail
        policy = page.policy + "; frame-ancestors 'none'"
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})

    async def _picture(self, request: Request) -> Response:
        try:
            size = RenderedSize(request.path_params["size"])
        except ValueError:
            return PlainTextResponse("Not found.", 404)
        picture = await run_in_threadpool(self._pictures.get, request.path_params["number"], size)
        if picture is None:
            return PlainTextResponse("This picture cannot be shown.", 404)
        return Response(picture, media_type=size.media_type)

    async def _placement(self, request: Request) -> Response:
        numbers = request.path_params
        return JSONResponse(await run_in_threadpool(self._pictures.placement, numbers["keeper"], numbers["number"]))

    async def _status(self, request: Request) -> Response:  # noqa: ARG002 - as above
        return JSONResponse(self._session.status())

    def _posted(self, act: Callable[[Any], None]) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a request that changes something."""

        async def answer(request: Request) -> Response:
            # A form on another site cannot send this type, and a script there only after a CORS preflight request.
            if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                return PlainTextResponse("The request must be JSON.", 415)
            try:
                body = json.loads(await _body(request))
                await run_in_threadpool(act, body)
            except _TooLargeError:
                return PlainTextResponse("The request is too large.", 413)
            except BusyError as error:
                return PlainTextResponse(str(error), 409)
            except (DecisionsError, PlanError) as error:
                return PlainTextResponse(readable(str(error)), 422)
            except (ValueError, KeyError, TypeError, RecursionError):
                return PlainTextResponse("The request is not valid.", 400)
            return JSONResponse(self._session.status())

        return answer

    def _apply(self, body: Any) -> None:
        self._session.apply(decisions_from_json(body))

    def _undo(self, body: Any) -> None:
        self._session.undo(body["run"])

    def _end(self, body: Any) -> None:  # noqa: ARG002 - the request has no content
        self.end()


class _TooLargeError(Exception):
    """A request body exceeds the size limit."""


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _LARGEST_BODY:
            raise _TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)
