"""The connection to the SQLite index: the schema and its migrations, statements, transactions and error messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from py_image_dedup.model.batches import batched
from py_image_dedup.model.closing import Closing
from py_image_dedup.store.base import StoreError, StoreUnavailable

START_ANEW = "Empty the index with `py-image-dedup clear`; the next run rebuilds it and changes no photo"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every error of SQLite inside the block into one of the contract, with the file, the cause and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error of the contract for an error of SQLite."""
    # An extended code is its primary code and a suffix: SQLITE_IOERR_WRITE is a case of SQLITE_IOERR. An error that the
    # Python module itself detects has no name.
    name: str = getattr(error, "sqlite_errorname", "")
    primary = "_".join(name.split("_")[:2])
    if primary in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
        return StoreUnavailable(f"The index {path} is being written by another process. Run again when that is done")
    message = _MESSAGES.get(primary)
    if message is None:
        return StoreError(f"The index {path} cannot be used: {error}")
    return StoreError(f"The index {path} {message.format(cause=error)}")


_DAMAGED = "is damaged ({cause}). " + START_ANEW
_NOT_ALLOWED = (
    "cannot be opened for writing ({cause}). Check that its folder exists and is writable, or choose another folder "
    "with --state-directory"
)
_MESSAGES = {
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_FULL": (
        "could not be written: no space is left ({cause}). Earlier changes are kept; free some space and run again"
    ),
    "SQLITE_IOERR": (
        "could not be read or written ({cause}). Check the disk and its free space, and run again; earlier changes "
        "are kept"
    ),
    "SQLITE_CANTOPEN": _NOT_ALLOWED,
    "SQLITE_PERM": _NOT_ALLOWED,
    "SQLITE_READONLY": _NOT_ALLOWED,
    "SQLITE_AUTH": _NOT_ALLOWED,
}


APPLICATION_ID: Final = 0x70696464
"""The application id in SQLite's own header ("pidd"), by which a database of another program is never written."""

_MAGIC = b"SQLite format 3\x00"
_APPLICATION_ID_END = 72
_FOREIGN = "{path} is a database of another program and is left unchanged. Choose another folder with --state-directory"

_FIRST = (
    # Values of the index as a whole. Columns named "number" hold content ids:
    #   next_number         the next content id; an id is never given twice, and the signature of an id never changes
    #                       (a content with a new signature gets a new id)
    #   searched_distance   the distance at which the searched contents were searched
    #   search_epoch        grows whenever the set of searched contents grows or is emptied
    #   changes             entries put and removed since the contents without a file were last counted
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "INSERT INTO facts VALUES ('next_number', 1), ('searched_distance', 0.0), ('search_epoch', 0), ('changes', 0)",
    """
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY, media INTEGER NOT NULL, signature INTEGER NOT NULL, features INTEGER NOT NULL,
        UNIQUE (media, signature, features)
    )
    """,
    # Text columns have no declared type: text that is not valid Unicode is stored as bytes, unchanged by SQLite.
    """
    CREATE TABLE contents (
        number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, versions INTEGER NOT NULL,
        format, width INTEGER, height INTEGER, exif_fields INTEGER, captured, camera, has_gps INTEGER, frames INTEGER,
        signature BLOB, pixel_digest BLOB, failure_phase, failure_reason, failure_message
    )
    """,
    "CREATE INDEX contents_failed ON contents (number) WHERE failure_reason IS NOT NULL",
    "CREATE INDEX contents_flat ON contents (number) WHERE signature IS NULL AND failure_reason IS NULL",
    # Features are large and few stages read them: a table of their own keeps them out of a scan of the contents.
    "CREATE TABLE features (content INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    # `versions` repeats that of the content: a run over an unchanged library reads this table only.
    """
    CREATE TABLE files (
        path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, device INTEGER NOT NULL,
        inode INTEGER NOT NULL, versions INTEGER NOT NULL, content INTEGER,
        failure_phase, failure_reason, failure_message
    ) WITHOUT ROWID
    """,
    "CREATE INDEX files_content ON files (content) WHERE content IS NOT NULL",
    "CREATE INDEX files_failed ON files (path) WHERE failure_reason IS NOT NULL",
    # The file that a content was last seen in, and the order in which contents lost their last file.
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
    # Results of the search; see the module `pairs`. Contents in `crowded` are hubs.
    "CREATE TABLE unsearched (number INTEGER PRIMARY KEY)",
    "CREATE TABLE crowded (number INTEGER PRIMARY KEY)",
    "CREATE TABLE pairs (block INTEGER PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL)",
)

_VERIFIED = (
    # Visual words are read in the order of insertion: a content may get its words long after its content id.
    """
    CREATE TABLE words (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, content INTEGER NOT NULL UNIQUE, data BLOB NOT NULL
    )
    """,
    # Verdicts of pairs of contents, by digest: they stay valid when content ids change.
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
    # Contents of removed entries of an index on a server; see the module `verdicts`. An SQLite index has `departed`.
    "CREATE TABLE absent (digest BLOB PRIMARY KEY) WITHOUT ROWID",
)

_INSPECTED = (
    # Results of comparing pairs of files in full, by the digests of the keeper and of the other file.
    """
    CREATE TABLE inspections (
        keeper BLOB NOT NULL, other BLOB NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (keeper, other)
    ) WITHOUT ROWID
    """,
)

_IMAGE_DATA = ("ALTER TABLE contents ADD COLUMN image_data_digest BLOB",)

# What tells shots of a series apart, and what is embedded beside the picture: JSON; NULL where it was not looked for.
_MARKS = ("ALTER TABLE contents ADD COLUMN marks",)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (_FIRST, _VERIFIED, _ABSENT, _INSPECTED, _IMAGE_DATA, _MARKS)
"""Element ``n`` holds the statements that bring an index from version ``n`` to ``n + 1``; version 0 is an empty file.

A published migration is never edited: a change of the tables is a new element.
"""


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring an index up to date, one transaction for each version.

    Args:
        connection: Connection in autocommit mode.
        path: File of the index, for messages.
        migrations: Statements by version; see ``MIGRATIONS``.

    Raises:
        StoreError: The file is a database of another program, or of a newer version of this one.
        sqlite3.Error: Any other error.
    """
    while _version(connection, path, len(migrations)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again: another process may have done this step while this one waited for the lock.
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
    """Refuse a database of another program by its first bytes, without opening it as a database.

    A file that is not a database, or one with damaged first bytes, is not refused.

    Raises:
        StoreError: The file has the application id of another program, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_APPLICATION_ID_END)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Inspect the file and delete it by hand") from error
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
            f"The index {path} has format {version}, and this program knows formats up to {known}: a newer "
            f"py-image-dedup made it. Update the program. Or: {START_ANEW}"
        )
    return version


def _tables(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


Row: TypeAlias = tuple[Any, ...]

MAX_PARAMETERS = 900
"""The largest number of values of a statement; SQLite before 3.32 refuses more than 999."""

_SETTINGS = (
    # Readers do not wait for the writer, and a killed process leaves complete transactions only.
    "PRAGMA journal_mode = WAL",
    # A commit does not wait for the disk. A killed process loses nothing; after a power failure the index may be a few
    # batches old, and is consistent.
    "PRAGMA synchronous = NORMAL",
    # Pages of 4 kB; with a larger log the same page is written back less often while a library is indexed.
    "PRAGMA wal_autocheckpoint = 4000",
    # 32 MB: the digests of 100,000 contents are looked up in random order.
    "PRAGMA cache_size = -32000",
    "PRAGMA temp_store = MEMORY",
)


class Database(Closing):
    """A connection with the settings and the current schema of the index. Every error is one of the contract.

    Thread-safety: one thread at a time, not necessarily the same one.
    """

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open the index, or create it.

        Args:
            path: File of the index. Its folder is created if it is missing.
            busy_seconds: Seconds to wait for another process that is writing.

        Raises:
            StoreUnavailable: Another process writes for longer than that.
            StoreError: The file cannot be opened, is damaged, of a newer format, or of another program.
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
        """Run a query and return all its rows. No cursor stays open, so no write disturbs a reader."""
        with explained(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def rows_in(self, sql: str, values: Iterable[object]) -> Iterator[Row]:
        """Run a query with ``IN (?)`` for any number of values, a few hundred at a time."""
        for some in batched(values, MAX_PARAMETERS):
            yield from self.rows(_for_many(sql, some), some)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement and return the number of rows that it changed."""
        with explained(self.path):
            return self._connection.execute(sql, parameters).rowcount

    def execute_in(self, sql: str, values: Sequence[object]) -> int:
        """Run a statement with ``IN (?)`` for at most ``MAX_PARAMETERS`` values; return the number of rows changed."""
        return self.execute(_for_many(sql, values), values)

    def execute_many(self, sql: str, parameters: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of parameters."""
        with explained(self.path):
            self._connection.executemany(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that the block writes, or nothing."""
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
        """Read one state of the index in all queries of the block, whatever another process writes meanwhile."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def index_value(self, name: str) -> Any:
        """Return a value of the index as a whole; see the table ``facts``."""
        return self.rows("SELECT value FROM facts WHERE name = ?", (name,))[0][0]

    def set_index_value(self, name: str, value: float) -> None:
        """Write a value of the index as a whole."""
        self.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))

    def close(self) -> None:
        """Close the connection; closing twice is not an error."""
        with explained(self.path):
            self._connection.close()


def _for_many(sql: str, values: Sequence[object]) -> str:
    return sql.replace("(?)", f"({','.join('?' * len(values))})")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        # The error that SQLite raises for a missing folder.
        cause = sqlite3.OperationalError(f"{folder}: {error.strerror}")
        cause.sqlite_errorname = "SQLITE_CANTOPEN"
        raise cause from error
