"""The type of a file is its content."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from py_image_dedup.media.formats import (
    EXTENSIONS,
    FORMATS,
    UNREAD,
    ImageFormat,
    format_named,
    recognise,
    unread_kinds,
)
from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"P6 2 2 255\n", "PPM"),
        (b"/* comment */ #define a_width 3", None),
        (b"#define a_width 3\n#define a_height 3\n", "XBM"),
        (b"hello", None),
        (b"", None),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "RAW"),
        (b"II*\0\x10\0\0\0CR\2\0", "RAW"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"IIU\0\x18\0\0\0", "RAW"),
        (b"IIRO\x08\0\0\0", "RAW"),
        (b"\xff\x0a\xfa", "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "JXL"),
        (b"\0\0\1\0\1\0\x20\x20", "ICO"),
    ],
)
def test_content_decides(head: bytes, kind: str | None) -> None:
    if kind is None:
        with pytest.raises(MediaError) as caught:
            recognise(head, head, ".jpg")
        assert caught.value.reason is FailureReason.NOT_AN_IMAGE
    else:
        assert recognise(head, head, ".txt") == kind


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "video"),
        (b"FOVb\0\0\3\0", "RAW photo of Sigma"),
        (b"RIFF\x10\0\0\0AVI LIST", "video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"\xd7\xcd\xc6\x9a\0\0", "metafile"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns", "SVG"),
    ],
)
def test_what_is_not_decoded_is_named(head: bytes, word: str) -> None:
    with pytest.raises(MediaError, match=word) as caught:
        recognise(head, head, ".jpg")
    assert caught.value.reason is FailureReason.UNSUPPORTED


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".arw", ".pef", ".srw", ".cr2"])
def test_a_tiff_file_with_the_name_of_a_raw_photo_is_one(suffix: str) -> None:
    assert recognise(b"II*\0\x08\0\0\0", b"", suffix) == "RAW"
    assert recognise(b"MM\0*\0\0\0\x08", b"", suffix) == "RAW"


@pytest.mark.parametrize(
    ("module", "head", "message"),
    [
        ("rawpy", b"IIRO\x08\0\0\0", "a RAW photo; install py-image-dedup[raw]"),
        ("pillow_jxl", b"\xff\x0a\xfa", "a JPEG XL picture; install py-image-dedup[jxl]"),
    ],
)
def test_what_needs_a_missing_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, head: bytes, message: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MediaError, match=re.escape(message)) as caught:
        recognise(head, b"", ".jpg")
    assert caught.value.reason is FailureReason.NEEDS_EXTRA
    kinds = {kind.name: kind for kind in unread_kinds()}
    traits = next(each for each in FORMATS if each.extra is not None and each.extra.module == module)
    assert kinds[traits.word.partition(" ")[2]].suffixes == traits.suffixes
    assert kinds[traits.word.partition(" ")[2]].reason == message.partition("; ")[2]


def test_with_every_extra_only_films_drawings_and_documents_are_not_read() -> None:
    assert [kind.name for kind in unread_kinds()] == ["video", "SVG drawing", "PDF document"]
    assert {b".mp4", b".mov", b".mts", b".svg", b".pdf"} <= UNREAD.keys()
    assert not {suffix.decode() for suffix in UNREAD} & EXTENSIONS


def test_tga_without_a_mark_needs_its_name() -> None:
    head = bytes([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0, 24, 0])
    assert recognise(head, head, ".TGA") == "TGA"
    with pytest.raises(MediaError):
        recognise(head, head, ".jpg")


def test_every_format_has_a_name_suffixes_and_a_plug_in_of_its_own() -> None:
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    assert sum(len(each.suffixes) for each in FORMATS) == len(EXTENSIONS)
    for each in FORMATS:
        assert format_named(each.name) is each
        if each.plugin:
            importlib.import_module(f"PIL.{each.plugin}ImagePlugin")
            assert each.name in {*Image.OPEN, "MPO"}
    assert [each.name for each in FORMATS if not each.plugin] == ["RAW", "JXL", "HEIF"], "which other packages decode"
    assert [each.name for each in FORMATS if not each.magic and each.detect is None] == ["MPO"], (
        "which begins as a JPEG"
    )


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_the_first_bytes_of_a_format_are_enough(kind: ImageFormat) -> None:
    for magic in kind.magic:
        assert recognise(magic + bytes(100), bytes(26), ".unknown") == kind.name


def test_extensions_are_lower_case_with_a_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tiff", ".gif", ".bmp", ".jp2", ".heic", ".avif"} <= EXTENSIONS
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in EXTENSIONS)
    assert {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw", ".jxl"} <= EXTENSIONS
    assert not {".eps", ".wmf", ".pdf", ".svg", ".mp4", ".mpg"} & EXTENSIONS


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_bytes_are_a_known_format_or_none(head: bytes, tail: bytes) -> None:
    try:
        found = recognise(head, tail, ".tga")
    except MediaError as error:
        found = error.reason.name
    assert found.isupper()
