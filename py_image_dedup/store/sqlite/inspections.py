"""The inspections of pairs of contents, as rows by digest in an SQLite file.

An inspection depends on nothing but the bytes of two files and the version of the method. What it says is opaque here:
the package that inspects writes and reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from py_image_dedup.store.sqlite.database import Database

DigestPair: TypeAlias = tuple[bytes, bytes]
"""The digests of a keeper and of the file that would go for it."""

_PUT: Final = "INSERT OR REPLACE INTO inspections VALUES (?, ?, ?, ?)"


class InspectionCache:
    """Rows by the digests of both files. For one thread at a time.

    Args:
        database: The file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, version: int, found: Mapping[DigestPair, bytes]) -> None:
        """See ``Store.keep_inspections``."""
        with self._database.transaction():
            self._database.execute_many(_PUT, ((*pair, version, data) for pair, data in found.items()))

    def inspections(self, version: int, pairs: Collection[DigestPair]) -> dict[DigestPair, bytes]:
        """See ``Store.inspections``."""
        wanted = set(pairs)
        query = f"SELECT keeper, other, data FROM inspections WHERE version = {int(version)} AND keeper IN (?)"  # noqa: S608 - a number
        rows = self._database.rows_in(query, sorted({keeper for keeper, _ in wanted}))
        return {(keeper, other): data for keeper, other, data in rows if (keeper, other) in wanted}

    def clear(self) -> None:
        """Forget everything, inside a transaction of the caller."""
        self._database.execute("DELETE FROM inspections")
