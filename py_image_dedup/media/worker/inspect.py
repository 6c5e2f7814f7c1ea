"""A file decoded in full for inspection: its pixels, and every fact by which it may have more than another file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image, ImageCms, JpegImagePlugin

from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.limits import MediaError, explain
from py_image_dedup.media.worker.decode import (
    has_transparency,
    is_reduced_copy,
    orientation_of,
    refuse_raw,
    to_rgba,
    upright,
)
from py_image_dedup.media.worker.embedded import embedded_beside
from py_image_dedup.media.worker.open import has_more_pictures, open_picture, stored_bits
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.full_picture import Frame, FullPicture, ShotFacts

SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
"""Pillow's numbers of the kinds of subsampling of chroma."""
MOST_FRAMES = 500
"""Frames that are read; a file with more is not decided."""
_ONE_PICTURE = frozenset({"PSD", "ICO", "CUR", "ICNS", "JPEG"})
"""Here further frames are layers, sizes or previews of the one picture."""
_THUMBNAIL_SIDE = 256
_COLOUR_PIXELS = 1_000_000
"""Colour is looked for in at most so many means of pixels."""
_COLOUR_ROWS = 64
"""Rows of these means that are made together."""
_COLOURED = 12
"""Difference of channels, grey levels, that chroma noise of a grey JPEG stays below."""
_COLOURED_SHARE = 0.0005
"""Share of pixels that have to be coloured: a red stamp on a page is 0.1 %."""


def read_full(stream: BinaryIO | Path, max_pixels: int) -> FullPicture:
    """Decode a file in full.

    Args:
        stream: An open binary file that can seek, or a path.
        max_pixels: The largest picture that is decoded, in pixels of all frames that are held at once.

    Returns:
        What inspection needs.

    Raises:
        MediaError: It is larger than that, or cannot be decoded.
    """
    if isinstance(stream, Path):
        with stream.open("rb") as opened:
            return read_full(opened, max_pixels)
    with _opened(stream) as (picture, kind):
        return _read(picture, stream, kind, max_pixels)


def read_embedded(stream: BinaryIO, max_pixels: int) -> tuple[str, frozenset[str]]:
    """Read the format of a file and what is embedded beside its picture, without decoding any pixel.

    Args:
        stream: An open binary file that can seek.
        max_pixels: As for ``read_full``.

    Returns:
        The format as in ``FullPicture.format``, and names as in ``FullPicture.extras``.

    Raises:
        MediaError: It is larger than that, or cannot be opened.
    """
    with _opened(stream) as (picture, kind):
        _check_size(picture, max_pixels)
        return kind, embedded_beside(picture, stream, kind)


def saved_again(
    pixels: npt.NDArray[np.uint8], quantisation: Sequence[Sequence[int]], subsampling: str
) -> npt.NDArray[np.uint8]:
    """Return a picture as it is after it was saved as JPEG with the tables of another file.

    Args:
        pixels: uint8, BGR, height and width at least 1.
        quantisation: Tables of luma and chroma, 64 steps each, in rows.
        subsampling: Of chroma, a key of ``SAMPLINGS``.

    Returns:
        uint8, BGR, of the same shape.

    Thread-safety: any number of threads.
    """
    stored = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    tables = [list(table) for table in quantisation]
    picture.save(stored, "JPEG", qtables=tables, subsampling=SAMPLINGS[subsampling])
    decoded = cv2.imdecode(np.frombuffer(stored.getbuffer(), dtype=np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(decoded, dtype=np.uint8)


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[tuple[Image.Image, str]]:
    try:
        size = stream.seek(0, SEEK_END)
        stream.seek(max(0, size - TAIL_BYTES))
        tail = stream.read(TAIL_BYTES)
        stream.seek(0)
        kind = recognise(stream.read(HEAD_BYTES), tail, Path(str(getattr(stream, "name", ""))).suffix)
        stream.seek(0)
        if kind == "JPEG" and has_more_pictures(stream):
            kind = "MPO"
        with open_picture(stream, kind) as picture:
            yield picture, kind
    except Exception as error:
        raise explain(error) from error


def _read(picture: Image.Image, stream: BinaryIO, kind: str, max_pixels: int) -> FullPicture:
    _check_size(picture, max_pixels)
    if kind == "TIFF":
        refuse_raw(picture)
    mode, bits = picture.mode, stored_bits(picture, kind)
    extras = embedded_beside(picture, stream, kind)
    tables = tuple(tuple(table) for _, table in sorted(getattr(picture, "quantization", {}).items()))
    subsampling = ""
    if kind in {"JPEG", "MPO"}:
        subsampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(picture), "")
    shot = _shot(picture)
    picture.load()
    profile = _profile(picture)
    pixels, alpha, deep = _arrays(upright(picture, orientation_of(picture, kind)), bits)
    frames: tuple[Frame, ...] = ()
    too_many = False
    count = 1 if kind in _ONE_PICTURE else int(getattr(picture, "n_frames", 1))
    if kind != "MPO" and count > 1:
        too_many = count > MOST_FRAMES
        frames = () if too_many else _frames(picture, count, max_pixels)
    return FullPicture(
        pixels,
        kind,
        mode,
        alpha,
        deep,
        frames,
        too_many,
        tables,
        subsampling,
        _is_coloured(pixels),
        mode == "CMYK",
        profile,
        shot,
        extras,
    )


def _check_size(picture: Image.Image, max_pixels: int) -> None:
    if picture.width * picture.height > max_pixels:
        raise MediaError(
            FailureReason.TOO_LARGE, f"it has {picture.width} x {picture.height} pixels, more than {max_pixels}"
        )


def _arrays(picture: Image.Image, bits: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, int]:
    """Return the colours, the opacity and the significant bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        return *_reduced(values), _significant(values)
    if has_transparency(picture):
        coloured = np.asarray(to_rgba(picture))
        alpha = np.ascontiguousarray(coloured[:, :, 3])
        pixels = np.asarray(cv2.cvtColor(coloured, cv2.COLOR_RGBA2BGR), dtype=np.uint8)
        return pixels, None if alpha.min() == np.iinfo(np.uint8).max else alpha, bits
    if picture.mode in {"1", "L"}:
        grey = picture if picture.mode == "L" else picture.convert("L")
        return np.array(grey, dtype=np.uint8), None, bits if picture.mode == "L" else 1
    plain = picture if picture.mode == "RGB" else picture.convert("RGB")
    # Pillow swaps the channels while it copies the pixels anyway.
    copied = np.frombuffer(plain.tobytes("raw", "BGR"), dtype=np.uint8)
    return copied.reshape(plain.height, plain.width, 3), None, bits


def _reduced(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint8], None]:
    numbers: npt.NDArray[np.float32] = values.astype(np.float32)
    if values.dtype.kind == "f":
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        numbers = (np.nan_to_num(numbers) - np.float32(low)) * np.float32(255 / max(high - low, 1e-9))
    elif float(numbers.max(initial=0)) > 255:
        numbers = numbers / np.float32(257)
    return np.clip(np.rint(numbers), 0, 255).astype(np.uint8), None


def _significant(values: npt.NDArray[np.generic]) -> int:
    """Return 8 if the lower byte only repeats the upper one or is empty."""
    if values.dtype.kind == "f":
        return 32
    whole = values.astype(np.int64)
    if int(whole.max(initial=0)) <= 255:
        return 8
    low, high = whole & 255, whole >> 8
    return 8 if bool(np.all(low == 0) or np.all(low == high)) else 16


def _is_coloured(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether enough means of square groups of pixels are coloured; most photos show it in their first rows."""
    if pixels.ndim == 2:
        return False
    height, width, halvings = pixels.shape[0], pixels.shape[1], 0
    while height > 1 and width > 1 and (not halvings or height * width > _COLOUR_PIXELS):
        height, width, halvings = height // 2, width // 2, halvings + 1
    found, least = 0, _COLOURED_SHARE * height * width
    rows = _COLOUR_ROWS << halvings
    for top in range(0, height << halvings, rows):
        few = pixels[top : min(top + rows, height << halvings)]
        for _ in range(halvings):
            size = few.shape[1] // 2, few.shape[0] // 2
            # Halving is several times quicker than the same reduction in one step.
            few = np.asarray(cv2.resize(few[:, : 2 * size[0]], size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        blue, green, red = cv2.split(few)
        spread = cv2.subtract(cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red))
        found += int(np.count_nonzero(spread > _COLOURED))
        if found > least:
            return True
    return False


def _frames(picture: Image.Image, count: int, max_pixels: int) -> tuple[Frame, ...]:
    found = []
    for number in range(1, count):
        picture.seek(number)
        if is_reduced_copy(picture):
            continue
        _check_size(picture, max_pixels)
        picture.load()
        shown = to_rgba(picture)
        digest = blake3(f"{shown.width} {shown.height}".encode() + shown.tobytes()).digest()
        small = Image.new("RGB", shown.size, (128, 128, 128))
        small.paste(shown, mask=shown.getchannel("A"))
        grey = small.convert("L")
        grey.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
        found.append(Frame(digest, np.array(grey, dtype=np.uint8)))
    return tuple(found)


def _shot(picture: Image.Image) -> ShotFacts:
    # What Pillow raises on broken EXIF; it loses its facts, never the picture.
    with suppress(OSError, ValueError, TypeError, KeyError, IndexError, SyntaxError, OverflowError, struct.error):
        block = picture.info.get("exif")
        main = picture.getexif()
        if isinstance(block, bytes) and not len(main):
            main = Image.Exif()
            main.load(block)
        taken = main.get_ifd(0x8769)
        moment = _text(taken.get(0x9003))
        fraction = _text(taken.get(0x9291))
        camera = " ".join(
            part for part in (_text(main.get(0x010F)), _text(main.get(0x0110)), _text(taken.get(0xA431))) if part
        )
        return ShotFacts(
            f"{moment}.{fraction}" if moment and fraction else moment,
            _number(taken.get(0x829A)),
            _number(taken.get(0x829D)),
            _whole(taken.get(0x8827)),
            _number(taken.get(0x920A)),
            _whole(taken.get(0x9211, main.get(0x9211))),
            camera,
            _text(main.get(0x0132)),
            0x927C in taken,
        )
    return ShotFacts()


def _text(value: object) -> str:
    return "" if value is None else str(value).strip("\0 ")


def _number(value: object) -> float | None:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        return float(str(value))
    return None


def _whole(value: object) -> int | None:
    number = _number(value[0] if isinstance(value, tuple) and value else value)
    return None if number is None else int(number)


def _profile(picture: Image.Image) -> str:
    stored = picture.info.get("icc_profile")
    if not stored:
        return ""
    try:
        return str(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(stored)))).strip()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return "unreadable profile"
