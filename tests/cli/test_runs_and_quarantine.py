"""Earlier runs and the quarantine at the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.program import Program, contents


@pytest.fixture
def library(library: Path) -> Path:
    """The library with a file of the same pixels in other bytes, which goes to the quarantine."""
    photo = (library / "2019" / "beach.jpg").read_bytes()
    assert photo[2:4] == b"\xff\xe0"
    (library / "sent" / "small.jpg").write_bytes(photo[:2] + photo[4 + int.from_bytes(photo[4:6]) :])
    return library


@pytest.fixture
def run(program: Program, library: Path) -> str:
    """A run that deleted beach copy.jpg and put small.jpg into quarantine."""
    assert program.call("deduplicate", "Pictures", "--no-dry-run", "--yes").code == 0
    (folder,) = (program.state / "runs").iterdir()
    return folder.name


def waiting(library: Path) -> list[Path]:
    return [path for path in library.rglob("small.jpg") if ".py-image-dedup-quarantine" in path.parts]


def test_a_run_is_shown_file_by_file(program: Program, library: Path, run: str) -> None:
    listed = program.call("runs")
    assert listed.out.startswith(run)
    assert "2 done" in listed.out
    shown = program.call("runs", "show", run)
    assert shown.code == 0, shown.err
    lines = [line.strip() for line in shown.out.splitlines()]
    (place,) = waiting(library)
    assert any(line.startswith("deleted") and line.endswith("copies/beach copy.jpg") for line in lines)
    assert any(line.startswith("quarantined") and line.endswith("sent/small.jpg") for line in lines)
    assert f"now {place}" in lines
    assert f"identical to the keeper {library / '2019' / 'beach.jpg'}" in lines


def test_a_dry_run_is_shown_with_its_plan(program: Program, library: Path) -> None:
    program.call("deduplicate", "Pictures")
    (folder,) = (program.state / "runs").iterdir()
    shown = program.call("runs", "show", folder.name)
    assert "planned: delete" in shown.out
    assert "planned: quarantine" in shown.out


def test_only_the_named_file_is_restored(program: Program, library: Path, run: str) -> None:
    copy = library / "copies" / "beach copy.jpg"
    shown = program.call("undo", "--dry-run", copy)
    assert (shown.code, copy.exists()) == (0, False)
    assert "1 file of the run" in shown.out
    assert "would be restored" in shown.out
    undone = program.call("undo", copy)
    assert undone.code == 0, undone.err
    assert copy.exists()
    assert len(waiting(library)) == 1
    assert "2 done, 1 restored" in program.call("runs").out
    assert program.call("undo", run, library / "sent" / "small.jpg").code == 0
    assert waiting(library) == []
    assert "all restored" in program.call("runs").out


def test_a_shown_undo_restores_nothing(program: Program, library: Path, run: str) -> None:
    before = contents(library)
    shown = program.call("undo", "--dry-run")
    assert shown.code == 0
    assert f"2 files of the run {run} would be restored" in shown.out
    assert contents(library) == before


@pytest.mark.parametrize("arguments", [["Pictures/2019/beach.jpg"], ["RUN", "Pictures/2019/beach.jpg"]])
def test_a_file_that_no_run_removed_is_an_error(program: Program, run: str, arguments: list[str]) -> None:
    ended = program.call("undo", *(run if each == "RUN" else each for each in arguments))
    assert ended.code == 2
    assert "beach.jpg" in ended.err


def test_a_run_is_verified(program: Program, library: Path, run: str) -> None:
    fine = program.call("verify", run)
    assert (fine.code, fine.out) == (0, f"2 files of the run {run} checked, 0 problems\n")
    (library / "2019" / "beach.jpg").unlink()
    lost = program.call("runs", "verify", run)
    assert lost.code == 1
    assert "is a keeper, but it is not there" in lost.out


def test_the_quarantine_is_listed_and_restored_by_either_path(program: Program, library: Path, run: str) -> None:
    (place,) = waiting(library)
    original = library / "sent" / "small.jpg"
    listed = program.call("quarantine", "list", "Pictures")
    assert str(place) in listed.out
    assert f"it was {original}" in listed.out
    assert "1 file in quarantine" in listed.out
    assert program.call("quarantine", "restore", original).code == 0
    assert original.exists()
    assert program.call("quarantine", "list").out == "0 files in quarantine, 0 bytes\n"
    again = program.call("quarantine", "restore", place)
    assert (again.code, "is not in quarantine" in again.err) == (2, True)


@pytest.mark.parametrize("without_manifest", [False, True])
def test_the_quarantine_outlives_the_state_directory(
    program: Program, library: Path, run: str, *, without_manifest: bool
) -> None:
    shutil.rmtree(program.state)
    if without_manifest:
        (library / ".py-image-dedup-quarantine" / run / ".py-image-dedup-manifest.jsonl").unlink()
    listed = program.call("quarantine", "list", "Pictures")
    assert f"it was {library / 'sent' / 'small.jpg'}" in listed.out
    restored = program.call("quarantine", "restore", "Pictures/sent/small.jpg")
    assert restored.code == 0, restored.err
    assert (library / "sent" / "small.jpg").exists()
    assert not (library / ".py-image-dedup-quarantine").exists()


def test_a_purge_needs_yes_without_a_terminal_and_is_a_run(program: Program, library: Path, run: str) -> None:
    refused = program.call("quarantine", "purge")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert len(waiting(library)) == 1
    shown = program.call("quarantine", "purge", "--dry-run")
    assert (shown.code, len(waiting(library))) == (0, 1)
    assert "to be permanently deleted" in shown.out
    assert "Redundant" not in shown.out
    assert "Groups" not in shown.out
    young = program.call("quarantine", "purge", "--older-than", "1", "--yes")
    assert (young.code, len(waiting(library))) == (0, 1)
    ended = program.call("quarantine", "purge", "--yes")
    assert ended.code == 0, ended.err
    assert "1 file" in ended.out
    assert not (library / ".py-image-dedup-quarantine").exists()
    listed = program.call("runs").out
    assert "2 done, 1 expired in quarantine since" in listed
    assert "1 file permanently deleted from quarantine" in listed
    undone = program.call("undo", run)
    assert undone.code == 3
    assert "was deleted from the quarantine" in undone.out


def test_a_purge_keeps_what_lost_its_keeper(program: Program, library: Path, run: str) -> None:
    (library / "2019" / "beach.jpg").unlink()
    ended = program.call("quarantine", "purge", "--yes")
    assert ended.code == 0
    assert "no other copy is known" in ended.out
    assert len(waiting(library)) == 1


def test_a_dry_run_shows_what_leaves_the_quarantine_and_a_real_one_deletes_it(
    program: Program, library: Path, run: str
) -> None:
    ended = program.call("deduplicate", "Pictures", "--quarantine-days", "0")
    assert "1 file older than 0 days to be permanently deleted" in ended.out
    assert len(waiting(library)) == 1
    refused = program.call("deduplicate", "Pictures", "--quarantine-days", "0", "--no-dry-run")
    assert (refused.code, len(waiting(library))) == (2, 1)
    done = program.call("deduplicate", "Pictures", "--quarantine-days", "0", "--no-dry-run", "--yes")
    assert done.code == 0, done.err
    assert waiting(library) == []
    assert "permanently deleted" in done.out
