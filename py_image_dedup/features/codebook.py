"""The trained codebook that compresses descriptors and quantises them to words: ``codebook.npz`` beside this file.

``tools/train_codebook.py`` trains it on a folder of photographs. It has

- a projection from 128 values to 16 that keeps what distinguishes photos and drops what edits change (a linear
  discriminant: the covariance of all descriptors against that of the differences between copies). Each of the 16 values
  is symmetric or antisymmetric under mirroring, so mirroring a picture only changes signs of its descriptors;
- two sets of 2,048 centres, each in eight of those dimensions (product quantisation: H. Jegou and others, PAMI 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from py_image_dedup.signature.arrays import Float32Array, Int8Array

FEATURES_VERSION = 2
"""The version of the method: it grows when features or words of the same picture, or their packing, may change."""

DIMENSIONS = 16
HALVES = 2
CENTRES = 2048
LARGEST = 31
"""The largest magnitude of a compressed value: 6 bits."""
CENTRE_UNIT = 4
"""The steps of a stored centre per step of a compressed value."""


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """The trained arrays, read-only.

    Attributes:
        mean: float32, shape ``(128,)``, mean of the descriptors.
        projection: float32, shape ``(128, 16)``; projected values have noise of the same size in each dimension.
        step: float32, shape ``(16,)``: the size of one step of a compressed value in the projection.
        mirror: int8, shape ``(16,)``: 1 or -1, the effect of mirroring a picture on its compressed descriptors.
        centres: float32, shape ``(2, 2048, 8)``, in units of the projection.
        half_norms: float32, shape ``(2, 2048)``: half the squared length of each centre.
    """

    mean: Float32Array
    projection: Float32Array
    step: Float32Array
    mirror: Int8Array
    centres: Float32Array
    half_norms: Float32Array

    def compress(self, descriptors: Float32Array) -> Int8Array:
        """Return descriptors in compressed form.

        Args:
            descriptors: float32, shape ``(n, 128)``, as ``keypoints.compute_descriptors`` returns them.

        Returns:
            int8 from -31 to 31, shape ``(n, 16)``.
        """
        steps = ((descriptors - self.mean) @ self.projection) / self.step
        return np.clip(np.rint(steps), -LARGEST, LARGEST).astype(np.int8)

    def expand(self, compressed: Int8Array) -> Float32Array:
        """Return compressed descriptors as float32 values, comparable by their Euclidean distance."""
        return compressed.astype(np.float32) * self.step


@cache
def codebook() -> Codebook:
    """Return the codebook of the package, loaded once."""
    from importlib import resources  # takes a while, and few runs need the codebook

    source = resources.files(__package__) / "codebook.npz"
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as stored:
        step = stored["step"].astype(np.float32)
        centres = stored["centres"].astype(np.float32) / CENTRE_UNIT * step.reshape(HALVES, 1, -1)
        half_norms = (centres * centres).sum(axis=2) / 2
        arrays = (stored["mean"], stored["projection"], step, stored["mirror"].astype(np.int8), centres, half_norms)
    for array in arrays:
        array.setflags(write=False)
    return Codebook(*arrays)
