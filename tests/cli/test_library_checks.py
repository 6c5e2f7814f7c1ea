"""``unique`` lists what exists once; ``verify`` finds damaged pictures, and still checks runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.support.pictures import picture, write


@pytest.fixture
def backup(program: Program) -> Program:
    """Three photos; one is in the backup, one there as a smaller copy too, one is not."""
    photos, copies = program.home / "Photos", program.home / "Backup"
    for seed in (1, 2, 3):
        write(photos / f"{seed}.jpg", picture(seed, 320, 240))
    copies.mkdir()
    for name in ("1.jpg", "2.jpg"):
        shutil.copy2(photos / name, copies / name)
    write(copies / "2 small.jpg", picture(2, 320, 240).resize((240, 180)))
    (copies / "only there.jpg").write_bytes(write(program.home / "x.jpg", picture(4)).read_bytes())
    return program


def names(out: str) -> list[str]:
    return sorted(str(Path(line).relative_to(Path(line).parents[1])) for line in out.splitlines())


def test_unique_lists_what_exists_once_and_what_has_too_few_copies(backup: Program) -> None:
    once = backup.call("unique", "Photos", "Backup")
    assert once.code == 0, once.err
    assert names(once.out) == ["Backup/only there.jpg", "Photos/3.jpg"]
    assert "2 of 7 pictures exist once" in once.err
    few = backup.call("unique", "Photos", "Backup", "--copies", "2")
    assert names(few.out) == ["Backup/1.jpg", "Backup/only there.jpg", "Photos/1.jpg", "Photos/3.jpg"]
    exact = backup.call("unique", "Photos", "Backup", "--similarity", "identical")
    assert names(exact.out) == ["Backup/2 small.jpg", "Backup/only there.jpg", "Photos/3.jpg"]


def test_unique_against_a_backup_lists_what_is_missing_there(backup: Program) -> None:
    shutil.copy2(backup.home / "Photos" / "3.jpg", backup.home / "Photos" / "3 copy.jpg")
    missing = backup.call("unique", "Photos", "--against", "Backup", "-0")
    paths = [Path(each) for each in missing.out.split("\0") if each]
    assert [path.name for path in paths] == ["3 copy.jpg", "3.jpg"]
    assert f"2 of {len(list((backup.home / 'Photos').iterdir()))} pictures have no copy there" in missing.err
    assert backup.call("runs").out == backup.call("runs", "--state-directory", "elsewhere").out


def test_verify_finds_damaged_pictures_in_folders_and_still_checks_runs(program: Program, library: Path) -> None:
    ended = program.call("verify", "Pictures")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].endswith("/Pictures/broken.jpg")
    assert lines[1].startswith("  unreadable: ")
    assert lines[-1] == "5 pictures read, 1 damaged"
    (library / "broken.jpg").unlink()
    healthy = program.call("verify", "Pictures")
    assert (healthy.code, healthy.out) == (0, "4 pictures read, none damaged\n")
    assert program.call("verify", "nothing/here").code == 2
    assert "There is no run" in program.call("verify", "20260101-000000").err
    removed = program.call("deduplicate", "Pictures", "--no-dry-run", "--yes")
    run = removed.err.rpartition("undo ")[2].strip()
    checked = program.call("verify", run)
    assert checked.code == 0
    assert f"of the run {run} checked, 0 problems" in checked.out


def test_a_picture_is_known_whatever_the_scope_of_runs_and_the_time_of_its_arrival(program: Program) -> None:
    photo = write(program.home / "Photos" / "a.jpg", picture(1, 320, 240))
    program.call("analyse", "Photos")
    upload = write(program.home / "upload.jpg", picture(1, 320, 240).resize((240, 180)))
    os.utime(upload, (0, 0))
    (program.home / "py_image_dedup.yaml").write_text(
        "py_image_dedup: {analysis: {scope: against, protected_directories: [Photos]}, "
        "deduplication: {max_file_modification_time_diff: 5m}}\n"
    )
    known = program.call("known", "upload.jpg")
    assert (known.code, known.out.splitlines()[0]) == (0, "upload.jpg: known")
    assert str(photo) in known.out
    assert program.call("known", "upload.jpg", "--max-distance", "0").code == 1
    assert program.call("known", "upload.jpg", "--same-dimensions").code == 1
