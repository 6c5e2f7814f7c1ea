"""The options of the commands: each one changes what it says and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Ended, Program, contents, environment
from tests.support.pictures import picture, write


def redundant(ended: Ended) -> dict[str, str]:
    """The classes of the redundant files by name."""
    groups = json.loads(ended.out)["groups"]
    return {Path(each["path"]).name: each["class"] for group in groups for each in group["redundant"]}


def keepers(ended: Ended) -> set[str]:
    return {Path(group["keeper"]["path"]).name for group in json.loads(ended.out)["groups"]}


def actions(ended: Ended) -> set[str]:
    groups = json.loads(ended.out)["groups"]
    return {Path(each["path"]).name for group in groups for each in group["redundant"] if each["action"]}


def deduplicate(program: Program, *options: str) -> Ended:
    ended = program.call("deduplicate", "Pictures", "--output", "json", *options)
    assert ended.code == 0, ended.err
    return ended


def test_excluded_files_and_subfolders_are_not_searched(program: Program, library: Path) -> None:
    assert redundant(deduplicate(program)) == {"beach copy.jpg": "identical", "small.jpg": "similar"}
    assert redundant(deduplicate(program, "--exclude", "/sent/")) == {"beach copy.jpg": "identical"}
    assert redundant(deduplicate(program, "--exclude", "/sent/", "--exclude", "copy")) == {}
    assert json.loads(deduplicate(program, "--no-recursive").out)["totals"]["files"] == 1


def test_exclusions_of_the_command_line_are_added_to_the_configured_ones(program: Program, library: Path) -> None:
    (program.home / "py_image_dedup.yaml").write_text("py_image_dedup: {analysis: {exclusions: [/sent/]}}\n")
    assert redundant(deduplicate(program, "--exclude", "copy")) == {}


def test_a_preferred_folder_and_a_rule_choose_the_file_that_stays(program: Program, library: Path) -> None:
    assert keepers(deduplicate(program)) == {"beach.jpg"}
    assert keepers(deduplicate(program, "--prefer", "Pictures/copies")) == {"beach copy.jpg"}
    assert keepers(deduplicate(program, "--no-inspect", "--rule", "lower-pixel-count")) == {"small.jpg"}
    both = deduplicate(program, "--rule", "lower-pixel-count", "--prefer", "Pictures/copies")
    assert keepers(both) == {"beach copy.jpg"}
    name = deduplicate(program, "--no-inspect", "--rule", "name-pattern: ^small", "--rule", "higher-pixel-count")
    assert keepers(name) == {"small.jpg"}


def test_a_class_with_a_plus_is_added_and_one_without_replaces_the_default(program: Program, library: Path) -> None:
    assert actions(deduplicate(program)) == {"beach copy.jpg", "small.jpg"}
    assert actions(deduplicate(program, "--remove", "+partial")) == {"beach copy.jpg", "small.jpg"}
    assert actions(deduplicate(program, "--remove", "identical")) == {"beach copy.jpg"}
    (program.home / "py_image_dedup.yaml").write_text("py_image_dedup: {deduplication: {remove: [identical]}}\n")
    assert actions(deduplicate(program)) == {"beach copy.jpg"}
    assert actions(deduplicate(program, "--remove", "+similar")) == {"beach copy.jpg", "small.jpg"}
    mixed = program.call("deduplicate", "Pictures", "--remove", "+similar", "--remove", "identical")
    assert mixed.code == 2
    assert "--remove: either all classes have a +" in mixed.err


def test_the_threads_and_the_quarantine_are_settings_of_the_run(program: Program, library: Path) -> None:
    assert program.call("deduplicate", "Pictures", "-t", "0").code == 2
    deduplicate(program, "-t", "1", "--quarantine-days", "0", "--remove-empty-folders")
    ended = program.call("deduplicate", "Pictures", "--no-dry-run", "--yes", "--remove-empty-folders")
    assert ended.code == 0, ended.err
    assert not (library / "copies").exists()
    assert "Emptied       " in ended.out


def test_the_summary_has_the_totals_only(program: Program, library: Path) -> None:
    ended = program.call("deduplicate", "Pictures", "--summary")
    lines = ended.out.splitlines()
    assert lines[0] == "Files         5"
    assert any(line.startswith("Can be freed  ") for line in lines)
    assert "beach" not in ended.out
    assert program.call("analyse", "Pictures", "--summary").out.splitlines()[0] == "Files         5"


def test_the_exit_code_tells_duplicates_when_that_is_wanted(program: Program, library: Path) -> None:
    assert program.call("deduplicate", "Pictures").code == 0
    assert program.call("deduplicate", "Pictures", "--exit-code").code == 4
    shutil.rmtree(library / "copies")
    shutil.rmtree(library / "sent")
    assert program.call("deduplicate", "Pictures", "--exit-code").code == 0


def test_a_run_without_analysis_says_what_it_left_out(program: Program, library: Path) -> None:
    program.call("analyse", "Pictures")
    write(library / "new.jpg", picture(7))
    (library / "2019" / "wood.jpg").touch()
    ended = program.call("deduplicate", "Pictures", "-sap")
    assert "Left out      2 new or changed files (--skip-analyse-phase)" in ended.out
    assert "Left out" not in program.call("deduplicate", "Pictures").out


def test_without_a_terminal_a_removal_needs_yes(program: Program, library: Path) -> None:
    before = contents(library)
    for arguments in (["deduplicate", "Pictures", "--no-dry-run"], ["clear"]):
        program.call("analyse", "Pictures")
        ended = subprocess.run(
            [sys.executable, "-m", "py_image_dedup", *arguments],
            cwd=program.home, input=b"y\ny\n", capture_output=True, check=False, timeout=60,
            env={"HOME": str(program.home), "XDG_STATE_HOME": str(program.home / "state"), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert ended.returncode == 2
        assert b"Not a terminal: use --yes to confirm." in ended.stderr
        assert contents(library) == before
    assert "Files         5" in program.call("status").out
    program.call("deduplicate", "Pictures")
    (plan,) = (program.state / "runs").glob("*/plan.json")
    assert program.call("apply", plan).code == 2
    assert contents(library) == before


def test_colours_can_be_switched_on_and_off(program: Program, library: Path) -> None:
    assert "\x1b[" not in program.call("deduplicate", "Pictures").out
    for arguments in (["--color", "deduplicate", "Pictures"], ["deduplicate", "Pictures", "--color"]):
        assert "\x1b[32m" in program.call(*arguments, TERM="xterm-256color").out
    assert "\x1b[32m" not in program.call("deduplicate", "Pictures", "--no-color", TERM="xterm-256color").out


def test_known_says_that_the_index_is_empty(program: Program, library: Path) -> None:
    ended = program.call("known", library / "2019" / "beach.jpg")
    assert ended.code == 1
    assert "The index is empty" in ended.err
    program.call("analyse", "Pictures")
    assert "The index is empty" not in program.call("known", library / "2019" / "beach.jpg").err


def test_a_configuration_is_made_once_and_never_overwritten(program: Program) -> None:
    made = program.call("config", "init")
    file = program.home / ".config" / "py_image_dedup.yaml"
    assert made.code == 0
    assert str(file) in made.err
    assert file.read_text() == program.call("config", "reference").out
    file.write_text("py_image_dedup: {}\n")
    again = program.call("config", "init")
    assert (again.code, file.read_text()) == (2, "py_image_dedup: {}\n")
    assert "exists already" in again.err
    assert program.call("config", "init", "mine.yaml").code == 0
    assert (program.home / "mine.yaml").exists()


def test_config_check_tells_errors_warnings_and_doubts_at_once(program: Program, library: Path) -> None:
    (program.home / "py_image_dedup.yaml").write_text(
        "py_image_dedup:\n"
        "  dry_run: perhaps\n"
        "  analysis: {source_directories: [gone, Pictures], across_dirs: true}\n"
        "  deduplication:\n"
        "    prioritization_rules: [{folder-order: [2019, attic, Pictures/sent, /elsewhere]}]\n"
    )
    ended = program.call("config", "check")
    assert ended.code == 2
    assert ended.out == ""
    for words in (
        "dry_run: 'perhaps' is neither true nor false",
        "analysis.across_dirs is deprecated; use analysis.scope",
        f"{program.home}/gone does not exist now.",
        "folder-order: no folder of the library matches attic.",
        "folder-order: no folder of the library matches /elsewhere.",
    ):
        assert words in ended.err
    assert "matches 2019" not in ended.err
    assert "matches Pictures/sent" not in ended.err


def test_config_show_says_where_each_value_comes_from(program: Program) -> None:
    (program.home / "py_image_dedup.yaml").write_text("py_image_dedup:\n  analysis: {threads: 3}\n")
    lines = program.call("config", "show", PY_IMAGE_DEDUP_STATS_PORT="9000").out.splitlines()
    assert "  dry_run: true  # default" in lines
    assert "    threads: 3  # py_image_dedup.yaml, line 2" in lines
    assert "    port: 9000  # environment variable PY_IMAGE_DEDUP_STATS_PORT" in lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_asks_the_program(program: Program, shell: str) -> None:
    script = program.call("completion", shell)
    assert script.code == 0
    assert f"_PY_IMAGE_DEDUP_COMPLETE={shell}_complete" in script.out


def test_the_shell_is_told_the_names_of_commands(program: Program) -> None:
    asked = {"_PY_IMAGE_DEDUP_COMPLETE": "bash_complete", "COMP_WORDS": "py-image-dedup ded", "COMP_CWORD": "1"}
    assert program.run(**asked).out.split() == ["plain,deduplicate"]


@pytest.mark.parametrize("words", ["verify", "undo", "runs show"])
def test_the_shell_is_told_the_names_of_runs_the_last_first(program: Program, words: str) -> None:
    names = ["2026-01-02T03-04-05-678Z", "2026-03-02T03-04-05-678Z"]
    for name in (*names, "other"):
        (program.state / "runs" / name).mkdir(parents=True)
    count = str(len(words.split()) + 1)
    asked = {"_PY_IMAGE_DEDUP_COMPLETE": "bash_complete", "COMP_CWORD": count}
    found = program.run(COMP_WORDS=f"py-image-dedup {words} 2026", **asked)
    assert found.out.split() == [f"plain,{name}" for name in reversed(names)]
    if words == "undo":  # it takes files too
        assert program.run(COMP_WORDS="py-image-dedup undo Pict", **asked).out.split() == ["file,Pict"]


def test_a_quick_answer_is_a_dry_run(program: Program, library: Path) -> None:
    quick = program.call("deduplicate", "Pictures", "--no-inspect")
    assert quick.code == 0
    assert "Quick answer  similar files were not compared in full (--no-inspect)" in quick.out
    assert "Quick answer" not in program.call("deduplicate", "Pictures").out
    before = contents(library)
    real = program.call("deduplicate", "Pictures", "--no-inspect", "--no-dry-run", "--yes")
    assert real.code == 2
    assert "deduplication.inspect: false needs dry_run: true" in real.err
    assert contents(library) == before


def test_a_list_of_files_is_searched_instead_of_folders(program: Program, library: Path) -> None:
    listed = [library / "2019" / "beach.jpg", library / "copies" / "beach copy.jpg", library / "gone.jpg"]
    (program.home / "list").write_text("\n".join(map(str, listed)) + "\n")
    ended = program.call("deduplicate", "--files-from", "list", "--output", "json")
    assert redundant(ended) == {"beach copy.jpg": "identical"}
    assert json.loads(ended.out)["totals"]["files"] == 2
    assert "Warning: 1 of 3 listed files do not exist." in ended.err
    assert json.loads(program.call("analyse", "--files-from", "list", "--output", "json").out)["totals"]["files"] == 2


def test_a_list_with_null_bytes_comes_from_standard_input(program: Program, library: Path) -> None:
    before = contents(library)
    names = [library / "2019" / "beach.jpg", library / "sent" / "small.jpg"]
    ended = subprocess.run(
        program.command("deduplicate", "-0", "--files-from", "-", "--no-dry-run", "--yes"),
        cwd=program.home, input=b"\0".join(map(bytes, names)), capture_output=True, check=False, timeout=60,
        env=environment(program.home),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    after = contents(library)
    assert "copies/beach copy.jpg" in after  # not listed
    assert before.keys() - after.keys() == {"sent/small.jpg"}


def test_a_listed_file_may_go_for_one_in_a_protected_folder(program: Program, library: Path) -> None:
    (program.home / "list").write_text(str(library / "copies" / "beach copy.jpg"))
    ended = program.call("deduplicate", "--files-from", "list", "--protect", "Pictures/2019", "--output", "json")
    assert keepers(ended) == {"beach.jpg"}
    assert redundant(ended) == {"beach copy.jpg": "identical"}


def test_a_list_that_cannot_be_used_is_wrong_usage(program: Program, library: Path) -> None:
    (program.home / "empty").write_text("\n")
    for arguments, words in (
        (["--files-from", "empty"], "is empty"),
        (["--files-from", "empty", "Pictures"], "either ROOTs or --files-from"),
        (["-0", "Pictures"], "-0 needs --files-from"),
    ):
        ended = program.call("deduplicate", *arguments)
        assert ended.code == 2
        assert words in ended.err
