from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.ranking.rules import DEFAULT_RULES, RULES, parse_rule
from tests.support.entries import entry, signature


def ranker(*names: str, protected: str = "/originals/") -> Ranker:
    return Ranker(tuple(parse_rule(name) for name in names), lambda raw: raw.startswith(protected.encode()), 0.1)


def test_the_first_rule_decides_and_is_the_reason_with_both_values() -> None:
    small, large = entry("/a.jpg", width=300, size=9), entry("/b.jpg", width=400, size=5)
    ranking = ranker("higher-pixel-count", "bigger-file-size").rank([small, large])
    assert ranking.entries == (large, small)
    reason = ranking.reason(large, small)
    assert (reason.rule, reason.keeper_value, reason.redundant_value) == (
        "higher-pixel-count", "400 x 300", "300 x 300",
    )  # fmt: skip


def test_a_later_rule_decides_where_the_earlier_ones_tie() -> None:
    light, heavy = entry("/a.jpg", size=5), entry("/b.jpg", size=9)
    ranking = ranker("higher-pixel-count", "bigger-file-size").rank([light, heavy])
    assert ranking.entries == (heavy, light)
    assert ranking.reason(heavy, light).rule == "bigger-file-size"


def test_a_file_that_was_not_decoded_whole_never_wins() -> None:
    broken, whole = entry("/originals/a.jpg", width=4000, whole=False), entry("/b.jpg", width=10)
    ranking = ranker("higher-pixel-count").rank([broken, whole])
    assert ranking.entries == (whole, broken)
    reason = ranking.reason(whole, broken)
    assert (reason.rule, reason.redundant_value) == ("decoded-whole", "not whole: truncated")


def test_a_protected_file_wins_against_every_rule() -> None:
    better, protected = entry("/b.jpg", width=4000), entry("/originals/a.jpg", width=10)
    ranking = ranker("higher-pixel-count").rank([better, protected])
    assert ranking.entries == (protected, better)
    assert ranking.reason(protected, better).rule == "protected"


def test_the_path_decides_where_every_rule_ties() -> None:
    first, second = entry("/a.jpg"), entry("/b.jpg")
    ranking = ranker(*DEFAULT_RULES).rank([second, first])
    assert ranking.entries == (first, second)
    assert ranking.reason(first, second).rule == "path"


def test_a_relative_rule_decides_among_those_that_tie_before_it() -> None:
    side, middle, end = (entry(f"/{n}.jpg", signed=signature(1, change=n)) for n in (0, 10, 20))
    ranking = ranker("higher-pixel-count", "smaller-distance", "longer-file-name").rank([side, middle, end])
    assert ranking.entries[0] == middle
    assert ranking.reason(middle, side).rule == "smaller-distance"


def test_a_file_is_not_better_than_itself() -> None:
    photo = entry("/a.jpg")
    with pytest.raises(ValueError, match="better than itself"):
        ranker().rank([photo]).reason(photo, photo)


ENTRIES = st.builds(
    lambda number, width, size, mtime, seed, whole: entry(
        f"/{'originals/' * (number % 3 == 0)}{number}.jpg", width=width, size=size, mtime=mtime, whole=whole,
        signed=None if seed == 9 else signature(seed % 2, change=seed * 4),
    ),
    st.integers(0, 50), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 9), st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ENTRIES, min_size=1, max_size=9, unique_by=lambda e: e.stat.path),
    st.lists(st.sampled_from(sorted(RULES)), max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_files_does_not_matter(
    entries: list[IndexEntry], names: list[str], shuffler: random.Random
) -> None:
    first = ranker(*names).rank(entries)
    shuffled = list(entries)
    shuffler.shuffle(shuffled)
    second = ranker(*names).rank(shuffled)
    assert first.entries == second.entries
    assert sorted(e.stat.path for e in first.entries) == sorted(e.stat.path for e in entries)
    known = {"decoded-whole", "protected", "path", *names}
    for better, worse in pairwise(first.entries):
        assert first.reason(better, worse).rule in known
        assert better.decoded_whole >= worse.decoded_whole
    assert all(isinstance(e.stat.path, Path) for e in first.entries)
