"""One client, with patience: passing trouble is waited out, within bounds; lasting trouble is put into words."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from elastic_transport import ConnectionError as NoConnection
from elastic_transport import ConnectionTimeout, ObjectApiResponse, TlsError, TransportError
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from py_image_dedup.store.base import StoreError, StoreUnavailable

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 8 << 30


def usable_memory() -> int:
    """The bytes of memory that this process may use: those of the machine, or of the container if it has a limit."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN
    try:
        limit = _CONTAINER_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


@dataclass(frozen=True, slots=True)
class ElasticOptions:
    """How to reach an index. Secrets are not in the ``repr``.

    Attributes:
        hosts: Names or addresses of nodes; any of them serves. A name may carry its own port (``es1:9201``).
        port: Of HTTP, where a host names none.
        index: Name of the alias that the index is known by.
        auto_create_index: Make the index if it is not there.
        username: For basic authentication, with ``password``.
        password: Secret.
        api_key: Secret; wins over user and password.
        ca_certificate: PEM file of the authority that signed the server's certificate; none: the system's.
        scheme: ``http`` or ``https``.
        shards: Of an index that is made here; an existing index keeps its number.
        replicas: Copies of each shard of an index that is made here.
        request_seconds: How long one request may take.
        patience_seconds: How long a request is tried again while the server is busy or away.
        memory_bytes: ``pairs`` holds all signatures in memory up to this, 1,500 bytes a content; above it asks the
            server, batch by batch. Half of the memory that this process may use, unless told.
        cache_directory: Where results of ``pairs`` are kept, so that a later run searches what is new; none: nowhere.
    """

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9200
    index: str = "images"
    auto_create_index: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca_certificate: Path | None = None
    scheme: str = "http"
    shards: int = 1
    replicas: int = 0
    request_seconds: float = 60.0
    patience_seconds: float = 60.0
    memory_bytes: int = field(default_factory=lambda: usable_memory() // 2)
    cache_directory: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The address of each node, without secrets."""
        return tuple(f"{self.scheme}://{self._with_port(host)}" for host in self.hosts)

    @property
    def place(self) -> str:
        """Index and addresses, for messages."""
        return f"the Elasticsearch index '{self.index}' at {', '.join(self.urls)}"

    def _with_port(self, host: str) -> str:
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            return host
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"


OLDEST_SERVER = (8, 19)
BUSY = frozenset({429, 502, 503, 504})
"""HTTP answers that may be another one a little later."""

DISK_FULL = "disk usage exceeded flood-stage watermark"


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, ApiError):
        status = error.status_code
        return status in BUSY and not is_block(*cause(error.body))
    return isinstance(error, (NoConnection, ConnectionTimeout)) and not isinstance(error, TlsError)


def is_block(kind: str, reason: str) -> bool:
    """Whether somebody, or a full disk, closed the index for writing: no matter of moments."""
    return kind == "cluster_block_exception" and ("index [" in reason or DISK_FULL in reason)


def cause(body: object) -> tuple[str, str]:
    """Kind and reason of an error as the server names them; empty if it does not."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ("", str(error or ""))
    roots: list[Mapping[str, Any]] = list(error.get("root_cause") or [])
    if error.get("type") in {"search_phase_execution_exception", None} and roots:
        error = roots[0]
    return (str(error.get("type") or ""), str(error.get("reason") or ""))


def explain(error: Exception, options: ElasticOptions, doing: str) -> StoreError:
    """Put an exception of the client into words.

    Args:
        error: ``ApiError``, ``TransportError`` or ``UnsupportedProductError``.
        options: What was being reached.
        doing: What was being done ("search"), for the message.

    Returns:
        ``StoreUnavailable`` if a retry may help, ``StoreError`` otherwise; to be raised from ``error``.
    """
    if isinstance(error, UnsupportedProductError):
        return StoreError(
            f"{', '.join(options.urls)} is not Elasticsearch (or a proxy hides that it is): "
            "check elasticsearch.host and elasticsearch.port"
        )
    if isinstance(error, ApiError):
        kind, reason = cause(error.body)
        return explain_answer(error.status_code, kind, reason, options, doing)
    if isinstance(error, TransportError):
        return _explain_connection(error, options, doing)
    return StoreError(f"cannot {doing} {options.place}: {error}")


def _explain_connection(error: TransportError, options: ElasticOptions, doing: str) -> StoreError:
    place = options.place
    if isinstance(error, ConnectionTimeout):
        return StoreUnavailable(
            f"cannot {doing} {place}: no answer within {options.request_seconds:g} seconds; "
            "the server hangs or is overloaded: look at its log, then run again"
        )
    if isinstance(error, TlsError):
        return StoreError(
            f"cannot {doing} {place}: no trusted https connection ({error.message}); set elasticsearch.ca_certificate "
            "to the file of the authority that signed the server's certificate, or elasticsearch.scheme to http if "
            "the server speaks http"
        )
    words = error.message.partition("): ")[2] or error.message  # without the name of a class and the address again
    if options.scheme == "http" and "refused" not in words and "resolve" not in words:
        words += "; it has gone away, or speaks https (elasticsearch.scheme)"
    return StoreUnavailable(
        f"cannot {doing} {place}: no connection ({words}); is the server running, and are elasticsearch.host and "
        "elasticsearch.port right?"
    )


def explain_answer(status: int, kind: str, reason: str, options: ElasticOptions, doing: str) -> StoreError:
    """Put an error that the server answered into words, one of a whole request or of one item of a bulk.

    Args:
        status: The HTTP status.
        kind: Type of the error as the server names it.
        reason: The server's words.
        options: What was being reached.
        doing: What was being done.

    Returns:
        As ``explain``.
    """
    start = f"cannot {doing} {options.place}"
    if status == 401:
        return StoreError(
            f"{start}: the server does not accept the credentials; check elasticsearch.username and "
            "elasticsearch.password, or elasticsearch.api_key"
        )
    if kind == "cluster_block_exception":
        return _explain_block(status, reason, start, options)
    if status == 403:
        return StoreError(f"{start}: the user may not do that ({reason}); it needs the privileges in docs/scaling.md")
    if kind == "index_not_found_exception" or (status == 404 and "require_alias" in reason):
        return StoreError(
            f"{start}: the index is not there any more; it was deleted while it was in use. Run again to build it anew"
        )
    if kind.startswith("search_context_missing"):
        return StoreUnavailable(f"{start}: the server lost the search, as after a restart; run again")
    if kind == "index_closed_exception":
        return StoreError(
            f"{start}: the index is closed; open it with: curl -X POST {options.urls[0]}/{options.index}/_open"
        )
    if kind == "media_type_header_exception" or status in {406, 415}:
        return StoreError(f"{start}: Elasticsearch {_oldest()} to 9.x is needed; the server is of another version")
    words = f"{start}: {kind or 'error'} {status}: {reason or 'the server gives no reason'}"
    if status in BUSY:
        return StoreUnavailable(f"{words}. It is overloaded or not whole; run again when it has recovered")
    return StoreError(words)


def _explain_block(status: int, reason: str, start: str, options: ElasticOptions) -> StoreError:
    if DISK_FULL in reason or "read-only-allow-delete" in reason:
        return StoreUnavailable(
            f"{start}: the disk of the server is full (flood-stage watermark) and the index takes no writes; make room "
            "there, the server then lifts the block by itself, and run again"
        )
    if "index closed" in reason:
        return StoreError(
            f"{start}: the index is closed; open it with: curl -X POST {options.urls[0]}/{options.index}/_open"
        )
    if status in BUSY:
        return StoreUnavailable(f"{start}: the cluster is not ready ({reason}); run again in a moment")
    return StoreError(
        f"{start}: the index is blocked ({reason}); lift the block with: curl -X PUT {options.urls[0]}/{options.index}"
        "/_settings -H 'Content-Type: application/json' "
        """-d '{"index.blocks.write": null, "index.blocks.read_only": null}'"""
    )


def check_version(version: str, options: ElasticOptions) -> None:
    """Refuse a server that is too old.

    Raises:
        StoreError: Older than ``OLDEST_SERVER``.
    """
    parts = version.split("-")[0].split(".")
    if tuple(int(part) for part in parts[:2] if part.isdigit()) < OLDEST_SERVER:
        raise StoreError(
            f"cannot use {options.place}: it is version {version}; Elasticsearch {_oldest()} or newer is needed"
        )


def _oldest() -> str:
    return ".".join(str(part) for part in OLDEST_SERVER)


T = TypeVar("T")
TROUBLE = (ApiError, TransportError, UnsupportedProductError)

# What the client tells its log about a node that is away, this program tells in its own words. Who wants to read it all
# the same gives that logger a handler.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_OPENING_PATIENCE = 5.0


class Patience:
    """How long trouble has lasted, and how long to wait before the next attempt.

    Pauses double up to ten seconds; a random half of each keeps several programs from coming back at the same moment.

    Args:
        seconds: Before it ends.
        timeouts: How many requests without an answer may each be sent again although their time is longer than that.
    """

    def __init__(self, seconds: float, timeouts: int = 0) -> None:
        self._deadline = time.monotonic() + seconds
        self._timeouts = timeouts
        self._pause = _FIRST_PAUSE

    def wait(self, trouble: Exception) -> bool:
        """Wait a little. Returns ``False``, at once, when patience is at its end.

        Args:
            trouble: What there is to be patient with.
        """
        left = self._deadline - time.monotonic()
        if left <= 0 and self._timeouts and isinstance(trouble, ConnectionTimeout):
            # A timeout has cost all the time there was; one more attempt tells a hiccup from a server that hangs.
            self._timeouts -= 1
            left = _FIRST_PAUSE
        if left <= 0:
            return False
        pause = min(self._pause, left)
        time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


class Connection:
    """The client of one store.

    Thread-safety: any number of threads may call at once.
    """

    def __init__(self, options: ElasticOptions) -> None:
        self.options = options
        self._patience = min(options.patience_seconds, _OPENING_PATIENCE)
        self._timeouts = 0
        secure: dict[str, Any] = {}
        if options.scheme == "https" and options.ca_certificate is not None:
            if not options.ca_certificate.is_file():
                raise StoreError(f"elasticsearch.ca_certificate: there is no file {options.ca_certificate}")
            secure["ca_certs"] = str(options.ca_certificate)
        if options.api_key:
            secure["api_key"] = options.api_key
        elif options.username:
            secure["basic_auth"] = (options.username, options.password or "")
        try:
            self.client = Elasticsearch(
                list(options.urls),
                request_timeout=options.request_seconds,
                max_retries=0,  # retried here: with jitter, within bounds, and also what a bulk rejects in part
                retry_on_timeout=False,
                **secure,
            )
        except (ValueError, OSError) as error:
            raise StoreError(f"cannot use {options.place}: {error}") from error

    def opened(self) -> None:
        """Be patient from now on: the server has answered before, so it will come back."""
        self._patience = self.options.patience_seconds
        self._timeouts = 1

    def patience(self) -> Patience:
        """Patience for one request."""
        return Patience(self._patience, self._timeouts)

    def call(self, doing: str, request: Callable[[Elasticsearch], T]) -> T:
        """Send a request; again, while the server is busy or away.

        Args:
            doing: What it is for, for the message: "search", "write to".
            request: Sends it; must be one that may be sent twice.

        Raises:
            StoreUnavailable: The server stayed busy or away.
            StoreError: It refuses.
        """
        patience = self.patience()
        while True:
            try:
                return request(self.client)
            except TROUBLE as error:
                if is_passing(error) and patience.wait(error):
                    continue
                raise explain(error, self.options, doing) from error

    def close(self) -> None:
        """Give the sockets back."""
        self.client.close()


def whole(answer: ObjectApiResponse[Any] | Mapping[str, Any], options: ElasticOptions) -> None:
    """Refuse an answer that is not from every shard: a part of the truth is not the truth.

    Raises:
        StoreUnavailable: Some shards did not answer.
    """
    shards = answer.get("_shards") or {}
    if answer.get("timed_out") or shards.get("failed"):
        raise StoreUnavailable(
            f"{options.place} answered in part only ({shards.get('failed', 0)} of {shards.get('total', '?')} shards "
            "failed); run again when the cluster is whole"
        )
