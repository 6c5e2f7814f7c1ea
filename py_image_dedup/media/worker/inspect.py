"""A file decoded in full for inspection: its pixels, and every fact by which it may have more than another file."""

from __future__ import annotations

import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin

from py_image_dedup.media.limits import MediaError, explain
from py_image_dedup.media.worker.open import stored_bits
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.model.full_picture import Frame, FullPicture, ShotFacts

MOST_FRAMES = 500
"""Frames that are read; a file with more is not decided."""
_LARGEST_SCAN = 256 << 20
"""Bytes of a file that are searched for what is embedded."""
_THUMBNAIL_SIDE = 256
_COLOURED = 12
"""Difference of channels, grey levels, that chroma noise of a grey JPEG stays below."""
_COLOURED_SHARE = 0.0005
"""Share of pixels that have to be coloured: a red stamp on a page is 0.1 %."""

_MARKS = {
    "gain map": (b"hdrgm:Version", b"urn:com:apple:photo:2020:aux:hdrgainmap", b"HDRGainMap",
                 b"urn:iso:std:iso:ts:21496"),
    "depth map": (b"GDepth:", b"urn:com:apple:photo:2018:aux:depth", b"apdi:DepthData", b"AuxiliaryImageType>depth",
                  b'Item:Semantic="Depth"', b'Semantic="Depth"', b"urn:mpeg:hevc:2015:auxid:2"),
    "film": (b'MotionPhoto="1"', b'MicroVideo="1"', b"MotionPhoto>1", b"MicroVideo>1", b"MotionPhoto_Data"),
}  # fmt: skip
_FILM_BRANDS = (b"ftypmp4", b"ftypisom", b"ftypqt  ", b"ftypMSNV", b"ftypavc1")
_STILL_BOX_FORMATS = frozenset({"HEIF", "AVIF"})


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
    try:
        stream.seek(0)
        with Image.open(stream) as picture:
            return _read(picture, stream, max_pixels)
    except Exception as error:
        raise explain(error) from error


def _read(picture: Image.Image, stream: BinaryIO, max_pixels: int) -> FullPicture:
    _check_size(picture, max_pixels)
    kind, mode, bits = picture.format or "", picture.mode, stored_bits(picture, picture.format or "")
    extras = _extras(stream, kind)
    tables = tuple(tuple(table) for _, table in sorted(getattr(picture, "quantization", {}).items()))
    subsampling = ""
    if kind in {"JPEG", "MPO"}:
        subsampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(JpegImagePlugin.get_sampling(picture), "")
    shot, profile = _shot(picture), _profile(picture)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    pixels, alpha, deep = _arrays(upright, bits)
    frames: tuple[Frame, ...] = ()
    too_many = False
    count = int(getattr(picture, "n_frames", 1))
    if kind == "MPO":
        if count > 1 and "gain map" not in extras and _has_second_eye(picture):
            extras |= {"second eye"}
    elif count > 1:
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
    if picture.mode in {"1", "L"} and "transparency" not in picture.info:
        return np.array(picture.convert("L"), dtype=np.uint8), None, bits if picture.mode == "L" else 1
    if picture.has_transparency_data:
        coloured = np.asarray(picture.convert("RGBA"))
        alpha = np.ascontiguousarray(coloured[:, :, 3])
        pixels = np.ascontiguousarray(coloured[:, :, 2::-1])
        return pixels, None if alpha.min() == np.iinfo(np.uint8).max else alpha, bits
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1]), None, bits


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
    if pixels.ndim == 2:
        return False
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / 4e6) ** 0.5))
    few = cv2.blur(pixels, (3, 3))[::step, ::step].astype(np.int16)
    spread = few.max(axis=2) - few.min(axis=2)
    return bool((spread > _COLOURED).mean() > _COLOURED_SHARE)


def _frames(picture: Image.Image, count: int, max_pixels: int) -> tuple[Frame, ...]:
    found = []
    for number in range(1, count):
        picture.seek(number)
        _check_size(picture, max_pixels)
        shown = picture.convert("RGBA")
        digest = blake3(f"{shown.width} {shown.height}".encode() + shown.tobytes()).digest()
        small = Image.new("RGB", shown.size, (128, 128, 128))
        small.paste(shown, mask=shown.getchannel("A"))
        grey = small.convert("L")
        grey.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), Image.Resampling.BOX)
        found.append(Frame(digest, np.array(grey, dtype=np.uint8)))
    return tuple(found)


def _has_second_eye(picture: Image.Image) -> bool:
    """Whether the second picture of an MPO is no thumbnail."""
    entries = (getattr(picture, "mpinfo", None) or {}).get(0xB002, ())
    kinds = [str(entry.get("Attribute", {}).get("MPType", "")) for entry in entries[1:]]
    return any("Thumbnail" not in kind for kind in kinds)


def _extras(stream: BinaryIO, kind: str) -> frozenset[str]:
    place = stream.tell()
    stream.seek(0)
    content = stream.read(_LARGEST_SCAN)
    stream.seek(place)
    found = {name for name, marks in _MARKS.items() if any(mark in content for mark in marks)}
    if kind not in _STILL_BOX_FORMATS and any(brand in content for brand in _FILM_BRANDS):
        found.add("film")
    return frozenset(found)


def _shot(picture: Image.Image) -> ShotFacts:
    # What Pillow raises on broken EXIF; it loses its facts, never the picture.
    with suppress(OSError, ValueError, TypeError, KeyError, IndexError, SyntaxError, OverflowError, struct.error):
        main = picture.getexif()
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
