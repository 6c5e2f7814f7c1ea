"""Is everything where the journal says, and are the keepers whole?"""

from __future__ import annotations

from pathlib import Path

import pytest

from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.journal import JournalError
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.removal.recovery import verify_run
from py_image_dedup.removal.undo import undo
from tests.removal.library import group, plan, put, snapshot


class Library:
    def __init__(self, folder: Path, action: ActionChoice = ActionChoice.AUTO) -> None:
        self.root = folder / "photos"
        self.keeper = put(self.root / "keeper.jpg", b"best" * 30)
        self.same = put(self.root / "b" / "same.jpg", b"best" * 30)
        files = [self.same]
        if action is ActionChoice.AUTO:
            self.like = put(self.root / "b" / "like.jpg", b"like" * 20)
            files.append(self.like)
        made = plan([self.root], [group(self.keeper, *files)], action)
        self.run = folder / "runs" / made.run
        self.outcomes = execute(made, self.run)

    def problems(self) -> list[str]:
        return [problem for finding in verify_run(self.run) for problem in finding.problems]


def test_a_run_that_is_as_it_says_has_no_problem_and_nothing_changes(tmp_path: Path) -> None:
    lib = Library(tmp_path)
    before = snapshot(tmp_path)
    assert [finding.problems for finding in verify_run(lib.run)] == [(), ()]
    assert snapshot(tmp_path) == before
    undo(lib.run)
    assert lib.problems() == []


def test_a_keeper_that_changed_or_vanished_is_found(tmp_path: Path) -> None:
    lib = Library(tmp_path)
    put(lib.keeper, b"beSt" * 30)
    assert all("is a keeper, but it was changed" in problem for problem in lib.problems())
    lib.keeper.unlink()
    assert len(lib.problems()) == 2
    assert all("it is not there" in problem for problem in lib.problems())


def test_a_keeper_that_was_lost_while_a_copy_is_known_names_the_copy(tmp_path: Path) -> None:
    lib = Library(tmp_path)
    undo(lib.run)
    lib.keeper.unlink()
    assert lib.problems() == []


def test_a_moved_file_that_changed_is_found(tmp_path: Path) -> None:
    lib = Library(tmp_path)
    (target,) = [outcome.target for outcome in lib.outcomes if outcome.target]
    put(target, b"liKe" * 20)
    assert lib.problems() == [f"{target} should have the removed file, but it was changed"]
    target.unlink()
    assert lib.problems() == [f"{target} should have the removed file, but it is not there or cannot be read"]


def test_a_hard_link_that_was_broken_is_found(tmp_path: Path) -> None:
    lib = Library(tmp_path, ActionChoice.HARDLINK)
    assert lib.problems() == []
    lib.same.unlink()
    put(lib.same, b"best" * 30)
    assert lib.problems() == [f"{lib.same} is no hard link of {lib.keeper} any more"]


def test_a_restored_file_that_is_gone_again_is_found(tmp_path: Path) -> None:
    lib = Library(tmp_path)
    undo(lib.run)
    lib.like.unlink()
    assert lib.problems() == [f"{lib.like} was restored, but it is not there or cannot be read"]


def test_a_run_without_a_journal_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal"):
        verify_run(tmp_path)
