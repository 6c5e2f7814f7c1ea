"""Usage, help, errors: what the program says without a library."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import py_image_dedup
from py_image_dedup.cli.main import COMMANDS, application, run
from tests.cli.program import Program, environment

EXIT_CODES = [
    "0    done",
    "1    the command failed",
    "2    wrong usage",
    "3    done, but some removals were not carried out",
    "4    duplicates were found (deduplicate --exit-code)",
    "130  stopped by Ctrl-C",
]
HELPS = [[], *([name] for name in COMMANDS), *(["config", name] for name in ("show", "reference", "check", "init"))]


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_every_help_text_lists_the_exit_codes(arguments: list[str]) -> None:
    shown = CliRunner().invoke(application, [*arguments, "--help"])
    assert shown.exit_code == 0
    for line in EXIT_CODES:
        assert line in shown.output
    assert all(len(line) <= 100 for line in shown.output.splitlines())
    assert CliRunner().invoke(application, [*arguments, "-h"]).output == shown.output


BELOW = {
    ("config",): {"--output"},
    ("index",): {"--to"},
    ("quarantine",): {"--older-than"},
}
"""Options of commands below a group, which its examples show."""


def commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, those of groups and the groups themselves included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*above, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))


def test_every_help_text_has_examples_whose_options_exist_and_a_link_to_the_documentation() -> None:
    for words in commands(application):
        text = CliRunner().invoke(application, [*words, "--help"]).output
        assert "Documentation: https://" in text, words
        examples = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        assert examples, words
        options = {option for line in examples for option in re.findall(r"(?<= )--[a-z-]+", line.partition("  #")[0])}
        known = set(re.findall(r"(?<![\w-])--[a-z-]+", text)) | {"--help", "--config"}
        assert options <= known | BELOW.get(words, set()), words


def test_the_help_names_every_command_with_what_it_does() -> None:
    lines = CliRunner().invoke(application, ["--help"]).output.splitlines()
    assert not [line for line in lines[1:] if line.endswith("...")]
    for name in COMMANDS:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 2


def test_published_options_are_understood() -> None:
    text = CliRunner().invoke(application, ["deduplicate", "--help"]).output
    for option in ("--dry-run", "-dr", "--no-dry-run", "--skip-analyse-phase", "-sap", "--max-distance", "--action"):
        assert option in text
    for option in ("--target", "--protect", "--scope", "--remove", "--report", "--yes"):
        assert option in text


def test_help_is_a_command_too() -> None:
    def shown(*arguments: str) -> str:
        return CliRunner().invoke(application, arguments).output

    assert shown("help") == shown("--help")
    assert shown("help", "undo") == shown("undo", "--help")
    assert shown("help", "runs", "show") == shown("runs", "show", "--help")


def test_a_folder_in_place_of_a_command_is_answered_with_the_command(program: Program) -> None:
    (program.home / "Pictures").mkdir()
    ended = program.call("Pictures")
    assert ended.code == 2
    assert "To search this folder: py-image-dedup deduplicate Pictures" in ended.err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("py-image-dedup 3.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deduplicat"], "Did you mean deduplicate?"),
        (["deduplicate", "--no-such"], "No such option"),
        (["deduplicate", "absent"], "does not exist"),
        (["deduplicate", "."], ""),
        (["deduplicate", "--report", "x.pdf", "."], "must end with .json"),
        (["deduplicate", "--report", "absent/x.json", "."], "does not exist"),
        (["deduplicate", "--remove", "unlike", "."], "'unlike' is not one of"),
        (["-q", "-v", "status"], "contradict"),
        (["status", "-q", "-v"], "contradict"),
        (["undo", "2020"], "There is no run 2020"),
        (["known"], "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_code_2_in_words(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    code = run(arguments)
    found = capsys.readouterr()
    if not words:
        assert code == 0  # an empty folder is nothing wrong
        return
    assert code == 2
    assert words in found.err
    assert "Traceback" not in found.err
    assert not (tmp_path / "state").exists()


def test_without_any_folder_it_says_how_to_give_one(program: Program) -> None:
    ended = program.call("deduplicate")
    assert ended.code == 2
    assert "give a ROOT, or set analysis.source_directories" in ended.err


def test_wrong_configuration_is_exit_code_2_with_all_errors_and_no_trace(program: Program) -> None:
    (program.home / "py_image_dedup.yaml").write_text(
        "py_image_dedup:\n  dry_run: perhaps\n  deduplication:\n    prioritization_rules: [more-exif]\n  stat: {}\n"
    )
    ended = program.run("status")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.splitlines() == [
        "The configuration has 3 errors:",
        "  stat: unknown key; did you mean stats? (py_image_dedup.yaml, line 5)",
        (
            "  deduplication.prioritization_rules: there is no rule 'more-exif'; did you mean more-exif-data? "
            "(py_image_dedup.yaml, line 4)"
        ),
        "  dry_run: 'perhaps' is neither true nor false (py_image_dedup.yaml, line 2)",
    ]


def test_config_check_show_and_reference(program: Program) -> None:
    (program.home / "my.yaml").write_text("py_image_dedup: {analysis: {source_directories: [gone]}}")
    checked = program.call("--config", "my.yaml", "config", "check")
    assert (checked.code, checked.out) == (0, "The configuration is valid.\n")
    assert "gone does not exist now" in checked.err
    shown = program.call("--config", "my.yaml", "config", "show", PY_IMAGE_DEDUP_ELASTICSEARCH_API_KEY="open sesame")
    assert f"- {program.home}/gone" in shown.out
    assert "sesame" not in shown.out + shown.err
    reference = program.call("config", "reference")
    assert reference.out == (Path(__file__).resolve().parents[2] / "py_image_dedup_reference.yaml").read_text()


def test_an_error_has_a_trace_only_when_asked(program: Program) -> None:
    (program.home / "file").write_text("")
    program.state.parent.mkdir()
    program.state.mkdir()
    (program.state / "index.sqlite3").write_bytes(b"this is no index" * 1000)
    short = program.call("status")
    assert short.code == 1
    assert short.err.startswith("Error: ")
    assert "Traceback" not in short.err
    for arguments in (("-v", "status"), ("status", "-v")):
        assert "Traceback" in program.call(*arguments).err


def test_global_options_are_understood_after_the_command(program: Program) -> None:
    (program.home / "a").mkdir()
    ended = program.call("analyse", "a", "--state-directory", "elsewhere", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert (program.home / "elsewhere" / "index.sqlite3").exists()
    assert not program.state.exists()


def test_a_reader_that_leaves_early_is_no_error(program: Program, library: Path) -> None:
    for arguments in (
        ["deduplicate", "Pictures"],
        ["config", "reference"],
        ["deduplicate", "Pictures", "--output", "json"],
    ):
        process = subprocess.Popen(
            [*program.command(*arguments)],
            cwd=program.home,
            env=environment(program.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) == 0, err
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


def test_the_module_is_the_program() -> None:
    shown = subprocess.run([sys.executable, "-m", "py_image_dedup", "--version"], capture_output=True, check=True)
    assert shown.stdout.startswith(b"py-image-dedup 3.")


def test_on_windows_the_program_says_what_it_lacks_and_where_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = "import sys; sys.platform = 'win32'; import py_image_dedup; print(py_image_dedup.NO_SUPPORT)"
    reason = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    assert reason.startswith("py-image-dedup needs Linux or macOS: Windows cannot limit what decoders may use")
    monkeypatch.setattr(py_image_dedup, "NO_SUPPORT", reason)
    assert run(["status"]) == 1
    assert capsys.readouterr().err == f"Error: {reason}\n"
    with pytest.raises(ImportError, match="Docker"):
        py_image_dedup.__getattr__("find_duplicates")
