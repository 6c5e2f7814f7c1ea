"""Writes in bulk, to a server that may be slow, full, or gone for a moment."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic.client import BUSY, TROUBLE, Connection, explain, explain_answer, is_block, is_passing
from py_image_dedup.store.elastic.document import readable

MOST_BYTES: Final = 4 << 20
"""Of one request; a server takes 100 MB, and spends its memory on them."""

MOST_OPERATIONS: Final = 500

_IN_FLIGHT: Final = 2
"""Requests at once: while the server works on one, the next is encoded and sent."""

_SHOWN = 5
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class EntriesRejected(StoreError):  # noqa: N818 - named for what happened
    """The server took the rest of the batch and not these entries; a retry will not help.

    Attributes:
        reasons: By raw path, in the server's words.
    """

    def __init__(self, place: str, reasons: Mapping[bytes, str]) -> None:
        shown = "; ".join(
            f"{readable(path.decode('utf-8', 'surrogateescape'))}: {reason}"
            for path, reason in list(reasons.items())[:_SHOWN]
        )
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        super().__init__(f"{place} does not take {len(reasons)} of the entries: {shown}{more}")
        self.reasons = dict(reasons)


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a bulk, or two.

    Attributes:
        raw_path: Of the entry, for the report.
        lines: What is sent, with the newlines.
    """

    raw_path: bytes
    lines: bytes


def index_operation(document_id: str, raw_path: bytes, fields: Mapping[str, Any]) -> Operation:
    """Insert or replace a document."""
    return _operation("index", document_id, raw_path, fields)


def create_operation(document_id: str, raw_path: bytes, fields: Mapping[str, Any]) -> Operation:
    """Insert a document; one that is there stays as it is."""
    return _operation("create", document_id, raw_path, fields)


def delete_operation(document_id: str, raw_path: bytes) -> Operation:
    """Delete a document."""
    return Operation(raw_path, b'{"delete":{"_id":"%s"}}\n' % document_id.encode("ascii"))


def _operation(kind: str, document_id: str, raw_path: bytes, fields: Mapping[str, Any]) -> Operation:
    # ASCII escapes: half a surrogate, as file names may carry it, would be no JSON otherwise.
    body = _ENCODER.encode(fields).encode("ascii")
    return Operation(raw_path, b'{"%s":{"_id":"%s"}}\n%s\n' % (kind.encode("ascii"), document_id.encode("ascii"), body))


def write(connection: Connection, index: str, operations: Iterable[Operation], *, alias: bool = True) -> int:
    """Send operations on different documents, in any order; each is durable when this returns.

    What a busy server turns down is sent again, with growing and jittered pauses, until patience ends. Operations are
    such that being done twice does no harm.

    Args:
        connection: To the server.
        index: Name of the alias, or of a concrete index.
        operations: Any number.
        alias: ``index`` must be an alias: a deleted index is then an error, where the server would otherwise make one
            of the name with a mapping of its own.

    Returns:
        How many changed something: a deletion of what was not there does not count.

    Raises:
        EntriesRejected: The server refuses some for good; all others are written.
        StoreUnavailable: It stayed busy or away; a part may be written.
        StoreError: It refuses all.
    """
    done = 0
    rejected: dict[bytes, str] = {}
    with ThreadPoolExecutor(_IN_FLIGHT, "elastic-write") as pool:
        under_way: deque[Future[int]] = deque()
        for chunk in _chunks(operations):
            if len(under_way) == _IN_FLIGHT:
                done += under_way.popleft().result()
            under_way.append(pool.submit(_write_chunk, connection, index, chunk, rejected, alias=alias))
        done += sum(each.result() for each in under_way)
    if rejected:
        raise EntriesRejected(connection.options.place, rejected)
    return done


def _chunks(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    chunk: list[Operation] = []
    size = 0
    for operation in operations:
        if chunk and (size + len(operation.lines) > MOST_BYTES or len(chunk) >= MOST_OPERATIONS):
            yield chunk
            chunk, size = [], 0
        chunk.append(operation)
        size += len(operation.lines)
    if chunk:
        yield chunk


def _write_chunk(
    connection: Connection, index: str, chunk: Sequence[Operation], rejected: dict[bytes, str], *, alias: bool
) -> int:
    options, patience, done = connection.options, connection.patience(), 0
    pending = list(chunk)
    while pending:
        trouble: Exception | None = None
        try:
            items = _send(connection, index, pending, alias=alias)
        except TROUBLE as error:
            if not is_passing(error):
                raise explain(error, options, "write to") from error
            trouble = error
        else:
            busy = [(operation, item) for operation, item in zip(pending, items, strict=True) if _is_busy(item)]
            done += sum(_changed(item) for item in items)
            for operation, item in zip(pending, items, strict=True):
                if not _is_busy(item) and "error" in item and item["status"] != 409:
                    _refuse(connection, operation, item, rejected)
            pending = [operation for operation, _ in busy]
            if pending:
                trouble = _unavailable(connection, busy[0][1], len(pending))
        if trouble is not None and not patience.wait(trouble):
            if isinstance(trouble, StoreError):
                raise trouble
            raise explain(trouble, options, "write to") from trouble
    return done


def _send(connection: Connection, index: str, pending: Sequence[Operation], *, alias: bool) -> list[Mapping[str, Any]]:
    answer = connection.client.bulk(
        index=index,
        operations=b"".join(operation.lines for operation in pending),  # type: ignore[arg-type] # bytes go as they are
        require_alias=alias,
        filter_path="items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason",
    )
    return [next(iter(item.values())) for item in answer["items"]]


def _is_busy(item: Mapping[str, Any]) -> bool:
    error = item.get("error")
    return error is not None and item["status"] in BUSY and not is_block(error["type"], error["reason"])


def _changed(item: Mapping[str, Any]) -> int:
    return int("error" not in item and item["status"] != 404)


def _refuse(connection: Connection, operation: Operation, item: Mapping[str, Any], rejected: dict[bytes, str]) -> None:
    """Note that one entry is refused; raise if the matter is not the entry but the index."""
    kind, reason = str(item["error"]["type"]), str(item["error"].get("reason"))
    if item["status"] == 400 and kind not in {"index_closed_exception", "illegal_argument_exception"}:
        deeper = (item["error"].get("caused_by") or {}).get("reason")
        rejected[operation.raw_path] = f"{kind}: {reason}" + (f" ({deeper})" if deeper else "")
        return
    raise explain_answer(item["status"], kind, reason, connection.options, "write to")


def _unavailable(connection: Connection, item: Mapping[str, Any], count: int) -> StoreUnavailable:
    error = item["error"]
    return StoreUnavailable(
        f"cannot write to {connection.options.place}: the server turned {count} entries down again and again "
        f"({error['type']}: {error.get('reason')}); it is overloaded: run again later, nothing that was written is lost"
    )
