"""What is embedded in a file beside its picture: a gain map, a depth map, the film of a motion photo, a second eye.

Nothing is decoded: metadata say what there is, or the first bytes of an appended film.
"""

from __future__ import annotations

import struct
from io import SEEK_END
from typing import Any, BinaryIO, Final

from PIL import Image

_HEAD: Final = 1 << 20
"""Bytes at the beginning of a file in which its boxes and metadata are looked for; also the length of one read."""
_TAIL: Final = 64 << 10
"""Bytes at the end, where some telephones list what they have appended."""
_LONGEST_SEGMENT: Final = 64 << 10
_MOST_SEGMENTS: Final = 500
_MOST_PICTURES: Final = 8
"""Pictures behind the first one of a JPEG file whose metadata are read."""

_MARKS: Final = {
    "gain map": (b"hdrgm:Version", b"urn:com:apple:photo:2020:aux:hdrgainmap", b"HDRGainMap",
                 b"urn:iso:std:iso:ts:21496"),
    "depth map": (b"GDepth:", b"urn:com:apple:photo:2018:aux:depth", b"apdi:DepthData", b"AuxiliaryImageType>depth",
                  b'Item:Semantic="Depth"', b'Semantic="Depth"', b"urn:mpeg:hevc:2015:auxid:2"),
    "film": (b'MotionPhoto="1"', b'MicroVideo="1"', b"MotionPhoto>1", b"MicroVideo>1", b"MotionPhoto_Data"),
}  # fmt: skip
_FILM_BRANDS: Final = frozenset(
    {b"ftypmp41", b"ftypmp42", b"ftypisom", b"ftypiso2", b"ftypqt  ", b"ftypMSNV", b"ftypavc1"}
)


def embedded_beside(picture: Image.Image, stream: BinaryIO, kind: str, behind: int = 0) -> frozenset[str]:
    """Return the names of what is embedded in a file beside its picture.

    Reads metadata by seeking, and never holds more than a few megabytes.

    Args:
        picture: The picture in the file, opened.
        stream: The file; its position is not changed.
        kind: Name of its format; ``JPEG`` and ``MPO`` give the same answer.
        behind: Offset of the first byte behind the picture of a JPEG file, if it is known; 0 otherwise. What was
            appended, such as a film that the metadata do not speak of, is looked for there only.
    """
    place = stream.tell()
    size = stream.seek(0, SEEK_END)
    xmp = picture.info.get("xmp")
    parts = [xmp if isinstance(xmp, bytes) else b""]
    is_jpeg = kind in {"JPEG", "MPO"}
    further = _further_pictures(picture) if is_jpeg else []
    if is_jpeg:
        parts.append(_segments(stream, 0))
        base = int(picture.info.get("mpoffset", 0))
        starts = [base + int(entry.get("DataOffset", 0)) for entry in further[:_MOST_PICTURES]]
        parts.extend(_segments(stream, start) for start in starts)
    else:
        stream.seek(0)
        parts.append(stream.read(_HEAD))
    stream.seek(max(behind, size - _TAIL))
    parts.append(stream.read(_TAIL))
    content = b"\0".join(parts)
    found = {name for name, marks in _MARKS.items() if any(mark in content for mark in marks)}
    if is_jpeg and "film" not in found and _has_film(stream, behind):
        found.add("film")
    if "gain map" not in found and any(_is_no_thumbnail(entry) for entry in further):
        found.add("second eye")
    stream.seek(place)
    return frozenset(found)


def _further_pictures(picture: Image.Image) -> list[dict[str, Any]]:
    """Return the entries of the pictures behind the first one of a JPEG file (CIPA DC-007)."""
    table = getattr(picture, "mpinfo", None)
    if table is None and "mp" in picture.info:
        try:
            table = picture._getmp()  # type: ignore[attr-defined]  # noqa: SLF001 - Pillow has no public name for it
        except (SyntaxError, ValueError, KeyError, TypeError, OSError, OverflowError, struct.error):
            table = None  # a damaged table loses its facts, never the picture
    return list((table or {}).get(0xB002, ())[1:])


def _is_no_thumbnail(entry: dict[str, Any]) -> bool:
    """Whether a further picture is one for the other eye, or another view."""
    return "Thumbnail" not in str(entry.get("Attribute", {}).get("MPType", ""))


def _segments(stream: BinaryIO, start: int) -> bytes:
    """Return the application segments of the JPEG picture at an offset, without a preview's pixels behind them."""
    stream.seek(start)
    if stream.read(2) != b"\xff\xd8":
        return b""
    found: list[bytes] = []
    total = 0
    for _ in range(_MOST_SEGMENTS):
        head = stream.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            break
        length = int.from_bytes(head[2:], "big") - 2
        if length < 0:
            break
        if 0xE1 <= head[1] <= 0xEF and total < _HEAD:
            found.append(stream.read(min(length, _LONGEST_SEGMENT)))
            total += length
        else:
            stream.seek(length, 1)
    return b"\0".join(found)


def _has_film(stream: BinaryIO, start: int) -> bool:
    """Whether a film is appended that the metadata do not speak of; reads the file piece by piece."""
    stream.seek(start)
    last = b""
    while piece := stream.read(_HEAD):
        piece = last + piece
        at = piece.find(b"ftyp")
        while at >= 0:
            if piece[at : at + 8] in _FILM_BRANDS:
                return True
            at = piece.find(b"ftyp", at + 1)
        last = piece[-7:]
    return False
