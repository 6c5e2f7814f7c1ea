from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.matching.groups import KeeperGroups, group_around_keepers, may_go
from py_image_dedup.model.match import Evidence, Match, MatchClass
from py_image_dedup.model.photo import IndexEntry
from tests.support.entries import entry

SIMILAR, IDENTICAL, PARTIAL = MatchClass.SIMILAR, MatchClass.IDENTICAL, MatchClass.PARTIAL


@dataclass(frozen=True)
class Table:
    """Files match as a table says."""

    classes: dict[frozenset[str], MatchClass]

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        return [
            Match(keeper, other, found)
            if (found := self.classes.get(frozenset({keeper.stat.path.name, other.stat.path.name})))
            else None
            for other in others
        ]


def cut(
    names: str, pairs: dict[str, MatchClass], *, protected: str = "", removable: frozenset[MatchClass] | None = None
) -> KeeperGroups:
    return group_around_keepers(
        [entry(f"/{name}") for name in names],
        Table({frozenset(pair): match_class for pair, match_class in pairs.items()}),
        removable=frozenset({SIMILAR, IDENTICAL}) if removable is None else removable,
        is_protected=lambda raw: raw[1:].decode() in protected,
    )


def names(groups: KeeperGroups) -> list[tuple[str, str]]:
    return [(s.keeper.stat.path.name, "".join(m.right.stat.path.name for m in s.matches)) for s in groups.groups]


def reported(groups: KeeperGroups) -> list[str]:
    return [match.left.stat.path.name + match.right.stat.path.name for match in groups.reported]


def test_what_matches_the_best_file_is_redundant() -> None:
    assert names(cut("abc", {"ab": SIMILAR, "ac": SIMILAR})) == [("a", "bc")]


def test_a_chain_does_not_remove_its_end() -> None:
    assert names(cut("abc", {"ab": SIMILAR, "bc": SIMILAR})) == [("a", "b")]


def test_the_rest_forms_a_star_of_its_own() -> None:
    groups = cut("abcd", {"ab": SIMILAR, "bc": SIMILAR, "cd": SIMILAR})
    assert names(groups) == [("a", "b"), ("c", "d")]
    assert groups.reported == ()


def test_protected_files_both_stay_and_are_reported() -> None:
    groups = cut("pqc", {"pq": SIMILAR, "pc": SIMILAR, "qc": SIMILAR}, protected="pq")
    assert names(groups) == [("p", "c")]
    assert reported(groups) == ["pq"]


def test_a_file_that_matches_the_second_protected_one_only_is_redundant_to_it() -> None:
    assert names(cut("pqc", {"pq": SIMILAR, "qc": SIMILAR}, protected="pq")) == [("q", "c")]


def test_a_group_of_protected_files_has_no_star() -> None:
    groups = cut("pqr", {"pq": IDENTICAL, "pr": IDENTICAL, "qr": IDENTICAL}, protected="pqr")
    assert groups.groups == ()
    assert reported(groups) == ["pq", "pr"]


def test_matches_of_a_class_that_is_never_removed_are_reported_once_a_file() -> None:
    groups = cut("abc", {"ab": PARTIAL, "ac": PARTIAL, "bc": PARTIAL})
    assert groups.groups == ()
    assert reported(groups) == ["ab", "ac"]


def test_a_redundant_file_is_not_reported() -> None:
    groups = cut("abc", {"ab": PARTIAL, "ac": PARTIAL, "bc": IDENTICAL})
    assert names(groups) == [("b", "c")]
    assert reported(groups) == ["ab"]


def test_with_fewer_removable_classes_the_removable_ones_are_still_found() -> None:
    pairs = {"ab": SIMILAR, "ac": SIMILAR, "bc": IDENTICAL}
    groups = cut("abc", pairs, removable=frozenset({IDENTICAL}))
    assert names(groups) == [("b", "c")]
    assert reported(groups) == ["ab"]


@pytest.mark.parametrize(
    ("whole", "part", "shares", "goes"),
    [
        ((4000, 3000), (2000, 1500), (0.25, 1.0), True),
        ((1000, 750), (2000, 1500), (0.25, 1.0), False),
        ((4000, 3000), (2000, 1500), (0.25, 0.8), False),
        ((4000, 3000), (4000, 3000), (1.0, 1.0), False),
    ],
    ids=["crop", "crop of more pixels", "overlap", "in doubt"],
)
def test_a_part_goes_only_where_its_keeper_has_all_of_it(
    whole: tuple[int, int], part: tuple[int, int], shares: tuple[float, float], goes: bool
) -> None:
    left, right = (entry(f"/{name}", width=w, height=h) for name, (w, h) in zip("ab", (whole, part), strict=True))
    seen = Evidence((), 30, 0.0, *shares)
    assert may_go(Match(left, right, PARTIAL, evidence=seen)) is goes
    assert may_go(Match(left, right, PARTIAL)) is False
    assert may_go(Match(left, right, SIMILAR, evidence=seen)) is True


def test_another_shot_is_no_part_that_may_go() -> None:
    noon = datetime(2024, 5, 1, 12, 0, 0)  # noqa: DTZ001 - camera time
    one = entry("/a", width=4000, height=3000, captured=noon)
    seen = Evidence((), 30, 0.0, 0.25, 1.0)
    for seconds in (0, 2):
        other = entry("/b", captured=noon + timedelta(seconds=seconds))
        assert may_go(Match(one, other, PARTIAL, evidence=seen)) is (seconds == 0)


FILES = "abcdefg"
PAIRS = st.dictionaries(
    st.sets(st.sampled_from(FILES), min_size=2, max_size=2).map(lambda pair: "".join(sorted(pair))),
    st.sampled_from([SIMILAR, IDENTICAL, PARTIAL]),
)


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.sets(st.sampled_from(FILES)).map("".join), st.permutations(FILES).map("".join))
def test_groups_are_disjoint_direct_and_leave_no_removable_match_between_files_that_stay(
    pairs: dict[str, MatchClass], protected: str, order: str
) -> None:
    order = "".join(sorted(order, key=lambda name: name not in protected))
    groups = cut(order, pairs, protected=protected)
    removed = [m.right.stat.path.name for s in groups.groups for m in s.matches]
    keepers = [s.keeper.stat.path.name for s in groups.groups]
    assert len({*removed, *keepers}) == len(removed) + len(keepers)
    assert not set(removed) & set(protected)
    for group in groups.groups:
        for match in group.matches:
            assert match.left is group.keeper
            pair = "".join(sorted(group.keeper.stat.path.name + match.right.stat.path.name))
            assert pairs[pair] in {SIMILAR, IDENTICAL}
            assert order.index(group.keeper.stat.path.name) < order.index(match.right.stat.path.name)
    staying = set(FILES) - set(removed)
    for pair, match_class in pairs.items():
        if set(pair) <= staying and not set(pair) <= set(protected):
            assert match_class is PARTIAL
    for match in groups.reported:
        assert {match.left.stat.path.name, match.right.stat.path.name} <= staying
