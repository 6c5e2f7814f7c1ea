"""Random libraries, random groups, random actions, killed or not: nothing is lost and an undo gives the tree back."""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import ActionKind, OutcomeStatus, Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.folders import prune
from py_image_dedup.removal.journal import Step
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions, check_plan, make_plan
from py_image_dedup.removal.serialization import plan_from_text, plan_to_text
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import RUN, contents, group, put, snapshot

ROOTS = ("one", "two", "one/inner", "safe")
FOLDERS = ("", "a", "a/b", "c d", os.fsdecode(b"\xff"))
NAMES = ("x.jpg", "y [1].jpg", "x (2).jpg", os.fsdecode(b"caf\xe9.png"), "ä", ".hidden.jpg")


@dataclass(frozen=True)
class Drawn:
    """What to build: files as (root, folder, name) to content, how they are grouped, and what happens to them."""

    files: dict[tuple[str, str, str], int]
    order: list[tuple[str, str, str]]
    cuts: list[int]
    action: ActionChoice
    target: str | None
    protect: bool
    prune: bool


@st.composite
def libraries(draw: st.DrawFn) -> Drawn:
    place = st.tuples(st.sampled_from(ROOTS), st.sampled_from(FOLDERS), st.sampled_from(NAMES))
    files = draw(st.dictionaries(place, st.integers(0, 3), min_size=2, max_size=14))
    order = draw(st.permutations(sorted(files)))
    cuts = sorted(draw(st.sets(st.integers(1, len(files) - 1), max_size=4)))
    action = draw(st.sampled_from([ActionChoice.AUTO, ActionChoice.HARDLINK, ActionChoice.MOVE]))
    target = draw(st.sampled_from([None, "out", "one/removed"]))
    if action is ActionChoice.MOVE and target is None:
        target = "out"
    return Drawn(files, order, cuts, action, target, draw(st.booleans()), draw(st.booleans()))


def build(drawn: Drawn, top: Path) -> Plan:
    paths: dict[tuple[str, str, str], Path] = {}
    for number, ((root, folder, name), content) in enumerate(sorted(drawn.files.items())):
        body = f"content {content}".encode() * (content + 1)
        paths[root, folder, name] = put(top / root / folder / name, body, 10**18 + number % 3, 0o600 + number % 8)
    for root in ROOTS:
        (top / root).mkdir(parents=True, exist_ok=True)
    bounds = [0, *drawn.cuts, len(drawn.order)]
    pieces = [drawn.order[start:end] for start, end in itertools.pairwise(bounds)]
    groups: list[RankedGroup] = [group(*(paths[place] for place in piece)) for piece in pieces if len(piece) > 1]
    roots = [Root(top / root, protected=drawn.protect and root == "safe") for root in ROOTS]
    options = RemovalOptions(drawn.action, drawn.target and top / drawn.target, prune=drawn.prune)  # type: ignore[arg-type]
    return make_plan(RUN, groups, roots, options, taken=os.path.lexists)


def remove(plan: Plan, run: Path, step: Step) -> None:
    outcomes = execute(plan, run, step=step)
    if plan.prune:
        prune(plan, outcomes, run, step=step)


RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@RELAXED
@given(libraries())
def test_a_run_keeps_every_picture_and_an_undo_gives_the_tree_back(drawn: Drawn) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top, run = Path(folder) / "top", Path(folder) / "run"
        plan = build(drawn, top)
        assume(plan.actions)
        before = snapshot(top)
        check_plan(plan)
        assert plan_from_text(plan_to_text(plan)) == plan
        outcomes = execute(plan, run)
        assert {one.status for one in outcomes} <= {OutcomeStatus.DONE}
        assert contents(top) == {seen.content for seen in before.values() if seen}
        for outcome in outcomes:
            action = outcome.action
            assert action.keeper.path.exists()
            assert str(top / "safe") not in str(action.source.path) or not drawn.protect
            gone = action.kind is not ActionKind.HARDLINK
            assert os.path.lexists(action.source.path) is not gone
            assert outcome.target is None or outcome.target.exists()
        if plan.prune:
            prune(plan, outcomes, run)
        undone = undo(run)
        assert {one.status for one in undone} <= {OutcomeStatus.DONE}
        assert snapshot(top) == before


@settings(RELAXED, max_examples=25)
@given(libraries(), st.integers(1, 80), st.integers(1, 40))
def test_kills_anywhere_lose_nothing_and_the_tree_comes_back(drawn: Drawn, first: int, second: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top, run = Path(folder) / "top", Path(folder) / "run"
        plan = build(drawn, top)
        assume(plan.actions)
        before = snapshot(top)
        pictures = {seen.content for seen in before.values() if seen}
        killed_at(first, lambda step: remove(plan, run, step))
        assert pictures <= contents(top)
        killed_at(second, lambda step: remove(plan, run, step))
        assert pictures <= contents(top)
        killed_at(second, lambda step: undo(run, step=step))
        assert pictures <= contents(top)
        undo(run)
        assert snapshot(top) == before
