"""The index itself: made with its mapping, and recognised, before anything is read from it or written to it."""

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
from py_image_dedup.store.elastic.client import Connection, ElasticOptions, check_version, whole
from py_image_dedup.store.elastic.document import EVERYTHING, READ_ALL, documents, entry_of
from py_image_dedup.store.elastic.reader import DOCUMENTS_A_PAGE, Reading, pages

PROGRAM: Final = "py-image-dedup"
SCHEMA: Final = 2
"""Grows when documents change such that older programs would misread them, or newer ones the older; see ``migration``.

1 had the signature as a vector of its own; it was never released.
"""

REPLICA_SECONDS: Final = 30
"""How long a new index is waited for to have all its replicas."""

_LOG = logging.getLogger(__name__)

DEFINITION = resources.files("py_image_dedup.store.elastic") / "index.json"


@dataclass(frozen=True, slots=True)
class Found:
    """The index that the alias stands for.

    Attributes:
        concrete: Its own name.
        schema: Of its documents.
        signature: The newest version of signatures in it.
        with_words: It has a field for visual words, as indices have since matches can be verified.
    """

    concrete: str
    schema: int
    signature: int
    with_words: bool


def definition() -> dict[str, Any]:
    """Settings and mappings of an index of today's schema."""
    loaded: dict[str, Any] = json.loads(DEFINITION.read_text("utf-8"))
    loaded["mappings"]["_meta"] = {"program": PROGRAM, "schema": SCHEMA, "signature": SIGNATURE_VERSION}
    return loaded


def concrete_name(alias: str, schema: int = SCHEMA) -> str:
    """The name of the index behind an alias."""
    return f"{alias}-v{schema}"


def open_index(connection: Connection) -> Found:
    """Find the index, or make it.

    Returns:
        What the alias stands for; its schema may be an older one.

    Raises:
        StoreUnavailable: The server cannot be reached, or the index is not ready.
        StoreError: The server is too old; there is no index and none may be made; it is another program's or a newer
            version's.
    """
    _check_server(connection)
    options = connection.options
    found = find(connection)
    if found is None:
        if not options.auto_create_index:
            raise StoreError(how_to_create(options))
        create(connection, concrete_name(options.index), options.index)
        found = find(connection)
    if found is None:
        raise StoreUnavailable(f"{options.place} was made and is gone again; run again")
    _wait_until_ready(connection, found.concrete)
    # A closed index is healthy and an unreadable one too: ask something.
    whole(connection.call("open", lambda client: client.count(index=options.index)), options)
    # One of an older schema is copied, and must not be taken for one of today's if that is interrupted.
    if found.schema == SCHEMA and (found.signature < SIGNATURE_VERSION or not found.with_words):
        _mark(connection, found.concrete)
    return found


def find(connection: Connection) -> Found | None:
    """Look what the alias stands for.

    Raises:
        StoreError: Something that is not an index of this program, or not of a version that it can read.
    """
    options = connection.options
    try:
        answer = connection.call("open", lambda client: _get(client, options.index))
    except StoreError as error:
        if isinstance(error.__cause__, NotFoundError):
            return None
        raise
    if len(answer) != 1:
        raise StoreError(
            f"cannot use {options.place}: the name stands for several indices ({', '.join(sorted(answer))}); choose "
            "another elasticsearch.index, or let the alias stand for one"
        )
    concrete, described = next(iter(answer.items()))
    schema, signature = _versions(concrete, described, options)
    if concrete == options.index:
        raise StoreError(
            f"cannot use {options.place}: it must be an alias of the index, not the index itself; make one with: "
            f"curl -X PUT {options.urls[0]}/{concrete}/_alias/NAME and set elasticsearch.index to NAME"
        )
    return Found(concrete, schema, signature, "words" in described["mappings"].get("properties", {}))


def _get(client: Any, name: str) -> dict[str, Any]:
    body: dict[str, Any] = client.indices.get(index=name, features=["mappings", "aliases"]).body
    return body


def _versions(concrete: str, described: Mapping[str, Any], options: ElasticOptions) -> tuple[int, int]:
    meta = described.get("mappings", {}).get("_meta") or {}
    if meta.get("program") != PROGRAM or not isinstance(meta.get("schema"), int):
        raise StoreError(
            f"cannot use {options.place}: the index '{concrete}' was not made by py-image-dedup 3 or newer and is left "
            "alone; choose another name with elasticsearch.index, or delete that index if nobody needs it (the index "
            "of an older py-image-dedup is of no use any more: its pictures are analysed again)"
        )
    schema, signature = meta["schema"], int(meta.get("signature", 0))
    if schema > SCHEMA or signature > SIGNATURE_VERSION:
        raise StoreError(
            f"cannot use {options.place}: a newer py-image-dedup made the index '{concrete}' (schema {schema}); update "
            "this one, or choose another name with elasticsearch.index"
        )
    return schema, signature


def create(
    connection: Connection, concrete: str, alias: str | None, *, shards: int | None = None, replicas: int | None = None
) -> None:
    """Make an index, and its alias with it; that another program made it in this moment is as good.

    It is waited for until every shard has its replicas: before that, a node that goes away takes the only copy of a
    shard with it. A cluster that has no node for them is not waited for in vain: the index is used as it is.

    Args:
        connection: To the server.
        concrete: Name of the index.
        alias: Name of the alias, or none yet.
        shards: How many; those of the options unless told.
        replicas: Of each.
    """
    options = connection.options
    shards = options.shards if shards is None else shards
    replicas = options.replicas if replicas is None else replicas
    made = definition()
    index = made["settings"]["index"]
    index["number_of_shards"], index["number_of_replicas"] = shards, replicas
    seconds = max(1, int(min(REPLICA_SECONDS, options.request_seconds / 2)))
    try:
        answer = connection.call(
            "create",
            lambda client: client.indices.create(
                index=concrete,
                settings=made["settings"],
                mappings=made["mappings"],
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
                "%s was made, and not every shard has its %d replicas after %d seconds: until it has, a node that goes "
                "away may take the only copy of a shard with it; the cluster needs %d nodes that hold data",
                options.place,
                replicas,
                seconds,
                replicas + 1,
            )


def _adopt(connection: Connection, concrete: str, alias: str | None) -> None:
    """The index is there already: made by another program just now (with the alias), or left behind without it."""
    if alias is None:
        return
    described = connection.call("open", lambda client: _get(client, concrete))
    _versions(concrete, described[concrete], connection.options)
    connection.call("create", lambda client: client.indices.put_alias(index=concrete, name=alias))


def _mark(connection: Connection, concrete: str) -> None:
    """Keep programs out that know older signatures only, and make room for visual words.

    Whoever may not do so leaves it to one who may; without the field no entry with words can be put.
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
    """Refuse a server that is too old. Whoever may not ask for the version is trusted to have looked."""
    try:
        answer = connection.call("open", lambda client: client.nodes.info(filter_path="nodes.*.version"))
    except StoreError as error:
        if getattr(error.__cause__, "status_code", None) == 403:
            return
        raise
    for node in answer.get("nodes", {}).values():
        check_version(str(node["version"]), connection.options)


def _wait_until_ready(connection: Connection, concrete: str) -> None:
    """Wait until every shard of the index answers.

    Raises:
        StoreUnavailable: One does not.
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
            return  # may not ask; a search says it too
        raise
    if health.get("status") == "red" or health.get("timed_out"):
        raise StoreUnavailable(
            f"{options.place} is not whole: not every shard of '{concrete}' has a server (health "
            f"{health.get('status')}); start the missing nodes and run again"
        )


def how_to_create(options: ElasticOptions) -> str:
    """The message for a missing index that may not be made."""
    concrete, url = concrete_name(options.index), options.urls[0]
    return (
        f"{options.place} does not exist, and elasticsearch.auto_create_index is false. Set it to true, or make the "
        f"index: curl -X PUT {url}/{concrete} -H 'Content-Type: application/json' --data-binary @{DEFINITION} && "
        f"curl -X PUT {url}/{concrete}/_alias/{options.index}"
    )


def migrate(connection: Connection, old: Found) -> None:
    """Bring the index to today's schema, if it is of an older one.

    Raises:
        StoreUnavailable: The server went away; the old index is as it was.
        StoreError: It refuses, or entries are missing in the copy.
    """
    if old.schema == SCHEMA:
        return
    alias, new = connection.options.index, concrete_name(connection.options.index)
    _LOG.info("copying the index %s (schema %d) to %s", old.concrete, old.schema, new)
    before = connection.call("open", lambda client: client.indices.get_settings(index=old.concrete, flat_settings=True))
    settings = before[old.concrete]["settings"]
    # As many as it has: whoever made it by hand had reasons.
    create(
        connection,
        new,
        None,
        shards=int(settings["index.number_of_shards"]),
        replicas=int(settings["index.number_of_replicas"]),
    )
    copied = 0
    for hits in pages(connection, old.concrete, Reading(EVERYTHING, source=READ_ALL, size=DOCUMENTS_A_PAGE)):
        # A schema that packs its documents in another way is read by another function here.
        entries = [entry_of(hit["_source"], {}) for hit in hits]
        copied += write(connection, new, (index_operation(*it) for it in documents(entries)), alias=False)
    answer = connection.call("refresh", lambda client: client.indices.refresh(index=new))
    whole(answer, connection.options)
    answer = connection.call("count", lambda client: client.count(index=new))
    whole(answer, connection.options)
    if int(answer["count"]) < copied:
        raise StoreError(f"only {answer['count']} of {copied} entries arrived in '{new}'; the old index is as it was")
    connection.call(
        "switch",
        lambda client: client.indices.update_aliases(
            actions=[{"add": {"index": new, "alias": alias}}, {"remove_index": {"index": old.concrete}}]
        ),
    )
    _LOG.info("%d entries copied; %s now stands for %s", copied, alias, new)
