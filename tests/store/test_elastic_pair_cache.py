from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.content_search import join_contents
from py_image_dedup.store.elastic.contents import (
    MAX_FILES,
    CachedPairs,
    ContentIds,
    ContentIdTable,
    Contents,
    PairCache,
    PairCollector,
    byte_strings,
    reusable_pairs,
)
from tests.store.samples import digest_of, family

DISTANCE = 0.3


def rows(block: PairBlock) -> list[tuple[object, ...]]:
    return sorted(zip(*(c.tolist() for c in (block.left, block.right, block.distance, block.orientation)), strict=True))


def contents(seed: int, count: int) -> Contents:
    return Contents.of(byte_strings([digest_of((seed, n)) for n in range(count)], 32), family(seed, count))


def gathered(some: Contents) -> CachedPairs:
    gathering = PairCollector(len(some))
    list(gathering.add(join_contents(np.arange(len(some)), some.values, DISTANCE)))
    kept = gathering.finish(some.keys, DISTANCE)
    assert kept is not None
    return kept


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.data())
def test_reusable_pairs_are_what_a_search_would_find(seed: int, data: st.DataObject) -> None:
    whole = contents(seed, 40)
    before = data.draw(st.lists(st.integers(0, 39), unique=True, min_size=1).map(sorted))
    after = data.draw(st.lists(st.integers(0, 39), unique=True, min_size=1).map(sorted))
    kept = gathered(Contents(whole.keys[before], whole.digests[before], whole.values[before]))
    pairs, known = reusable_pairs(kept, whole.keys[after])
    assert known.tolist() == [row in before for row in after]
    there = np.flatnonzero(known)
    expected = [row for block in join_contents(there, whole.values[after][there], DISTANCE) for row in rows(block)]
    assert rows(pairs) == sorted(expected)


def test_nothing_of_an_empty_search_is_reusable() -> None:
    none = contents(1, 12)
    pairs, known = reusable_pairs(gathered(Contents(none.keys[:0], none.digests[:0], none.values[:0])), none.keys)
    assert len(pairs) == 0
    assert not known.any()


def test_a_content_with_another_signature_was_not_searched() -> None:
    some = contents(1, 12)
    kept = gathered(some)
    changed = some.values.copy()
    changed[3] = family(2, 1)[0]
    other = Contents.of(some.digests, changed)
    _, known = reusable_pairs(kept, other.keys)
    assert other.digests[~known].tolist() == [some.digests[3]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_rows_get_content_ids_as_a_search_by_content_id_would_give(seed: int, random: Random) -> None:
    some = contents(seed, 30)
    digests = [row.tobytes() for row in some.digests.view("V32")]
    numbers = ContentIds()
    told_before = digests[::2]
    random.shuffle(told_before)
    numbers.of_all(told_before)
    table = ContentIdTable(numbers, some.digests, some.values)
    found = [
        row for block in join_contents(np.arange(30), some.values, 0.5) for row in rows(table.with_content_ids(block))
    ]
    by_number = np.argsort([numbers.of(digest) for digest in digests])
    given = np.array([numbers.of(digests[row]) for row in by_number])
    expected = [row for block in join_contents(given, some.values[by_number], 0.5) for row in rows(block)]
    assert sorted(found) == sorted(expected)


def test_what_is_saved_is_loaded_for_the_same_folders_only(tmp_path: Path) -> None:
    kept = gathered(contents(1, 12))
    folder = PairCache(tmp_path / "searched")
    folder.save([b"images", b"/a"], kept)
    loaded = folder.load([b"images", b"/a"])
    assert loaded is not None
    assert loaded.distance == DISTANCE
    assert loaded.keys.tolist() == kept.keys.tolist()
    assert rows(loaded.pairs) == rows(kept.pairs)
    assert folder.load([b"images", b"/b"]) is None
    assert folder.load([b"images"]) is None


def test_a_damaged_file_counts_as_nothing_searched(tmp_path: Path) -> None:
    folder = PairCache(tmp_path)
    folder.save([b"images"], gathered(contents(1, 12)))
    (file,) = tmp_path.iterdir()
    for content in (b"", file.read_bytes()[:200], b"not an archive at all"):
        file.write_bytes(content)
        assert folder.load([b"images"]) is None


def test_nothing_is_cached_without_a_folder() -> None:
    folder = PairCache(None)
    folder.save([b"images"], gathered(contents(1, 12)))
    assert folder.load([b"images"]) is None


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "searched").write_bytes(b"a file, not a folder")
    folder = PairCache(tmp_path / "searched")
    folder.save([b"images"], gathered(contents(1, 12)))
    assert folder.load([b"images"]) is None


def test_the_number_of_cached_sets_of_folders_is_bounded(tmp_path: Path) -> None:
    kept = gathered(contents(1, 6))
    folder = PairCache(tmp_path)
    for number in range(MAX_FILES + 3):
        folder.save([b"images", str(number).encode()], kept)
    assert len(list(tmp_path.iterdir())) == MAX_FILES


def test_too_many_pairs_are_not_cached() -> None:
    values = np.repeat(family(1, 1), 200, axis=0)
    some = Contents.of(byte_strings([digest_of(n) for n in range(200)], 32), values)
    gathering = PairCollector(200)
    told = sum(len(block) for block in gathering.add(join_contents(np.arange(200), some.values, 0.1)))
    assert told == 200 * 199 // 2
    assert gathering.finish(some.keys, 0.1) is None
