"""One open connection to the SQLite index: how it is opened, read, written and closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from py_image_dedup.store.sqlite.sqlite_errors import explained
from py_image_dedup.store.sqlite.sqlite_schema import migrate

Row: TypeAlias = tuple[Any, ...]

MAX_PARAMETERS = 900
"""How many values one statement may bind; SQLite before 3.32 refuses more than 999."""

_SETTINGS = (
    # Readers do not wait for the writer, and a killed process leaves whole transactions only.
    "PRAGMA journal_mode = WAL",
    # A commit does not wait for the disk. A killed process loses nothing by that; after a power cut the index may be
    # some batches old, and is whole.
    "PRAGMA synchronous = NORMAL",
    # Pages of 4 kB; a bigger log has the same page written back less often while a library is indexed.
    "PRAGMA wal_autocheckpoint = 4000",
    # 32 MB: the digests of 100,000 contents are met in random order.
    "PRAGMA cache_size = -32000",
    "PRAGMA temp_store = MEMORY",
)


class Database:
    """A connection with our settings and the tables of today. Every error is the contract's.

    One thread at a time, but not always the same one.
    """

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open, or make, the index.

        Args:
            path: The file. Its folder is made if it is not there.
            busy_seconds: How long to wait for another process that writes.

        Raises:
            StoreUnavailable: Another process writes for longer than that.
            StoreError: The file cannot be opened, is damaged, newer, or another program's.
        """
        self.path = path
        with explained(path):
            _make_folder(path.parent)
            connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            try:
                for setting in _SETTINGS:
                    connection.execute(setting)
                migrate(connection, path)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run a query and return all its rows: no cursor stays open, so nobody's writing disturbs a reader."""
        with explained(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def rows_in(self, sql: str, values: Iterable[object]) -> Iterator[Row]:
        """Run a query with ``IN (?)`` for any number of values, some hundred at a time."""
        for some in batched(values, MAX_PARAMETERS):
            yield from self.rows(_for_many(sql, some), some)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement; returns how many rows it changed."""
        with explained(self.path):
            return self._connection.execute(sql, parameters).rowcount

    def execute_in(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement with ``IN (?)`` for at most ``MAX_PARAMETERS`` values; returns how many rows it changed."""
        return self.execute(_for_many(sql, values), values)

    def execute_many(self, sql: str, parameters: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of parameters."""
        with explained(self.path):
            self._connection.executemany(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that the block writes, or nothing of it."""
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the index in all queries of the block, whatever another process writes meanwhile."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def fact(self, name: str) -> Any:
        """Return a number or mark of the index as a whole; see the schema."""
        return self.rows("SELECT value FROM facts WHERE name = ?", (name,))[0][0]

    def set_fact(self, name: str, value: float) -> None:
        """Write a number or mark of the index as a whole."""
        self.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))

    def close(self) -> None:
        """Close; closing twice is no error."""
        with explained(self.path):
            self._connection.close()


def batched(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut values into lists of at most ``size``, lazily."""
    batch: list[Any] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _for_many(sql: str, values: Sequence[object]) -> str:
    return sql.replace("(?)", f"({','.join('?' * len(values))})")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # As SQLite would say of a folder that is not there.
        cause = sqlite3.OperationalError(f"{folder}: {error.strerror}")
        cause.sqlite_errorname = "SQLITE_CANTOPEN"
        raise cause from error
