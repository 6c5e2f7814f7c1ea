"""RAW photos for tests: minimal DNG files, and the same content with the marks of other cameras' formats."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8}
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 10: "i"}
_UNIT = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)

Tags = dict[int, tuple[int, tuple[int, ...] | bytes]]
"""Fields by tag: the type of TIFF 6.0, and the values; two numbers for a rational one."""


def mosaic(image: Image.Image) -> np.ndarray:
    """The values of a sensor behind an RGGB filter that give about this picture: uint16, shape ``(height, width)``."""
    rgb = (np.asarray(image.convert("RGB"), dtype=np.float64) / 255) ** 2.2 * 4000
    values = rgb[:, :, 1].copy()
    values[0::2, 0::2] = rgb[0::2, 0::2, 0]
    values[1::2, 1::2] = rgb[1::2, 1::2, 2]
    return values.astype(np.uint16)


def dng(
    image: Image.Image,
    *,
    preview: Image.Image | None = None,
    orientation: int = 1,
    artist: bytes = b"",
    xmp: bytes = b"",
    magic: bytes = b"II*\0",
) -> bytes:
    """A DNG file.

    Args:
        image: What the sensor sees; sides that are multiples of 2.
        preview: The embedded JPEG picture; none by default.
        orientation: EXIF orientation.
        artist: A tag that says nothing of the picture.
        xmp: The XMP packet.
        magic: The first four bytes.
    """
    values = mosaic(image)
    sensor: Tags = {
        254: (4, (0,)),
        256: (4, (image.width,)),
        257: (4, (image.height,)),
        258: (3, (16,)),
        259: (3, (1,)),
        262: (3, (32803,)),
        277: (3, (1,)),
        278: (4, (image.height,)),
        284: (3, (1,)),
        33421: (3, (2, 2)),
        33422: (1, (0, 1, 1, 2)),
        50714: (3, (0,)),
        50717: (3, (4095,)),
    }
    main: Tags = {
        271: (2, b"Maker\0"),
        272: (2, b"Camera One\0"),
        274: (3, (orientation,)),
        50706: (1, (1, 4, 0, 0)),
        50708: (2, b"Camera One\0"),
        50721: (10, _UNIT),
        50728: (5, (1, 1, 1, 1, 1, 1)),
    }
    if artist:
        main[315] = (2, artist + b"\0")
    if xmp:
        main[700] = (1, xmp)
    pixels = values.tobytes()
    if preview is None:
        return _tiff(magic, [(main | sensor, pixels)])
    stream = io.BytesIO()
    preview.save(stream, "JPEG", quality=90)
    shown: Tags = {
        254: (4, (1,)),
        256: (4, (preview.width,)),
        257: (4, (preview.height,)),
        258: (3, (8, 8, 8)),
        259: (3, (7,)),
        262: (3, (6,)),
        277: (3, (3,)),
        278: (4, (preview.height,)),
        284: (3, (1,)),
    }
    return _tiff(magic, [(main | shown, stream.getvalue()), (sensor, pixels)])


def enlarged(content: bytes, sensor: tuple[int, int], size: tuple[int, int]) -> bytes:
    """A DNG file that states a larger sensor, whose values follow behind the file: the writer adds them.

    Args:
        content: A DNG file.
        sensor: Width and height of its sensor, which are those of nothing else in it.
        size: Width and height to state.
    """
    made = bytearray(content)
    lengths = made.find(struct.pack("<HHII", 279, 4, 1, 2 * sensor[0] * sensor[1]))
    fields = {256: size[0], 257: size[1], 273: len(made), 278: size[1], 279: 2 * size[0] * size[1]}
    for at in range(lengths - 10 * 12, lengths + 12, 12):
        (tag,) = struct.unpack_from("<H", made, at)
        if tag in fields:
            struct.pack_into("<HHII", made, at, tag, 4, 1, fields[tag])
    return bytes(made)


def _tiff(magic: bytes, directories: list[tuple[Tags, bytes]]) -> bytes:
    """A little-endian TIFF file; the directories after the first are its sub-directories."""
    out = bytearray(magic + struct.pack("<I", 8))
    starts: list[int] = []
    for number, (tags, pixels) in reversed(list(enumerate(directories))):
        out += b"\0" * (len(out) % 2)
        strip = len(out)
        out += pixels
        fields = dict(tags)
        fields[273], fields[279] = (4, (strip,)), (4, (len(pixels),))
        if number == 0 and starts:
            fields[330] = (4, tuple(starts))
        start = _directory(out, fields)
        if number:
            starts.insert(0, start)
        else:
            out[4:8] = struct.pack("<I", start)
    return bytes(out)


def _directory(out: bytearray, fields: Tags) -> int:
    entries = b""
    for tag, (kind, values) in sorted(fields.items()):
        data = bytes(values) if kind in {1, 2, 7} else struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        count = len(data) // _SIZES[kind]
        if len(data) > 4:
            out += b"\0" * (len(out) % 2)
            entries += struct.pack("<HHII", tag, kind, count, len(out))
            out += data
        else:
            entries += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    out += b"\0" * (len(out) % 2)
    start = len(out)
    out += struct.pack("<H", len(fields)) + entries + bytes(4)
    return start


def raf(content: bytes, preview: bytes) -> bytes:
    """A RAF file of Fujifilm around the content of a TIFF file.

    Args:
        content: The TIFF file with the sensor's values.
        preview: The JPEG picture.
    """
    head = bytearray(160)
    head[:16] = b"FUJIFILMCCD-RAW "
    head[16:28] = b"0201FF000000"
    head[28:60] = b"Camera One".ljust(32, b"\0")
    struct.pack_into(">II", head, 84, len(head), len(preview))
    struct.pack_into(">II", head, 92, 0, 0)
    struct.pack_into(">II", head, 100, len(head) + len(preview), len(content))
    return bytes(head) + preview + content


def write_dng(path: Path, content: bytes) -> Path:
    """Write a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
