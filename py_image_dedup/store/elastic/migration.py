"""An index of an older schema becomes one of today's: copied beside it, then switched.

The copy goes through this program and needs nothing of the server but reading and writing. It may be interrupted at any
moment: until the alias is switched, in one step, the old index is the index, and the next attempt goes over the copy
again. Other programs should not write meanwhile; what they write is analysed again by the next run.
"""

from __future__ import annotations

import logging

from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.bulk import index_operation, write
from py_image_dedup.store.elastic.client import Connection, whole
from py_image_dedup.store.elastic.document import EVERYTHING, READ_ALL, documents, entry_of
from py_image_dedup.store.elastic.index import SCHEMA, Found, concrete_name, create
from py_image_dedup.store.elastic.scan import DOCUMENTS_A_PAGE, Reading, pages

_LOG = logging.getLogger(__name__)


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
