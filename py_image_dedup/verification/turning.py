"""Which of the eight turns makes one picture look like another one, seen from afar."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.orientation import turn_grey

Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]

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
    likeness = {turn: float((_unit(turn_grey(small, turn)) * other).sum()) for turn in Orientation}
    best = max(likeness, key=lambda turn: likeness[turn])
    return best if likeness[best] >= LEAST_LIKENESS else None


def _from_afar(picture: UInt8Array) -> UInt8Array:
    return cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _unit(picture: UInt8Array) -> Float64Array:
    centred = picture - picture.mean()
    length = float(np.sqrt((centred * centred).sum()))
    unit: Float64Array = centred / length if length > 0 else centred
    return unit
