from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import Plan
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.folders import prune
from py_image_dedup.removal.journal import no_step
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.removal.undo import undo
from tests.removal.faults import at
from tests.removal.library import group, plan, put, snapshot

BEST = b"the best one" * 20


class Library:
    def __init__(self, folder: Path) -> None:
        self.root, self.run = folder / "photos", folder / "run"
        self.keeper = put(self.root / "keep" / "keeper.jpg", BEST)
        self.deep = put(self.root / "x" / "y" / "z" / "same.jpg", BEST)

    def plan(self, *more: Path, action: ActionChoice = ActionChoice.AUTO) -> Plan:
        return plan([self.root], [group(self.keeper, self.deep, *more)], action, prune=True)

    def pruned(self, made: Plan, step: object = no_step) -> list[str]:
        outcomes = execute(made, self.run)
        return [str(one.relative_to(self.root)) for one in prune(made, outcomes, self.run, step=step)]  # type: ignore[arg-type]


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_folders_that_the_run_emptied_go_with_those_above_them(lib: Library) -> None:
    before = snapshot(lib.root)
    assert lib.pruned(lib.plan()) == ["x/y/z", "x/y", "x"]
    undo(lib.run)
    assert snapshot(lib.root) == before


def test_a_folder_that_was_empty_before_stays_and_keeps_those_above_it(lib: Library) -> None:
    (lib.root / "x" / "empty").mkdir()
    assert lib.pruned(lib.plan()) == ["x/y/z", "x/y"]
    assert (lib.root / "x" / "empty").is_dir()


@pytest.mark.parametrize("marker", [".stfolder/", ".nomedia", "Thumbs.db", "notes.txt"])
def test_a_folder_with_anything_in_it_stays(lib: Library, marker: str) -> None:
    path = lib.deep.parent / marker
    path.mkdir() if marker.endswith("/") else path.touch()
    assert lib.pruned(lib.plan()) == []
    assert path.exists()


def test_a_root_never_goes(tmp_path: Path) -> None:
    outer, inner = tmp_path / "photos", tmp_path / "photos" / "phone"
    keeper, same = put(tmp_path / "other" / "keeper.jpg", BEST), put(inner / "same.jpg", BEST)
    made = plan([outer, inner, tmp_path / "other"], [group(keeper, same)], prune=True)
    outcomes = execute(made, tmp_path / "run")
    assert prune(made, outcomes, tmp_path / "run") == ()
    assert inner.is_dir()


def test_a_protected_folder_never_goes(tmp_path: Path) -> None:
    root, guarded = tmp_path / "photos", tmp_path / "photos" / "x" / "safe"
    keeper, same = put(root / "keeper.jpg", BEST), put(root / "x" / "same.jpg", BEST)
    guarded.mkdir()
    made = plan([Root(root), Root(guarded, protected=True)], [group(keeper, same)], prune=True)
    outcomes = execute(made, tmp_path / "run")
    assert prune(made, outcomes, tmp_path / "run") == ()
    assert guarded.is_dir()


def test_a_folder_that_fills_up_again_at_the_last_moment_stays(lib: Library) -> None:
    late = lib.deep.with_name("late.jpg")
    assert lib.pruned(lib.plan(), at("prune: rmdir", lambda: late.write_bytes(b"late"))) == []
    assert late.read_bytes() == b"late"


def test_a_folder_that_became_a_link_is_not_followed(lib: Library) -> None:
    made = lib.plan()
    outcomes = execute(made, lib.run)
    aside = lib.root.parent / "elsewhere"
    (lib.root / "x").rename(aside)
    (lib.root / "x").symlink_to(aside)
    assert prune(made, outcomes, lib.run) == ()
    assert (aside / "y" / "z").is_dir()


def test_a_skipped_file_empties_nothing(lib: Library) -> None:
    made = lib.plan()
    lib.deep.unlink()
    assert lib.pruned(made) == []
    assert lib.deep.parent.is_dir()


def test_hard_links_empty_nothing(lib: Library) -> None:
    assert lib.pruned(lib.plan(action=ActionChoice.HARDLINK)) == []


def test_modes_and_times_of_folders_come_back(lib: Library) -> None:
    (lib.root / "x" / "y").chmod(0o750)
    folders = [lib.root / "x", lib.root / "x" / "y", lib.root / "x" / "y" / "z"]
    before = [(folder.stat().st_mode, folder.stat().st_mtime_ns) for folder in folders]
    lib.pruned(replace(lib.plan()))
    undo(lib.run)
    assert [(folder.stat().st_mode, folder.stat().st_mtime_ns) for folder in folders] == before
