"""Opens pictures of a known format, and estimates the memory that decoding them needs.

The format's own class in Pillow is used, not ``Image.open``: that replaces the cause of a failure by "cannot identify
image file", and loads five plug-ins at the start of each worker.
"""

from __future__ import annotations

import importlib
from typing import BinaryIO

from PIL import Image, JpegImagePlugin

from py_image_dedup.media.formats import RAW, format_named
from py_image_dedup.media.worker.jxl import open_jxl

_BITS_PER_SAMPLE = 258
"""The TIFF tag BitsPerSample."""
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Bytes per pixel of a Pillow picture by its mode; 4 for all others."""


class Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG file whose EXIF is not parsed while it is opened; Pillow would only take the resolution from it."""

    def getexif(self) -> Image.Exif:
        """Return no EXIF; ``media.worker.exif`` reads it without warnings."""
        return Image.Exif()

    @property
    def passes(self) -> bool:
        """Whether the file has several scans, so that libjpeg holds every coefficient until the last one is read."""
        if "progressive" in self.info:
            return True
        stream = self.fp
        if stream is None:
            return False
        place = stream.tell()
        length = 6 + 2 * 4  # the longest header of a scan, without its marker
        stream.seek(max(0, place - length - 2))
        header = stream.read(length + 2)
        stream.seek(place)
        return header[header.rfind(b"\xff\xda") + 4 :][:1] != bytes([self.layers])

    @property
    def coefficient_bytes(self) -> int:
        """Bytes of the coefficients that libjpeg holds of the whole picture; 0 for the usual file with one scan."""
        if not self.passes:
            return 0
        widest = max((h * v for _, h, v, _ in self.layer), default=1) or 1
        samples = sum(h * v for _, h, v, _ in self.layer) / widest
        return int(2 * samples * self.width * self.height)


def open_picture(stream: BinaryIO, kind: str) -> Image.Image:
    """Return a picture of which the header was read; its pixels are decoded by ``load``.

    Args:
        stream: The file, at its start; in use until the pixels are loaded.
        kind: Name of the format, as ``formats.recognise`` returned it; ``MPO`` to see further pictures of a JPEG file.

    Raises:
        Exception: Any exception of the format's plug-in; see ``limits.explain``.
    """
    if kind == "JPEG":
        return Jpeg(stream)
    if kind == "HEIF":
        # Not at the top: it loads a large library that few files need.
        from pillow_heif import HeifImageFile

        picture: Image.Image = HeifImageFile(stream)  # type: ignore[no-untyped-call]
        return picture
    if kind == "MPO":
        return _open_mpo(stream)
    if kind == "JXL":
        return open_jxl(stream)
    if kind == RAW:
        from py_image_dedup.media.worker.raw import open_raw_picture  # it needs an optional package

        return open_raw_picture(stream)
    importlib.import_module(f"PIL.{format_named(kind).plugin}ImagePlugin")
    return Image.OPEN[kind][0](stream, "")


def has_more_pictures(stream: BinaryIO) -> bool:
    """Return whether a JPEG file has further pictures behind the first, such as that of the other eye.

    Args:
        stream: The file, at its start, where it is left.
    """
    picture = Jpeg(stream)
    stream.seek(0)
    return "mp" in picture.info


def _open_mpo(stream: BinaryIO) -> Image.Image:
    """Open a JPEG file with further pictures; as an ordinary JPEG file if the table of its pictures is damaged."""
    from PIL import MpoImagePlugin  # like the other plug-ins, loaded when it is needed

    try:
        return MpoImagePlugin.MpoImageFile(stream)
    except (SyntaxError, OSError, ValueError):
        stream.seek(0)
        return Jpeg(stream)


def webp_size(head: bytes) -> tuple[int, int]:
    """Return the width and height of a WebP file (RFC 9649, sections 2.5 to 2.7).

    Args:
        head: Its first 30 bytes.

    Raises:
        SyntaxError: The header is not that of a WebP file; Pillow raises the same.
    """
    kind, data = head[12:16], head[20:30]
    if len(data) < 10 or kind not in {b"VP8X", b"VP8L", b"VP8 "}:
        raise SyntaxError("not a WebP header")
    if kind == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def webp_bytes(width: int, height: int) -> int:
    """Return the bytes that decoding a WebP file needs; its mode is not known before it is opened."""
    return (4 + format_named("WEBP").decoder_bytes) * width * height


def needed_bytes(picture: Image.Image, kind: str) -> int:
    """Return an estimate of the peak memory of decoding, in bytes; for JPEG after the scale was chosen.

    Args:
        picture: The picture, opened and not loaded.
        kind: Name of its format.
    """
    pixels = picture.width * picture.height
    own = _MODE_BYTES.get(picture.mode, 4)
    return pixels * (own if isinstance(picture, Jpeg) else own + format_named(kind).decoder_bytes)


def stored_bits(frame: Image.Image, kind: str) -> int:
    """Return the bits per colour of a stored picture.

    Args:
        frame: The picture, not loaded: ``load`` forgets the number.
        kind: Name of its format.
    """
    if kind == "TIFF":
        return max(int(bits) for bits in getattr(frame, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,)))
    if kind in {"HEIF", "JXL"}:
        return int(frame.info.get("bit_depth", 8))
    if kind == "JPEG2000":
        return _jpeg2000_bits(frame)
    stored = [str(tile[3]) for tile in getattr(frame, "tile", ())]
    if kind == "PPM":
        return 16 if any("65535" in words for words in stored) else 8
    return 16 if kind in {"PNG", "SGI"} and any("16" in words for words in stored) else 8


def _jpeg2000_bits(frame: Image.Image) -> int:
    stream = getattr(frame, "fp", None)
    if stream is None:
        return 8
    place = stream.tell()
    stream.seek(0)
    head = stream.read(1 << 16)
    stream.seek(place)
    at = head.find(b"\xff\x4f\xff\x51")  # SIZ, ISO 15444-1 A.5.1: the depth of the first component
    return (head[at + 42] & 127) + 1 if 0 <= at < len(head) - 42 else 8
