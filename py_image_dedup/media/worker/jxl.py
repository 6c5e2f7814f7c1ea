"""JPEG XL: its header, read before the plug-in decodes the whole picture, and the picture itself.

The plug-in decodes while it opens a file, with as many threads as there are processors. So the size is read from the
header first (ISO 18181-1, annex D; ISO 18181-2 for the container), and the memory is reserved for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

from PIL import Image

from py_image_dedup.media.limits import MediaError
from py_image_dedup.model.failure import FailureReason

_CODESTREAM: Final = b"\xff\x0a"
_CONTAINER: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_HEADER_BYTES: Final = 64
"""Bytes of a codestream that its size and depth take at most."""
_MOST_BOXES: Final = 1000
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE_BITS: Final = (9, 13, 18, 30)


@dataclass(frozen=True, slots=True)
class JxlHeader:
    """The header of a JPEG XL file.

    Attributes:
        width: Width of the stored picture, pixels.
        height: Height of the stored picture, pixels.
        bits: Bits per colour.
        animated: Whether the file has frames that follow each other in time.
    """

    width: int
    height: int
    bits: int
    animated: bool


def read_header(stream: BinaryIO) -> JxlHeader:
    """Read the header of a JPEG XL file and leave the file at its start.

    Args:
        stream: The file, at its start.

    Raises:
        EOFError: The file ends within the header.
        SyntaxError: It has no codestream.
    """
    bits = _Bits(_codestream(stream))
    stream.seek(0)
    width, height = _size(bits)
    if bits.read(1):  # everything else has its default
        return JxlHeader(width, height, 8, animated=False)
    animated = False
    if bits.read(1):
        bits.read(3)  # the orientation, which the decoder applies
        if bits.read(1):
            _size(bits)  # the size for display
        if bits.read(1):
            raise SyntaxError("JPEG XL files with an embedded preview are not supported")
        animated = bool(bits.read(1))
        if animated:
            return JxlHeader(width, height, 8, animated=True)
    return JxlHeader(width, height, _depth(bits), animated)


def _codestream(stream: BinaryIO) -> bytes:
    """Return the first bytes of the codestream, which may be in a container of boxes."""
    head = stream.read(12)
    if head.startswith(_CODESTREAM):
        return head + stream.read(_HEADER_BYTES)
    if head != _CONTAINER:
        raise SyntaxError("not a JPEG XL file")
    for _ in range(_MOST_BOXES):
        start = stream.tell()
        box = stream.read(16)
        if len(box) < 8:
            raise EOFError("the JPEG XL container ends before its picture")
        length, kind = int.from_bytes(box[:4], "big"), box[4:8]
        content = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        if kind in {b"jxlc", b"jxlp"}:
            stream.seek(start + content + (4 if kind == b"jxlp" else 0))
            return stream.read(_HEADER_BYTES)
        if length < content:
            raise EOFError("the JPEG XL container ends before its picture")
        stream.seek(start + length)
    raise SyntaxError("a JPEG XL container without a picture")


class _Bits:
    """Reads bits, the least significant one of each byte first.

    Args:
        data: The codestream, with its two bytes of signature.
    """

    def __init__(self, data: bytes) -> None:
        if not data.startswith(_CODESTREAM):
            raise SyntaxError("not a JPEG XL codestream")
        self._number = int.from_bytes(data[2:], "little")
        self._left = 8 * (len(data) - 2)

    def read(self, count: int) -> int:
        """Return the next bits as a number; ``EOFError`` if there are fewer."""
        if count > self._left:
            raise EOFError("the JPEG XL header ends too early")
        found = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return found


def _size(bits: _Bits) -> tuple[int, int]:
    """Return a width and a height."""
    in_eights = bits.read(1)

    def side() -> int:
        return 8 * (1 + bits.read(5)) if in_eights else 1 + bits.read(_SIDE_BITS[bits.read(2)])

    height = side()
    ratio = bits.read(3)
    if not ratio:
        return side(), height
    across, down = _RATIOS[ratio - 1]
    return height * across // down, height


def _depth(bits: _Bits) -> int:
    """Return the bits per colour; 32 for all floating point numbers."""
    if bits.read(1):
        return 32
    choice = bits.read(2)
    return (8, 10, 12)[choice] if choice < 3 else 1 + bits.read(6)


def open_jxl(stream: BinaryIO) -> Image.Image:
    """Return the decoded picture of a JPEG XL file.

    A file that was made from a JPEG file without loss gives exactly the pixels of that file.

    Args:
        stream: The file, at its start.

    Raises:
        MediaError: ``unsupported`` for an animation, of which the plug-in decodes one frame only.
        ImportError: The plug-in is not installed.
        Exception: Any exception of the plug-in; see ``limits.explain``.
    """
    header = read_header(stream)
    if header.animated:
        raise MediaError(FailureReason.UNSUPPORTED, "this is an animated JPEG XL file, which cannot be decoded")
    # Not at the top: an optional package, and a large library.
    from pillow_jxl import JpegXLImagePlugin

    JpegXLImagePlugin.DECODE_THREADS = 0
    picture: Image.Image = JpegXLImagePlugin.JXLImageFile(stream)
    picture.info["bit_depth"] = header.bits
    return picture


def is_upright(picture: Image.Image) -> bool:
    """Return whether the decoder has applied the orientation: not if it restored a JPEG file."""
    return not getattr(picture, "jpeg", False)
