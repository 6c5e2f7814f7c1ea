"""Reports for other programs: a table, lists of names, groups, and a script that is really run."""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.plan import ActionKind, Kept, OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.lists import COLUMNS, quoted, write_groups, write_lists, write_script, write_table
from tests.report import results
from tests.report.results import PARTIAL, ROOT, entry, film, result

HOSTILE = (
    "plain.jpg", "with space.jpg", "comma, and.jpg", "it's.jpg", '"quoted".jpg', "$(touch evil).jpg", "`id`.jpg",
    "-rf.jpg", "line\nbreak.jpg", "tab\t.jpg", "back\\slash.jpg", "not\udcffutf8.jpg", " space.jpg ", "a: b.jpg",
    "bidi\u202e.jpg", "*?.jpg", "\u00e4\u00f6\u00fc.jpg", "%s.jpg", "!x.jpg", "\x1b[31mred.jpg",
)  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_has_one_row_for_each_file(tmp_path: Path) -> None:
    run = replace(result(OutcomeStatus.PLANNED, OutcomeStatus.PLANNED), reported=(PARTIAL,))
    write_table(run, tmp_path / "x.csv")
    found = rows(tmp_path / "x.csv")
    assert tuple(found[0]) == COLUMNS
    assert [(row["group"], row["role"]) for row in found] == [
        ("1", "keeper"), ("1", "redundant"), ("1", "redundant"), ("1", "redundant"), ("", "match"),
        *[("", "unreadable")] * 9,
    ]  # fmt: skip
    turned = found[2]
    assert turned["keeper"] == str(results.KEEPER.stat.path)
    columns = ("class", "distance", "size", "width", "height", "format", "action", "outcome")
    assert [turned[name] for name in columns] == [
        "similar", "0.0712", "310000", "1200", "1600", "JPEG", "quarantine", "planned",
    ]  # fmt: skip
    assert turned["captured"] == "2020-01-02T03:04:05"
    assert turned["modified"] == "2023-11-14T22:13:20+00:00"
    assert turned["reason"] == "Kept: higher pixel count (4000 x 3000, the other has 1200 x 1600)"
    assert os.fsdecode(base64.b64decode(turned["path_bytes"])) == str(results.TURNED.entry.stat.path)
    assert found[1]["path_bytes"] == ""
    assert found[-2]["reason"] == "it ends after 7 bytes"


def test_the_table_lists_files_of_actions_outside_of_groups(tmp_path: Path) -> None:
    run = replace(
        result(OutcomeStatus.DONE, OutcomeStatus.SKIPPED, groups=(), failures=()),
        kept_in_quarantine=(Kept(ROOT / "kept.jpg", "no whole keeper is left"),),
    )
    expired = replace(run.outcomes[0], action=replace(run.outcomes[0].action, kind=ActionKind.EXPIRE))
    write_table(replace(run, outcomes=(*run.outcomes[1:], expired)), tmp_path / "x.csv")
    found = rows(tmp_path / "x.csv")
    columns = ("role", "path", "keeper", "class", "action", "outcome", "size", "reason")
    keeper, first, second = (each.stat for each in (results.KEEPER, results.IDENTICAL.entry, results.TURNED.entry))
    second_path = os.fsencode(second.path).decode("utf-8", "replace")
    assert [[row[name] for name in columns] for row in found] == [
        ["redundant", second_path, str(keeper.path), "similar", "quarantine", "skipped", "310000",
         run.outcomes[1].message],
        ["quarantine", str(first.path), str(keeper.path), "identical", "expire", "done", "3250000", ""],
        ["quarantine", f"{ROOT}/kept.jpg", "", "", "", "", "", "no whole keeper is left"],
    ]  # fmt: skip


def test_the_table_has_the_length_codec_frame_rate_and_sound_of_a_video(tmp_path: Path) -> None:
    match = replace(PARTIAL, right=film("x.mp4"))
    write_table(replace(result(groups=(), failures=()), outcomes=(), reported=(match,)), tmp_path / "x.csv")
    found = [[row[name] for name in ("seconds", "codec", "frame_rate", "audio")] for row in rows(tmp_path / "x.csv")]
    assert found == [[""] * 4, ["75.040", "h264", "29.97", "aac, stereo, deu + ac3, 6 channels"]]


def test_the_table_lists_both_files_of_a_match_that_is_only_reported(tmp_path: Path) -> None:
    write_table(replace(result(groups=(), failures=()), outcomes=(), reported=(PARTIAL,)), tmp_path / "x.csv")
    found = [(row["role"], row["path"], row["keeper"]) for row in rows(tmp_path / "x.csv")]
    left, right = str(PARTIAL.left.stat.path), str(PARTIAL.right.stat.path)
    assert found == [("match", left, ""), ("match", right, left)]


def test_a_spreadsheet_takes_no_name_of_a_camera_for_a_formula(tmp_path: Path) -> None:
    facts = results.KEEPER.facts
    assert facts is not None
    keeper = replace(results.KEEPER, facts=replace(facts, camera='=HYPERLINK("http://x")'))
    write_table(replace(result(), groups=(replace(results.GROUP, keeper=keeper),)), tmp_path / "x.csv")
    assert rows(tmp_path / "x.csv")[0]["camera"] == '\'=HYPERLINK("http://x")'


def test_the_groups_are_paths_by_number(tmp_path: Path) -> None:
    write_groups(result(), tmp_path / "groups.json")
    found = json.loads((tmp_path / "groups.json").read_text(encoding="utf-8"))
    files = [results.KEEPER, *(each.entry for each in results.GROUP.redundant)]
    assert found == {"group-1": [str(each.stat.path) for each in files]}
    write_groups(replace(result(), groups=()), tmp_path / "groups.json")
    assert json.loads((tmp_path / "groups.json").read_text(encoding="utf-8")) == {}


def test_the_lists_are_pairs_the_rest_and_what_was_skipped(tmp_path: Path) -> None:
    searched = [
        os.fsencode(ROOT / name) for name in ("zoo.jpg", "2019/IMG_0001.jpg", "copies/IMG_0001 [1].jpg", "a, b.jpg")
    ]
    write_lists(result(), tmp_path, [*searched, os.fsencode(ROOT / "bad1.jpg")])
    duplicates = (tmp_path / "duplicates.txt").read_text(encoding="utf-8").splitlines()
    assert duplicates[0] == f"{ROOT}/copies/IMG_0001 [1].jpg, {ROOT}/2019/IMG_0001.jpg"
    assert duplicates[1] == f'"{ROOT}/wh\\xffats\\u001b[31m\\napp/x.jpg", {ROOT}/2019/IMG_0001.jpg'
    rest = (tmp_path / "non-duplicates.txt").read_text(encoding="utf-8").splitlines()
    assert rest == [f'"{ROOT}/a, b.jpg"', f"{ROOT}/zoo.jpg"]
    skipped = (tmp_path / "skipped_files.txt").read_text(encoding="utf-8").splitlines()
    assert skipped[1] == f"{ROOT}/bad1.jpg: it ends after 1 bytes"
    assert len(skipped) == 9


def test_earlier_lists_are_kept_once(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "duplicates.txt").write_text(text)
        write_lists(result(), tmp_path)
    assert (tmp_path / "duplicates.txt.BACKUP").read_text() == "second"
    assert (tmp_path / "skipped_files.txt.BACKUP").exists()
    assert not (tmp_path / "non-duplicates.txt").exists()  # nobody knows what was searched
    assert not list(tmp_path.glob("*.part"))


def unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    raw = text.replace("\\x", "\\udc")
    found: str = json.loads(raw)
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_quoted_name_is_one_line_and_can_be_read_again(name: str) -> None:
    path = Path("/photos") / name
    text = quoted(path)
    assert len(text.splitlines()) == 1
    assert (", " in text) <= text.startswith('"')
    assert text.encode("utf-8")
    assert unquoted(text) == str(path)


def real_run(folder: Path, *, kind: ActionKind) -> RunResult:
    """A planned run over real files of hostile names, each a copy of one keeper."""
    folder.mkdir()
    keeper = folder / "keeper's.jpg"
    keeper.write_bytes(b"the same bytes")
    match_class = MatchClass.IDENTICAL if kind is ActionKind.DELETE else MatchClass.SIMILAR
    redundant, outcomes = [], []
    kept = replace(entry("x"), stat=replace(entry("x").stat, path=keeper, size=14))
    for number, name in enumerate(HOSTILE, start=1):
        path = folder / name
        path.write_bytes(b"the same bytes")
        one = replace(entry(str(number)), stat=replace(entry("x").stat, path=path, size=14))
        found = Redundant(
            Match(kept, one, match_class), Reason("path", "\n$(touch evil)", "b", "line\nbreak; touch evil")
        )
        target = None if kind is ActionKind.DELETE else folder / "out" / name
        redundant.append(found)
        outcomes.append(results.outcome(number, found, kind, OutcomeStatus.PLANNED, target))
    return replace(result(groups=(RankedGroup(kept, tuple(redundant)),), failures=()), outcomes=tuple(outcomes))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_script(script: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", script], cwd=script.parent, env=os.environ | environment, capture_output=True, check=False, timeout=30
    )


@pytest.mark.parametrize("kind", [ActionKind.DELETE, ActionKind.MOVE])
def test_the_script_does_what_was_planned_whatever_files_are_called(tmp_path: Path, kind: ActionKind) -> None:
    photos = tmp_path / "photos"
    write_script(real_run(photos, kind=kind), tmp_path / "x.sh")
    before = names(photos)
    tried = run_script(tmp_path / "x.sh", DRY_RUN="1")
    assert (tried.returncode, tried.stderr) == (0, b"")
    assert names(photos) == before
    done = run_script(tmp_path / "x.sh")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"%d of %d files done\n" % (len(HOSTILE), len(HOSTILE))
    assert [name for name in names(photos) if name != "out"] == ["keeper's.jpg"]
    if kind is ActionKind.MOVE:
        assert names(photos / "out") == sorted(HOSTILE)
    assert not list(tmp_path.rglob("evil"))
    assert os.access(tmp_path / "x.sh", os.X_OK)


def test_the_script_leaves_alone_what_has_changed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_script(real_run(photos, kind=ActionKind.DELETE), tmp_path / "x.sh")
    (photos / "plain.jpg").write_bytes(b"other bytes now")
    (photos / "it's.jpg").write_bytes(b"other bytes, 1")  # of the same size
    (photos / "-rf.jpg").unlink()
    (photos / "*?.jpg").unlink()
    (photos / "*?.jpg").symlink_to(photos / "keeper's.jpg")
    (photos / "%s.jpg").unlink()
    (photos / "%s.jpg").hardlink_to(photos / "keeper's.jpg")
    done = run_script(tmp_path / "x.sh")
    assert done.stdout == b"%d of %d files done\n" % (len(HOSTILE) - 5, len(HOSTILE))
    assert done.stderr.count(b"left alone") == 5
    left = {"plain.jpg", "it's.jpg", "*?.jpg", "%s.jpg", "keeper's.jpg"}
    assert set(names(photos)) == left
    (photos / "keeper's.jpg").unlink()
    assert run_script(tmp_path / "x.sh").stdout.startswith(b"0 of ")


def photo_of_two_files(folder: Path, kinds: tuple[ActionKind, ActionKind]) -> RunResult:
    """A planned run that removes a JPEG and its RAW file, which are one photo and copies of two keepers."""
    groups, outcomes = [], []
    for number, (suffix, kind) in enumerate(zip(("jpg", "raw"), kinds, strict=True), start=1):
        kept, one = (
            replace(entry(f"{name}{number}"), stat=replace(entry("x").stat, path=folder / f"{name}.{suffix}", size=3))
            for name in ("keeper", "copy")
        )
        for each in (kept, one):
            each.stat.path.write_bytes(b"%3d" % number)
        found = Redundant(Match(kept, one, MatchClass.IDENTICAL), Reason("path", "a", "b"))
        target = None if kind is ActionKind.DELETE else folder / "out" / one.stat.path.name
        planned = results.outcome(number, found, kind, OutcomeStatus.PLANNED, target)
        outcomes.append(replace(planned, action=replace(planned.action, group=number, unit=1, parts=2)))
        groups.append(RankedGroup(kept, (found,)))
    return replace(result(groups=tuple(groups), failures=()), outcomes=tuple(outcomes))


@pytest.mark.parametrize("in_groups", [True, False])
@pytest.mark.parametrize("kind", [ActionKind.DELETE, ActionKind.MOVE])
def test_the_script_removes_all_files_of_a_photo(tmp_path: Path, kind: ActionKind, in_groups: bool) -> None:
    run = photo_of_two_files(tmp_path, (kind, kind))
    write_script(run if in_groups else replace(run, groups=()), tmp_path / "x.sh")
    assert len(run_script(tmp_path / "x.sh", DRY_RUN="1").stdout.splitlines()) == 3
    done = run_script(tmp_path / "x.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"2 of 2 files done\n", b"")
    assert not list(tmp_path.glob("copy.*"))
    assert len(list(tmp_path.glob("out/*"))) == (2 if kind is ActionKind.MOVE else 0)


@pytest.mark.parametrize("changed", ["copy.jpg", "copy.raw", "keeper.jpg", "keeper.raw"])
def test_the_script_removes_no_file_of_a_photo_of_which_one_must_stay(tmp_path: Path, changed: str) -> None:
    write_script(photo_of_two_files(tmp_path, (ActionKind.DELETE, ActionKind.MOVE)), tmp_path / "x.sh")
    (tmp_path / changed).write_bytes(b"other bytes now")
    before = names(tmp_path)
    done = run_script(tmp_path / "x.sh")
    assert done.stdout == b"0 of 2 files done\n"
    assert b"so are the other files of this photo" in done.stderr
    assert names(tmp_path) == before


def test_the_script_stops_at_the_first_failure_within_a_photo_and_says_so(tmp_path: Path) -> None:
    write_script(photo_of_two_files(tmp_path, (ActionKind.MOVE, ActionKind.MOVE)), tmp_path / "x.sh")
    (tmp_path / "out").write_bytes(b"no folder")
    done = run_script(tmp_path / "x.sh")
    assert done.stdout == b"0 of 2 files done\n"
    assert b"failed: %s\n" % os.fsencode(tmp_path / "copy.jpg") in done.stderr
    assert b"copy.raw" not in done.stderr
    assert {"copy.jpg", "copy.raw"} <= set(names(tmp_path))


def test_a_photo_of_which_one_file_is_not_planned_is_a_comment(tmp_path: Path) -> None:
    run = photo_of_two_files(tmp_path, (ActionKind.DELETE, ActionKind.DELETE))
    skipped = replace(run.outcomes[1], status=OutcomeStatus.SKIPPED)
    write_script(replace(run, outcomes=(run.outcomes[0], skipped)), tmp_path / "x.sh")
    assert run_script(tmp_path / "x.sh").stdout == b"0 of 0 files done\n"


def test_what_is_not_planned_is_a_comment(tmp_path: Path) -> None:
    write_script(result(OutcomeStatus.DONE, OutcomeStatus.SKIPPED), tmp_path / "x.sh")
    lines = (tmp_path / "x.sh").read_text(encoding="utf-8", errors="surrogateescape").split("# Group 1")[1].splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "printf", ":"))]
    assert commands == []
    assert f"# stays: {ROOT}/kept/same.png (same-pixels, 8.6 MiB)" in lines
