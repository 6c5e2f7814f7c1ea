"""The identifier that an iPhone writes into both files of a Live Photo.

In the photo it is field 0x0011 of Apple's maker note, in the film the item ``com.apple.quicktime.content.identifier``
of its metadata (QuickTime File Format, "Metadata atoms"). Only the beginning of a photo and the boxes of a film are
read, and nothing is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from py_image_dedup.media.formats import FILM_SUFFIXES
from py_image_dedup.media.worker.maker_notes import apple_content_identifier

_PHOTO_BYTES: Final = 1 << 18
"""Bytes at the beginning of a photo in which the maker note is looked for."""
_MOST_FIELDS: Final = 500
_MOST_BOXES: Final = 1000
_LONGEST_METADATA: Final = 1 << 20
_KEY: Final = b"com.apple.quicktime.content.identifier"


def identifier_of(path: Path) -> str | None:
    """Return the identifier in a photo or a film; ``None`` if there is none, or if the file cannot be read.

    Args:
        path: The file; what it is follows from its name.
    """
    try:
        with path.open("rb") as stream:
            if path.suffix.lower() in FILM_SUFFIXES:
                return _of_film(stream)
            return apple_content_identifier(stream.read(_PHOTO_BYTES))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _of_film(stream: BinaryIO) -> str | None:
    """Read the metadata of a film: ``moov/meta`` with the names in ``keys`` and the values in ``ilst``."""
    for kind, start, end in _boxes(stream, 0, None):
        if kind == b"moov":
            for inner, inner_start, inner_end in _boxes(stream, start, end):
                if inner == b"meta" and inner_end - inner_start <= _LONGEST_METADATA:
                    stream.seek(inner_start)
                    return _of_metadata(stream.read(inner_end - inner_start))
    return None


def _boxes(stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes between two offsets: their kind, and the offsets of their content."""
    for _ in range(_MOST_BOXES):
        if end is not None and start + 8 > end:
            return
        stream.seek(start)
        head = stream.read(16)
        if len(head) < 8:
            return
        length, content = int.from_bytes(head[:4], "big"), 8
        if length == 1 and len(head) == 16:
            length, content = int.from_bytes(head[8:16], "big"), 16
        if length < content:
            return
        yield head[4:8], start + content, start + length
        start += length


def _of_metadata(metadata: bytes) -> str | None:
    keys = metadata.find(b"keys")
    values = metadata.find(b"ilst")
    if keys < 0 or values < 0:
        return None
    number = _number_of_key(metadata, keys + 4)
    at = values + 4
    end = values - 4 + int.from_bytes(metadata[values - 4 : values], "big")
    while number is not None and at + 8 <= min(end, len(metadata)):
        length, key = struct.unpack_from(">II", metadata, at)
        if length < 8:
            return None
        if key == number:  # a box "data": its length, kind, type and language before the value
            return _text(metadata[at + 24 : at + length])
        at += length
    return None


def _number_of_key(metadata: bytes, at: int) -> int | None:
    """Return the number of the identifier among the names of the items, from 1."""
    _, count = struct.unpack_from(">II", metadata, at)
    at += 8
    for number in range(1, min(count, _MOST_FIELDS) + 1):
        (length,) = struct.unpack_from(">I", metadata, at)
        if length < 8:
            return None
        if metadata[at + 8 : at + length] == _KEY:
            return number
        at += length
    return None


def _text(value: bytes) -> str | None:
    return value.split(b"\0", 1)[0].decode("ascii").strip() or None
