"""The image data digest shows that two files have the same pixels without decoding either of them.

It covers the compressed image data and everything else that determines the pixels and their display: tables, palettes,
transparency, animation, colour space and orientation. Other metadata does not count, and neither do bytes behind the
picture. Files with equal digests have equal pixels; files with equal pixels may have different digests, and a file
whose structure is damaged or not understood has none.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final, TypeAlias

from blake3 import blake3
from PIL import Image

from py_image_dedup.media.worker.decode import orientation_of
from py_image_dedup.media.worker.open import open_picture, webp_size
from py_image_dedup.media.worker.pixel_digest import colour_space

_CONTEXT = b"py-image-dedup image data 1\n"
_CHUNK = 1 << 18
_MOST_SEGMENTS = 100_000
"""Segments of a file that are read; a file with more has no digest."""


def image_data_digest(stream: BinaryIO, picture: Image.Image, kind: str) -> bytes | None:
    """Return the image data digest of a file, 32 bytes; none if there is none.

    Args:
        stream: The file; its position is changed.
        picture: The picture in it, decoded.
        kind: Name of its format.
    """
    digest_structure = _STRUCTURES.get(kind)
    if digest_structure is None:
        return None
    items = _Items()
    stream.seek(0)
    try:
        digest_structure(stream, items)
        if kind == "JPEG" and "mp" in picture.info:
            _add_further_pictures(stream, items, picture.info.get("mpoffset"))
    except (_NotUnderstoodError, struct.error, EOFError, OverflowError):
        return None
    # HEIF's own boxes rotate it, and count there; the tag is only compared in case that they are not there.
    orientation = (orientation_of(picture, kind), picture.info.get("original_orientation"))
    items.add(b"show", f"{kind} {orientation} ".encode() + colour_space(picture.info))
    return items.digest()


class _NotUnderstoodError(Exception):
    """The structure of a file is damaged, or of a kind whose effect on the pixels is unknown."""


class _Items:
    """Digests a sequence of named items; different sequences have different digests.

    An item is followed by its name and length. Read from the end, the sequence is therefore unambiguous, and items can
    be digested before their length is known.
    """

    def __init__(self) -> None:
        self._hasher = blake3(_CONTEXT)
        self._length = 0

    def extend(self, data: bytes) -> None:
        """Add bytes to the current item."""
        self._hasher.update(data)
        self._length += len(data)

    def end(self, name: bytes) -> None:
        """End the current item."""
        self._hasher.update(struct.pack(">4sQ", name, self._length))
        self._length = 0

    def add(self, name: bytes, data: bytes) -> None:
        """Add a whole item."""
        self.extend(data)
        self.end(name)

    def copy(self, stream: BinaryIO, length: int) -> None:
        """Add bytes of a file to the current item.

        Raises:
            EOFError: The file ends before.
        """
        while length > 0:
            data = _exactly(stream, min(length, _CHUNK))
            self.extend(data)
            length -= len(data)

    def digest(self) -> bytes:
        """Return the digest of all items, 32 bytes."""
        return self._hasher.digest()


_Structure: TypeAlias = Callable[[BinaryIO, _Items], None]
"""Adds what determines the pixels of a file at its start; raises ``_NotUnderstoodError`` or ``EOFError``."""

# JPEG (ITU-T T.81, annex B)

_SOI, _EOI, _SOS, _APP0, _APP14, _APP15, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xEF, 0xFE
_TABLES = frozenset({*range(0xC0, 0xC8), *range(0xC9, 0xD0), _SOS, 0xDB, 0xDC, 0xDD})
"""Headers of frames and scans, Huffman, arithmetic and quantisation tables, number of lines, restart interval."""
_SCAN = b"scan"
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""The end of a scan: neither a stuffed 0xFF nor a restart marker. A fill byte is part of the following marker."""


def _jpeg(stream: BinaryIO, items: _Items) -> None:
    if stream.read(2) != bytes([0xFF, _SOI]):
        raise _NotUnderstoodError
    for _ in range(_MOST_SEGMENTS):
        marker = _next_marker(stream)
        if marker == _EOI:
            items.end(b"EOI ")
            return
        length = int.from_bytes(_exactly(stream, 2), "big") - 2
        if length < 0:
            raise _NotUnderstoodError
        if marker in _TABLES:
            items.copy(stream, length)
            items.end(bytes([0xFF, marker]))
            if marker == _SOS:
                _copy_scan(stream, items)
        elif _APP0 <= marker <= _APP15 or marker == _COM:
            segment = _exactly(stream, length)
            # What libjpeg deduces the colour transform from, as far as it looks at it.
            if marker == _APP0 and segment.startswith(b"JFIF\0") and length >= 14:
                items.end(b"JFIF")
            elif marker == _APP14 and segment.startswith(b"Adobe") and length >= 12:
                items.add(b"Adob", segment[11:12])
        else:
            raise _NotUnderstoodError
    raise _NotUnderstoodError


def _next_marker(stream: BinaryIO) -> int:
    if _exactly(stream, 1) != b"\xff":
        raise _NotUnderstoodError
    while (marker := _exactly(stream, 1)) == b"\xff":
        pass
    return marker[0]


def _copy_scan(stream: BinaryIO, items: _Items) -> None:
    """Add the entropy-coded data, restart markers included; leave the stream at the marker behind it."""
    while True:
        data = stream.read(_CHUNK)
        if len(data) < 2:
            raise EOFError
        found = _MARKER.search(data)
        if found is not None:
            items.extend(data[: found.start()])
            items.end(_SCAN)
            stream.seek(found.start() - len(data), os.SEEK_CUR)
            return
        if data.endswith(b"\xff"):
            data = data[:-1]
            stream.seek(-1, os.SEEK_CUR)
        items.extend(data)


def _add_further_pictures(stream: BinaryIO, items: _Items, base: object) -> None:
    """Add all bytes behind the first picture, and where in them further pictures begin (CIPA DC-007)."""
    end = stream.tell()
    stream.seek(0)
    with open_picture(stream, "MPO") as several:
        entries = (getattr(several, "mpinfo", None) or {}).get(0xB002, ())
    # Their offsets count from the table, which moves with the metadata before it.
    starts = [int(entry["DataOffset"]) + base - end for entry in entries[1:]] if isinstance(base, int) else []
    if not starts or min(starts) < 0:
        raise _NotUnderstoodError
    items.add(b"MPF ", struct.pack(f">{len(starts)}q", *starts))
    stream.seek(end)
    while data := stream.read(_CHUNK):
        items.extend(data)
    items.end(b"more")


# PNG (third edition, W3C 2025)

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_IGNORED = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"iCCP"})
"""Metadata, and the chunks of the colour space, which ``colour_space`` sums up. All others count, also unknown ones."""


def _png(stream: BinaryIO, items: _Items) -> None:
    if stream.read(8) != _PNG_START:
        raise _NotUnderstoodError
    previous = b""
    data_ended = False
    for _ in range(_MOST_SEGMENTS):
        length, name = struct.unpack(">I4s", _exactly(stream, 8))
        if previous == b"IDAT" != name:
            items.end(previous)  # however it is cut into chunks
            data_ended = True
        if name == b"IDAT":
            if data_ended:
                raise _NotUnderstoodError
            items.copy(stream, length)
        elif name in _PNG_IGNORED:
            _skip(stream, length)
        else:
            items.copy(stream, length)
            items.end(name)
        _exactly(stream, 4)  # the checksum
        if name == b"IEND":
            return
        previous = name
    raise _NotUnderstoodError


# WebP (RFC 9649)

_WEBP_IGNORED = frozenset({b"EXIF", b"XMP ", b"ICCP"})
_WEBP_ALPHA, _WEBP_ANIMATION = 0x10, 0x02


def _webp(stream: BinaryIO, items: _Items) -> None:
    head = _exactly(stream, 30)
    try:
        width, height = webp_size(head)
    except SyntaxError as error:
        raise _NotUnderstoodError from error
    # A file to which metadata is added gets a header of its own, whose flags say so: only the others count.
    kind, flags = head[12:16], 0
    if kind == b"VP8X":
        flags = head[20] & (_WEBP_ALPHA | _WEBP_ANIMATION)
    elif kind == b"VP8L":
        flags = head[24] & _WEBP_ALPHA  # the bit has the same value here
    items.add(b"size", struct.pack(">IIB", width, height, flags))
    end = 8 + int.from_bytes(head[4:8], "little")
    stream.seek(12)
    for _ in range(_MOST_SEGMENTS):
        if stream.tell() >= end - 1:
            return
        name, length = struct.unpack("<4sI", _exactly(stream, 8))
        if stream.tell() + length > end:
            raise _NotUnderstoodError
        if name in _WEBP_IGNORED or (name == b"VP8X" and stream.tell() == 20):
            _skip(stream, length)
        else:
            items.copy(stream, length)
            items.end(name)
        if length % 2 and stream.tell() < end:
            _exactly(stream, 1)
    raise _NotUnderstoodError


# HEIF and AVIF (ISO 14496-12, ISO 23008-12)

_LARGEST_META = 16 << 20
"""Bytes of the box of all metadata; with more a file has no digest."""
_METADATA_ITEMS = frozenset({b"Exif", b"mime", b"uri "})
_ITEM_BOXES = frozenset({b"hdlr", b"iinf", b"iloc", b"idat", b"iref", b"dinf"})
"""Boxes that change with the metadata items, and count item by item."""
_DESCRIBES = b"cdsc"
"""The reference of a metadata item to the image that it describes."""


def _heif(stream: BinaryIO, items: _Items) -> None:
    size = stream.seek(0, os.SEEK_END)
    tops = [(name, place) for name, place in _top_boxes(stream, size) if name in {b"meta", b"moov"}]
    if [name for name, _ in tops] != [b"meta"]:
        raise _NotUnderstoodError  # an image sequence is a video track
    start, end = tops[0][1]
    if end - start > _LARGEST_META:
        raise _NotUnderstoodError
    stream.seek(start)
    meta: dict[bytes, bytes] = {}
    for name, content in _boxes(_exactly(stream, end - start)[4:]):
        if name in meta:
            raise _NotUnderstoodError
        meta[name] = content
        if name not in _ITEM_BOXES:  # the primary item; the properties of all items, colours and rotation among them
            items.add(name, content)
    for name, reference in _boxes(meta.get(b"iref", bytes(4))[4:]):
        if name != _DESCRIBES:
            items.add(name, reference)
    _copy_items(stream, size, meta, items)


def _copy_items(stream: BinaryIO, size: int, meta: Mapping[bytes, bytes], items: _Items) -> None:
    locations = _locations(meta.get(b"iloc", b""))
    left = size  # items share no bytes, unless the file is hostile
    for number, kind in _item_kinds(meta.get(b"iinf", b"")):
        if kind in _METADATA_ITEMS:
            continue
        in_idat, extents = locations.get(number, (False, []))
        for offset, length in extents:
            left -= length
            if length == 0 or left < 0:
                raise _NotUnderstoodError
            if in_idat:
                items.extend(_part(meta.get(b"idat", b""), offset, length))
            else:
                stream.seek(offset)
                items.copy(stream, length)
        items.add(b"item", struct.pack(">I4s", number, kind))


def _top_boxes(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the name, start and end of the content of each box of a file."""
    at = 0
    for _ in range(_MOST_SEGMENTS):
        if at >= size:
            return
        stream.seek(at)
        length, name = struct.unpack(">I4s", _exactly(stream, 8))
        header = 8
        if length == 1:
            length, header = struct.unpack(">Q", _exactly(stream, 8))[0], 16
        elif length == 0:
            length = size - at
        if length < header or at + length > size:
            # Bytes behind the last box are no box.
            return
        yield name, (at + header, at + length)
        at += length


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of each box in the content of another one."""
    at = 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise _NotUnderstoodError
        yield name, data[at + 8 : at + length]
        at += length


def _item_kinds(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and kind of each item."""
    for name, entry in _boxes(iinf[6 if iinf[:1] == b"\0" else 8 :]):
        version = entry[0] if entry else 0
        if name != b"infe" or version not in {2, 3}:
            raise _NotUnderstoodError
        number, protection, kind = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", entry, 4)
        if protection:
            raise _NotUnderstoodError
        yield number, kind


def _locations(iloc: bytes) -> dict[int, tuple[bool, list[tuple[int, int]]]]:
    """Return, by item, whether its data is in the box ``idat`` instead of the file, and its ``(offset, length)``s."""
    fields = _Fields(iloc)
    version = fields.number(1)
    fields.number(3)
    sizes = fields.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    if version > 2:
        raise _NotUnderstoodError
    found: dict[int, tuple[bool, list[tuple[int, int]]]] = {}
    for _ in range(fields.number(4 if version == 2 else 2)):
        item = fields.number(4 if version == 2 else 2)
        method = fields.number(2) & 15 if version else 0
        if fields.number(2) or method > 1:
            raise _NotUnderstoodError  # the data is in another file or item
        base = fields.number(base_size)
        extents = []
        for _ in range(fields.number(2)):
            fields.number(index_size)
            offset = fields.number(offset_size)
            extents.append((base + offset, fields.number(length_size)))
        if item in found:
            raise _NotUnderstoodError
        found[item] = (method == 1, extents)
    return found


class _Fields:
    """Reads numbers from bytes, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, length: int) -> int:
        """Return the next big-endian number of so many bytes.

        Raises:
            EOFError: There are fewer bytes.
        """
        value = int.from_bytes(_part(self._data, self._at, length), "big")
        self._at += length
        return value


def _part(data: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(data):
        raise EOFError
    return data[offset : offset + length]


_STRUCTURES: dict[str, _Structure] = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "HEIF": _heif, "AVIF": _heif}


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _skip(stream: BinaryIO, length: int) -> None:
    """Skip bytes that must exist; reading the last of them shows that they do."""
    if length:
        stream.seek(length - 1, os.SEEK_CUR)
        _exactly(stream, 1)
