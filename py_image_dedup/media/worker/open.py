"""Opening a picture of a known format without touching any state that Pillow shares between its users.

``Image.open`` compares the size with the process-wide ``Image.MAX_IMAGE_PIXELS`` and warns or raises; the program that
uses this package may have set it for reasons of its own. The formats' own classes know nothing of it.
"""

from __future__ import annotations

import importlib
from typing import BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin

_PLUGINS = {
    "AVIF": "Avif",
    "BLP": "Blp",
    "BMP": "Bmp",
    "CUR": "Cur",
    "DCX": "Dcx",
    "DDS": "Dds",
    "FLI": "Fli",
    "GIF": "Gif",
    "ICNS": "Icns",
    "ICO": "Ico",
    "JPEG2000": "Jpeg2K",
    "MSP": "Msp",
    "PCD": "Pcd",
    "PCX": "Pcx",
    "PPM": "Ppm",
    "PSD": "Psd",
    "QOI": "Qoi",
    "SGI": "Sgi",
    "SUN": "Sun",
    "TGA": "Tga",
    "TIFF": "Tiff",
    "WEBP": "WebP",
    "XBM": "Xbm",
    "XPM": "Xpm",
}

_EXTRA_BYTES = {"AVIF": 6, "HEIF": 6, "JPEG2000": 18, "PNG": 0}
"""What a decoder holds per pixel besides Pillow's picture (4 for all others), from measured peaks at 20 megapixels."""
WEBP_BYTES = 18
"""What a WebP file needs per pixel: two canvases, a copy, and Pillow's picture."""
_BITS_PER_SAMPLE = 258
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}


class Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG file whose EXIF Pillow leaves alone while it opens it: only for a resolution in dots per inch."""

    def getexif(self) -> Image.Exif:
        """Return no EXIF; ``media.exif`` reads it without warnings."""
        return Image.Exif()

    @property
    def passes(self) -> bool:
        """Whether it is stored in several scans, so that libjpeg holds every coefficient until the last one is in."""
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
        """What libjpeg holds of the whole picture: nothing for the usual one-scan file."""
        if not self.passes:
            return 0
        widest = max((h * v for _, h, v, _ in self.layer), default=1) or 1
        samples = sum(h * v for _, h, v, _ in self.layer) / widest
        return int(2 * samples * self.width * self.height)


def open_picture(stream: BinaryIO, kind: str) -> Image.Image:
    """Read the header of a picture; its pixels are decoded by ``load``.

    Args:
        stream: At its beginning; stays in use until the pixels are loaded.
        kind: What ``formats.recognise`` said; ``MPO`` for a JPEG file whose further pictures are wanted too.

    Raises:
        Exception: Whatever the format's plugin raises; ``errors.explain`` knows what it means.
    """
    if kind == "JPEG":
        return Jpeg(stream)
    if kind == "PNG":
        return PngImagePlugin.PngImageFile(stream)
    if kind == "HEIF":
        # Not at the top: it loads a large library that few files need.
        from pillow_heif import HeifImageFile

        picture: Image.Image = HeifImageFile(stream)  # type: ignore[no-untyped-call]
        return picture
    if kind == "MPO":
        return _open_several(stream)
    importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    return Image.OPEN[kind][0](stream, "")


def has_more_pictures(stream: BinaryIO) -> bool:
    """Whether a JPEG file has further pictures behind the first, as of the other eye; the stream stays at its start."""
    picture = Jpeg(stream)
    stream.seek(0)
    return "mp" in picture.info


def _open_several(stream: BinaryIO) -> Image.Image:
    """Open a JPEG file with more pictures behind the first; as a plain one if its table of pictures is wrong."""
    from PIL import MpoImagePlugin  # like the other plugins, loaded when it is needed

    try:
        return MpoImagePlugin.MpoImageFile(stream)
    except (SyntaxError, OSError, ValueError):
        stream.seek(0)
        return Jpeg(stream)


def webp_size(head: bytes) -> tuple[int, int]:
    """Return the canvas of a WebP file from its first 30 bytes (RFC 9649, sections 2.5 to 2.7).

    Raises:
        SyntaxError: There is none, as Pillow would say it.
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


def needed_bytes(picture: Image.Image, kind: str) -> int:
    """Estimate what decoding takes at its peak; for JPEG after the scale was chosen.

    Args:
        picture: Opened and not loaded.
        kind: Its format.
    """
    pixels = picture.width * picture.height
    if isinstance(picture, Jpeg):
        return pixels * _MODE_BYTES.get(picture.mode, 4)
    return pixels * (_MODE_BYTES.get(picture.mode, 4) + _EXTRA_BYTES.get(kind, 4))


def stored_bits(frame: Image.Image, kind: str) -> int:
    """Return the bits per colour that a picture is stored with; only before ``load``, which forgets them."""
    if kind == "TIFF":
        return max(int(bits) for bits in getattr(frame, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,)))
    if kind == "HEIF":
        return int(frame.info.get("bit_depth", 8))
    if kind == "JPEG2000":
        stream = getattr(frame, "fp", None)
        if stream is None:
            return 8
        place = stream.tell()
        stream.seek(0)
        head = stream.read(1 << 16)
        stream.seek(place)
        at = head.find(b"\xff\x4f\xff\x51")  # SIZ, ISO 15444-1 A.5.1: the depth of the first component
        return (head[at + 42] & 127) + 1 if 0 <= at < len(head) - 42 else 8
    stored = [str(tile[3]) for tile in getattr(frame, "tile", ())]
    if kind == "PPM":
        return 16 if any("65535" in words for words in stored) else 8
    return 16 if kind in {"PNG", "SGI"} and any("16" in words for words in stored) else 8
