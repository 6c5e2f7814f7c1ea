"""The trained numbers that descriptors are shortened with and words are named by: ``codebook.npz`` beside this file.

``tools/train_codebook.py`` makes it from a folder of photographs. What was trained:

- a projection from 128 values to 16 that keeps what tells photos apart and drops what edits change (a linear
  discriminant: the covariance of all descriptors against that of the differences between copies). Each of the 16 is
  either symmetric or antisymmetric under mirroring, so a mirrored picture's descriptors are a change of signs;
- two sets of 2,048 centres, each in eight of those dimensions (product quantisation: H. Jegou and others, PAMI 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from py_image_dedup.signature.arrays import Float32Array, Int8Array

FEATURES_VERSION = 2
"""Changes when the same grey picture may give other features or words, or when they are packed in another way."""

DIMENSIONS = 16
HALVES = 2
CENTRES = 2048
LARGEST = 31
"""A compressed value lies between its negative and this: 6 bits."""
CENTRE_UNIT = 4
"""Centres are kept in quarters of a compressed value's step."""


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """What was trained. Arrays are read-only.

    Attributes:
        mean: float32, shape ``(128,)``, of the descriptors.
        projection: float32, shape ``(128, 16)``; what comes out has noise of the same size in each dimension.
        step: float32, shape ``(16,)``: what one step of a compressed value means in the projection.
        mirror: int8, shape ``(16,)``: 1 or -1, the factors that mirroring a picture has on its compressed descriptors.
        centres: float32, shape ``(2, 2048, 8)``, in the units of the projection.
    """

    mean: Float32Array
    projection: Float32Array
    step: Float32Array
    mirror: Int8Array
    centres: Float32Array

    def compress(self, descriptors: Float32Array) -> Int8Array:
        """Shorten descriptors.

        Args:
            descriptors: float32, shape ``(n, 128)``, as ``descriptor.describe`` makes them.

        Returns:
            int8 from -31 to 31, shape ``(n, 16)``.
        """
        steps = ((descriptors - self.mean) @ self.projection) / self.step
        return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8)

    def expand(self, compressed: Int8Array) -> Float32Array:
        """Return the values that compressed ones stand for, float32: comparable by their Euclidean distance."""
        return compressed.astype(np.float32) * self.step


@cache
def codebook() -> Codebook:
    """Load the codebook that comes with the package, once."""
    from importlib import resources  # takes a while, and few runs ask for the codebook

    source = resources.files(__package__) / "codebook.npz"
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as stored:
        step = stored["step"].astype(np.float32)
        centres = stored["centres"].astype(np.float32) / CENTRE_UNIT * step.reshape(HALVES, 1, -1)
        arrays = (stored["mean"], stored["projection"], step, stored["mirror"].astype(np.int8), centres)
    for array in arrays:
        array.setflags(write=False)
    return Codebook(*arrays)
