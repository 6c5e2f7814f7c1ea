"""One open connection to the SQLite index: how it is opened, read, written and closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from py_image_dedup.store.base import StoreError, StoreUnavailable

START_ANEW = "Start anew with `py-image-dedup clear`; the next run builds the index again and changes no photo"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every error of SQLite inside the block into the contract's, with the file, the cause and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the contract's error for one of SQLite's."""
    # An extended code is its primary code and a suffix: SQLITE_IOERR_WRITE is one of SQLITE_IOERR. An error that the
    # Python module itself found has no name.
    name: str = getattr(error, "sqlite_errorname", "")
    primary = "_".join(name.split("_")[:2])
    if primary in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return StoreUnavailable(f"The index {path} is being written by another process. Try again when that is done")
    words = _WORDS.get(primary)
    if words is None:
        return StoreError(f"The index {path} cannot be used: {error}")
    return StoreError(f"The index {path} {words.format(cause=error)}")


_DAMAGED = "is damaged ({cause}). " + START_ANEW
_NOT_ALLOWED = (
    "cannot be opened for writing ({cause}). Check that its folder exists and may be written, or choose another one "
    "with --state-directory"
)
_WORDS = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_FULL": (
        "could not be written: no space is left ({cause}). What was written before is kept; free some space, run again"
    ),
    "SQLITE_IOERR": (
        "could not be read or written ({cause}). Check the disk and its free space, and run again; what was written "
        "before is kept"
    ),
    "SQLITE_CANTOPEN": _NOT_ALLOWED,
    "SQLITE_PERM": _NOT_ALLOWED,
    "SQLITE_READONLY": _NOT_ALLOWED,
    "SQLITE_AUTH": _NOT_ALLOWED,
}


APPLICATION_ID: Final = 0x70696464
"""Marks a database as ours in SQLite's own header ("pidd"), so that no other program's is ever written."""

_MAGIC = b"SQLite format 3\x00"
_APPLICATION_ID_END = 72
_FOREIGN = "{path} is a database of another program and stays as it is. Choose another folder with --state-directory"

_FIRST = (
    # Numbers and marks of the index as a whole:
    #   next_number         the number of the next content; a number is never given twice, and the signature of a
    #                       number never changes (a content with a new signature takes a new number)
    #   searched_distance   the distance that the searched contents were searched at
    #   search_epoch        grows whenever the set of searched contents grows or starts anew
    #   changes             entries put and removed since the contents without a file were last counted
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "INSERT INTO facts VALUES ('next_number', 1), ('searched_distance', 0.0), ('search_epoch', 0), ('changes', 0)",
    """
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY, media INTEGER NOT NULL, signature INTEGER NOT NULL, features INTEGER NOT NULL,
        UNIQUE (media, signature, features)
    )
    """,
    # Text columns have no declared type: text that is not valid Unicode is kept as bytes, and SQLite leaves it alone.
    """
    CREATE TABLE contents (
        number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, versions INTEGER NOT NULL,
        format, width INTEGER, height INTEGER, exif_fields INTEGER, captured, camera, has_gps INTEGER, frames INTEGER,
        signature BLOB, pixel_digest BLOB, failure_phase, failure_reason, failure_message
    )
    """,
    "CREATE INDEX contents_failed ON contents (number) WHERE failure_reason IS NOT NULL",
    "CREATE INDEX contents_flat ON contents (number) WHERE signature IS NULL AND failure_reason IS NULL",
    # Features are large and few phases ask for them: apart, so that a scan of the contents does not read them.
    "CREATE TABLE features (content INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    # `versions` repeats that of the content: a run over an unchanged library reads this table and no other.
    """
    CREATE TABLE files (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, device INTEGER NOT NULL,
        inode INTEGER NOT NULL, versions INTEGER NOT NULL, content INTEGER,
        failure_phase, failure_reason, failure_message
    ) WITHOUT ROWID
    """,
    "CREATE INDEX files_content ON files (content) WHERE content IS NOT NULL",
    "CREATE INDEX files_failed ON files (path) WHERE failure_reason IS NOT NULL",
    # The file that a content was last seen in: what tells of a content that no file has any more, and since when.
    """
    CREATE TABLE departed (
        sequence INTEGER PRIMARY KEY, content INTEGER NOT NULL UNIQUE, path BLOB NOT NULL, size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL
    )
    """,
    """
    CREATE TRIGGER file_departs AFTER DELETE ON files WHEN old.content IS NOT NULL BEGIN
        INSERT OR REPLACE INTO departed (content, path, size, mtime_ns, device, inode)
        VALUES (old.content, old.path, old.size, old.mtime_ns, old.device, old.inode);
    END
    """,
    """
    CREATE TRIGGER file_changes AFTER UPDATE OF content ON files
    WHEN old.content IS NOT new.content AND EXISTS (SELECT 1 FROM contents WHERE number = old.content) BEGIN
        INSERT OR REPLACE INTO departed (content, path, size, mtime_ns, device, inode)
        VALUES (old.content, old.path, old.size, old.mtime_ns, old.device, old.inode);
    END
    """,
    # What was found by searching; see sqlite_pairs.
    "CREATE TABLE unsearched (number INTEGER PRIMARY KEY)",
    "CREATE TABLE crowded (number INTEGER PRIMARY KEY)",
    "CREATE TABLE pairs (block INTEGER PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL)",
)

_VERIFIED = (
    # Visual words are read in the order in which they came: a content may get its words long after its number.
    """
    CREATE TABLE words (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, content INTEGER NOT NULL UNIQUE, data BLOB NOT NULL
    )
    """,
    # What was found out about pairs of contents, by their digests: it holds whatever their numbers become.
    "CREATE TABLE verified (digest BLOB PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE proofs (
        left BLOB NOT NULL, right BLOB NOT NULL, version INTEGER NOT NULL, class,
        orientation INTEGER NOT NULL, evidence,
        PRIMARY KEY (left, right)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX proofs_right ON proofs (right)",
)

_ABSENT = (
    # Contents that entries of an index on a server had which are gone; see proof_table. Here `departed` tells.
    "CREATE TABLE absent (digest BLOB PRIMARY KEY) WITHOUT ROWID",
)

_INSPECTED = (
    # What comparing pairs of files in full found, by the digests of the keeper and of the other file.
    """
    CREATE TABLE inspections (
        keeper BLOB NOT NULL, other BLOB NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (keeper, other)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (_FIRST, _VERIFIED, _ABSENT, _INSPECTED)
"""Element ``n`` holds the statements that make an index of version ``n`` one of version ``n + 1``; 0 is an empty file.

A migration that was published is never edited: a change of the tables is a new element.
"""


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring an index up to date, each step whole or not at all.

    Args:
        connection: In autocommit mode.
        path: For the messages.
        migrations: As ``MIGRATIONS``.

    Raises:
        StoreError: The file is another program's database, or made by a newer version of this one.
        sqlite3.Error: Anything else.
    """
    while _version(connection, path, len(migrations)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again: another process may have done this step while we waited for the lock.
            version = _version(connection, path, len(migrations))
            if version < len(migrations):
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def refuse_foreign(path: Path) -> None:
    """Look at a file's first bytes, without opening it as a database, whether it is another program's.

    Raises:
        StoreError: It is a database with another program's mark, or cannot be read. A file that is no database, or
            one whose first bytes are damaged, is nobody's.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_APPLICATION_ID_END)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Look at it, and delete it by hand") from error
    application = int.from_bytes(head[_APPLICATION_ID_END - 4 :], "big")
    if len(head) == _APPLICATION_ID_END and head.startswith(_MAGIC) and application != APPLICATION_ID:
        raise StoreError(_FOREIGN.format(path=path))


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID and (application or version or _tables(connection)):
        raise StoreError(_FOREIGN.format(path=path))
    if version > known:
        raise StoreError(
            f"The index {path} has format {version}, and this program knows the formats up to {known}: a newer "
            f"py-image-dedup made it. Update the program. Or: {START_ANEW}"
        )
    return version


def _tables(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


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
