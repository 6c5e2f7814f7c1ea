"""Photographs and their copies as the program sees them: decoded, with signature and local features."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ladder import LADDER, Original

from py_image_dedup.features.describe import image_features
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.photo import PhotoFacts
from tests.support import faint

Int8Array = npt.NDArray[np.int8]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is known about one file.

    Attributes:
        path: Of the file.
        facts: As the program reads them.
        signature: int8, shape ``(272,)``; all zero for a flat picture.
        features: Packed; empty for a featureless picture.
    """

    path: Path
    facts: PhotoFacts
    signature: Int8Array
    features: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """One photo and its copies, in the order of the ladder."""

    original: Seen
    copies: tuple[Seen, ...]


def photos_folder() -> Path:
    """Return the folder of the development photographs."""
    given = os.environ.get("PY_IMAGE_DEDUP_PHOTOS")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "photos"
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no photographs here; set PY_IMAGE_DEDUP_PHOTOS or name folders")
    return folder


def photos_in(folder: Path) -> list[Path]:
    """Return the pictures anywhere below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)


def read_photos(paths: Sequence[Path], processes: int) -> list[Seen]:
    """Decode photos; what cannot be decoded is left out."""
    with ProcessPoolExecutor(processes) as pool:
        parts = pool.map(_read_some, _chunks(paths, 16))
        return [seen for part in parts for seen in part]


def make_faint(count: int, processes: int) -> list[Seen]:
    """Generate night skies, smooth skies and dark frames, as many in all, and decode them; those have no features."""
    kinds = (faint.stars, faint.smooth_sky, faint.lens_cap)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(count):
            paths.append(Path(folder) / f"{number:05}.jpg")
            kinds[number % len(kinds)](number).save(paths[-1], quality=90)
        return read_photos(paths, processes)


def make_albums(paths: Sequence[Path], processes: int, longest: int = 1600) -> list[Album]:
    """Make every copy of the ladder of every photo, as files, and decode them all."""
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(partial(_album, longest=longest), paths))


def _chunks(paths: Sequence[Path], size: int) -> Iterable[Sequence[Path]]:
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def _read_some(paths: Sequence[Path]) -> list[Seen]:
    with Decoder(panels=True) as decoder:
        found = []
        for path in paths:
            try:
                found.append(see(path, decoder))
            except MediaError as error:
                print(f"{path}: left out: {error}")
        return found


def _album(path: Path, longest: int) -> Album:
    original = Original.read(path, longest)
    with Decoder(panels=True) as decoder, tempfile.TemporaryDirectory() as folder:
        copies = []
        for edit in LADDER:
            copy = Path(folder) / f"copy{edit.suffix}"
            copy.write_bytes(edit.make(original))
            copies.append(see(copy, decoder))
            copy.unlink()
        return Album(see(path, decoder), tuple(copies))


def see(path: Path, decoder: Decoder) -> Seen:
    with read_file(path) as opened:
        decoded = decoder.decode(opened)
    found = image_features(decoded.canonical, decoded.panels)
    values = np.zeros(272, np.int8) if found.signature is None else np.frombuffer(found.signature.values, np.int8)
    return Seen(path, decoded.facts, values, found.features or b"")
