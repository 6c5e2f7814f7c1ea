from __future__ import annotations

from pathlib import Path

import pytest

from py_image_dedup.model.events import ActionFinished, Event, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.pipeline.remove import plan_removal, prune, remove
from py_image_dedup.removal.journal import JOURNAL_NAME
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.removal.serialization import load_plan
from tests.removal.library import RUN, group, put, snapshot

BEST = b"the best one" * 20


class Library:
    def __init__(self, folder: Path) -> None:
        self.root, self.run = folder / "photos", folder / "runs" / RUN
        self.keeper = put(self.root / "keeper.jpg", BEST)
        self.same = put(self.root / "b" / "same.jpg", BEST)

    def groups(self) -> list[RankedGroup]:
        return [group(self.keeper, self.same)]


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_the_plan_is_saved_before_anything_is_done(lib: Library) -> None:
    before = snapshot(lib.root)
    plan = plan_removal(RUN, lib.groups(), [Root(lib.root)], RemovalOptions(), lib.run).plan
    assert load_plan(lib.run / "plan.json") == plan
    assert len(plan.actions) == 1
    assert snapshot(lib.root) == before


def test_a_plan_names_targets_that_are_free(lib: Library, tmp_path: Path) -> None:
    put(tmp_path / "out" / "b" / "same.jpg", b"there already")
    options = RemovalOptions(target_directory=tmp_path / "out")
    plan = plan_removal(RUN, lib.groups(), [Root(lib.root)], options, lib.run).plan
    assert plan.actions[0].target == tmp_path / "out" / "b" / "same (2).jpg"
    removed = remove(plan, lib.run, dry_run=False)
    assert removed.outcomes[0].target == plan.actions[0].target
    assert (tmp_path / "out" / "b" / "same.jpg").read_bytes() == b"there already"


def test_the_phases_tell_what_they_do(lib: Library) -> None:
    told: list[Event] = []
    plan = plan_removal(RUN, lib.groups(), [Root(lib.root)], RemovalOptions(prune=True), lib.run).plan
    removed = remove(plan, lib.run, dry_run=False, observer=told.append)
    pruned = prune(plan, removed.outcomes, lib.run, dry_run=False, observer=told.append)
    assert removed.summary.counts == {"actions": 1, "done": 1}
    assert pruned.folders == (lib.root / "b",)
    assert pruned.summary.counts == {"pruned": 1}
    assert told == [
        PhaseStarted(Phase.REMOVE, 1),
        ActionFinished(removed.outcomes[0]),
        PhaseAdvanced(Phase.REMOVE),
        PhaseFinished(removed.summary),
        PhaseStarted(Phase.PRUNE, unit="folders"),
        PhaseFinished(pruned.summary),
    ]


def test_a_dry_run_writes_its_plan_and_no_journal(lib: Library) -> None:
    before = snapshot(lib.root)
    plan = plan_removal(RUN, lib.groups(), [Root(lib.root)], RemovalOptions(prune=True), lib.run).plan
    removed = remove(plan, lib.run, dry_run=True)
    pruned = prune(plan, removed.outcomes, lib.run, dry_run=True)
    assert removed.summary.counts == {"actions": 1, "planned": 1}
    assert pruned.folders == ()
    assert snapshot(lib.root) == before
    assert not (lib.run / JOURNAL_NAME).exists()


def test_folders_stay_if_the_plan_does_not_ask_for_their_removal(lib: Library) -> None:
    plan = plan_removal(RUN, lib.groups(), [Root(lib.root)], RemovalOptions(), lib.run).plan
    removed = remove(plan, lib.run, dry_run=False)
    assert prune(plan, removed.outcomes, lib.run, dry_run=False).folders == ()
    assert lib.same.parent.is_dir()
