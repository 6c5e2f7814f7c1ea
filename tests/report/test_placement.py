"""A part of a picture is placed in the whole one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from PIL import Image

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import Footage, IndexEntry, PhotoFacts, Versions
from py_image_dedup.report.placement import Placer
from tests.support.pictures import picture, write


@pytest.fixture(scope="module")
def placer() -> Iterator[Placer]:
    with Placer() as placer:
        yield placer


def entry(path: Path) -> IndexEntry:
    status = path.stat()
    stat = FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    with Image.open(path) as image:
        facts = PhotoFacts(image.format or "", *image.size)
    return IndexEntry(stat, Versions(1, 1), digest=blake3(path.read_bytes()).digest(), facts=facts)


def corners(matrix: tuple[float, ...], width: int, height: int) -> list[list[float]]:
    points = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=float)
    mapped = points @ np.array(matrix).reshape(3, 3).T
    return [[float(x / w), float(y / w)] for x, y, w in mapped]


def test_a_crop_that_was_enlarged_lies_where_it_was_cut_out(placer: Placer, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.jpg", picture(3, 960, 720))
    crop = write(tmp_path / "crop.jpg", Image.open(whole).crop((120, 90, 840, 630)).resize((900, 675)))
    matrix = placer.place(entry(whole), entry(crop))
    assert matrix is not None
    assert np.allclose(corners(matrix, 900, 675), [[120, 90], [840, 90], [840, 630], [120, 630]], atol=2.5)


def test_a_crop_that_was_turned_lies_there_too(placer: Placer, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.jpg", picture(3, 960, 720))
    cut = Image.open(whole).crop((120, 90, 840, 630)).transpose(Image.Transpose.ROTATE_270)
    crop = write(tmp_path / "crop.png", cut)
    matrix = placer.place(entry(whole), entry(crop))
    assert matrix is not None
    assert np.allclose(corners(matrix, 540, 720), [[120, 630], [120, 90], [840, 90], [840, 630]], atol=2.5)


def test_videos_have_no_place_and_are_not_read(placer: Placer, tmp_path: Path) -> None:
    path = write(tmp_path / "whole.jpg", picture(3, 960, 720))
    whole, crop = entry(path), entry(write(tmp_path / "crop.jpg", Image.open(path).crop((120, 90, 840, 630))))
    assert whole.facts is not None
    assert placer.place(whole, crop) is not None
    video = replace(whole, facts=replace(whole.facts, footage=Footage(3.0, "h264", 25.0)))
    assert placer.place(video, crop) is None
    assert placer.place(crop, video) is None


def test_another_photo_has_no_place(placer: Placer, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.jpg", picture(3, 640, 480))
    other = write(tmp_path / "other.jpg", picture(4, 640, 480))
    assert placer.place(entry(whole), entry(other)) is None


def test_a_file_that_is_gone_or_has_changed_has_no_place(placer: Placer, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.jpg", picture(5, 640, 480))
    crop = write(tmp_path / "crop.jpg", Image.open(whole).crop((60, 40, 600, 440)))
    known = entry(whole), entry(crop)
    write(crop, picture(6, 200, 150))
    assert placer.place(*known) is None
    crop.unlink()
    assert placer.place(*known) is None
