"""What went wrong between here and the server, in words: the client's exceptions become the store's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic_transport import ConnectionError as NoConnection
from elastic_transport import ConnectionTimeout, TlsError, TransportError
from elasticsearch import ApiError, UnsupportedProductError

from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic.options import ElasticOptions

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
