"""RAW photos are decoded by their previews, and are equal if the values of their sensors are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.formats import RAW_SUFFIXES
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.rendering import RenderedSize, Renderer
from py_image_dedup.media.worker.inspect import read_embedded, read_full
from py_image_dedup.model.failure import FailureReason
from tests.media.test_decode import difference, expected, look, refusal
from tests.support.pictures import picture
from tests.support.raw_files import dng, enlarged, raf, write_dng

pytest.importorskip("rawpy")
WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return picture(1, WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def content(photo: Image.Image) -> bytes:
    return dng(photo, preview=photo)


def raw_file(suffix: str, photo: Image.Image) -> bytes:
    """A file that the format's name, first bytes and decoder agree on; the sensor's values are those of a DNG."""
    if suffix == ".raf":
        stream = io.BytesIO()
        photo.save(stream, "JPEG", quality=90)
        return raf(dng(photo), stream.getvalue())
    return dng(photo, preview=photo, magic={".orf": b"IIRO", ".rw2": b"IIU\0"}.get(suffix, b"II*\0"))


@pytest.mark.parametrize("suffix", sorted(RAW_SUFFIXES - {".cr3"}))
def test_every_extension_is_decoded(suffix: str, tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    found = look(decoder, write_dng(tmp_path / f"a{suffix}", raw_file(suffix, photo)))
    assert found.facts.format == "RAW"
    assert (found.facts.width, found.facts.height, found.facts.frames) == (WIDTH, HEIGHT, 1)
    assert difference(found.canonical, expected(photo)) < 3


@pytest.mark.parametrize("suffix", sorted(RAW_SUFFIXES))
def test_a_broken_file_of_every_extension_is_refused(suffix: str, tmp_path: Path, decoder: Decoder) -> None:
    head = {
        ".raf": b"FUJIFILMCCD-RAW 0201",
        ".cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        ".cr2": b"II*\0\x10\0\0\0CR",
    }
    path = write_dng(tmp_path / f"a{suffix}", head.get(suffix, b"II*\0\x08\0\0\0") + bytes(range(256)) * 8)
    error = refusal(decoder, path)
    assert error.reason in {FailureReason.UNSUPPORTED, FailureReason.TRUNCATED, FailureReason.CORRUPT}
    assert "RAW photo" in error.message or "sensor" in error.message


def test_a_raw_photo_without_a_preview_is_developed(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    found = look(decoder, write_dng(tmp_path / "a.dng", dng(photo)))
    assert (found.facts.width, found.facts.height) == (WIDTH, HEIGHT)
    this, other = (expected(each).ravel() for each in (photo, picture(2, WIDTH, HEIGHT)))
    assert np.corrcoef(found.canonical.ravel(), this)[0, 1] > 0.85  # no tone curve of a camera
    assert abs(np.corrcoef(found.canonical.ravel(), other)[0, 1]) < 0.4


def test_a_preview_too_small_for_a_signature_is_not_used(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    stamp = Image.new("RGB", (160, 120), "white")
    found = look(decoder, write_dng(tmp_path / "a.dng", dng(photo, preview=stamp)))
    assert found.canonical.std() > 20


def test_the_orientation_is_applied_and_the_facts_are_those_of_the_tags(
    tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    found = look(decoder, write_dng(tmp_path / "a.dng", dng(photo, preview=photo, orientation=6)))
    assert (found.facts.width, found.facts.height) == (HEIGHT, WIDTH)
    assert found.facts.camera == "Maker Camera One"
    assert difference(found.canonical, expected(photo.transpose(Image.Transpose.ROTATE_270))) < 3


def test_other_tags_and_another_preview_do_not_change_the_digest(
    tmp_path: Path, photo: Image.Image, content: bytes, decoder: Decoder
) -> None:
    first = decoder.pixel_digest(write_dng(tmp_path / "a.dng", content))
    tagged = dng(photo, preview=photo, artist=b"Somebody", xmp=b"<x:xmpmeta xmp:Rating='5'></x:xmpmeta>")
    small = dng(photo, preview=photo.resize((400, 300)))
    assert decoder.pixel_digest(write_dng(tmp_path / "b.dng", tagged)) == first
    assert decoder.pixel_digest(write_dng(tmp_path / "c.dng", small)) == first


def test_other_values_orientation_or_development_change_the_digest(
    tmp_path: Path, photo: Image.Image, content: bytes, decoder: Decoder
) -> None:
    values = dng(picture(2, WIDTH, HEIGHT), preview=photo)
    turned = dng(photo, preview=photo, orientation=3)
    developed = dng(photo, preview=photo, xmp=b"<x:xmpmeta crs:Exposure2012='+1.00'></x:xmpmeta>")
    files = [write_dng(tmp_path / f"{at}.dng", each) for at, each in enumerate((content, values, turned, developed))]
    assert len({decoder.pixel_digest(path) for path in files}) == 4


def test_a_raw_photo_cut_off_in_its_values_has_no_digest_of_them(
    tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    path = write_dng(tmp_path / "a.dng", dng(photo)[:-300_000])
    assert refusal(decoder, path).reason is FailureReason.UNSUPPORTED


def test_a_raw_photo_is_never_compared_by_its_preview(tmp_path: Path, content: bytes) -> None:
    path = write_dng(tmp_path / "a.dng", content)
    with pytest.raises(MediaError, match="values of their sensors"):
        read_full(path, 10_000_000)
    with path.open("rb") as stream:
        assert read_embedded(stream, 10_000_000) == ("RAW", frozenset())


def test_limits_hold_for_the_sensor_as_for_any_picture(tmp_path: Path, content: bytes) -> None:
    path = write_dng(tmp_path / "a.dng", content)
    with Decoder(Limits(max_pixels=100_000)) as small, read_file(path) as file, pytest.raises(MediaError) as caught:
        small.decode(file)
    assert caught.value.reason is FailureReason.TOO_LARGE


def test_a_person_is_shown_the_preview(tmp_path: Path, photo: Image.Image, content: bytes) -> None:
    path = write_dng(tmp_path / "a.dng", content)
    with Renderer(Limits()) as renderer:
        shown = Image.open(io.BytesIO(renderer.render(path, RenderedSize.THUMBNAIL)))
    assert shown.width / shown.height == pytest.approx(WIDTH / HEIGHT, abs=0.02)


def test_a_hundred_megapixels_need_memory_for_the_values_and_no_more(tmp_path: Path, photo: Image.Image) -> None:
    width, height = 11_600, 8_700
    path = tmp_path / "large.dng"
    path.write_bytes(enlarged(dng(photo.resize((322, 242)), preview=photo), (322, 242), (width, height)))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 2 * width * height)  # the values, all of them 0
    with Decoder() as decoder:
        found = look(decoder, path)
        assert (found.facts.width, found.facts.height) == (width, height)
        after_preview = peak_bytes(decoder)
        assert after_preview < 200 << 20, "the preview is decoded, and no value of the sensor"
        assert len(decoder.pixel_digest(path)) == 32
        assert peak_bytes(decoder) - after_preview < 6 * width * height
    with Decoder(Limits(memory_bytes=200 << 20)) as modest:
        with pytest.raises(MediaError) as failure:
            modest.pixel_digest(path)
        assert failure.value.reason is FailureReason.TOO_LARGE


def peak_bytes(decoder: Decoder) -> int:
    """The largest memory that the process of a decoder has used so far."""
    process = decoder._client._process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
