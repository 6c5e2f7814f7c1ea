"""Killed at every step, gone on with, taken back: nothing is ever lost."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from py_image_dedup.model.plan import OutcomeStatus, Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.folders import prune
from py_image_dedup.removal.journal import State, Step, read_history
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import Seen, contents, group, plan, put, snapshot

MOST_STEPS = 300
KEEPER_MTIME_NS = 1_600_000_000_123_456_789


@dataclass
class Library:
    """A small library, the plan to thin it out, and what it was before."""

    plan: Plan
    run: Path
    folders: tuple[Path, ...]
    before: dict[str, Seen | None]

    def remove(self, step: Step) -> None:
        outcomes = execute(self.plan, self.run, step=step)
        prune(self.plan, outcomes, self.run, step=step)

    def is_whole(self) -> bool:
        """Every picture's bytes are somewhere below the library or its target."""
        return {seen.content for seen in self.before.values() if seen} <= contents(*self.folders)


def library(action: ActionChoice, target_on: Path | None, mtime_ns: int, folder: Path) -> Library:
    root, target = folder / "photos", None
    keeper = put(root / "a" / "keeper.jpg", b"the best one" * 20, KEEPER_MTIME_NS)
    same = put(root / "b" / "same.jpg", b"the best one" * 20, mtime_ns, mode=0o604)
    like = put(root / "b" / "in" / "like.jpg", b"a smaller one" * 9, mtime_ns=1_400_000_000_000_000_001, mode=0o600)
    if target_on is not None:
        target = Path(tempfile.mkdtemp(dir=target_on)) / "removed"
    made = plan([root], [group(keeper, same, like)], action, target, prune=True)
    folders = (root,) if target is None else (root, target)
    return Library(made, folder / "runs" / made.run, folders, snapshot(*folders))


@pytest.fixture(params=["delete-and-quarantine", "move", "move-across", "hardlink", "hardlink-of-one-time"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Library]:
    """A new library for every call."""
    action, target_on, mtime_ns = ActionChoice.AUTO, None, 1_500_000_000_000_000_001
    if request.param == "move":
        target_on = tmp_path
    elif request.param == "move-across":
        target_on = request.getfixturevalue("elsewhere")
    elif "hardlink" in request.param:
        action = ActionChoice.HARDLINK
        mtime_ns = KEEPER_MTIME_NS if "one-time" in request.param else mtime_ns
    numbers = itertools.count()
    return lambda: library(action, target_on, mtime_ns, tmp_path / str(next(numbers)))


def test_a_removal_killed_at_any_step_is_gone_on_with_and_taken_back(make: Callable[[], Library]) -> None:
    steps = 0
    for number in range(1, MOST_STEPS):
        here = make()
        if not killed_at(number, here.remove):
            break
        steps += 1
        assert here.is_whole(), f"something is lost after a kill at step {number}"
        recover(here.run)
        assert here.is_whole(), f"something is lost by the recovery after a kill at step {number}"
        assert read_history(here.run).unfinished == ()
        outcomes = execute(here.plan, here.run)
        assert {outcome.status for outcome in outcomes} == {OutcomeStatus.DONE}, (number, outcomes)
        assert_the_journal_is_true(here)
        undone = undo(here.run)
        assert {outcome.status for outcome in undone} == {OutcomeStatus.DONE}, (number, undone)
        assert snapshot(*here.folders) == here.before, f"the tree is another one after a kill at step {number}"
    assert steps > 5


def test_a_removal_killed_at_any_step_is_taken_back_as_it_is(make: Callable[[], Library]) -> None:
    for number in range(1, MOST_STEPS):
        here = make()
        if not killed_at(number, here.remove):
            break
        if here.run.exists():
            undo(here.run)
        assert snapshot(*here.folders) == here.before, f"the tree is another one after a kill at step {number}"
    assert number > 5


def test_an_undo_killed_at_any_step_is_gone_on_with(make: Callable[[], Library]) -> None:
    for number in range(1, MOST_STEPS):
        here = make()
        here.remove(lambda name: None)
        if not killed_at(number, lambda step, run=here.run: undo(run, step=step)):
            break
        assert here.is_whole(), f"something is lost after a kill at step {number}"
        outcomes = undo(here.run)
        assert OutcomeStatus.FAILED not in {outcome.status for outcome in outcomes}, (number, outcomes)
        assert snapshot(*here.folders) == here.before, f"the tree is another one after a kill at step {number}"
    assert number > 5


def test_a_recovery_killed_at_any_step_is_gone_on_with(make: Callable[[], Library]) -> None:
    interrupted = 0
    for number in range(1, MOST_STEPS):
        for again in range(1, MOST_STEPS):
            here = make()
            if not killed_at(number, here.remove):
                assert interrupted > 0
                return
            if not killed_at(again, lambda step, run=here.run: recover(run, step=step)):
                break
            interrupted += 1
            assert here.is_whole(), f"something is lost after kills at steps {number} and {again}"
            undo(here.run)
            assert snapshot(*here.folders) == here.before, (number, again)


def assert_the_journal_is_true(here: Library) -> None:
    """Where the journal says a file is, its bytes are."""
    for entry in read_history(here.run).entries.values():
        assert entry.state is State.DONE
        before = here.before[str(entry.action.source.path)]
        assert before is not None
        where = entry.location or entry.action.keeper.path
        assert where.read_bytes() == before.content


def test_a_deletion_at_once_killed_at_any_step_keeps_the_file_or_has_deleted_it(tmp_path: Path) -> None:
    for number in range(1, MOST_STEPS):
        root = tmp_path / str(number) / "photos"
        keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
        made = plan([root], [group(keeper, like)], ActionChoice.DELETE)
        run = tmp_path / str(number) / "run"
        if not killed_at(number, lambda step, made=made, run=run: execute(made, run, step=step)):
            break
        recover(run)
        done = State.DONE in {entry.state for entry in read_history(run).entries.values()}
        assert like.exists() is not done
        assert keeper.exists()
        assert [path.name for path in sorted(root.iterdir())] == (
            ["keeper.jpg"] if done else ["keeper.jpg", "like.jpg"]
        )
        (outcome,) = execute(made, run)
        assert outcome.status is OutcomeStatus.DONE
    assert number > 5
