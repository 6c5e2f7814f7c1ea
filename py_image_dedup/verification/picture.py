"""A picture made ready for verification, as far as verification asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.extract import Features, open_thumbnail
from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Float64Array, UInt8Array
from py_image_dedup.signature.orientation import orient_picture
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


LEAST_LIKENESS = 0.8
"""Correlation of two pictures of 16 x 16 pixels that makes it worth laying them over each other."""

_SIDE = 16


def likeliest_turn(left: UInt8Array, right: UInt8Array) -> Orientation | None:
    """Return the turn that makes the left picture look most like the right one, if it then does.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
    """
    small, other = _from_afar(left), _unit(_from_afar(right))
    likeness = {turn: float((_unit(orient_picture(small, turn)) * other).sum()) for turn in Orientation}
    best = max(likeness, key=lambda turn: likeness[turn])
    return best if likeness[best] >= LEAST_LIKENESS else None


def _from_afar(picture: UInt8Array) -> UInt8Array:
    return cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _unit(picture: UInt8Array) -> Float64Array:
    centred = picture - picture.mean()
    length = float(np.sqrt((centred * centred).sum()))
    unit: Float64Array = centred / length if length > 0 else centred
    return unit
