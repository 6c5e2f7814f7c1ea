from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.features import inverted_index
from py_image_dedup.features.inverted_index import (
    MAX_CANDIDATES,
    MAX_DOUBTFUL,
    MAX_FREQUENCY,
    InvertedIndex,
    min_shared_words,
)
from py_image_dedup.features.visual_words import WordArray

NOTHING: WordArray = np.empty(0, dtype=np.uint32)
pictures = st.lists(st.sets(st.integers(0, 30), max_size=15), max_size=30)


def as_words(words: set[int] | range) -> WordArray:
    return np.array(sorted(words), dtype=np.uint32)


def index_of(pictures: Sequence[set[int]], first: int = 1) -> InvertedIndex:
    index = InvertedIndex()
    index.add(range(first, first + len(pictures)), [as_words(words) for words in pictures])
    return index


@settings(max_examples=60, deadline=None)
@given(pictures=pictures, query=st.sets(st.integers(0, 30)), mirrored=st.sets(st.integers(0, 30)))
def test_candidates_are_those_that_share_enough_words(
    pictures: list[set[int]], query: set[int], mirrored: set[int]
) -> None:
    found = index_of(pictures).candidates(0, as_words(query), as_words(mirrored))
    shared = {number: max(len(words & query), len(words & mirrored)) for number, words in enumerate(pictures, 1)}
    sure = {number for number, count in shared.items() if count >= 5}
    doubtful = {number for number, count in shared.items() if 2 <= count < 5}
    assert set(found[: len(sure)]) == sure
    assert set(found[len(sure) :]) <= doubtful
    assert len(found) == len(sure) + min(len(doubtful), MAX_DOUBTFUL)


@settings(max_examples=40, deadline=None)
@given(
    pictures=pictures,
    cuts=st.lists(st.integers(0, 30), max_size=30),
    block=st.sampled_from([4, 16, 1 << 16]),
    at_once=st.integers(1, 5),
)
def test_the_result_does_not_depend_on_the_batches_in_which_pictures_were_added(
    pictures: list[set[int]], cuts: list[int], block: int, at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inverted_index, "_BLOCK", block)
        patch.setattr(inverted_index, "_FAN_BITS", 1)
        patch.setattr(inverted_index, "_ADDED_AT_ONCE", at_once)
        patch.setattr(inverted_index, "_MERGED_AT_ONCE", 7)
        index = InvertedIndex()
        edges = sorted({0, len(pictures), *(cut for cut in cuts if cut < len(pictures))})
        for start, end in pairwise(edges):
            index.add(range(start + 1, end + 1), [as_words(words) for words in pictures[start:end]])
        found = [index.candidates(number, as_words(words), NOTHING) for number, words in enumerate(pictures, 1)]
    plain = index_of(pictures)
    assert found == [plain.candidates(number, as_words(words), NOTHING) for number, words in enumerate(pictures, 1)]


def test_segments_are_merged_whose_last_word_has_many_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverted_index, "_BLOCK", 16)
    monkeypatch.setattr(inverted_index, "_MERGED_AT_ONCE", 7)
    index = index_of([set(range(6))] * 32)
    assert index.candidates(1, as_words(range(6)), NOTHING) == list(range(2, 33))


def test_memory_is_bounded_also_while_segments_are_merged() -> None:
    random = np.random.default_rng(1)
    index = InvertedIndex()
    tracemalloc.start()
    try:
        for first in range(0, 20_480, 512):
            found = random.integers(0, 2**18, (512, 200), dtype=np.uint32)
            index.add(range(first, first + 512), [np.unique(words) for words in found])
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000 * len(index)
    assert peak < 2_000 * len(index)


def test_a_picture_is_not_its_own_candidate_and_rare_words_count_for_more() -> None:
    common, rare = set(range(5)), set(range(100, 105))
    index = index_of([common | rare, common, rare, common, common])
    assert index.candidates(1, as_words(common | rare), NOTHING) == [3, 2, 4, 5]


def test_of_those_that_share_few_words_the_rarest_are_candidates_too_after_the_others() -> None:
    many = [set(range(100, 110)) for _ in range(20)]
    rare = [{number, number + 1000} for number in range(12)]
    index = index_of([set(range(100, 105)), *many, *rare])
    query = as_words(set(range(100, 103)) | {0, 1000, 1, 1001, 2, 1002})
    assert index.candidates(0, query, NOTHING)[:3] == [22, 23, 24]
    assert len(index.candidates(0, query, NOTHING)) == MAX_DOUBTFUL
    sure = as_words(set(range(100, 105)) | {7, 1007})
    assert index.candidates(0, sure, NOTHING) == [*range(1, 22), 29]


def test_a_picture_whose_words_changed_is_returned_once() -> None:
    index = index_of([set(range(9)), set(range(9))])
    index.add([2], [as_words(range(7))])
    assert index.candidates(1, as_words(range(9)), NOTHING) == [2]


def test_words_that_all_pictures_share_are_ignored_and_the_result_is_bounded() -> None:
    shared = set(range(50))
    crowd = [shared | {1000 + number, 9000 + number % 20} for number in range(MAX_FREQUENCY + 1)]
    index = index_of(crowd)
    assert index.candidates(1, as_words(crowd[0]), NOTHING) == []
    few = index_of(crowd[:MAX_FREQUENCY])
    assert len(few.candidates(1, as_words(crowd[0]), NOTHING)) == MAX_CANDIDATES
    assert set(few.candidates(1, as_words(crowd[0]), NOTHING)) >= {21, 41, 61}


def test_of_more_pictures_than_are_returned_those_with_words_that_few_of_them_have_are_the_best() -> None:
    template, text = set(range(60)), set(range(100, 120))
    pages = [template | {1_000 * number + word for word in range(40)} for number in range(1, 90)]
    scrolled = set(range(10)) | set(range(100, 108)) | set(range(90_000, 90_040))
    found = index_of([*pages, scrolled]).candidates(0, as_words(template | text), NOTHING)
    assert found[0] == 90
    assert len(found) == MAX_CANDIDATES


def test_a_large_library_requires_one_more_shared_word() -> None:
    assert (min_shared_words(100_000), min_shared_words(100_001)) == (5, 6)


def test_an_empty_index_has_no_candidates() -> None:
    assert InvertedIndex().candidates(1, as_words(range(9)), as_words(range(9))) == []
    assert index_of([set(), set(range(9))]).candidates(1, NOTHING, NOTHING) == []
