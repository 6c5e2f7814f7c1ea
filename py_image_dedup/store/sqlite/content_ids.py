"""Numbers of contents out of the SQLite index, as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from py_image_dedup.signature.arrays import Int64Array
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import damaged


def numbers_of(database: Database, query: str, parameters: Sequence[object] = ()) -> Int64Array:
    """Return the one column of a query as int64, in no particular order.

    SQLite makes one text of them, which takes half the time and a tenth of the memory of a row each.

    Raises:
        StoreError: Not all of them are numbers.
    """
    together = "SELECT group_concat(number), total(typeof(number) <> 'integer') FROM found"
    ((text, others),) = database.rows(f"WITH found(number) AS ({query}) {together}", parameters)
    if others:
        raise damaged(database.path, "a content without a number")
    return np.fromstring(text or "", dtype=np.int64, sep=",")


def contents_within(database: Database, ranges: FolderRanges) -> Int64Array:
    """Return the content of each file in these ranges, in no particular order, once a file."""
    found = [np.empty(0, dtype=np.int64)]
    for low, high in ranges:
        if high is None:
            query = "SELECT content FROM files WHERE content IS NOT NULL"
            found.append(numbers_of(database, query))
        else:
            query = "SELECT content FROM files WHERE path >= ? AND path < ? AND content IS NOT NULL"
            found.append(numbers_of(database, query, (low, high)))
    return np.concatenate(found)
