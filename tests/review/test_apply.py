"""``apply PLAN --decisions FILE``: what was decided on the page of a report is carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.program import Program
from tests.report.test_html import content_of


def decided(page: Path, verdicts: dict[str, str]) -> dict[str, Any]:
    """What the page would save, for the groups that these files are in."""
    content = content_of(page.read_text(encoding="utf-8"))

    def named(number: int) -> dict[str, str]:
        file = content["files"][number]
        return {"path": f"{content['folders'][file['folder']]['name']}/{file['name']}", "digest": file["digest"]}

    groups = []
    for group in content["groups"]:
        names = {member["file"]: content["files"][member["file"]]["name"] for member in group["members"]}
        if set(names.values()) & set(verdicts):
            files = [{**named(file), "decision": verdicts.get(name, "keep")} for file, name in names.items()]
            groups.append({"keeper": named(group["keeper"]), "not_duplicates": False, "files": files})
    return {"version": 1, "run": content["run"], "groups": groups}


def test_a_report_is_decided_on_and_the_decisions_are_applied(program: Program, library: Path) -> None:
    page = program.home / "duplicates.html"
    ended = program.call("deduplicate", library, "--report", page)
    assert ended.code == 0, ended.err
    content = content_of(page.read_text(encoding="utf-8"))
    redundant = [content["files"][member["file"]]["name"] for group in content["groups"] for member in group["members"]]
    assert len(redundant) >= 2
    goes, *stay = redundant
    decisions = program.home / "decisions.json"
    decisions.write_text(json.dumps(decided(page, {goes: "remove"})), encoding="utf-8")
    plan = program.state / "runs" / content["run"] / "plan.json"
    ended = program.call("apply", plan, "--decisions", decisions, "--yes")
    assert ended.code == 0, ended.err
    left = {path.name for path in library.rglob("*") if ".py-image-dedup-quarantine" not in path.parts}
    assert goes not in left
    assert set(stay) <= left
    assert program.call("undo").code == 0
    assert goes in {path.name for path in library.rglob("*")}


def test_decisions_about_another_run_change_nothing(program: Program, library: Path) -> None:
    page = program.home / "duplicates.html"
    program.call("deduplicate", library, "--report", page)
    content = content_of(page.read_text(encoding="utf-8"))
    before = sorted(library.rglob("*"))
    decisions = program.home / "decisions.json"
    decisions.write_text(json.dumps(decided(page, {}) | {"run": "another"}), encoding="utf-8")
    plan = program.state / "runs" / content["run"] / "plan.json"
    ended = program.call("apply", plan, "--decisions", decisions, "--yes")
    assert ended.code == 1
    assert "the decisions are on the run another" in ended.err
    assert sorted(library.rglob("*")) == before
