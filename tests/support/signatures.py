"""The distance of two signatures in one orientation, for tests that compare orientations one by one."""

from __future__ import annotations

import numpy as np

from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.distance import from_products


def distance(a: Int8Array, b: Int8Array) -> float:
    one, other = a.astype(np.int64), b.astype(np.int64)
    dots = np.array([one @ other], dtype=np.float64)
    return float(from_products(dots, np.array([one @ one], np.float64), np.array([other @ other], np.float64))[0])
