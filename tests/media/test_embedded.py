"""The analysis of a file states what is embedded in it, and what tells it from the other shots of a series."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.photo import PhotoFacts, ShotMarks
from tests.support.pictures import picture
from tests.support.shots import shot_exif

GAIN_MAP = b'<x:xmpmeta><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
DEPTH = b'<x:xmpmeta><rdf:Description GDepth:Format="RangeInverse"/></x:xmpmeta>'
MOTION = b'<x:xmpmeta><rdf:Description GCamera:MotionPhoto="1"/></x:xmpmeta>'
FILM = b"\0\0\0\x18ftypmp42" + bytes(2000)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


def facts(decoder: Decoder, path: Path, content: bytes) -> PhotoFacts:
    path.write_bytes(content)
    with read_file(path) as opened:
        return decoder.decode(opened).facts


def encoded(kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture(1, 64, 48).save(stream, kind, **options)
    return stream.getvalue()


def stereo() -> bytes:
    stream = io.BytesIO()
    picture(1, 64, 48).save(stream, "MPO", save_all=True, append_images=[picture(2, 64, 48)])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "embedded"),
    [
        (encoded(), ()),
        (encoded(xmp=GAIN_MAP), ("gain map",)),
        (encoded(xmp=DEPTH) + FILM, ("depth map", "film")),
        (encoded(xmp=MOTION), ("film",)),
        (encoded() + FILM, ("film",)),
        (encoded() + b"behind", ()),
        (stereo(), ("second eye",)),
        (stereo() + FILM, ("film", "second eye")),
        (encoded("WEBP", xmp=GAIN_MAP), ("gain map",)),
    ],
    ids=["plain", "gain-map", "depth-and-film", "motion", "film", "trailer", "eye", "eye-and-film", "webp"],
)
def test_what_is_embedded_is_a_fact_of_the_analysis(
    decoder: Decoder, tmp_path: Path, content: bytes, embedded: tuple[str, ...]
) -> None:
    assert facts(decoder, tmp_path / "x.jpg", content).embedded == embedded


def test_a_damaged_table_of_further_pictures_costs_only_itself(decoder: Decoder, tmp_path: Path) -> None:
    content = bytearray(stereo())
    table = content.find(b"MPF\0")
    content[table + 12 : table + 40] = b"\xff" * 28
    assert facts(decoder, tmp_path / "x.jpg", bytes(content)).embedded == ()


@pytest.mark.parametrize("form", ['GCamera:BurstID="%s"', "<GCamera:BurstId>%s</GCamera:BurstId>"])
def test_the_burst_of_a_google_camera_is_read_from_its_xmp(decoder: Decoder, tmp_path: Path, form: str) -> None:
    identifier = "7d90f0e5-3c2e-4b68-a1ce-a6f4f0a4f3c5"
    xmp = f"<x:xmpmeta><rdf:Description {form % identifier}/></x:xmpmeta>".encode()
    found = facts(decoder, tmp_path / "x.jpg", encoded(exif=shot_exif(seconds=0.01), xmp=xmp))
    assert found.shot == ShotMarks(exposure_seconds=0.01, burst=identifier)


def test_every_decoded_file_has_marks_even_if_they_state_nothing(decoder: Decoder, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (20, 20)).save(stream, "BMP")
    assert facts(decoder, tmp_path / "x.bmp", stream.getvalue()).shot == ShotMarks()
