"""Every file of a run comes back with its times, or the outcome says why not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.plan import Outcome, OutcomeStatus
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.folders import prune
from py_image_dedup.removal.journal import JOURNAL_NAME, JournalError, read_history
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from py_image_dedup.removal.undo import undo
from tests.removal.faults import ordinary_user
from tests.removal.library import group, plan, put, snapshot

BEST, LIKE = b"the best one" * 20, b"a smaller one" * 9
OLD = 1_300_000_000_000_000_007


class Library:
    def __init__(self, folder: Path) -> None:
        self.root, self.run, self.out = folder / "photos", folder / "runs" / "1", folder / "out"
        self.keeper = put(self.root / "a" / "keeper.jpg", BEST)
        self.same = put(self.root / "b" / "same.jpg", BEST, OLD, 0o604)
        self.like = put(self.root / "b" / "like.jpg", LIKE, OLD + 1, 0o440)
        self.before = snapshot(self.root)

    def remove(self, action: ActionChoice = ActionChoice.AUTO, target: Path | None = None) -> tuple[Outcome, ...]:
        made = plan([self.root], [group(self.keeper, self.same, self.like)], action, target, prune=True)
        outcomes = execute(made, self.run)
        assert {one.status for one in outcomes} == {OutcomeStatus.DONE}
        prune(made, outcomes, self.run)
        return outcomes


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


def ends(outcomes: tuple[Outcome, ...]) -> list[tuple[str, str]]:
    return [(one.action.source.path.name, one.status.value) for one in outcomes]


def test_the_tree_is_as_it_was_with_names_bytes_times_and_modes(lib: Library) -> None:
    folder = lib.same.parent.stat()
    lib.remove()
    assert not lib.same.parent.exists()
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before
    assert lib.same.parent.stat().st_mtime_ns == folder.st_mtime_ns
    assert lib.same.parent.stat().st_mode == folder.st_mode
    assert not (lib.root / ".py-image-dedup-quarantine").exists()


def test_an_undo_says_what_was_undone_already(lib: Library) -> None:
    lib.remove()
    undo(lib.run)
    again = undo(lib.run)
    assert ends(again) == [("like.jpg", "skipped"), ("same.jpg", "skipped")]
    assert "already" in again[0].message


def test_a_run_that_was_undone_can_be_done_again(lib: Library) -> None:
    lib.remove()
    undo(lib.run)
    made = plan([lib.root], [group(lib.keeper, lib.same, lib.like)])
    assert {one.status for one in execute(made, lib.run)} == {OutcomeStatus.DONE}
    undo(lib.run)
    assert snapshot(lib.root) == lib.before


def test_what_was_skipped_is_not_undone(lib: Library) -> None:
    made = plan([lib.root], [group(lib.keeper, lib.same, lib.like)])
    lib.same.write_bytes(b"edited")
    execute(made, lib.run)
    assert ends(undo(lib.run)) == [("like.jpg", "done")]
    assert lib.same.read_bytes() == b"edited"


def test_something_else_at_the_place_stays_and_so_does_the_removed_file(lib: Library) -> None:
    outcomes = lib.remove()
    put(lib.like, b"new here")
    undone = undo(lib.run)
    assert ends(undone) == [("like.jpg", "failed"), ("same.jpg", "done")]
    assert undone[0].target == outcomes[1].target
    assert "something else is at" in undone[0].message
    assert lib.like.read_bytes() == b"new here"
    assert undone[0].target is not None
    assert undone[0].target.read_bytes() == LIKE
    lib.like.unlink()
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "skipped")]
    assert snapshot(lib.root) == lib.before


def test_a_moved_file_that_somebody_copied_back_is_there_twice_until_its_owner_decides(lib: Library) -> None:
    moved = lib.remove()[1].target
    put(lib.like, LIKE)
    undone = undo(lib.run)
    assert ends(undone)[0] == ("like.jpg", "failed")
    assert moved is not None
    assert moved.exists()
    assert ends(undo(lib.run))[0] == ("like.jpg", "failed")
    lib.like.unlink()
    assert ends(undo(lib.run))[0] == ("like.jpg", "done")


def test_a_deleted_file_that_somebody_restored_is_not_touched(lib: Library) -> None:
    lib.remove()
    put(lib.same, BEST, OLD, 0o604)
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_file_edited_in_quarantine_stays_there_for_its_owner_to_decide(lib: Library) -> None:
    moved = lib.remove()[1].target
    assert moved is not None
    moved.chmod(0o600)
    moved.write_bytes(b"edited in quarantine")
    undone = undo(lib.run)
    assert ends(undone)[0] == ("like.jpg", "failed")
    assert undone[0].target == moved
    assert "another file now, or was changed" in undone[0].message
    assert moved.read_bytes() == b"edited in quarantine"


def test_a_file_touched_in_quarantine_comes_back_with_its_times(lib: Library) -> None:
    moved = lib.remove()[1].target
    assert moved is not None
    os.utime(moved, ns=(5, 5))
    assert ends(undo(lib.run))[0] == ("like.jpg", "done")
    assert snapshot(lib.root) == lib.before


def test_another_file_in_the_place_of_the_moved_one_stays_there(lib: Library) -> None:
    moved = lib.remove(target=lib.out)[1].target
    assert moved is not None
    moved.unlink()
    put(moved, b"not ours")
    undone = undo(lib.run)
    assert ends(undone) == [("like.jpg", "failed"), ("same.jpg", "done")]
    assert "another file now" in undone[0].message
    assert moved.read_bytes() == b"not ours"


def test_a_moved_file_that_is_gone_is_copied_from_any_known_file_with_its_bytes(lib: Library) -> None:
    outcomes = lib.remove(target=lib.out)
    assert outcomes[0].target is not None
    outcomes[0].target.unlink()
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_deleted_file_is_copied_from_where_a_later_run_put_its_keeper(lib: Library) -> None:
    lib.remove()
    best = put(lib.root / "best.jpg", b"better still" * 50)
    later = plan([lib.root], [group(best, lib.keeper)])
    execute(replace(later, run="2"), lib.run.parent / "2")
    assert not lib.keeper.exists()
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert lib.same.read_bytes() == BEST
    assert lib.same.stat().st_mtime_ns == OLD


def test_a_deleted_file_whose_keeper_is_gone_for_good_cannot_come_back(lib: Library) -> None:
    lib.remove()
    lib.keeper.unlink()
    undone = undo(lib.run)
    assert ends(undone) == [("like.jpg", "done"), ("same.jpg", "failed")]
    assert "keeper.jpg is not there any more" in undone[1].message
    put(lib.keeper, BEST)
    assert ends(undo(lib.run)) == [("like.jpg", "skipped"), ("same.jpg", "done")]


def test_a_keeper_that_was_edited_is_not_taken_for_the_deleted_file(lib: Library) -> None:
    lib.remove()
    lib.keeper.write_bytes(BEST[:-1] + b"X")
    assert ends(undo(lib.run))[1] == ("same.jpg", "failed")
    assert not lib.same.exists()


def test_what_was_deleted_at_once_cannot_come_back_and_says_so(lib: Library) -> None:
    lib.remove(ActionChoice.DELETE)
    undone = undo(lib.run)
    assert ends(undone) == [("like.jpg", "failed"), ("same.jpg", "done")]
    assert "deleted immediately" in undone[0].message


def test_a_hard_link_becomes_a_file_of_its_own_again(lib: Library) -> None:
    made = plan([lib.root], [group(lib.keeper, lib.same)], ActionChoice.HARDLINK)
    execute(made, lib.run)
    assert lib.same.samefile(lib.keeper)
    keeper = lib.keeper.stat()
    assert ends(undo(lib.run)) == [("same.jpg", "done")]
    assert not lib.same.samefile(lib.keeper)
    assert snapshot(lib.root) == lib.before
    assert lib.keeper.stat().st_ino == keeper.st_ino


@pytest.mark.parametrize("mtime_ns", [OLD, OLD + 9])
def test_a_hard_link_that_outlived_its_keeper_gets_its_own_times_and_mode(lib: Library, mtime_ns: int) -> None:
    put(lib.keeper, BEST, mtime_ns)
    made = plan([lib.root], [group(lib.keeper, lib.same)], ActionChoice.HARDLINK)
    execute(made, lib.run)
    lib.keeper.unlink()
    assert ends(undo(lib.run)) == [("same.jpg", "done")]
    after = snapshot(lib.root)
    assert after[str(lib.same)] == lib.before[str(lib.same)]


def test_a_hard_link_that_was_edited_stays_as_it_is(lib: Library) -> None:
    made = plan([lib.root], [group(lib.keeper, lib.same)], ActionChoice.HARDLINK)
    execute(made, lib.run)
    lib.keeper.write_bytes(b"edited")
    undone = undo(lib.run)
    assert ends(undone) == [("same.jpg", "failed")]
    assert "was changed" in undone[0].message
    assert lib.same.read_bytes() == b"edited"


def test_a_hard_link_that_is_gone_is_copied_from_its_keeper(lib: Library) -> None:
    made = plan([lib.root], [group(lib.keeper, lib.same)], ActionChoice.HARDLINK)
    execute(made, lib.run)
    lib.same.unlink()
    assert ends(undo(lib.run)) == [("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_root_that_is_not_mounted_is_not_made(lib: Library) -> None:
    lib.remove(target=lib.out)
    lib.root.rename(lib.root.with_name("unplugged"))
    undone = undo(lib.run)
    assert {one.status for one in undone} == {OutcomeStatus.FAILED}
    assert "mount it" in undone[0].message
    assert not lib.root.exists()
    lib.root.with_name("unplugged").rename(lib.root)
    assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_folder_that_cannot_be_written_fails_and_can_be_undone_later(lib: Library) -> None:
    lib.remove(target=lib.out)
    with ordinary_user(lib.root.parent):
        lib.root.chmod(0o555)
        undone = undo(lib.run)
        lib.root.chmod(0o755)
        assert {one.status for one in undone} == {OutcomeStatus.FAILED}
        assert ends(undo(lib.run)) == [("like.jpg", "done"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_stopped_undo_can_be_gone_on_with(lib: Library) -> None:
    lib.remove()
    answers = iter([False, False, True])
    undone = undo(lib.run, should_stop=lambda: next(answers, True))
    assert ends(undone) == [("like.jpg", "done"), ("same.jpg", "skipped")]
    assert ends(undo(lib.run)) == [("like.jpg", "skipped"), ("same.jpg", "done")]
    assert snapshot(lib.root) == lib.before


def test_a_torn_last_line_is_passed_over(lib: Library) -> None:
    lib.remove()
    journal = lib.run / JOURNAL_NAME
    with journal.open("ab") as stream:
        stream.write(b'{"kind":"outcome","number":2,"sta')
    undo(lib.run)
    assert snapshot(lib.root) == lib.before
    assert read_history(lib.run).damaged == 0


def test_an_outcome_that_cannot_be_read_is_found_on_the_disk(lib: Library) -> None:
    lib.remove()
    journal = lib.run / JOURNAL_NAME
    lines = journal.read_bytes().splitlines(keepends=True)
    assert any(b'"outcome"' in line for line in lines)
    journal.write_bytes(b"".join(b"\0\0\0\n" if b'"outcome"' in line else line for line in lines))
    assert read_history(lib.run).damaged == 1  # the second looks like the torn end of a killed run
    undo(lib.run)
    assert snapshot(lib.root) == lib.before


def test_a_journal_of_a_newer_version_is_refused(lib: Library) -> None:
    lib.remove()
    journal = lib.run / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(JournalError, match="newer py-image-dedup"):
        undo(lib.run)


def test_a_run_without_a_journal_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="removed nothing"):
        undo(tmp_path)
    assert not (tmp_path / JOURNAL_NAME).exists()


def test_owners_come_back_too(lib: Library) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can give files away")
    os.chown(lib.same, 1234, 4321)
    lib.remove()
    undo(lib.run)
    assert (lib.same.stat().st_uid, lib.same.stat().st_gid) == (1234, 4321)


def test_only_the_chosen_files_are_restored(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    keeper = put(root / "keeper.jpg", b"best" * 30)
    first, second = put(root / "a" / "1.jpg", b"one" * 20), put(root / "b" / "2.jpg", b"two" * 20)
    made = plan([root], [group(keeper, first, second)], prune=True)
    run = tmp_path / "runs" / made.run
    outcomes = execute(made, run)
    prune(made, outcomes, run)
    assert not first.parent.exists()
    (shown,) = undo(run, only={first}, dry_run=True)
    assert (shown.status.value, shown.target) == ("planned", first)
    assert not first.exists()
    (outcome,) = undo(run, only={first})
    assert outcome.status.value == "done"
    assert first.read_bytes() == b"one" * 20
    assert not second.parent.exists()
    waits = outcomes[1].target
    assert waits is not None
    assert waits.exists()
    assert [one.status.value for one in undo(run, only={waits})] == ["done"], "by its path in quarantine"
    assert second.read_bytes() == b"two" * 20
    assert sorted(path.name for path in root.iterdir()) == ["a", "b", "keeper.jpg"]


def test_a_shown_undo_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    made = plan([root], [group(keeper, like)])
    run = tmp_path / "runs" / made.run
    execute(made, run)
    before = snapshot(tmp_path)
    assert [one.status.value for one in undo(run, dry_run=True)] == ["planned"]
    assert snapshot(tmp_path) == before


def test_a_journal_of_an_earlier_version_can_still_be_undone(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    same = put(root / "same.jpg", b"best" * 30)
    before = snapshot(root)
    made = plan([root], [group(keeper, same, like)])
    run = tmp_path / "runs" / made.run
    execute(made, run)
    old = []
    for line in (run / JOURNAL_NAME).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        record.pop("planned", None)
        old.append(json.dumps(record))
    # A run was killed while it deleted from the quarantine, as the expiry of that version recorded it.
    old.append(json.dumps({"kind": "expire", "number": 2, "at": "2026-01-02T03:04:05.000+00:00"}))
    (run / JOURNAL_NAME).write_text("\n".join(old) + "\n", encoding="utf-8")
    (root / ".py-image-dedup-quarantine" / made.run / MANIFEST_NAME).unlink()
    assert [one.status for one in undo(run)] == [OutcomeStatus.DONE] * 2
    assert snapshot(root) == before
