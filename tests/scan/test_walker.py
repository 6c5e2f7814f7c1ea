from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.file import Inventory, Root
from py_image_dedup.scan.selector import Selector, is_picture
from py_image_dedup.scan.walker import walk

JPG = Selector(frozenset({".jpg"}))


def make(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(inventory: Inventory) -> set[Path]:
    return {file.path for file in inventory}


def test_every_file_with_an_extension_of_a_picture_is_found_with_its_stamp(tmp_path: Path) -> None:
    photo = make(tmp_path / "a.JPG", b"12345")
    make(tmp_path / "notes.txt")
    inventory = walk([Root(tmp_path)], JPG)
    status = photo.stat()
    assert dict(inventory.stamps) == {
        os.fsencode(photo): (5, status.st_mtime_ns, status.st_dev, status.st_ino),
    }
    assert inventory.skipped == {"other-extension": 1}
    assert not inventory.incomplete
    assert not inventory.failures


def test_hidden_files_brackets_and_spaces_are_names_like_any_other(tmp_path: Path) -> None:
    photos = {
        make(tmp_path / name)
        for name in (
            ".hidden.jpg",
            ".folder/a.jpg",
            "x [1]/b [2].jpg",
            "folder.jpg/inside.jpg",
            " c .jpg",
            "-d.jpg",
            "*.jpg",
            "new\nline.jpg",
        )
    }
    assert found(walk([Root(tmp_path)], JPG)) == photos


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe caf\xe9.jpg"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    assert list(walk([Root(tmp_path)], JPG).stamps) == [raw]


def test_sub_folders_are_walked_only_if_recursive(tmp_path: Path) -> None:
    top, below = make(tmp_path / "a.jpg"), make(tmp_path / "b" / "c" / "d.jpg")
    assert found(walk([Root(tmp_path)], JPG)) == {top, below}
    assert found(walk([Root(tmp_path)], Selector(frozenset({"jpg"}), recursive=False))) == {top}


@pytest.mark.parametrize(
    "folder",
    [
        ".Trash", ".Trash-1000", ".Trashes", "@eaDir", ".stfolder", ".stversions", "$RECYCLE.BIN",
        "System Volume Information", "lost+found", ".py-image-dedup-quarantine", "#recycle",
    ],
)  # fmt: skip
def test_trash_and_system_folders_are_skipped_and_counted(tmp_path: Path, folder: str) -> None:
    kept = make(tmp_path / "a.jpg")
    make(tmp_path / "sub" / folder / "deep" / "b.jpg")
    inventory = walk([Root(tmp_path)], JPG)
    assert found(inventory) == {kept}
    assert inventory.skipped == {"system-folder": 1}


def test_a_folder_set_apart_is_not_entered(tmp_path: Path) -> None:
    kept = make(tmp_path / "a.jpg")
    make(tmp_path / "duplicates" / "b.jpg")
    selector = Selector(frozenset({"jpg"}), set_apart=frozenset({os.fsencode(tmp_path / "duplicates")}))
    inventory = walk([Root(tmp_path)], selector)
    assert found(inventory) == {kept}
    assert inventory.skipped == {"set-apart": 1}


def test_a_trash_that_the_user_names_as_root_is_walked(tmp_path: Path) -> None:
    photo = make(tmp_path / ".Trash-1000" / "a.jpg")
    assert found(walk([Root(tmp_path / ".Trash-1000")], JPG)) == {photo}


def test_symbolic_links_below_a_root_are_not_followed_but_counted(tmp_path: Path) -> None:
    photo = make(tmp_path / "real" / "a.jpg")
    (tmp_path / "link.jpg").symlink_to(photo)
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "folder.jpg").symlink_to(tmp_path / "real")
    inventory = walk([Root(tmp_path)], JPG)
    assert found(inventory) == {photo}
    assert inventory.skipped == {"symbolic-link": 3}


def test_a_fifo_is_not_a_photo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    inventory = walk([Root(tmp_path)], JPG)
    assert not inventory.stamps
    assert inventory.skipped == {"special-file": 1}


def test_a_root_that_is_a_link_is_followed_once(tmp_path: Path) -> None:
    make(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    inventory = walk([Root(tmp_path / "link")], JPG)
    assert found(inventory) == {tmp_path / "link" / "a.jpg"}


@pytest.mark.parametrize("turned", [False, True])
def test_nested_equal_and_linked_roots_find_each_file_once(tmp_path: Path, turned: bool) -> None:
    outer, inner = make(tmp_path / "p" / "a.jpg"), make(tmp_path / "p" / "q" / "b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "p" / "q")
    roots = [Root(tmp_path / "p"), Root(tmp_path / "p" / "q"), Root(tmp_path / "p"), Root(tmp_path / "link")]
    inventory = walk(roots[::-1] if turned else roots, JPG)
    assert found(inventory) == {outer, inner}
    assert [root.path for root in inventory.roots] == [tmp_path / "p", tmp_path / "p" / "q"]


def test_a_linked_root_into_another_root_does_not_make_a_file_its_own_duplicate(tmp_path: Path) -> None:
    outer = make(tmp_path / "p" / "a.jpg")
    make(tmp_path / "p" / "q" / "b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "p" / "q")
    inventory = walk([Root(tmp_path / "p"), Root(tmp_path / "link")], JPG)
    assert found(inventory) == {outer, tmp_path / "link" / "b.jpg"}


def test_a_root_inside_a_protected_one_is_protected_even_through_a_link(tmp_path: Path) -> None:
    make(tmp_path / "p" / "q" / "b.jpg")
    make(tmp_path / "pq" / "c.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "p" / "q")
    roots = [Root(tmp_path / "p", protected=True), Root(tmp_path / "link"), Root(tmp_path / "pq")]
    protected = {root.path: root.protected for root in walk(roots, JPG).roots}
    assert protected == {tmp_path / "p": True, tmp_path / "link": True, tmp_path / "pq": False}


def test_two_names_of_one_inode_are_one_file_and_an_alias(tmp_path: Path) -> None:
    first = make(tmp_path / "a.jpg")
    os.link(first, tmp_path / "b.jpg")
    inventory = walk([Root(tmp_path)], JPG)
    assert found(inventory) == {first}
    assert inventory.aliases == {os.fsencode(tmp_path / "b.jpg"): os.fsencode(first)}


def test_a_file_with_a_second_name_anywhere_is_known_as_linked(tmp_path: Path) -> None:
    inside, single = make(tmp_path / "root" / "a.jpg"), make(tmp_path / "root" / "b.jpg")
    (tmp_path / "elsewhere.jpg").hardlink_to(inside)
    inventory = walk([Root(tmp_path / "root")], JPG)
    assert found(inventory) == {inside, single}
    assert inventory.linked == {os.fsencode(inside)}


def test_of_two_names_of_one_inode_the_protected_one_counts(tmp_path: Path) -> None:
    first = make(tmp_path / "a" / "x.jpg")
    (tmp_path / "b").mkdir()
    os.link(first, tmp_path / "b" / "x.jpg")
    inventory = walk([Root(tmp_path / "a"), Root(tmp_path / "b", protected=True)], JPG)
    assert found(inventory) == {tmp_path / "b" / "x.jpg"}


def test_a_root_that_is_not_there_is_a_failure_in_words_and_incomplete(tmp_path: Path) -> None:
    photo = make(tmp_path / "here" / "a.jpg")
    inventory = walk([Root(tmp_path / "here"), Root(tmp_path / "gone")], JPG)
    assert found(inventory) == {photo}
    assert inventory.incomplete == (tmp_path / "gone",)
    (failure,) = inventory.failures
    assert failure.reason is FailureReason.VANISHED
    assert str(tmp_path / "gone") in failure.message
    assert "mount" in failure.message


def test_a_file_as_root_is_a_failure(tmp_path: Path) -> None:
    photo = make(tmp_path / "a.jpg")
    inventory = walk([Root(photo)], JPG)
    assert not inventory.stamps
    assert "not a folder" in inventory.failures[0].message


def test_an_empty_root_is_incomplete_because_an_unmounted_disk_looks_like_that(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    inventory = walk([Root(tmp_path / "disk")], JPG)
    assert inventory.incomplete == (tmp_path / "disk",)
    assert not inventory.failures


def test_an_unreadable_folder_is_listed_and_the_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = make(tmp_path / "a.jpg")
    make(tmp_path / "locked" / "b.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.fsencode(path).endswith(b"/locked"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    inventory = walk([Root(tmp_path)], JPG)
    assert found(inventory) == {photo}
    assert inventory.incomplete == (tmp_path / "locked",)
    assert [(failure.path, failure.reason) for failure in inventory.failures] == [
        (tmp_path / "locked", FailureReason.NO_PERMISSION)
    ]


def test_a_folder_that_fails_while_it_is_read_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "sub" / "a.jpg")
    real = os.scandir

    class Breaking:
        def __init__(self, path: Any) -> None:
            self.entries = real(path)
            self.path = os.fsencode(path)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.entries.close()

        def __iter__(self) -> Iterator[Any]:
            yield from self.entries
            if self.path.endswith(b"/sub"):
                raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", Breaking)
    inventory = walk([Root(tmp_path)], JPG)
    assert inventory.incomplete == (tmp_path / "sub",)
    assert inventory.failures[0].reason is FailureReason.IO_ERROR


def test_a_folder_that_vanishes_during_the_walk_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "sub" / "a.jpg")
    photo = make(tmp_path / "b.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.fsencode(path).endswith(b"/sub"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    inventory = walk([Root(tmp_path)], JPG)
    assert found(inventory) == {photo}
    assert not inventory.failures
    assert inventory.skipped == {"vanished": 1}


def test_every_root_of_a_stopped_walk_is_incomplete(tmp_path: Path) -> None:
    make(tmp_path / "a.jpg")
    make(tmp_path / "b" / "c.jpg")
    answers = iter([False, True])
    inventory = walk([Root(tmp_path)], JPG, should_stop=lambda: next(answers, True))
    assert inventory.incomplete == (tmp_path,)


def test_the_walk_tells_how_many_files_each_folder_had(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c/d.jpg"):
        make(tmp_path / name)
    told: list[int] = []
    walk([Root(tmp_path)], JPG, advanced=told.append)
    assert told == [2, 1]


JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


def test_with_any_extension_the_content_decides_and_excluded_files_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = make(tmp_path / "DSC0001", JPEG)
    make(tmp_path / "notes.txt", b"text")
    make(tmp_path / "excluded" / "DSC0002", JPEG)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(picture)
    opened: list[bytes] = []

    def recorded(path: bytes) -> bool:
        opened.append(path)
        return is_picture(path)

    monkeypatch.setattr("py_image_dedup.scan.walker.is_picture", recorded)
    selector = Selector(frozenset({".jpg"}), (re.compile("excluded/DSC"),), any_extension=True)
    inventory = walk([Root(tmp_path)], selector)
    assert found(inventory) == {picture}
    assert {Path(os.fsdecode(path)).name for path in opened} == {"DSC0001", "notes.txt"}
    assert inventory.skipped == {"other-extension": 3, "excluded": 1}


def test_files_of_other_sizes_are_left_out_and_counted(tmp_path: Path) -> None:
    for size in (9, 10, 20, 21):
        make(tmp_path / f"{size}.jpg", bytes(size))
    inventory = walk([Root(tmp_path)], Selector(frozenset({".jpg"}), min_size=10, max_size=20))
    assert {path.name for path in found(inventory)} == {"10.jpg", "20.jpg"}
    assert inventory.skipped == {"other-size": 2}


def test_folders_on_another_file_system_are_not_entered(tmp_path: Path) -> None:
    if not Path("/dev/pts").is_mount():
        pytest.skip("there is no second file system here")
    make(tmp_path / "a" / "b.jpg")
    selector = Selector(frozenset({".jpg"}), one_file_system=True)
    assert walk([Root(tmp_path)], selector).skipped == {}
    # A root of the other file system is walked, and below it nothing of ours is reached.
    walked = walk([Root(Path("/dev"))], selector)
    assert walked.skipped["other-file-system"] >= 1


def test_files_that_are_not_read_are_listed_by_kind(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.MOV", "c.mp4", "sub/d.mkv", "e.pdf", "f.txt", "private/g.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "c.mp4")
    selector = Selector(frozenset({"jpg"}), (re.compile("/private/"),))
    unread = walk([Root(tmp_path)], selector).unread
    assert [(each.kind, each.reason) for each in unread] == [
        ("video", "videos are not compared"),
        ("PDF document", "not a photo"),
    ]
    assert [str(path.relative_to(tmp_path)) for path in unread[0].paths] == ["b.MOV", "c.mp4", "sub/d.mkv"]


def test_a_file_that_the_user_selects_is_not_listed_as_unread(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    assert walk([Root(tmp_path)], Selector(frozenset({"mp4"}))).unread == ()
