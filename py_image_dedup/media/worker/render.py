"""The worker process that renders pictures for a browser.

``media.rendering`` starts it as ``python -m py_image_dedup.media.worker.render``. Like every decoder it has a timer and
a memory limit, and a crash costs one file.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import suppress
from functools import partial
from typing import BinaryIO

from PIL import Image, ImageCms

from py_image_dedup.media.formats import RAW
from py_image_dedup.media.limits import Limits, Reserve
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.media.worker.decode import (
    _levels,
    _to_grey,
    has_transparency,
    orientation_of,
    refuse_raw,
    to_rgba,
    upright,
)
from py_image_dedup.media.worker.main import prepare_reader, serve
from py_image_dedup.media.worker.open import Jpeg, needed_bytes, open_picture
from py_image_dedup.media.worker.protocol import Message

_DEEP_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I", "F"})
_WEBP_QUALITY = 58
_JPEG_QUALITY = 90


def main() -> int:
    """Serve render requests until the other side closes the connection; return the exit code."""
    Image.MAX_IMAGE_PIXELS = None  # replaced by the check against the limits
    warnings.simplefilter("ignore")
    return serve({size.value: partial(_render, size=size) for size in RenderedSize})


def _render(
    stream: BinaryIO, kind: str, limits: Limits, reserve: Reserve, *, size: RenderedSize
) -> tuple[Message, bytes]:
    if kind == RAW:
        from py_image_dedup.media.worker.raw import render_raw  # it needs an optional package

        shown = render_raw(stream, limits, reserve).convert("RGB")
        shown.thumbnail((size.longest_side, size.longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return {}, encode(shown, size)
    reserve = prepare_reader(stream, kind, limits, reserve)
    with open_picture(stream, kind) as picture:
        limits.check_size(*picture.size)
        if kind == "TIFF":
            refuse_raw(picture)
        return {}, encode(_shown(picture, kind, size.longest_side, reserve), size)


def _shown(picture: Image.Image, kind: str, longest_side: int, reserve: Reserve) -> Image.Image:
    """Return a picture as a viewer shows it: 8 bits, sRGB or grey, and no larger than requested."""
    extra = 0
    if isinstance(picture, Jpeg):
        extra = picture.coefficient_bytes
        # The decoder scales down to no less than twice the size; the rest is left to a better filter.
        scale = next(each for each in (8, 4, 2, 1) if each == 1 or max(picture.size) // each >= 2 * longest_side)
        picture.draft(None, (picture.width // scale, picture.height // scale))
    reserve(extra + 2 * needed_bytes(picture, kind))
    picture.load()
    orientation = orientation_of(picture, kind)
    profile = picture.info.get("icc_profile")
    shown: Image.Image = picture
    if picture.mode in _DEEP_MODES:
        shown = _to_grey(picture, *_levels(picture))
    elif has_transparency(picture):
        coloured = to_rgba(picture)
        shown = Image.new("RGB", coloured.size, "white")
        shown.paste(coloured, mask=coloured.getchannel("A"))
    elif picture.mode not in {"L", "RGB", "CMYK"}:
        shown = picture.convert("RGB")
    shown = shown.copy() if shown is picture else shown
    shown.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return upright(_in_srgb(shown, profile), orientation)


def _in_srgb(picture: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and picture.mode in {"RGB", "CMYK"}:
        # With a damaged or unsupported profile the picture is shown unconverted.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return picture if picture.mode in {"L", "RGB"} else picture.convert("RGB")


def encode(picture: Image.Image, size: RenderedSize) -> bytes:
    """Return a picture encoded in the format of ``RenderedSize.media_type``, without metadata."""
    stream = io.BytesIO()
    picture.info.clear()
    if size is RenderedSize.THUMBNAIL:
        picture.save(stream, "WEBP", quality=_WEBP_QUALITY, method=2)
    else:
        picture.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
