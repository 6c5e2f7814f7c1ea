"""What the SQLite index does when something goes wrong: no wrong answer, no lost entry, clear words."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.content_search import join_contents, matrix_of
from py_image_dedup.store.sqlite.rows import MAX_CONTENT_ID
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.store.samples import entry_of, found_pairs, full_entry, random_signatures
from tests.store.writer_process import BATCH, batch_of

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


def library_of(count: int) -> list[object]:
    return [entry_of(f"/a/{number:05d}.jpg", signature=random_signatures(number, 1)[0]) for number in range(count)]


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_killed_process_loses_the_batch_in_flight_at_most(path: Path) -> None:
    chance = random.Random(4)
    for _ in range(3):
        command = [sys.executable, "-m", "tests.store.writer_process", str(path)]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(6)]
            time.sleep(chance.random() * 0.05)
            process.kill()
            lines += process.stdout.readlines()
        said = [line.split() for line in lines if line.endswith("\n")]
        put = max(int(number) for step, number in said if step == "put")
        with SqliteStore(path) as store:
            batches = store.count(None) // BATCH
            assert put + 1 <= batches <= put + 2
            expected = [entry for number in range(batches) for entry in batch_of(number)]
            assert list(store.entries(None)) == expected
            assert pair_count(store) == from_scratch(store)


def pair_count(store: SqliteStore) -> set[tuple[bytes, bytes]]:
    return {(min(pair), max(pair)) for pair in found_pairs(store, 0.1, None)}


def from_scratch(store: SqliteStore) -> set[tuple[bytes, bytes]]:
    """The pairs that a search without stored pairs finds."""
    entries = list(store.entries(None))
    matrix = matrix_of([entry.signature for entry in entries if entry.signature is not None])
    numbers = np.arange(len(entries), dtype=np.int64)
    digests = [entry.digest or b"" for entry in entries]
    found = set()
    for block in join_contents(numbers, matrix, 0.1):
        for left, right in zip(block.left.tolist(), block.right.tolist(), strict=True):
            found.add((min(digests[left], digests[right]), max(digests[left], digests[right])))
    assert found
    return found


def test_a_full_disk_keeps_what_was_put_before(path: Path) -> None:
    library = library_of(2000)
    with SqliteStore(path) as store:
        store.put(library[:100])
        pages = store._database.rows("PRAGMA page_count")[0][0]
        store._database.rows(f"PRAGMA max_page_count = {pages + 20}")
        with pytest.raises(StoreError, match="no space") as caught:
            store.put(library)
        assert not isinstance(caught.value, StoreUnavailable)
        assert str(path) in str(caught.value)
        assert list(store.entries(None)) == library[:100]
        store._database.rows(f"PRAGMA max_page_count = {pages * 100}")
        store.put(library)
        assert store.count(None) == 2000


def test_a_file_that_may_not_grow_keeps_what_was_put_before(path: Path) -> None:
    library = library_of(2000)
    with SqliteStore(path) as store:
        store.put(library[:100])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            with pytest.raises(StoreError, match=r"index\.sqlite3 could not be"):
                store.put(library)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(store.entries(None)) == library[:100]
        store.put(library)
        assert store.count(None) == 2000


def test_a_folder_that_may_not_be_written_is_named() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with SqliteStore(folder / "index.sqlite3") as store:
            store.put([entry_of("/a/x.jpg")])
        (folder / "index.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        for path in (folder / "index.sqlite3", folder / "new.sqlite3", folder / "deeper" / "index.sqlite3"):
            with as_an_ordinary_user(), pytest.raises(StoreError, match="cannot be opened for writing") as caught:
                SqliteStore(path)
            assert str(path) in str(caught.value)
            assert "--state-directory" in str(caught.value)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        SqliteStore(tmp_path / "state" / "index.sqlite3")


@pytest.mark.parametrize("content", [b"no database " * 1000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_named_and_can_be_discarded(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match="py-image-dedup clear") as caught:
        SqliteStore(path)
    assert str(path) in str(caught.value)
    if content.startswith(b"no"):
        SqliteStore.discard(path)
        with SqliteStore(path) as store:
            assert store.count(None) == 0


@pytest.mark.parametrize("garbage", [b"\x00", b"\xff", b"\x5a"])
def test_damaged_pages_are_no_answer(path: Path, garbage: bytes) -> None:
    SqliteStore(path).close()
    schema = path.stat().st_size  # the pages of an empty index: it can be opened as long as they are whole
    with SqliteStore(path) as store:
        store.put(library_of(1000))
    whole = path.read_bytes()
    path.write_bytes(whole[:schema] + garbage * (len(whole) - schema))
    with SqliteStore(path) as store:
        for ask in (
            lambda: list(store.stamps(None)),
            lambda: list(store.entries(None)),
            lambda: store.count(None),
            lambda: store.get(Path("/a/00001.jpg")),
            lambda: list(store.pairs(0.1, None)),
            lambda: store.put(library_of(1)),
            lambda: store.clear(),
        ):
            with pytest.raises(StoreError, match=r"damaged.*py-image-dedup clear"):
                ask()
    SqliteStore.discard(path)
    with SqliteStore(path) as store:
        assert store.count(None) == 0


def test_a_damaged_schema_is_an_error_when_the_index_is_opened(path: Path) -> None:
    SqliteStore(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StoreError, match=r"damaged.*py-image-dedup clear"):
        SqliteStore(path)


def test_a_file_that_was_cut_off_is_no_answer(path: Path) -> None:
    with SqliteStore(path) as store:
        store.put(library_of(1000))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreError, match="damaged"), SqliteStore(path) as store:
        list(store.entries(None))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE contents SET signature = x'0011'",
        "UPDATE contents SET failure_reason = 'gremlins', failure_phase = 'analyse', failure_message = 'x'",
        "UPDATE contents SET captured = 'yesterday'",
        "UPDATE files SET versions = 99",
    ],
)
def test_rows_that_make_no_sense_are_no_answer(path: Path, damage: str) -> None:
    with SqliteStore(path) as store:
        store.put([full_entry("/a/x.jpg")])
        store._database.execute(damage)
        with pytest.raises(StoreError, match=r"damaged.*py-image-dedup clear"):
            list(store.entries(None))


def test_a_signature_of_another_length_is_not_searched(path: Path) -> None:
    with SqliteStore(path) as store:
        store.put([full_entry("/a/x.jpg")])
        store._database.execute("UPDATE contents SET signature = x'0011'")
        with pytest.raises(StoreError, match="damaged"):
            list(store.pairs(0.1, None))


def test_a_content_without_an_id_is_an_error(path: Path) -> None:
    with SqliteStore(path) as store:
        store.put([full_entry("/a/x.jpg")])
        store._database.execute("UPDATE files SET content = '1x'")
        with pytest.raises(StoreError, match="damaged"):
            list(store.pairs(0.1, None))


def test_pairs_of_another_length_are_no_answer(path: Path) -> None:
    with SqliteStore(path) as store:
        store.put(batch_of(0))
        list(store.pairs(0.2, None))
        store._database.execute("UPDATE pairs SET data = substr(data, 2)")
        with pytest.raises(StoreError, match="damaged"):
            list(store.pairs(0.2, None))


@pytest.mark.parametrize("mark", [0, 0x47504B47])
def test_a_database_of_another_program_is_left_unchanged(path: Path, mark: int) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
        other.execute(f"PRAGMA application_id = {mark}")
    other.close()
    before = path.read_bytes()
    for refused in (lambda: SqliteStore(path), lambda: SqliteStore.discard(path)):
        with pytest.raises(StoreError, match="another program") as caught:
            refused()
        assert str(path) in str(caught.value)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    other.close()
    assert path.stat().st_size == len(before)


def test_a_newer_index_is_refused_with_what_to_do(path: Path) -> None:
    with SqliteStore(path) as store:
        store.put([entry_of("/a/x.jpg")])
        store._database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"format 99.*Update the program.*py-image-dedup clear") as caught:
        SqliteStore(path)
    assert str(path) in str(caught.value)
    SqliteStore.discard(path)
    with SqliteStore(path) as store:
        assert store.count(None) == 0


def test_nothing_to_discard_is_no_error(path: Path) -> None:
    SqliteStore.discard(path)


def test_an_empty_file_becomes_an_index(path: Path) -> None:
    path.touch()
    with SqliteStore(path) as store:
        store.put([entry_of("/a/x.jpg")])
        assert store.count(None) == 1


def test_a_busy_index_can_be_read_and_says_so_when_it_cannot_be_written(path: Path) -> None:
    with SqliteStore(path) as writer, SqliteStore(path, busy_seconds=0.05) as other:
        writer.put([entry_of("/a/x.jpg")])
        with writer._database.transaction():
            writer._database.execute("UPDATE files SET size = 5")
            assert other.count(None) == 1
            assert [entry.stat.size for entry in other.entries(None)] == [1000]
            with pytest.raises(StoreUnavailable, match="written by another process") as caught:
                other.put([entry_of("/a/y.jpg")])
            assert str(path) in str(caught.value)
        other.put([entry_of("/a/y.jpg")])
        assert [entry.stat.size for entry in writer.entries(None)] == [5, 1000]


def test_a_closed_index_is_an_error_and_closing_twice_is_none(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="cannot be used"):
        store.count(None)


def test_calls_may_come_from_one_thread_after_another(path: Path) -> None:
    with SqliteStore(path) as store:
        thread = Thread(target=store.put, args=([entry_of("/a/x.jpg")],))
        thread.start()
        thread.join()
        assert store.count(None) == 1


def test_a_time_after_2262_looks_changed_and_harms_nothing(path: Path) -> None:
    entry = entry_of("/a/x.jpg")
    late = type(entry.stat)(entry.stat.path, 1000, 2**63 + 5, 66, 1)
    with SqliteStore(path) as store:
        store.put([type(entry)(late, entry.versions, entry.digest, entry.facts)])
        ((_, stamp, _),) = store.stamps(None)
        assert stamp == (1000, 2**63 - 1, 66, 1)


def test_used_up_content_ids_are_an_error_before_anything_is_put(path: Path) -> None:
    with SqliteStore(path) as store:
        store._database.set_index_value("next_number", MAX_CONTENT_ID - 1)
        with pytest.raises(StoreError, match="used up its content ids"):
            store.put(library_of(3))
        assert store.count(None) == 0
