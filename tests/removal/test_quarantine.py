"""What waited long enough is deleted by the plan, and only if everything in it still is somewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus, Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.filesystem import digest_of
from py_image_dedup.removal.journal import State, Step, no_step, read_history
from py_image_dedup.removal.plan import PlanError, check_plan
from py_image_dedup.removal.quarantine import (
    MANIFEST_NAME,
    CopiesInIndex,
    Expiry,
    adopt,
    list_quarantine,
    no_copies,
    plan_expiry,
    read_manifest,
    tidy_quarantines,
)
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import RUN, group, in_days, plan, put, snapshot

BEST, LIKE = b"the best one" * 20, b"a smaller one" * 9


class Library:
    def __init__(self, folder: Path) -> None:
        self.root, self.runs = folder / "photos", folder / "runs"
        self.keeper = put(self.root / "a" / "keeper.jpg", BEST)
        self.like = put(self.root / "b" / "like.jpg", LIKE)
        self.before = snapshot(self.root)
        made = plan([self.root], [group(self.keeper, self.like)])
        self.run = self.runs / made.run
        (outcome,) = execute(made, self.run)
        assert outcome.target is not None
        self.waits: Path = outcome.target
        self.quarantine = self.root / ".py-image-dedup-quarantine"
        self.count = 0

    def plan(self, days: float, base: Plan | None = None, copies_in_index: CopiesInIndex = no_copies) -> Expiry:
        self.count += 1
        base = base or Plan(f"expiry-{self.count}", (self.root,), ())
        waiting = list_quarantine(base.roots, self.runs)
        return plan_expiry(base, waiting, self.runs, timedelta(days=30), in_days(days), copies_in_index=copies_in_index)

    def execute(self, made: Plan, step: Step = no_step) -> tuple[Outcome, ...]:
        return execute(made, self.runs / made.run, step=step)

    def expire(self, days: float) -> list[tuple[str, str]]:
        return [(one.status.value, one.message) for one in self.execute(self.plan(days).plan)]


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_what_waited_long_enough_is_deleted_and_its_folders_go(lib: Library) -> None:
    assert lib.expire(31) == [("done", "")]
    assert not lib.quarantine.exists()
    assert lib.keeper.read_bytes() == BEST
    assert lib.expire(32) == []


def test_what_will_be_deleted_is_in_the_plan_with_its_keeper_and_where_it_came_from(lib: Library) -> None:
    (action,) = lib.plan(31).plan.actions
    assert (action.kind, action.source.path, action.keeper.path) == (ActionKind.EXPIRE, lib.waits, lib.keeper)
    assert action.quarantined is not None
    assert (action.quarantined.run, action.quarantined.path) == (RUN, lib.like)
    assert lib.waits.read_bytes() == LIKE, "planning does nothing"


def test_what_did_not_wait_long_enough_waits(lib: Library) -> None:
    assert lib.expire(29.9) == []
    assert lib.waits.read_bytes() == LIKE


def test_an_undo_after_the_wait_says_what_happened(lib: Library) -> None:
    lib.expire(31)
    for _ in range(2):
        (undone,) = undo(lib.run)
        assert undone.status is OutcomeStatus.FAILED
        assert "deleted from the quarantine when its time was over" in undone.message


def test_an_undo_of_the_run_that_deleted_says_that_it_is_for_ever(lib: Library) -> None:
    made = lib.plan(31).plan
    lib.execute(made)
    (undone,) = undo(lib.runs / made.run)
    assert undone.status is OutcomeStatus.SKIPPED
    assert "permanently deleted from the quarantine" in undone.message


def test_what_has_no_record_stays(lib: Library) -> None:
    beside = put(lib.waits.with_name("of-somebody-else.jpg"), b"not ours")
    other = put(lib.quarantine / "unknown-run" / "x.jpg", b"not ours either")
    assert lib.expire(1000) == [("done", "")]
    assert beside.exists()
    assert other.exists()


def test_what_was_changed_in_quarantine_stays_and_is_reported(lib: Library) -> None:
    lib.waits.chmod(0o600)
    lib.waits.write_bytes(b"edited")
    expiry = lib.plan(31)
    assert expiry.plan.actions == ()
    ((path, reason),) = [(one.path, one.reason) for one in expiry.kept]
    assert path == lib.waits
    assert "was changed" in reason


def test_what_is_changed_after_the_plan_was_made_is_skipped(lib: Library) -> None:
    made = lib.plan(31).plan
    lib.waits.write_bytes(b"edited")
    assert [one.status for one in lib.execute(made)] == [OutcomeStatus.SKIPPED]
    assert lib.waits.read_bytes() == b"edited"


@pytest.mark.parametrize("how", ["gone", "edited"])
def test_what_lost_its_keeper_stays_and_can_still_be_undone(lib: Library, how: str) -> None:
    if how == "gone":
        lib.keeper.unlink()
    else:
        lib.keeper.write_bytes(b"another picture")
    expiry = lib.plan(31)
    assert expiry.plan.actions == ()
    assert ["its keeper" in one.reason for one in expiry.kept] == [True]
    (undone,) = undo(lib.run)
    assert undone.status is OutcomeStatus.DONE
    assert lib.like.read_bytes() == LIKE


@pytest.mark.parametrize("how", ["gone", "edited in place"])
def test_what_loses_its_keeper_after_the_plan_was_made_is_skipped(lib: Library, how: str) -> None:
    made = lib.plan(31).plan
    if how == "gone":
        lib.keeper.unlink()
    else:
        put(lib.keeper, b"T" + BEST[1:])
    assert [one.status for one in lib.execute(made)] == [OutcomeStatus.SKIPPED]
    assert lib.waits.read_bytes() == LIKE
    assert undo(lib.run)[0].status is OutcomeStatus.DONE


def test_a_keeper_that_was_touched_is_still_the_keeper(lib: Library) -> None:
    put(lib.keeper, BEST, mtime_ns=99)
    assert lib.expire(31) == [("done", "")]


def test_a_keeper_that_was_moved_is_found_by_the_index(lib: Library) -> None:
    moved = lib.keeper.rename(lib.root / "renamed.jpg")
    with moved.open("rb") as stream:
        digest = digest_of(stream.fileno())
    assert lib.plan(31).plan.actions == ()
    expiry = lib.plan(31, copies_in_index=lambda wanted: [moved] if wanted == digest else [])
    assert [action.keeper.path for action in expiry.plan.actions] == [moved]
    assert [one.status for one in lib.execute(expiry.plan)] == [OutcomeStatus.DONE]


def test_a_copy_of_the_file_itself_counts_where_the_keeper_is_gone(lib: Library) -> None:
    lib.keeper.unlink()
    shutil.copy2(lib.waits, lib.like)
    expiry = lib.plan(31)
    assert [action.keeper.path for action in expiry.plan.actions] == [lib.like]
    assert [one.status for one in lib.execute(expiry.plan)] == [OutcomeStatus.DONE]
    assert lib.like.read_bytes() == LIKE


def test_a_keeper_that_a_later_run_deleted_for_an_identical_one_counts(lib: Library) -> None:
    better = put(lib.root / "z" / "keeper.jpg", BEST)
    later = plan([lib.root], [group(better, lib.keeper)])
    execute(replace(later, run="later"), lib.runs / "later")
    assert not lib.keeper.exists()
    assert lib.expire(31) == [("done", "")]


def test_a_keeper_that_the_same_plan_removes_does_not_count(lib: Library) -> None:
    better = put(lib.root / "z" / "better.jpg", b"better still" * 40)
    removing = replace(plan([lib.root], [group(better, lib.keeper)]), run="later")
    expiry = lib.plan(31, removing)
    assert expiry.plan == removing
    assert [one.path for one in expiry.kept] == [lib.waits]


def test_an_identical_keeper_of_the_same_plan_takes_the_place_of_one_that_it_removes(lib: Library) -> None:
    better = put(lib.root / "z" / "keeper.jpg", BEST)
    removing = replace(plan([lib.root], [group(better, lib.keeper)]), run="later")
    expiry = lib.plan(31, removing)
    assert [(action.number, action.keeper.path) for action in expiry.plan.actions] == [(1, better), (2, better)]
    assert {one.status for one in lib.execute(expiry.plan)} == {OutcomeStatus.DONE}


def test_a_keeper_that_waits_in_quarantine_itself_does_not_count(lib: Library) -> None:
    better = put(lib.root / "z" / "better.jpg", b"better still" * 40)
    later = replace(plan([lib.root], [group(better, lib.keeper)]), run="later")
    execute(later, lib.runs / "later")
    expiry = lib.plan(31)
    kept = [one.path for one in expiry.kept]
    assert lib.waits in kept
    assert lib.waits.read_bytes() == LIKE


def test_what_was_undone_is_not_deleted(lib: Library) -> None:
    undo(lib.run)
    assert lib.expire(31) == []
    assert snapshot(lib.root) == lib.before


def test_the_quarantine_of_another_root_is_left_alone(lib: Library, tmp_path: Path) -> None:
    assert lib.plan(99, Plan("x", (tmp_path / "elsewhere",), ())).plan.actions == ()
    assert lib.waits.exists()


def broken(made: Plan, **changes: object) -> Plan:
    return replace(made, actions=(replace(made.actions[0], **changes),))  # type: ignore[arg-type]


def test_a_plan_that_deletes_anything_but_a_quarantined_file_for_good_is_refused(lib: Library) -> None:
    made = lib.plan(31).plan
    (action,) = made.actions
    with pytest.raises(PlanError, match="not in the quarantine"):
        check_plan(broken(made, source=replace(action.source, path=lib.root / "x.jpg")))
    with pytest.raises(PlanError, match="in quarantine itself"):
        check_plan(broken(made, keeper=replace(action.keeper, path=lib.waits.with_name("y.jpg"))))
    with pytest.raises(PlanError, match="how it came into quarantine"):
        check_plan(broken(made, quarantined=None))
    with pytest.raises(PlanError, match="group 0"):
        check_plan(broken(made, group=1))


def test_a_killed_deletion_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(1, 50):
        lib = Library(tmp_path / str(number))
        made = lib.plan(31).plan
        if not killed_at(number, lambda step, lib=lib, made=made: lib.execute(made, step)):
            break
        recover(lib.runs / made.run)
        assert read_history(lib.runs / made.run).unfinished == ()
        (outcome,) = lib.execute(made)
        assert outcome.status is OutcomeStatus.DONE, (number, outcome)
        assert not lib.quarantine.exists()
        assert read_history(lib.run).entries[1].expired
        assert "deleted from the quarantine" in undo(lib.run)[0].message
        assert lib.keeper.read_bytes() == BEST
    assert number > 4


def test_a_killed_deletion_can_be_left_for_another_run(tmp_path: Path) -> None:
    for number in range(1, 50):
        lib = Library(tmp_path / str(number))
        made = lib.plan(31).plan
        if not killed_at(number, lambda step, lib=lib, made=made: lib.execute(made, step)):
            break
        recover(lib.runs / made.run)
        still_there = lib.waits.exists()
        assert lib.expire(32) == ([("done", "")] if still_there else [])
        tidy_quarantines([lib.root])
        assert not lib.quarantine.exists(), number
        assert lib.keeper.read_bytes() == BEST
    assert number > 4


def test_a_killed_deletion_can_be_undone_while_the_file_is_there(tmp_path: Path) -> None:
    undone = 0
    for number in range(1, 50):
        lib = Library(tmp_path / str(number))
        made = lib.plan(31).plan
        if not killed_at(number, lambda step, lib=lib, made=made: lib.execute(made, step)):
            break
        if not lib.waits.exists():
            continue
        undone += 1
        assert undo(lib.run)[0].status is OutcomeStatus.DONE
        recover(lib.runs / made.run)
        assert snapshot(lib.root) == lib.before
        assert read_history(lib.run).entries[1].state is State.UNDONE
    assert undone >= 2


def test_a_manifest_lies_beside_what_waits(lib: Library) -> None:
    folder = lib.quarantine / RUN
    assert (folder / MANIFEST_NAME).is_file()
    manifest = read_manifest(lib.root, folder)
    assert manifest.run == RUN
    (entry,) = manifest.entries.values()
    known = read_history(lib.run).entries[1]
    assert (entry.action, entry.metadata, entry.location) == (known.action, known.metadata, lib.waits)


def states(lib: Library) -> Iterable[tuple[Path, Path, bool]]:
    return [(one.path, one.original, one.journaled) for one in list_quarantine([lib.root], lib.runs)]


def test_what_waits_is_listed_with_where_it_came_from(lib: Library) -> None:
    (one,) = list_quarantine([lib.root], lib.runs)
    assert (one.path, one.original, one.run, one.size) == (lib.waits, lib.like, RUN, len(LIKE))
    assert one.since is not None
    assert states(lib) == [(lib.waits, lib.like, True)]


def test_what_waits_is_listed_and_restored_without_the_state_directory(lib: Library) -> None:
    shutil.rmtree(lib.runs)
    assert states(lib) == [(lib.waits, lib.like, False)]
    adopt(list_quarantine([lib.root], lib.runs), lib.runs)
    assert states(lib) == [(lib.waits, lib.like, True)]
    (outcome,) = undo(lib.run)
    assert outcome.status is OutcomeStatus.DONE
    assert snapshot(lib.root) == lib.before


def test_what_waits_is_restored_where_its_root_was_moved_to(lib: Library, tmp_path: Path) -> None:
    shutil.rmtree(lib.runs)
    moved = lib.root.rename(tmp_path / "elsewhere")
    (one,) = list_quarantine([moved], lib.runs)
    assert (one.original, one.entry and one.entry.action.root) == (moved / "b" / "like.jpg", moved)
    adopt([one], lib.runs)
    assert undo(lib.run)[0].status is OutcomeStatus.DONE
    assert (moved / "b" / "like.jpg").read_bytes() == LIKE


def test_what_has_no_record_at_all_is_listed_by_its_path(lib: Library) -> None:
    shutil.rmtree(lib.runs)
    (lib.quarantine / RUN / MANIFEST_NAME).unlink()
    (one,) = list_quarantine([lib.root], lib.runs)
    assert (one.original, one.entry) == (lib.like, None)


def test_a_damaged_manifest_costs_its_damaged_lines(lib: Library) -> None:
    path = lib.quarantine / RUN / MANIFEST_NAME
    path.write_bytes(b'{"torn\n[]\n{"version":99}\n' + path.read_bytes() + b'{"version":1,"ki')
    assert [entry.location for entry in read_manifest(lib.root, path.parent).entries.values()] == [lib.waits]


def test_a_manifest_that_cannot_be_written_keeps_the_file(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    keeper, like = put(root / "keeper.jpg", BEST), put(root / "like.jpg", LIKE)
    made = plan([root], [group(keeper, like)])
    (root / ".py-image-dedup-quarantine").mkdir()
    (root / ".py-image-dedup-quarantine" / RUN).symlink_to(tmp_path)
    (outcome,) = execute(made, tmp_path / "runs" / RUN)
    assert outcome.status is OutcomeStatus.SKIPPED
    assert like.read_bytes() == LIKE
    assert not (tmp_path / MANIFEST_NAME).exists()
