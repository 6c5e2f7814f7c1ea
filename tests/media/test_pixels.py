"""Equal pixels, equal digest; and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason
from tests.support.pictures import picture, write


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return picture(11, 200, 150)


def digests(decoder: Decoder, *paths: Path) -> list[bytes]:
    found = [decoder.pixel_digest(path) for path in paths]
    assert all(len(digest) == 32 for digest in found)
    return found


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P"])
def test_lossless_containers_do_not_matter(mode: str, tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    image = photo.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    paths = [
        write(tmp_path / "a.png", image),
        write(tmp_path / "b.png", image, compress_level=1),
        write(tmp_path / "c.tif", image),
        write(tmp_path / "d.tif", image, compression="tiff_deflate" if mode != "1" else "group4"),
        write(tmp_path / "e.webp", image.convert("RGBA" if mode == "RGBA" else "RGB"), lossless=True),
    ]
    if mode != "RGBA":
        paths.append(write(tmp_path / "f.bmp", image))
    assert len(set(digests(decoder, *paths))) == 1


def test_metadata_does_not_matter(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon"
    plain = write(tmp_path / "plain.jpg", photo)
    told = write(tmp_path / "told.jpg", photo, exif=exif.tobytes(), comment="hello")
    assert plain.read_bytes() != told.read_bytes()
    one, other = digests(decoder, plain, told)
    assert one == other


def test_one_pixel_matters(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    changed = photo.copy()
    changed.putpixel((7, 7), tuple(255 - value for value in photo.getpixel((7, 7))))  # type: ignore[union-attr]
    one, other = digests(decoder, write(tmp_path / "a.png", photo), write(tmp_path / "b.png", changed))
    assert one != other


def test_the_shape_matters_where_the_bytes_are_equal(tmp_path: Path, decoder: Decoder) -> None:
    one, other = (Image.new("RGB", size, (9, 9, 9)) for size in ((20, 10), (10, 20)))
    assert len(set(digests(decoder, write(tmp_path / "a.png", one), write(tmp_path / "b.png", other)))) == 2


def test_a_turn_by_tag_equals_turned_pixels(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for ending in ("png", "tif"):
        tagged = write(tmp_path / f"tagged.{ending}", photo, exif=exif.tobytes())
        turned = write(tmp_path / f"turned.{ending}", photo.transpose(Image.Transpose.ROTATE_270))
        plain = write(tmp_path / f"plain.{ending}", photo)
        found = digests(decoder, tagged, turned, plain)
        assert found[0] == found[1] != found[2], ending


def test_opaque_alpha_is_no_alpha_and_real_alpha_is(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    clear = photo.convert("RGBA")
    veiled = clear.copy()
    veiled.putalpha(200)
    names = {"rgb": photo, "rgba": clear, "veiled": veiled}
    found = digests(decoder, *(write(tmp_path / f"{name}.png", image) for name, image in names.items()))
    assert found[0] == found[1] != found[2]


def test_colours_that_nobody_can_see_do_not_matter(tmp_path: Path, decoder: Decoder) -> None:
    images = [Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.new("RGBA", (8, 8), (255, 9, 0, 0))]
    one, other = digests(decoder, *(write(tmp_path / f"{i}.png", image) for i, image in enumerate(images)))
    assert one == other


def test_grey_is_the_same_picture_as_colourless_colour(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    grey = photo.convert("L")
    one, other = digests(
        decoder, write(tmp_path / "a.png", grey), write(tmp_path / "b.png", ImageOps.grayscale(photo).convert("RGB"))
    )
    assert one == other


def test_sixteen_bits_match_sixteen_bits_and_not_their_eight_bit_copy(tmp_path: Path, decoder: Decoder) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50)).astype(np.uint16)
    found = digests(
        decoder,
        write(tmp_path / "a.png", Image.fromarray(deep)),
        write(tmp_path / "b.tif", Image.fromarray(deep)),
        write(tmp_path / "c.png", Image.fromarray((deep >> 8).astype(np.uint8))),
    )
    assert found[0] == found[1] != found[2]


def test_deep_colour_is_not_compared_at_eight_bits(tmp_path: Path, decoder: Decoder) -> None:
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(range(6)) * 4 for _ in range(4))
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip
    with pytest.raises(MediaError, match="16 bits") as caught:
        decoder.pixel_digest(path)
    assert caught.value.reason is FailureReason.UNSUPPORTED


def test_a_colour_profile_matters_unless_it_is_srgb(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    found = digests(
        decoder,
        write(tmp_path / "none.jpg", photo),
        write(tmp_path / "srgb.jpg", photo, icc_profile=srgb),
        write(tmp_path / "other.jpg", photo, icc_profile=lab),
    )
    assert found[0] == found[1] != found[2]


def test_every_frame_and_its_time_count(tmp_path: Path, decoder: Decoder) -> None:
    frames = [picture(seed, 60, 40) for seed in (1, 2, 3)]

    def animation(name: str, images: list[Image.Image], duration: int) -> Path:
        options = {"lossless": True} if name.endswith("webp") else {}
        return write(
            tmp_path / name, images[0], save_all=True, append_images=images[1:], duration=duration, loop=0, **options
        )

    found = digests(
        decoder,
        animation("a.png", frames, 100),
        animation("same.webp", frames, 100),
        animation("slower.png", frames, 200),
        animation("shorter.png", frames[:2], 100),
        animation("order.png", [frames[0], frames[2], frames[1]], 100),
        write(tmp_path / "still.png", frames[0]),
    )
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_every_page_counts_but_a_thumbnail_does_not(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    small = photo.resize((20, 15))
    small.encoderinfo = {"tiffinfo": ImageFileDirectory_v2()}  # type: ignore[attr-defined]
    small.encoderinfo["tiffinfo"][254] = 1  # type: ignore[attr-defined]
    found = digests(
        decoder,
        write(tmp_path / "one.tif", photo),
        write(tmp_path / "two.tif", photo, save_all=True, append_images=[photo.transpose(0)]),  # type: ignore[arg-type]
        write(tmp_path / "thumbnail.tif", photo, save_all=True, append_images=[small]),
    )
    assert found[0] == found[2] != found[1]


def test_a_jpeg_with_a_second_picture_behind_it_is_another_one(
    tmp_path: Path, photo: Image.Image, decoder: Decoder
) -> None:
    plain = write(tmp_path / "a.jpg", photo)
    several = write(tmp_path / "b.mpo", photo, save_all=True, append_images=[photo.transpose(0)], quality=90)  # type: ignore[arg-type]
    one, other = digests(decoder, plain, several)
    assert one != other


def test_a_file_that_is_not_whole_has_no_pixel_digest(tmp_path: Path, photo: Image.Image, decoder: Decoder) -> None:
    for name in ("a.jpg", "a.webp"):
        path = write(tmp_path / name, photo)
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(MediaError) as caught:
            decoder.pixel_digest(path)
        assert caught.value.reason in {FailureReason.TRUNCATED, FailureReason.CORRUPT}, name
