"""The web server of the review: serves the page and its pictures, and carries out its requests.

A gate decides who may use it (``access.py``); views are what there is to see (``board.py``).
"""

from __future__ import annotations

import asyncio
import json
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
from uvicorn.protocols.http.h11_impl import H11Protocol

from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.removal.journal import JournalError
from py_image_dedup.removal.plan import PlanError
from py_image_dedup.report.html import page_template
from py_image_dedup.report.page_content import as_script
from py_image_dedup.report.text import readable
from py_image_dedup.review.access import Gate
from py_image_dedup.review.board import View, Views
from py_image_dedup.review.decisions import DecisionsError, decisions_from_json
from py_image_dedup.review.session import BusyError, ReviewSession

HOST: Final = "127.0.0.1"

_LARGEST_BODY: Final = 64 << 20
"""Largest request body, in bytes: decisions on some 200,000 groups."""
_MOST_CONNECTIONS: Final = 200
_HEADERS_WITHIN_SECONDS: Final = 15.0
_NOTHING_YET: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>"
    "<meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>"
    "<title>Duplicates</title><h1>The first run is not finished yet.</h1>"
    "<p>This page loads itself again until there is something to show.</p>"
)
_NOTHING_YET_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


class _ImpatientProtocol(H11Protocol):
    """HTTP on a connection whose client must send the first request soon; otherwise idle clients take all of them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(_HEADERS_WITHIN_SECONDS, self._give_up)

    def _give_up(self) -> None:
        started = getattr(self, "cycle", None) is not None  # uvicorn's annotation leaves out that it begins as None
        if not started and not self.transport.is_closing():
            self.transport.abort()


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
        views: What is served; closed at the end.
        gate: Decides who may use it.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        can_end: Whether the page may end the review.

    Raises:
        OSError: The address cannot be bound.
    """

    def __init__(self, views: Views, gate: Gate, host: str = HOST, port: int = 0, *, can_end: bool = True) -> None:
        self._views = views
        self._gate = gate
        self._can_end = can_end
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named: only then asyncio sends small answers at once, instead of after the client's delay.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()  # requests that arrive before the server is ready wait instead of being refused
        except OSError:
            self._socket.close()
            raise
        self._host = f"[{host}]" if ":" in host else host
        self._port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            gate.guarded(self._app(), self._host, self._port),
            access_log=False,
            http=_ImpatientProtocol,
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
        """The address of the page, with the token if the gate has one."""
        return f"http://{self._host}:{self._port}{self._gate.prefix}/"

    def serve(self) -> None:
        """Serve until ``end`` is called or, in the main thread, Ctrl-C is pressed; finish the current file first."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._views.close()
            self._socket.close()

    def end(self) -> None:
        """Make ``serve`` return."""
        self._server.should_exit = True

    @property
    def is_ready(self) -> bool:
        """Whether the server accepts requests."""
        return self._server.started

    def _app(self) -> Starlette:
        routes = [
            Route("/", self._page),
            Route("/{view}/picture/{number:int}/{size:str}", self._of_view(self._picture)),
            Route("/{view}/placement/{keeper:int}/{number:int}", self._of_view(self._placement)),
            Route("/{view}/status", self._of_view(self._status)),
            Route("/{view}/history", self._of_view(self._history)),
            Route("/{view}/history/{run:str}", self._of_view(self._history_of)),
            Route("/{view}/apply", self._of_view(self._posted(self._apply)), methods=["POST"]),
            Route("/{view}/undo", self._of_view(self._posted(self._undo)), methods=["POST"]),
        ]
        if self._can_end:
            routes.append(Route("/{view}/end", self._of_view(self._posted(self._end)), methods=["POST"]))
        return Starlette(routes=routes)

    def _of_view(
        self, answer: Callable[[Request, View], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a request to the view in its path."""

        async def find(request: Request) -> Response:
            view = self._views.get(request.path_params["view"])
            if view is None:
                return PlainTextResponse("Not found. If the page is open for long, load it again.", 404)
            return await answer(request, view)

        return find

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - the signature is Starlette's
        view = await run_in_threadpool(self._views.newest)
        if view is None:
            return HTMLResponse(_NOTHING_YET, headers={"Content-Security-Policy": _NOTHING_YET_POLICY})
        page = page_template().with_sources("'self' data:", "'self'")
        served = {
            "base": f"{self._gate.prefix}/{view.name}/",
            "home": f"{self._gate.prefix}/",
            "end": self._can_end,
            "logout": self._gate.has_sessions,
            "history": view.session.shows_history,
            "removes": view.session.remembers_undo,
        }
        script = await run_in_threadpool(as_script, {**view.session.content, "served": served})
        text = page.head + script + page.middle + page.tail
        policy = page.policy + "; frame-ancestors 'none'"
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})

    async def _picture(self, request: Request, view: View) -> Response:
        try:
            size = RenderedSize(request.path_params["size"])
        except ValueError:
            return PlainTextResponse("Not found.", 404)
        picture = await run_in_threadpool(view.pictures.get, request.path_params["number"], size)
        if picture is None:
            return PlainTextResponse("This picture cannot be shown.", 404)
        return Response(picture, media_type=size.media_type)

    async def _placement(self, request: Request, view: View) -> Response:
        numbers = request.path_params
        return JSONResponse(await run_in_threadpool(view.pictures.placement, numbers["keeper"], numbers["number"]))

    async def _status(self, request: Request, view: View) -> Response:  # noqa: ARG002 - as above
        return JSONResponse(view.session.status())

    async def _history(self, request: Request, view: View) -> Response:  # noqa: ARG002 - as above
        return JSONResponse(await run_in_threadpool(view.session.history))

    async def _history_of(self, request: Request, view: View) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(view.session.history_of, request.path_params["run"]))
        except (KeyError, JournalError):
            return PlainTextResponse("Not found.", 404)

    def _posted(self, act: Callable[[ReviewSession, Any], None]) -> Callable[[Request, View], Awaitable[Response]]:
        """Return the handler of a request that changes something."""

        async def answer(request: Request, view: View) -> Response:
            # A form on another site cannot send this type, and a script there only after a CORS preflight request.
            if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                return PlainTextResponse("The request must be JSON.", 415)
            try:
                body = json.loads(await _body(request))
                await run_in_threadpool(act, view.session, body)
            except _TooLargeError:
                return PlainTextResponse("The request is too large.", 413)
            except BusyError as error:
                return PlainTextResponse(str(error), 409)
            except (DecisionsError, PlanError, JournalError) as error:
                return PlainTextResponse(readable(str(error)), 422)
            except (ValueError, KeyError, TypeError, RecursionError):
                return PlainTextResponse("The request is not valid.", 400)
            return JSONResponse(view.session.status())

        return answer

    def _apply(self, session: ReviewSession, body: Any) -> None:
        session.apply(decisions_from_json(body))

    def _undo(self, session: ReviewSession, body: Any) -> None:
        session.undo(body["run"], body.get("files"))

    def _end(self, session: ReviewSession, body: Any) -> None:  # noqa: ARG002 - the request has no content
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
