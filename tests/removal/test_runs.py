from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from py_image_dedup.model.plan import OutcomeStatus, Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.quarantine import list_quarantine, plan_expiry
from py_image_dedup.removal.runs import list_runs
from py_image_dedup.removal.serialization import save_plan
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import group, in_days, plan, put


def test_a_state_directory_without_runs_has_none(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == ()


def test_every_run_tells_what_became_of_it(tmp_path: Path) -> None:
    root, runs = tmp_path / "photos", tmp_path / "runs"

    def run(name: str, number: int) -> tuple[Path, object]:
        keeper = put(root / name / "keeper.jpg", b"best" * 30 + name.encode())
        same = put(root / name / "same.jpg", keeper.read_bytes())
        like = put(root / name / "like.jpg", b"like" * 20 + name.encode())
        made = replace(plan([root], [group(keeper, same, like)]), run=name)
        made = replace(
            made,
            actions=tuple(
                one if one.target is None else replace(one, target=root / ".py-image-dedup-quarantine" / name / "x.jpg")
                for one in made.actions
            ),
        )
        save_plan(made, runs / name / "plan.json")
        if number:
            execute(made, runs / name)
        return runs / name, made

    run("1-dry", 0)
    run("2-done", 1)
    undo(run("3-undone", 1)[0])
    folder, made = run("4-killed", 0)
    assert killed_at(4, lambda step: execute(made, folder, step=step))  # type: ignore[arg-type]
    folder, made = run("5-stopped", 0)
    answers = iter([False, False, True])
    execute(made, folder, should_stop=lambda: next(answers, True))  # type: ignore[arg-type]
    (runs / "6-broken").mkdir()
    (runs / "6-broken" / "plan.json").write_text("{")
    (runs / "7-nothing").mkdir()
    found = {one.run: one for one in list_runs(tmp_path)}
    assert sorted(found) == ["1-dry", "2-done", "3-undone", "4-killed", "5-stopped", "6-broken"]
    dry, done, undone, killed, stopped, broken = (found[name] for name in sorted(found))
    assert (dry.dry_run, dry.planned, dry.counts, dry.interrupted) == (True, 2, {}, False)
    assert (done.dry_run, done.planned, done.counts) == (False, 2, {OutcomeStatus.DONE: 2})
    assert (done.interrupted, done.is_undone, done.undone) == (False, False, 0)
    assert (undone.is_undone, undone.undone, undone.interrupted) == (True, 2, False)
    assert (killed.interrupted, killed.planned) == (True, 2)
    assert (stopped.interrupted, stopped.planned, stopped.counts) == (True, 2, {OutcomeStatus.DONE: 1})
    assert "not JSON" in broken.problem
    assert [one.when for one in list_runs(tmp_path)] == sorted(one.when for one in found.values())
    later = Plan("8-later", (root,), ())
    expiry = plan_expiry(later, list_quarantine([root], runs), runs, timedelta(days=30), in_days(31)).plan
    expiry = replace(expiry, actions=tuple(one for one in expiry.actions if "2-done" in one.source.path.parts))
    execute(expiry, runs / "8-later")
    assert {one.run: one.expired for one in list_runs(tmp_path)}["2-done"] == 1


def test_a_run_that_deleted_from_the_quarantine_says_so(tmp_path: Path) -> None:
    root, runs = tmp_path / "photos", tmp_path / "runs"
    keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    made = plan([root], [group(keeper, like)])
    execute(made, runs / made.run)
    later = Plan("later", (root,), ())
    expiry = plan_expiry(later, list_quarantine([root], runs), runs, timedelta(days=30), in_days(31)).plan
    execute(expiry, runs / "later")
    first, second = list_runs(tmp_path)
    assert (first.counts, first.expired, first.deleted_from_quarantine) == ({OutcomeStatus.DONE: 1}, 1, 0)
    assert (second.counts, second.expired, second.deleted_from_quarantine) == ({}, 0, 1)


def test_a_run_of_an_edited_plan_is_finished_when_all_that_was_left_in_it_is_done(tmp_path: Path) -> None:
    root, runs = tmp_path / "photos", tmp_path / "runs"
    keeper = put(root / "keeper.jpg", b"best" * 30)
    same, like = put(root / "same.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    made = plan([root], [group(keeper, same, like)])
    save_plan(made, runs / made.run / "plan.json")
    execute(replace(made, actions=made.actions[1:]), runs / made.run)
    (summary,) = list_runs(tmp_path)
    assert (summary.planned, summary.interrupted) == (1, False)
