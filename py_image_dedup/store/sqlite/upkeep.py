"""The deletion of orphans: contents that no file has any more, kept for a while so that they can come back."""

from __future__ import annotations

from typing import Final

from py_image_dedup.store.base import StoreUnavailable
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.pairs import tidy_pairs
from py_image_dedup.store.sqlite.verdicts import drop_unknown

_DROP_FROM: Final = (
    ("contents", "number"),
    ("features", "content"),
    ("words", "content"),
    ("unsearched", "number"),
    ("crowded", "number"),
    ("departed", "content"),  # the last one: the others are selected by it
)
_LIVE: Final = "SELECT 1 FROM files WHERE content = departed.content"


CHANGES_BETWEEN: Final = 1000
"""Entries that are put or removed before the orphans are counted again, which takes milliseconds."""


def count_changes(database: Database, entries: int) -> None:
    """Count entries that were put or removed, inside a transaction of the caller."""
    database.execute("UPDATE facts SET value = value + ? WHERE name = 'changes'", (entries,))


def drop_orphans(database: Database) -> int:
    """Drop the contents that have been without a file the longest, if more than a third of all contents have none.

    A move, an undo or a memory card that is plugged in again brings contents back, and they are neither decoded nor
    searched again. The oldest orphans are dropped until they are a sixth of the contents, so that this happens rarely.
    Does nothing until there were enough changes since the last time.

    Returns:
        The number of contents dropped; 0 if another process is writing, because there will be a next time.
    """
    if database.index_value("changes") < CHANGES_BETWEEN:
        return 0
    try:
        return _drop_orphans(database)
    except StoreUnavailable:
        return 0


def _drop_orphans(database: Database) -> int:
    with database.transaction():
        database.set_index_value("changes", 0)
        if not _too_many_departed(database):
            return 0
        # Contents that have a file again are no orphans.
        database.execute(f"DELETE FROM departed WHERE EXISTS ({_LIVE})")  # noqa: S608 - constants
        if not _too_many_departed(database):
            return 0
        orphans, contents = _count(database, "departed"), _count(database, "contents")
        excess = orphans - (contents - orphans) // 5
        oldest = "SELECT content FROM departed ORDER BY sequence LIMIT ?"
        for table, column in _DROP_FROM:
            database.execute(f"DELETE FROM {table} WHERE {column} IN ({oldest})", (excess,))  # noqa: S608 - constants
        tidy_pairs(database)
        drop_unknown(database)
    return excess


def _too_many_departed(database: Database) -> bool:
    departed = _count(database, "departed")
    return departed > 0 and 3 * departed > _count(database, "contents")


def _count(database: Database, table: str) -> int:
    count: int = database.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - constants
    return count
