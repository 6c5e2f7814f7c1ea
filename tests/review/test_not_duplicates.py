"""What a user marked as not duplicates is remembered by content, and not offered or removed again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from py_image_dedup.matching.rejections import (
    REJECTIONS_NAME,
    Rejection,
    Rejections,
    RejectionsError,
    load_rejections,
    save_rejections,
)
from py_image_dedup.model.result import RunResult
from tests.cli.program import Program
from tests.review.reviews import Review, served
from tests.support.libraries import Library
from tests.support.pictures import picture, write

PROJECT = Path(__file__).resolve().parents[2]
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A wood, and the same wood as a message."""
    library = Library(tmp_path)
    library.add("2019/wood.jpg", 2)
    library.add("sent/wood small.jpg", 2, quality=60)
    return library


def rejection(result: RunResult) -> Rejection:
    (group,) = result.groups
    entries = [group.keeper, *(each.entry for each in group.redundant)]
    return Rejection(WHEN, tuple((entry.digest or b"", entry.stat.path.name) for entry in entries))


def remembered(library: Library) -> Rejections:
    return load_rejections(library.state / REJECTIONS_NAME)


def test_it_is_not_matched_again_wherever_it_is_moved(library: Library) -> None:
    save_rejections(Rejections([rejection(library.run())]), library.state / REJECTIONS_NAME)
    (library.photos / "moved").mkdir()
    (library.photos / "sent" / "wood small.jpg").rename(library.photos / "moved" / "renamed.jpg")
    before = library.files()
    result = library.run(dry_run=False)
    assert (result.error, result.groups, result.reported, result.outcomes) == (None, (), (), ())
    assert library.files() == before


def test_a_new_picture_that_joins_is_offered(library: Library) -> None:
    save_rejections(Rejections([rejection(library.run())]), library.state / REJECTIONS_NAME)
    library.add("new/wood again.jpg", 2, quality=40)
    result = library.run()
    offered = {each.entry.stat.path.name for group in result.groups for each in group.redundant}
    assert "wood again.jpg" in offered
    assert {"wood.jpg", "wood small.jpg"} > offered - {"wood again.jpg"}
    for group in result.groups:
        names = {group.keeper.stat.path.name, *(each.entry.stat.path.name for each in group.redundant)}
        assert not names >= {"wood.jpg", "wood small.jpg"}


def test_files_with_the_same_bytes_are_duplicates_whatever_was_said(library: Library) -> None:
    save_rejections(Rejections([rejection(library.run())]), library.state / REJECTIONS_NAME)
    library.copy(library.photos / "2019" / "wood.jpg", "copies/wood copy.jpg")
    (group,) = library.run().groups
    assert [each.match.match_class for each in group.redundant] == ["identical"]


def test_a_file_that_cannot_be_read_stops_the_run_before_anything_goes(library: Library) -> None:
    library.state.mkdir()
    (library.state / REJECTIONS_NAME).write_text("[]", encoding="utf-8")
    before = library.files()
    result = library.run(dry_run=False)
    assert "holds no decisions of this program" in (result.error or "")
    assert library.files() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2, "groups": []}', '{"version": 1, "groups": [{}]}'])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(RejectionsError, match=r"x\.json"):
        load_rejections(tmp_path / "x.json")


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    kept = Rejections([Rejection(WHEN, ((b"a" * 32, "a.jpg"), (b"b" * 32, "b\ufffd.jpg")))])
    save_rejections(kept, tmp_path / "x.json")
    assert load_rejections(tmp_path / "x.json").entries == kept.entries
    assert load_rejections(tmp_path / "none.json").entries == ()


def test_what_is_saved_keeps_to_the_schema_and_names_the_place_where_it_does_not(tmp_path: Path) -> None:
    save_rejections(Rejections([Rejection(WHEN, ((b"a" * 32, "a.jpg"), (b"b" * 32, "b.jpg")))]), tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    schema = PROJECT / "docs" / "schemas" / "not-duplicates.schema.json"
    jsonschema.validate(json.loads(text), json.loads(schema.read_text(encoding="utf-8")))
    (tmp_path / "x.json").write_text(text.replace("62" * 32, "62"), encoding="utf-8")
    with pytest.raises(RejectionsError, match=r"\$\.groups\[0\]\.files\[1\]\.digest"):
        load_rejections(tmp_path / "x.json")


def not_duplicates(review: Review) -> dict[str, object]:
    decided = review.decisions(wood="remove", wood_small="remove")
    for group in decided["groups"]:
        group["not_duplicates"] = True
        for file in group["files"]:
            file["decision"] = "keep"
    return decided


def test_the_review_remembers_it_and_an_undo_forgets_it(library: Library) -> None:
    with served(library) as review:
        assert review.ask("/apply", "POST", not_duplicates(review)).status == 200
        (step,) = review.idle()["applied"]
        assert (step["done"], step["failed"], step["groups"]) == (0, 0, [0])
        (entry,) = remembered(library).entries
        assert {name for _, name in entry.contents} == {"wood.jpg", "wood small.jpg"}
        assert review.ask("/undo", "POST", {"run": step["run"]}).status == 200
        assert review.idle()["applied"][0]["undone"] is True
        assert remembered(library).entries == ()


def test_the_command_lists_forgets_exports_and_imports(program: Program, tmp_path: Path) -> None:
    folder = program.home / "Pictures"
    write(folder / "wood.jpg", picture(2, 640, 480))
    write(folder / "small.jpg", picture(2, 640, 480), quality=60)
    shown = json.loads(program.call("deduplicate", folder, "--output", "json").out)
    (group,) = shown["groups"]
    files = [{"path": each["path"], "digest": each["digest"]} for each in (group["keeper"], *group["redundant"])]
    decisions = {
        "version": 1,
        "run": shown["run"],
        "groups": [
            {"keeper": files[0], "not_duplicates": True, "files": [{**files[1], "decision": "keep"}]},
        ],
    }
    (program.home / "decisions.json").write_text(json.dumps(decisions), encoding="utf-8")
    plan = program.state / "runs" / shown["run"] / "plan.json"
    assert program.call("apply", plan, "--decisions", program.home / "decisions.json", "--yes").code == 0
    listed = program.call("decisions", "list")
    assert listed.out.startswith("1  ")
    assert "wood.jpg" in listed.out
    assert json.loads(program.call("deduplicate", folder, "--output", "json").out)["groups"] == []
    assert program.call("decisions", "export", program.home / "kept.json").code == 0
    assert program.call("decisions", "forget", "2").code == 2
    assert program.call("decisions", "forget", "1").code == 0
    assert program.call("decisions", "list").out == ""
    assert len(json.loads(program.call("deduplicate", folder, "--output", "json").out)["groups"]) == 1
    assert program.call("decisions", "import", program.home / "kept.json").code == 0
    assert "wood.jpg" in program.call("decisions", "list").out
