"""Reads EXIF leniently: damaged EXIF loses its facts, never the picture.

EXIF is a small TIFF file: directories of entries of 12 bytes (Exif 2.32, section 4.6). Pillow's reader interprets every
field and gives up a whole directory for one damaged field; this one reads only the fields that the index keeps, and
never raises.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from py_image_dedup.media.worker.maker_notes import apple_burst, sequence_number
from py_image_dedup.model.photo import ShotMarks

ReadAt: TypeAlias = Callable[[int, int], bytes]
"""``(offset, length) -> bytes``; the result is shorter or empty beyond the end."""

_Field: TypeAlias = tuple[int, int, bytes]
"""``(type, count, the four bytes of the value or of its offset)``."""

_EXIF_DIRECTORY, _GPS_DIRECTORY, _INTEROP_DIRECTORY = 0x8769, 0x8825, 0xA005
_POINTERS = frozenset({_EXIF_DIRECTORY, _GPS_DIRECTORY, _INTEROP_DIRECTORY, 0x014A})
_MAKE, _MODEL, _ORIENTATION = 0x010F, 0x0110, 0x0112
_TAKEN, _DIGITISED = 0x9003, 0x9004
_FRACTION = {_TAKEN: 0x9291, _DIGITISED: 0x9292}
"""SubSecTimeOriginal and SubSecTimeDigitized: decimals of the seconds, by which the frames of a burst differ."""
_EXPOSURE_TIME, _BIAS, _EXPOSURE_MODE, _MAKER_NOTE = 0x829A, 0x9204, 0xA402, 0x927C
_AUTO_BRACKET = 2
_LATITUDE, _LONGITUDE = 2, 4
_SHORT, _RATIONAL, _SIGNED_RATIONAL = 3, 5, 10
_LONGEST_NOTE = 16 << 10
"""Bytes of a maker note that are read; directories stand at its beginning."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MAX_ENTRIES = 1000

_LAYOUT = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292}
    | {293, 317, 320, 322, 323, 324, 325, 332, 333, 334, 336, 337, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517}
    | {518, 519, 520, 521, 529, 530, 531, 532, 34675}
)
"""Tags of the pixel layout of a TIFF file, which are not metadata of the photo."""

_EDITOR_STAMPS = frozenset({0x000B, 0x0131, 0x0132})
"""ProcessingSoftware, Software, DateTime: written by editors. They are not counted, so that an edited copy does not
appear to have more metadata than its original."""

_DEFAULTS = frozenset({0x011A, 0x011B, 0x0128, 0x0213})
"""Resolution and its unit, and the place of chroma, which programs write into any file and which tell nothing of it."""
_EXIF_DEFAULTS = frozenset({0x9000, 0x9101, 0xA000, 0xA001, 0xA002, 0xA003})
"""The same of the EXIF directory: versions, components, colour space, and the size that the picture has anyway."""

_DECIMALS = re.compile(rb"\d+")
_DATE = re.compile(rb"(\d{4})[:\-/.](\d{2})[:\-/.](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """The facts of an EXIF block, as far as it is readable.

    Attributes:
        fields: Number of tags in the main, EXIF and GPS directories that say something of the photo: without pointers
            between them, tags of the pixel layout, tags of editing programs, and what programs write into any file.
        orientation: Orientation, 1 to 8; 1 if missing or out of range.
        captured: ``DateTimeOriginal``, else ``DateTimeDigitized``, with fractions of a second where they are stored;
            never the time of an edit.
        camera: Maker and model; the maker is not repeated.
        has_gps: Whether latitude and longitude are stored as numbers.
        shot: What tells the shots of a burst or bracket apart.
    """

    fields: int = 0
    orientation: int = 1
    captured: datetime | None = None
    camera: str | None = None
    has_gps: bool = False
    shot: ShotMarks = field(default_factory=ShotMarks)


def read_exif(block: bytes) -> ExifFacts:
    """Return the facts of an EXIF block of a JPEG, PNG, WebP, HEIF or AVIF file; the prefix ``Exif`` is optional."""
    if block.startswith(b"Exif\0\0"):
        block = block[6:]
    return read_tiff(lambda offset, length: block[offset : offset + length])


def read_tiff(read: ReadAt) -> ExifFacts:
    """Return the EXIF facts of a TIFF file, of which the main directory is the first of the file itself."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(read(0, 4))
    if order is None:
        return ExifFacts()
    reader = _Reader(read, order)
    main = reader.directory(reader.number(read(4, 4)))
    exif = reader.directory(reader.pointer(main.get(_EXIF_DIRECTORY)))
    gps = reader.directory(reader.pointer(main.get(_GPS_DIRECTORY)))
    orientation = reader.orientation(main.get(_ORIENTATION))
    upright = frozenset({_ORIENTATION}) if orientation == 1 else frozenset()
    return ExifFacts(
        fields=len(exif.keys() - _POINTERS - _EXIF_DEFAULTS)
        + len(gps.keys() - _POINTERS)
        + len(main.keys() - _POINTERS - _LAYOUT - _EDITOR_STAMPS - _DEFAULTS - upright),
        orientation=orientation,
        captured=_moment(reader, exif, _TAKEN) or _moment(reader, exif, _DIGITISED),
        camera=_camera(_text(reader.value(main.get(_MAKE))), _text(reader.value(main.get(_MODEL)))),
        has_gps=reader.is_position(gps.get(_LATITUDE)) and reader.is_position(gps.get(_LONGITUDE)),
        shot=_shot(reader, exif),
    )


class _Reader:
    """Reads directories and values at offsets that may be wrong."""

    def __init__(self, read: ReadAt, order: str) -> None:
        self._read = read
        self.order = order
        self._seen: set[int] = set()

    def number(self, four: bytes) -> int:
        """Return four bytes as an offset; 0, which means none, if there are fewer."""
        return int(struct.unpack(self.order + "I", four)[0]) if len(four) == 4 else 0

    def pointer(self, field: _Field | None) -> int:
        """Return the offset that a field holds; 0 without a field."""
        return 0 if field is None else self.number(field[2])

    def directory(self, offset: int) -> dict[int, _Field]:
        """Return the fields of the directory at an offset by tag; none at 0, and for one that was read before."""
        if offset < 8 or offset in self._seen:
            return {}
        self._seen.add(offset)
        length = self._read(offset, 2)
        if len(length) < 2:
            return {}
        count = min(struct.unpack(self.order + "H", length)[0], _MAX_ENTRIES)
        block = self._read(offset + 2, 12 * count)
        fields = struct.iter_unpack(self.order + "HHI4s", block[: len(block) // 12 * 12])
        return {tag: (kind, many, value) for tag, kind, many, value in fields if kind in _SIZES}

    def value(self, field: _Field | None, longest: int = 256) -> bytes:
        """Return the bytes of a value, at most as many as given."""
        if field is None:
            return b""
        kind, count, inline = field
        size = count * _SIZES[kind]
        return inline[:size] if size <= 4 else self._read(self.number(inline), min(size, longest))

    def short(self, field: _Field | None) -> int | None:
        """Return a number of two bytes; ``None`` for any other value."""
        if field is None or field[0] != _SHORT:
            return None
        return int(struct.unpack(self.order + "H2x", field[2])[0])

    def ratio(self, field: _Field | None) -> float | None:
        """Return the quotient that a field holds; ``None`` if it holds none, or a denominator of 0."""
        form = {_RATIONAL: "2I", _SIGNED_RATIONAL: "2i"}.get(field[0]) if field else None
        value = self.value(field)
        if form is None or len(value) != 8:
            return None
        over, under = struct.unpack(self.order + form, value)
        return over / under if under else None

    def orientation(self, field: _Field | None) -> int:
        """Return the value of the orientation tag; 1 if it is invalid."""
        if field is None:
            return 1
        kind, _, value = field
        found = int(struct.unpack(self.order + ("H2x" if kind == _SHORT else "I"), value)[0])
        return found if 1 <= found <= 8 else 1

    def is_position(self, field: _Field | None) -> bool:
        """Return whether a field holds degrees, minutes and seconds; phones without a GPS fix write 0/0."""
        value = self.value(field)
        return len(value) == 24 and all(struct.unpack(self.order + "6I", value)[1::2])


def _shot(reader: _Reader, exif: dict[int, _Field]) -> ShotMarks:
    seconds = reader.ratio(exif.get(_EXPOSURE_TIME))
    note = reader.value(exif.get(_MAKER_NOTE), _LONGEST_NOTE)
    return ShotMarks(
        exposure_seconds=seconds or None,
        bias=reader.ratio(exif.get(_BIAS)),
        is_bracketed=reader.short(exif.get(_EXPOSURE_MODE)) == _AUTO_BRACKET,
        sequence=sequence_number(note, reader.order),
        burst=apple_burst(note),
    )


def _moment(reader: _Reader, exif: dict[int, _Field], tag: int) -> datetime | None:
    moment = _date(reader.value(exif.get(tag)))
    decimals = _DECIMALS.match(reader.value(exif.get(_FRACTION[tag])))
    if moment is None or decimals is None:
        return moment
    return moment.replace(microsecond=int(decimals[0][:6].ljust(6, b"0")))


def _date(value: bytes) -> datetime | None:
    found = _DATE.match(value)
    if found is None:
        return None
    try:
        return datetime(*(int(part) for part in found.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - camera time
    except ValueError:
        return None


def _text(value: bytes) -> str:
    words = value.split(b"\0", 1)[0].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())


def _camera(make: str, model: str) -> str | None:
    if model.lower().startswith(make.lower()):
        return model or None
    return f"{make} {model}".strip()
