"""Access control of the review page: gates that see every request first.

``TokenGate`` wants a secret in the address and serves one machine. ``PasswordGate`` wants a password once and then the
cookie of a session. Both refuse what another site caused, even with the secret or the cookie.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, Protocol
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from py_image_dedup.report.text import count_words

_LOG = logging.getLogger(__name__)

COOKIE: Final = "py-image-dedup-review"
"""Name of the cookie that holds the secret of a session."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_NOTHING_ALLOWED: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost")
_LONGEST_REQUEST_SECONDS: Final = 300.0
_LONGEST_LOGIN: Final = 4096
_MOST_SESSIONS: Final = 100
_MOST_CLIENTS: Final = 10_000


def make_token() -> str:
    """Return an unguessable token that is valid in an address and in a cookie."""
    return secrets.token_urlsafe(24)


class Gate(Protocol):
    """The interface of the gates: ASGI middleware that answers or passes on each request."""

    @property
    def prefix(self) -> str:
        """The part of the page's path that belongs to the gate, without a slash at its end."""

    @property
    def has_sessions(self) -> bool:
        """Whether the user can log out."""

    def guarded(self, app: ASGIApp, host: str, port: int) -> ASGIApp:
        """Return the application behind the gate.

        Args:
            app: The application; it sees paths without the prefix.
            host: The address that the server listens on, as it is written in addresses of pages.
            port: The port that the server listens on.
        """


def _with_safe_headers(send: Send) -> Send:
    """Return ``send`` with the headers that every answer has."""

    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            added = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            added.append((b"content-security-policy", _NOTHING_ALLOWED.encode()))
            added = [(name, value) for name, value in added if name not in present]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return send_safely


def _headers_of(scope: Scope) -> Mapping[bytes, Sequence[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


def _comes_from_elsewhere(headers: Mapping[bytes, Sequence[bytes]], origins: set[bytes]) -> bool:
    """Return whether another site caused a request: a browser says so in one of two headers."""
    if any(each not in origins for each in headers.get(b"origin", ())):
        return True
    return any(each not in {b"same-origin", b"none"} for each in headers.get(b"sec-fetch-site", ()))


_FROM_ELSEWHERE: Final = "Requests from other sites are refused."


async def _in_time(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call an application; a client that neither sends nor reads for minutes does not hold its connection."""
    try:
        async with asyncio.timeout(_LONGEST_REQUEST_SECONDS):
            await app(scope, receive, send)
    except (TimeoutError, ClientDisconnect):
        _LOG.debug("a request to the review page was given up: its client is too slow or gone")


class TokenGate:
    """Passes requests to this machine with the token in their path, from its own page or from no page.

    All other requests get a short refusal that reveals nothing.
    """

    has_sessions = False

    def __init__(self) -> None:
        self._token = make_token()

    @property
    def prefix(self) -> str:
        """The slash and the token."""
        return f"/{self._token}"

    def guarded(self, app: ASGIApp, host: str, port: int) -> ASGIApp:
        """Return the application behind the gate; see ``Gate``."""
        hosts = {f"{name}:{port}".encode() for name in (*_LOOPBACK_NAMES, host)}
        origins = {b"http://" + host for host in hosts}

        def refusal(scope: Scope) -> Response | None:
            headers = _headers_of(scope)
            given = scope["path"].split("/")[1].encode() if scope["path"].startswith("/") else b""
            if not hmac.compare_digest(given, self._token.encode()):
                return PlainTextResponse("Not found.", 404)
            named = headers.get(b"host", ())
            # Another name of this address, as in a DNS rebinding attack, is another site.
            if len(named) != 1 or named[0] not in hosts:
                return PlainTextResponse("The host name is not accepted.", 403)
            if _comes_from_elsewhere(headers, origins):
                return PlainTextResponse(_FROM_ELSEWHERE, 403)
            return None

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            send = _with_safe_headers(send)
            refused = refusal(scope)
            if refused is not None:
                await refused(scope, receive, send)
                return
            await _in_time(app, {**scope, "path": scope["path"].removeprefix(self.prefix)}, receive, send)

        return gate


class Attempts:
    """Counts wrong passwords by client: after five of them the client must wait, and longer after each further one.

    Thread-safe.

    Args:
        clock: Monotonic clock, in seconds.
    """

    FREE: Final = 5
    FIRST_WAIT: Final = 30.0
    LONGEST_WAIT: Final = 3600.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_to_wait(self, client: str) -> float:
        """Return for how long passwords of a client are not looked at."""
        with self._lock:
            return max(0.0, self._wrong.get(client, (0, 0.0))[1] - self._clock())

    def note_wrong(self, client: str) -> int:
        """Count a wrong password; return how many there are now."""
        with self._lock:
            count = self._wrong.pop(client, (0, 0.0))[0] + 1
            over = count - self.FREE
            # The exponent is bounded: a power of thousands does not fit a float.
            wait = 0.0 if over < 0 else min(self.LONGEST_WAIT, self.FIRST_WAIT * 2 ** min(over, 20))
            self._wrong[client] = (count, self._clock() + wait)
            while len(self._wrong) > _MOST_CLIENTS:
                self._wrong.popitem(last=False)
            return count

    def forget(self, client: str) -> None:
        """Start again for a client that knows the password."""
        with self._lock:
            self._wrong.pop(client, None)


def client_of(scope: Scope) -> str:
    """Return the address of the client; of IPv6 its network, because one machine has the addresses of a whole one."""
    client = scope.get("client")
    if not client:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


class Sessions:
    """The sessions of users that gave the password. Thread-safe; only hashes of their secrets are kept.

    Args:
        seconds: Time from login to the end of a session.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """Start a session and return its secret."""
        secret = make_token()
        with self._lock:
            self._ends[_hash(secret)] = self._clock() + self._seconds
            while len(self._ends) > _MOST_SESSIONS:
                self._ends.popitem(last=False)
        return secret

    def knows(self, secret: str) -> bool:
        """Return whether a session has this secret and has not ended."""
        with self._lock:
            ends = self._ends.get(_hash(secret))
            if ends is not None and ends <= self._clock():
                del self._ends[_hash(secret)]
                return False
            return ends is not None

    def end(self, secret: str) -> None:
        """End a session."""
        with self._lock:
            self._ends.pop(_hash(secret), None)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


class PasswordGate:
    """Passes requests that have the cookie of a session; the page ``/login`` asks for the password.

    Args:
        password: The password.
        session_seconds: Time from login to the end of a session.
        clock: Monotonic clock, in seconds.
    """

    prefix = ""
    has_sessions = True

    def __init__(self, password: str, session_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._password = _hash(password)
        self._seconds = session_seconds
        self._sessions = Sessions(session_seconds, clock)
        self._attempts = Attempts(clock)

    def guarded(self, app: ASGIApp, host: str, port: int) -> ASGIApp:  # noqa: ARG002 - behind a proxy both are others
        """Return the application behind the gate; see ``Gate``."""

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            await _in_time(answer, scope, receive, _with_safe_headers(send))

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await self._response(Request(scope, receive))
            await (response or app)(scope, receive, send)

        return gate

    async def _response(self, request: Request) -> Response | None:
        """Return the answer of the gate; ``None`` if the application answers."""
        headers = _headers_of(request.scope)
        host = headers.get(b"host", ())
        if len(host) != 1:
            return PlainTextResponse("The host name is not accepted.", 403)
        # Whatever the server is called: its own page sends requests to the name that it was loaded from.
        if _comes_from_elsewhere(headers, {b"http://" + host[0], b"https://" + host[0]}):
            # A link on another site may lead to the page; the browser has sent no cookie then.
            if request.method == "GET" and request.url.path in {"/", "/login"} and b"origin" not in headers:
                return _login_page()
            return PlainTextResponse(_FROM_ELSEWHERE, 403)
        if request.url.path == "/login":
            return await self._login(request) if request.method == "POST" else _login_page()
        secret = request.cookies.get(COOKIE, "")
        if not self._sessions.knows(secret):
            if request.method == "GET" and request.url.path == "/":
                return RedirectResponse("/login", 303)
            return PlainTextResponse("Your session has ended: load the page again and log in.", 401)
        if request.url.path == "/logout":
            if request.method != "POST":
                return PlainTextResponse("Log out with the button of the page.", 405)
            self._sessions.end(secret)
            left = PlainTextResponse("Logged out.")
            left.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
            return left
        return None

    async def _login(self, request: Request) -> Response:
        client = client_of(request.scope)
        # Nothing is looked at meanwhile: the right password would otherwise be found by guessing on.
        wait = self._attempts.seconds_to_wait(client)
        if wait > 0:
            return _login_page(f"Too many wrong passwords. Wait {count_words(round(wait) + 1, 'second')}.", 429, wait)
        password = await _posted_password(request)
        if password is None:
            return PlainTextResponse("The request is not valid.", 400)
        if not hmac.compare_digest(_hash(password), self._password):
            count = self._attempts.note_wrong(client)
            _LOG.warning("review page: wrong password from %s (%d)", client, count)
            wait = self._attempts.seconds_to_wait(client)
            words = f" Wait {count_words(round(wait), 'second')}." if wait > 0 else ""
            return _login_page(f"The password is wrong.{words}", 429 if wait > 0 else 401, wait)
        self._attempts.forget(client)
        _LOG.info("review page: login from %s", client)
        entered = RedirectResponse("/", 303)
        entered.set_cookie(
            COOKIE,
            self._sessions.begin(),
            max_age=int(self._seconds),
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https://"),
        )
        return entered


async def _posted_password(request: Request) -> str | None:
    """Return the password of a login form, or ``None`` if the request is none."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LONGEST_LOGIN:
            return None
    try:
        given = parse_qs(data.decode("ascii"), max_num_fields=4, errors="surrogateescape").get("password", [])
    except ValueError:
        return None
    return given[0] if len(given) == 1 else None


@cache
def _login_template() -> tuple[str, str]:
    """Return the login page and its content security policy, which allows its own style."""
    text = (files("py_image_dedup.review") / "login.html").read_text(encoding="utf-8")
    style = text.split("<style>")[1].split("</style>")[0]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        text,
        f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:; form-action 'self'; frame-ancestors 'none'",
    )


def _login_page(problem: str = "", status: int = 200, wait: float = 0.0) -> Response:
    text, policy = _login_template()
    # With "no-referrer", browsers would send the form with the origin "null".
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    if wait > 0:
        headers["Retry-After"] = str(round(wait) + 1)
    return HTMLResponse(text.replace("@PROBLEM@", problem), status, headers=headers)
