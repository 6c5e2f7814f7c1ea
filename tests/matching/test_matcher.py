from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.matching.criteria import Scope
from py_image_dedup.matching.matcher import DistanceMatcher, Eligibility, VerifiedMatcher, scope_key
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import Evidence, Match, MatchClass, Orientation, PairVerdict, Verdict
from py_image_dedup.model.photo import IndexEntry, Signature
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.orientation import orient_signature
from tests.support.entries import entry, signature
from tests.support.signatures import distance

ANY = Eligibility()


def test_each_other_gets_its_match_of_the_surest_class_or_none() -> None:
    keeper = entry("/k.jpg", "x", signed=signature(1), pixel_digest=b"p")
    others = [
        entry("/identical.jpg", "x", signed=signature(1), pixel_digest=b"p"),
        entry("/pixels.png", "y", signed=signature(1), pixel_digest=b"p"),
        entry("/similar.jpg", "z", signed=signature(1, change=5)),
        entry("/stranger.jpg", "q", signed=signature(2)),
        entry("/flat.jpg", "r"),
        entry("/copy-of-similar.jpg", "z", signed=signature(1, change=5)),
    ]
    found = DistanceMatcher(0.1, ANY).matches(keeper, others)
    assert [match.match_class if match else None for match in found] == [
        MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR, None, None, MatchClass.SIMILAR,
    ]  # fmt: skip
    assert all(match.left is keeper and match.right is other for match, other in zip(found, others, strict=True)
               if match)  # fmt: skip
    near = np.frombuffer(signature(1, change=5).values, dtype=np.int8)
    expected = distance(np.frombuffer(signature(1).values, dtype=np.int8), near)
    assert found[2] is not None
    assert found[2].distance == expected > 0
    assert found[0] is not None
    assert found[0].distance == 0


def test_the_bound_belongs_to_the_match() -> None:
    one, other = entry("/a.jpg", signed=signature(1)), entry("/b.jpg", signed=signature(1, change=9))
    (match,) = DistanceMatcher(1.0, ANY).matches(one, [other])
    assert match is not None
    assert DistanceMatcher(match.distance, ANY).matches(one, [other])[0] is not None
    assert DistanceMatcher(match.distance - 1e-9, ANY).matches(one, [other])[0] is None


def test_the_orientation_turns_the_keeper_into_the_other() -> None:
    values = np.frombuffer(signature(1).values, dtype=np.int8)
    turned = entry("/t.jpg", signed=Signature(orient_signature(values, Orientation.ROTATE_90).tobytes()))
    (match,) = DistanceMatcher(0.1, ANY).matches(entry("/k.jpg", signed=signature(1)), [turned])
    assert match is not None
    assert match.orientation is Orientation.ROTATE_90


def test_missing_digests_are_not_equal_digests() -> None:
    one, other = entry("/a.jpg"), entry("/b.jpg")
    assert DistanceMatcher(0.1, ANY).matches(one, [other]) == [None]


def test_two_names_of_one_inode_do_not_match() -> None:
    one, other = entry("/a.jpg", "x", inode=7), entry("/b.jpg", "x", inode=7)
    assert DistanceMatcher(0.1, ANY).matches(one, [other]) == [None]


@pytest.mark.parametrize(("gap", "matched"), [(None, True), (60, True), (59, False)])
def test_files_too_far_apart_in_time_do_not_match(gap: int | None, matched: bool) -> None:
    one, other = entry("/a.jpg", "x", mtime=1000), entry("/b.jpg", "x", mtime=1060)
    eligibility = Eligibility(None if gap is None else gap * 1_000_000_000)
    for keeper, file in ((one, other), (other, one)):
        assert (DistanceMatcher(0.1, eligibility).matches(keeper, [file])[0] is not None) is matched


def test_a_scope_is_all_or_a_root_or_a_folder() -> None:
    ownership = Ownership([Root(Path("/p")), Root(Path("/p/q"))])
    paths = [b"/p/a.jpg", b"/p/b/a.jpg", b"/p/b/c.jpg", b"/p/q/a.jpg"]
    keys = {scope: [scope_key(scope, ownership)(path) for path in paths] for scope in Scope}
    assert len(set(keys[Scope.ALL])) == 1
    assert keys[Scope.ROOT] == [Path("/p"), Path("/p"), Path("/p"), Path("/p/q")]
    assert keys[Scope.FOLDER] == [b"/p", b"/p/b", b"/p/b", b"/p/q"]


class Proving:
    """Proves pairs by a table, and remembers what it was asked."""

    def __init__(self, *similar: tuple[int, int]) -> None:
        self.similar = set(similar)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, pairs: Sequence[tuple[int, int]]) -> list[PairVerdict]:
        self.asked += pairs
        return [PairVerdict(*pair, Verdict(SIMILAR) if set(pair) in map(set, self.similar) else None) for pair in pairs]


def verified(proofs: Sequence[PairVerdict], proving: Proving, *, with_partial: bool = False) -> VerifiedMatcher:
    numbers = {file.digest: number for number, file in enumerate(FILES) if file.digest is not None}
    return VerifiedMatcher(Eligibility(), numbers, proofs, proving, with_partial=with_partial)


FILES = [entry(f"/a/{number}.jpg", signed=signature(number)) for number in range(5)]
SIMILAR = MatchClass.SIMILAR
PART = Evidence(("crop: 40 % of the keeper",), 9, 0.0, 0.4, 1.0, ("shows 40 % of the keeper",))


def classes(matches: Sequence[Match | None]) -> list[MatchClass | None]:
    return [match and match.match_class for match in matches]


def test_nothing_is_verified_where_no_chain_of_matches_leads() -> None:
    proving = Proving()
    matcher = verified([PairVerdict(0, 1, Verdict(SIMILAR)), PairVerdict(2, 3, Verdict(SIMILAR))], proving)
    assert classes(matcher.matches(FILES[0], FILES[1:])) == [SIMILAR, None, None, None]
    assert proving.asked == []


def test_the_ends_of_a_chain_are_verified_once_and_match_only_if_they_are_copies() -> None:
    proving = Proving((0, 2))
    matcher = verified(
        [
            PairVerdict(0, 1, Verdict(SIMILAR)),
            PairVerdict(1, 2, Verdict(SIMILAR)),
            PairVerdict(2, 3, Verdict(SIMILAR)),
            PairVerdict(3, 4, Verdict(SIMILAR)),
        ],
        proving,
    )
    for _ in range(2):
        assert classes(matcher.matches(FILES[0], FILES[1:])) == [SIMILAR, SIMILAR, None, None]
    assert proving.asked == [(0, 2), (0, 3)]


def test_a_match_told_from_the_other_side_is_turned_round() -> None:
    seen = Evidence(("rotated 90°",), 9, 0.0, 0.9, 1.0, ("rotated 270°",))
    matcher = verified([PairVerdict(0, 1, Verdict(SIMILAR, Orientation.ROTATE_90, seen))], Proving())
    (there,), (back,) = matcher.matches(FILES[0], FILES[1:2]), matcher.matches(FILES[1], FILES[:1])
    assert there is not None
    assert back is not None
    assert (there.orientation, back.orientation) == (Orientation.ROTATE_90, Orientation.ROTATE_270)
    assert (there.evidence, back.evidence) == (seen, seen.reversed())
    assert back.evidence is not None
    assert (back.evidence.words, back.evidence.coverage_left) == (("rotated 270°",), 1.0)


def test_a_part_matches_only_if_asked_for_and_never_takes_its_whole_away() -> None:
    proof = PairVerdict(0, 1, Verdict(MatchClass.PARTIAL, evidence=PART))
    assert classes(verified([proof], Proving()).matches(FILES[0], FILES[1:2])) == [None]
    matcher = verified([proof], Proving(), with_partial=True)
    assert classes(matcher.matches(FILES[0], FILES[1:2])) == [MatchClass.PARTIAL]
    assert classes(matcher.matches(FILES[1], FILES[:1])) == [None]
    assert matcher.dominated(FILES) == {FILES[1].stat.raw_path}
    assert verified([proof], Proving()).dominated(FILES) == frozenset()


def check_that_it_is_lesser_only_if_it_is_small(made: Evidence, small: tuple[int, int], large: tuple[int, int]) -> None:
    """A picture that something was made of: less than the plain one, unless it has so many more pixels."""
    plain = replace_pixels(FILES[0], 400, 300)
    for copy, worse in ((replace_pixels(FILES[1], *small), True), (replace_pixels(FILES[1], *large), False)):
        for proof in (
            PairVerdict(0, 1, Verdict(SIMILAR, evidence=made)),
            PairVerdict(1, 0, Verdict(SIMILAR, evidence=made.reversed())),
        ):
            found = verified([proof], Proving()).dominated([copy, plain])
            assert found == ({copy.stat.raw_path} if worse else frozenset())


def test_what_was_drawn_over_is_not_kept_unless_it_has_more_pixels() -> None:
    drawn_over = Evidence(("small changes inside",), 60, 0.1, right_is_drawn_over=True)
    check_that_it_is_lesser_only_if_it_is_small(drawn_over, (400, 300), (800, 600))


def test_a_border_makes_no_picture_better_than_what_it_frames() -> None:
    framed = Evidence(("with a border",), 9, 0.0, 1.0, 0.7, ("without the keeper's border",))
    check_that_it_is_lesser_only_if_it_is_small(framed, (478, 358), (4000, 3000))


def test_two_shots_of_one_scene_are_partial_however_alike_they_are() -> None:
    noon = datetime(2024, 5, 1, 12, 0, 0)  # noqa: DTZ001 - camera time
    one, next_one = taken(FILES[0], noon), taken(FILES[1], noon.replace(microsecond=400_000) + timedelta(seconds=3))
    seen = Evidence(("rotated 90°",), 50, words_reversed=("rotated 270°",))
    matcher = verified([PairVerdict(0, 1, Verdict(SIMILAR, evidence=seen))], Proving())
    (match,) = matcher.matches(one, [next_one])
    assert match is not None
    assert match.match_class is MatchClass.PARTIAL
    assert match.evidence is not None
    assert match.evidence.words == ("rotated 90°", "taken 3 s apart")
    # A copy keeps the moment, and one without it says nothing.
    for other in (taken(FILES[1], noon), FILES[1]):
        assert classes(matcher.matches(one, [other])) == [SIMILAR]


def taken(file: IndexEntry, moment: datetime) -> IndexEntry:
    assert file.facts is not None
    return replace(file, facts=replace(file.facts, captured=moment))


def replace_pixels(file: IndexEntry, width: int, height: int) -> IndexEntry:
    assert file.facts is not None
    return replace(file, facts=replace(file.facts, width=width, height=height))


def test_sides_dimensions_orientation_and_distance_are_conditions_of_a_match() -> None:
    small, large = entry("/in/a.jpg", width=40), entry("/original/b.jpg", width=400)
    sides = Eligibility(side=lambda path: path.startswith(b"/original"))
    assert sides.allows(small, large)
    assert not sides.allows(small, entry("/in/c.jpg"))
    assert not sides.allows(large, entry("/original/c.jpg"))
    assert not Eligibility(same_dimensions=True).allows(small, large)
    assert Eligibility(same_dimensions=True).allows(large, entry("/c.jpg", width=400))
    turned = Match(small, large, SIMILAR, 0.08, Orientation.ROTATE_90)
    assert Eligibility().accepts(turned)
    assert not Eligibility(upright=True).accepts(turned)
    assert [Eligibility(max_distance=bound).accepts(turned) for bound in (0.0, 0.07, 0.08)] == [False, False, True]
    equal = Match(small, large, SIMILAR, 0.0)
    assert not Eligibility(max_distance=0.0).accepts(equal)
    assert Eligibility(max_distance=0.0).accepts(Match(small, large, MatchClass.SAME_PIXELS))


def test_a_rotated_copy_does_not_match_upright_and_a_symmetric_one_does() -> None:
    one, other = entry("/a.jpg", signed=signature(1)), entry("/b.jpg", signed=signature(1, change=3))
    upright = DistanceMatcher(0.3, Eligibility(upright=True))
    (found,) = upright.matches(one, [other])
    assert found is not None
    assert found.orientation is Orientation.UPRIGHT
    assert found.distance == DistanceMatcher(0.3, ANY).matches(one, [other])[0].distance  # type: ignore[union-attr]
