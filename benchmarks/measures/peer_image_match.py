"""image-match: the distance of two signatures, upright as it compares by default, or in all eight orientations.

The project's signature has image-match's values bit for bit, so nothing is installed for it. The files are decoded by
the project, though, which reads HEIC, AVIF and EXIF orientations that image-match may not. image-match also asks that
two pictures share one of 63 "words" before it compares them at all; here every pair is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from measures.album import photos_in
from measures.peer_setting import Bools, Files, Floats, Setting, counted, without_false_pair
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.signature.compute import compute
from py_image_dedup.signature.distance import distances, from_products

Int8Array = npt.NDArray[np.int8]

BOUNDS = {"distance <= 0.45, its default": 0.45, "distance <= 0.30": 0.30, "distance <= 0.10": 0.10}
WAYS = {False: "upright", True: "8 orientations"}
VERSION = "the project's own signature, equal to image-match 1.1.2's"


class ImageMatch:
    """The distance of image-match, in one orientation and in eight."""

    def __init__(self) -> None:
        self.name = "image-match"
        self._bounds: dict[bool, list[float]] = {}
        self._stack = ExitStack()
        self._decoder = self._stack.enter_context(Decoder())

    def settle(self, strangers: Mapping[str, Path]) -> Sequence[Setting]:
        """Measure the fixed bounds and the largest without a false pair."""
        signatures = {name: self._signatures(photos_in(folder)) for name, folder in strangers.items()}
        settings = []
        for turned, way in WAYS.items():
            pairs = {name: _pairs(some, turned=turned) for name, some in signatures.items()}
            bounds = dict(BOUNDS)
            nearest = {name: float(found.min(initial=1.0)) for name, found in pairs.items()}
            for where, least in without_false_pair(nearest).items():
                bounds[f"best without a false pair {where}: < {least:.3f}"] = float(np.nextafter(least, 0))
            self._bounds[turned] = list(bounds.values())
            settings += [Setting(f"{way}, {name}", counted(pairs, bound)) for name, bound in bounds.items()]
        return settings

    def found(self, files: Files) -> Bools:
        """Return which copies are near enough to their original, for each bound."""
        original, *_ = copies = self._signatures([files.original, *files.copies])
        rows = []
        for turned, bounds in self._bounds.items():
            rows.append(_distances(original, copies[1:], turned=turned) <= np.array(bounds)[:, None])
        return np.concatenate(rows)

    def close(self) -> None:
        """End the decoder."""
        self._stack.close()

    def _signatures(self, photos: Sequence[Path]) -> Int8Array:
        return np.stack([self._signature(photo) for photo in photos])

    def _signature(self, photo: Path) -> Int8Array:
        """Return the values, all zero (like nothing) for what is flat or cannot be decoded."""
        try:
            with read_file(photo) as opened:
                signature = compute(self._decoder.decode(opened).canonical)
        except MediaError:
            signature = None
        return np.zeros(272, np.int8) if signature is None else np.frombuffer(signature.values, np.int8)


def _pairs(signatures: Int8Array, *, turned: bool) -> Floats:
    rows = [_distances(one, signatures[row + 1 :], turned=turned) for row, one in enumerate(signatures[:-1])]
    return np.concatenate(rows) if rows else np.zeros(0)


def _distances(one: Int8Array, many: Int8Array, *, turned: bool) -> Floats:
    if turned:
        return distances(one, many)[0]
    wide, others = one.astype(np.int64), many.astype(np.int64)
    squared = np.einsum("ij,ij->i", others, others).astype(np.float64)
    return from_products((others @ wide).astype(np.float64), np.float64(wide @ wide), squared)
