"""Every way of renaming refuses a taken name, and a kill in the middle of any of them is put right."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.filesystem import (
    FileMetadata,
    Method,
    NameInDir,
    Unsupported,
    by_claim,
    by_link,
    by_renameat2,
    open_in_dir,
    rename_new,
)
from py_image_dedup.removal.journal import Journal, Step
from py_image_dedup.removal.recovery import recover
from tests.removal.killing import killed_at
from tests.removal.library import group, plan, put, snapshot


def unknown(source: NameInDir, target: NameInDir) -> None:
    raise Unsupported(errno.ENOSYS, "not here")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[NameInDir, NameInDir]]:
    put(tmp_path / "a" / "from", b"moved")
    (tmp_path / "b").mkdir()
    with (
        open_in_dir(tmp_path / "a" / "from", [tmp_path]) as source,
        open_in_dir(tmp_path / "b" / "to", [tmp_path]) as target,
    ):
        yield source, target


WAYS = pytest.mark.parametrize(
    "methods", [(by_renameat2, by_claim), (by_link, by_claim), (by_claim,), (unknown, by_link, by_claim)]
)


@WAYS
def test_a_file_gets_its_new_name(places: tuple[NameInDir, NameInDir], methods: tuple[Method, ...]) -> None:
    source, target = places
    inode = source.lstat().st_ino
    rename_new(source, target, methods)
    assert source.look() is None
    assert target.lstat().st_ino == inode
    assert target.path.read_bytes() == b"moved"


@WAYS
@pytest.mark.parametrize("taken", ["file", "empty file", "folder", "link", "dangling link"])
def test_a_taken_name_is_refused(places: tuple[NameInDir, NameInDir], methods: tuple[Method, ...], taken: str) -> None:
    source, target = places
    if taken == "folder":
        target.path.mkdir()
    elif "link" in taken:
        target.path.symlink_to("nowhere" if "dangling" in taken else source.path)
    else:
        target.path.write_bytes(b"" if "empty" in taken else b"theirs")
    before = snapshot(source.path.parent, target.path.parent)
    with pytest.raises(FileExistsError):
        rename_new(source, target, methods)
    assert snapshot(source.path.parent, target.path.parent) == before


@WAYS
def test_another_file_system_is_told(tmp_path: Path, elsewhere: Path, methods: tuple[Method, ...]) -> None:
    put(tmp_path / "from", b"moved")
    with (
        open_in_dir(tmp_path / "from", [tmp_path]) as source,
        open_in_dir(elsewhere / "to", [elsewhere]) as target,
        pytest.raises(OSError, match="cross-device") as caught,
    ):
        rename_new(source, target, methods)
    assert caught.value.errno == errno.EXDEV
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("state", ["second name", "claim", "nothing yet", "moved"])
def test_a_kill_in_the_middle_of_a_move_is_put_right(tmp_path: Path, state: str) -> None:
    """The middle of one call cannot be stopped at from outside: its states are made by hand."""
    root, out, run = tmp_path / "photos", tmp_path / "out", tmp_path / "run"
    keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    before = snapshot(root)
    made = plan([root], [group(keeper, like)], target=out)
    with Journal.of(made, run) as journal:
        journal.record_intent(made.actions[0], FileMetadata.of(like), [out])
    out.mkdir()
    if state == "second name":
        os.link(like, out / "like.jpg")
    elif state == "claim":
        (out / "like.jpg").touch(mode=0o600)
    elif state == "moved":
        like.rename(out / "like.jpg")
    (outcome,) = recover(run)
    assert outcome.status is (OutcomeStatus.DONE if state == "moved" else OutcomeStatus.SKIPPED)
    if state != "moved":
        assert list(out.iterdir()) == []
        assert snapshot(root) == before
    (outcome,) = execute(made, run)
    assert outcome.status is OutcomeStatus.DONE
    assert (out / "like.jpg").read_bytes() == b"like" * 20


def test_a_file_of_somebody_else_at_the_target_survives_a_recovery(tmp_path: Path) -> None:
    root, out, run = tmp_path / "photos", tmp_path / "out", tmp_path / "run"
    keeper, like = put(root / "keeper.jpg", b"best" * 30), put(root / "like.jpg", b"like" * 20)
    made = plan([root], [group(keeper, like)], target=out)

    def theirs_then_killed(step: Step) -> None:
        def both(name: str, /) -> None:
            if name == "intents flushed":
                put(out / "like.jpg", b"theirs")
                step(name)

        execute(made, run, step=both)

    assert killed_at(1, theirs_then_killed)
    (outcome,) = recover(run)
    assert outcome.status is OutcomeStatus.SKIPPED
    assert (out / "like.jpg").read_bytes() == b"theirs"
    assert like.exists()
