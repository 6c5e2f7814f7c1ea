from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.file import FileStat, Root
from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import ActionKind, Plan
from py_image_dedup.removal.plan import (
    ActionChoice,
    PlanError,
    RemovalOptions,
    check_plan,
    for_run,
    make_plan,
    reason_to_stay,
)
from py_image_dedup.scan.roots import Ownership

ROOTS = (Root(Path("/photos")), Root(Path("/photos/phone")), Root(Path("/backup")), Root(Path("/safe"), protected=True))

ONE_ROOT = (Root(Path("/photos")), Root(Path("/safe"), protected=True))


def entry(path: str, content: int = 1, inode: int | None = None) -> IndexEntry:
    stat = FileStat(Path(path), 100 + content, 5, 1, hash(path) & 0xFFFF_FFFF if inode is None else inode)
    return IndexEntry(stat, Versions(1, 1), content.to_bytes(32), PhotoFacts("JPEG", 4, 3))


def group(keeper: IndexEntry, *others: IndexEntry, match_class: MatchClass | None = None) -> RankedGroup:
    redundant = []
    for other in others:
        known = MatchClass.IDENTICAL if other.digest == keeper.digest else MatchClass.SIMILAR
        redundant.append(Redundant(Match(keeper, other, match_class or known), Reason("path", "a", "b")))
    return RankedGroup(keeper, tuple(redundant))


def plan(*groups: RankedGroup, roots: Sequence[Root] = ROOTS, **options: object) -> Plan:
    return make_plan("run", groups, roots, RemovalOptions(**options))  # type: ignore[arg-type]


def kinds(made: Plan) -> list[tuple[str, str, str | None]]:
    return [(str(one.source.path), one.kind.value, one.target and str(one.target)) for one in made.actions]


K = entry("/photos/k.jpg")
SAME, LIKE = entry("/photos/b/same.jpg"), entry("/photos/b/like.jpg", 2)


def test_auto_deletes_what_is_identical_and_quarantines_the_rest() -> None:
    assert kinds(plan(group(K, SAME, LIKE))) == [
        ("/photos/b/same.jpg", "delete", None),
        ("/photos/b/like.jpg", "quarantine", "/photos/.py-image-dedup-quarantine/run/b/like.jpg"),
    ]


def test_same_pixels_in_other_bytes_are_quarantined_too() -> None:
    (action,) = plan(group(K, LIKE, match_class=MatchClass.SAME_PIXELS)).actions
    assert action.kind is ActionKind.QUARANTINE


def test_auto_moves_with_the_path_below_the_root_if_there_is_a_target() -> None:
    assert kinds(plan(group(K, SAME, LIKE), roots=ONE_ROOT, target_directory=Path("/out"))) == [
        ("/photos/b/same.jpg", "move", "/out/b/same.jpg"),
        ("/photos/b/like.jpg", "move", "/out/b/like.jpg"),
    ]


def test_a_file_belongs_to_the_most_specific_root() -> None:
    (action,) = plan(group(K, entry("/photos/phone/in/x.jpg", 2))).actions
    assert action.root == Path("/photos/phone")
    assert action.target == Path("/photos/phone/.py-image-dedup-quarantine/run/in/x.jpg")


def test_files_of_several_roots_are_moved_below_the_names_of_their_roots() -> None:
    made = plan(
        group(K, entry("/photos/x/a.jpg"), entry("/backup/x/a.jpg"), entry("/photos/phone/x/a.jpg")),
        target_directory=Path("/out"),
    )
    assert [str(one.target) for one in made.actions] == [
        "/out/photos/x/a.jpg", "/out/backup/x/a.jpg", "/out/phone/x/a.jpg",
    ]  # fmt: skip


def test_roots_with_one_name_get_folders_of_their_own() -> None:
    made = make_plan(
        "run",
        [group(K, entry("/a/Pictures/x.jpg"), entry("/b/Pictures/x.jpg"), entry("/c/pictures/x.jpg"))],
        [Root(Path(path)) for path in ("/c/pictures", "/b/Pictures", "/a/Pictures", "/photos")],
        RemovalOptions(target_directory=Path("/out")),
    )
    assert [str(one.target) for one in made.actions] == [
        "/out/Pictures/x.jpg", "/out/Pictures (2)/x.jpg", "/out/pictures (3)/x.jpg",
    ]  # fmt: skip


def test_a_name_that_is_taken_gets_a_number() -> None:
    taken = {Path("/out/b/same.jpg"), Path("/out/b/same (2).jpg")}
    options = RemovalOptions(target_directory=Path("/out"))
    made = make_plan("run", [group(K, SAME)], ONE_ROOT, options, taken=taken.__contains__)
    assert made.actions[0].target == Path("/out/b/same (3).jpg")


def test_a_number_fits_into_the_longest_name() -> None:
    name = "ä" * 125 + ".jpg"
    options = RemovalOptions(target_directory=Path("/out"))
    taken = {Path("/out") / name}
    made = make_plan("run", [group(K, entry(f"/photos/{name}"))], ONE_ROOT, options, taken=taken.__contains__)
    second = made.actions[0].target
    assert second is not None
    assert len(second.name.encode("utf-8", "surrogateescape")) <= 255
    assert second.name.endswith(" (2).jpg")


def test_delete_by_name_deletes_what_is_not_identical_too() -> None:
    made = plan(group(K, SAME, LIKE), action=ActionChoice.DELETE, target_directory=Path("/out"))
    assert [one.kind for one in made.actions] == [ActionKind.DELETE, ActionKind.DELETE]


def test_only_what_is_identical_becomes_a_hard_link_and_the_rest_stays() -> None:
    assert kinds(plan(group(K, SAME, LIKE), action=ActionChoice.HARDLINK)) == [("/photos/b/same.jpg", "hardlink", None)]


def test_trash_has_no_target() -> None:
    assert kinds(plan(group(K, LIKE), action=ActionChoice.TRASH)) == [("/photos/b/like.jpg", "trash", None)]


def test_move_without_a_target_directory_is_refused() -> None:
    with pytest.raises(PlanError, match="duplicates_target_directory"):
        plan(group(K, SAME), action=ActionChoice.MOVE)


def test_classes_that_may_not_be_removed_give_no_action() -> None:
    made = plan(group(K, SAME, LIKE), remove_classes=frozenset({MatchClass.IDENTICAL}))
    assert [str(one.source.path) for one in made.actions] == ["/photos/b/same.jpg"]


def test_partial_matches_are_not_removed_by_default() -> None:
    assert plan(group(K, LIKE, match_class=MatchClass.PARTIAL)).actions == ()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/safe/x.jpg", "protected folder /safe"),
        ("/elsewhere/x.jpg", "under no root"),
        ("/photos/out/x.jpg", "target directory already"),
        ("/photos/.py-image-dedup-quarantine/old/x.jpg", "in quarantine already"),
    ],
)
def test_some_files_always_stay(path: str, words: str) -> None:
    ranked = group(K, entry(path, 2))
    options = RemovalOptions(target_directory=Path("/photos/out"))
    assert make_plan("run", [ranked], ROOTS, options).actions == ()
    reason = reason_to_stay(ranked, ranked.redundant[0], Ownership(ROOTS), options)
    assert reason is not None
    assert words in reason


def test_two_names_of_one_file_are_no_duplicates() -> None:
    assert plan(group(entry("/photos/a.jpg", inode=7), entry("/photos/b.jpg", inode=7))).actions == ()


def test_a_protected_file_may_be_the_keeper() -> None:
    made = plan(group(entry("/safe/k.jpg"), SAME))
    assert [str(one.keeper.path) for one in made.actions] == ["/safe/k.jpg"]
    assert made.protected == (Path("/safe"),)


def test_a_group_of_which_every_member_is_protected_has_no_action() -> None:
    assert plan(group(entry("/safe/a.jpg"), entry("/safe/b.jpg"), entry("/safe/c.jpg", 2))).actions == ()


def test_a_file_that_is_kept_in_one_group_and_redundant_in_another_is_refused() -> None:
    with pytest.raises(PlanError, match=r"keeper /photos/b/same\.jpg would be removed"):
        plan(group(K, SAME), group(SAME, LIKE))


def test_a_file_that_is_redundant_twice_is_refused() -> None:
    with pytest.raises(PlanError, match="source of two actions"):
        plan(group(K, SAME), group(entry("/photos/other.jpg"), SAME))


def test_a_target_directory_in_a_protected_folder_is_refused() -> None:
    with pytest.raises(PlanError, match="protected folder"):
        plan(group(K, SAME), target_directory=Path("/safe/out"))


def test_a_target_is_never_the_place_of_a_file_of_the_run() -> None:
    keeper = entry("/photos/out/b/same.jpg")
    made = plan(group(keeper, SAME), roots=ONE_ROOT, target_directory=Path("/photos/out"))
    assert made.actions[0].target == Path("/photos/out/b/same (2).jpg")


def test_two_actions_with_one_target_are_refused() -> None:
    made = plan(group(K, SAME, LIKE), target_directory=Path("/out"))
    doubled = tuple(replace(one, target=Path("/out/x")) for one in made.actions)
    with pytest.raises(PlanError, match="place of another file"):
        check_plan(replace(made, actions=doubled))


def test_the_same_groups_give_the_same_plan() -> None:
    groups = [group(K, SAME, LIKE), group(entry("/backup/z.jpg", 3), entry("/photos/phone/z.jpg", 3))]
    assert plan(*groups) == plan(*groups)


def test_a_plan_for_another_run_uses_a_quarantine_of_its_own() -> None:
    made = for_run(plan(group(K, SAME, LIKE)), "later")
    assert made.run == "later"
    assert made.actions[1].target == Path("/photos/.py-image-dedup-quarantine/later/b/like.jpg")
