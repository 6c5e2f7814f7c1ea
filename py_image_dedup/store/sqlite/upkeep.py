"""Contents that no file has any more: kept for a while, then dropped, so that the index cannot grow for ever."""

from __future__ import annotations

from typing import Final

from py_image_dedup.store.base import StoreUnavailable
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.pairs import tidy_pairs
from py_image_dedup.store.sqlite.verdicts import forget_unknown

_DROP_FROM: Final = (
    ("contents", "number"),
    ("features", "content"),
    ("words", "content"),
    ("unsearched", "number"),
    ("crowded", "number"),
    ("departed", "content"),  # the last: it says which
)
_LIVE: Final = "SELECT 1 FROM files WHERE content = departed.content"


CHANGES_BETWEEN: Final = 1000
"""How many entries are put or removed before the orphans are counted again: counting them takes milliseconds."""


def count_changes(database: Database, entries: int) -> None:
    """Note that entries were put or removed, inside a transaction of the caller."""
    database.execute("UPDATE facts SET value = value + ? WHERE name = 'changes'", (entries,))


def drop_orphans(database: Database) -> int:
    """Drop the contents that were longest without a file, if more than a third of all contents have none.

    A move, an undo or a memory card that is plugged in again brings contents back, and neither decoding nor searching
    is done again for them. What goes is the oldest, until a sixth is left, so that this is not done for each file.
    Looks only when there were enough changes since the last time.

    Returns:
        How many contents were dropped; none if another process is writing, because there will be a next time.
    """
    if database.fact("changes") < CHANGES_BETWEEN:
        return 0
    try:
        return _drop_orphans(database)
    except StoreUnavailable:
        return 0


def _drop_orphans(database: Database) -> int:
    with database.transaction():
        database.set_fact("changes", 0)
        if not _too_many_departed(database):
            return 0
        # What came back has not departed.
        database.execute(f"DELETE FROM departed WHERE EXISTS ({_LIVE})")  # noqa: S608 - constants
        if not _too_many_departed(database):
            return 0
        orphans, contents = _count(database, "departed"), _count(database, "contents")
        excess = orphans - (contents - orphans) // 5
        oldest = "SELECT content FROM departed ORDER BY sequence LIMIT ?"
        for table, column in _DROP_FROM:
            database.execute(f"DELETE FROM {table} WHERE {column} IN ({oldest})", (excess,))  # noqa: S608 - constants
        tidy_pairs(database)
        forget_unknown(database)
    return excess


def _too_many_departed(database: Database) -> bool:
    departed = _count(database, "departed")
    return departed > 0 and 3 * departed > _count(database, "contents")


def _count(database: Database, table: str) -> int:
    count: int = database.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - constants
    return count
