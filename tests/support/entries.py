"""Index entries for tests, made from nothing."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path

import numpy as np

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Signature, Versions

VERSIONS = Versions(media=1, signature=1)


def signature(seed: int, change: int = 0) -> Signature:
    """A random signature; ``change`` of its 272 values are others than those of the same seed with no change."""
    values = np.random.default_rng(seed).integers(-2, 3, 272).astype(np.int8)
    values[:change] = np.where(values[:change] > 0, values[:change] - 1, values[:change] + 1)
    return Signature(values.tobytes())


def entry(
    path: str,
    content: str | None = None,
    *,
    size: int = 1000,
    mtime: float = 1_600_000_000,
    inode: int | None = None,
    width: int = 400,
    height: int = 300,
    image_format: str = "JPEG",
    exif_fields: int = 0,
    captured: datetime | None = None,
    has_gps: bool = False,
    signed: Signature | None = None,
    pixel_digest: bytes | None = None,
    whole: bool = True,
) -> IndexEntry:
    """An entry of a photo with the content of this name (by default its own)."""
    digest = hashlib.sha256((content or path).encode("utf-8", "surrogateescape")).digest()
    number = inode if inode is not None else int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:6], "big")
    return IndexEntry(
        stat=FileStat(Path(path), size, int(mtime * 1_000_000_000), 1, number),
        versions=VERSIONS,
        digest=digest,
        facts=PhotoFacts(image_format, width, height, exif_fields, captured, None, has_gps),
        signature=signed,
        pixel_digest=pixel_digest,
        failure=None if whole else Failure(Path(path), Phase.ANALYSE, FailureReason.TRUNCATED, "cut off"),
    )
