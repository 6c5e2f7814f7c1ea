"""What the maker notes of cameras state about bursts and Live Photos.

A maker note is a field of EXIF in a format of its own; most are a directory as in EXIF behind a header that names the
maker. Names and numbers of the fields are those of ExifTool's tables. Only values that stand in the directory itself
are read, and Apple's texts, whose offsets count from the beginning of the note.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

_APPLE: Final = b"Apple iOS\0\0\1"
_BURST_IDENTIFIER: Final = 0x000B
_CONTENT_IDENTIFIER: Final = 0x0011
_ASCII, _SHORT, _LONG = 2, 3, 4
_MOST_FIELDS: Final = 500
_LONGEST_TEXT: Final = 100


@dataclass(frozen=True, slots=True)
class _Maker:
    """How a maker numbers the shots of a series.

    Attributes:
        mark: First bytes of the note.
        directory: Offset of the directory; 0 if the four bytes behind the mark have it, little-endian.
        sequence: The field with the number of a shot, from 1; 0 for a single shot.
        little: Whether the note is little-endian whatever the file is.
    """

    mark: bytes
    directory: int
    sequence: int
    little: bool = False


_MAKERS: Final = (
    _Maker(b"SONY DSC \0\0\0", 12, 0xB04A),
    _Maker(b"SONY CAM \0\0\0", 12, 0xB04A),
    _Maker(b"FUJIFILM", 0, 0x1101, little=True),
    _Maker(b"Panasonic\0\0\0", 12, 0x002B),
)


def apple_burst(note: bytes) -> str | None:
    """Return the identifier that an iPhone writes into all shots of a burst; ``None`` without one.

    Args:
        note: The maker note, or bytes in which it may begin anywhere.
    """
    return _apple_text(note, _BURST_IDENTIFIER)


def apple_content_identifier(note: bytes) -> str | None:
    """Return the identifier that an iPhone writes into the photo and the film of a Live Photo; ``None`` without one.

    Args:
        note: The maker note, or bytes in which it may begin anywhere.
    """
    return _apple_text(note, _CONTENT_IDENTIFIER)


def sequence_number(note: bytes, order: str) -> int | None:
    """Return the number of a shot in its series, from 1; ``None`` for a single shot, or if the note has none.

    Args:
        note: The maker note.
        order: Byte order of the file, as in ``struct``: ``<`` or ``>``.
    """
    maker = next((each for each in _MAKERS if note.startswith(each.mark)), None)
    if maker is None:
        return None
    order = "<" if maker.little else order
    try:
        at = maker.directory or struct.unpack_from("<I", note, len(maker.mark))[0]
        (count,) = struct.unpack_from(f"{order}H", note, at)
        for place in range(min(count, _MOST_FIELDS)):
            tag, kind, length = struct.unpack_from(f"{order}HHI", note, at + 2 + 12 * place)
            if tag == maker.sequence and length == 1 and kind in {_SHORT, _LONG}:
                form = "H" if kind == _SHORT else "I"
                number = int(struct.unpack_from(f"{order}{form}", note, at + 10 + 12 * place)[0])
                return number if 0 < number < 0xFFFF else None
    except struct.error:
        return None  # the note ends within its directory
    return None


def _apple_text(content: bytes, wanted: int) -> str | None:
    start = content.find(_APPLE)
    order = {b"MM": ">", b"II": "<"}.get(content[start + 12 : start + 14]) if start >= 0 else None
    if order is None:
        return None
    note = content[start:]
    try:
        (count,) = struct.unpack_from(f"{order}H", note, 14)
        for place in range(min(count, _MOST_FIELDS)):
            tag, kind, length, value = struct.unpack_from(f"{order}HHII", note, 16 + 12 * place)
            if tag == wanted and kind == _ASCII:
                text = note[value : value + min(length, _LONGEST_TEXT)].split(b"\0", 1)[0]
                return text.decode("ascii").strip() or None
    except (struct.error, UnicodeDecodeError):
        return None  # damaged
    return None
