"""The SQLite index searches each content once, and its stored pairs stay right while other processes write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.search import join as search
from py_image_dedup.store import content_search as join
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite import pairs
from py_image_dedup.store.sqlite.pairs import MAX_DEGREE, PAIR
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.store.samples import (
    FoundPairs,
    Model,
    altered,
    entry_of,
    expected_pairs,
    family,
    found_pairs,
    random_signatures,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs of contents each search compares."""
    counts: list[int] = []
    real_join, real_cross = search.join, search.cross

    def counting_join(signatures: np.ndarray, max_distance: float) -> object:
        counts.append(len(signatures) * (len(signatures) - 1) // 2)
        return real_join(signatures, max_distance)

    def counting_cross(queries: np.ndarray, signatures: np.ndarray, max_distance: float) -> object:
        counts.append(len(queries) * len(signatures))
        return real_cross(queries, signatures, max_distance)

    monkeypatch.setattr(join.search, "join", counting_join)
    monkeypatch.setattr(join.search, "cross", counting_cross)
    return counts


def library_of(count: int, root: str = "/a", seed: int = 3) -> list[IndexEntry]:
    return [entry_of(f"{root}/{n}.jpg", (seed, n), values) for n, values in enumerate(family(seed, count))]


def exact(store: SqliteStore, library: list[IndexEntry], max_distance: float) -> FoundPairs:
    found = found_pairs(store, max_distance, None)
    assert found == expected_pairs(Model.of(library), max_distance, None, found)
    return found


def crowd(count: int) -> list[IndexEntry]:
    """Nearly the same picture again and again."""
    photo = random_signatures(1, 1)[0]
    return [entry_of(f"/a/{number}.jpg", number, altered(photo, number, 3)) for number in range(count)]


def test_nothing_is_searched_twice(path: Path, compared: list[int]) -> None:
    library = library_of(40)
    with SqliteStore(path) as store:
        store.put(library)
        first = exact(store, library, 0.3)
        assert sum(compared) == 40 * 39 // 2
        compared.clear()
        assert found_pairs(store, 0.3, [Path("/a")]) == first
        assert len(found_pairs(store, 0.1, None)) < len(first)
    with SqliteStore(path) as store:
        assert found_pairs(store, 0.3, None) == first
    assert compared == []


def test_a_moved_or_copied_file_is_not_searched(path: Path, compared: list[int]) -> None:
    library = library_of(20)
    with SqliteStore(path) as store:
        store.put(library)
        first = exact(store, library, 0.3)
        compared.clear()
        store.remove([entry.stat.path for entry in library])
        assert found_pairs(store, 0.3, None) == {}
        store.put([entry_of(f"/b/{n}.jpg", (3, n), values) for n, values in enumerate(family(3, 20))])
        assert found_pairs(store, 0.3, [Path("/b")]) == first
    assert compared == []


def test_what_is_new_is_searched_against_all_and_nothing_else_is(path: Path, compared: list[int]) -> None:
    library, new = library_of(30), library_of(4, "/b", seed=4)
    with SqliteStore(path) as store:
        store.put(library)
        exact(store, library, 0.3)
        compared.clear()
        store.put(new)
        exact(store, [*library, *new], 0.3)
        assert sum(compared) == 4 * 3 // 2 + 4 * 30


def test_only_the_wanted_folders_are_searched(path: Path, compared: list[int]) -> None:
    library, other = library_of(30), library_of(10, "/b", seed=4)
    with SqliteStore(path) as store:
        store.put([*library, *other])
        found_pairs(store, 0.3, [Path("/b")])
        assert sum(compared) == 10 * 9 // 2


def test_a_greater_distance_searches_everything_again_and_a_lesser_one_nothing(path: Path, compared: list[int]) -> None:
    library = library_of(30)
    with SqliteStore(path) as store:
        store.put(library)
        counts = []
        for max_distance in (0.1, 0.3, 0.2, 0.1, 0.3):
            exact(store, library, max_distance)
            counts.append(sum(compared))
            compared.clear()
    assert counts == [435, 435, 0, 0, 0]


def test_a_lesser_distance_is_searched_once_nothing_is_left_of_the_greater_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = search.join
    monkeypatch.setattr(join.search, "join", lambda rows, bound: asked.append(bound) or real(rows, bound))
    with SqliteStore(path) as store:
        store.put(library_of(10))
        found_pairs(store, 0.4, None)
        store.clear()
        store.put(library_of(10))
        found_pairs(store, 0.1, None)
    assert asked == [0.4, 0.1]


def test_a_search_that_is_stopped_remembers_nothing_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "CONTENTS_A_STEP", 10)
    library = library_of(40)
    with SqliteStore(path) as store:
        store.put(library)
        for steps in (1, 3, 6):
            blocks = store.pairs(0.3, None)
            for _ in range(steps):
                next(blocks)
            del blocks
        exact(store, library, 0.3)


@pytest.mark.parametrize("second_distance", [0.1, 0.2, 0.3])
def test_two_processes_may_search_at_the_same_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, second_distance: float
) -> None:
    monkeypatch.setattr(pairs, "CONTENTS_A_STEP", 10)
    library = library_of(20)
    other = [entry_of(f"/b/{n}.jpg", ("b", n), values) for n, values in enumerate(family(3, 20))]
    with SqliteStore(path) as one, SqliteStore(path) as two:
        one.put(library)
        two.put(other)
        first = one.pairs(0.2, [Path("/a")])
        blocks = [next(first)]
        second = two.pairs(second_distance, [Path("/b")])
        next(second)
        blocks += first
        list(second)
        assert sum(map(len, blocks)) == len(expected_pairs(Model.of(library), 0.2, None, {}))
        for store in (one, two):
            exact(store, [*library, *other], 0.2)


def test_all_pairs_of_near_identical_pictures_are_found_and_not_stored(path: Path, compared: list[int]) -> None:
    library = [*crowd(200), *library_of(20, "/b")]
    with SqliteStore(path) as store:
        store.put(library)
        for _ in range(2):
            blocks = list(store.pairs(0.2, None))
            near = expected_pairs(Model.of(library_of(20, "/b")), 0.2, None, {})
            assert sum(map(len, blocks)) == 200 * 199 // 2 + len(near)
        kept = sum(size for (size,) in store._database.rows("SELECT size FROM pairs"))
        assert kept == len(near)
        compared.clear()
        found = found_pairs(store, 0.2, [Path("/b")])
        assert found == expected_pairs(Model.of(library_of(20, "/b")), 0.2, None, found)
        assert compared == []


def test_stored_pairs_grow_with_the_contents_and_not_with_the_pairs(path: Path) -> None:
    groups = [
        entry_of(f"/a/{group}-{number}.jpg", (group, number), altered(photo, number, 3))
        for group, photo in enumerate(random_signatures(1, 6))
        for number in range(MAX_DEGREE - 20 + 10 * group)
    ]
    with SqliteStore(path) as store:
        store.put(groups)
        for _ in store.pairs(0.2, None):
            pass
        kept = store._database.rows("SELECT sum(size), sum(length(data)) FROM pairs")[0]
        assert 0 < kept[0] <= len(groups) * MAX_DEGREE / 2
        assert kept[1] == kept[0] * PAIR.itemsize


def test_many_small_searches_leave_few_rows(path: Path) -> None:
    library = [entry_of(f"/a/{n}.jpg", n, values) for n, values in enumerate(family(3, 150))]
    with SqliteStore(path) as store:
        for entry in library:
            store.put([entry])
            for _ in store.pairs(0.3, None):
                pass
        exact(store, library, 0.3)
        assert store._database.rows("SELECT count(*) FROM pairs")[0][0] < 70


def test_signatures_are_not_read_when_nothing_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = library_of(20)
    with SqliteStore(path) as store:
        store.put(library)
        first = found_pairs(store, 0.3, None)
    with SqliteStore(path) as store:
        refuse: Callable[[], None] = lambda: pytest.fail("the signatures were read")  # noqa: E731
        monkeypatch.setattr(store._table, "refresh", refuse)
        assert found_pairs(store, 0.3, None) == first


def test_a_query_sees_what_another_process_put(path: Path) -> None:
    photo = random_signatures(1, 1)[0]
    entry = entry_of("/a/1.jpg", 1, photo)
    assert entry.signature is not None
    with SqliteStore(path) as one, SqliteStore(path) as two:
        assert [len(found) for found in one.similar([entry.signature], 0.1, None)] == [0]
        two.put([entry])
        assert [len(found) for found in one.similar([entry.signature], 0.1, None)] == [1]
        two.clear()
        assert [len(found) for found in one.similar([entry.signature], 0.1, None)] == [0]


def test_starting_over_is_left_to_the_process_that_is_first(path: Path, compared: list[int]) -> None:
    library = library_of(20)
    with SqliteStore(path) as one, SqliteStore(path) as two:
        one.put(library)
        seen = one._pairs._state(0.3, FolderRanges.of(None))
        first = exact(two, library, 0.3)
        compared.clear()
        one._pairs._start_over(seen, 0.3)
        assert found_pairs(one, 0.3, None) == first
    assert compared == []
