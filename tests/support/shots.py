"""Shots of bursts and brackets for tests: EXIF and maker notes as cameras write them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from tests.support.pictures import write

_HEADERS = {
    "Sony": (b"SONY DSC \0\0\0", 0xB04A),
    "Fujifilm": (b"FUJIFILM" + struct.pack("<I", 12), 0x1101),
    "Panasonic": (b"Panasonic\0\0\0", 0x002B),
}


def numbered_note(maker: str, number: int, order: str = ">") -> bytes:
    """A maker note with the number of a shot in its series, in the byte order of EXIF that Pillow writes."""
    header, tag = _HEADERS[maker]
    order = "<" if maker == "Fujifilm" else order
    return header + struct.pack(f"{order}HHHIHH", 1, tag, 3, 1, number, 0) + bytes(4)


def burst_note(identifier: str, order: str = ">") -> bytes:
    """Apple's maker note with the identifier of a burst."""
    value = identifier.encode() + b"\0"
    fields = struct.pack(f"{order}HHHII", 1, 0x000B, 2, len(value), 32)
    return b"Apple iOS\0\0\1" + {">": b"MM", "<": b"II"}[order] + fields + bytes(4) + value


def shot_exif(
    moment: str = "2024:05:01 12:00:00",
    decimals: str = "",
    *,
    camera: str = "ILCE-7M3",
    seconds: float | None = None,
    bias: float | None = None,
    bracketed: bool = False,
    note: bytes = b"",
) -> bytes:
    """The EXIF block of a shot.

    Args:
        moment: Time of exposure; none if empty.
        decimals: Decimals of its seconds.
        camera: The model.
        seconds: Exposure time.
        bias: Exposure compensation.
        bracketed: Whether the camera was in its mode for brackets.
        note: The maker note.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = camera
    tags: dict[int, Any] = {
        ExifTags.Base.DateTimeOriginal: moment,
        ExifTags.Base.SubsecTimeOriginal: decimals,
        ExifTags.Base.ExposureTime: None if seconds is None else IFDRational(round(seconds * 8000), 8000),
        ExifTags.Base.ExposureBiasValue: None if bias is None else IFDRational(round(bias * 10), 10),
        ExifTags.Base.ExposureMode: 2 if bracketed else 0,
        ExifTags.Base.MakerNote: note,
    }
    directory = exif.get_ifd(ExifTags.IFD.Exif)
    directory.update({tag: value for tag, value in tags.items() if value not in (None, "", b"")})
    return exif.tobytes()


def write_shot(path: Path, image: Image.Image, *, quality: int = 92, **shot: Any) -> Path:
    """Write a JPEG picture with the EXIF of a shot; see ``shot_exif``."""
    return write(path, image, quality=quality, exif=shot_exif(**shot))
