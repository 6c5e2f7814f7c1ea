"""Bulk writes to a server that may be slow, full, or away for a moment.

``elasticsearch.helpers.streaming_bulk`` encodes the operations, splits them into requests and returns one result for
each. Retries are decided here, because the helper decides by status alone: it would wait for a full disk, whose status
is that of a busy server, and would not retry a connection that was cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch.helpers import streaming_bulk

from py_image_dedup.model.batches import batched
from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic.client import (
    BUSY_STATUSES,
    CLIENT_ERRORS,
    Connection,
    explain,
    explain_answer,
    is_index_block,
    is_transient,
)
from py_image_dedup.store.elastic.document import readable

MAX_BYTES: Final = 4 << 20
"""The largest request, in bytes; a server accepts 100 MB, and holds them in memory."""

MAX_OPERATIONS: Final = 500
"""The largest number of operations of a request."""

_IN_FLIGHT: Final = 2
"""Requests at a time: while the server works on one, the next is encoded and sent."""

_SHOWN = 5
_ANSWER: Final = "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"


class EntriesRejected(StoreError):  # noqa: N818 - named for what happened
    """The server rejects some entries of a batch and has written the others; a retry will not help.

    Attributes:
        reasons: The server's reason for each raw path.
    """

    def __init__(self, index: str, reasons: Mapping[bytes, str]) -> None:
        shown = "; ".join(
            f"{readable(path.decode('utf-8', 'surrogateescape'))}: {reason}"
            for path, reason in list(reasons.items())[:_SHOWN]
        )
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        super().__init__(f"{index} rejects {len(reasons)} of the entries: {shown}{more}")
        self.reasons = dict(reasons)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a bulk request.

    Attributes:
        raw_path: Raw path of the entry, for messages.
        action: The action as ``streaming_bulk`` takes it.
    """

    raw_path: bytes
    action: dict[str, Any]


def index_operation(document_id: str, raw_path: bytes, fields: Mapping[str, Any]) -> Operation:
    """Return the operation that inserts or replaces a document."""
    return Operation(raw_path, {"_op_type": "index", "_id": document_id, "_source": fields})


def delete_operation(document_id: str, raw_path: bytes) -> Operation:
    """Return the operation that deletes a document."""
    return Operation(raw_path, {"_op_type": "delete", "_id": document_id})


def write(connection: Connection, index: str, operations: Iterable[Operation], *, alias: bool = True) -> int:
    """Send operations on different documents, in any order; each is durable when this function returns.

    Operations that a busy server turns down are sent again, with growing and jittered pauses, until the retry policy
    ends. All operations are idempotent.

    Args:
        connection: Connection to the server.
        index: Name of the alias, or of a concrete index.
        operations: Any number of operations.
        alias: Whether ``index`` must be an alias: a deleted index is then an error; otherwise the server would create
            an index of that name, with a mapping of its own.

    Returns:
        The number of operations that changed something; the deletion of a missing document does not count.

    Raises:
        EntriesRejected: The server permanently rejects some entries; all others are written.
        StoreUnavailable: The server stayed busy or away; some operations may be done.
        StoreError: The server rejects all operations.
    """
    changed = 0
    rejected: dict[bytes, str] = {}
    with ThreadPoolExecutor(_IN_FLIGHT, "elastic-write") as pool:
        in_flight: deque[Future[int]] = deque()
        for batch in batched(operations, MAX_OPERATIONS):
            if len(in_flight) == _IN_FLIGHT:
                changed += in_flight.popleft().result()
            in_flight.append(pool.submit(_write_batch, connection, index, batch, rejected, alias=alias))
        changed += sum(each.result() for each in in_flight)
    if rejected:
        raise EntriesRejected(connection.options.place, rejected)
    return changed


def _write_batch(
    connection: Connection, index: str, batch: Sequence[Operation], rejected: dict[bytes, str], *, alias: bool
) -> int:
    """Send a batch until every operation is done or rejected; return the number that changed something."""
    retry, changed, pending = connection.retry_policy(), 0, batch
    while pending:
        turned_down: list[Operation] = []
        problem: Exception | None = None
        answered = 0
        try:
            for item in _results(connection, index, pending, alias=alias):
                operation = pending[answered]
                answered += 1
                if _is_busy(item):
                    turned_down.append(operation)
                    problem = _unavailable(connection, item, len(turned_down))
                elif "error" in item:
                    _reject(connection, operation, item, rejected)
                else:
                    changed += item["status"] != 404
        except CLIENT_ERRORS as error:
            if not is_transient(error):
                raise explain(error, connection.options, "write to") from error
            problem = error
        if problem is None and answered < len(pending):
            problem = StoreUnavailable(
                f"cannot write to {connection.options.place}: the server answered {answered} of {len(pending)} "
                "operations; run again"
            )
        pending = [*turned_down, *pending[answered:]]
        if problem is not None and not retry.wait(problem):
            if isinstance(problem, StoreError):
                raise problem
            raise explain(problem, connection.options, "write to") from problem
    return changed


def _results(
    connection: Connection, index: str, operations: Sequence[Operation], *, alias: bool
) -> Iterator[Mapping[str, Any]]:
    """Yield the result of each operation, in their order; one that fails is a result, not an exception."""
    results = streaming_bulk(
        connection.client,
        (operation.action for operation in operations),
        chunk_size=MAX_OPERATIONS,
        max_chunk_bytes=MAX_BYTES,
        raise_on_error=False,
        index=index,
        require_alias=alias,
        filter_path=_ANSWER,
    )
    for _, result in results:
        yield next(iter(result.values()))


def _is_busy(item: Mapping[str, Any]) -> bool:
    error = item.get("error")
    return error is not None and item["status"] in BUSY_STATUSES and not is_index_block(error["type"], error["reason"])


def _reject(connection: Connection, operation: Operation, item: Mapping[str, Any], rejected: dict[bytes, str]) -> None:
    """Record one rejected entry; raise if the cause is the index and not the entry."""
    kind, reason = str(item["error"]["type"]), str(item["error"].get("reason"))
    if item["status"] == 400 and kind not in {"index_closed_exception", "illegal_argument_exception"}:
        deeper = (item["error"].get("caused_by") or {}).get("reason")
        rejected[operation.raw_path] = f"{kind}: {reason}" + (f" ({deeper})" if deeper else "")
        return
    raise explain_answer(item["status"], kind, reason, connection.options, "write to")


def _unavailable(connection: Connection, item: Mapping[str, Any], count: int) -> StoreUnavailable:
    error = item["error"]
    return StoreUnavailable(
        f"cannot write to {connection.options.place}: the server turned down {count} entries repeatedly "
        f"({error['type']}: {error.get('reason')}); it is overloaded. Run again later; no entry that was written is "
        "lost"
    )
