"""Every extension that the program claims: a real file of it is decoded, and a broken one is refused with a reason.

RAW photos are in ``test_raw``. A format or an extension without a file here fails a test.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageOps

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.formats import EXTENSIONS, FORMATS, RAW_SUFFIXES, VIDEO_SUFFIXES, can_decode, format_named
from py_image_dedup.media.limits import Limits, MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.video.client import VideoWorker
from tests.support.clips import Clip, encode, pan
from tests.support.pictures import picture

WIDTH, HEIGHT = 64, 48
BROKEN = {FailureReason.CORRUPT, FailureReason.TRUNCATED, FailureReason.UNSUPPORTED, FailureReason.NOT_AN_IMAGE}
PICTURES = sorted(EXTENSIONS - RAW_SUFFIXES)


def saved(kind: str) -> Callable[[str], bytes]:
    """Make a file as Pillow writes it."""

    def make(suffix: str) -> bytes:
        image: Image.Image = picture(1, WIDTH, HEIGHT)
        if kind in {"MSP", "XBM"} or suffix == ".pbm":
            image = image.convert("1")
        elif kind == "BLP":
            image = image.quantize()
        elif suffix == ".pfm":
            image = image.convert("F")
        elif suffix in {".pgm", ".bw"}:
            image = image.convert("L")
        elif suffix == ".rgba":
            image = image.convert("RGBA")
        stream = io.BytesIO()
        image.save(stream, kind)
        return stream.getvalue()

    return make


def icon(kind: str) -> Callable[[str], bytes]:
    def make(_: str) -> bytes:
        stream = io.BytesIO()
        # Icons are square; the largest size counts.
        ImageOps.fit(picture(1, WIDTH, HEIGHT), (64, 64)).save(stream, kind, sizes=[(16, 16), (64, 64)])
        return stream.getvalue()

    return make


def cur(suffix: str) -> bytes:
    """A cursor is an icon of another type, which Pillow reads from bitmaps only."""
    stream = io.BytesIO()
    ImageOps.fit(picture(1, WIDTH, HEIGHT), (64, 64)).save(stream, "ICO", sizes=[(64, 64)], bitmap_format="bmp")
    made = bytearray(stream.getvalue())
    made[2] = 2
    return bytes(made)


def jxl(_: str) -> bytes:
    import pillow_jxl  # noqa: F401 - it registers itself

    stream = io.BytesIO()
    picture(1, WIDTH, HEIGHT).save(stream, "JXL")
    return stream.getvalue()


def heif(_: str) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(picture(1, WIDTH, HEIGHT)).save(stream)
    return stream.getvalue()


def psd(_: str) -> bytes:
    """The merged picture, uncompressed, plane by plane (Adobe Photoshop file formats, 2019)."""
    planes = b"".join(plane.tobytes() for plane in picture(1, WIDTH, HEIGHT).split())
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, HEIGHT, WIDTH, 8, 3)
    return head + struct.pack(">IIIH", 0, 0, 0, 0) + planes


def sun(_: str) -> bytes:
    pixels = b"".join(bytes(each[::-1]) for each in picture(1, WIDTH, HEIGHT).get_flattened_data())
    return struct.pack(">8I", 0x59A66A95, WIDTH, HEIGHT, 24, len(pixels), 1, 0, 0) + pixels


def dcx(_: str) -> bytes:
    page = saved("PCX")(".pcx")
    return struct.pack("<III", 0x3ADE68B1, 12, 0) + page


def xpm(_: str) -> bytes:
    image = picture(1, WIDTH, HEIGHT).quantize(16)
    palette = image.getpalette() or []
    keys = "abcdefghijklmnop"
    colours = [f'"{key} c #{bytes(palette[3 * n : 3 * n + 3]).hex()}",' for n, key in enumerate(keys)]
    values = list(image.get_flattened_data())
    rows = ['"' + "".join(keys[value] for value in values[y : y + WIDTH]) + '",' for y in range(0, len(values), WIDTH)]
    lines = ["/* XPM */", "static char *x[] = {", f'"{WIDTH} {HEIGHT} 16 1",', *colours, *rows, "};"]
    return "\n".join(lines).encode()


def fli(suffix: str) -> bytes:
    """An animation of one frame: its colours, and its pixels as they are."""
    image = picture(1, WIDTH, HEIGHT).quantize(256)
    palette = bytes((image.getpalette() or []) + [0] * 768)[:768]
    colours = struct.pack("<IHHBB", 6 + 4 + 768, 4, 1, 0, 0) + palette
    pixels = struct.pack("<IH", 6 + WIDTH * HEIGHT, 16) + image.tobytes()
    frame = struct.pack("<IHH8x", 16 + len(colours) + len(pixels), 0xF1FA, 2) + colours + pixels
    mark = 0xAF12 if suffix == ".flc" else 0xAF11
    head = struct.pack("<IHHHHHHI", 128 + len(frame), mark, 1, WIDTH, HEIGHT, 8, 0, 70)
    return head.ljust(128, b"\0") + frame


def pcd(_: str) -> bytes:
    """The base picture of a Photo CD, 768 x 512, as brightness and colour in lines of three."""
    luma, blue, red = picture(1, 768, 512).convert("YCbCr").split()
    small = [each.resize((384, 256)).tobytes() for each in (blue, red)]
    lines = bytearray()
    for y in range(0, 512, 2):
        lines += luma.crop((0, y, 768, y + 2)).tobytes()
        lines += b"".join(each[y // 2 * 384 : (y // 2 + 1) * 384] for each in small)
    head = bytearray(96 * 2048)
    head[2048:2055] = b"PCD_IPI"
    return bytes(head) + bytes(lines)


MAKERS: dict[str, Callable[[str], bytes]] = {
    **{kind.name: saved(kind.name) for kind in FORMATS},
    "ICO": icon("ICO"),
    "ICNS": icon("ICNS"),
    "CUR": cur,
    "DCX": dcx,
    "FLI": fli,
    "HEIF": heif,
    "JXL": jxl,
    "PCD": pcd,
    "PSD": psd,
    "SUN": sun,
    "XPM": xpm,
}
SIZES = {"ICO": (64, 64), "CUR": (64, 64), "ICNS": (1024, 1024), "PCD": (768, 512)}
FOUND_AS = {"MPO": "JPEG"}
"""Formats by the names under which the program reads their files."""


def kind_of(suffix: str) -> str:
    return next(each.name for each in FORMATS if suffix in each.suffixes)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def worker() -> Iterator[VideoWorker]:
    with VideoWorker(Limits()) as shared:
        yield shared


def test_this_installation_reads_every_format() -> None:
    assert {each.name for each in FORMATS if not can_decode(each)} == set()


@pytest.mark.parametrize("suffix", PICTURES)
def test_a_real_file_of_every_extension_is_decoded_and_a_broken_one_is_refused(
    suffix: str, tmp_path: Path, decoder: Decoder
) -> None:
    kind = kind_of(suffix)
    content = MAKERS[kind](suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with read_file(path) as opened:
        found = decoder.decode(opened)
    assert found.facts.format == format_named(FOUND_AS.get(kind, kind)).name
    assert (found.facts.width, found.facts.height) == SIZES.get(kind, (WIDTH, HEIGHT))
    assert len(set(found.pixels)) > 1
    path.write_bytes(content[: len(content) // 2])
    with read_file(path) as opened, pytest.raises(MediaError) as refused:
        decoder.decode(opened)
    assert refused.value.reason in BROKEN


CONTAINERS = {
    ".mov": "mov",
    ".mkv": "mkv",
    ".avi": "avi",
    ".webm": "webm",
    ".3gp": "3gp",
    ".3g2": "3gp",
    ".mts": "ts",
    ".m2ts": "ts",
}
NAMES = {"mp4": "MP4", "mov": "MOV", "mkv": "MKV", "avi": "AVI", "webm": "WEBM", "3gp": "3GP", "ts": "MTS"}


@pytest.fixture(scope="module")
def films() -> dict[str, bytes]:
    frames = pan(1, 3)
    codecs = {"webm": "libvpx", "avi": "mpeg4"}
    return {name: encode(Clip(frames, container=name, codec=codecs.get(name, "libx264"))) for name in NAMES}


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_real_video_of_every_extension_is_sampled_and_a_broken_one_is_refused(
    suffix: str, tmp_path: Path, worker: VideoWorker, films: dict[str, bytes]
) -> None:
    container = CONTAINERS.get(suffix, "mp4")
    path = tmp_path / f"a{suffix}"
    content = films[container]
    if suffix == ".m2ts":  # as camcorders write it, with a time before each packet
        content = b"".join(bytes(4) + content[at : at + 188] for at in range(0, len(content), 188))
    path.write_bytes(content)
    with read_file(path) as opened:
        profile, _, packets = worker.sample(opened)
    assert profile.facts.container == NAMES[container]
    assert (profile.facts.width, profile.facts.height, profile.facts.frames) == (128, 96, 36)
    assert len(profile.times) > 0
    assert len(packets) == 32
    # A transport stream may end anywhere, and states no length.
    kept = 600 if container == "ts" else len(content) // 4
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    with read_file(path) as opened, pytest.raises(MediaError) as refused:
        worker.sample(opened)
    assert refused.value.reason in BROKEN
