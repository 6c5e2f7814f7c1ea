from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.match.pairing import Pairing, Scope, scope_key
from py_image_dedup.match.relation import DistanceRelation
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.model.photo import Signature
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.distance import distance
from py_image_dedup.signature.orientation import turn
from tests.entries import entry, signature

ANY = Pairing()


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
    found = DistanceRelation(0.1, ANY).matches(keeper, others)
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
    (match,) = DistanceRelation(1.0, ANY).matches(one, [other])
    assert match is not None
    assert DistanceRelation(match.distance, ANY).matches(one, [other])[0] is not None
    assert DistanceRelation(match.distance - 1e-9, ANY).matches(one, [other])[0] is None


def test_the_orientation_turns_the_keeper_into_the_other() -> None:
    values = np.frombuffer(signature(1).values, dtype=np.int8)
    turned = entry("/t.jpg", signed=Signature(turn(values, Orientation.ROTATE_90).tobytes()))
    (match,) = DistanceRelation(0.1, ANY).matches(entry("/k.jpg", signed=signature(1)), [turned])
    assert match is not None
    assert match.orientation is Orientation.ROTATE_90


def test_missing_digests_are_not_equal_digests() -> None:
    one, other = entry("/a.jpg"), entry("/b.jpg")
    assert DistanceRelation(0.1, ANY).matches(one, [other]) == [None]


def test_two_names_of_one_inode_do_not_match() -> None:
    one, other = entry("/a.jpg", "x", inode=7), entry("/b.jpg", "x", inode=7)
    assert DistanceRelation(0.1, ANY).matches(one, [other]) == [None]


@pytest.mark.parametrize(("gap", "matched"), [(None, True), (60, True), (59, False)])
def test_files_too_far_apart_in_time_do_not_match(gap: int | None, matched: bool) -> None:
    one, other = entry("/a.jpg", "x", mtime=1000), entry("/b.jpg", "x", mtime=1060)
    pairing = Pairing(None if gap is None else gap * 1_000_000_000)
    for keeper, file in ((one, other), (other, one)):
        assert (DistanceRelation(0.1, pairing).matches(keeper, [file])[0] is not None) is matched


def test_a_scope_is_all_or_a_root_or_a_folder() -> None:
    ownership = Ownership([Root(Path("/p")), Root(Path("/p/q"))])
    paths = [b"/p/a.jpg", b"/p/b/a.jpg", b"/p/b/c.jpg", b"/p/q/a.jpg"]
    keys = {scope: [scope_key(scope, ownership)(path) for path in paths] for scope in Scope}
    assert len(set(keys[Scope.ALL])) == 1
    assert keys[Scope.ROOT] == [Path("/p"), Path("/p"), Path("/p"), Path("/p/q")]
    assert keys[Scope.FOLDER] == [b"/p", b"/p/b", b"/p/b", b"/p/q"]
