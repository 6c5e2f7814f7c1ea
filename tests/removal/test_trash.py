"""The trash is per user, so each test runs in a process with a home of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.filesystem import stamp_of
from py_image_dedup.removal.journal import State, read_history
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.trash import find_in_trash
from py_image_dedup.removal.undo import undo
from tests.removal.killing import killed_at
from tests.removal.library import Seen, contents, group, plan, put, snapshot

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="the trash of freedesktop.org is not used here")

BEST = b"the best one" * 20


class Library:
    def __init__(self, folder: Path) -> None:
        self.home, self.root, self.run = folder / "home", folder / "photos", folder / "run"
        self.home.mkdir(parents=True)
        keeper = put(self.root / "keeper.jpg", BEST)
        self.gone = [
            put(self.root / "a" / "same.jpg", BEST, 7),
            put(self.root / "b" / "same.jpg", b"like" * 9, 8),
            put(self.root / "c" / os.fsdecode(b"caf\xe9 %41.jpg"), b"odd" * 9, 9),
        ]
        self.plan = plan([self.root], [group(keeper, *self.gone)], ActionChoice.TRASH)
        self.before: dict[str, Seen | None] = snapshot(self.root)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for the children of this test. Send2Trash looks once, when it is imported: in a child, that is."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path / "home"


def test_files_go_to_the_trash_and_come_back(tmp_path: Path, home: Path) -> None:
    lib = Library(tmp_path)
    trash = home / ".local" / "share" / "Trash"

    def there(_: object) -> None:
        outcomes = execute(lib.plan, lib.run)
        assert {one.status for one in outcomes} == {OutcomeStatus.DONE}
        assert [one.target and one.target.parent for one in outcomes] == [trash / "files"] * 3
        assert len({one.target for one in outcomes}) == 3
        assert not any(path.exists() for path in lib.gone)

    assert killed_at(0, there) is False
    undone = undo(lib.run)
    assert {one.status for one in undone} == {OutcomeStatus.DONE}
    assert snapshot(lib.root) == lib.before
    assert list((trash / "files").iterdir()) == []
    assert list((trash / "info").iterdir()) == []


def test_an_emptied_trash_is_told_and_identical_files_come_from_their_keeper(tmp_path: Path, home: Path) -> None:
    lib = Library(tmp_path)
    assert killed_at(0, lambda _: execute(lib.plan, lib.run)) is False
    for path in (home / ".local" / "share" / "Trash" / "files").iterdir():
        path.unlink()
    undone = {one.action.source.path: one for one in undo(lib.run)}
    assert undone[lib.gone[0]].status is OutcomeStatus.DONE
    assert undone[lib.gone[1]].status is OutcomeStatus.FAILED
    assert "not found in the trash" in undone[lib.gone[1]].message


def test_a_file_is_found_in_a_trash_that_lost_others_of_its_name(tmp_path: Path, home: Path) -> None:
    lib = Library(tmp_path)
    assert killed_at(0, lambda _: execute(lib.plan, lib.run)) is False
    trash = home / ".local" / "share" / "Trash"
    (trash / "files" / "same.jpg").unlink()
    (trash / "info" / "same.jpg.trashinfo").unlink()
    moved = {entry.action.source.path: entry for entry in read_history(lib.run).entries.values()}[lib.gone[1]]
    assert moved.location == trash / "files" / "same 1.jpg"
    assert find_in_trash(lib.gone[1], moved.action.source.stamp) == moved.location


def test_a_kill_at_any_step_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for number in range(1, 60):
        lib = Library(tmp_path / str(number))
        monkeypatch.setenv("HOME", str(lib.home))
        killed = killed_at(number, lambda step, lib=lib: execute(lib.plan, lib.run, step=step))
        recover(lib.run)
        assert {seen.content for seen in lib.before.values() if seen} <= contents(lib.root, lib.home)
        assert State.INTENDED not in {entry.state for entry in read_history(lib.run).entries.values()}
        undo(lib.run)
        assert snapshot(lib.root) == lib.before
        if not killed:
            break
    assert number > 6


def test_an_undo_killed_at_any_step_is_put_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for number in range(1, 60):
        lib = Library(tmp_path / str(number))
        monkeypatch.setenv("HOME", str(lib.home))
        assert killed_at(0, lambda _, lib=lib: execute(lib.plan, lib.run)) is False
        killed = killed_at(number, lambda step, lib=lib: undo(lib.run, step=step))
        undo(lib.run)
        assert snapshot(lib.root) == lib.before
        assert [path for path in (lib.home / ".local").rglob("*") if path.is_file()] == []
        if not killed:
            break
    assert number > 4


def test_a_file_in_the_trash_of_macos_is_found_by_name_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = put(tmp_path / "photos" / "a.jpg", BEST, 7)
    stamp = stamp_of(was.lstat())
    bin_of_finder = tmp_path / ".Trash"
    put(bin_of_finder / "a.jpg", b"another", 7)
    was.rename(bin_of_finder / "a 12.30.15.jpg")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_in_trash(was, stamp) == bin_of_finder / "a 12.30.15.jpg"
    (bin_of_finder / "a 12.30.15.jpg").unlink()
    assert find_in_trash(was, stamp) is None
