"""What the documents say is what the program does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pictures import picture, write
from tools import tables

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "CHANGELOG.md",
    *(PROJECT / "docs").glob("*.md"),
]


def names(path: Path) -> str:
    return path.name


def test_the_tables_of_the_readme_are_what_the_code_says() -> None:
    text = tables.README.read_text(encoding="utf-8")
    assert text == tables.filled(text), "run: python tools/tables.py"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "Pictures"
    write(folder / "beach.jpg", picture(1, 640, 480))
    (folder / "backup").mkdir()
    shutil.copy2(folder / "beach.jpg", folder / "backup" / "beach copy.jpg")
    return folder


def test_the_python_example_of_the_readme_runs(library: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 1
    done = subprocess.run(
        [sys.executable, "-c", code[0]], cwd=library.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("beach.jpg")
    assert "beach copy.jpg identical" in done.stdout


COMMAND = re.compile(r"^py-image-dedup .*$", re.MULTILINE)


def test_every_command_line_of_the_readme_is_understood() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0].split() for block in blocks for line in COMMAND.findall(block)]
    assert len(lines) >= 4
    for words in lines:
        # Asking for help after the arguments checks their names without doing anything.
        done = subprocess.run(
            [sys.executable, "-m", "py_image_dedup", *(w for w in words[1:] if not w.startswith("~")), "--help"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)


def test_the_quick_start_of_the_readme_takes_the_three_commands(library: Path) -> None:
    program = [sys.executable, "-m", "py_image_dedup", "--state-directory", str(library.parent / "state")]
    copy = library / "backup" / "beach copy.jpg"

    def run(*words: str) -> str:
        done = subprocess.run([*program, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "beach copy.jpg" in run("deduplicate", str(library))
    assert copy.exists()
    run("deduplicate", str(library), "--no-dry-run")
    assert not copy.exists()
    run("undo")
    assert copy.read_bytes() == (library / "beach.jpg").read_bytes()


def test_no_table_of_the_readme_is_empty() -> None:
    text = tables.README.read_text(encoding="utf-8")
    for name in tables.TABLES:
        inside = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
        assert inside is not None, name
        assert inside[1].strip(), name
