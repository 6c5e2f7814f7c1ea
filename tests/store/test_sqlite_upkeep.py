"""Contents without a file are kept for a while, and the index does not grow for ever."""

from __future__ import annotations

from pathlib import Path

from py_image_dedup.store.sqlite.store import SqliteStore
from py_image_dedup.store.sqlite.upkeep import drop_orphans
from tests.store.samples import digest_of, entry_of, family, found_pairs, random_signatures


def contents_of(store: SqliteStore) -> int:
    count: int = store._database.rows("SELECT count(*) FROM contents")[0][0]
    return count


def test_what_was_removed_a_moment_ago_is_still_known(tmp_path: Path) -> None:
    signature = random_signatures(1, 1)[0]
    entry = entry_of("/a/x.jpg", "gone", signature)
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        store.put([entry, entry_of("/a/y.jpg", 2), entry_of("/a/z.jpg", 3)])
        store.remove([entry.stat.path])
        assert store.known([digest_of("gone")]) == {digest_of("gone"): entry}
        # A file whose bytes were replaced has left its content too.
        store.put([entry_of("/a/y.jpg", "replaced")])
        assert store.known([digest_of(2)]) == {digest_of(2): entry_of("/a/y.jpg", 2)}
        assert store.count(None) == 2


def test_the_oldest_contents_without_a_file_go_when_they_are_more_than_a_third(tmp_path: Path) -> None:
    library = [entry_of(f"/a/{number:04d}.jpg", number) for number in range(3000)]
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        store.put(library)
        store.remove([entry.stat.path for entry in library[:1000]])
        assert contents_of(store) == 3000
        store.remove([entry.stat.path for entry in library[1000:2000]])
        assert contents_of(store) == 1200
        assert set(store.known(digest_of(number) for number in range(2000))) == {
            digest_of(number) for number in range(1800, 2000)
        }
        assert list(store.entries(None)) == library[2000:]


def test_contents_that_came_back_are_not_dropped(tmp_path: Path) -> None:
    library = [entry_of(f"/a/{number:04d}.jpg", number) for number in range(1500)]
    moved = [entry_of(f"/b/{number:04d}.jpg", number) for number in range(1500)]
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        for _ in range(3):
            store.put(library)
            store.remove([entry.stat.path for entry in moved])
            store.put(moved)
            store.remove([entry.stat.path for entry in library])
        assert contents_of(store) == 1500
        assert list(store.entries(None)) == moved


def test_an_index_whose_files_change_for_ever_stays_small(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        sizes = []
        for generation in range(12):
            store.put([entry_of(f"/a/{number}.jpg", (generation, number)) for number in range(500)])
            sizes.append(contents_of(store))
        assert max(sizes) <= 500 + 1000 + 500
        assert store._database.rows("SELECT count(*) FROM departed")[0][0] <= max(sizes)


def test_dropped_contents_take_their_pairs_with_them(tmp_path: Path) -> None:
    signatures = family(3, 60)
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        near = [entry_of(f"/a/{number}.jpg", ("near", number), values) for number, values in enumerate(signatures)]
        store.put([*near, *(entry_of(f"/b/{number}.jpg", number) for number in range(40))])
        assert found_pairs(store, 0.3, None)
        store.remove([entry.stat.path for entry in near])
        store.put([entry_of(f"/b/{number % 40}.jpg", number % 40) for number in range(40)] * 30)
        for _ in range(30):
            store.put([entry_of(f"/b/{number}.jpg", number) for number in range(40)])
        assert contents_of(store) == 48
        assert store._database.rows("SELECT count(*) FROM pairs WHERE size > 30")[0][0] == 0
        store.put(near)
        assert len(found_pairs(store, 0.3, None)) > 0


def test_clearing_gives_the_space_back(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "index.sqlite3") as store:
        store.put([entry_of(f"/a/{n}.jpg", n, values) for n, values in enumerate(random_signatures(1, 5000))])
        before = store.size()
        store.clear()
        store.close()
        assert store.size() < before / 10


def test_what_was_put_is_no_error_though_another_process_keeps_the_upkeep_away(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    library = [entry_of(f"/a/{number:04d}.jpg", number) for number in range(1200)]
    with SqliteStore(path, busy_seconds=0.05) as store, SqliteStore(path) as other:
        store.put(library)
        store.remove([entry.stat.path for entry in library[:800]])
        store.put([entry_of(f"/b/{number}.jpg", number) for number in range(3)])
        store._database.set_index_value("changes", 5000)
        with other._database.transaction():
            assert drop_orphans(store._database) == 0
        assert contents_of(store) > 1000
        assert drop_orphans(store._database) > 500
        assert contents_of(store) < 500
