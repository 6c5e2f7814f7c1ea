from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from py_image_dedup.model.inspection import Inspection, Original, Outcome, Region, RegionKind, Side
from py_image_dedup.model.match import Evidence
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report import result_json
from py_image_dedup.report.result_json import (
    ResultFileError,
    as_dict,
    as_json,
    from_dict,
    json_parts,
    load_result,
    write_result,
)
from tests.report.results import GROUP, IDENTICAL, PARTIAL, ROOT, TURNED, entry, film, result

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs/schemas/result.schema.json").read_text())

PLANNED, DONE, SKIPPED, FAILED = OutcomeStatus
INSPECTION = Inspection(
    Outcome.MORE,
    "it has frames that the keeper lacks",
    (Region(1, 2, 30, 40, RegionKind.ADDED, 0.25),),
    ("frames",),
    Original(Side.RIGHT, sure=True, reason="A was made from B"),
)
RESULTS = {
    "a dry run": result(PLANNED, PLANNED),
    "a real run": result(DONE, SKIPPED, dry_run=False, messages=("", "it changed")),
    "an empty run": result(groups=(), failures=()),
    "an interrupted run": result(interrupted=True),
    "a failed run": replace(result(), error="the disk is full"),
    "a saved plan": replace(result(DONE, FAILED, dry_run=False, messages=("", "no permission")), groups=()),
    "partial matches": replace(result(), reported=(PARTIAL,)),
    "names that are not UTF-8": replace(
        result(), roots=(ROOT, Path("/mnt/\udcff")), pruned_folders=(Path("/mnt/\udcff/a"),)
    ),
    "a video": replace(result(), reported=(replace(PARTIAL, right=film("x.mp4")),)),
    "an unreadable copy": replace(
        result(), reported=(replace(PARTIAL, right=replace(entry("x"), facts=None, digest=None)),)
    ),
}


@pytest.fixture(params=RESULTS.values(), ids=list(RESULTS))
def example(request: pytest.FixtureRequest) -> RunResult:
    found: RunResult = request.param
    return found


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_result_keeps_to_the_schema(example: RunResult) -> None:
    jsonschema.validate(json.loads(as_json(example)), SCHEMA)


def test_a_result_survives_the_way_to_json_and_back(example: RunResult) -> None:
    assert from_dict(json.loads(as_json(example))) == example


@pytest.mark.parametrize(
    ("change", "value"), [("version", 2), ("groups", None), ("extra", 1), ("failures", [{"path": "/a"}])]
)
def test_the_schema_refuses_what_is_no_result(change: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**as_dict(result()), change: value}, SCHEMA)


def test_a_redundant_file_says_what_is_known_and_what_happens() -> None:
    found = as_dict(result(DONE, PLANNED))["groups"][0]["redundant"]
    assert (found[0]["class"], found[0]["distance"], found[0]["action"]) == ("identical", 0, "delete")
    assert (found[0]["outcome"], found[0]["target"]) == ("done", None)
    assert (found[1]["class"], found[1]["distance"], found[1]["orientation"]) == ("similar", 0.0712, "rotate-90")
    assert (found[1]["action"], found[1]["outcome"]) == ("quarantine", "planned")
    assert found[1]["target"] == str(ROOT / ".quarantine/run/x.jpg")
    assert (found[2]["action"], found[2]["outcome"]) == (None, None)


def test_the_keepers_reason_is_the_one_against_the_runner_up() -> None:
    assert as_dict(result())["groups"][0]["keeper"]["reason"] == {
        "rule": "shorter-folder-path",
        "keeper": "24 characters",
        "redundant": "26 characters",
        "sentence": "shorter folder (24 characters, the other has 26)",
    }


def test_a_path_that_is_not_utf8_has_its_bytes_beside_it() -> None:
    found = as_dict(result())["groups"][0]["redundant"]
    assert "path_bytes" not in found[0]
    assert base64.b64decode(found[1]["path_bytes"]) == bytes(ROOT) + b"/wh\xffats\x1b[31m\napp/x.jpg"
    assert found[1]["path"] == f"{ROOT}/wh\ufffdats\x1b[31m\napp/x.jpg"


def test_totals_count_what_is_removed_or_would_be() -> None:
    sizes = IDENTICAL.entry.stat.size, TURNED.entry.stat.size
    dry = as_dict(result(PLANNED, PLANNED))["totals"]
    assert (dry["groups"], dry["redundant"], dry["bytes_reclaimable"]) == (1, 3, sum(sizes))
    assert dry["bytes_redundant"] == sum(sizes) + 9_000_000
    assert dry["failures"] == {"truncated": 8, "no-permission": 1}
    half = as_dict(result(DONE, SKIPPED))["totals"]
    assert half["bytes_reclaimable"] == sizes[0]
    assert half["outcomes"] == {"done": 1, "skipped": 1}


def test_a_written_file_can_be_read(tmp_path: Path) -> None:
    write_result(result(DONE, DONE), tmp_path / "result.json")
    assert load_result(tmp_path / "result.json") == result(DONE, DONE)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_failed_write_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "result.json"
    write_result(result(), file)
    before = file.read_bytes()

    def full(written: RunResult) -> Iterator[str]:
        yield from islice(json_parts(written), 5)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result_json, "json_parts", full)
    with pytest.raises(OSError, match="No space left"):
        write_result(result(DONE, DONE), file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_result_of_an_earlier_version_is_read() -> None:
    earlier = replace(
        result(DONE, FAILED, dry_run=False, messages=("", "no permission")),
        roots=(ROOT, Path("/mnt/\udcff")),
        reported=(PARTIAL, replace(PARTIAL, inspection=INSPECTION)),
        pruned_folders=(ROOT / "empty",),
    )
    assert load_result(Path(__file__).parent / "files" / "result.json") == earlier


def test_evidence_of_an_earlier_version_is_read_in_the_words_of_this_one() -> None:
    form = as_dict(replace(result(), reported=(replace(PARTIAL, evidence=Evidence(("turned 90°", "with a border"))),)))
    (match,) = from_dict(form).reported
    assert match.evidence == Evidence(("rotated 90°", "with a border"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda form: form["groups"][0]["redundant"][0].update(distance=2),
            r"\$\.groups\[0\]\.redundant\[0\]\.distance must be a number <= 1\.0",
        ),
        (lambda form: form["groups"][0]["keeper"].pop("size"), r"\$\.groups\[0\]\.keeper\.size is missing"),
        (
            lambda form: form["phases"][0].update(name="nap"),
            r"\$\.phases\[0\]\.name must be one of count, cleanup, .*; it is 'nap'",
        ),
        (lambda form: form.update(started="today"), r"\$\.started: Invalid RFC3339"),
    ],
)
def test_an_edited_result_is_refused_with_the_place(tmp_path: Path, edit: Callable[[Any], Any], message: str) -> None:
    form = as_dict(result())
    edit(form)
    (tmp_path / "x.json").write_text(json.dumps(form), encoding="utf-8")
    with pytest.raises(ResultFileError, match=message) as caught:
        load_result(tmp_path / "x.json")
    assert str(tmp_path / "x.json") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "is not JSON"),
        ("[]", "is not the result of a run"),
        ("{}", "it is not the result of a run"),
        ('{"version": 2}', "version 2, this program reads 1"),
        ('{"version": 1}', "not the complete result"),
    ],
)
def test_a_file_that_is_no_result_is_refused_with_its_name(tmp_path: Path, text: str, cause: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(ResultFileError, match=cause) as caught:
        load_result(file)
    assert "x.json" in str(caught.value)


def test_the_text_of_a_large_result_is_never_in_memory() -> None:
    large = replace(result(), groups=(GROUP,) * 3000)
    tracemalloc.start()
    try:
        size = sum(map(len, json_parts(large)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 8_000_000
    assert peak < 500_000
