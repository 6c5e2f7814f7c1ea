from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.signature.pairs import Int8Array, PairBlock
from py_image_dedup.store.elastic.searched import MOST_FILES, Gathered, Searched, SearchedFolder, keys_of, recalled
from py_image_dedup.store.join import cut, join_contents
from tests.store.samples import digest_of, family

DISTANCE = 0.3


def rows(block: PairBlock) -> list[tuple[object, ...]]:
    return sorted(zip(*(c.tolist() for c in (block.left, block.right, block.distance, block.orientation)), strict=True))


def gathered(values: Int8Array, digests: list[bytes]) -> Searched:
    numbers = np.arange(1, len(values) + 1)
    gathering = Gathered(len(values))
    list(gathering.add(join_contents(numbers, values, DISTANCE)))
    kept = gathering.finish(numbers, keys_of(digests, values), DISTANCE)
    assert kept is not None
    return kept


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_what_is_recalled_is_what_a_search_would_find_under_any_numbering(seed: int, random: object) -> None:
    values = family(seed, 40)
    digests = [digest_of(number) for number in range(40)]
    kept = gathered(values, digests)
    shuffled = np.random.default_rng(seed + 1).permutation(40)[:30]
    numbers = np.sort(np.random.default_rng(seed + 2).choice(1000, 30, replace=False))
    chosen = values[shuffled]
    pairs, known = recalled(kept, numbers, chosen, keys_of([digests[place] for place in shuffled], chosen))
    assert known.all()
    expected = [row for block in join_contents(numbers, chosen, DISTANCE) for row in rows(block)]
    assert rows(pairs) == sorted(expected)


def test_a_content_with_another_signature_was_not_searched() -> None:
    values = family(1, 12)
    digests = [digest_of(number) for number in range(12)]
    kept = gathered(values, digests)
    changed = values.copy()
    changed[3] = family(2, 1)[0]
    _, known = recalled(kept, np.arange(1, 13), changed, keys_of(digests, changed))
    assert np.flatnonzero(~known).tolist() == [3]


def test_nothing_was_searched_in_an_empty_pass() -> None:
    kept = gathered(family(1, 12)[:0], [])
    values = family(1, 3)
    pairs, known = recalled(kept, np.arange(1, 4), values, keys_of([b"a" * 32, b"b" * 32, b"c" * 32], values))
    assert len(pairs) == 0
    assert not known.any()


def test_what_is_saved_is_loaded_for_the_same_folders_only(tmp_path: Path) -> None:
    kept = gathered(family(1, 12), [digest_of(number) for number in range(12)])
    folder = SearchedFolder(tmp_path / "searched")
    folder.save([b"images", b"/a"], kept)
    loaded = folder.load([b"images", b"/a"])
    assert loaded is not None
    assert loaded.distance == DISTANCE
    assert loaded.keys.tolist() == kept.keys.tolist()
    assert rows(loaded.pairs) == rows(kept.pairs)
    assert folder.load([b"images", b"/b"]) is None
    assert folder.load([b"images"]) is None


def test_a_damaged_file_counts_as_nothing_searched(tmp_path: Path) -> None:
    folder = SearchedFolder(tmp_path)
    folder.save([b"images"], gathered(family(1, 12), [digest_of(number) for number in range(12)]))
    (file,) = tmp_path.iterdir()
    for content in (b"", file.read_bytes()[:200], b"not an archive at all"):
        file.write_bytes(content)
        assert folder.load([b"images"]) is None


def test_nothing_is_kept_without_a_folder() -> None:
    folder = SearchedFolder(None)
    folder.save([b"images"], gathered(family(1, 12), [digest_of(number) for number in range(12)]))
    assert folder.load([b"images"]) is None


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "searched").write_bytes(b"a file, not a folder")
    folder = SearchedFolder(tmp_path / "searched")
    folder.save([b"images"], gathered(family(1, 12), [digest_of(number) for number in range(12)]))
    assert folder.load([b"images"]) is None


def test_only_so_many_sets_of_folders_are_remembered(tmp_path: Path) -> None:
    kept = gathered(family(1, 6), [digest_of(number) for number in range(6)])
    folder = SearchedFolder(tmp_path)
    for number in range(MOST_FILES + 3):
        folder.save([b"images", str(number).encode()], kept)
    assert len(list(tmp_path.iterdir())) == MOST_FILES


def test_too_many_pairs_are_not_kept() -> None:
    numbers = np.arange(1, 201)
    values = np.repeat(family(1, 1), 200, axis=0)
    gathering = Gathered(200)
    told = sum(
        len(block) for block in gathering.add(block for b in join_contents(numbers, values, 0.1) for block in cut(b))
    )
    assert told == 200 * 199 // 2
    assert gathering.finish(numbers, keys_of([digest_of(n) for n in range(200)], values), 0.1) is None
