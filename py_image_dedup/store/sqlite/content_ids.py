"""Content ids read from the SQLite index as arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from py_image_dedup.signature.arrays import Int64Array
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import damaged


def content_ids_of(database: Database, query: str, parameters: Sequence[object] = ()) -> Int64Array:
    """Return the only column of a query as int64, in no particular order.

    SQLite joins the values to one text, which takes half the time and a tenth of the memory of one row for each.

    Raises:
        StoreError: Not all values are integers: the index is damaged.
    """
    together = "SELECT group_concat(number), total(typeof(number) <> 'integer') FROM found"
    ((text, others),) = database.rows(f"WITH found(number) AS ({query}) {together}", parameters)
    if others:
        raise damaged(database.path, "a content without an id")
    return np.fromstring(text or "", dtype=np.int64, sep=",")


def contents_within(database: Database, ranges: FolderRanges) -> Int64Array:
    """Return the content id of each file in some ranges, once for each file, in no particular order."""
    found = [np.empty(0, dtype=np.int64)]
    for low, high in ranges:
        if high is None:
            query = "SELECT content FROM files WHERE content IS NOT NULL"
            found.append(content_ids_of(database, query))
        else:
            query = "SELECT content FROM files WHERE path >= ? AND path < ? AND content IS NOT NULL"
            found.append(content_ids_of(database, query, (low, high)))
    return np.concatenate(found)
