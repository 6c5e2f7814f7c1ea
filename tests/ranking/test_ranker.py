from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.model.inspection import Original, Side
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.ranker import Origin, Ranker
from py_image_dedup.ranking.rules import (
    DEFAULT_RULES,
    RULES,
    parse_identical_rules,
    parse_rule,
)
from tests.support.entries import entry, signature


def ranker(*names: str, protected: str = "/originals/", **given: Any) -> Ranker:
    rules = tuple(parse_rule(name) for name in names)
    return Ranker(rules, lambda raw: raw.startswith(protected.encode()), 0.1, **given)


def origins(*pairs: tuple[IndexEntry, IndexEntry], sure: bool = True) -> Origin:
    """Evidence that the first file of each pair is the original of the second."""
    known = {(one.stat.path, other.stat.path) for one, other in pairs}

    def origin(left: IndexEntry, right: IndexEntry) -> Original | None:
        found = Original(Side.LEFT, sure, "B was saved again from A at quality 75")
        if (left.stat.path, right.stat.path) in known:
            return found
        return found.reversed() if (right.stat.path, left.stat.path) in known else None

    return origin


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


def paths(entries: Sequence[IndexEntry]) -> list[str]:
    return [str(each.stat.path) for each in entries]


def test_the_original_wins_against_every_later_rule_and_the_evidence_is_the_reason() -> None:
    small, enlarged = entry("/small.jpg", width=300), entry("/enlarged.jpg", width=600)
    ranking = ranker(*DEFAULT_RULES, origin=origins((small, enlarged))).rank([enlarged, small])
    assert ranking.entries == (small, enlarged)
    reason = ranking.reason(small, enlarged)
    assert reason.rule == "original"
    assert reason.sentence == "the original (enlarged.jpg was saved again from small.jpg at quality 75)"


def test_a_likely_original_wins_and_is_called_likely() -> None:
    small, enlarged = entry("/a/x.jpg", width=300), entry("/b/x.jpg", width=600)
    ranking = ranker(*DEFAULT_RULES, origin=origins((small, enlarged), sure=False)).rank([enlarged, small])
    assert ranking.reason(small, enlarged).sentence == (
        "probably the original (the other file was saved again from this file at quality 75)"
    )


def test_without_evidence_or_without_the_rule_the_other_rules_decide() -> None:
    small, enlarged = entry("/small.jpg", width=300), entry("/enlarged.jpg", width=600)
    assert ranker(*DEFAULT_RULES).rank([small, enlarged]).entries == (enlarged, small)
    left_out = ranker("higher-pixel-count", origin=origins((small, enlarged)))
    assert left_out.rank([small, enlarged]).entries == (enlarged, small)
    later = ranker("higher-pixel-count", "original", origin=origins((small, enlarged)))
    assert later.rank([small, enlarged]).entries == (enlarged, small)


def test_a_protected_or_whole_file_wins_against_its_original() -> None:
    original, protected = entry("/a.jpg"), entry("/originals/b.jpg")
    assert ranker("original", origin=origins((original, protected))).rank([original, protected]).entries[0] == protected
    broken, whole = entry("/c.jpg", whole=False), entry("/d.jpg")
    assert ranker("original", origin=origins((broken, whole))).rank([broken, whole]).entries[0] == whole


def test_a_chain_of_copies_is_in_the_order_of_their_making() -> None:
    files = [entry(f"/{number}.jpg", width=number) for number in range(1, 6)]
    pairs = list(pairwise(files))
    ranking = ranker(*DEFAULT_RULES, origin=origins(*pairs)).rank(list(reversed(files)))
    assert list(ranking.entries) == files


def test_a_file_without_evidence_keeps_its_place_by_the_other_rules() -> None:
    best, original, derived = entry("/best.jpg", width=500), entry("/a.jpg", width=300), entry("/b.jpg", width=900)
    ranking = ranker(*DEFAULT_RULES, origin=origins((original, derived))).rank([derived, original, best])
    assert ranking.entries == (best, original, derived)
    reason = ranking.reason(best, derived)
    assert (reason.rule, reason.sentence) == (
        "original", "the other was made from a.jpg, which this one comes before",
    )  # fmt: skip


def test_evidence_that_goes_in_a_circle_is_left_out() -> None:
    one, two, three = (entry(f"/{number}.jpg", width=number) for number in (1, 2, 3))
    ranking = ranker(*DEFAULT_RULES, origin=origins((one, two), (two, three), (three, one))).rank([one, two, three])
    assert ranking.entries == (three, two, one)


def identical(*names: str, **given: Any) -> list[IndexEntry]:
    return [entry(name, "same", **given) for name in names]


@pytest.mark.parametrize(
    ("stays", "goes"),
    [
        ("/p/beach.jpg", "/p/beach 2.jpg"),
        ("/p/a much longer name.jpg", "/p/beach copy.jpg"),
        ("/p/2019/summer/IMG_1.jpg", "/p/IMG_1 (1).jpg"),
        ("/Temp/p/2019/IMG_1.jpg", "/Temp/Backup/IMG_1.jpg"),
        ("/p/2019/long name.jpg", "/p/Downloads/x.jpg"),
        ("/p/a.jpg", "/p/ab.jpg"),
        ("/p/b.jpg", "/p/x/a.jpg"),
        ("/p/a.jpg", "/p/b.jpg"),
    ],
)
def test_of_identical_files_the_one_that_looks_like_the_first_stays(stays: str, goes: str) -> None:
    first, second = identical(stays, goes)
    ranking = ranker(*DEFAULT_RULES).rank([second, first])
    assert ranking.entries == (first, second)
    assert ranking.reason(first, second).sentence


def test_of_identical_files_the_older_stays_though_the_newer_is_preferred_otherwise() -> None:
    (old,), (new,) = identical("/b.jpg", mtime=1), identical("/a.jpg", mtime=2)
    ranking = ranker("newer-file-modification-date").rank([new, old])
    assert ranking.entries == (old, new)
    assert ranking.reason(old, new).rule == "older-file-modification-date"


def test_of_identical_files_a_protected_one_stays_and_then_one_of_a_preferred_folder() -> None:
    protected, preferred, plain = identical("/originals/x copy.jpg", "/p/x copy.jpg", "/x.jpg")
    ranking = ranker(*DEFAULT_RULES, "folder-order: /p").rank([plain, preferred, protected])
    assert ranking.entries == (protected, preferred, plain)
    assert ranking.reason(preferred, plain).rule == "folder-order"


def test_identical_files_may_have_a_folder_order_of_their_own() -> None:
    first, second = identical("/p/x.jpg", "/q/x.jpg")
    wanted = parse_identical_rules([{"folder-order": ["/q"]}])
    ranking = ranker("folder-order: /p", identical_rules=wanted).rank([first, second])
    assert ranking.entries == (second, first)


def test_of_identical_files_one_with_hard_links_stays() -> None:
    linked, single = identical("/p/x copy.jpg", "/p/x.jpg")
    ranking = ranker(*DEFAULT_RULES, is_linked=lambda raw: raw == b"/p/x copy.jpg").rank([single, linked])
    assert ranking.entries == (linked, single)
    assert ranking.reason(linked, single).rule == "hard-linked"


def test_a_content_is_represented_by_the_file_of_it_that_stays() -> None:
    better = identical("/p/x copy.jpg", "/p/x.jpg", width=4000)
    other = entry("/p/y.jpg", width=3000)
    ranking = ranker(*DEFAULT_RULES).rank([other, *better])
    assert paths(ranking.entries) == ["/p/x.jpg", "/p/x copy.jpg", "/p/y.jpg"]
    assert ranking.reason(better[1], other).rule == "higher-pixel-count"


def test_the_reason_for_a_copy_of_a_worse_content_is_about_the_contents() -> None:
    kept = entry("/p/x.jpg", mtime=5)
    (dated,), (fresh,) = identical("/p/y.jpg", mtime=1), identical("/p/z.jpg", mtime=9)
    ranking = ranker("newer-file-modification-date").rank([fresh, dated, kept])
    assert ranking.entries == (kept, dated, fresh)
    assert ranking.reason(kept, fresh).rule == "newer-file-modification-date"


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


def test_a_file_that_no_rule_prefers_is_better_by_the_comparison_in_full() -> None:
    small, large = entry("/a.jpg", width=300), entry("/b.jpg", width=400)
    ranking = ranker("higher-pixel-count").rank([small, large])
    assert ranking.reason(small, large).rule == "inspection"
