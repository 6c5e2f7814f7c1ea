"""RAW photos: the embedded preview for the search, and a digest of the values of the sensor.

LibRaw reads the file (rawpy, an optional package). Nothing is developed where there is a usable preview; a RAW photo
without one is developed at half its size. The picture that a program would develop from a RAW photo depends on that
program, so RAW photos are compared by the sensor's values only: those are equal after tags were changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from blake3 import blake3
from PIL import Image

from py_image_dedup.media.formats import RAW
from py_image_dedup.media.limits import Limits, MediaError, Reserve, explain
from py_image_dedup.media.worker.decode import LARGEST_SHORT_SIDE, canonical, facts_of, scale_down, upright
from py_image_dedup.media.worker.exif import ExifFacts, read_exif, read_tiff
from py_image_dedup.media.worker.open import Jpeg, needed_bytes
from py_image_dedup.media.worker.protocol import DecodedPicture
from py_image_dedup.model.failure import FailureReason

if TYPE_CHECKING:
    import rawpy

_CONTEXT: Final = b"py-image-dedup sensor data 1\n"
_SENSOR_BYTES: Final = 6
"""Memory per sensor pixel of unpacking: two bytes of a value, and what decoders of compressed data hold beside it."""
_DEVELOP_BYTES: Final = 8
"""Memory per sensor pixel of developing at half the size, the values included."""
_ORIENTATIONS: Final = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF orientations by LibRaw's ``flip``."""
_EXIF_MARKS: Final = (b"IIRO", b"IIRS", b"IIU\0")
"""First bytes of files that are TIFF files otherwise."""
_TIFF_MARKS: Final = (b"II*\0", b"MM\0*")
_CANON_BOX: Final = b"CMT1"
_HEAD: Final = 1 << 16
_PACKET: Final = (b"<x:xmpmeta", b"</x:xmpmeta>")
_LONGEST_PACKET: Final = 16 << 20
_SETTINGS: Final = (b"crs:", b"darktable:", b"lr:")
"""Namespaces of development settings in an XMP packet."""


class RawPicture(Image.Image):
    """An opened RAW photo as a Pillow picture, whose pixels do not exist before a program develops them."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self._size = size
        self._mode = "RGB"

    def load(self) -> Any:
        """Refuse to load.

        Raises:
            MediaError: Always, ``unsupported``.
        """
        raise MediaError(FailureReason.UNSUPPORTED, "RAW photos are compared by the values of their sensors only")


def open_raw_picture(stream: BinaryIO) -> Image.Image:
    """Return a RAW photo as a picture with its size, which cannot be loaded.

    Args:
        stream: The file, at its start.

    Raises:
        MediaError: LibRaw cannot open it.
    """
    with _opened(stream) as raw:
        return RawPicture((raw.sizes.iwidth, raw.sizes.iheight))


def decode_raw(stream: BinaryIO, limits: Limits, reserve: Reserve) -> DecodedPicture:
    """Decode a RAW photo to its facts and its canonical image.

    Args:
        stream: The file, at its start.
        limits: Cost limits of one file.
        reserve: Reserves the memory that decoding needs.

    Raises:
        MediaError: LibRaw cannot read it, or it is too large.
    """
    with _opened(stream) as raw:
        width, height = raw.sizes.iwidth, raw.sizes.iheight
        limits.check_size(width, height)
        orientation = _ORIENTATIONS.get(raw.sizes.flip, 1)
        preview = _preview(raw, limits)
        if preview is None:
            exif = _exif(stream, b"")
            reserve(_DEVELOP_BYTES * raw.sizes.raw_width * raw.sizes.raw_height)
            shown = _develop(raw)
        else:
            exif = _exif(stream, preview.info.get("exif", b""))
            reserve(scale_down(preview) + needed_bytes(preview, "JPEG"))
            shown = preview
            shown.load()
        image = canonical(shown, (width, height), orientation)
    return DecodedPicture(facts_of(RAW, (width, height), orientation, exif), *image.size, image.tobytes())


def render_raw(stream: BinaryIO, limits: Limits, reserve: Reserve) -> Image.Image:
    """Return what a person is shown of a RAW photo: the preview, or the developed picture, upright.

    Args:
        stream: The file, at its start.
        limits: Cost limits of one file.
        reserve: Reserves the memory that decoding needs.

    Raises:
        MediaError: LibRaw cannot read it, or it is too large.
    """
    with _opened(stream) as raw:
        limits.check_size(raw.sizes.iwidth, raw.sizes.iheight)
        preview = _preview(raw, limits)
        if preview is None:
            reserve(_DEVELOP_BYTES * raw.sizes.raw_width * raw.sizes.raw_height)
            shown = _develop(raw)
        else:
            reserve(needed_bytes(preview, "JPEG"))
            preview.load()
            shown = preview
        return upright(shown, _ORIENTATIONS.get(raw.sizes.flip, 1))


def digest_raw(stream: BinaryIO, limits: Limits, reserve: Reserve) -> bytes:
    """Return the pixel digest of a RAW photo, 32 bytes: that of the sensor's values and of how they are to be read.

    Development settings that a program has stored in the file count as well: a copy without them lacks them.

    Args:
        stream: The file, at its start.
        limits: Cost limits of one file.
        reserve: Reserves the memory that decoding needs.

    Raises:
        MediaError: LibRaw cannot read it, or it is too large.
    """
    with _opened(stream) as raw:
        sizes = raw.sizes
        limits.check_size(sizes.raw_width, sizes.raw_height)
        reserve(_SENSOR_BYTES * sizes.raw_width * sizes.raw_height)
        values = raw.raw_image
        layout = (
            values.shape,
            str(values.dtype),
            (sizes.top_margin, sizes.left_margin, sizes.height, sizes.width, sizes.flip),
            raw.color_desc,
            None if raw.raw_pattern is None else raw.raw_pattern.tolist(),
            list(raw.black_level_per_channel),
            raw.white_level,
            [round(float(each), 6) for each in raw.camera_whitebalance],
        )
        hasher = blake3(_CONTEXT + repr(layout).encode() + b"\n")
        for row in values:
            hasher.update(row.tobytes())
    stream.seek(0)
    hasher.update(_settings(stream))
    return hasher.digest()


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[rawpy.RawPy]:
    """Open a file with LibRaw; its errors become ``MediaError``."""
    os.environ["OMP_NUM_THREADS"] = "1"  # one file is decoded per process; read when the library is loaded
    # Not at the top: an optional package, and a large library.
    import rawpy

    try:
        with rawpy.imread(_source(stream)) as raw:
            yield raw
    except rawpy.LibRawFileUnsupportedError as error:
        message = "LibRaw cannot read this RAW photo: it is damaged, or its camera is not known"
        raise MediaError(FailureReason.UNSUPPORTED, message) from error
    except rawpy.LibRawIOError as error:
        raise MediaError(FailureReason.TRUNCATED, "the file ends too early for the values of its sensor") from error
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise explain(MemoryError()) from error
    except rawpy.LibRawError as error:
        cause = error.args[0] if error.args else ""
        words = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise MediaError(FailureReason.CORRUPT, f"LibRaw cannot read this RAW photo: {words}") from error


def _source(stream: BinaryIO) -> str | BinaryIO:
    """Return the name of an open file, which LibRaw reads piece by piece; of any other stream it reads everything."""
    with suppress(OSError):
        name = f"/proc/self/fd/{stream.fileno()}"
        if os.path.exists(name):  # noqa: PTH110 - quicker, and the name is of the kernel
            return name
    return stream


def _preview(raw: rawpy.RawPy, limits: Limits) -> Jpeg | None:
    """Return the embedded JPEG picture, not loaded; ``None`` if there is none of a useful size."""
    import rawpy

    try:
        found = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError, rawpy.NotSupportedError):
        return None
    except rawpy.LibRawIOError:
        return None  # the preview is cut off; the values of the sensor may be whole
    if found.format is not rawpy.ThumbFormat.JPEG or not isinstance(found.data, bytes):
        return None
    with suppress(SyntaxError, OSError, ValueError):
        preview = Jpeg(BytesIO(found.data))
        if min(preview.size) >= LARGEST_SHORT_SIDE and preview.width * preview.height <= limits.max_pixels:
            return preview
    return None


def _develop(raw: rawpy.RawPy) -> Image.Image:
    """Develop a RAW photo at half its size, as its camera would about do it, without its orientation."""
    return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True, no_auto_bright=True, user_flip=0))


def _exif(stream: BinaryIO, block: object) -> ExifFacts:
    """Return the facts of a RAW photo's tags, wherever its maker keeps them.

    Args:
        stream: The file.
        block: The EXIF block of the embedded picture.
    """
    start = 0
    stream.seek(0)
    head = stream.read(_HEAD)
    mark = head[:4]
    if mark not in _TIFF_MARKS and mark not in _EXIF_MARKS:
        start = head.find(_CANON_BOX) + len(_CANON_BOX)
        mark = head[start : start + 4] if start >= len(_CANON_BOX) else b""
    if mark in _EXIF_MARKS:
        mark = b"II*\0"
    if mark not in _TIFF_MARKS:
        return read_exif(block) if isinstance(block, bytes) else ExifFacts()

    def read(offset: int, length: int) -> bytes:
        if offset == 0:
            return mark[:length]
        stream.seek(start + offset)
        return stream.read(length)

    return read_tiff(read)


def _settings(stream: BinaryIO) -> bytes:
    """Return the XMP packet of a file if it has development settings; otherwise nothing."""
    content = stream.read(_LONGEST_PACKET)
    at = content.find(_PACKET[0])
    end = content.find(_PACKET[1], at)
    if at < 0 or end < 0:
        return b""
    packet = content[at:end]
    return packet if any(mark in packet for mark in _SETTINGS) else b""
