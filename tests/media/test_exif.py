"""Facts from EXIF; broken EXIF loses facts and nothing else."""

from __future__ import annotations

import struct
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from py_image_dedup.media.worker.exif import ExifFacts, read_exif


def block(*, gps: bool = True, latitude: tuple[IFDRational, ...] | None = None) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "HUAWEI"
    exif[ExifTags.Base.Model] = "HUAWEI P20"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.DateTime] = "2024:01:01 00:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:09:03 19:31:51"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 50
    if gps:
        place = latitude or (IFDRational(52, 1), IFDRational(30, 1), IFDRational(0, 1))
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = place
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLongitude] = place
    return exif.tobytes()


@pytest.mark.parametrize(
    ("decimals", "microsecond"), [("5", 500_000), ("073", 73_000), ("1234567", 123_456), ("  ", 0), ("x", 0)]
)
def test_fractions_of_a_second_tell_the_frames_of_a_burst_apart(decimals: str, microsecond: int) -> None:
    exif = Image.Exif()
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.DateTimeOriginal] = "2019:09:03 19:31:51"
    tags[ExifTags.Base.SubsecTimeOriginal] = decimals
    tags[ExifTags.Base.SubsecTimeDigitized] = "999"
    captured = read_exif(exif.tobytes()).captured
    assert captured == datetime(2019, 9, 3, 19, 31, 51, microsecond)  # noqa: DTZ001 - camera time


def test_the_facts_of_a_camera_are_read() -> None:
    assert read_exif(block()) == ExifFacts(
        fields=7,  # three in the main directory, two of EXIF, two of GPS; DateTime is a stamp of editors
        orientation=6,
        captured=datetime(2019, 9, 3, 19, 31, 51),  # noqa: DTZ001 - camera time
        camera="HUAWEI P20",
        has_gps=True,
    )


def test_the_stamp_of_an_editor_makes_a_copy_no_richer() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "HUAWEI"
    before = read_exif(exif.tobytes()).fields
    exif[ExifTags.Base.ProcessingSoftware] = "gThumb 3.8.0"
    exif[ExifTags.Base.Software] = "gThumb 3.8.0"
    exif[ExifTags.Base.DateTime] = "2024:01:01 00:00:00"
    assert read_exif(exif.tobytes()).fields == before == 1


def test_what_programs_write_into_any_file_makes_a_copy_no_richer() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "a title"
    before = read_exif(exif.tobytes()).fields
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 96.0, 96.0
    exif[ExifTags.Base.ResolutionUnit], exif[ExifTags.Base.YCbCrPositioning] = 2, 1
    exif[ExifTags.Base.Orientation] = 1
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    taken[ExifTags.Base.ExifVersion], taken[ExifTags.Base.FlashPixVersion] = b"0232", b"0100"
    taken[ExifTags.Base.ComponentsConfiguration], taken[ExifTags.Base.ColorSpace] = b"\1\2\3\0", 1
    taken[ExifTags.Base.ExifImageWidth], taken[ExifTags.Base.ExifImageHeight] = 1600, 1004
    taken[ExifTags.Base.ExifInteroperabilityOffset] = {1: "R98", 2: b"0100"}
    assert read_exif(exif.tobytes()).fields == before == 1


def test_the_prefix_of_jpeg_files_makes_no_difference() -> None:
    bare = block().removeprefix(b"Exif\0\0")
    assert read_exif(bare) == read_exif(b"Exif\0\0" + bare)


def test_a_position_of_zero_by_zero_is_none() -> None:
    assert not read_exif(block(gps=False)).has_gps
    # What Pillow cannot write, a phone without a fix does: denominators of zero.
    good = block()
    rational = struct.pack("<II" if b"II*" in good[:9] else ">II", 30, 1)
    assert not read_exif(good.replace(rational, rational[:4] + bytes(4))).has_gps


def test_the_time_of_an_edit_is_not_the_time_of_the_shot() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2024:01:01 00:00:00"
    assert read_exif(exif.tobytes()).captured is None


def test_a_date_that_is_none_is_left_out() -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    facts = read_exif(exif.tobytes())
    assert facts.captured is None
    assert facts.fields == 1


def test_a_directory_that_points_at_itself_ends() -> None:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    loop = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    assert read_exif(loop) == ExifFacts()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.builds(lambda tail: b"II*\0\x08\0\0\0" + tail, st.binary(max_size=300)))
def test_nothing_makes_it_raise(data: bytes) -> None:
    assert 1 <= read_exif(data).orientation <= 8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4), st.integers(0, 500))
def test_damage_makes_it_lose_facts_at_most(at: int, junk: bytes, end: int) -> None:
    good = block()
    read_exif((good[:at] + junk + good[at + len(junk) :])[:end])
