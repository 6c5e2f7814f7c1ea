"""A picture prepared for verification; each part is prepared when it is first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.extract import Features, open_thumbnail, page_score
from py_image_dedup.model.match import Orientation
from py_image_dedup.signature.arrays import Float64Array, UInt8Array
from py_image_dedup.signature.orientation import orient_picture
from py_image_dedup.verification.correspondence import PreparedKeypoints
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, scaling, translation


# Without slots, because what is computed once is kept in the instance's dictionary.
@dataclass(frozen=True, eq=False)
class Picture:
    """The features of a picture and what verification derives from them: 20 kB, up to 100 kB once compared.

    Thread-safe: threads that need the same part at the same time compute it twice, with the same result.

    Attributes:
        features: The features from the index.
    """

    features: Features

    @cached_property
    def keypoints(self) -> PreparedKeypoints:
        """The keypoints, prepared for matching."""
        return PreparedKeypoints.of(self.features)

    @cached_property
    def mirrored_keypoints(self) -> PreparedKeypoints:
        """The keypoints of the mirrored picture, prepared for matching."""
        return PreparedKeypoints.of(self.features.mirrored())

    @cached_property
    def thumbnail(self) -> npt.NDArray[np.uint8]:
        """The thumbnail: uint8, shape ``(height, width)``.

        Raises:
            ValueError: The index entry is damaged.
        """
        return open_thumbnail(self.features.thumbnail)

    @cached_property
    def half(self) -> npt.NDArray[np.uint8]:
        """The thumbnail at half size: uint8, shape ``(height, width)``."""
        return _halved(self.thumbnail)

    @cached_property
    def background(self) -> npt.NDArray[np.uint8]:
        """The thumbnail without print, at half size: uint8, shape ``(height, width)``."""
        height, width = self.half.shape
        # Every other pixel, not their means, which would mix print and paper; in a twentieth of the time of all pixels.
        some = np.ascontiguousarray(self.thumbnail[::2, ::2][:height, :width])
        return cv2.medianBlur(some, T.background_side).astype(np.uint8, copy=False)

    @cached_property
    def document_score(self) -> float:
        """How much the whole picture resembles a document; see ``features.extract.page_score``."""
        return page_score(self.thumbnail)

    @cached_property
    def insets(self) -> tuple[tuple[Picture, Transform], ...]:
        """The photos inside the picture, each with the map from its thumbnail to that of this picture."""
        width, height = self.size
        across, down = width / self.features.width, height / self.features.height
        found = []
        for inset in self.features.insets:
            picture = Picture(inset.features)
            own_width, own_height = picture.size
            to_page = scaling(inset.width * across / own_width, inset.height * down / own_height)
            found.append((picture, to_page.then(translation(inset.left * across, inset.top * down))))
        return tuple(found)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the thumbnail, pixels."""
        height, width = self.thumbnail.shape
        return float(width), float(height)

    @property
    def to_thumbnail(self) -> Transform:
        """The map from the frame of the keypoints to the thumbnail."""
        width, height = self.size
        return scaling(width / self.features.width, height / self.features.height)


_SIDE = 32
_ORDER = 3


def _surfaces() -> Float64Array:
    """Return an orthonormal basis of the surfaces up to the third order on 32 x 32 points."""
    y, x = (along.ravel() / (_SIDE - 1) * 2 - 1 for along in np.mgrid[0:_SIDE, 0:_SIDE])
    powers = [x**i * y**j for i in range(_ORDER + 1) for j in range(_ORDER + 1 - i)]
    basis: Float64Array = np.linalg.qr(np.stack(powers, axis=1))[0]
    return basis


_SURFACES = _surfaces()
_SURFACES.setflags(write=False)


def best_orientation(left: UInt8Array, right: UInt8Array) -> Orientation | None:
    """Return the orientation change after which the soft detail of two smooth pictures correlates, if it then does.

    Any two skies are lighter towards the horizon: only what is left of a gradient tells one from another.

    Args:
        left: uint8, shape ``(height, width)``.
        right: uint8.
    """
    small, other = _soft_detail(left), _soft_detail(right)
    if min(small.std(), other.std()) < T.min_soft_deviation:
        return None
    other = other / np.linalg.norm(other)
    small = small / np.linalg.norm(small)
    correlation = {each: float((orient_picture(small, each) * other).sum()) for each in Orientation}
    best = max(correlation, key=lambda orientation: correlation[orientation])
    return best if correlation[best] >= T.min_soft_correlation else None


def _soft_detail(picture: UInt8Array) -> Float64Array:
    """Return a picture at 32 x 32 pixels without its gradients: float64, grey levels, of mean 0."""
    small = cv2.resize(picture.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float64).ravel()
    detail: Float64Array = (values - _SURFACES @ (_SURFACES.T @ values)).reshape(_SIDE, _SIDE)
    return detail


def _halved(picture: UInt8Array) -> UInt8Array:
    height, width = picture.shape
    size = (max(1, round(width / 2)), max(1, round(height / 2)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
