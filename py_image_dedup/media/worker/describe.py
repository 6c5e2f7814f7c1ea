"""Reads the descriptive metadata of a picture: title, keywords, rating, people, place and time.

EXIF and IPTC fields become the XMP properties that the guidelines of the Metadata Working Group map them to; the XMP
packet is returned as it is. No pixels are decoded, except where a format may have metadata behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Final, TypeAlias

from PIL import Image, IptcImagePlugin

from py_image_dedup.media.formats import RAW, format_named
from py_image_dedup.media.limits import Limits, MediaError, Reserve
from py_image_dedup.media.worker.open import needed_bytes, open_picture
from py_image_dedup.media.worker.protocol import Message
from py_image_dedup.model.failure import FailureReason

Values: TypeAlias = dict[str, tuple[str, ...]]
"""Values by the name of the XMP property, such as ``dc:subject``."""

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_ORIENTATION: Final = 0x0112
_TAKEN, _TAKEN_FRACTION, _TAKEN_OFFSET, _COMMENT = 0x9003, 0x9291, 0x9011, 0x9286

_LONGEST_XMP: Final = 16 << 20

_WIDE: Final = {0x9C9B: "dc:title", 0x9C9E: "dc:subject", 0x9C9D: "dc:creator"}
"""Fields of Windows, in UTF-16; several values are separated by semicolons."""
_PLAIN: Final = {0x010E: "dc:description", 0x013B: "dc:creator", 0x8298: "dc:rights"}
"""ImageDescription, Artist and Copyright."""
_RATING: Final = 0x4746
_IPTC: Final = {
    (2, 5): "dc:title",
    (2, 25): "dc:subject",
    (2, 80): "dc:creator",
    (2, 90): "photoshop:City",
    (2, 92): "Iptc4xmpCore:Location",
    (2, 95): "photoshop:State",
    (2, 101): "photoshop:Country",
    (2, 105): "photoshop:Headline",
    (2, 116): "dc:rights",
    (2, 120): "dc:description",
}
"""Datasets of IPTC-IIM 4.2 by record and number."""
_CAMERA_TEXTS: Final = frozenset({"OLYMPUS DIGITAL CAMERA", "SONY DSC", "MINOLTA DIGITAL CAMERA", "DCIM"})
"""Descriptions that cameras write into every photo."""


def describe(stream: BinaryIO, kind: str, limits: Limits, reserve: Reserve) -> tuple[Message, bytes]:
    """Return the metadata of a picture: ``orientation`` and ``properties`` in the message, the XMP packet as the body.

    Args:
        stream: The file, at its start.
        kind: Name of its format.
        limits: Cost limits of one file.
        reserve: Reserves the memory that decoding needs.

    Raises:
        MediaError: ``unsupported`` for a RAW photo, whose maker keeps metadata in ways of his own.
        Exception: Whatever the format's plug-in raises for a damaged file; see ``limits.explain``.
    """
    if kind == RAW:
        raise MediaError(FailureReason.UNSUPPORTED, "the metadata of RAW photos are not read")
    with open_picture(stream, kind) as picture:
        if format_named(kind).late_exif:
            limits.check_size(*picture.size)
            reserve(needed_bytes(picture, kind))
            picture.load()
        exif = _exif_of(picture, kind)
        found: Values = {}
        for each in (_of_iptc(picture), _of_exif(exif), _of_gps(exif.get_ifd(_GPS_DIRECTORY))):
            for name, values in each.items():
                found.setdefault(name, values)
        packet = _packet(picture)
        width, height = picture.size
    orientation = exif.get(_ORIENTATION, 1)
    message: Message = {
        "orientation": orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        "size": [width, height],
        "properties": {name: list(values) for name, values in found.items()},
    }
    return message, packet


def _exif_of(picture: Image.Image, kind: str) -> Image.Exif:
    if kind == "TIFF":
        return picture.getexif()
    exif = Image.Exif()
    block = picture.info.get("exif")
    raw = picture.info.get("Raw profile type exif")
    if not isinstance(block, bytes) and isinstance(raw, str):  # as ImageMagick writes it into a PNG
        block = bytes.fromhex("".join(raw.split("\n")[3:]))
    if isinstance(block, bytes):
        exif.load(block)
    return exif


def _packet(picture: Image.Image) -> bytes:
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    packet = packet.encode() if isinstance(packet, str) else packet
    if not isinstance(packet, bytes):
        return b""
    if len(packet) > _LONGEST_XMP:
        raise MediaError(FailureReason.TOO_LARGE, f"its XMP has {len(packet) / 2**20:,.0f} MiB")
    return packet


def _of_exif(exif: Image.Exif) -> Values:
    found: Values = {}
    for tag, name in _WIDE.items():
        value = exif.get(tag)
        if isinstance(value, tuple):
            value = bytes(value)
        if isinstance(value, bytes):
            _add(found, name, value.decode("utf-16-le", "replace").rstrip("\0").split(";"))
    for tag, name in _PLAIN.items():
        value = exif.get(tag)
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(text, str) and text.strip("\0 ") not in _CAMERA_TEXTS:
            _add(found, name, text.split(";") if name == "dc:creator" else text.split("\0")[:1])
    rating = exif.get(_RATING)
    if isinstance(rating, int) and 1 <= rating <= 5:
        _add(found, "xmp:Rating", [str(rating)])
    inner = exif.get_ifd(_EXIF_DIRECTORY)
    _add(found, "exif:DateTimeOriginal", _moment(inner))
    _add(found, "exif:UserComment", _comment(inner.get(_COMMENT)))
    return found


def _add(found: Values, name: str, values: Iterable[str]) -> None:
    """Add a property unless it has no text, or is known from another field."""
    texts = tuple(dict.fromkeys(text for value in values if (text := _clean(value))))
    if texts:
        found.setdefault(name, texts)


def _clean(value: str) -> str:
    """Return a text without control characters, which XML cannot hold."""
    lines = value.strip("\0 \t\r\n").replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in lines).strip()


def _moment(fields: Mapping[int, Any]) -> list[str]:
    """Return DateTimeOriginal as XMP writes it: ``2024-05-06T07:08:09.25+02:00``."""
    value = fields.get(_TAKEN)
    if not isinstance(value, str) or len(value) < 19 or not value[:4].isdigit() or value.startswith("0000"):
        return []
    fraction = str(fields.get(_TAKEN_FRACTION, "")).strip("\0 ")
    offset = str(fields.get(_TAKEN_OFFSET, "")).strip("\0 ")
    text = f"{value[:10].replace(':', '-')}T{value[11:19]}"
    text += f".{fraction}" if fraction.isdigit() else ""
    return [text + (offset if len(offset) == 6 and offset[0] in "+-" else "")]


_ENCODINGS: Final = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16"}


def _comment(value: object) -> list[str]:
    """Return UserComment, whose first eight bytes name its encoding."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, bytes) or value[:8] not in _ENCODINGS:
        return []
    return [value[8:].decode(_ENCODINGS[value[:8]], "replace").rstrip("\0")]


_LATITUDE, _LONGITUDE, _ALTITUDE = 2, 4, 6


def _of_gps(gps: Mapping[int, Any]) -> Values:
    """Return the position as XMP writes it: ``52,31.2345N``, and the altitude in metres as a fraction."""
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_LATITUDE - 1), "NS")
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_LONGITUDE - 1), "EW")
    if latitude is None or longitude is None:
        return {}
    found: Values = {"exif:GPSLatitude": (latitude,), "exif:GPSLongitude": (longitude,)}
    altitude = _number(gps.get(_ALTITUDE))
    if altitude is not None:
        below = gps.get(_ALTITUDE - 1)
        found["exif:GPSAltitude"] = (f"{round(altitude * 1000)}/1000",)
        found["exif:GPSAltitudeRef"] = ("1" if below in (1, b"\1") else "0",)
    return found


def _degrees(value: object, side: object, sides: str) -> str | None:
    if not isinstance(value, tuple) or len(value) != 3 or not isinstance(side, str) or side[:1] not in sides:
        return None
    parts = [_number(each) for each in value]
    if any(part is None for part in parts):
        return None  # phones without a fix write 0/0
    degrees, minutes, seconds = (part or 0.0 for part in parts)
    total = degrees * 60 + minutes + seconds / 60
    return f"{int(total // 60)},{total % 60:.6f}{side[:1]}"


def _number(value: object) -> float | None:
    convert: Callable[[Any], float] = float
    try:
        number = convert(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if number == number and abs(number) < 1e9 else None


def _of_iptc(picture: Image.Image) -> Values:
    found = IptcImagePlugin.getiptcinfo(picture) if hasattr(picture, "tile") else None  # type: ignore[arg-type]
    if not found:
        return {}
    is_utf8 = found.get((1, 90)) == b"\x1b%G"
    values: Values = {}
    for key, name in _IPTC.items():
        raw = found.get(key, ())
        _add(values, name, [_decoded(each, is_utf8=is_utf8) for each in ((raw,) if isinstance(raw, bytes) else raw)])
    return values


def _decoded(raw: bytes, *, is_utf8: bool) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8" if is_utf8 else "latin-1", "replace")
