"""Damaged pictures are found, each kind by what gives it away, and healthy ones are not accused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.api import Deduplicator, Options, SqliteStore
from py_image_dedup.api.damage import Damage, DamageKind, filled_share
from py_image_dedup.model.file import Root
from py_image_dedup.pipeline.options import AnalyseOptions
from py_image_dedup.scan.selector import Selector
from tests.support.photographs import photograph

OPTIONS = Options(analyse=AnalyseOptions(threads=2, features=False))
SHOT = photograph(3, 480, 360)


def damages(folder: Path, index: Path, *, analyse: bool = False) -> dict[str, Damage]:
    with SqliteStore(index) as store:
        work = Deduplicator(store, OPTIONS)
        if analyse:
            work.analyse([Root(folder)])
        found = work.find_damage([Root(folder)])
    return {damage.path.name: damage for damage in found.found}


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("jpeg") / "whole.jpg"
    SHOT.save(path, quality=92)
    return path.read_bytes()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def closed(data: bytes) -> bytes:
    """Cut off, and ended as if that were all: decoders show the rest in grey."""
    return data[: len(data) // 2] + b"\xff\xd9"


def without_tail(data: bytes) -> bytes:
    """The second half was never written."""
    half = len(data) // 2
    return data[:half] + bytes(len(data) - half)


def sector(data: bytes) -> bytes:
    """One lost sector in the middle."""
    at = len(data) * 2 // 3
    return data[:at] + bytes(4096 + 512) + data[at + 4096 + 512 :]


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (cut, {DamageKind.UNREADABLE}),
        (closed, {DamageKind.GREY}),
        (without_tail, {DamageKind.UNREADABLE, DamageKind.ZERO_FILLED, DamageKind.GREY}),
        (sector, {DamageKind.UNREADABLE, DamageKind.ZERO_FILLED}),
        (lambda data: bytes(len(data)), {DamageKind.ZERO_FILLED}),
        (lambda data: b"", {DamageKind.UNREADABLE}),
    ],
    ids=["cut", "closed", "without tail", "sector", "zeros", "empty"],
)
def test_a_jpeg_with_lost_data_is_damaged(
    tmp_path: Path, jpeg: bytes, damage: Callable[[bytes], bytes], kinds: set[DamageKind]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "whole.jpg").write_bytes(jpeg)
    (folder / "damaged.jpg").write_bytes(damage(jpeg))
    found = damages(folder, tmp_path / "index")
    assert found.keys() == {"damaged.jpg"}
    assert found["damaged.jpg"].kind in kinds


def test_healthy_pictures_of_all_sorts_are_not_damaged(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "padded.jpg").write_bytes(jpeg + bytes(5000))  # some cameras fill up the last sector
    (folder / "video.jpg").write_bytes(jpeg + b"ftypmp42" + bytes(9000) + b"\xff\x3a")  # a motion photo
    SHOT.save(folder / "progressive.jpg", progressive=True, optimize=True)
    SHOT.save(folder / "restarts.jpg", restart_marker_rows=1)
    SHOT.save(folder / "picture.png")
    SHOT.convert("L").save(folder / "grey.jpg")
    Image.new("RGB", (1200, 900), (128, 128, 128)).save(folder / "plain.jpg", optimize=True)
    SHOT.quantize().save(folder / "picture.gif")
    edited = Image.new("RGB", (480, 420), (255, 255, 255))
    edited.paste(SHOT)
    edited.save(folder / "border.jpg")
    (folder / "metadata.jpg").write_bytes(jpeg[:2] + b"\xff\xfe\x00\x04hi" + jpeg[2:])
    (folder / "Metadata.jpg").write_bytes(jpeg[:2] + b"\xff\xfe\x00\x04ho" + jpeg[2:])
    (folder / "drawing.svg.tif").write_bytes(b"<svg>")
    assert damages(folder, tmp_path / "index") == {}


def test_a_changed_byte_of_a_png_is_found_by_its_checksum(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    SHOT.resize((120, 90)).save(folder / "a.png")
    data = bytearray((folder / "a.png").read_bytes())
    data[-30] ^= 1
    (folder / "a.png").write_bytes(data)
    found = damages(folder, tmp_path / "index")["a.png"]
    assert found.kind in {DamageKind.STRUCTURE, DamageKind.UNREADABLE}


def test_bytes_that_changed_behind_the_back_of_the_index_are_found(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    path = folder / "a.jpg"
    path.write_bytes(jpeg)
    assert damages(folder, tmp_path / "index", analyse=True) == {}
    status = path.stat()
    data = bytearray(jpeg)
    data[len(data) // 2] ^= 4
    with path.open("r+b") as stream:  # the same inode
        stream.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert damages(folder, tmp_path / "index")["a.jpg"].kind is DamageKind.CHANGED
    path.write_bytes(jpeg)  # written anew, with a new time
    assert damages(folder, tmp_path / "index") == {}


def test_a_copy_that_differs_in_few_bytes_of_its_picture_is_found_and_the_majority_is_right(
    tmp_path: Path, jpeg: bytes
) -> None:
    rotten = bytearray(jpeg)
    rotten[len(jpeg) // 2] ^= 0x10
    for folder, data in (("a", jpeg), ("b", bytes(rotten))):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        (tmp_path / "photos" / folder / "shot.jpg").write_bytes(data)
    SHOT.rotate(3).save(tmp_path / "photos" / "another.jpg")
    with SqliteStore(tmp_path / "index") as store:
        work = Deduplicator(store, OPTIONS)
        roots = [Root(tmp_path / "photos")]
        two = work.find_damage(roots).found
        (tmp_path / "photos" / "c").mkdir()
        (tmp_path / "photos" / "c" / "shot.jpg").write_bytes(jpeg)
        three = work.find_damage(roots).found
    assert [(damage.path.parent.name, damage.kind) for damage in two] == [
        ("a", DamageKind.DIFFERS),
        ("b", DamageKind.DIFFERS),
    ]
    assert "it differs in 1 byte from its copy" in two[0].message
    assert [damage.path.parent.name for damage in three] == ["b"]
    assert three[0].copy is not None
    assert three[0].copy.parent.name in {"a", "c"}


def test_a_filled_side_counts_and_a_grey_middle_does_not() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (100, 80)).astype(np.uint8)
    assert filled_share(picture) == 0
    filled = picture.copy()
    filled[60:] = 128
    assert filled_share(filled) == pytest.approx(0.4)
    assert filled_share(np.rot90(filled)) == pytest.approx(0.4)
    middle = picture.copy()
    middle[40:60] = 128
    assert filled_share(middle) == 0
    assert filled_share(np.full((100, 80), 128, np.uint8)) == 0


def test_videos_are_not_searched_for_damage(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg)
    (folder / "film.mts").write_bytes(b"\0\0\0\0G" + bytes(400))
    options = replace(OPTIONS, selector=Selector(frozenset({".jpg", ".mts"})))
    with SqliteStore(tmp_path / "index") as store:
        found = Deduplicator(store, options).find_damage([Root(folder)])
    assert (found.files, found.found) == (1, ())
