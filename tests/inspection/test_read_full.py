"""What is read of a file beside its pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.media.worker.inspect import read_full
from tests.inspection.pictures import encoded, moment, read, saved, scene

XMP = b'<x:xmpmeta><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'


class Counted(io.BytesIO):
    """A file that counts the bytes of its longest read."""

    longest = 0

    def read(self, size=-1):
        content = super().read(size)
        self.longest = max(self.longest, len(content))
        return content


def test_a_gain_map_is_found_in_the_metadata_of_the_first_picture():
    assert "gain map" in read(encoded(scene(1), xmp=XMP)).extras


def test_a_gain_map_is_found_in_the_metadata_of_a_further_picture():
    stream = io.BytesIO()
    eye = scene(2)
    eye.encoderinfo = {"xmp": XMP}
    scene(1).save(stream, "MPO", save_all=True, append_images=[eye])
    found = read(stream.getvalue())
    assert found.extras in ({"gain map"}, {"second eye"})


def test_the_second_eye_of_a_stereo_pair_is_an_extra():
    stream = io.BytesIO()
    scene(1).save(stream, "MPO", save_all=True, append_images=[scene(2)])
    assert "second eye" in read(stream.getvalue()).extras


@pytest.mark.parametrize("brand", [b"mp42", b"isom", b"qt  "])
def test_an_appended_film_is_found(brand):
    film = b"\0\0\0\x18ftyp" + brand + bytes(5000)
    assert read(encoded(scene(1)) + film).extras == {"film"}


def test_a_film_across_two_reads_is_found():
    photo = encoded(scene(1))
    filler = bytes((1 << 20) - len(photo) - 6)
    assert read(photo + filler + b"\0\0\0\x18ftypmp42" + bytes(100)).extras == {"film"}


def test_a_plain_photograph_has_nothing_embedded():
    assert read(encoded(scene(1))).extras == frozenset()


def test_a_long_file_is_read_in_pieces():
    stream = Counted(encoded(scene(1)) + bytes(40 << 20))
    read_full(stream, 50_000_000)
    assert stream.longest <= 1 << 20


def test_the_camera_s_facts_are_read_from_jpeg_and_png():
    for kind in ("JPEG", "PNG"):
        shot = saved(scene(1), kind, exif=moment("2020:01:02 03:04:05", 0.01)).shot
        assert shot.moment == "2020:01:02 03:04:05"
        assert shot.exposure_seconds == pytest.approx(0.01)


def test_a_picture_is_turned_upright():
    data = Image.Exif()
    data[0x0112] = 6
    found = saved(scene(1), exif=data)
    assert (found.width, found.height) == (380, 520)


def test_depth_and_colour_are_facts():
    grey = np.asarray(scene(1).convert("L")).astype(np.uint16) * 256 + 7
    assert saved(Image.fromarray(grey), "PNG").bits == 16
    assert not saved(scene(1).convert("L").convert("RGB")).is_coloured
    assert saved(scene(1)).is_coloured
