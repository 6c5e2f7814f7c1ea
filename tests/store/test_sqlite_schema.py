"""An index of an older version becomes one of today, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.photo import PhotoFacts, ShotMarks
from py_image_dedup.store.sqlite.database import APPLICATION_ID, MIGRATIONS, migrate
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.store.contract_verdicts import featured, vocabulary
from tests.store.samples import full_entry

NEXT = (*MIGRATIONS, ("ALTER TABLE files ADD COLUMN mood", "UPDATE files SET mood = 'good'"))


def version_of(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def test_a_new_index_has_the_current_version_and_the_application_id(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert version_of(connection) == len(MIGRATIONS)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_an_older_index_is_brought_up_to_date_with_all_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with SqliteStore(path) as store:
        store.put([full_entry("/a/x.jpg")])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(2):
            migrate(connection, path, NEXT)
            assert version_of(connection) == len(NEXT)
            assert connection.execute("SELECT path, mood FROM files").fetchall() == [(b"/a/x.jpg", "good")]


def test_an_index_from_before_verified_matches_has_all_its_entries_and_room_for_words(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
        connection.execute("INSERT INTO versions VALUES (1, 1, 1, 0)")
        connection.execute("INSERT INTO files VALUES (CAST('/a/x.jpg' AS BLOB), 1, 2, 3, 4, 1, NULL, NULL, NULL, NULL)")
    with SqliteStore(path) as store:
        assert [entry.stat.path for entry in store.entries(None)] == [Path("/a/x.jpg")]
        store.put([featured("/a/y.jpg", vocabulary(1))])
        assert len(store.unverified(1, None)) == 1


def test_an_index_from_before_image_data_digests_has_all_its_entries_without_them(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:4])
        connection.execute("INSERT INTO versions VALUES (1, 1, 1, 0)")
        connection.execute(
            "INSERT INTO contents VALUES (1, ?, 1, 'PNG', 4, 3, 0, NULL, NULL, 0, 1, NULL, ?, NULL, NULL, NULL)",
            (b"d" * 32, b"p" * 32),
        )
        connection.execute("INSERT INTO files VALUES (CAST('/a/x.png' AS BLOB), 1, 2, 3, 4, 1, 1, NULL, NULL, NULL)")
    with SqliteStore(path) as store:
        [entry] = store.entries(None)
        assert (entry.digest, entry.pixel_digest, entry.image_data_digest) == (b"d" * 32, b"p" * 32, None)
        store.put([replace(entry, image_data_digest=b"i" * 32)])
        assert [entry.image_data_digest for entry in store.entries(None)] == [b"i" * 32]


def test_an_index_from_before_the_marks_of_series_is_read_and_marks_are_added(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:5])
        connection.execute("INSERT INTO versions VALUES (1, 1, 1, 0)")
        connection.execute(
            "INSERT INTO contents VALUES (1, ?, 1, 'JPEG', 4, 3, 0, NULL, NULL, 0, 1, NULL, NULL, NULL, NULL, NULL, ?)",
            (b"d" * 32, b"i" * 32),
        )
        connection.execute("INSERT INTO files VALUES (CAST('/a/x.jpg' AS BLOB), 1, 2, 3, 4, 1, 1, NULL, NULL, NULL)")
    with SqliteStore(path) as store:
        [entry] = store.entries(None)
        assert entry.facts == PhotoFacts("JPEG", 4, 3)
        assert entry.facts.shot is None, "not known, which is not the same as none"
        marked = replace(entry.facts, shot=ShotMarks(sequence=3), embedded=("gain map",))
        store.put([replace(entry, facts=marked)])
        assert [entry.facts for entry in store.entries(None)] == [marked]


def test_a_migration_that_fails_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with SqliteStore(path) as store:
        store.put([full_entry("/a/x.jpg")])
    failing = (*MIGRATIONS, ("DELETE FROM files", "INSERT INTO nowhere VALUES (1)"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, path, failing)
        assert version_of(connection) == len(MIGRATIONS)
    with SqliteStore(path) as store:
        assert list(store.entries(None)) == [full_entry("/a/x.jpg")]


def test_a_migration_is_done_once_though_two_processes_begin_it(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    SqliteStore(path).close()
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as two,
    ):
        migrate(one, path, NEXT)
        migrate(two, path, NEXT)
        assert version_of(one) == version_of(two) == len(NEXT)
