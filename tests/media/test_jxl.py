"""JPEG XL: the header before the picture, and the picture as the plug-in decodes it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.worker.inspect import read_full
from py_image_dedup.media.worker.jxl import JxlHeader, read_header
from py_image_dedup.model.failure import FailureReason
from tests.media.test_decode import difference, expected, look, refusal
from tests.support.pictures import picture, write

pytest.importorskip("pillow_jxl")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return picture(1, 640, 480)


def header_of(image: Image.Image, **options: object) -> JxlHeader:
    stream = io.BytesIO()
    image.save(stream, "JXL", effort=1, **options)
    stream.seek(0)
    found = read_header(stream)
    assert stream.tell() == 0
    return found


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 256), (257, 12), (640, 480), (300, 200), (1600, 900), (7, 513)])
@pytest.mark.parametrize("container", [False, True])
def test_the_header_has_the_size(size: tuple[int, int], container: bool) -> None:
    assert header_of(Image.new("RGB", size), use_container=container) == JxlHeader(*size, 8, animated=False)


def test_the_header_has_the_depth() -> None:
    assert header_of(Image.new("I;16", (40, 30))).bits == 16
    assert header_of(Image.new("F", (40, 30)), lossless=True).bits == 32
    assert header_of(Image.new("RGBA", (40, 30))).bits == 8


def test_an_animation_is_refused() -> None:
    # Width 8, height 8; extra fields: no orientation, no size for display, no preview, an animation.
    bits = f"{1:b}" + "00000" + "100" + "0" + "1" + "000" + "0" + "0" + "1"
    data = int(bits[::-1], 2).to_bytes(4, "little")
    found = read_header(io.BytesIO(b"\xff\x0a" + data + bytes(20)))
    assert found == JxlHeader(8, 8, 8, animated=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_a_file_gives_its_grey_and_its_facts(mode: str, tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    found = look(decoder, write(tmp_path / "a.jxl", photo.convert(mode), lossless=True, effort=1))
    assert (found.facts.format, found.facts.width, found.facts.height) == ("JXL", 640, 480)
    assert difference(found.canonical, expected(photo)) < 1


def test_a_lossless_file_has_the_pixels_of_the_same_png(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    for mode in ("RGB", "L"):
        left = write(tmp_path / f"{mode}.jxl", photo.convert(mode), lossless=True, effort=1)
        right = write(tmp_path / f"{mode}.png", photo.convert(mode))
        assert decoder.pixel_digest(left) == decoder.pixel_digest(right)


def test_a_file_made_from_a_jpeg_without_loss_has_its_pixels_and_its_orientation(
    tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = write(tmp_path / "a.jpg", photo, exif=exif.tobytes())
    with Image.open(source) as opened:
        target = write(tmp_path / "a.jxl", opened, lossless_jpeg=True)
    found = look(decoder, target)
    assert (found.facts.width, found.facts.height) == (480, 640)
    assert decoder.pixel_digest(target) == decoder.pixel_digest(source)
    assert read_full(target, 10_000_000).height == 640


def test_the_orientation_in_exif_counts_only_where_the_decoder_did_not_apply_its_own(
    tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    found = look(decoder, write(tmp_path / "a.jxl", photo, exif=exif.tobytes(), effort=1))
    assert (found.facts.width, found.facts.height, found.facts.camera) == (640, 480, "Maker")


def test_broken_files_are_refused(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    whole = write(tmp_path / "a.jxl", photo, effort=1).read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("head", whole[:3]), ("noise", whole[:40] + bytes(900))):
        path = tmp_path / f"{name}.jxl"
        path.write_bytes(content)
        assert refusal(decoder, path).reason in {FailureReason.TRUNCATED, FailureReason.CORRUPT}, name


def test_the_size_is_checked_before_the_plug_in_decodes(tmp_path: Path, photo: Image.Image) -> None:
    path = write(tmp_path / "a.jxl", photo, effort=1)
    for limits in (Limits(max_pixels=1000), Limits(memory_bytes=9 << 20)):
        with Decoder(limits) as small, read_file(path) as file, pytest.raises(MediaError) as caught:
            small.decode(file)
        assert caught.value.reason is FailureReason.TOO_LARGE
