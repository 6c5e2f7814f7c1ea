"""Each line of docs/coming-from.md that has a command or a Python call does what it says, or fails here."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup import Index, Options, find_duplicates
from py_image_dedup.pipeline.options import AnalyseOptions
from tests.cli.program import Program
from tests.support.pictures import picture, write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"
ROW = re.compile(r"^\| (.+?) \| (.*?) ?\| (.+) \|$", re.MULTILINE)
LITERAL = re.compile(r"`([^`]+)`")
CALL = re.compile(r"^(\w+ = )?(Index|Options|find_duplicates|index|search)\b[.(]")


def rows() -> list[tuple[str, str]]:
    """The first and the last cell of each row, without heads."""
    found = ROW.findall(PAGE.read_text(encoding="utf-8"))
    heads = ("here", "---", "stumbled")
    return [(theirs, ours) for theirs, _, ours in found if ours.rpartition("| ")[2] not in heads]


COMMANDS = sorted({code for _, ours in rows() for code in LITERAL.findall(ours) if code.startswith("py-image-dedup ")})
CALLS = [code for _, ours in rows() for code in LITERAL.findall(ours) if CALL.match(code)]


def make(home: Path) -> None:
    small = picture(1, 160, 120)
    write(home / "A" / "beach.jpg", small)
    shutil.copy2(home / "A" / "beach.jpg", home / "A" / "beach copy.jpg")
    write(home / "A" / "wood.jpg", picture(2, 160, 120))
    (home / "B").mkdir()
    shutil.copy2(home / "A" / "beach.jpg", home / "B" / "original.jpg")
    (home / "out").mkdir()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Program:
    home = tmp_path_factory.mktemp("home")
    make(home)
    return Program(home)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs_and_finds_the_copy(library: Program, command: str) -> None:
    if " C" in command:  # it changes its folder
        shutil.rmtree(library.home / "C", ignore_errors=True)
        shutil.copytree(library.home / "A", library.home / "C")
    name = shlex.split(command)[1:]
    ended = library.call(*name)
    if command in ("py-image-dedup clear --yes", "py-image-dedup undo"):
        library.call("analyse", "A")
    assert ended.code == 0, ended.err
    if "deduplicate" in name and not {"--help", "-q", "-sap", "--skip-analyse-phase", "png"} & set(name):
        assert "copy.jpg" in ended.out
    for option in ("--report", "--target"):
        if option in name and "--no-dry-run" in name + ["--no-dry-run"] * (option == "--report"):
            assert (library.home / name[name.index(option) + 1]).exists()


def test_each_python_call_runs_in_the_order_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    names: dict[str, Any] = {
        "AnalyseOptions": AnalyseOptions,
        "Index": Index,
        "Options": Options,
        "Path": Path,
        "find_duplicates": find_duplicates,
    }
    with chdir(tmp_path):
        for call in CALLS:
            exec(call, names)  # noqa: S102 - the documented calls, which are ours
    assert len(CALLS) > 15
    assert not (tmp_path / "A" / "beach copy.jpg").exists()
    assert (tmp_path / "A" / "wood.jpg").exists()


def test_each_row_has_a_command_a_call_or_a_reason() -> None:
    assert len(rows()) > 70
    for theirs, ours in rows():
        says_why = re.search(
            r"not needed|the same|kept too|accepted|better|works|`--yes`|\.(host|timeout)|analysis\.", ours
        )
        assert says_why or any(code in ours for code in (*COMMANDS, *CALLS)), theirs


def test_each_option_of_difpy_has_a_row() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Dupe Scanner")[0]
    short = ["-D", "-Z", "-r", "-i", "-le", "-px", "-s", "-ro", "-dim", "-proc", "-ch", "-mv", "-d", "-sd", "-p"]
    names = "recursive in_folder limit_extensions px_size processes show_progress similarity rotate same_dim chunksize"
    for option in (*(f"`{each} " for each in short), *names.split(), "lower_quality", "stats", "move_to", "delete"):
        assert option in text, option
