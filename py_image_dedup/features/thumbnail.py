"""A small grey picture that is kept with the features: what aligned pixels are compared on, without another decode."""

from __future__ import annotations

import cv2
import numpy as np

from py_image_dedup.signature.arrays import UInt8Array

SHORT_SIDE = 160
"""Pixels, of a photo; a smaller picture stays as it is."""
DOCUMENT_SHORT_SIDE = 256
"""Pixels, of what looks like a document: there the difference may be one figure of a sum."""
LONG_SIDE = 512
"""Bound for strips, which become thinner instead; half as much again for a document."""
QUALITY = 60
"""Of the JPEG encoder: 5 kB for a photo, and greys that are wrong by 5 or 6 levels on average. WebP would need 3 kB for
the same, and fifteen times as long."""
DOCUMENT_QUALITY = 40
"""Of the WebP encoder, which keeps writing better: 12 kB for a document, where JPEG would need 24."""


def make_thumbnail(grey: UInt8Array, *, fine: bool) -> bytes:
    """Encode the thumbnail of a grey picture.

    Args:
        grey: uint8, shape ``(height, width)``.
        fine: It may be a document: keep as much as there is.

    Returns:
        A JPEG file, of what may be a document a WebP file.

    Raises:
        ValueError: The encoder refused it.
    """
    height, width = grey.shape
    short, long = (DOCUMENT_SHORT_SIDE, LONG_SIDE * 3 // 2) if fine else (SHORT_SIDE, LONG_SIDE)
    scale = min(1.0, short / min(height, width), long / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if fine:
        done, encoded = cv2.imencode(".webp", grey, [cv2.IMWRITE_WEBP_QUALITY, DOCUMENT_QUALITY])
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        done, encoded = cv2.imencode(".jpg", grey, options)
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
