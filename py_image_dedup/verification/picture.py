"""A picture made ready for verification, as far as verification asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from py_image_dedup.features.extract import Features
from py_image_dedup.features.thumbnail import open_thumbnail
from py_image_dedup.verification.correspondence import Places
from py_image_dedup.verification.transform import Alignment, scaling


# Without slots, because what is computed once is kept in the instance's dictionary.
@dataclass(frozen=True, eq=False)
class Picture:
    """What verification looks at: 20 kB, and up to 80 kB more once it was compared.

    Threads may share it: two that ask for the same thing first compute it twice, with the same result.

    Attributes:
        features: Of the picture, from the index.
    """

    features: Features

    @cached_property
    def places(self) -> Places:
        """Its features, ready to be paired."""
        return Places.of(self.features)

    @cached_property
    def mirrored(self) -> Places:
        """The features of the picture as a mirror shows it."""
        return Places.of(self.features.mirrored())

    @cached_property
    def thumbnail(self) -> npt.NDArray[np.uint8]:
        """The picture in small: uint8, shape ``(height, width)``.

        Raises:
            ValueError: The index entry is damaged.
        """
        return open_thumbnail(self.features.thumbnail)

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
