"""The search finds every pair within the distance, and no other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from py_image_dedup.model.match import Orientation
from py_image_dedup.search import plan as search_plan
from py_image_dedup.search.join import SearchIndex, cross, join
from py_image_dedup.search.plan import choose
from py_image_dedup.search.tiles import LeftBlock, RightSide, Tiles
from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import Int8Array, PairBlock
from py_image_dedup.signature.compute import compute_values
from py_image_dedup.signature.distance import distances
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature
from tests.signature.greys import scene
from tests.support.signatures import distance

DISTANCES = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 0.75, 0.9, 1.0]


def pool(seed: int, size: int) -> Int8Array:
    """Signatures as a library has them: scenes, most with edited copies of themselves, many turned; then duplicates."""
    random = np.random.default_rng(seed)
    scenes = np.stack([compute_values(scene(f"pool-{number}", 100, 130)) for number in range(40)])
    rows = scenes[random.integers(0, len(scenes), size)]
    for row in rows:
        changed = random.random(272) < random.choice([0.0, 0.02, 0.1, 0.3, 0.7])
        row[changed] = random.integers(-2, 3, int(changed.sum()))
    turns = random.choice(np.array(ORIENTATIONS, np.uint8), size)
    rows = np.stack([orient_signature(row, Orientation(turned)) for row, turned in zip(rows, turns, strict=True)])
    rows[-3:] = rows[:3]
    return rows


def table(block: PairBlock) -> list[tuple[int, int, float, int]]:
    columns = (block.left.tolist(), block.right.tolist(), block.distance.tolist(), block.orientation.tolist())
    return sorted(zip(*columns, strict=True))


def expected_join(
    rows: Int8Array, max_distance: float, *, orientations: bool = True
) -> list[tuple[int, int, float, int]]:
    found = []
    for left in range(len(rows)):
        if orientations:
            each, turns = distances(rows[left], rows)
        else:
            each, turns = np.array([distance(rows[left], row) for row in rows]), np.ones(len(rows), np.uint8)
        found += [
            (left, right, float(each[right]), int(turns[right]))
            for right in range(left + 1, len(rows))
            if each[right] <= max_distance
        ]
    return found


def found_join(rows: Int8Array, max_distance: float, **options: object) -> list[tuple[int, int, float, int]]:
    return table(PairBlock.concatenate(list(join(rows, max_distance, **options))))  # type: ignore[arg-type]


@pytest.fixture
def pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small searches are bounded too, in small tiles."""
    monkeypatch.setattr("py_image_dedup.search.join._WORTH_A_PLAN", 0)
    monkeypatch.setattr("py_image_dedup.search.join._LEFT_ROWS", 64)
    monkeypatch.setattr("py_image_dedup.search.join.TILE", 64 * 40)


@pytest.fixture
def one_blas_thread() -> Iterator[None]:
    with blas.single_threaded_blas:
        yield


@pytest.mark.parametrize("orientations", [True, False])
@pytest.mark.parametrize("max_distance", DISTANCES)
def test_the_pairs_are_those_of_brute_force(max_distance: float, orientations: bool, pruned: None) -> None:
    rows = pool(int(max_distance * 100), 300)
    expected = expected_join(rows, max_distance, orientations=orientations)
    assert found_join(rows, max_distance, orientations=orientations) == expected
    assert len(expected) >= 3, "the duplicates at least"


def test_a_search_that_is_not_worth_a_plan_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pool(9, 200)
    assert found_join(rows, 0.3) == expected_join(rows, 0.3)


@pytest.mark.parametrize("orientations", [True, False])
def test_every_plan_that_could_be_chosen_is_exact(orientations: bool) -> None:
    rows = pool(5, 130)
    expected = {apart: expected_join(rows, apart, orientations=orientations) for apart in (0.1, 0.3)}
    turns = ORIENTATIONS if orientations else (Orientation.UPRIGHT,)
    tried = 0
    with blas.single_threaded_blas:
        basis = search_plan.fit(rows, orientations=orientations)
        for plan in search_plan._plans(basis, orientations=orientations):
            rights = RightSide.of(rows, plan)
            for max_distance, pairs in expected.items():
                tiles = Tiles(plan, rights, max_distance, turns, triangular=True)
                blocks = []
                for first in (0, 70):
                    left = LeftBlock.of(rows[first : first + 70], first, plan)
                    blocks += [tiles.search(left, start, min(start + 45, 130)) for start in range(first, 130, 45)]
                    blocks.append(tiles.finish(left))
                assert table(PairBlock.concatenate(blocks)) == pairs
                tried += 1
    assert tried > 20


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.binary(min_size=8, max_size=8), min_size=0, max_size=40),
    st.sampled_from(DISTANCES) | st.floats(0, 1),
    st.booleans(),
)
def test_any_rows_at_any_distance_are_right(seeds: list[bytes], max_distance: float, orientations: bool) -> None:
    rows = np.zeros((len(seeds), 272), np.int8)
    for row, seed in zip(rows, seeds, strict=True):
        random = np.random.default_rng(list(seed))
        row[:] = random.integers(-2, 3, 272) * (random.random(272) < seed[0] / 255)
    expected = expected_join(rows, max_distance, orientations=orientations)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("py_image_dedup.search.join._WORTH_A_PLAN", 0)
        patch.setattr("py_image_dedup.search.join._LEFT_ROWS", 16)
        assert found_join(rows, max_distance, orientations=orientations) == expected


@pytest.mark.parametrize("size", [0, 1])
def test_fewer_than_two_rows_have_no_pairs(size: int, pruned: None) -> None:
    rows = pool(1, 10)[:size]
    assert found_join(rows, 1.0) == []
    assert table(PairBlock.concatenate(list(cross(rows, pool(1, 10)[:0], 1.0)))) == []


def test_rows_without_structure_are_near_nothing_below_1(pruned: None) -> None:
    rows = pool(2, 120)
    rows[::2] = 0
    assert all(left % 2 and right % 2 for left, right, _, _ in found_join(rows, 0.99))
    assert len(found_join(rows, 1.0)) == 120 * 119 // 2


def test_equal_rows_are_all_pairs_at_distance_0(pruned: None) -> None:
    rows = np.repeat(pool(3, 4)[:1], 150, axis=0)
    found = found_join(rows, 0.0)
    assert [(left, right) for left, right, _, _ in found] == list(itertools.combinations(range(150), 2))
    assert {(apart, turned) for _, _, apart, turned in found} == {(0.0, int(Orientation.UPRIGHT))}


def test_cross_finds_what_join_finds_between_two_halves(pruned: None) -> None:
    rows = pool(4, 300)
    between = [pair for pair in expected_join(rows, 0.3) if pair[0] < 90 <= pair[1]]
    found = table(PairBlock.concatenate(list(cross(rows[:90], rows[90:], 0.3))))
    assert [(left, right + 90, apart, turned) for left, right, apart, turned in found] == between
    assert between


def test_the_orientation_makes_left_look_like_right(pruned: None) -> None:
    one = compute_values(scene("left", 100, 140))
    rows = np.stack([one, *(orient_signature(one, orientation) for orientation in ORIENTATIONS)])
    found = [(right, turned) for left, right, _, turned in found_join(rows, 0.01) if left == 0]
    assert found == [(int(orientation), int(orientation)) for orientation in ORIENTATIONS]


def test_the_number_of_threads_changes_nothing(pruned: None) -> None:
    rows = pool(6, 400)
    expected = found_join(rows, 0.3, threads=1)
    assert found_join(rows, 0.3, threads=4) == expected
    assert expected == expected_join(rows, 0.3)


def test_several_searches_at_a_time_are_right_and_give_blas_its_threads_back(pruned: None) -> None:
    rows = pool(7, 300)
    expected = expected_join(rows, 0.3)
    before = [library["num_threads"] for library in threadpool_info()]
    found: list[object] = []
    searches = [threading.Thread(target=lambda: found.append(found_join(rows, 0.3, threads=2))) for _ in range(4)]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    assert found == [expected] * 4
    assert [library["num_threads"] for library in threadpool_info()] == before
    assert blas.single_threaded_blas._users == 0


def test_a_search_that_is_closed_early_leaves_no_threads(pruned: None) -> None:
    rows = np.repeat(pool(8, 4)[:1], 2000, axis=0)
    pairs = join(rows, 0.1, threads=3)
    assert len(next(pairs)) > 0  # type: ignore[arg-type]
    pairs.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("search-")]
    assert blas.single_threaded_blas._users == 0


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch, pruned: None) -> None:
    def fail(*args: object) -> None:
        raise MemoryError("no room for a tile")

    monkeypatch.setattr(Tiles, "search", fail)
    with pytest.raises(MemoryError, match="no room for a tile"):
        list(join(pool(1, 300), 0.2, threads=2))


def test_thousands_of_nearly_equal_rows_come_in_bounded_blocks() -> None:
    random = np.random.default_rng(11)
    rows = random.integers(-2, 3, (9000, 272)).astype(np.int8)
    alike = random.permutation(9000)[:5000]
    rows[alike] = rows[0]
    rows[alike, random.integers(0, 272, 5000)] = 0
    pairs, largest, farthest = 0, 0, 0.0
    for block in join(rows, 0.1):
        pairs += len(block)
        largest = max(largest, len(block))
        farthest = max(farthest, float(block.distance.max(initial=0)))
    assert pairs in {5000 * 4999 // 2, 5001 * 5000 // 2}, "the row that they were made from may be one of them"
    assert largest < 400_000
    assert 0 < farthest < 0.07


def test_an_index_answers_nearest_first(pruned: None) -> None:
    rows = pool(12, 700)
    index = SearchIndex(rows)
    assert len(index) == 700
    for max_distance in (0.0, 0.1, 0.12, 0.3, 0.6, 1.0):
        found = index.query(rows[:5], max_distance)
        order = list(zip(found.left.tolist(), found.distance.tolist(), found.right.tolist(), strict=True))
        assert order == sorted(order)
        expected = []
        for number, row in enumerate(rows[:5]):
            apart, turns = distances(row, rows)
            near = np.flatnonzero(apart <= max_distance)
            expected += [(number, int(right), float(apart[right]), int(turns[right])) for right in near]
        assert table(found) == expected


def test_threads_share_an_index() -> None:
    rows = pool(13, 800)
    index = SearchIndex(rows)
    found: list[object] = []
    askers = [threading.Thread(target=lambda: found.append(table(index.query(rows[:20], 0.3)))) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(found) == 4
    assert all(answer == table(SearchIndex(rows).query(rows[:20], 0.3)) for answer in found)


@pytest.mark.usefixtures("one_blas_thread")
def test_the_plan_follows_the_distance() -> None:
    rows = np.concatenate([pool(seed, 1000) for seed in (21, 22)])
    near, far = choose(rows, 0.05, orientations=True), choose(rows, 1.0, orientations=True)
    assert 0 < len(near.products) <= 4
    assert far.products == ()
    assert len(choose(rows, 0.1, orientations=False).products) == 1


@pytest.mark.usefixtures("one_blas_thread")
def test_many_nearly_equal_rows_do_not_change_the_plan_for_the_others() -> None:
    rows = np.random.default_rng(17).integers(-2, 3, (2000, 272)).astype(np.int8)
    plan = choose(rows, 0.1, orientations=True)
    rows[::2] = rows[0]
    assert len(choose(rows, 0.1, orientations=True).products) == len(plan.products) > 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_value_that_is_not_a_distance_is_refused_at_once(wrong: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        join(np.zeros((2, 272), np.int8), wrong)
    with pytest.raises(ValueError, match="between 0 and 1"):
        SearchIndex(np.zeros((2, 272), np.int8)).query(np.zeros((1, 272), np.int8), wrong)


def test_wrong_arrays_and_no_threads_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="signatures are int8"):
        join(np.zeros((2, 272)), 0.1)
    with pytest.raises(ValueError, match="signatures are int8"):
        cross(np.zeros((2, 648), np.int8), np.zeros((2, 272), np.int8), 0.1)
    with pytest.raises(ValueError, match="at least one thread"):
        join(np.zeros((2, 272), np.int8), 0.1, threads=0)
