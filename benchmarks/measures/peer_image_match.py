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
from py_image_dedup.media.decode import Decoder
from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.source import read_source
from py_image_dedup.signature.compute import compute
from py_image_dedup.signature.distance import distances, from_products

Int8Array = npt.NDArray[np.int8]

BOUNDS = {"distance <= 0.45, its default": 0.45, "distance <= 0.30": 0.30, "distance <= 0.10": 0.10}
VERSION = "the project's own signature, equal to image-match 1.1.2's"


class ImageMatch:
    """The distance of image-match in one orientation or in eight."""

    def __init__(self, *, turned: bool) -> None:
        self.name = "image-match, 8 orientations" if turned else "image-match"
        self._turned = turned
        self._bounds: list[float] = []
        self._stack = ExitStack()
        self._decoder = self._stack.enter_context(Decoder())

    def settle(self, strangers: Mapping[str, Path]) -> Sequence[Setting]:
        """Measure the fixed bounds and the largest without a false pair."""
        pairs = {folder: self._pairs(path) for folder, path in strangers.items()}
        bounds = dict(BOUNDS)
        nearest = {folder: float(found.min(initial=1.0)) for folder, found in pairs.items()}
        for where, least in without_false_pair(nearest).items():
            bounds[f"best without a false pair {where}: < {least:.3f}"] = float(np.nextafter(least, 0))
        self._bounds = list(bounds.values())
        return [Setting(name, counted(pairs, bound)) for name, bound in bounds.items()]

    def found(self, files: Files) -> Bools:
        """Return which copies are near enough to their original, for each bound."""
        copies = np.stack([self._signature(copy) for copy in files.copies])
        return self._distances(self._signature(files.original), copies) <= np.array(self._bounds)[:, None]

    def close(self) -> None:
        """End the decoder."""
        self._stack.close()

    def _pairs(self, folder: Path) -> Floats:
        signatures = np.stack([self._signature(photo) for photo in photos_in(folder)])
        rows = [self._distances(one, signatures[row + 1 :]) for row, one in enumerate(signatures[:-1])]
        return np.concatenate(rows) if rows else np.zeros(0)

    def _distances(self, one: Int8Array, many: Int8Array) -> Floats:
        if self._turned:
            return distances(one, many)[0]
        wide, others = one.astype(np.int64), many.astype(np.int64)
        squared = np.einsum("ij,ij->i", others, others).astype(np.float64)
        return from_products((others @ wide).astype(np.float64), np.float64(wide @ wide), squared)

    def _signature(self, photo: Path) -> Int8Array:
        """Return the values, all zero (like nothing) for what is flat or cannot be decoded."""
        try:
            with read_source(photo) as source:
                signature = compute(self._decoder.decode(source).grey)
        except MediaError:
            signature = None
        return np.zeros(272, np.int8) if signature is None else np.frombuffer(signature.values, np.int8)
