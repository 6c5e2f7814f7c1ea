from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import ActionKind, Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.folders import prune
from py_image_dedup.removal.journal import JOURNAL_NAME
from py_image_dedup.removal.plan import PlanError
from py_image_dedup.removal.quarantine import list_quarantine, plan_expiry
from py_image_dedup.removal.serialization import load_plan, plan_from_text, plan_to_text, save_plan
from py_image_dedup.removal.undo import undo
from tests.removal.library import group, in_days, plan, put

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / name).read_text(encoding="utf-8")))


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    root, safe = tmp_path / "photos", tmp_path / "safe"
    keeper = put(safe / "keeper.jpg", b"k" * 50)
    odd = put(root / os.fsdecode(b"caf\xe9 [1].jpg"), b"k" * 50)
    like = put(root / "b" / "ä.jpg", b"l" * 40)
    return plan([Root(root), Root(safe, protected=True)], [group(keeper, odd, like)], prune=True)


def test_a_saved_plan_is_the_same_when_it_is_loaded(made: Plan, tmp_path: Path) -> None:
    save_plan(made, tmp_path / "runs" / "x" / "plan.json")
    assert load_plan(tmp_path / "runs" / "x" / "plan.json") == made
    assert len(made.actions) == 2


def test_a_plan_is_as_its_schema_says(made: Plan) -> None:
    schema("plan.schema.json").validate(json.loads(plan_to_text(made)))


def test_a_plan_shows_what_cannot_be_undone(made: Plan) -> None:
    deleted = tuple(replace(one, kind=ActionKind.DELETE, target=None) for one in made.actions)
    actions = json.loads(plan_to_text(replace(made, actions=deleted)))["actions"]
    assert [(one["class"], one["can_be_undone"]) for one in actions] == [("identical", True), ("similar", False)]


def test_a_name_that_is_no_utf8_has_its_bytes_beside_it(made: Plan) -> None:
    (source, other) = (action["source"] for action in json.loads(plan_to_text(made))["actions"])
    assert source["path"].endswith("caf\ufffd [1].jpg")
    assert "path_bytes" in source
    assert "path_bytes" not in other


def test_a_line_taken_out_is_an_action_that_is_not_done(made: Plan) -> None:
    lines = plan_to_text(made).splitlines()
    (first,) = (number for number, line in enumerate(lines) if '"number": 1,' in line)
    edited = plan_from_text("\n".join(lines[:first] + lines[first + 1 :]))
    assert edited.actions == made.actions[1:]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda form: form.update(version=2), "version 2"),
        (lambda form: form.update(run="../up"), "run name"),
        (lambda form: form.pop("actions"), r"^\$\.actions is missing$"),
        (lambda form: form.update(actions={}), r"^\$\.actions must be a list, not an object$"),
        (lambda form: form.pop("version"), r"^\$\.version is missing$"),
        (
            lambda form: form["actions"][0].update(number="1"),
            r"^\$\.actions\[0\]\.number must be a whole number, not a text$",
        ),
        (lambda form: form["actions"][0].update(number=0), r"^\$\.actions\[0\]\.number must be a whole number >= 1$"),
        (
            lambda form: form["actions"][1].update(target=7),
            r"^\$\.actions\[1\]\.target must be an object or null, not a whole number$",
        ),
        (lambda form: form["actions"][0].update(action="burn"), r"actions\[0\].action must be one of move, quarantine"),
        (
            lambda form: form["actions"][0]["source"].update(size="7"),
            r"actions\[0\].source.size must be a whole number",
        ),
        (
            lambda form: form["actions"][0]["source"].update(size=True),
            r"actions\[0\].source.size must be a whole number",
        ),
        (lambda form: form["actions"][0]["source"].update(digest="xy"), "hexadecimal"),
        (lambda form: form["actions"][0]["source"].update(path="/photos/x.jpg"), "path_bytes"),
        (lambda form: form["actions"][0]["source"].update(path_bytes="!"), "base64"),
        (lambda form: form["actions"][0].update(keeper=None), r"actions\[0\].keeper must be an object"),
        (lambda form: form["actions"][1].update(number=1), "same number"),
        (lambda form: form["actions"][1].update(target=None), "needs a target"),
        (lambda form: form["actions"][1].update(action="delete"), "has no target"),
        (lambda form: form["actions"][1].update(action="hardlink", target=None), "only an identical file"),
        (lambda form: form["actions"][1].update({"class": "identical"}), "not identical"),
        (lambda form: form["actions"][1].update(target={"path": "/elsewhere/x"}), "must be under its root"),
        (lambda form: form["actions"][1]["target"].update(path="relative"), "no absolute path"),
        (lambda form: form["actions"][1]["target"].update(path="/a/../b"), "no absolute path"),
        (lambda form: form["actions"].append(form["actions"][0] | {"number": 9}), "source of two actions"),
        (lambda form: form["roots"][0].update(protected=True), "under a protected folder"),
        (lambda form: form.update(roots=form["roots"][1:]), "not under its root"),
    ],
)
def test_a_plan_edited_into_a_dangerous_one_is_refused(made: Plan, edit: object, words: str) -> None:
    form = json.loads(plan_to_text(made))
    edit(form)  # type: ignore[operator]
    with pytest.raises(PlanError, match=words):
        plan_from_text(json.dumps(form))


def test_what_is_not_json_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"version": 1,\n "run" oh}', encoding="utf-8")
    with pytest.raises(PlanError, match=r"plan\.json: line 2, column 8: not JSON"):
        load_plan(tmp_path / "plan.json")


def test_every_line_of_a_journal_is_as_its_schema_says(made: Plan, tmp_path: Path) -> None:
    run = tmp_path / "runs" / made.run
    outcomes = execute(made, run)
    prune(made, outcomes, run)
    undo(run)
    execute(made, run)
    runs = tmp_path / "runs"
    later = Plan("later", made.roots, (), protected=made.protected)
    waiting = list_quarantine(made.roots, runs)
    expiry = plan_expiry(later, waiting, runs, timedelta(days=30), in_days(31)).plan
    schema("plan.schema.json").validate(json.loads(plan_to_text(expiry)))
    assert plan_from_text(plan_to_text(expiry)) == expiry
    assert [one.status.value for one in execute(expiry, runs / "later")] == ["done"]
    check = schema("journal.schema.json")
    kinds = set()
    for journal in (run / JOURNAL_NAME, runs / "later" / JOURNAL_NAME):
        for line in journal.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            check.validate(record)
            kinds.add(record["kind"])
    assert kinds == {
        "opened",
        "folder",
        "intent",
        "outcome",
        "prune",
        "pruned",
        "undo",
        "undone",
        "restored",
        "expire",
        "expired",
    }
