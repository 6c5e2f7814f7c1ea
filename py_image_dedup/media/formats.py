"""Which formats are decoded, and how a file's format is recognised: by its content, not by its name."""

from __future__ import annotations

import re

from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason

HEAD_BYTES = 4096
"""How much of the beginning of a file ``recognise`` needs to see."""
TAIL_BYTES = 26
"""How much of its end."""

_SUFFIXES: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif", ".avifs"),
    "BLP": (".blp",),
    "BMP": (".bmp", ".dib"),
    "CUR": (".cur",),
    "DCX": (".dcx",),
    "DDS": (".dds",),
    "FLI": (".fli", ".flc"),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heif", ".hif", ".heics", ".heifs"),
    "ICNS": (".icns",),
    "ICO": (".ico",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "MSP": (".msp",),
    "PCD": (".pcd",),
    "PCX": (".pcx",),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
}

EXTENSIONS: frozenset[str] = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
"""The usual file name endings of every decodable format, lower case with the dot.

Left out on purpose: what Pillow hands to other programs or cannot draw (EPS, WMF, EMF, GRIB, HDF5, BUFR), scientific
formats without a range of values of their own (FITS, SPIDER), RAW and video.
"""

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"8BPS", "PSD"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"BLP1", "BLP"),
    (b"BLP2", "BLP"),
    (b"icns", "ICNS"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "SUN"),
    (b"\xb1\x68\xde\x3a", "DCX"),
    (b"DanM", "MSP"),
    (b"LinS", "MSP"),
    (b"/* XPM */", "XPM"),
    (b"BM", "BMP"),
)

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"%PDF", "a PDF document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II*\0\x10\0\0\0CR", "a RAW photo"),
    (b"FUJIFILMCCD-RAW", "a RAW photo"),
    (b"IIRO", "a RAW photo"),
    (b"IIRS", "a RAW photo"),
    (b"MMOR", "a RAW photo"),
    (b"IIU\0", "a RAW photo"),
    (b"FOVb", "a RAW photo"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\0\0\1\xba", "a video"),
    (b"\0\0\1\xb3", "a video"),
    (b"<svg", "an SVG drawing"),
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})


def recognise(head: bytes, tail: bytes, suffix: str) -> str:
    """Say what a file is by its content.

    Args:
        head: Its first ``HEAD_BYTES``, or all of it.
        tail: Its last ``TAIL_BYTES``.
        suffix: The ending of its name. It only counts for TGA of version 1, which carries no mark at all.

    Returns:
        The format as Pillow names it.

    Raises:
        MediaError: ``not-an-image``, or ``unsupported`` for what is an image or video of a kind that is not decoded.
    """
    for start, words in _FOREIGN:
        if head.startswith(start):
            raise MediaError(FailureReason.UNSUPPORTED, f"it is {words}, which is not decoded")
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    found = _in_container(head) or _weakly_marked(head) or _tga(head, tail, suffix)
    if found is None:
        raise MediaError(FailureReason.NOT_AN_IMAGE, "its content is not that of any known image format")
    return found


def _in_container(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return "WEBP"
        if head[8:12] == b"AVI ":
            raise MediaError(FailureReason.UNSUPPORTED, "it is a video, which is not decoded")
        return None
    if head[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[at : at + 4] for at in range(16, length - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIF"
    words = "a RAW photo" if head[8:11] == b"crx" else "a video"
    raise MediaError(FailureReason.UNSUPPORTED, f"it is {words}, which is not decoded")


def _weakly_marked(head: bytes) -> str | None:
    if head[:1] == b"P" and re.match(rb"P[1-6fF]\s", head):
        return "PPM"
    if head[4:6] not in {b"", b"\0\0"}:  # how many; none is how most TGA files begin
        kind = {b"\0\0\1\0": "ICO", b"\0\0\2\0": "CUR"}.get(head[:4])
        if kind is not None:
            return kind
    if len(head) > 128 and head[0] == 10 and head[1] in {0, 2, 3, 5} and head[2] in {0, 1}:
        return "PCX"
    if len(head) > 128 and head[4:6] in {b"\x11\xaf", b"\x12\xaf"}:
        return "FLI"
    if head[2048:2052] == b"PCD_":
        return "PCD"
    if re.match(rb"\s*#define[ \t]+\S+_width[ \t]+\d", head):
        return "XBM"
    return None


def _tga(head: bytes, tail: bytes, suffix: str) -> str | None:
    if len(head) < 18 or not (tail[8:24] == b"TRUEVISION-XFILE" or suffix.lower() in _SUFFIXES["TGA"]):
        return None
    plausible = head[1] in {0, 1} and head[2] in {1, 2, 3, 9, 10, 11} and head[16] in {1, 8, 15, 16, 24, 32}
    return "TGA" if plausible else None
