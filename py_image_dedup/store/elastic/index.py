"""The creation, recognition and migration of the index, before anything is read from it or written to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from elasticsearch import BadRequestError, NotFoundError

from py_image_dedup.signature.compute import SIGNATURE_VERSION
from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic.bulk import index_operation, write
from py_image_dedup.store.elastic.client import Connection, ElasticOptions, check_version, require_all_shards
from py_image_dedup.store.elastic.document import EVERYTHING, READ_ALL, documents, entry_of
from py_image_dedup.store.elastic.reader import DOCUMENTS_A_PAGE, Reading, pages

PROGRAM: Final = "py-image-dedup"
SCHEMA_VERSION: Final = 2
"""The version of the documents: it grows when programs of different versions would misread each other's documents.

Version 1, with the signature as a vector of its own, was never released.
"""

REPLICA_SECONDS: Final = 30
"""Seconds to wait until a new index has all its replicas."""

_LOG = logging.getLogger(__name__)

DEFINITION = resources.files("py_image_dedup.store.elastic") / "index.json"


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    """The index that the alias refers to.

    Attributes:
        concrete: Name of the index itself.
        schema: Version of its documents.
        signature: Newest version of the signatures in it.
        with_words: Whether it has the field for visual words, which older indices lack.
    """

    concrete: str
    schema: int
    signature: int
    with_words: bool


def definition() -> dict[str, Any]:
    """Return settings and mappings of an index of the current schema."""
    loaded: dict[str, Any] = json.loads(DEFINITION.read_text("utf-8"))
    loaded["mappings"]["_meta"] = {"program": PROGRAM, "schema": SCHEMA_VERSION, "signature": SIGNATURE_VERSION}
    return loaded


def concrete_name(alias: str, schema: int = SCHEMA_VERSION) -> str:
    """Return the name of the index behind an alias."""
    return f"{alias}-v{schema}"


def open_index(connection: Connection) -> ExistingIndex:
    """Find the index, or create it.

    Returns:
        The index that the alias refers to; its schema may be an older one.

    Raises:
        StoreUnavailable: The server cannot be reached, or the index is not ready.
        StoreError: The server is too old; or the index is missing and must not be created; or it belongs to another
            program or a newer version of this one.
    """
    _check_server(connection)
    options = connection.options
    found = find_index(connection)
    if found is None:
        if not options.auto_create_index:
            raise StoreError(how_to_create(options))
        create_index(connection, concrete_name(options.index), options.index)
        found = find_index(connection)
    if found is None:
        raise StoreUnavailable(f"{options.place} was created and is missing again; run again")
    _wait_until_ready(connection, found.concrete)
    # Closed and unreadable indices are reported as healthy: try a request.
    require_all_shards(connection.call("open", lambda client: client.count(index=options.index)), options)
    # An index of an older schema is copied, and must not look current if that is interrupted.
    if found.schema == SCHEMA_VERSION and (found.signature < SIGNATURE_VERSION or not found.with_words):
        _update_metadata(connection, found.concrete)
    return found


def find_index(connection: Connection) -> ExistingIndex | None:
    """Return the index that the alias refers to, or ``None`` if there is none.

    Raises:
        StoreError: It is not an index of this program, or not of a version that this program can read.
    """
    options = connection.options
    try:
        answer = connection.call("open", lambda client: _describe(client, options.index))
    except StoreError as error:
        if isinstance(error.__cause__, NotFoundError):
            return None
        raise
    if len(answer) != 1:
        raise StoreError(
            f"cannot use {options.place}: the name refers to several indices ({', '.join(sorted(answer))}); choose "
            "another elasticsearch.index, or let the alias refer to one index"
        )
    concrete, described = next(iter(answer.items()))
    schema, signature = _versions(concrete, described, options)
    if concrete == options.index:
        raise StoreError(
            f"cannot use {options.place}: it must be an alias of the index, not the index itself; create one with: "
            f"curl -X PUT {options.urls[0]}/{concrete}/_alias/NAME and set elasticsearch.index to NAME"
        )
    return ExistingIndex(concrete, schema, signature, "words" in described["mappings"].get("properties", {}))


def _describe(client: Any, name: str) -> dict[str, Any]:
    body: dict[str, Any] = client.indices.get(index=name, features=["mappings", "aliases"]).body
    return body


def _versions(concrete: str, described: Mapping[str, Any], options: ElasticOptions) -> tuple[int, int]:
    meta = described.get("mappings", {}).get("_meta") or {}
    if meta.get("program") != PROGRAM or not isinstance(meta.get("schema"), int):
        raise StoreError(
            f"cannot use {options.place}: the index '{concrete}' was not created by py-image-dedup 3 or newer "
            "and is left unchanged; choose another name with elasticsearch.index, or delete that index if it is not "
            "needed (an index of an older py-image-dedup cannot be used: its pictures are analysed again)"
        )
    schema, signature = meta["schema"], int(meta.get("signature", 0))
    if schema > SCHEMA_VERSION or signature > SIGNATURE_VERSION:
        raise StoreError(
            f"cannot use {options.place}: the index '{concrete}' was created by a newer py-image-dedup (schema "
            f"{schema}); update this one, or choose another name with elasticsearch.index"
        )
    return schema, signature


def create_index(
    connection: Connection, concrete: str, alias: str | None, *, shards: int | None = None, replicas: int | None = None
) -> None:
    """Create an index with its alias, unless another program has just created it.

    Waits until every shard has its replicas: before that, the loss of a node may lose the only copy of a shard. The
    wait is bounded, because a cluster may have too few nodes for the replicas; the index is then used without them.

    Args:
        connection: Connection to the server.
        concrete: Name of the index.
        alias: Name of the alias; ``None`` for no alias yet.
        shards: Number of shards; ``None`` for that of the options.
        replicas: Number of replicas of each shard; ``None`` for that of the options.
    """
    options = connection.options
    shards = options.shards if shards is None else shards
    replicas = options.replicas if replicas is None else replicas
    defined = definition()
    index = defined["settings"]["index"]
    index["number_of_shards"], index["number_of_replicas"] = shards, replicas
    seconds = max(1, int(min(REPLICA_SECONDS, options.request_seconds / 2)))
    try:
        answer = connection.call(
            "create",
            lambda client: client.indices.create(
                index=concrete,
                settings=defined["settings"],
                mappings=defined["mappings"],
                aliases={alias: {}} if alias else None,
                wait_for_active_shards="all",
                timeout=f"{seconds}s",
            ),
        )
    except StoreError as error:
        cause = error.__cause__
        if not (isinstance(cause, BadRequestError) and cause.error == "resource_already_exists_exception"):
            raise
        _adopt(connection, concrete, alias)
    else:
        if not answer.get("shards_acknowledged"):
            _LOG.warning(
                "%s was created, and not every shard has its %d replicas after %d seconds: until then the loss of a "
                "node may lose the only copy of a shard; the cluster needs %d data nodes",
                options.place,
                replicas,
                seconds,
                replicas + 1,
            )


def _adopt(connection: Connection, concrete: str, alias: str | None) -> None:
    """Use an index that exists already: created by another program just now, or left behind without its alias."""
    if alias is None:
        return
    described = connection.call("open", lambda client: _describe(client, concrete))
    _versions(concrete, described[concrete], connection.options)
    connection.call("create", lambda client: client.indices.put_alias(index=concrete, name=alias))


def _update_metadata(connection: Connection, concrete: str) -> None:
    """Record the current signature version, which older programs refuse, and add the field for visual words.

    Without the privilege to change the mapping this is left to a program that has it; until then no entry with words
    can be put.
    """
    mappings = definition()["mappings"]
    try:
        connection.call(
            "open",
            lambda client: client.indices.put_mapping(
                index=concrete, meta=mappings["_meta"], properties={"words": mappings["properties"]["words"]}
            ),
        )
    except StoreError as error:
        if getattr(error.__cause__, "status_code", None) != 403:
            raise


def _check_server(connection: Connection) -> None:
    """Refuse a server that is too old. Without the privilege to read the version, it is not checked."""
    try:
        answer = connection.call("open", lambda client: client.nodes.info(filter_path="nodes.*.version"))
    except StoreError as error:
        if getattr(error.__cause__, "status_code", None) == 403:
            return
        raise
    for node in answer.get("nodes", {}).values():
        check_version(str(node["version"]), connection.options)


def _wait_until_ready(connection: Connection, concrete: str) -> None:
    """Wait until every shard of the index is available.

    Raises:
        StoreUnavailable: A shard is not available in time.
    """
    options = connection.options
    seconds = max(1, int(min(options.patience_seconds, options.request_seconds / 2, 30)))
    try:
        health = connection.call(
            "open",
            lambda client: client.options(ignore_status=408).cluster.health(
                index=concrete, wait_for_status="yellow", timeout=f"{seconds}s"
            ),
        )
    except StoreError as error:
        if getattr(error.__cause__, "status_code", None) == 403:
            return  # without the privilege to read the health; a search fails anyway
        raise
    if health.get("status") == "red" or health.get("timed_out"):
        raise StoreUnavailable(
            f"{options.place} is incomplete: not every shard of '{concrete}' has a node (health "
            f"{health.get('status')}); start the missing nodes and run again"
        )


def how_to_create(options: ElasticOptions) -> str:
    """Return the message for a missing index that must not be created."""
    concrete, url = concrete_name(options.index), options.urls[0]
    return (
        f"{options.place} does not exist, and elasticsearch.auto_create_index is false. Set it to true, or create the "
        f"index: curl -X PUT {url}/{concrete} -H 'Content-Type: application/json' --data-binary @{DEFINITION} && "
        f"curl -X PUT {url}/{concrete}/_alias/{options.index}"
    )


def migrate(connection: Connection, old: ExistingIndex) -> None:
    """Bring an index of an older schema to the current one.

    Raises:
        StoreUnavailable: The server went away; the old index is unchanged.
        StoreError: The server rejects a request, or entries are missing in the copy.
    """
    if old.schema == SCHEMA_VERSION:
        return
    alias, new = connection.options.index, concrete_name(connection.options.index)
    _LOG.info("copying the index %s (schema %d) to %s", old.concrete, old.schema, new)
    before = connection.call("open", lambda client: client.indices.get_settings(index=old.concrete, flat_settings=True))
    settings = before[old.concrete]["settings"]
    # The same numbers: an administrator may have chosen them.
    create_index(
        connection,
        new,
        None,
        shards=int(settings["index.number_of_shards"]),
        replicas=int(settings["index.number_of_replicas"]),
    )
    copied = 0
    for hits in pages(connection, old.concrete, Reading(EVERYTHING, source=READ_ALL, size=DOCUMENTS_A_PAGE)):
        # A schema with another document format needs another function here.
        entries = [entry_of(hit["_source"], {}) for hit in hits]
        copied += write(connection, new, (index_operation(*it) for it in documents(entries)), alias=False)
    answer = connection.call("refresh", lambda client: client.indices.refresh(index=new))
    require_all_shards(answer, connection.options)
    answer = connection.call("count", lambda client: client.count(index=new))
    require_all_shards(answer, connection.options)
    if int(answer["count"]) < copied:
        raise StoreError(f"only {answer['count']} of {copied} entries arrived in '{new}'; the old index is unchanged")
    connection.call(
        "switch",
        lambda client: client.indices.update_aliases(
            actions=[{"add": {"index": new, "alias": alias}}, {"remove_index": {"index": old.concrete}}]
        ),
    )
    _LOG.info("%d entries copied; %s now refers to %s", copied, alias, new)
