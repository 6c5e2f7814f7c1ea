"""Habits of the project that a machine can check."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MODULES = sorted((PROJECT / "py_image_dedup").rglob("*.py"))
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("module", MODULES, ids=names)
def test_a_module_has_at_most_600_lines(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 600


@pytest.mark.parametrize("folder", sorted({module.parent for module in MODULES}), ids=names)
def test_a_folder_has_at_most_15_modules(folder: Path) -> None:
    assert len([module for module in folder.glob("*.py") if module.stem != "__init__"]) <= 15


@pytest.mark.parametrize("module", MODULES, ids=names)
def test_no_module_is_named_for_nothing(module: Path) -> None:
    assert module.stem not in {"util", "utils", "common", "helper", "helpers", "misc", "manager", "base_manager"}


@pytest.mark.parametrize("module", MODULES, ids=names)
def test_no_exception_is_swallowed_without_a_word(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    silent = [
        handler.lineno
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler) and all(isinstance(step, ast.Pass) for step in handler.body)
    ]
    assert silent == []


@pytest.mark.parametrize("module", MODULES, ids=names)
def test_classes_are_nouns_of_the_field(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    empty_words = re.compile(r"(Manager|Handler|Helper|Processor|Info|Data)$")
    named = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and empty_words.search(node.name) and not node.name.startswith("_")
    ]
    assert named == []


def tracked_files() -> list[str]:
    """The files of the repository that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def test_the_repository_holds_no_paths_of_one_machine() -> None:
    machine = re.compile(r"(?<![\w.])/(?:wor[k]|roo[t])/")
    found = []
    for name in tracked_files():
        path = PROJECT / name
        if path.stat().st_size < 400_000:
            text = path.read_bytes().decode(errors="replace")
            found += [f"{name}: {match}" for match in machine.findall(text)]
    assert found == []


def test_the_version_is_that_of_the_newest_entry_of_the_changelog() -> None:
    entries = re.findall(r"^## \[(.+)\](?: - (.+))?$", (PROJECT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    newest, day = entries[0]
    assert newest == METADATA["version"] == version("py-image-dedup")
    assert day == "Unreleased" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", day)


def test_a_package_index_gets_the_addresses_of_the_project() -> None:
    assert METADATA["urls"].keys() == {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
    assert all(url.startswith("https://") for url in METADATA["urls"].values())


def test_make_help_lists_every_target() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not there")
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert targets is not None
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert listed.keys() == set(targets[1].split())


def test_the_source_distribution_is_the_whole_repository(tmp_path: Path) -> None:
    """Built from a copy, so that nothing that an earlier build left behind counts."""
    files = tracked_files()
    for name in files:
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, tmp_path / "copy" / name)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path / "built", tmp_path / "copy"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (archive,) = (tmp_path / "built").iterdir()
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert set(files) <= held
