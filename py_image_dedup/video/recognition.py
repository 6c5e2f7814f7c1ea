"""The containers of videos, recognised by their first bytes as those of photos are."""

from __future__ import annotations

from typing import Final

from py_image_dedup.media.formats import VIDEO_EXTRA, VIDEO_SUFFIXES

HEAD_BYTES: Final = 400
"""Bytes from the start of a file that recognition needs."""

_TS_PACKETS: Final = ((188, 0), (192, 4))
"""Length of a packet of an MPEG transport stream, and the place of its first byte, of broadcasts and of camcorders."""
_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"pnot"})
_PICTURE_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
_OTHER_BRANDS: Final = (*_PICTURE_BRANDS, b"crx ", b"M4A ", b"M4B ", b"jp2 ", b"jpx ", b"jxl ")


def readable_suffixes() -> frozenset[str]:
    """Return the file name endings of the videos that this installation reads: none without the extra ``video``."""
    return frozenset(VIDEO_SUFFIXES) if VIDEO_EXTRA.is_installed else frozenset()


def demuxer_of(head: bytes) -> str:
    """Return the name of FFmpeg's demuxer for a video; empty for any other file.

    The demuxer is chosen here and not by FFmpeg, whose guess includes play lists that lead to other files.

    Args:
        head: The first ``HEAD_BYTES`` bytes.
    """
    if head[4:8] in _BOXES and not (head[4:8] == b"ftyp" and head[8:12] in _OTHER_BRANDS):
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for length, place in _TS_PACKETS:
        if len(head) > place + length and head[place] == head[place + length] == 0x47:
            return "mpegts"
    return ""


def container_name(head: bytes) -> str:
    """Return the name of the container of a video, for reports; empty for any other file.

    Args:
        head: The first ``HEAD_BYTES`` bytes.
    """
    demuxer = demuxer_of(head)
    if demuxer == "mov":
        brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
        if brand == b"qt  ":
            return "MOV"
        return "3GP" if brand.startswith(b"3g") else "MP4"
    if demuxer == "matroska":
        return "WEBM" if b"webm" in head[:64] else "MKV"
    return {"avi": "AVI", "mpegts": "MTS"}.get(demuxer, "")
