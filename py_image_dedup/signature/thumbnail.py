"""A small grey picture that is kept with the features: what aligned pixels are compared on, without another decode."""

from __future__ import annotations

import cv2
import numpy as np

from py_image_dedup.signature.pairs import UInt8Array

SHORT_SIDE = 160
"""Pixels, of a photo; a smaller picture stays as it is."""
DOCUMENT_SHORT_SIDE = 256
"""Pixels, of what looks like a document: there the difference may be one figure of a sum."""
LONG_SIDE = 512
"""Bound for strips, which become thinner instead; half as much again for a document."""
QUALITY = 40
"""Of the WebP encoder: 4 kB for a photo, and greys that are wrong by 6 levels on average."""


def make_thumbnail(grey: UInt8Array, *, fine: bool) -> bytes:
    """Encode the thumbnail of a grey picture.

    Args:
        grey: uint8, shape ``(height, width)``.
        fine: It may be a document: keep as much as there is.

    Returns:
        A WebP file.

    Raises:
        ValueError: The encoder refused it.
    """
    height, width = grey.shape
    short, long = (DOCUMENT_SHORT_SIDE, LONG_SIDE * 3 // 2) if fine else (SHORT_SIDE, LONG_SIDE)
    scale = min(1.0, short / min(height, width), long / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, encoded = cv2.imencode(".webp", grey, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a thumbnail of {width} x {height} pixels could not be encoded")
    return encoded.tobytes()


def open_thumbnail(encoded: bytes) -> UInt8Array:
    """Decode a thumbnail.

    Returns:
        uint8, shape ``(height, width)``.

    Raises:
        ValueError: These are not the bytes of a thumbnail.
    """
    picture = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{len(encoded)} bytes are no thumbnail: the index entry is damaged")
    return picture.astype(np.uint8, copy=False)
