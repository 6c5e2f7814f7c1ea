"""The local features of a picture: what crops, insets, turned and mirrored copies still have in common with it.

Up to 200 points, spread over the picture, each with a short descriptor of its surroundings, and a grey thumbnail:
everything that finding and proving a match needs, in about 8 kB (18 kB for a document), so that no second decode is
ever needed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from py_image_dedup.features.codebook import DIMENSIONS, FEATURES_VERSION, LARGEST, codebook
from py_image_dedup.features.descriptor import Surroundings, describe, orient
from py_image_dedup.features.document import PERHAPS_DOCUMENT, document_likeness
from py_image_dedup.features.keypoints import Keypoints, detect
from py_image_dedup.features.thumbnail import make_thumbnail
from py_image_dedup.signature.arrays import Int8Array, Int64Array, UInt8Array

Float32Array = npt.NDArray[np.float32]

FRAME = 256
"""Points are measured as if the picture's short side had this many pixels."""
MOST = 200
"""Features kept of one photo."""
MOST_OF_DOCUMENT = 400
"""Features kept of a document: a photo that is printed on the page shall have its share of them."""

_LARGEST_SIDE = 768
_SMALLEST_SIDE = 200
_CELLS_ALONG = 6
_HEADER = struct.Struct("<BHHH")
_POINT_UNIT = 32.0
_SIZE_UNIT = 24.0
_ANGLE_UNIT = 256 / (2 * math.pi)
_RECORD = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("size", "u1"), ("angle", "u1"), ("descriptor", "u1", (DIMENSIONS * 3 // 4,))]
)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The local features of one picture. Arrays are not to be written to.

    Attributes:
        width: Of the frame that the points are in: the picture scaled to a short side of 256.
        height: Of the frame.
        points: float32, shape ``(n, 4)``: x, y (0 is the left or upper edge) and size (sigma) in pixels of the frame,
            angle in radians, y downwards.
        descriptors: int8, shape ``(n, 16)``, compressed.
        thumbnail: A small grey picture, encoded.
    """

    width: float
    height: float
    points: Float32Array
    descriptors: Int8Array
    thumbnail: bytes

    def __len__(self) -> int:
        """How many features."""
        return len(self.points)

    def mirrored(self) -> Features:
        """Return the features of the picture as a mirror shows it, left and right exchanged.

        The thumbnail stays as it is.
        """
        points = self.points.copy()
        points[:, 0] = self.width - points[:, 0]
        points[:, 3] = (math.pi - points[:, 3]) % (2 * math.pi)
        return replace(self, points=points, descriptors=self.descriptors * codebook().mirror)


def extract(grey: UInt8Array) -> Features:
    """Find and describe the local features of a picture.

    Args:
        grey: The canonical grey picture, uint8, shape ``(height, width)``.

    Returns:
        The features; none in a picture without structure. Those of the same array are the same anywhere.

    Raises:
        ValueError: Not uint8, not two-dimensional, or empty.

    Thread-safety: any number of threads; native code releases the interpreter lock. 6 ms of CPU time for a photo.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or not grey.size:
        raise ValueError(f"a grey picture is uint8 of shape (height, width), not {grey.dtype} {grey.shape}")
    may_be_document = document_likeness(grey) > PERHAPS_DOCUMENT
    thumbnail = make_thumbnail(grey, fine=may_be_document)
    most = MOST_OF_DOCUMENT if may_be_document else MOST
    height, width = grey.shape
    frame_scale = FRAME / min(height, width)
    frame = (width * frame_scale, height * frame_scale)
    if max(frame) > np.iinfo(np.uint16).max / _POINT_UNIT:
        return _without_points(frame, thumbnail)
    working = _working_size(grey)
    keypoints, levels = detect(working)
    if not len(keypoints):
        return _without_points(frame, thumbnail)
    keypoints = keypoints.at(spread(keypoints, max(working.shape), most))
    surroundings = Surroundings(levels, keypoints)
    rows, angles = orient(surroundings, len(keypoints))
    rows, angles = rows[:most], angles[:most]
    descriptors = codebook().compress(describe(surroundings, rows, angles))
    scale = FRAME / min(working.shape)
    columns = (
        (keypoints.x[rows] + 0.5) * scale,
        (keypoints.y[rows] + 0.5) * scale,
        keypoints.sigma[rows] * scale,
        angles,
    )
    return Features(*frame, np.stack(columns, axis=1).astype(np.float32), descriptors, thumbnail)


def pack(features: Features) -> bytes:
    """Turn features into bytes for the index: 18 a feature, and the thumbnail."""
    records = np.zeros(len(features), dtype=_RECORD)
    x, y, size, angle = features.points.astype(np.float64).T
    records["x"] = np.clip(np.rint(x * _POINT_UNIT), 0, 65535)
    records["y"] = np.clip(np.rint(y * _POINT_UNIT), 0, 65535)
    records["size"] = np.clip(np.rint(np.log2(np.maximum(size, 1e-3)) * _SIZE_UNIT), 0, 255)
    records["angle"] = np.rint(angle * _ANGLE_UNIT).astype(np.int64) % 256
    records["descriptor"] = _squeeze(features.descriptors)
    sides = (min(round(side * _POINT_UNIT), 65535) for side in (features.width, features.height))
    return _HEADER.pack(FEATURES_VERSION, *sides, len(features)) + records.tobytes() + features.thumbnail


def unpack(packed: bytes) -> Features:
    """Turn the bytes from the index into features: within half a step of what ``pack`` was given.

    Raises:
        ValueError: These are not the bytes of features of this version.
    """
    if len(packed) < _HEADER.size or packed[0] != FEATURES_VERSION:
        raise ValueError(f"{len(packed)} bytes are no features of version {FEATURES_VERSION}: analyse the file again")
    _, width, height, count = _HEADER.unpack_from(packed)
    end = _HEADER.size + count * _RECORD.itemsize
    if len(packed) < end:
        raise ValueError(f"{count} features need {end} bytes, not {len(packed)}: the index entry is damaged")
    records = np.frombuffer(packed, dtype=_RECORD, count=count, offset=_HEADER.size)
    size = np.exp2(records["size"] / _SIZE_UNIT)
    columns = (records["x"] / _POINT_UNIT, records["y"] / _POINT_UNIT, size, records["angle"] / _ANGLE_UNIT)
    descriptors = _stretch(records["descriptor"])
    points = np.stack(columns, axis=1).astype(np.float32)
    return Features(width / _POINT_UNIT, height / _POINT_UNIT, points, descriptors, packed[end:])


def _squeeze(descriptors: Int8Array) -> UInt8Array:
    """Put every four values, of 6 bits, into three bytes."""
    a, b, c, d = (
        (descriptors + np.int8(LARGEST + 1)).astype(np.uint8).reshape(-1, DIMENSIONS // 4, 4).transpose(2, 0, 1)
    )
    packed = np.stack([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d], axis=2)
    return packed.reshape(len(descriptors), DIMENSIONS * 3 // 4)


def _stretch(squeezed: UInt8Array) -> Int8Array:
    """Undo ``_squeeze``."""
    a, b, c = squeezed.reshape(-1, DIMENSIONS // 4, 3).transpose(2, 0, 1)
    values = np.stack([a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63], axis=2)
    return values.reshape(len(squeezed), DIMENSIONS).astype(np.int8) - np.int8(LARGEST + 1)


def _without_points(frame: tuple[float, float], thumbnail: bytes) -> Features:
    return Features(*frame, np.zeros((0, 4), dtype=np.float32), np.zeros((0, DIMENSIONS), dtype=np.int8), thumbnail)


def _working_size(grey: UInt8Array) -> UInt8Array:
    """Enlarge small pictures, so that they have features of the same sizes as their large originals; bound strips."""
    short, long = sorted(grey.shape)
    scale = min(1.0 if short >= _SMALLEST_SIDE else FRAME / short, _LARGEST_SIDE / long)
    if scale == 1.0:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    kind = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    return cv2.resize(grey, size, interpolation=kind).astype(np.uint8, copy=False)


def spread(keypoints: Keypoints, side: int, most: int) -> Int64Array:
    """Choose the keypoints to keep: the best of every cell of a grid, then the second best of every cell, and so on.

    Large blobs outlive blurs and small copies, so size counts beside contrast. A crop keeps its share of the features.

    Args:
        keypoints: All that were found.
        side: The picture's long side in pixels; a cell is a sixth of it.
        most: How many to keep.

    Returns:
        Rows of keypoints, best first.
    """
    cell = side / _CELLS_ALONG
    rank = keypoints.contrast * np.sqrt(keypoints.sigma)
    best_first = np.argsort(-rank, kind="stable")
    column = (keypoints.x // cell).astype(np.int64)[best_first]
    row = (keypoints.y // cell).astype(np.int64)[best_first]
    number = row * (_CELLS_ALONG + 1) + column
    by_cell = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[by_cell], prepend=-1))
    place = np.empty(len(number), dtype=np.int64)
    place[by_cell] = np.arange(len(number)) - np.repeat(starts, np.diff(starts, append=len(number)))
    return best_first[np.argsort(place, kind="stable")[:most]]
