"""The table ``pairs``: rows of many packed pairs each, because a row a pair would take seconds to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from py_image_dedup.store.sqlite.content_ids import numbers_of
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import damaged
from py_image_dedup.store.sqlite.stored_pairs import PAIR, PairArray, concatenate, marks

PAIRS_A_ROW: Final = 65_536
"""How many pairs a row has at most: 1.1 MB."""

_MANY_SMALL_ROWS: Final = 64


def read_pairs(database: Database) -> Iterator[PairArray]:
    """Return all pairs, row by row; inside a snapshot or a transaction of the caller.

    Raises:
        StoreError: A row has another length than it says: the index is damaged.
    """
    for (block,) in database.rows("SELECT block FROM pairs ORDER BY block"):
        yield _read(database, block)


def insert_pairs(database: Database, pairs: PairArray) -> None:
    """Add pairs, inside a transaction of the caller."""
    parts = (pairs[start : start + PAIRS_A_ROW] for start in range(0, len(pairs), PAIRS_A_ROW))
    database.execute_many(
        "INSERT INTO pairs (size, data) VALUES (?, ?)", ((len(part), part.tobytes()) for part in parts)
    )


def too_many_small_rows(database: Database) -> bool:
    """Whether so many small searches were remembered that reading them one by one begins to take time."""
    count: int = database.rows("SELECT count(*) FROM pairs WHERE size < ?", (PAIRS_A_ROW // 2,))[0][0]
    return count >= _MANY_SMALL_ROWS


def tidy_pairs(database: Database) -> None:
    """Drop pairs of contents that are gone or crowded, and join small rows; inside a transaction of the caller."""
    alive = marks(numbers_of(database, "SELECT number FROM contents"), int(database.fact("next_number")))
    alive[numbers_of(database, "SELECT number FROM crowded")] = False
    few: list[PairArray] = []
    for block, size in database.rows("SELECT block, size FROM pairs ORDER BY block"):
        rows = _read(database, block)
        rows = rows[alive[rows["left"]] & alive[rows["right"]]]
        if len(rows) == size and size >= PAIRS_A_ROW // 2:
            continue
        database.execute("DELETE FROM pairs WHERE block = ?", (block,))
        few.append(rows)
        if sum(map(len, few)) >= PAIRS_A_ROW:
            insert_pairs(database, concatenate(few))
            few = []
    insert_pairs(database, concatenate(few))


def _read(database: Database, block: int) -> PairArray:
    size, data = database.rows("SELECT size, data FROM pairs WHERE block = ?", (block,))[0]
    if len(data) != size * PAIR.itemsize:
        raise damaged(database.path, "a row of pairs has another length")
    return np.frombuffer(data, dtype=PAIR)
