from __future__ import annotations

import doctest
import os
import re
import shutil
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from py_image_dedup import api as deduplicator
from py_image_dedup.api import Deduplicator, Options, find_duplicates
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.events import Event, GroupFound, PhaseFinished, PhaseStarted, RunFinished, RunStarted
from py_image_dedup.model.failure import FailureReason, Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, RankedGroup
from py_image_dedup.model.plan import ActionKind, OutcomeStatus, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions
from py_image_dedup.removal.runs import RunLock, run_name
from py_image_dedup.removal.serialization import load_plan
from py_image_dedup.scan.selector import Selector
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.libraries import Library, flat, groups
from tests.support.pictures import picture, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def classes(result: RunResult) -> dict[str, str]:
    return {
        redundant.entry.stat.path.name: redundant.match.match_class.value
        for group in result.groups
        for redundant in group.redundant
    }


def test_identical_same_pixels_and_similar_files_are_found_with_the_class_that_is_surest(library: Library) -> None:
    original = library.add("a.png", 1)
    library.copy(original, "identical.png")
    library.add("pixels.bmp", 1)
    library.add("similar.jpg", 1, quality=70)
    library.add("another.jpg", 2)
    result = library.run()
    assert result.error is None
    assert len(result.groups) == 1
    names = classes(result)
    assert len(names) == 3
    assert "another.jpg" not in names
    keeper = result.groups[0].keeper.stat.path.name
    expected = {
        "a.png": "identical", "identical.png": "identical", "pixels.bmp": "same-pixels", "similar.jpg": "similar",
    }  # fmt: skip
    if keeper == "pixels.bmp":  # the biggest file: the two others have its pixels
        expected |= {"a.png": "same-pixels", "identical.png": "same-pixels"}
    assert names == {name: found for name, found in expected.items() if name != keeper}
    assert all(0 < r.match.distance <= 0.10 for g in result.groups for r in g.redundant
               if r.match.match_class is MatchClass.SIMILAR)  # fmt: skip


def test_a_dry_run_plans_and_changes_nothing(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    before = library.files()
    result = library.run()
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.PLANNED]
    assert result.dry_run
    assert library.files() == before
    assert [path.name for path in (library.state / "runs" / result.run).iterdir()] == ["plan.json"]


def test_a_real_run_removes_what_it_planned_and_forgets_it(library: Library) -> None:
    kept = library.add("a.png", 1)
    library.copy(kept, "b copy.png")
    library.add("c.jpg", 1, quality=60)
    result = library.run(dry_run=False)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE] * 2
    assert {name for name in library.files() if not name.startswith(".")} == {"a.png"}
    assert sum(name.startswith(".py-image-dedup-quarantine") for name in library.files()) == 1
    with SqliteStore(library.state / "index.sqlite3") as store:
        assert [entry.stat.path for entry in store.entries(None)] == [kept]
    again = library.run(dry_run=False)
    assert again.groups == ()
    assert again.files == 1


def test_the_phases_run_in_order_and_are_told(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    told: list[Event] = []
    result = library.run(observer=told.append)
    order = [
        Phase.COUNT,
        Phase.CLEANUP,
        Phase.ANALYSE,
        Phase.FIND,
        Phase.RANK,
        Phase.INSPECT,
        Phase.REMOVE,
        Phase.PRUNE,
    ]
    assert [summary.phase for summary in result.phases] == order
    assert [event.phase for event in told if isinstance(event, PhaseStarted)] == order
    assert [event.summary for event in told if isinstance(event, PhaseFinished)] == list(result.phases)
    assert [event.group for event in told if isinstance(event, GroupFound)] == list(result.groups)
    assert told[0] == RunStarted(result.run, dry_run=True)
    assert told[-1] == RunFinished(result)


def test_an_unchanged_library_is_not_read_again(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    first = library.run()
    second = library.run()
    assert second.phases[2].counts["analysed"] == second.phases[2].counts["bytes"] == 0
    assert second.phases[1].counts["unchanged"] == 2
    assert groups(second, library.photos) == groups(first, library.photos)
    assert second.run > first.run


def test_excluded_files_never_take_part_though_the_index_knows_them(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "private/b.jpg")
    assert len(library.run().groups) == 1
    narrowed = library.options(selector=Selector(frozenset({"jpg"}), (re.compile("/private/"),)))
    assert library.run(options=narrowed).groups == ()


def test_files_outside_the_roots_never_take_part(library: Library) -> None:
    library.copy(library.add("x/a.jpg", 1), "y/b.jpg")
    assert len(library.run().groups) == 1
    assert library.run(Root(library.photos / "x")).groups == ()


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope.ALL, {"x/a.jpg": ["y/a.jpg", "x/s/b.jpg", "x/s/c.jpg"]}),
        (Scope.ROOT, {"x/a.jpg": ["x/s/b.jpg", "x/s/c.jpg"]}),
        (Scope.FOLDER, {"x/s/b.jpg": ["x/s/c.jpg"]}),
    ],
)
def test_only_files_of_one_scope_match(library: Library, scope: Scope, expected: dict[str, list[str]]) -> None:
    first = library.add("x/a.jpg", 1)
    for name in ("x/s/b.jpg", "x/s/c.jpg", "y/a.jpg"):
        library.copy(first, name)
    roots = [Root(library.photos / "x"), Root(library.photos / "y")]
    result = library.run(*roots, options=library.options(scope=scope, rules=["shorter-folder-path"]))
    assert groups(result, library.photos) == expected


def test_scopes_keep_similar_files_apart_too(library: Library) -> None:
    library.add("x/a.jpg", 1)
    library.add("y/b.jpg", 1, quality=60)
    roots = [Root(library.photos / "x"), Root(library.photos / "y")]
    assert library.run(*roots, options=library.options(scope=Scope.ROOT)).groups == ()
    assert len(library.run(*roots, options=library.options(scope=Scope.ALL)).groups) == 1


def test_files_too_far_apart_in_time_are_no_duplicates(library: Library) -> None:
    first = library.add("a.jpg", 1, time=1000)
    library.copy(first, "b.jpg", time=1300)
    library.copy(first, "c.jpg", time=9000)
    result = library.run(options=library.options(time_diff=300))
    assert groups(result, library.photos) == {"a.jpg": ["b.jpg"]}
    assert library.run(options=library.options(time_diff=299)).groups == ()


def test_of_identical_files_one_that_has_a_name_elsewhere_stays(library: Library, tmp_path: Path) -> None:
    photo = library.add("a.jpg", 1)
    linked = library.copy(photo, "b copy.jpg")
    (tmp_path / "elsewhere.jpg").hardlink_to(linked)
    assert groups(library.run(), library.photos) == {"b copy.jpg": ["a.jpg"]}


def test_two_names_of_one_inode_are_no_duplicates(library: Library) -> None:
    os.link(library.add("a.jpg", 1), library.photos / "b.jpg")
    result = library.run()
    assert result.files == 1
    assert result.groups == ()


def test_a_file_reached_by_two_roots_is_not_its_own_duplicate(library: Library) -> None:
    library.add("x/a.jpg", 1)
    (library.state.parent / "link").symlink_to(library.photos / "x")
    result = library.run(Root(library.photos), Root(library.photos / "x"), Root(library.state.parent / "link"))
    assert result.files == 1
    assert result.groups == ()


def test_a_protected_file_is_the_keeper_and_never_goes(library: Library) -> None:
    better = library.add("camera/a.png", 1)
    library.add("originals/b.jpg", 1, quality=60)
    library.copy(better, "originals/c.png")
    before = library.files()
    roots = [Root(library.photos), Root(library.photos / "originals", protected=True)]
    result = library.run(*roots, dry_run=False, options=library.options(rules=["bigger-file-size"]))
    assert groups(result, library.photos) == {"originals/c.png": ["camera/a.png"]}
    assert [(m.left.stat.path.name, m.right.stat.path.name) for m in result.reported] == [("c.png", "b.jpg")]
    after = library.files()
    assert {name: after.get(name) for name in before if name.startswith("originals/")} == {
        name: content for name, content in before.items() if name.startswith("originals/")
    }
    assert "camera/a.png" not in after


def test_a_group_of_protected_files_is_reported_and_not_touched(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    result = library.run(Root(library.photos, protected=True), dry_run=False)
    assert result.groups == ()
    assert result.outcomes == ()
    assert len(result.reported) == 1
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]


def test_classes_that_may_not_be_removed_are_reported(library: Library) -> None:
    library.copy(library.add("a.png", 1), "b.png")
    library.add("c.jpg", 1, quality=60)
    removal = RemovalOptions(remove_classes=frozenset({MatchClass.IDENTICAL}))
    result = library.run(dry_run=False, options=library.options(removal=removal))
    assert classes(result) == {"b.png": "identical"}
    assert [match.match_class for match in result.reported] == [MatchClass.SIMILAR]
    assert sorted(library.files()) == ["a.png", "c.jpg"]


def test_flat_pictures_match_by_bytes_or_pixels_only(library: Library) -> None:
    white, black = flat((255, 255, 255)), flat((0, 0, 0))
    write(library.photos / "white.png", white)
    write(library.photos / "white.bmp", white)
    library.copy(library.photos / "white.png", "white2.png")
    write(library.photos / "black.png", black)
    write(library.photos / "larger.png", flat((255, 255, 255), (65, 48)))
    result = library.run()
    assert len(result.groups) == 1
    group = result.groups[0]
    together = {group.keeper.stat.path.name, *classes(result)}
    assert together == {"white.png", "white.bmp", "white2.png"}
    assert set(classes(result).values()) <= {"same-pixels", "identical"}


def test_pixels_are_compared_once_ever(library: Library) -> None:
    write(library.photos / "a.png", picture(1, 160, 120))
    write(library.photos / "b.bmp", picture(1, 160, 120))
    assert set(classes(library.run()).values()) == {"same-pixels"}
    for path in library.photos.iterdir():
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)  # unreadable now, and not to be read
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert set(classes(library.run()).values()) == {"same-pixels"}


def test_a_turned_copy_is_similar_and_says_how_it_is_turned(library: Library) -> None:
    write(library.photos / "a.png", picture(3, 256, 192))
    turned = picture(3, 256, 192).transpose(Image.Transpose.ROTATE_270)
    write(library.photos / "b.png", turned)
    result = library.run(options=library.options(rules=["longer-file-name"]))
    assert [r.match.orientation.label for g in result.groups for r in g.redundant] == ["rotate-90"]


def test_metadata_alone_makes_same_pixels(library: Library) -> None:
    exif = Image.Exif()
    exif[270] = "a title"
    library.add("a.jpg", 1)
    library.add("b.jpg", 1, exif=exif)
    result = library.run()
    assert classes(result) == {"a.jpg": "same-pixels"}
    assert result.groups[0].redundant[0].reason.rule == "more-exif-data"


def test_unreadable_pictures_are_listed_in_every_run(library: Library) -> None:
    library.add("a.jpg", 1)
    (library.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    for _ in range(2):
        result = library.run()
        assert [failure.path.name for failure in result.failures] == ["broken.jpg"]
        assert result.error is None


def test_empty_files_are_listed_and_no_duplicates_of_each_other(library: Library) -> None:
    for name in ("a.jpg", "b.jpg"):
        (library.photos / name).write_bytes(b"")
    for stale in (2, 0):
        result = library.run()
        assert result.groups == ()
        assert {failure.reason for failure in result.failures} == {FailureReason.EMPTY}
        assert result.phases[1].counts["stale"] == stale


def test_broken_copies_of_the_same_bytes_are_still_identical(library: Library) -> None:
    (library.photos / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    library.copy(library.photos / "a.jpg", "b.jpg")  # dated earlier than the first
    assert classes(library.run()) == {"a.jpg": "identical"}


def test_skipping_analysis_leaves_new_and_changed_files_out(library: Library) -> None:
    first = library.add("a.jpg", 1)
    library.copy(first, "b.jpg")
    library.run()
    library.copy(first, "c.jpg")
    (library.photos / "b.jpg").write_bytes(b"changed")
    result = library.run(skip_analyse=True)
    assert Phase.ANALYSE not in {summary.phase for summary in result.phases}
    assert result.groups == ()


def test_a_stopped_run_says_so_and_keeps_its_work(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    stopped = False

    def observe(event: Event) -> None:
        nonlocal stopped
        stopped = stopped or (isinstance(event, PhaseFinished) and event.summary.phase is Phase.ANALYSE)

    result = library.run(dry_run=False, observer=observe, should_stop=lambda: stopped)
    assert result.interrupted
    assert result.error is None
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]
    assert library.run().phases[2].counts["analysed"] == 0


@pytest.mark.parametrize("phase", [Phase.COUNT, Phase.CLEANUP, Phase.FIND, Phase.RANK])
def test_a_run_stopped_in_any_phase_removes_nothing(library: Library, phase: Phase) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    stopped = False

    def observe(event: Event) -> None:
        nonlocal stopped
        stopped = stopped or (isinstance(event, PhaseStarted) and event.phase is phase)

    result = library.run(dry_run=False, observer=observe, should_stop=lambda: stopped)
    assert result.interrupted
    assert result.outcomes == ()
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]


def test_the_user_is_asked_once_and_may_decline(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    asked: list[tuple[int, int]] = []

    def decline(plan: Plan, ranked: object) -> bool:
        assert isinstance(ranked, tuple)
        asked.append((len(plan.actions), len(ranked)))
        return False

    result = library.run(dry_run=False, confirm=decline)
    assert asked == [(1, 1)]
    assert result.dry_run
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.PLANNED]
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]
    assert not library.run(dry_run=False, confirm=lambda *_: True).dry_run
    assert sorted(library.files()) == ["a.jpg"]


def test_a_dry_run_does_not_ask(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")

    def never_asked(plan: Plan, ranked: object) -> bool:
        raise AssertionError((plan, ranked))

    assert library.run(confirm=never_asked).error is None


def test_moved_duplicates_below_a_root_are_not_found_again(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "sub/b.jpg")
    target = library.photos / "duplicates"
    options = library.options(removal=RemovalOptions(target_directory=target))
    assert len(library.run(dry_run=False, options=options).outcomes) == 1
    assert sorted(library.files()) == ["a.jpg", "duplicates/sub/b.jpg"]
    again = library.run(dry_run=False, options=options)
    assert again.files == 1
    assert again.groups == ()


def test_emptied_folders_go_if_asked_for(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "sub/b.jpg")
    result = library.run(dry_run=False, options=library.options(removal=RemovalOptions(prune=True)))
    assert result.pruned_folders == (library.photos / "sub",)
    assert not (library.photos / "sub").exists()


def test_the_quarantine_is_emptied_after_its_days(library: Library) -> None:
    library.add("a.png", 1)
    library.add("b.jpg", 1, quality=60)
    library.run(dry_run=False)
    assert len(library.files()) == 2
    library.run(dry_run=False, options=library.options(quarantine_days=None))
    assert len(library.files()) == 2
    shown = library.run(options=library.options(quarantine_days=0))
    assert len(library.files()) == 2, "a dry run deletes nothing"
    assert [(each.action.kind, each.status) for each in shown.outcomes] == [(ActionKind.EXPIRE, OutcomeStatus.PLANNED)]
    refused = library.run(dry_run=False, options=library.options(quarantine_days=0), confirm=lambda *_: False)
    assert len(library.files()) == 2, "what is refused is not deleted"
    assert refused.dry_run
    result = library.run(dry_run=False, options=library.options(quarantine_days=0))
    assert sorted(library.files()) == ["a.png"]
    assert result.phases[-2].counts["expired"] == 1


def test_what_waits_in_quarantine_and_lost_its_keeper_is_kept_and_reported(library: Library) -> None:
    kept = library.add("a.png", 1)
    library.add("b.jpg", 1, quality=60)
    library.run(dry_run=False)
    kept.unlink()
    result = library.run(dry_run=False, options=library.options(quarantine_days=0))
    assert result.outcomes == ()
    (one,) = result.kept_in_quarantine
    assert one.path.name == "b.jpg"
    assert "no other copy is known" in one.reason
    assert list(library.files()) == [str(one.path.relative_to(library.photos))]


def test_a_keeper_that_was_renamed_lets_the_quarantine_expire(library: Library) -> None:
    library.add("a.png", 1)
    library.add("b.jpg", 1, quality=60)
    library.run(dry_run=False)
    (library.photos / "a.png").rename(library.photos / "renamed.png")
    library.run(dry_run=False, options=library.options(quarantine_days=0))
    assert list(library.files()) == ["renamed.png"]


def test_a_file_that_changed_since_is_skipped_and_read_again_next_time(library: Library) -> None:
    first = library.add("a.jpg", 1)
    library.copy(first, "b.jpg")

    def change(plan: Plan, ranked: object) -> bool:
        status = plan.actions[0].source.path.stat()
        plan.actions[0].source.path.write_bytes(b"\0" * status.st_size)
        os.utime(plan.actions[0].source.path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return bool(ranked)

    result = library.run(dry_run=False, confirm=change)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.SKIPPED]
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]
    assert library.run().groups == ()


def test_a_root_that_is_not_there_is_a_failure_and_the_others_are_searched(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    result = library.run(Root(library.photos), Root(library.photos / "gone"))
    assert result.error is None
    assert len(result.groups) == 1
    assert [failure.reason for failure in result.failures] == [FailureReason.VANISHED]


def test_with_no_root_at_all_the_run_fails_in_words(library: Library) -> None:
    result = library.run(Root(library.photos / "gone"))
    assert result.error is not None
    assert "gone" in result.error


def test_an_unmounted_root_keeps_its_entries(library: Library) -> None:
    library.add("a.jpg", 1)
    library.run()
    away = library.photos.rename(library.photos.parent / "away")
    library.run()
    library.photos.mkdir()
    library.run()
    library.photos.rmdir()
    away.rename(library.photos)
    assert library.run().phases[2].counts["bytes"] == 0


def test_a_second_run_at_the_same_time_says_so_and_leaves(library: Library) -> None:
    library.add("a.jpg", 1)
    with RunLock(library.state):
        result = library.run()
    assert result.error is not None
    assert "another run" in result.error
    assert result.phases == ()


def test_a_failing_index_stops_the_run_before_anything_is_removed(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")

    class Failing(SqliteStore):
        def identical(self, under: object) -> object:  # type: ignore[override]
            raise StoreError("the index is damaged")

    with Failing(library.state / "index.sqlite3") as store, pytest.raises(StoreError, match="damaged"):
        Deduplicator(store, library.options()).deduplicate([Root(library.photos)], dry_run=False)
    assert sorted(library.files()) == ["a.jpg", "b.jpg"]


def test_an_index_that_fails_after_the_removal_does_not_hide_what_was_removed(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    removing = False

    class Failing(SqliteStore):
        def remove(self, paths: object) -> int:
            if removing:
                raise StoreError("the disk is full")
            return super().remove(paths)  # type: ignore[arg-type]

    def observe(event: Event) -> None:
        nonlocal removing
        removing = removing or (isinstance(event, PhaseStarted) and event.phase is Phase.REMOVE)

    with Failing(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, library.options(), observer=observe)
        result = work.deduplicate([Root(library.photos)], dry_run=False)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE]
    assert result.error is not None
    assert "disk is full" in result.error
    assert library.run().groups == ()


def test_a_real_run_needs_a_state_directory(library: Library) -> None:
    with SqliteStore(library.state / "index.sqlite3") as store, pytest.raises(ValueError, match="state directory"):
        Deduplicator(store, Options()).deduplicate([Root(library.photos)], dry_run=False)


def test_an_action_without_what_it_needs_is_an_error_in_words(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    options = library.options(removal=RemovalOptions(action=ActionChoice.MOVE))
    result = library.run(dry_run=False, options=options)
    assert result.error is not None
    assert "duplicates_target_directory" in result.error
    assert len(result.groups) == 1


def test_analysing_alone_fills_the_index_and_finds_nothing(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    with SqliteStore(library.state / "index.sqlite3") as store:
        result = Deduplicator(store, library.options()).analyse([Root(library.photos)])
        assert store.count(None) == 2
    assert result.groups == ()
    assert [summary.phase for summary in result.phases] == [Phase.COUNT, Phase.CLEANUP, Phase.ANALYSE]


def test_names_of_runs_sort_by_time_and_are_distinct(library: Library) -> None:
    library.add("a.jpg", 1)
    names = [library.run().run for _ in range(5)]
    assert names == sorted(set(names))
    assert (
        run_name(datetime(2024, 3, 31, 2, 59, 59, 123456, timezone(timedelta(hours=2)))) == "2024-03-31T00-59-59-123Z"
    )


def test_one_call_finds_the_duplicates_and_leaves_nothing_behind(library: Library) -> None:
    first = library.add("x/a.jpg", 1)
    library.copy(first, "y/b.jpg")
    library.copy(first, "y/z/c.jpg")
    x, y = library.photos / "x", library.photos / "y"
    assert groups(find_duplicates(x, str(y)), library.photos) == {"x/a.jpg": ["y/b.jpg", "y/z/c.jpg"]}
    assert groups(find_duplicates(x, y, recursive=False), library.photos) == {"x/a.jpg": ["y/b.jpg"]}
    guarded = find_duplicates(x, protected=[y])
    assert groups(guarded, library.photos) == {"y/b.jpg": ["x/a.jpg"]}
    assert len(guarded.reported) == 1
    assert not library.state.exists()
    assert len(library.files()) == 3


def test_one_call_with_a_state_directory_reads_files_once(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    find_duplicates(library.photos, state_directory=library.state)
    again = find_duplicates(library.photos, state_directory=library.state)
    assert again.phases[2].counts["bytes"] == 0
    assert len(again.groups) == 1


def test_the_examples_in_the_documentation_run(library: Library) -> None:
    library.copy(library.add("beach.jpg", 1), "beach copy.jpg")
    library.add("other.jpg", 2)
    names = {"pictures": library.photos, "state": library.state}
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(deduplicator, "deduplicator", extraglobs=names)
    outcome = doctest.DocTestRunner(verbose=False).run(example)
    assert outcome.attempted > 5
    assert outcome.failed == 0


def test_a_name_that_is_not_utf8_goes_through_every_phase(library: Library) -> None:
    first = library.add("a.jpg", 1)
    odd = Path(os.fsdecode(os.fsencode(library.photos) + b"/\xff copy.jpg"))
    shutil.copyfile(first, odd)
    result = library.run(dry_run=False)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE]
    assert len(library.files()) == 1


def test_groups_hold_no_local_features(library: Library) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")

    def has_features(group: RankedGroup) -> bool:
        return any(entry.features for entry in (group.keeper, *(r.entry for r in group.redundant)))

    assert not any(map(has_features, library.run().groups))


def test_the_public_names_are_at_the_root_of_the_package() -> None:
    import py_image_dedup

    assert set(py_image_dedup.__all__) <= set(dir(py_image_dedup))
    assert py_image_dedup.Deduplicator is Deduplicator
    assert [getattr(py_image_dedup, name).__name__ for name in py_image_dedup.__all__] == py_image_dedup.__all__
    with pytest.raises(AttributeError, match="no attribute 'Persistence'"):
        py_image_dedup.Persistence  # noqa: B018 - the access is the test


def test_a_saved_plan_is_applied_and_undone(library: Library) -> None:
    kept = library.add("a.jpg", 1, quality=95)
    library.add("b.jpg", 1, quality=60)
    library.copy(kept, "c.jpg")
    before = library.files()
    planned = library.run()
    plan = load_plan(library.state / "runs" / planned.run / "plan.json")
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, library.options())
        applied = work.apply(plan)
        assert [str(outcome.status) for outcome in applied.outcomes] == ["done", "done"]
        assert [entry.stat.path for entry in store.entries(None)] == [kept]
        undone = work.undo(applied.run)
    assert {str(outcome.status) for outcome in undone} == {"done"}
    assert library.files() == before


def test_a_plan_is_not_applied_where_the_keeper_lacks_something(library: Library) -> None:
    kept = library.add("a.png", 1)
    shown = library.photos / "b.png"
    image = Image.open(kept).convert("RGB")
    ImageDraw.Draw(image).rectangle((40, 40, 70, 60), fill="black")
    image.save(shown)
    planned = library.run(options=replace(library.options(max_distance=0.35), inspect=False))
    plan = load_plan(library.state / "runs" / planned.run / "plan.json")
    assert len(plan.actions) == 1
    with SqliteStore(library.state / "index.sqlite3") as store:
        applied = Deduplicator(store, library.options(max_distance=0.35)).apply(plan)
    (outcome,) = applied.outcomes
    assert outcome.status is OutcomeStatus.SKIPPED
    assert outcome.message
    assert [summary.phase for summary in applied.phases] == [Phase.INSPECT, Phase.REMOVE, Phase.PRUNE]
    assert applied.phases[0].counts == {"compared": 1}
    assert kept.exists()
    assert shown.exists()


def test_an_applied_plan_is_reported_though_the_index_cannot_be_updated(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.copy(library.add("a.jpg", 1), "b.jpg")
    plan = load_plan(library.state / "runs" / library.run().run / "plan.json")

    def fail(store: SqliteStore, paths: object) -> None:
        raise StoreError("the disk is full")

    with SqliteStore(library.state / "index.sqlite3") as store:
        monkeypatch.setattr(SqliteStore, "remove", fail)
        result = Deduplicator(store, library.options()).apply(plan)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE]
    assert [summary.phase for summary in result.phases] == [Phase.REMOVE, Phase.PRUNE]
    assert result.error is not None
    assert "the disk is full" in result.error
