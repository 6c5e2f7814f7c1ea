"""Live Photos for tests: a picture and a film with the identifier that an iPhone writes into both."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from tests.support.pictures import write

KEY = b"com.apple.quicktime.content.identifier"


def maker_note(identifier: str) -> bytes:
    """Apple's maker note with the identifier alone."""
    value = identifier.encode() + b"\0"
    start = 16 + 12 + 4
    fields = struct.pack(">HHHII", 1, 0x0011, 2, len(value), start)
    return b"Apple iOS\0\0\1MM" + fields + bytes(4) + value


def photo(path: Path, image: Image.Image, identifier: str | None) -> Path:
    """Write a JPEG picture with a maker note."""
    exif = Image.Exif()
    if identifier is not None:
        exif.get_ifd(0x8769)[0x927C] = maker_note(identifier)
        exif[0x8769] = exif.get_ifd(0x8769)
    return write(path, image, exif=exif.tobytes())


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def film(identifier: str | None, content: bytes = b"frames") -> bytes:
    """A QuickTime film without pictures, with the identifier in its metadata."""
    keys = (b"com.apple.quicktime.make", KEY)
    named = b"".join(box(b"mdta", key) for key in keys)
    values = [b"Apple", (identifier or "").encode()]
    items = b"".join(
        box(struct.pack(">I", number), box(b"data", struct.pack(">II", 1, 0) + value))
        for number, value in enumerate(values, start=1)
        if value
    )
    metadata = box(b"keys", struct.pack(">II", 0, len(keys)) + named) + box(b"ilst", items)
    return (
        box(b"ftyp", b"qt  \0\0\0\0qt  ")
        + box(b"mdat", content)
        + box(b"moov", box(b"mvhd", bytes(20)) + box(b"meta", metadata))
    )


def write_film(path: Path, identifier: str | None, content: bytes = b"frames") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(film(identifier, content))
    return path
