"""A picture made ready for verification: its features taken out of the index, its thumbnail decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from py_image_dedup.match.alignment import Alignment, scaling
from py_image_dedup.signature.features import Features, unpack
from py_image_dedup.signature.thumbnail import open_thumbnail


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What verification looks at. Some 60 kB; threads may share it.

    Attributes:
        features: Of the picture.
        mirrored: Of the picture as a mirror shows it.
        thumbnail: uint8, shape ``(height, width)``.
    """

    features: Features
    mirrored: Features
    thumbnail: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, packed: bytes) -> Self:
        """Make ready what ``signature.features.pack`` made.

        Raises:
            ValueError: The bytes are damaged, or of another version.
        """
        features = unpack(packed)
        return cls(features, features.mirrored(), open_thumbnail(features.thumbnail))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the thumbnail."""
        height, width = self.thumbnail.shape
        return float(width), float(height)

    @property
    def to_thumbnail(self) -> Alignment:
        """From the frame of the features to the thumbnail."""
        width, height = self.size
        return scaling(width / self.features.width, height / self.features.height)
