"""The image formats that are decoded, one record each, and how a file's format is recognised from its content.

To add a format, add its record to ``FORMATS``: the extensions that are searched, the recognition, the decoder and the
reference table follow from it. Formats whose decoder is an optional package name it as an ``Extra``; without the
package their files are listed, with what to install.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, TypeAlias

from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason

HEAD_BYTES: Final = 4096
"""Bytes from the start of a file that recognition needs."""
TAIL_BYTES: Final = 26
"""Bytes from the end of a file that recognition needs."""

Detect: TypeAlias = Callable[[bytes, bytes, str], bool]
"""``(head, tail, suffix) -> whether a file with these first and last bytes and this suffix has the format``."""


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional dependency of this program, such as ``py-image-dedup[raw]``.

    Attributes:
        name: Its name in ``pyproject.toml``.
        module: The module that it installs.
    """

    name: str
    module: str

    @property
    def is_installed(self) -> bool:
        """Whether the module can be imported, as far as that is known without importing it."""
        return find_spec(self.module) is not None

    @property
    def advice(self) -> str:
        """What to do to have it, as words for the user."""
        return f"install py-image-dedup[{self.name}]"


RAW_EXTRA: Final = Extra("raw", "rawpy")
JXL_EXTRA: Final = Extra("jxl", "pillow_jxl")
VIDEO_EXTRA: Final = Extra("video", "av")


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """One image format.

    Attributes:
        name: The name that Pillow gives it, and that the index keeps.
        suffixes: Usual file name endings, lower case with the dot.
        plugin: Pillow's module for it, without ``ImagePlugin``; empty for what another package decodes.
        magic: Bytes that every file starts with, one or more alternatives.
        detect: Recognises files that no fixed bytes start; tried after all magic bytes.
        several_frames: Whether a file can be an animation or have pages. Not set where further frames are layers, sizes
            or previews of the one picture.
        upright: Whether the decoder applies the orientation: Pillow for the tag of TIFF, libheif for its own boxes.
        late_exif: Whether EXIF may follow the pixels, and so is known only after decoding.
        decoder_bytes: Memory of the decoder besides Pillow's own picture, bytes per pixel; from measured peaks at
            20 megapixels.
        note: What a user should know about the support.
        extra: The optional dependency that decodes it; ``None`` if every installation does.
        word: One file of it as words for the user: "a RAW photo"; for formats with an extra.
    """

    name: str
    suffixes: tuple[str, ...]
    plugin: str
    magic: tuple[bytes, ...] = ()
    detect: Detect | None = None
    several_frames: bool = False
    upright: bool = False
    late_exif: bool = False
    decoder_bytes: int = 4
    note: str = ""
    extra: Extra | None = None
    word: str = ""


_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})


def _brands(head: bytes) -> frozenset[bytes]:
    """Return the brands of an ISO base media file (ISO 14496-12, 4.3); none for other files."""
    if head[4:8] != b"ftyp":
        return frozenset()
    length = min(int.from_bytes(head[:4], "big"), len(head))
    return frozenset({head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))})


def _is_avif(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return not _brands(head).isdisjoint(_AVIF_BRANDS)


def _is_heif(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return not _brands(head).isdisjoint(_HEIF_BRANDS)


def _is_raw(head: bytes, _tail: bytes, _suffix: str) -> bool:
    """Recognise Canon's CR3, an ISO base media file without a picture that other decoders know."""
    return head[4:8] == b"ftyp" and head[8:11] == b"crx"


def _is_webp(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_ppm(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return re.match(rb"P[1-6fF]\s", head) is not None


def _is_icon(head: bytes, kind: bytes) -> bool:
    # The next two bytes are the number of images; zero is how most TGA files begin.
    return head[:4] == kind and head[4:6] not in {b"", b"\0\0"}


def _is_ico(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return _is_icon(head, b"\0\0\1\0")


def _is_cur(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return _is_icon(head, b"\0\0\2\0")


def _is_pcx(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return len(head) > 128 and head[0] == 10 and head[1] in {0, 2, 3, 5} and head[2] in {0, 1}


def _is_fli(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return len(head) > 128 and head[4:6] in {b"\x11\xaf", b"\x12\xaf"}


def _is_pcd(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return head[2048:2052] == b"PCD_"


def _is_xbm(head: bytes, _tail: bytes, _suffix: str) -> bool:
    return re.match(rb"\s*#define[ \t]+\S+_width[ \t]+\d", head) is not None


_TGA_SUFFIXES = (".tga", ".icb", ".vda", ".vst")


def _is_tga(head: bytes, tail: bytes, suffix: str) -> bool:
    """Recognise TGA, whose version 1 carries no mark at all: its suffix and a plausible header must do."""
    if len(head) < 18 or not (tail[8:24] == b"TRUEVISION-XFILE" or suffix.lower() in _TGA_SUFFIXES):
        return False
    return head[1] in {0, 1} and head[2] in {1, 2, 3, 9, 10, 11} and head[16] in {1, 8, 15, 16, 24, 32}


_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RAW: Final = "RAW"
"""Name of the format of all RAW photos."""

FORMATS: Final[tuple[ImageFormat, ...]] = (
    ImageFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), "Jpeg", (b"\xff\xd8\xff",)),
    ImageFormat(
        "MPO",
        (".mpo",),
        "Mpo",
        several_frames=True,
        note="A JPEG file with more pictures behind the first; recognised as JPEG, opened as MPO to see them all.",
    ),
    ImageFormat(
        "PNG",
        (".png", ".apng"),
        "Png",
        (b"\x89PNG\r\n\x1a\n",),
        several_frames=True,
        late_exif=True,
        decoder_bytes=0,
    ),
    ImageFormat("GIF", (".gif",), "Gif", (b"GIF87a", b"GIF89a"), several_frames=True),
    ImageFormat(
        RAW,
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"),
        "",
        (b"II*\0\x10\0\0\0CR", b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),
        detect=_is_raw,
        upright=True,
        note="Searched by the embedded preview; equal if the values of the sensor are. Never redundant for a finished "
        "picture.",
        extra=RAW_EXTRA,
        word="a RAW photo",
    ),
    ImageFormat(
        "JXL",
        (".jxl",),
        "",
        (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        decoder_bytes=32,  # 17 in all at 12 megapixels; the coefficients of progressive files come on top
        note="Animations are not decoded.",
        extra=JXL_EXTRA,
        word="a JPEG XL picture",
    ),
    ImageFormat(
        "TIFF",
        (".tif", ".tiff"),
        "Tiff",
        _TIFF_MAGIC,
        several_frames=True,
        upright=True,
        note="A RAW photo with the name of a TIFF file is recognised and not decoded.",
    ),
    ImageFormat(
        "JPEG2000",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        "Jpeg2K",
        (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        decoder_bytes=18,
    ),
    ImageFormat("PSD", (".psd",), "Psd", (b"8BPS",), note="The merged picture; layers do not count."),
    ImageFormat("QOI", (".qoi",), "Qoi", (b"qoif",)),
    ImageFormat("DDS", (".dds",), "Dds", (b"DDS ",)),
    ImageFormat("BLP", (".blp",), "Blp", (b"BLP1", b"BLP2")),
    ImageFormat("ICNS", (".icns",), "Icns", (b"icns",), note="The largest size."),
    ImageFormat("SGI", (".sgi", ".rgb", ".rgba", ".bw"), "Sgi", (b"\x01\xda",)),
    ImageFormat("SUN", (".ras",), "Sun", (b"\x59\xa6\x6a\x95",)),
    ImageFormat("DCX", (".dcx",), "Dcx", (b"\xb1\x68\xde\x3a",), several_frames=True),
    ImageFormat("MSP", (".msp",), "Msp", (b"DanM", b"LinS")),
    ImageFormat("XPM", (".xpm",), "Xpm", (b"/* XPM */",)),
    ImageFormat("BMP", (".bmp", ".dib"), "Bmp", (b"BM",)),
    # Recognised by more than their first bytes, the surest first.
    ImageFormat(
        "WEBP",
        (".webp",),
        "WebP",
        detect=_is_webp,
        several_frames=True,
        decoder_bytes=14,  # two canvases, a copy, and Pillow's picture: 18
    ),
    ImageFormat(
        "AVIF", (".avif", ".avifs"), "Avif", detect=_is_avif, several_frames=True, late_exif=True, decoder_bytes=6
    ),
    ImageFormat(
        "HEIF",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        "",
        detect=_is_heif,
        several_frames=True,
        upright=True,
        late_exif=True,
        decoder_bytes=6,
    ),
    ImageFormat("PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), "Ppm", detect=_is_ppm),
    ImageFormat("ICO", (".ico",), "Ico", detect=_is_ico, note="The largest size."),
    ImageFormat("CUR", (".cur",), "Cur", detect=_is_cur, note="The largest size."),
    ImageFormat("PCX", (".pcx",), "Pcx", detect=_is_pcx),
    ImageFormat("FLI", (".fli", ".flc"), "Fli", detect=_is_fli, several_frames=True),
    ImageFormat("PCD", (".pcd",), "Pcd", detect=_is_pcd),
    ImageFormat("XBM", (".xbm",), "Xbm", detect=_is_xbm),
    ImageFormat("TGA", _TGA_SUFFIXES, "Tga", detect=_is_tga),
)
"""Every format that is decoded, in the order in which they are tried.

Left out on purpose: what Pillow hands to other programs or cannot draw (EPS, WMF, EMF, GRIB, HDF5, BUFR), scientific
formats without a range of values of their own (FITS, SPIDER), and video.
"""

_BY_NAME = {each.name: each for each in FORMATS}


def can_decode(each: ImageFormat) -> bool:
    """Return whether the decoder of a format is installed."""
    return each.extra is None or each.extra.is_installed


EXTENSIONS: Final[frozenset[str]] = frozenset(
    suffix for each in FORMATS if can_decode(each) for suffix in each.suffixes
)
"""The usual file name endings of every format that this installation decodes, lower case with the dot."""

RAW_SUFFIXES: Final[frozenset[str]] = frozenset(_BY_NAME[RAW].suffixes)
"""The usual file name endings of RAW photos."""


@dataclass(frozen=True, slots=True)
class UnreadKind:
    """A kind of file that a run lists and does not read, so that nothing is skipped silently.

    Attributes:
        name: One file of it, as a noun without an article: "video".
        suffixes: Usual file name endings, lower case with the dot.
        reason: Why it is not read, or what to install, as words for the user.
    """

    name: str
    suffixes: tuple[str, ...]
    reason: str


VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".3gp", ".3g2", ".mts", ".m2ts")
"""The usual file name endings of the videos that are compared, with the extra ``video``."""

_OTHER_FILMS: Final = (".mpg", ".mpeg", ".wmv", ".insv")

FILM_SUFFIXES: Final = (*VIDEO_SUFFIXES, *_OTHER_FILMS)
"""The usual file name endings of films."""

NEVER_READ: Final[tuple[UnreadKind, ...]] = (
    UnreadKind("video of another format", _OTHER_FILMS, "videos of this format are not compared"),
    UnreadKind("SVG drawing", (".svg", ".svgz"), "not a photo"),
    UnreadKind("PDF document", (".pdf",), "not a photo"),
)
"""The kinds that no installation reads."""


def unread_kinds() -> tuple[UnreadKind, ...]:
    """Return the kinds of files that this installation lists and does not read."""
    missing = tuple(
        UnreadKind(each.word.partition(" ")[2], each.suffixes, each.extra.advice)
        for each in FORMATS
        if each.extra is not None and not can_decode(each)
    )
    if VIDEO_EXTRA.is_installed:
        # Listed where the options of a run leave them out.
        return (*missing, UnreadKind("video", FILM_SUFFIXES, "videos are not compared"), *NEVER_READ[1:])
    return (*missing, UnreadKind("video", VIDEO_SUFFIXES, VIDEO_EXTRA.advice), *NEVER_READ)


UNREAD: Final[Mapping[bytes, UnreadKind]] = {
    suffix.encode(): kind for kind in unread_kinds() for suffix in kind.suffixes
}
"""The kinds of files that are listed and not read, by file name ending."""

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"%PDF", "a PDF document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"FOVb", "a RAW photo of Sigma"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\0\0\1\xba", "a video"),
    (b"\0\0\1\xb3", "a video"),
    (b"<svg", "an SVG drawing"),
)
"""``(first bytes, description)`` of formats that are recognised only to say that they are not supported."""


def format_named(name: str) -> ImageFormat:
    """Return the record of a format.

    Args:
        name: Its name as ``recognise`` returned it, or ``MPO``.

    Raises:
        KeyError: There is no such format.
    """
    return _BY_NAME[name]


def recognise(head: bytes, tail: bytes, suffix: str) -> str:
    """Return the name of a file's format, recognised from its content.

    Args:
        head: Its first ``HEAD_BYTES``, or all of it.
        tail: Its last ``TAIL_BYTES``.
        suffix: The ending of its name; counts only for TGA of version 1, which carries no mark at all, and for RAW
            photos, most of which begin as TIFF files do.

    Raises:
        MediaError: ``not-an-image``; ``unsupported`` for an image or video of a format that is not decoded;
            ``needs-extra`` for one whose decoder is not installed.
    """
    kind = _recognise(head, tail, suffix)
    traits = _BY_NAME[kind]
    if traits.extra is not None and not traits.extra.is_installed:
        raise MediaError(FailureReason.NEEDS_EXTRA, f"this is {traits.word}; {traits.extra.advice} to read it")
    return kind


def _recognise(head: bytes, tail: bytes, suffix: str) -> str:
    for magic, description in _FOREIGN:
        if head.startswith(magic):
            raise _unsupported(description)
    if head.startswith(_TIFF_MAGIC) and suffix.lower() in RAW_SUFFIXES:
        return RAW
    for each in FORMATS:
        if head.startswith(each.magic):
            return each.name
    if _is_raw(head, tail, suffix):
        return RAW
    _refuse_video(head)
    for each in FORMATS:
        if each.detect is not None and each.detect(head, tail, suffix):
            return each.name
    raise MediaError(FailureReason.NOT_AN_IMAGE, "the content is not that of any known image format")


def _refuse_video(head: bytes) -> None:
    """Refuse containers of images and videos that hold no image."""
    brands = _brands(head)
    if brands and brands.isdisjoint(_AVIF_BRANDS | _HEIF_BRANDS):
        raise _unsupported("a video")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        raise _unsupported("a video")


def _unsupported(description: str) -> MediaError:
    return MediaError(FailureReason.UNSUPPORTED, f"this is {description}, a format that is not supported")
