"""What the metadata of a picture say, as its worker reads them, and what another picture lacks of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import opened
from py_image_dedup.xmp.description import Description, description, missing
from py_image_dedup.xmp.packet import merged
from tests.xmp.test_packet import face

HERE = {"exif:GPSLatitude": ("52,31.200000N",), "exif:GPSLongitude": ("13,24.500000E",)}


def described(path: Path) -> Description:
    with opened(path) as (_, stat), Decoder() as decoder:
        raw = decoder.describe(stat)
    return description(raw.fields, raw.packet, raw.orientation)


def exif_of_a_photo() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "A lake\r\nin the evening"
    exif[0x013B] = "Ada; Grace"
    exif[0x0112] = 6
    exif[0x4746] = 4
    exif[0x9C9E] = "lake;summer\0".encode("utf-16-le")
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0x9291: "25", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update(
        {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 30.0), 5: b"\0", 6: 34.5},
    )
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_exif_is_read_from_every_format_as_xmp_calls_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (16, 16)).save(path, exif=exif_of_a_photo().tobytes())
    found = described(path)
    assert dict(found.properties) == {
        "dc:description": ("A lake\nin the evening",),
        "dc:creator": ("Ada", "Grace"),
        "dc:subject": ("lake", "summer"),
        "xmp:Rating": ("4",),
        **HERE,
        "exif:GPSAltitude": ("34500/1000",),
        "exif:GPSAltitudeRef": ("0",),
        "exif:DateTimeOriginal": ("2024-05-06T07:08:09.25+02:00",),
    }
    assert found.orientation == 6 or suffix == "avif"  # an AVIF file is rotated by its own header


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_xmp_is_read_from_every_format_and_wins_over_exif(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{suffix}"
    packet = merged(b"", {"xmp:Rating": ("2",), "dc:subject": ("boat",), "mwg-rs:Regions": (face("Ada"),)}, (16, 16))
    exif = Image.Exif()
    exif[0x4746] = 4
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    more = {"tif": {"tiffinfo": {700: packet}}, "png": {"pnginfo": text, "exif": exif}}
    Image.new("RGB", (16, 16)).save(path, **more.get(suffix, {"xmp": packet, "exif": exif}))  # type: ignore[arg-type]
    found = described(path).properties
    assert (found["xmp:Rating"], found["dc:subject"], len(found["mwg-rs:Regions"])) == (("2",), ("boat",), 1)


def test_a_photo_without_a_fix_has_no_position(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 3: "E"})
    Image.new("RGB", (16, 16)).save(path, exif=exif)
    assert dict(described(path).properties) == {}


def test_a_file_that_changed_since_it_was_analysed_is_not_described(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (16, 16)).save(path)
    with opened(path) as (_, stat):
        pass
    Image.new("RGB", (32, 16)).save(path)
    with Decoder() as decoder, pytest.raises(MediaError, match="changed"):
        decoder.describe(stat)


def test_the_values_of_the_keeper_win_and_lists_are_joined() -> None:
    source = {"dc:title": ("Lake",), "dc:subject": ("lake", "summer"), "xmp:Rating": ("5",), **HERE}
    keeper = {"dc:title": ("Our lake",), "dc:subject": ("lake", "2024")}
    assert missing(source, keeper, {}) == {"dc:subject": ("lake", "2024", "summer"), "xmp:Rating": ("5",), **HERE}
    assert missing(source, keeper, {"xmp:Rating": ("1",), "dc:subject": ("lake",)}) == {
        "dc:subject": ("2024", "summer"),
        **HERE,
    }


def test_a_position_is_taken_as_a_whole_or_not_at_all() -> None:
    elsewhere = {"exif:GPSLatitude": ("1,0.0S",), "exif:GPSLongitude": ("2,0.0W",)}
    assert missing(HERE | {"exif:GPSAltitude": ("5/1",)}, elsewhere, {}) == {}
    assert missing({"exif:GPSLatitude": ("1,0.0S",)}, {}, {}) == {}
