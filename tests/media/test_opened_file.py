"""Reading a file once, and saying what is wrong with it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from blake3 import blake3

from py_image_dedup.media import opened_file as module
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.failure import FailureReason


def reason(path: Path) -> FailureReason:
    with pytest.raises(MediaError) as caught:
        read_file(path)
    assert caught.value.message
    return caught.value.reason


def test_a_file_is_read_whole_with_its_digest_and_stat(tmp_path: Path) -> None:
    file = tmp_path / "a b[1].jpg"
    file.write_bytes(b"some bytes" * 1000)
    with read_file(file) as opened:
        seen = file.lstat()
        assert opened.digest == blake3(b"some bytes" * 1000).digest()
        assert opened.stat.path == file
        assert opened.stat.stamp == (seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)
        assert opened.head(4) == b"some"
        assert opened.tail(5) == b"bytes"
        assert opened.head(20_000) == opened.tail(20_000) == b"some bytes" * 1000


def test_a_large_file_has_the_same_digest(tmp_path: Path) -> None:
    file = tmp_path / "large.tif"
    file.write_bytes(os.urandom(3_000_000))
    with read_file(file) as opened:
        assert opened.digest == blake3(file.read_bytes()).digest()
        assert opened.head(10) == file.read_bytes()[:10]
        assert opened.tail(10) == file.read_bytes()[-10:]


def test_a_file_that_changes_before_it_is_decoded_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "large.tif"
    file.write_bytes(b"x" * 100)
    with read_file(file) as opened:
        opened.check_unchanged()
        file.write_bytes(b"y" * 101)
        with pytest.raises(MediaError, match="changed"):
            opened.check_unchanged()


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "growing.jpg"
    file.write_bytes(b"x" * 100)
    real = os.readv

    def read_and_write(descriptor: int, buffers: list[memoryview]) -> int:
        count = real(descriptor, buffers)
        if count == 100:
            with file.open("ab") as other:
                other.write(b"more")
        return count

    monkeypatch.setattr(module.os, "readv", read_and_write)
    assert reason(file) is FailureReason.CHANGED


def test_a_missing_file_has_vanished(tmp_path: Path) -> None:
    assert reason(tmp_path / "gone.jpg") is FailureReason.VANISHED
    (tmp_path / "file").write_bytes(b"x")
    assert reason(tmp_path / "file" / "below.jpg") is FailureReason.VANISHED


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") is FailureReason.EMPTY


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, FailureReason.NO_PERMISSION),
        (errno.EPERM, FailureReason.NO_PERMISSION),
        (errno.ESTALE, FailureReason.VANISHED),
        (errno.EIO, FailureReason.IO_ERROR),
    ],
)
def test_what_the_system_says_is_passed_on(
    number: int, expected: FailureReason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")

    def refuse(descriptor: int, buffers: list[memoryview]) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.os, "readv", refuse)
    assert reason(tmp_path / "a.jpg") is expected


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "file.jpg")
    assert reason(tmp_path / "link.jpg") is FailureReason.CHANGED


@pytest.mark.timeout(10)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") is FailureReason.CHANGED


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    file.write_bytes(b"x")
    with read_file(file) as opened:
        assert opened.stat.raw_path.endswith(b"caf\xe9.jpg")
