"""Equal image data means equal pixels; metadata does not count, and what is not understood has no digest."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.worker.image_data import image_data_digest
from py_image_dedup.media.worker.open import open_picture
from tests.support.pictures import picture


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


KINDS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "heic": "HEIF", "avif": "AVIF"}


def digest(data: bytes, kind: str = "JPEG") -> bytes | None:
    """The digest that the worker takes, without its process."""
    stream = io.BytesIO(data)
    opened = open_picture(stream, kind)
    opened.load()
    return image_data_digest(stream, opened, kind)


def structure_digest(data: bytes, kind: str) -> bytes | None:
    """The digest of a file that need not be decodable, beside a picture that is."""
    opened = open_picture(io.BytesIO(encoded("png")), "PNG")
    return image_data_digest(io.BytesIO(data), opened, kind)


@lru_cache
def encoded(ending: str, seed: int = 1, **options: object) -> bytes:
    stream = io.BytesIO()
    image = picture(seed, 200, 150)
    if options.pop("alpha", False):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(stream, KINDS[ending], **options)  # type: ignore[arg-type]
    return stream.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    return jpeg[:2] + segment(marker, payload) + jpeg[2:]


def exif(orientation: int = 1, description: str = "") -> bytes:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.ImageDescription] = description
    return block.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    return png[:33] + chunk(name, data) + png[33:]


def with_webp_chunk(webp: bytes, name: bytes, data: bytes) -> bytes:
    """As an editor adds metadata: the file gets the extended header, if it has none, and the chunk at its end."""
    width, height = open_picture(io.BytesIO(webp), "WEBP").size
    body = webp[12:]
    flag = {b"EXIF": 0x08, b"XMP ": 0x04}[name]
    if body[:4] != b"VP8X":
        alpha = 0x10 if body[:4] == b"VP8L" and body[12] & 0x10 else 0
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"VP8X" + struct.pack("<I", 10) + bytes([alpha, 0, 0, 0]) + sizes + body
    body = body[:8] + bytes([body[8] | flag]) + body[9:]
    body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


WAYS: dict[str, bytes] = {
    "jpg": encoded("jpg"),
    "progressive.jpg": encoded("jpg", progressive=True),
    "restart.jpg": encoded("jpg", restart_marker_blocks=3),
    "optimized.jpg": encoded("jpg", optimize=True),
    "png": encoded("png"),
    "alpha.png": encoded("png", alpha=True),
    "webp": encoded("webp"),
    "lossless.webp": encoded("webp", lossless=True),
    "alpha.webp": encoded("webp", alpha=True),
    "lossless-alpha.webp": encoded("webp", alpha=True, lossless=True),
}


def kind_of(name: str) -> str:
    return KINDS[name.rsplit(".", 1)[-1]]


def with_metadata(name: str, block: bytes) -> bytes:
    data = WAYS[name]
    if kind_of(name) == "JPEG":
        return with_segment(data, 0xE1, b"Exif\0\0" + block)
    if kind_of(name) == "PNG":
        return with_chunk(data, b"eXIf", block)
    return with_webp_chunk(data, b"EXIF", block)


@pytest.mark.parametrize("name", WAYS)
def test_metadata_and_bytes_behind_the_picture_do_not_count(name: str, decoder: Decoder, tmp_path: Path) -> None:
    plain = WAYS[name]
    copies = [with_metadata(name, exif(description="a beach")[6:]), plain + b"more", plain + b"\xff\xd8\xff\xd9" * 5]
    assert len({digest(data, kind_of(name)) for data in (plain, *copies)}) == 1
    assert digest(plain, kind_of(name)) is not None
    found = set()
    for number, data in enumerate((plain, *copies)):
        (tmp_path / str(number)).write_bytes(data)
        found.add(decoder.pixel_digest(tmp_path / str(number)))
    assert len(found) == 1, "the pixels are equal indeed"


@pytest.mark.parametrize("name", WAYS)
def test_the_orientation_counts(name: str) -> None:
    block = exif(6)[6:]
    assert digest(with_metadata(name, block), kind_of(name)) not in {digest(WAYS[name], kind_of(name)), None}


def test_the_encodings_of_one_picture_have_digests_of_their_own() -> None:
    found = [digest(data, kind_of(name)) for name, data in WAYS.items()]
    assert len(set(found)) == len(WAYS)
    assert None not in found


def test_a_worker_returns_the_digest_with_the_picture(decoder: Decoder, tmp_path: Path) -> None:
    for name, data in WAYS.items():
        (tmp_path / name).write_bytes(data)
        with read_file(tmp_path / name) as opened:
            assert decoder.decode(opened).image_data_digest == digest(data, kind_of(name)), name
    for ending in ("bmp", "gif", "tif"):
        picture(1, 40, 30).save(tmp_path / f"a.{ending}")
        with read_file(tmp_path / f"a.{ending}") as opened:
            assert decoder.decode(opened).image_data_digest is None, ending


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(["jpg", "progressive.jpg", "restart.jpg", "png", "webp", "lossless.webp"]))
def test_any_changed_byte_of_the_image_data_changes_the_digest(data: st.DataObject, name: str) -> None:
    plain, kind = WAYS[name], kind_of(name)
    start = {"JPEG": plain.rfind(b"\xff\xda") + 20, "PNG": plain.find(b"IDAT") + 8, "WEBP": 40}[kind]
    changed = bytearray(plain)
    changed[data.draw(st.integers(start, len(plain) - 20))] ^= data.draw(st.integers(1, 255))
    assert structure_digest(bytes(changed), kind) != structure_digest(plain, kind)


@settings(max_examples=60, deadline=None)
@given(
    marker=st.sampled_from([*range(0xE1, 0xEE), 0xEF, 0xFE]),
    payload=st.binary(max_size=300),
    name=st.sampled_from([name for name in WAYS if name.endswith("jpg")]),
)
def test_whatever_a_metadata_segment_contains_it_does_not_count(marker: int, payload: bytes, name: str) -> None:
    changed = with_segment(WAYS[name], marker, b"none of the known\0" + payload)
    assert structure_digest(changed, "JPEG") == structure_digest(WAYS[name], "JPEG")


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=300), name=st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf", b"pHYs"]))
def test_whatever_a_metadata_chunk_contains_it_does_not_count(text: bytes, name: bytes) -> None:
    assert structure_digest(with_chunk(WAYS["png"], name, text), "PNG") == structure_digest(WAYS["png"], "PNG")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), name=st.sampled_from(sorted(WAYS)))
def test_a_hostile_file_has_a_digest_or_none_and_never_fails(data: st.DataObject, name: str) -> None:
    damaged = bytearray(WAYS[name])
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, min(len(damaged) - 1, data.draw(st.sampled_from([60, 700, 10**6])))))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for kind in KINDS.values():
        found = structure_digest(cut, kind)
        assert found is None or len(found) == 32


@pytest.mark.parametrize("name", WAYS)
def test_a_file_that_is_not_whole_has_no_digest(name: str) -> None:
    data = WAYS[name]
    for length in (1, 5, 20, 40, len(data) // 2, len(data) - 13):
        assert structure_digest(data[:length], kind_of(name)) is None, length


def test_a_segment_that_hides_an_end_of_image_does_not_end_it() -> None:
    thumbnail = b"Exif\0\0" + encoded("jpg", 2)
    assert digest(with_segment(WAYS["jpg"], 0xE1, thumbnail)) == digest(WAYS["jpg"])
    assert digest(with_segment(WAYS["jpg"], 0xFE, b"\xff\xd9\xff\xda")) == digest(WAYS["jpg"])


def test_every_table_of_a_jpeg_counts() -> None:
    plain = WAYS["restart.jpg"]
    for marker in (0xDB, 0xC4, 0xDD, 0xC0, 0xDA):
        changed = bytearray(plain)
        changed[plain.find(bytes([0xFF, marker])) + 5] ^= 1
        assert structure_digest(bytes(changed), "JPEG") not in {structure_digest(plain, "JPEG"), None}, hex(marker)


def test_a_jpeg_with_arithmetic_coding_has_a_digest_with_its_conditioning() -> None:
    plain = WAYS["jpg"].replace(b"\xff\xc0", b"\xff\xc9", 1)
    conditioned = with_segment(plain, 0xCC, b"\x00\x10")
    found = {structure_digest(data, "JPEG") for data in (WAYS["jpg"], plain, conditioned)}
    assert len(found) == 3
    assert None not in found


def test_what_decides_the_colour_transform_of_a_jpeg_counts() -> None:
    plain = WAYS["jpg"]
    assert plain[2:4] == b"\xff\xe0"
    without_jfif = plain[:2] + plain[20:]
    adobe = [with_segment(without_jfif, 0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in (0, 1)]
    found = [digest(data) for data in (plain, without_jfif, *adobe)]
    assert len(set(found)) == 4
    assert digest(with_segment(without_jfif, 0xEE, b"Ducky\0\0\0\0\0\0\0")) == found[1]
    assert digest(with_segment(without_jfif, 0xEE, b"Adobe\0\x64\x80\0\0\0\1")) == found[3], "other flags do not count"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_colour_profile_counts_unless_it_is_srgb(ending: str) -> None:
    lossless: dict[str, object] = {"lossless": True} if ending == "webp" else {}
    srgb, lab = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("sRGB", "LAB"))
    found = [
        digest(encoded(ending, **lossless, **more), KINDS[ending])
        for more in ({}, {"icc_profile": srgb}, {"icc_profile": lab})  # type: ignore[dict-item]
    ]
    assert found[0] == found[1] != found[2]
    assert None not in found


def test_how_the_data_of_a_png_is_cut_into_chunks_does_not_count() -> None:
    plain = WAYS["png"]
    start = plain.find(b"IDAT") - 4
    length = int.from_bytes(plain[start : start + 4], "big")
    data, rest = plain[start + 8 : start + 8 + length], plain[start + 12 + length :]
    while rest[4:8] == b"IDAT":
        more = int.from_bytes(rest[:4], "big")
        data, rest = data + rest[8 : 8 + more], rest[12 + more :]
    pieces = b"".join(chunk(b"IDAT", data[place : place + 1000]) for place in range(0, len(data), 1000))
    assert digest(plain[:start] + pieces + rest, "PNG") == digest(plain, "PNG")
    torn = plain[:start] + chunk(b"IDAT", data[:1000]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", data[1000:]) + rest
    assert structure_digest(torn, "PNG") is None


@pytest.mark.parametrize("name", [b"tRNS", b"PLTE", b"cICP", b"acTL", b"fcTL", b"sBIT", b"abCd"])
def test_every_other_chunk_of_a_png_counts(name: bytes) -> None:
    assert structure_digest(with_chunk(WAYS["png"], name, b"\1\2\3\4"), "PNG") not in {
        structure_digest(WAYS["png"], "PNG"),
        None,
    }


@pytest.mark.parametrize(
    ("name", "data"), [(b"gAMA", struct.pack(">I", 100000)), (b"cHRM", struct.pack(">8I", *range(10000, 90000, 10000)))]
)
def test_gamma_and_chromaticity_of_a_png_count(name: bytes, data: bytes) -> None:
    assert digest(with_chunk(WAYS["png"], name, data), "PNG") not in {digest(WAYS["png"], "PNG"), None}


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_every_frame_and_its_time_count(ending: str) -> None:
    def animation(order: tuple[int, ...], duration: int) -> bytes:
        stream = io.BytesIO()
        frames = [picture(seed, 60, 40) for seed in order]
        frames[0].save(stream, KINDS[ending], save_all=True, append_images=frames[1:], duration=duration)
        return stream.getvalue()

    made = [animation(order, ms) for order, ms in (((1, 2, 3), 100), ((1, 3, 2), 100), ((1, 2, 3), 200), ((1, 2), 100))]
    found = [digest(data, KINDS[ending]) for data in made]
    assert len(set(found)) == 4
    assert None not in found
    assert digest(animation((1, 2, 3), 100), KINDS[ending]) == found[0]


def mpo(*seeds: int) -> bytes:
    stream = io.BytesIO()
    pictures = [picture(seed, 200, 150) for seed in seeds]
    pictures[0].save(stream, "MPO", save_all=True, append_images=pictures[1:])
    return stream.getvalue()


@pytest.mark.parametrize("ending", ["heic", "avif"])
def test_items_of_metadata_do_not_count_in_heif_and_avif(ending: str, decoder: Decoder, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    plain = encoded(ending)
    tagged = encoded(ending, exif=exif(description="tagged"))
    longer = encoded(ending, exif=exif(description="tagged at length"), xmp=b"<x:xmpmeta/>")
    found = [digest(data, KINDS[ending]) for data in (plain, tagged, longer, plain + b"behind the last box")]
    assert len(set(found)) == 1
    assert None not in found
    pixels = set()
    for number, data in enumerate((plain, tagged, longer)):
        (tmp_path / str(number)).write_bytes(data)
        pixels.add(decoder.pixel_digest(tmp_path / str(number)))
    assert len(pixels) == 1
    others = [encoded(ending, 2), encoded(ending, quality=30), encoded(ending, alpha=True)]
    assert len({digest(data, KINDS[ending]) for data in (plain, *others)}) == 4


@pytest.mark.parametrize("ending", ["heic", "avif"])
def test_items_that_lie_about_their_place_have_no_digest(ending: str) -> None:
    pillow_heif.register_heif_opener()
    plain = encoded(ending)
    assert structure_digest(plain, KINDS[ending]) is not None
    iloc = plain.find(b"iloc")
    for place in range(iloc + 8, iloc - 4 + int.from_bytes(plain[iloc - 4 : iloc], "big")):
        wrong = plain[:place] + b"\xff" + plain[place + 1 :]
        assert structure_digest(wrong, KINDS[ending]) != structure_digest(plain, KINDS[ending]), place - iloc
    assert structure_digest(plain[: len(plain) // 2], KINDS[ending]) is None
    assert structure_digest(plain.replace(b"infe\2", b"infe\0"), KINDS[ending]) is None
    assert structure_digest(plain + struct.pack(">I4s", 8, b"moov"), KINDS[ending]) is None


@settings(max_examples=100, deadline=None)
@given(data=st.data(), ending=st.sampled_from(["heic", "avif"]))
def test_a_hostile_box_has_a_digest_or_none_and_never_fails(data: st.DataObject, ending: str) -> None:
    pillow_heif.register_heif_opener()
    damaged = bytearray(encoded(ending))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 700)))] = data.draw(st.integers(0, 255))
    found = structure_digest(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), KINDS[ending])
    assert found is None or len(found) == 32


def test_further_pictures_of_a_jpeg_count(decoder: Decoder, tmp_path: Path) -> None:
    found = [digest(data) for data in (mpo(1, 2), mpo(1, 3), mpo(1, 2, 3), WAYS["jpg"])]
    assert len(set(found)) == 4
    assert None not in found
    tagged = with_segment(mpo(1, 2), 0xE1, exif(description="tagged"))
    assert digest(tagged) == found[0], "the second picture is elsewhere in the file, and the same"
    for name, data in (("a", mpo(1, 2)), ("b", tagged)):
        (tmp_path / name).write_bytes(data)
    assert decoder.pixel_digest(tmp_path / "a") == decoder.pixel_digest(tmp_path / "b")


def test_further_pictures_that_are_not_where_their_table_says_give_no_equal_digest() -> None:
    plain = mpo(1, 2)
    moved = with_segment(plain, 0xFE, b"a comment before the table moves nothing that it counts from itself")
    inside = plain[:2] + plain[2:].replace(b"\xff\xdb", segment(0xFE, b"a comment behind it does") + b"\xff\xdb", 1)
    assert digest(moved) == digest(plain)
    assert digest(inside) != digest(plain)


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:2] + b"\xff\x01" + data[2:],  # a marker without meaning here
        lambda data: data[:2] + b"\xff\xd8" + data[2:],  # a second start
        lambda data: data[:2] + b"junk" + data[2:],  # bytes between segments
        lambda data: data[:2] + b"\xff\xe1\0\1" + data[2:],  # a length that does not include itself
    ],
)
def test_a_jpeg_whose_structure_is_not_understood_has_no_digest(damage: Damage) -> None:
    assert structure_digest(damage(WAYS["jpg"]), "JPEG") is None


def test_fill_bytes_before_a_marker_do_not_count() -> None:
    filled = WAYS["jpg"].replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1)
    assert digest(filled[:-2] + b"\xff\xff\xd9") == digest(WAYS["jpg"])


def test_a_scan_is_read_across_the_pieces_that_it_is_read_in(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: structure_digest(data, kind_of(name)) for name, data in WAYS.items()}
    for size in (2, 3, 7, 64):
        monkeypatch.setattr("py_image_dedup.media.worker.image_data._CHUNK", size)
        for name in ("jpg", "progressive.jpg", "restart.jpg"):
            assert structure_digest(WAYS[name], "JPEG") == found[name], (name, size)
