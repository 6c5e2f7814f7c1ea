"""What waited long enough is deleted, and only if its keeper still is somewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.quarantine import expire
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import group, in_days, plan, put, snapshot

BEST, LIKE = b"the best one" * 20, b"a smaller one" * 9


class Library:
    def __init__(self, folder: Path) -> None:
        self.root, self.runs = folder / "photos", folder / "runs"
        self.keeper = put(self.root / "a" / "keeper.jpg", BEST)
        self.like = put(self.root / "b" / "like.jpg", LIKE)
        self.before = snapshot(self.root)
        made = plan([self.root], [group(self.keeper, self.like)])
        self.run = self.runs / made.run
        (outcome,) = execute(made, self.run, dry_run=False)
        assert outcome.target is not None
        self.waits: Path = outcome.target
        self.quarantine = self.root / ".py-image-dedup-quarantine"

    def expire(self, days: float) -> list[tuple[str, str]]:
        outcomes = expire(self.runs, [self.root], 30, in_days(days))
        return [(one.status.value, one.message) for one in outcomes]


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_what_waited_long_enough_is_deleted_and_its_folders_go(lib: Library) -> None:
    assert lib.expire(31) == [("done", "")]
    assert not lib.quarantine.exists()
    assert lib.keeper.read_bytes() == BEST
    assert lib.expire(32) == []


def test_what_did_not_wait_long_enough_waits(lib: Library) -> None:
    assert lib.expire(29.9) == []
    assert lib.waits.read_bytes() == LIKE


def test_an_undo_after_the_wait_says_what_happened(lib: Library) -> None:
    lib.expire(31)
    for _ in range(2):
        (undone,) = undo(lib.run)
        assert undone.status is OutcomeStatus.FAILED
        assert "deleted from the quarantine when its days were over" in undone.message


def test_what_no_journal_knows_stays(lib: Library) -> None:
    beside = put(lib.waits.with_name("of-somebody-else.jpg"), b"not ours")
    other = put(lib.quarantine / "unknown-run" / "x.jpg", b"not ours either")
    assert lib.expire(1000) == [("done", "")]
    assert beside.exists()
    assert other.exists()


def test_what_was_changed_in_quarantine_stays(lib: Library) -> None:
    lib.waits.chmod(0o600)
    lib.waits.write_bytes(b"edited")
    ((status, message),) = lib.expire(31)
    assert status == "skipped"
    assert "was changed" in message
    assert lib.waits.read_bytes() == b"edited"


@pytest.mark.parametrize("how", ["gone", "edited"])
def test_what_lost_its_keeper_stays_and_can_still_be_undone(lib: Library, how: str) -> None:
    if how == "gone":
        lib.keeper.unlink()
    else:
        lib.keeper.write_bytes(b"another picture")
    ((status, message),) = lib.expire(31)
    assert status == "skipped"
    assert "its keeper" in message
    assert lib.waits.read_bytes() == LIKE
    (undone,) = undo(lib.run)
    assert undone.status is OutcomeStatus.DONE
    assert lib.like.read_bytes() == LIKE


def test_a_keeper_that_was_touched_is_still_the_keeper(lib: Library) -> None:
    put(lib.keeper, BEST, mtime_ns=99)
    assert lib.expire(31) == [("done", "")]


def test_a_keeper_that_a_later_run_deleted_for_an_identical_one_counts(lib: Library) -> None:
    better = put(lib.root / "z" / "keeper.jpg", BEST)
    later = plan([lib.root], [group(better, lib.keeper)])
    execute(replace(later, run="later"), lib.runs / "later", dry_run=False)
    assert not lib.keeper.exists()
    assert lib.expire(31) == [("done", "")]


def test_a_keeper_that_waits_in_quarantine_itself_does_not_count(lib: Library) -> None:
    better = put(lib.root / "z" / "better.jpg", b"better still" * 40)
    later = replace(plan([lib.root], [group(better, lib.keeper)]), run="later")
    execute(later, lib.runs / "later", dry_run=False)
    assert [status for status, _ in lib.expire(31)] == ["skipped"]
    assert lib.waits.read_bytes() == LIKE


def test_what_was_undone_is_not_deleted(lib: Library) -> None:
    undo(lib.run)
    assert lib.expire(31) == []
    assert snapshot(lib.root) == lib.before


def test_the_quarantine_of_another_root_is_left_alone(lib: Library, tmp_path: Path) -> None:
    assert expire(lib.runs, [tmp_path / "elsewhere"], 0, in_days(99)) == ()
    assert lib.waits.exists()


def test_a_killed_end_of_the_wait_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(1, 50):
        lib = Library(tmp_path / str(number))
        if not killed_at(number, lambda step, lib=lib: expire(lib.runs, [lib.root], 30, in_days(31), step=step)):
            break
        open_still = lib.quarantine.exists()
        assert lib.expire(31) == ([("done", "")] if open_still else [])
        assert not lib.quarantine.exists()
        assert "deleted from the quarantine" in undo(lib.run)[0].message
    assert number > 2


def test_a_killed_end_of_the_wait_can_be_taken_back_while_the_file_is_there(tmp_path: Path) -> None:
    lib = Library(tmp_path / "1")
    assert killed_at(2, lambda step: expire(lib.runs, [lib.root], 30, in_days(31), step=step))
    assert lib.waits.exists()
    assert undo(lib.run)[0].status is OutcomeStatus.DONE
    assert snapshot(lib.root) == lib.before
