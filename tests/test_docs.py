"""What the documents say is what the program does."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from py_image_dedup.cli.main import COMMANDS, ExitCode, application
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.inspection import Outcome as Finding
from py_image_dedup.model.inspection import RegionKind
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import ActionKind
from tests.conftest import IN_CI
from tests.support.pictures import picture, write
from tools import manpage, schemas, tables

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
DOCUMENTS = [
    README,
    PROJECT / "CONTRIBUTING.md",
    PROJECT / "CHANGELOG.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]
HOME = "https://github.com/py-image-dedup/py-image-dedup"
OWN = re.compile(
    rf"{HOME}/blob/main/([^)#\s]+)|https://raw\.githubusercontent\.com/py-image-dedup/py-image-dedup/main/([^)#\s]+)"
)
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


def names(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def links(document: Path) -> list[str]:
    return [inline or listed for inline, listed in LINK.findall(document.read_text(encoding="utf-8"))]


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of a document that are marked with a language, or with none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [block for marked, block in fenced if marked == language]


def test_making_the_tables_leaves_the_commands_as_they_are() -> None:
    for name in COMMANDS:
        command = application.get_command(None, name)  # type: ignore[arg-type] # the group ignores its context
        assert command is not None
        command._help_option = None  # as in a process that has shown no help yet
    tables.TABLES["options"]()
    for name in COMMANDS:
        assert CliRunner().invoke(application, [name, "-h"]).exit_code == 0


@pytest.mark.parametrize("page", sorted(set(tables.PAGES.values())), ids=names)
def test_the_generated_tables_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == tables.filled(text, tables.TABLES), "run: make tables"


def test_the_man_page_is_what_the_help_says_and_troff_reads_it_without_a_warning() -> None:
    assert manpage.PAGE.read_text(encoding="utf-8") == manpage.man_page(), "run: make tables"
    if shutil.which("groff") is None:
        if IN_CI:
            pytest.fail("checking the man page needs groff (Debian package groff-base)")
        pytest.skip("checking the man page needs groff (Debian package groff-base)")
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", manpage.PAGE], capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    for word in ("NAME", "deduplicate", "--similarity", "EXIT STATUS", "130"):
        assert word in re.sub(r".\x08|\x1b\[[0-9;]*m", "", shown.stdout)


def test_the_example_of_the_readme_is_what_the_program_prints() -> None:
    shown = tables.part("example", README.read_text(encoding="utf-8"))
    assert shown is not None
    assert tables.without_measurements(shown) == tables.without_measurements(tables.example()), "run: make tables"


def test_a_reader_of_the_readme_decides_in_two_minutes() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150


def test_the_readme_works_where_a_package_index_shows_it() -> None:
    """Nothing is beside it there, so every link is absolute."""
    assert links(README) != []
    assert [link for link in links(README) if not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    relative = [link.partition("#")[0] for link in links(document) if ":" not in link and not link.startswith("#")]
    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_every_link_to_this_repository_leads_somewhere(document: Path) -> None:
    own = [page or raw for page, raw in OWN.findall("\n".join(links(document)))]
    assert [path for path in own if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_every_link_to_a_heading_leads_somewhere(document: Path) -> None:
    lost = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document if not path else document.parent / path
        if anchor and ":" not in path and anchor not in anchors(target):
            lost.append(link)
    assert lost == []


def anchors(document: Path) -> set[str]:
    """The names by which GitHub lets links address the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_every_page_of_the_documentation_is_linked_from_another_one(document: Path) -> None:
    if document == README:
        return
    place = names(document)
    for other in DOCUMENTS:
        found = [page or raw for page, raw in OWN.findall("\n".join(links(other)))]
        found += [
            names((other.parent / link.partition("#")[0]).resolve())
            for link in links(other)
            if ":" not in link and not link.startswith("#")
        ]
        if other != document and place in found:
            return
    pytest.fail(f"no page links to {place}")


def test_the_site_has_every_page_once() -> None:
    nav = YAML(typ="safe").load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    entries = [value for entry in nav for value in entry.values()]
    pages = [
        page
        for value in entries
        for page in ([value] if isinstance(value, str) else [p for e in value for p in e.values()])
    ]
    assert sorted(pages) == sorted(
        path.relative_to(PROJECT / "docs").as_posix() for path in (PROJECT / "docs").rglob("*.md")
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "Pictures"
    write(folder / "beach.jpg", picture(1, 640, 480))
    (folder / "backup").mkdir()
    shutil.copy2(folder / "beach.jpg", folder / "backup" / "beach copy.jpg")
    return folder


def test_the_python_example_of_the_readme_runs(library: Path) -> None:
    code = blocks(README, "python")
    assert len(code) == 1
    done = subprocess.run(
        [sys.executable, "-c", code[0]], cwd=library.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("beach.jpg")
    assert "beach copy.jpg identical" in done.stdout


COMMAND = re.compile(r"^py-image-dedup .*$", re.MULTILINE)


def command_lines(document: Path) -> list[list[str]]:
    return [line.split("#")[0].split() for block in blocks(document, "") for line in COMMAND.findall(block)]


def test_the_readme_and_the_guide_show_commands() -> None:
    assert len(command_lines(README)) >= 4
    assert len(command_lines(PROJECT / "docs" / "guide.md")) >= 4


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if command_lines(each)], ids=names)
def test_every_command_line_of_the_documents_is_understood(document: Path) -> None:
    for words in command_lines(document):
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
    run("deduplicate", str(library), "--no-dry-run", "--yes")  # in place of the answer at a terminal
    assert not copy.exists()
    run("undo")
    assert copy.read_bytes() == (library / "beach.jpg").read_bytes()


@pytest.mark.parametrize("name", [*tables.TABLES, "example"])
def test_no_generated_part_is_empty(name: str) -> None:
    inside = tables.part(name, tables.PAGES[name].read_text(encoding="utf-8"))
    assert inside is not None
    assert inside.strip()


def test_every_generated_part_is_on_one_page_only() -> None:
    for name in tables.PAGES:
        marked = [names(each) for each in DOCUMENTS if tables.part(name, each.read_text(encoding="utf-8")) is not None]
        assert marked == [names(tables.PAGES[name])]


def test_every_term_of_the_glossary_names_the_packages_that_it_lives_in() -> None:
    rows = [line.split(" | ") for line in (PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[0] not in {"| term", "| ---"}]
    assert len(rows) > 50
    for *_, where in rows:
        places = re.findall(r"`([^`]+)`", where)
        assert places
        assert [place for place in places if not (PROJECT / "py_image_dedup" / place).exists()] == []


@pytest.mark.parametrize("document", [each for each in DOCUMENTS if each.name != "CHANGELOG.md"], ids=names)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = set(re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|json|yaml|md))`", document.read_text(encoding="utf-8")))
    places = (PROJECT, PROJECT / "py_image_dedup")
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []


def first_column(document: Path, head: str) -> list[str]:
    """Return the first cells of the table that begins with a head, without marks of code."""
    _, _, below = document.read_text(encoding="utf-8").partition(f"\n| {head} |")
    rows = below.partition("\n\n")[0].splitlines()[2:]
    return [row.split(" | ")[0].removeprefix("| ").strip("`") for row in rows]


def test_the_guide_names_every_phase_and_every_class_of_matches() -> None:
    guide = PROJECT / "docs" / "guide.md"
    assert first_column(guide, "phase") == [phase.value for phase in Phase]
    assert first_column(guide, "class") == [each.value for each in MatchClass]


def test_the_page_about_the_command_line_names_every_exit_code() -> None:
    codes = ", ".join(first_column(PROJECT / "docs" / "reference" / "command-line.md", "code")).split(", ")
    assert {int(code) for code in codes} == {*ExitCode, 128 + signal.SIGTERM}


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_every_schema_is_what_the_types_say(name: str) -> None:
    made = schemas.schema_text(name)
    assert (schemas.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8") == made, "run: make tables"
    Draft202012Validator.check_schema(json.loads(made))


def test_there_is_a_schema_for_every_format_in_json() -> None:
    assert {path.name for path in schemas.FOLDER.iterdir()} == {f"{name}.schema.json" for name in schemas.SCHEMAS}


@pytest.mark.parametrize("value", [*Finding, *RegionKind, *ActionKind, *MatchClass])
def test_the_page_about_the_files_names_every_value(value: str) -> None:
    assert f"`{value}`" in (PROJECT / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_schema_of_results_has_every_outcome_and_region_of_a_comparison_in_full() -> None:
    schema = json.loads((PROJECT / "docs" / "schemas" / "result.schema.json").read_text(encoding="utf-8"))
    kinds = schema["$defs"]
    assert kinds["Inspection"]["properties"]["outcome"]["$ref"] == "#/$defs/Outcome"
    assert kinds["Region"]["properties"]["kind"]["$ref"] == "#/$defs/RegionKind"
    assert kinds["Redundant"]["properties"]["class"]["$ref"] == "#/$defs/MatchClass"
    assert kinds["Outcome"]["enum"] == sorted(str(each) for each in Finding)
    assert kinds["RegionKind"]["enum"] == sorted(str(each) for each in RegionKind)
    assert kinds["MatchClass"]["enum"] == sorted(str(each) for each in MatchClass)


def test_every_name_on_the_page_about_the_architecture_is_in_the_code() -> None:
    sources = (path for folder in ("py_image_dedup", "tests") for path in (PROJECT / folder).rglob("*.py"))
    code = set(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in sources)))
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert sorted(set(re.findall(r"`([A-Za-z_]+)`", text)) - code - {"util", "common"}) == []
