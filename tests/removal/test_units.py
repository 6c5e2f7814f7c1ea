"""The files of one photo go all or not at all, and come back together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus, Plan
from py_image_dedup.model.unit import Units
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.journal import Step, no_step
from py_image_dedup.removal.plan import ActionChoice, PlanError
from py_image_dedup.removal.quarantine import list_quarantine, plan_expiry
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.serialization import PLAN_NAME, load_plan, plan_from_text, plan_to_text, save_plan
from py_image_dedup.removal.undo import undo
from py_image_dedup.units.names import recognise
from tests.removal.faults import at, replace_file
from tests.removal.killing import killed_at
from tests.removal.library import RUN, Seen, contents, group, in_days, plan, put, snapshot

NAMES = ("IMG_1.JPG", "IMG_1.CR2", "IMG_1.xmp")
MOST_STEPS = 300


@dataclass
class Library:
    """Two copies of a photo of three files, of which one is to go; the RAW photos differ by a tag."""

    plan: Plan
    run: Path
    folders: tuple[Path, ...]
    before: dict[str, Seen | None]

    def remove(self, step: Step = no_step) -> tuple[Outcome, ...]:
        return execute(self.plan, self.run, step=step)

    @property
    def left(self) -> int:
        """The number of files of the photo that are still at their place."""
        return sum((self.folders[0] / "b" / name).is_file() for name in NAMES)


def library(action: ActionChoice, target: Path | None, folder: Path, *, identical: bool = False) -> Library:
    root = folder / "photos"
    kept = [put(root / "a" / name, name.encode() * 30) for name in NAMES]
    gone = [put(root / "b" / name, name.encode() * 30, mtime_ns=1_500_000_000_000_000_001) for name in NAMES]
    if not identical:
        put(gone[1], b"IMG_1.CR2 with another tag", mtime_ns=1_500_000_000_000_000_001)
    units = Units((*recognise(root / "a", NAMES), *recognise(root / "b", NAMES)))
    classes = (None, None if identical else MatchClass.SAME_PIXELS, None)
    groups = [group(one, other, match_class=each) for one, other, each in zip(kept, gone, classes, strict=True)]
    made = plan([root], groups, action, target, units=units)
    assert {(each.unit, each.parts) for each in made.actions} == {(1, 3)}
    folders = (root,) if target is None else (root, target)
    return Library(made, folder / "runs" / made.run, folders, snapshot(*folders))


@pytest.fixture(params=["delete", "quarantine", "move", "move-across"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Library]:
    """A new library for every call."""
    numbers = itertools.count()
    base = request.getfixturevalue("elsewhere") if request.param == "move-across" else tmp_path

    def made() -> Library:
        number = str(next(numbers))
        target = base / number / "removed" if "move" in request.param else None
        return library(ActionChoice.AUTO, target, tmp_path / number, identical=request.param == "delete")

    return made


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return library(ActionChoice.AUTO, tmp_path / "removed", tmp_path)


def test_a_photo_is_never_torn_by_a_kill_and_its_removal_is_gone_on_with(make: Callable[[], Library]) -> None:
    for number in range(1, MOST_STEPS):
        here = make()
        if not killed_at(number, here.remove):
            break
        recover(here.run)
        assert here.left in {0, 3}, f"torn after a kill at step {number}"
        assert {seen.content for seen in here.before.values() if seen} <= contents(*here.folders), number
        outcomes = here.remove()
        (status,) = {outcome.status for outcome in outcomes}
        # A file that was copied back is another one than the plan was made for: the next run looks at it anew.
        assert status in {OutcomeStatus.DONE, OutcomeStatus.SKIPPED}, (number, outcomes)
        assert here.left == (0 if status is OutcomeStatus.DONE else 3), number
        undo(here.run)
        assert contents(*here.folders) == {seen.content for seen in here.before.values() if seen}, number
        assert here.left == 3, number
    assert number > 10


def test_a_recovery_killed_at_any_step_is_gone_on_with(tmp_path: Path) -> None:
    numbers = itertools.count()
    for number in range(12, MOST_STEPS, 3):
        for again in range(1, MOST_STEPS):
            folder = tmp_path / str(next(numbers))
            here = library(ActionChoice.AUTO, folder / "removed", folder)
            if not killed_at(number, here.remove):
                return
            if not killed_at(again, lambda step, run=here.run: recover(run, step=step)):
                break
            recover(here.run)
            assert here.left in {0, 3}, (number, again)
    raise AssertionError("the steps do not end")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_changed_keeps_its_whole_photo(lib: Library, name: str) -> None:
    replace_file(lib.folders[0] / "b" / name, b"edited since")
    outcomes = lib.remove()
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.SKIPPED] * 3
    assert lib.left == 3
    assert sum(f"because {name} of the same photo does" in outcome.message for outcome in outcomes) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_keeper_that_changed_keeps_the_whole_photo_of_its_copy(lib: Library, name: str) -> None:
    replace_file(lib.folders[0] / "a" / name, b"edited since")
    assert [outcome.status for outcome in lib.remove()] == [OutcomeStatus.SKIPPED] * 3
    assert lib.left == 3


def test_a_file_that_cannot_go_at_the_last_moment_brings_the_others_back(make: Callable[[], Library]) -> None:
    lib = make()
    last = lib.folders[0] / "b" / "IMG_1.xmp"
    content = last.read_bytes()
    outcomes = lib.remove(at("unit: part removed", lambda: replace_file(last, b"edited since")))
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.SKIPPED] * 3
    assert lib.left == 3
    last.write_bytes(content)
    assert contents(*lib.folders) == {seen.content for seen in lib.before.values() if seen}
    assert [outcome.status for outcome in undo(lib.run)] == [OutcomeStatus.SKIPPED] * 3


def test_a_photo_goes_to_the_quarantine_as_a_whole(tmp_path: Path) -> None:
    kinds = {each.kind for each in library(ActionChoice.AUTO, None, tmp_path / "1").plan.actions}
    assert kinds == {ActionKind.QUARANTINE}
    kinds = {each.kind for each in library(ActionChoice.AUTO, None, tmp_path / "2", identical=True).plan.actions}
    assert kinds == {ActionKind.DELETE}


def test_what_an_undo_cannot_bring_back_goes_last(tmp_path: Path) -> None:
    lib = library(ActionChoice.DELETE, None, tmp_path)
    raw = lib.folders[0] / "b" / "IMG_1.CR2"
    steps: list[int] = []

    def step(name: str) -> None:
        if name == "unit: part removed":
            steps.append(raw.exists())

    assert {outcome.status for outcome in lib.remove(step)} == {OutcomeStatus.DONE}
    assert steps == [True, True, False]


def test_the_undo_of_one_file_is_that_of_its_photo(lib: Library) -> None:
    lib.remove()
    undone = undo(lib.run, only=[lib.folders[0] / "b" / "IMG_1.CR2"])
    assert [outcome.status for outcome in undone] == [OutcomeStatus.DONE] * 3
    assert snapshot(*lib.folders) == lib.before


def test_an_undo_restores_no_part_while_the_place_of_another_is_taken(lib: Library) -> None:
    lib.remove()
    taken = put(lib.folders[0] / "b" / "IMG_1.xmp", b"new settings")
    preview = undo(lib.run, dry_run=True)
    undone = undo(lib.run)
    for outcomes in (preview, undone):
        assert [outcome.status for outcome in outcomes] == [OutcomeStatus.FAILED] * 3
        assert all("something else is at" in outcome.message for outcome in outcomes)
    assert lib.left == 1
    taken.unlink()
    assert [outcome.status for outcome in undo(lib.run)] == [OutcomeStatus.DONE] * 3
    assert snapshot(*lib.folders) == lib.before


def test_a_plan_that_lost_one_file_of_a_photo_is_refused(lib: Library) -> None:
    text = json.loads(plan_to_text(lib.plan))
    text["actions"].pop()
    with pytest.raises(PlanError, match="actions for 2 of its 3 files"):
        plan_from_text(json.dumps(text))


def test_a_saved_plan_knows_the_photos(lib: Library, tmp_path: Path) -> None:
    save_plan(lib.plan, tmp_path / PLAN_NAME)
    assert load_plan(tmp_path / PLAN_NAME) == lib.plan


def test_a_photo_leaves_the_quarantine_as_a_whole(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    names = ("IMG_1.JPG", "IMG_1.CR2")
    kept = [put(root / "a" / name, name.encode() * 30) for name in names]
    gone = [put(root / "b" / name, name.encode() * 20) for name in names]
    units = Units((*recognise(root / "a", names), *recognise(root / "b", names)))
    made = plan([root], [group(one, other) for one, other in zip(kept, gone, strict=True)], units=units)
    execute(made, tmp_path / "runs" / RUN)

    def expiry(run: str) -> Plan:
        waiting = list_quarantine([root], tmp_path / "runs")
        assert len(waiting) == 2
        return plan_expiry(Plan(run, (root,), ()), waiting, tmp_path / "runs", timedelta(days=30), in_days(31)).plan

    whole = expiry("first")
    assert [(action.unit, action.parts) for action in whole.actions] == [(1, 2), (1, 2)]
    kept[1].unlink()
    assert expiry("second").actions == (), "the RAW photo has no keeper any more, so its picture stays as well"
    assert {each.status for each in execute(whole, tmp_path / "runs" / "first")} <= {
        OutcomeStatus.SKIPPED,
        OutcomeStatus.FAILED,
    }
    assert len(list_quarantine([root], tmp_path / "runs")) == 2
    put(kept[1], names[1].encode() * 30)
    assert {each.status for each in execute(expiry("third"), tmp_path / "runs" / "third")} == {OutcomeStatus.DONE}
    assert list_quarantine([root], tmp_path / "runs") == ()
