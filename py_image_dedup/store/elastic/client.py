"""The connection to Elasticsearch: its options, a client that retries transient errors, and error messages."""

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

from py_image_dedup.model.closing import Closing
from py_image_dedup.store.base import StoreError, StoreUnavailable

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN_MEMORY = 8 << 30


def usable_memory() -> int:
    """Return the memory that this process may use, in bytes: that of the machine, or the limit of its container."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_MEMORY
    try:
        limit = _CONTAINER_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


@dataclass(frozen=True, slots=True)
class ElasticOptions:
    """Connection options. Secrets are not in the ``repr``.

    Attributes:
        hosts: Names or addresses of nodes, any of which may be used. A name may have its own port (``es1:9201``).
        port: HTTP port of hosts without one.
        index: Name of the alias of the index.
        auto_create_index: Whether a missing index is created.
        username: User name for basic authentication.
        password: Password for ``username``; secret.
        api_key: API key, used instead of user name and password; secret.
        ca_certificate: PEM file of the authority of the server's certificate; ``None`` for those of the system.
        scheme: ``http`` or ``https``.
        shards: Number of shards of a new index; an existing index keeps its own.
        replicas: Number of replicas of each shard of a new index.
        request_seconds: Time limit of one request, in seconds.
        patience_seconds: Time for which a request is retried while the server is busy or away, in seconds.
        memory_bytes: Memory up to which ``pairs`` joins in memory, at 1,500 bytes per content; above it the server
            searches, batch by batch. By default half of the memory that this process may use.
        cache_directory: Folder for the results of ``pairs``, so that a later run searches new contents only, and for
            verdicts; ``None`` for no cache.
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
        """The URL of each node, without secrets."""
        return tuple(f"{self.scheme}://{self._with_port(host)}" for host in self.hosts)

    @property
    def place(self) -> str:
        """The index and its URLs, for messages."""
        return f"the Elasticsearch index '{self.index}' at {', '.join(self.urls)}"

    def _with_port(self, host: str) -> str:
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            return host
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"


MIN_SERVER_VERSION = (8, 19)
BUSY_STATUSES = frozenset({429, 502, 503, 504})
"""HTTP statuses of requests that may succeed a little later."""

DISK_FULL = "disk usage exceeded flood-stage watermark"


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed in a moment."""
    if isinstance(error, ApiError):
        status = error.status_code
        return status in BUSY_STATUSES and not is_index_block(*cause(error.body))
    return isinstance(error, (NoConnection, ConnectionTimeout)) and not isinstance(error, TlsError)


def is_index_block(kind: str, reason: str) -> bool:
    """Return whether an error is a block of the index, by an administrator or a full disk: retries do not help."""
    return kind == "cluster_block_exception" and ("index [" in reason or DISK_FULL in reason)


def cause(body: object) -> tuple[str, str]:
    """Return type and reason of an error as the server states them; empty if it does not."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return ("", str(error or ""))
    roots: list[Mapping[str, Any]] = list(error.get("root_cause") or [])
    if error.get("type") in {"search_phase_execution_exception", None} and roots:
        error = roots[0]
    return (str(error.get("type") or ""), str(error.get("reason") or ""))


def explain(error: Exception, options: ElasticOptions, doing: str) -> StoreError:
    """Return the error of the contract for an exception of the client.

    Args:
        error: ``ApiError``, ``TransportError`` or ``UnsupportedProductError``.
        options: Connection options, for the message.
        doing: The verb of the failed operation ("search"), for the message.

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
            "the server hangs or is overloaded: check its log, then run again"
        )
    if isinstance(error, TlsError):
        return StoreError(
            f"cannot {doing} {place}: no trusted https connection ({error.message}); set elasticsearch.ca_certificate "
            "to the certificate file of the authority that signed the server's certificate, or elasticsearch.scheme to "
            "http if the server speaks http"
        )
    reason = error.message.partition("): ")[2] or error.message  # without the class name and the repeated address
    if options.scheme == "http" and "refused" not in reason and "resolve" not in reason:
        reason += "; it has gone away, or speaks https (elasticsearch.scheme)"
    return StoreUnavailable(
        f"cannot {doing} {place}: no connection ({reason}); is the server running, and are elasticsearch.host and "
        "elasticsearch.port right?"
    )


def explain_answer(status: int, kind: str, reason: str, options: ElasticOptions, doing: str) -> StoreError:
    """Return the error of the contract for an error of the server, of a whole request or of one item of a bulk request.

    Args:
        status: HTTP status.
        kind: Type of the error as the server states it.
        reason: Reason as the server states it.
        options: Connection options, for the message.
        doing: The verb of the failed operation, for the message.

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
        return StoreError(
            f"{start}: the user may not do that ({reason}); it needs the privileges listed in docs/scaling.md"
        )
    if kind == "index_not_found_exception" or (status == 404 and "require_alias" in reason):
        return StoreError(
            f"{start}: the index is not there any more; it was deleted while it was in use. Run again to rebuild it"
        )
    if kind.startswith("search_context_missing"):
        return StoreUnavailable(f"{start}: the server lost the search, as after a restart; run again")
    if kind == "index_closed_exception":
        return StoreError(
            f"{start}: the index is closed; open it with: curl -X POST {options.urls[0]}/{options.index}/_open"
        )
    if kind == "media_type_header_exception" or status in {406, 415}:
        return StoreError(f"{start}: Elasticsearch {_oldest()} to 9.x is needed; the server has another version")
    message = f"{start}: {kind or 'error'} {status}: {reason or 'the server gives no reason'}"
    if status in BUSY_STATUSES:
        return StoreUnavailable(f"{message}. It is overloaded or incomplete; run again when it has recovered")
    return StoreError(message)


def _explain_block(status: int, reason: str, start: str, options: ElasticOptions) -> StoreError:
    if DISK_FULL in reason or "read-only-allow-delete" in reason:
        return StoreUnavailable(
            f"{start}: the disk of the server is full (flood-stage watermark) and the index is read-only; free space "
            "there, after which the server lifts the block by itself, and run again"
        )
    if "index closed" in reason:
        return StoreError(
            f"{start}: the index is closed; open it with: curl -X POST {options.urls[0]}/{options.index}/_open"
        )
    if status in BUSY_STATUSES:
        return StoreUnavailable(f"{start}: the cluster is not ready ({reason}); run again in a moment")
    return StoreError(
        f"{start}: the index is blocked ({reason}); lift the block with: curl -X PUT {options.urls[0]}/{options.index}"
        "/_settings -H 'Content-Type: application/json' "
        """-d '{"index.blocks.write": null, "index.blocks.read_only": null}'"""
    )


def check_version(version: str, options: ElasticOptions) -> None:
    """Refuse a server that is too old.

    Raises:
        StoreError: The server is older than ``MIN_SERVER_VERSION``.
    """
    parts = version.split("-")[0].split(".")
    if tuple(int(part) for part in parts[:2] if part.isdigit()) < MIN_SERVER_VERSION:
        raise StoreError(
            f"cannot use {options.place}: it is version {version}; Elasticsearch {_oldest()} or newer is needed"
        )


def _oldest() -> str:
    return ".".join(str(part) for part in MIN_SERVER_VERSION)


T = TypeVar("T")
CLIENT_ERRORS = (ApiError, TransportError, UnsupportedProductError)

# The client logs a node that is away; this program reports it in a message of its own. A handler on that logger shows
# both.
logging.getLogger("elastic_transport").addHandler(logging.NullHandler())

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_OPENING_SECONDS = 5.0
"""The time for which requests are retried before the server has answered once."""


class RetryPolicy:
    """The retries of one request: pauses that double up to ten seconds, until the time for retries is over.

    A random half of each pause keeps several programs from coming back at the same moment.

    Args:
        seconds: Time for retries, in seconds.
        timeouts: Number of timeouts that are retried even after that time, because each of them uses it up.
    """

    def __init__(self, seconds: float, timeouts: int = 0) -> None:
        self._deadline = time.monotonic() + seconds
        self._timeouts = timeouts
        self._pause = _FIRST_PAUSE

    def wait(self, error: Exception) -> bool:
        """Pause before the next attempt; return ``False`` without a pause when the request must not be retried.

        Args:
            error: The transient error of the last attempt.
        """
        left = self._deadline - time.monotonic()
        if left <= 0 and self._timeouts and isinstance(error, ConnectionTimeout):
            # A timeout uses up all the time; one more attempt distinguishes a hiccup from a server that hangs.
            self._timeouts -= 1
            left = _FIRST_PAUSE
        if left <= 0:
            return False
        pause = min(self._pause, left)
        time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter, not a secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True


class Connection(Closing):
    """A client that retries transient errors and explains permanent ones.

    Thread-safety: any number of threads may call at once.
    """

    def __init__(self, options: ElasticOptions) -> None:
        self.options = options
        self._retry_seconds = min(options.patience_seconds, _OPENING_SECONDS)
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
                max_retries=0,  # retried here: with jitter, within a time limit, and bulk requests in part
                retry_on_timeout=False,
                **secure,
            )
        except (ValueError, OSError) as error:
            raise StoreError(f"cannot use {options.place}: {error}") from error

    def opened(self) -> None:
        """Retry for the whole time from now on: the server has answered once, so it will come back."""
        self._retry_seconds = self.options.patience_seconds
        self._timeouts = 1

    def retry_policy(self) -> RetryPolicy:
        """Return the retry policy of one request."""
        return RetryPolicy(self._retry_seconds, self._timeouts)

    def call(self, doing: str, request: Callable[[Elasticsearch], T]) -> T:
        """Send a request, and send it again while the server is busy or away.

        Args:
            doing: The verb of the operation, for the message: "search", "write to".
            request: A function that sends the request, which must be idempotent.

        Raises:
            StoreUnavailable: The server stayed busy or away.
            StoreError: The server rejects the request.
        """
        retry = self.retry_policy()
        while True:
            try:
                return request(self.client)
            except CLIENT_ERRORS as error:
                if is_transient(error) and retry.wait(error):
                    continue
                raise explain(error, self.options, doing) from error

    def close(self) -> None:
        """Close the sockets."""
        self.client.close()


def require_all_shards(answer: ObjectApiResponse[Any] | Mapping[str, Any], options: ElasticOptions) -> None:
    """Refuse an answer that does not come from every shard: a partial result must not look complete.

    Raises:
        StoreUnavailable: Some shards did not answer.
    """
    shards = answer.get("_shards") or {}
    if answer.get("timed_out") or shards.get("failed"):
        raise StoreUnavailable(
            f"{options.place} answered partially ({shards.get('failed', 0)} of {shards.get('total', '?')} shards "
            "failed); run again when the cluster is complete"
        )
