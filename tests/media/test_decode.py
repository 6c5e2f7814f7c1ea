"""Every kind of picture becomes the same grey picture and the right facts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from py_image_dedup.media.decoder import DecodedPicture, Decoder
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.worker.decode import canonical_size
from py_image_dedup.media.worker.exif import read_exif
from py_image_dedup.media.worker.open import webp_size
from py_image_dedup.model.failure import FailureReason
from tests.support.pictures import picture, write

WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return picture(1, WIDTH, HEIGHT)


def look(decoder: Decoder, path: Path) -> DecodedPicture:
    with read_file(path) as opened:
        return decoder.decode(opened)


def refusal(decoder: Decoder, path: Path) -> MediaError:
    with pytest.raises(MediaError) as caught:
        look(decoder, path)
    return caught.value


def expected(image: Image.Image) -> npt.NDArray[np.uint8]:
    size = canonical_size(*image.size)
    return np.asarray(image.convert("L").resize(size, Image.Resampling.BILINEAR))


def difference(found: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    assert found.shape == other.shape
    return float(np.sqrt(np.mean((found.astype(float) - other) ** 2)))


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    if path.suffix == ".heic":
        exif = options.pop("exif", None)
        pillow_heif.from_pillow(image).save(path, exif=exif, **options)
        return path
    return write(path, image, **options)


@pytest.mark.parametrize(
    ("name", "format_name", "options", "tolerance"),
    [
        ("a.jpg", "JPEG", {"quality": 95}, 2.5),
        ("a.png", "PNG", {}, 1.0),
        ("a.webp", "WEBP", {"lossless": True}, 1.0),
        ("a.tif", "TIFF", {"compression": "tiff_lzw"}, 1.0),
        ("a.bmp", "BMP", {}, 1.0),
        ("a.gif", "GIF", {}, 5.0),
        ("a.jp2", "JPEG2000", {}, 1.0),
        ("a.heic", "HEIF", {"quality": 90}, 2.5),
        ("a.avif", "AVIF", {"quality": 90}, 2.5),
        ("a.tga", "TGA", {}, 1.0),
        ("a.ppm", "PPM", {}, 1.0),
        ("a.pcx", "PCX", {}, 1.0),
        ("a.sgi", "SGI", {}, 1.0),
        ("a.qoi", "QOI", {}, 1.0),
        ("a.dds", "DDS", {}, 1.0),
    ],
)
def test_every_format_gives_the_same_grey(
    name: str, format_name: str, options: dict[str, Any], tolerance: float,
    tmp_path: Path, photo: Image.Image, decoder: Decoder,
) -> None:  # fmt: skip
    found = look(decoder, save(tmp_path / name, photo, **options))
    assert found.facts.format == format_name
    assert (found.facts.width, found.facts.height, found.facts.frames) == (WIDTH, HEIGHT, 1)
    assert found.canonical.dtype == np.uint8
    assert found.canonical.flags.c_contiguous
    assert difference(found.canonical, expected(photo)) < tolerance


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "F", "LAB"])
def test_every_mode_gives_the_same_grey(mode: str, tmp_path: Path, decoder: Decoder) -> None:
    grey = picture(2, 300, 260).convert("L")
    if mode == "1":
        grey = grey.point([0] * 128 + [255] * 128)
    image = {
        "I;16": lambda: Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
        "I": lambda: Image.fromarray(np.asarray(grey).astype(np.int32) * 257),
        "F": lambda: Image.fromarray(np.asarray(grey).astype(np.float32) / 255),
        "LAB": lambda: Image.merge("LAB", (grey, Image.new("L", grey.size, 128), Image.new("L", grey.size, 128))),
        "P": lambda: grey.convert("P"),
        "1": lambda: grey.convert("1", dither=Image.Dither.NONE),
    }.get(mode, lambda: grey.convert("RGB").convert(mode))()
    found = look(decoder, write(tmp_path / "a.tif", image))
    assert difference(found.canonical, expected(grey)) < 2


def test_a_cmyk_jpeg_has_its_greys(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    found = look(decoder, write(tmp_path / "a.jpg", photo.convert("CMYK"), quality=95))
    assert difference(found.canonical, expected(photo)) < 4


def test_a_jpeg_that_stores_rgb_has_its_greys(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    found = look(decoder, write(tmp_path / "a.jpg", photo, quality=95, keep_rgb=True))
    assert difference(found.canonical, expected(photo)) < 2


@pytest.mark.parametrize("size", [(320, 240), (1000, 750), (2048, 1999), (4000, 3000)])
def test_a_jpeg_is_decoded_at_a_scale_that_loses_nothing(
    size: tuple[int, int], tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    large = photo.resize(size, Image.Resampling.BICUBIC)
    found = look(decoder, write(tmp_path / "a.jpg", large, quality=95))
    assert (found.facts.width, found.facts.height) == size
    assert difference(found.canonical, expected(large)) < 3


def test_transparency_is_seen_over_white(tmp_path: Path, decoder: Decoder) -> None:
    black = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    black.paste((0, 0, 0, 255), (0, 0, 32, 64))
    rgba = look(decoder, write(tmp_path / "a.png", black)).canonical
    assert rgba[:, :20].max() == 0
    assert rgba[:, -20:].min() == 255
    palette = look(decoder, write(tmp_path / "p.png", black.quantize(8))).canonical
    keyed = look(decoder, write(tmp_path / "k.gif", black)).canonical
    la = look(decoder, write(tmp_path / "la.png", black.convert("LA"))).canonical
    for other in (palette, keyed, la):
        assert np.array_equal(rgba, other)


def test_an_animation_shows_its_first_frame(tmp_path: Path, decoder: Decoder) -> None:
    frames = [picture(seed, 128, 128) for seed in (1, 2, 3)]
    for name in ("a.png", "a.webp", "a.gif"):
        options = {"lossless": True} if name == "a.webp" else {}
        path = write(tmp_path / name, frames[0], save_all=True, append_images=frames[1:], duration=100, **options)
        found = look(decoder, path)
        assert found.facts.frames == 3, name
        assert difference(found.canonical, expected(frames[0])) < 7


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif", "a.heic"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_picture_is_seen_upright(name: str, orientation: int, tmp_path: Path, decoder: Decoder) -> None:
    photo = picture(3, 400, 300)
    turned = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
    }[orientation]
    stored = photo if turned is None else photo.transpose(turned)
    options: dict[str, Any] = {"exif": with_orientation(orientation)}
    if name == "a.heic":  # its writer turns the pixels by the tag, as viewers of HEIF do not read it
        stored.info["exif"] = options.pop("exif")
    found = look(decoder, save(tmp_path / name, stored, **options))
    assert (found.facts.width, found.facts.height) == (400, 300)
    assert difference(found.canonical, expected(photo)) < 6


def test_pixels_too_deep_for_eight_bits_keep_their_range(tmp_path: Path, decoder: Decoder) -> None:
    ramp = np.tile(np.linspace(0, 65535, 200).astype(np.uint16), (100, 1))
    found = look(decoder, write(tmp_path / "a.png", Image.fromarray(ramp))).canonical
    assert found[:, 0].max() <= 2
    assert found[:, -1].min() >= 253
    assert np.all(np.diff(found[50].astype(int)) >= 0)


def test_twelve_bits_in_a_file_of_sixteen_have_the_whole_range(tmp_path: Path, decoder: Decoder) -> None:
    ramp = np.tile(np.linspace(0, 4095, 200).astype(np.uint16), (100, 1))
    for suffix in (".png", ".tif"):
        found = look(decoder, save(tmp_path / f"ramp{suffix}", Image.fromarray(ramp))).canonical
        assert found.min() <= 2
        assert found.max() >= 253
        assert len(np.unique(found)) > 90
    brighter = Image.fromarray(np.where(ramp > 4000, 4096, ramp).astype(np.uint16))
    assert look(decoder, save(tmp_path / "more.png", brighter)).canonical.max() == 16


def test_numbers_without_a_range_are_stretched(tmp_path: Path, decoder: Decoder) -> None:
    heights = np.tile(np.linspace(-3000, 8000, 100).astype(np.float32), (100, 1))
    found = look(decoder, write(tmp_path / "a.tif", Image.fromarray(heights))).canonical
    assert found.min() <= 3
    assert found.max() >= 252
    heights[5, 5] = np.nan
    look(decoder, write(tmp_path / "b.tif", Image.fromarray(heights)))


@pytest.mark.parametrize("size", [(20000, 1), (1, 20000), (20000, 300), (1, 1), (3, 5)])
def test_extreme_shapes_are_decoded(size: tuple[int, int], tmp_path: Path, decoder: Decoder) -> None:
    found = look(decoder, write(tmp_path / "a.png", Image.new("RGB", size, (10, 200, 30))))
    assert (found.facts.width, found.facts.height) == size
    assert max(found.canonical.shape) <= max(20000 if min(size) < 12 else 0, 16400)
    assert np.ptp(found.canonical) == 0


def test_a_huge_picture_is_averaged_in_strips(tmp_path: Path, decoder: Decoder) -> None:
    photo = picture(5, 400, 400).convert("L")
    large = photo.resize((6000, 6000), Image.Resampling.BICUBIC)
    found = look(decoder, write(tmp_path / "a.png", large, compress_level=1))
    assert difference(found.canonical, expected(large)) < 1.5


def test_the_facts_of_a_photo_are_kept(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon"
    exif[ExifTags.Base.Model] = "EOS 5D"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:09:03 19:31:51"
    for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.heic", "a.avif"):
        facts = look(decoder, save(tmp_path / name, photo, exif=exif.tobytes())).facts
        assert facts.camera == "Canon EOS 5D", name
        assert facts.captured is not None, name
        assert facts.captured.isoformat() == "2019-09-03T19:31:51", name
        assert facts.exif_fields >= 3, name
        assert not facts.has_gps, name


def test_broken_exif_never_fails_a_file(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    exif = with_orientation(6)
    for end in range(6, len(exif), 3):
        found = look(decoder, write(tmp_path / f"{end}.jpg", photo, exif=exif[:end]))
        assert found.facts.exif_fields == read_exif(exif[:end]).fields


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.heic", "a.jp2", "a.bmp"])
def test_a_file_that_ends_too_early_is_not_whole(
    name: str, tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    path = save(tmp_path / name, photo)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(decoder, path).reason in {FailureReason.TRUNCATED, FailureReason.CORRUPT}


def test_a_jpeg_with_its_end_overwritten_is_not_whole(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    path = write(tmp_path / "a.jpg", photo)
    data = path.read_bytes()
    for filler in (b"\0", b"\xff"):
        path.write_bytes(data[: len(data) // 2] + filler * (len(data) // 2))
        assert refusal(decoder, path).reason is FailureReason.TRUNCATED


def test_a_name_means_nothing(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    path = write(tmp_path / "a.png", photo).rename(tmp_path / "really.jpg")
    assert look(decoder, path).facts.format == "PNG"
    (tmp_path / "notes.jpg").write_text("no picture")
    assert refusal(decoder, tmp_path / "notes.jpg").reason is FailureReason.NOT_AN_IMAGE


def test_a_raw_photo_is_not_taken_for_its_preview(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[50706] = b"\x01\x04\0\0"
    error = refusal(decoder, write(tmp_path / "a.tif", photo, tiffinfo=tags))
    assert error.reason is FailureReason.UNSUPPORTED
    assert "RAW" in error.message


def test_the_size_of_a_webp_file_is_known_before_it_is_opened(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (517, 331), (1, 2, 3, 100))
    for name, image, lossless in (("v8", clear.convert("RGB"), False), ("v8l", clear, True), ("v8x", clear, False)):
        path = write(tmp_path / f"{name}.webp", image, lossless=lossless)
        assert webp_size(path.read_bytes()[:30]) == (517, 331)
    with pytest.raises(SyntaxError):
        webp_size(b"RIFF")


def bomb(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGBA", (1, 1)).save(stream, "PNG")
    import struct
    import zlib

    data = bytearray(stream.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_a_bomb_costs_a_message(tmp_path: Path, decoder: Decoder) -> None:
    (tmp_path / "pixels.png").write_bytes(bomb(60000, 60000))
    assert "3,600 megapixels" in refusal(decoder, tmp_path / "pixels.png").message
    (tmp_path / "bytes.png").write_bytes(bomb(20000, 20000))
    error = refusal(decoder, tmp_path / "bytes.png")
    assert error.reason is FailureReason.TOO_LARGE
    assert "MiB" in error.message


def test_a_limit_of_the_user_goes_before(tmp_path: Path, photo: Image.Image) -> None:
    for name in ("a.jpg", "a.webp"):
        path = write(tmp_path / name, photo)
        with Decoder(Limits(max_pixels=1000)) as small:
            assert "megapixels" in refusal(small, path).message


def test_a_process_wide_limit_of_pillow_is_left_alone_and_does_not_matter(
    tmp_path: Path, photo: Image.Image, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert look(decoder, write(tmp_path / "a.png", photo)).facts.width == WIDTH
    assert Image.MAX_IMAGE_PIXELS == 10


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["JPEG", "PNG"]))
def test_damaged_files_fail_with_a_reason_or_decode(
    data: st.DataObject, kind: str, tmp_path: Path, decoder: Decoder
) -> None:
    stream = io.BytesIO()
    picture(7, 80, 60).save(stream, kind)
    damaged = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(3, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(damaged[: data.draw(st.integers(20, len(damaged)))])
    with read_file(path) as opened:
        try:
            outcome = f"{decoder.decode(opened).canonical.size} pixels"
        except MediaError as error:
            outcome = error.message
    assert outcome not in {"", "0 pixels"}
