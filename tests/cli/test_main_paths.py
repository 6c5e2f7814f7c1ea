"""The real program over a small library: what a person does with it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import jsonschema

from tests.cli.program import Program, contents, environment
from tests.support.photographs import photograph
from tests.support.pictures import picture, write

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs/schemas/result.schema.json").read_text())


def test_without_any_configuration_it_is_a_dry_run_that_shows_the_groups(program: Program, library: Path) -> None:
    before = contents(library)
    ended = program.call("deduplicate", "Pictures")
    assert ended.code == 0
    assert contents(library) == before
    lines = ended.out.splitlines()
    assert lines[0] == f"Paths are below {library}"
    start = lines.index("Group 1 of 1")
    assert lines[start + 1] == "  keep        2019/beach.jpg"
    assert lines[start + 3].strip().startswith("Kept: ")
    assert "  delete      copies/beach copy.jpg" in lines
    assert "  quarantine  sent/small.jpg" in lines
    assert any("The kept file: probably the original (small.jpg was reduced" in line for line in lines)
    assert any(line.startswith("Files         5") for line in lines)
    assert "    broken.jpg: " in ended.out
    assert "Nothing was changed. To remove the files, use --no-dry-run, or: " in ended.err
    assert {path.name for path in program.state.iterdir()} >= {"index.sqlite3", "runs"}
    assert not (program.home / ".config").exists()


def test_a_caller_that_has_closed_the_streams_gets_the_same_run(program: Program, library: Path) -> None:
    program.run("deduplicate", "Pictures")
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        command = [
            "sh",
            "-c",
            f'exec "$@" {closed}',
            "sh",
            *program.command("deduplicate", "Pictures", "--no-dry-run", "--yes"),
        ]
        ended = subprocess.run(command, cwd=program.home, env=environment(program.home), check=False, timeout=60)
        assert ended.returncode == 0, closed
        assert "copies/beach copy.jpg" not in contents(library)
        assert program.run("undo").code == 0
        assert "copies/beach copy.jpg" in contents(library)


HOSTILE = """
import os, signal
from PIL import ImageFile
real = ImageFile.ImageFile.load
def load(picture):
    picture.fp.seek(-7, 2)
    if picture.fp.read() == b"hostile":
        os.kill(os.getpid(), signal.SIGSEGV)
    picture.fp.seek(0)
    return real(picture)
ImageFile.ImageFile.load = load
"""
"""Run by every interpreter that is started: a file with these last bytes makes the decoder crash."""


def test_files_on_which_the_decoder_crashes_do_not_take_the_run_down(program: Program, library: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.png"):
        with write(library / name, picture(3, 64, 48)).open("ab") as stream:
            stream.write(name.encode() + b" hostile")
    start = program.home / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(HOSTILE)
    for turn in ("first", "again"):
        ended = program.run("deduplicate", "Pictures", PYTHONPATH=str(start))
        assert ended.code == 0, (turn, ended)
        assert "Group 1 of 1" in ended.out
        for name in ("a.jpg", "b.jpg", "c.png"):
            assert f"{name}: the decoder crashed on this file (signal SIGSEGV)" in ended.out


def test_a_real_run_removes_and_undo_brings_everything_back(program: Program, library: Path) -> None:
    before = contents(library)
    ended = program.run("deduplicate", "Pictures", "--no-dry-run", "--yes")
    assert ended.code == 0, ended.err
    after = contents(library)
    assert "copies/beach copy.jpg" not in after
    assert [name for name in after if name.endswith("small.jpg")] == [
        name for name in after if name.startswith(".py-image-dedup-quarantine/")
    ]
    (run,) = (program.state / "runs").iterdir()
    assert {path.name for path in run.iterdir()} >= {"plan.json", "journal.jsonl", "result.json"}
    jsonschema.validate(json.loads((run / "result.json").read_text()), SCHEMA)
    assert f"To restore: py-image-dedup undo {run.name}" in ended.err

    listed = program.run("runs")
    assert listed.out.startswith(run.name)
    assert "2 done" in listed.out

    undone = program.run("undo")
    assert undone.code == 0, undone.err
    assert "2 files of the run" in undone.out
    assert contents(library) == before
    assert "all restored" in program.run("runs").out
    again = program.run("undo")
    assert (again.code, again.out) == (0, "")
    assert "Nothing to undo." in again.err


def test_a_saved_and_edited_plan_is_carried_out(program: Program, library: Path) -> None:
    program.call("deduplicate", "Pictures")
    (run,) = (program.state / "runs").iterdir()
    plan = json.loads((run / "plan.json").read_text())
    plan["actions"] = [action for action in plan["actions"] if action["source"]["path"].endswith("beach copy.jpg")]
    edited = program.home / "plan.json"
    edited.write_text(json.dumps(plan))
    assert "delete      copies/beach copy.jpg" in program.call("apply", edited, "--dry-run").out
    ended = program.call("apply", edited, "--yes")
    assert ended.code == 0, ended.err
    assert "  deleted     copies/beach copy.jpg" in ended.out
    assert "  stays       sent/small.jpg" in ended.out
    assert contents(library).keys() >= {"sent/small.jpg", "2019/beach.jpg"}
    assert "copies/beach copy.jpg" not in contents(library)
    assert program.call("undo", run.name).code == 0
    assert "copies/beach copy.jpg" in contents(library)


def test_json_on_standard_output_and_in_a_file_is_one_format(program: Program, library: Path) -> None:
    ended = program.call("deduplicate", "Pictures", "--output", "json", "--report", "a.json", "--report", "b.json")
    found = json.loads(ended.out)
    jsonschema.validate(found, SCHEMA)
    assert found["totals"]["groups"] == 1
    assert found["groups"][0]["keeper"]["path"] == str(library / "2019/beach.jpg")
    classes = {Path(each["path"]).name: each["class"] for each in found["groups"][0]["redundant"]}
    assert classes == {"beach copy.jpg": "identical", "small.jpg": "similar"}
    for name in ("a.json", "b.json"):
        assert json.loads((program.home / name).read_text()) == found


def test_what_could_not_be_removed_is_exit_code_3(program: Program, library: Path) -> None:
    program.call("deduplicate", "Pictures")
    (run,) = (program.state / "runs").iterdir()
    with (library / "copies" / "beach copy.jpg").open("ab") as file:
        file.write(b"changed since")
    ended = program.call("apply", run / "plan.json", "--yes")
    assert ended.code == 3
    assert "  SKIPPED     copies/beach copy.jpg" in ended.out
    assert "Not removed   1 skipped" in ended.out
    assert (library / "copies" / "beach copy.jpg").exists()


def test_protected_folders_are_searched_and_never_touched(program: Program, library: Path) -> None:
    ended = program.call("deduplicate", "Pictures", "--protect", "Pictures/copies", "--no-dry-run", "--yes")
    assert ended.code == 0, ended.err
    assert "  kept        copies/beach copy.jpg" in ended.out
    assert "copies/beach copy.jpg" in contents(library)
    assert "2019/beach.jpg" not in contents(library)


def test_files_are_moved_to_the_target_with_their_folders(program: Program, library: Path) -> None:
    ended = program.call("deduplicate", "Pictures", "--target", "away", "--no-dry-run", "--yes")
    assert ended.code == 0, ended.err
    assert contents(program.home / "away").keys() == {"copies/beach copy.jpg", "sent/small.jpg"}
    assert f"to {program.home}/away/copies/beach copy.jpg" in ended.out


def test_only_the_chosen_classes_are_removed(program: Program, library: Path) -> None:
    ended = program.call("deduplicate", "Pictures", "--remove", "identical", "--output", "json")
    outcomes = {
        Path(each["path"]).name: each["outcome"]
        for group in json.loads(ended.out)["groups"]
        for each in group["redundant"]
    }
    assert outcomes.get("beach copy.jpg") == "planned"
    assert outcomes.get("small.jpg") is None


def test_roots_on_the_command_line_are_one_pool_and_configured_ones_are_not(program: Program, library: Path) -> None:
    pool = program.call("deduplicate", "Pictures/2019", "Pictures/copies", "--output", "json")
    assert json.loads(pool.out)["totals"]["groups"] == 1
    both = f"{library / '2019'},{library / 'copies'}"
    apart = program.call("deduplicate", "--output", "json", PY_IMAGE_DEDUP_ANALYSIS_SOURCE_DIRECTORIES=both)
    assert json.loads(apart.out)["totals"]["groups"] == 0
    folder = program.call("deduplicate", "Pictures", "--scope", "folder", "--output", "json")
    assert json.loads(folder.out)["totals"]["groups"] == 0


def test_analyse_reads_and_a_second_time_there_is_nothing_to_read(program: Program, library: Path) -> None:
    first = program.call("analyse", "Pictures", "--output", "json")
    assert first.code == 0
    counts = {phase["name"]: phase["counts"] for phase in json.loads(first.out)["phases"]}
    assert (counts["analyse"]["analysed"], counts["analyse"]["known"], counts["analyse"]["failed"]) == (3, 1, 1)
    second = program.call("analyse", "Pictures", "--output", "json")
    counts = {phase["name"]: phase["counts"] for phase in json.loads(second.out)["phases"]}
    assert counts["analyse"]["analysed"] == 0
    status = program.call("status")
    assert "Files         5" in status.out
    assert "Unreadable    1 file (1 " in status.out


def test_without_the_analyse_phase_only_known_files_are_found(program: Program, library: Path) -> None:
    program.call("analyse", "Pictures/2019")
    ended = program.call("deduplicate", "Pictures", "-sap", "--output", "json")
    assert json.loads(ended.out)["totals"]["groups"] == 0


def test_known_tells_whether_a_picture_is_there_already(program: Program, library: Path) -> None:
    program.call("analyse", "Pictures")
    card = program.home / "card"
    write(card / "turned.jpg", picture(2, 640, 480).rotate(90, expand=True))
    write(card / "new.jpg", picture(9))
    known = program.call("known", "card/turned.jpg")
    assert known.code == 0
    assert str(library / "2019" / "wood.jpg") in known.out
    assert "rotated 90°" in known.out
    both = program.call("known", "card/turned.jpg", "card/new.jpg")
    assert both.code == 1
    assert "card/new.jpg: unknown" in both.out
    # A file is no copy of itself, and one whose match is gone is not known.
    assert program.call("known", library / "2019" / "wood.jpg").code == 1
    (library / "2019" / "wood.jpg").unlink()
    assert program.call("known", "card/turned.jpg").code == 1
    assert ": unreadable: " in program.call("known", library / "notes.txt").out


def test_a_crop_is_told_and_does_not_make_a_picture_known(program: Program, library: Path) -> None:
    photo = photograph(1)
    write(library / "harbour.jpg", photo)
    program.call("analyse", "Pictures")
    write(program.home / "card" / "crop.jpg", photo.crop((60, 50, 360, 290)))
    asked = program.call("known", "card/crop.jpg")
    assert asked.code == 1
    first, match = asked.out.splitlines()
    assert first == "card/crop.jpg: unknown, except for parts"
    assert match.strip().startswith(str(library / "harbour.jpg"))
    assert "partial, distance" in match
    assert "shows more: the keeper is 42 % of it" in match
    # The distance alone does not see it.
    assert program.call("known", "--matching", "distance", "card/crop.jpg").out == "card/crop.jpg: unknown\n"


def test_clear_forgets_and_touches_no_picture(program: Program, library: Path) -> None:
    before = contents(library)
    assert "no index to clear" in program.call("clear", "--yes").err
    program.call("analyse", "Pictures")
    refused = program.call("clear")
    assert refused.code == 2
    assert "--yes" in refused.err
    cleared = program.call("clear", "--yes")
    assert (cleared.code, cleared.err.strip()) == (0, "5 entries deleted.")
    assert "Files         0" in program.call("status").out
    assert contents(library) == before


def test_clear_gets_rid_of_a_damaged_index(program: Program, library: Path) -> None:
    program.call("analyse", "Pictures")
    index = program.state / "index.sqlite3"
    data = bytearray(index.read_bytes())
    data[100:3000] = os.urandom(2900)
    index.write_bytes(data)
    failed = program.call("deduplicate", "Pictures")
    assert failed.code == 1
    assert "py-image-dedup clear" in failed.err
    assert "Traceback" not in failed.err
    assert program.call("clear", "--yes").code == 0
    assert program.call("deduplicate", "Pictures").code == 0


def test_a_second_run_at_the_same_time_says_so_and_leaves(program: Program, library: Path) -> None:
    from py_image_dedup.removal.runs import RunLock

    with RunLock(program.state):
        ended = program.call("deduplicate", "Pictures")
        undo = program.call("undo")
    assert ended.code == 1
    assert "another run uses" in ended.err
    assert undo.code == 0


def test_names_that_no_terminal_can_show_are_printed_safely(program: Program) -> None:
    folder = program.home / "odd"
    odd = write(folder / "plain.jpg", picture(3))
    data = odd.read_bytes()
    raw = os.fsencode(folder)
    for name in (b"\xff\xfe.jpg", "größe\u202e\n写真.jpg".encode(), b"\x1b[2J.jpg", b"[bold]x[bold].jpg"):
        Path(os.fsdecode(raw + b"/" + name)).write_bytes(data)
    for changes in (
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        ended = program.run("deduplicate", "odd", **changes)
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err
        assert "\x1b" not in ended.out
        assert "[bold]x[bold].jpg" in ended.out
        found = program.run("deduplicate", "odd", "--output", "json", **changes)
        paths = [each["path"] for group in json.loads(found.out)["groups"] for each in group["redundant"]]
        assert any("größe" in path for path in paths)


def test_one_run_writes_reports_of_every_format(program: Program, library: Path) -> None:
    names = ("x.json", "x.csv", "groups.json", "x.sh", "lists/duplicates.txt", "x.html")
    (program.home / "lists").mkdir()
    reports = [part for name in names for part in ("--report", name)]
    ended = program.call("deduplicate", library, "--summary", "--thumbnails", "beside", *reports)
    assert ended.code == 0, ended.err
    assert all((program.home / name).stat().st_size > 0 for name in names)
    assert list((program.home / "x.html.pictures").glob("*.webp"))
    (first,) = json.loads((program.home / "groups.json").read_text()).values()
    pairs = (program.home / "lists" / "duplicates.txt").read_text().splitlines()
    assert [line.split(", ") for line in pairs] == [[each, first[0]] for each in first[1:]]
    rest = (program.home / "lists" / "non-duplicates.txt").read_text().splitlines()
    everything = {str(path) for path in library.rglob("*.jpg")}
    skipped = (program.home / "lists" / "skipped_files.txt").read_text()
    assert set(rest) == {path for path in everything - set(first) if path not in skipped}
    named = program.call("deduplicate", library, "--summary", "--report", "names", "--format", "groups")
    assert named.code == 0, named.err
    assert json.loads((program.home / "names").read_text()) == {"group-1": first}


def test_a_carried_out_plan_and_an_analysis_write_the_same_reports(program: Program, library: Path) -> None:
    def reports(name: str) -> list[str]:
        return [part for suffix in ("html", "csv") for part in ("--report", f"{name}.{suffix}")]

    analysed = program.call("analyse", library, "--summary", "--thumbnails", "beside", *reports("analysed"))
    assert analysed.code == 0, analysed.err
    assert (program.home / "analysed.csv").read_text().count("unreadable") == 1
    assert '"groups":[]' in (program.home / "analysed.html").read_text()
    assert program.call("deduplicate", library, "--summary").code == 0
    (plan,) = (program.state / "runs").glob("*/plan.json")
    tried = program.call("apply", plan, "--dry-run", "--thumbnails", "beside", *reports("tried"))
    assert tried.code == 0, tried.err
    assert len(list((program.home / "tried.html.pictures").glob("*.webp"))) == 3
    (plan.parent / "result.json").unlink()  # then the groups are not known
    done = program.call("apply", plan, "--yes", "--summary", "--report", "done", "--format", "csv")
    assert done.code == 0, done.err
    assert "Group 1" not in done.out
    with (program.home / "done").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["role"], row["outcome"]) for row in rows] == [("redundant", "done")] * 2
    assert {row["keeper"] for row in rows} == {str(library / "2019" / "beach.jpg")}
    assert not any(Path(row["path"]).exists() for row in rows)
