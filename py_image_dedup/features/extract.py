"""The local features of a picture, which crops, insets, rotated and mirrored copies share with it.

Up to 200 keypoints, spread over the picture, each with a short descriptor, and a grey thumbnail: everything that
finding and verifying a match needs, in about 8 kB (18 kB for a document), so that no second decode is ever needed.
Each photo inside a picture, as on a page or in a collage, has as many of its own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from py_image_dedup.features.codebook import DIMENSIONS, FEATURES_VERSION, LARGEST, codebook
from py_image_dedup.features.contrast import normalised
from py_image_dedup.features.keypoints import (
    GradientSampler,
    Keypoints,
    assign_orientations,
    compute_descriptors,
    detect_keypoints,
)
from py_image_dedup.signature.arrays import Float32Array, Float64Array, Int8Array, Int64Array, UInt8Array, UInt32Array

if TYPE_CHECKING:
    from py_image_dedup.media.worker.protocol import Panel

DOCUMENT = 0.75
"""Least document score of a document: scanned receipts have 0.9 to 2.2, 99 photos in 100 less than 0.55."""

POSSIBLE_DOCUMENT = 0.6
"""Least document score of a picture that may be a document, of which more is stored."""

_PATCH_SIDE = 16
_PATCH_STEP = 8
_MIN_VARIANCE = 144.0
_MIN_PATCHES = 6
_MIN_SKEWNESS_OF_A_PAGE = 0.7
"""Screenshots, slides, invoices and pages have 0.92 and more, 99 photos in 100 less than 0.67, garments up to 1.5."""
_MIN_COMMON_GREYS = 0.6
"""Pages in more than one ink have 0.6 and more; 99 photos and garments in 100 less than 0.76, few of them with such a
skewness."""


def document_score(grey: UInt8Array | Float32Array, valid: Float32Array | None = None) -> float:
    """Return the similarity of a picture to a document in one colour of ink.

    Args:
        grey: Shape ``(height, width)``, 0 to 255.
        valid: float32 of the same shape: 1 where the picture counts, 0 elsewhere; ``None`` for everywhere.

    Returns:
        The skewness of grey values that three of four textured patches exceed, towards dark or towards light ink;
        0 where there are too few such patches. See ``DOCUMENT``.

    Thread-safety: any number of threads.
    """
    skewness = _skewness(grey, valid)
    return _one_ink(skewness) if len(skewness) else 0.0


def page_score(grey: UInt8Array | Float32Array, valid: Float32Array | None = None) -> float:
    """Return the similarity of a picture to a document, to a slide or to a screen with light and dark print.

    Stored features depend on ``document_score`` and not on this.

    Args:
        grey: As for ``document_score``.
        valid: As for ``document_score``.

    Returns:
        ``document_score``, or the skewness in either direction where most of the picture has three grey values, scaled
        so that ``DOCUMENT`` is the limit of both.

    Thread-safety: any number of threads.
    """
    skewness = _skewness(grey, valid)
    if not len(skewness):
        return 0.0
    score = _one_ink(skewness)
    if score >= DOCUMENT:
        return score
    either = float(np.quantile(np.abs(skewness), 0.25)) * DOCUMENT / _MIN_SKEWNESS_OF_A_PAGE
    if either <= score or _commonest_greys(grey, valid) < _MIN_COMMON_GREYS:
        return score
    return either


def _one_ink(skewness: Float64Array) -> float:
    return float(max(np.quantile(skewness, 0.25), np.quantile(-skewness, 0.25)))


def _commonest_greys(grey: UInt8Array | Float32Array, valid: Float32Array | None) -> float:
    """Return the share of pixels within four levels of one of the three commonest grey values."""
    levels = grey if grey.dtype == np.uint8 else np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    counts = np.bincount(levels.ravel() if valid is None else levels[valid > 0], minlength=256).astype(np.float64)
    total, share = counts.sum(), 0.0
    for _ in range(3):
        near = np.convolve(counts, np.ones(9), mode="same")
        middle = int(near.argmax())
        share += near[middle]
        counts[max(0, middle - 6) : middle + 7] = 0
    return float(share / max(total, 1.0))


def _skewness(grey: UInt8Array | Float32Array, valid: Float32Array | None) -> Float64Array:
    """Return the skewness of the grey values of each textured patch; none where there are too few of them."""
    nothing = np.zeros(0)
    if min(grey.shape) < 2 * _PATCH_SIDE:
        return nothing
    share: Float64Array | float = 1.0
    if valid is None and grey.dtype == np.uint8:
        first, second, third = _whole_number_patches(grey.astype(np.uint32))
    else:
        values = grey.astype(np.float32)
        weight = np.ones_like(values) if valid is None else valid
        share = _patches(weight)
        masked = values * weight
        powers = (masked, masked * values, masked * values * values)
        first, second, third = (_patches(power) / np.maximum(share, 1e-3) for power in powers)
    variance = second - first * first
    textured = (share > 0.8) & (variance > _MIN_VARIANCE)
    if textured.sum() < _MIN_PATCHES:
        return nothing
    mean = first[textured]
    moment = third[textured] - 3 * mean * second[textured] + 2 * mean**3
    skewness: Float64Array = moment / variance[textured] ** 1.5
    return skewness


def _patches(values: Float32Array) -> Float64Array:
    means = cv2.boxFilter(values, -1, (_PATCH_SIDE, _PATCH_SIDE), borderType=cv2.BORDER_REFLECT)
    return means[_PATCH_STEP:-_PATCH_STEP:_PATCH_STEP, _PATCH_STEP:-_PATCH_STEP:_PATCH_STEP].astype(np.float64)


def _whole_number_patches(grey: UInt32Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return ``_patches`` of the first three powers of whole greys, to the last bit.

    All sums fit 32 bits (256 times 255 cubed), so they may be added in any order: here from tiles that the patches
    share. That takes a third of the time.
    """
    down, across = ((side - 1) // _PATCH_STEP for side in grey.shape)
    values = np.ascontiguousarray(grey[: down * _PATCH_STEP, : across * _PATCH_STEP])
    square = values * values
    first, second, third = (
        _patch_means(power.reshape(down, _PATCH_STEP, across, _PATCH_STEP))
        for power in (values, square, square * values)
    )
    return first, second, third


def _patch_means(tiles: UInt32Array) -> Float64Array:
    """Return the mean of every two by two neighbouring tiles of ``(row, y, column, x)``, rounded to float32."""
    strips = np.add.reduce(tiles, axis=1, dtype=np.uint32)
    sums = np.add.reduce(strips, axis=2, dtype=np.uint32)
    sums = sums[1:] + sums[:-1]
    sums = sums[:, 1:] + sums[:, :-1]
    means: Float64Array = (sums / _PATCH_SIDE**2).astype(np.float32).astype(np.float64)
    return means


SHORT_SIDE = 160
"""Short side of a photo's thumbnail, in pixels; smaller pictures are not enlarged."""
DOCUMENT_SHORT_SIDE = 256
"""Short side of a document's thumbnail, in pixels: two documents may differ in one digit of a sum."""
LONG_SIDE = 512
"""Longest long side of a thumbnail, in pixels, for panoramas; half as much again for a document."""
QUALITY = 60
"""JPEG quality of a photo's thumbnail: 5 kB, with a mean error of 5 or 6 grey levels. WebP would need 3 kB for the
same, and fifteen times as long."""
DOCUMENT_QUALITY = 40
"""WebP quality of a document's thumbnail: 12 kB, where JPEG would need 24 kB for equally legible text."""


def make_thumbnail(grey: UInt8Array, *, fine: bool) -> bytes:
    """Encode the thumbnail of a grey picture.

    Args:
        grey: uint8, shape ``(height, width)``.
        fine: Whether the picture may be a document.

    Returns:
        A JPEG file, or a WebP file if the picture may be a document.

    Raises:
        ValueError: The encoder refused the picture.
    """
    height, width = grey.shape
    short, long = (DOCUMENT_SHORT_SIDE, LONG_SIDE * 3 // 2) if fine else (SHORT_SIDE, LONG_SIDE)
    scale = min(1.0, short / min(height, width), long / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if fine:
        done, encoded = cv2.imencode(".webp", grey, [cv2.IMWRITE_WEBP_QUALITY, DOCUMENT_QUALITY])
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        done, encoded = cv2.imencode(".jpg", grey, options)
    if not done:
        raise ValueError(f"a thumbnail of {width} x {height} pixels could not be encoded")
    return encoded.tobytes()


def open_thumbnail(encoded: bytes) -> UInt8Array:
    """Decode a thumbnail.

    Returns:
        uint8, shape ``(height, width)``.

    Raises:
        ValueError: The bytes are not a thumbnail.
    """
    picture = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{len(encoded)} bytes are not a thumbnail: the index entry is damaged")
    return picture.astype(np.uint8, copy=False)


FRAME = 256
"""Short side of the frame that keypoints are measured in, in pixels."""
MAX_FEATURES = 200
"""The largest number of features of a photo."""
MAX_DOCUMENT_FEATURES = 400
"""The largest number of features of a document: a photo printed on the page needs its share of them."""

_MAX_SIDE = 768
_MIN_SIDE = 200
_CELLS_ALONG = 6
_HEADER = struct.Struct("<BHHH")
_AND_INSETS: Final = FEATURES_VERSION | 0x80
"""Version of features that are followed by insets; there were none in earlier releases."""
_INSET = struct.Struct("<4fI")
_LENGTH = struct.Struct("<I")
_POINT_UNIT = 32.0
_SIZE_UNIT = 24.0
_ANGLE_UNIT = 256 / (2 * math.pi)
_RECORD = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("size", "u1"), ("angle", "u1"), ("descriptor", "u1", (DIMENSIONS * 3 // 4,))]
)


@dataclass(frozen=True, slots=True, eq=False)
class Inset:
    """A photo inside a picture, as on a page or in a collage, with features of its own.

    Attributes:
        left: Its left edge, pixels of the picture's frame.
        top: Its upper edge.
        width: Its width.
        height: Its height.
        features: Its features, in a frame of its own; they have no insets.
    """

    left: float
    top: float
    width: float
    height: float
    features: Features

    @property
    def points(self) -> Float32Array:
        """The points of the features in the frame of the picture: float32, shape ``(n, 4)``."""
        scale = self.width / self.features.width
        moved = self.features.points * np.array([scale, self.height / self.features.height, scale, 1], np.float32)
        return moved + np.array([self.left, self.top, 0, 0], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The local features of one picture. The arrays are read-only.

    Attributes:
        width: Width of the frame of the points: the picture scaled to a short side of 256 pixels.
        height: Height of the frame.
        points: float32, shape ``(n, 4)``: x, y (0 is the left or upper edge) and size (sigma) in pixels of the frame,
            angle in radians, y downwards.
        descriptors: int8, shape ``(n, 16)``, compressed.
        thumbnail: Small grey picture, encoded.
        insets: Photos inside the picture.
    """

    width: float
    height: float
    points: Float32Array
    descriptors: Int8Array
    thumbnail: bytes
    insets: tuple[Inset, ...] = ()

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.points)

    def mirrored(self) -> Features:
        """Return the features of the mirrored picture, left and right exchanged.

        Thumbnails are not mirrored.
        """
        points = self.points.copy()
        points[:, 0] = self.width - points[:, 0]
        points[:, 3] = (math.pi - points[:, 3]) % (2 * math.pi)
        insets = tuple(
            replace(inset, left=self.width - inset.left - inset.width, features=inset.features.mirrored())
            for inset in self.insets
        )
        return replace(self, points=points, descriptors=self.descriptors * codebook().mirror, insets=insets)


FEW_FEATURES = 60
"""Number of features below which a picture is looked at again with its contrast normalised."""
MIN_FEATURES = 24
"""Least number of features by which normalised contrast shows structure."""


def extract(grey: UInt8Array, panels: Sequence[Panel] = ()) -> Features:
    """Return the local features of a picture.

    A faint picture (dark, foggy, stars) with few features has those of its normalised contrast, with a thumbnail of it.

    Args:
        grey: Canonical grey picture, uint8, shape ``(height, width)``.
        panels: Photos inside the picture, as it was decoded.

    Returns:
        The features; none of a featureless picture. The same array gives the same features on every machine.

    Raises:
        ValueError: Not uint8, not two-dimensional, or empty.

    Thread-safety: any number of threads; native code releases the interpreter lock. 6 ms of CPU time for a photo.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or not grey.size:
        raise ValueError(f"a grey picture is uint8 of shape (height, width), not {grey.dtype} {grey.shape}")
    found = _extract(grey)
    if len(found) < FEW_FEATURES:
        found = extract_faint(grey, len(found)) or found
    insets = (_inset(panel, found) for panel in panels)
    return replace(found, insets=tuple(inset for inset in insets if inset is not None))


def _inset(panel: Panel, whole: Features) -> Inset | None:
    """Return a photo inside a picture with its features; ``None`` for print, and for what has hardly any features."""
    grey = panel.canonical
    if document_score(grey) > POSSIBLE_DOCUMENT:
        return None
    features = _extract(grey)
    if len(features) < MIN_FEATURES:
        return None
    left, top, right, bottom = panel.left, panel.top, panel.right, panel.bottom
    width, height = (right - left) * whole.width, (bottom - top) * whole.height
    return Inset(left * whole.width, top * whole.height, width, height, features)


def extract_faint(grey: UInt8Array, most: int = 0) -> Features | None:
    """Return the local features of a faint picture with its contrast normalised.

    Args:
        grey: Canonical grey picture, uint8, shape ``(height, width)``.
        most: Number of features that have to be exceeded.

    Returns:
        The features; ``None`` if the contrast is normal, or if there is no structure but noise.
    """
    versions = (_extract(version) for version in normalised(grey))
    return next((found for found in versions if len(found) >= MIN_FEATURES and len(found) > most), None)


def _extract(grey: UInt8Array) -> Features:
    """Return the local features of a picture as it is."""
    may_be_document = document_score(grey) > POSSIBLE_DOCUMENT
    thumbnail = make_thumbnail(grey, fine=may_be_document)
    most = MAX_DOCUMENT_FEATURES if may_be_document else MAX_FEATURES
    height, width = grey.shape
    frame_scale = FRAME / min(height, width)
    frame = (width * frame_scale, height * frame_scale)
    if max(frame) > np.iinfo(np.uint16).max / _POINT_UNIT:
        return _without_points(frame, thumbnail)
    working = _working_size(grey)
    keypoints, levels = detect_keypoints(working)
    if not len(keypoints):
        return _without_points(frame, thumbnail)
    keypoints = keypoints.at(select_spatially(keypoints, max(working.shape), most))
    sampler = GradientSampler(levels, keypoints)
    rows, angles = assign_orientations(sampler, len(keypoints))
    rows, angles = rows[:most], angles[:most]
    descriptors = codebook().compress(compute_descriptors(sampler, rows, angles))
    scale = FRAME / min(working.shape)
    columns = (
        (keypoints.x[rows] + 0.5) * scale,
        (keypoints.y[rows] + 0.5) * scale,
        keypoints.sigma[rows] * scale,
        angles,
    )
    return Features(*frame, np.stack(columns, axis=1).astype(np.float32), descriptors, thumbnail)


def pack(features: Features) -> bytes:
    """Return features as bytes for the index: 18 per feature, the thumbnail, and the same of each inset."""
    records = np.zeros(len(features), dtype=_RECORD)
    x, y, size, angle = features.points.astype(np.float64).T
    records["x"] = np.clip(np.rint(x * _POINT_UNIT), 0, 65535)
    records["y"] = np.clip(np.rint(y * _POINT_UNIT), 0, 65535)
    records["size"] = np.clip(np.rint(np.log2(np.maximum(size, 1e-3)) * _SIZE_UNIT), 0, 255)
    records["angle"] = np.rint(angle * _ANGLE_UNIT).astype(np.int64) % 256
    records["descriptor"] = _pack_six_bits(features.descriptors)
    sides = (min(round(side * _POINT_UNIT), 65535) for side in (features.width, features.height))
    version = _AND_INSETS if features.insets else FEATURES_VERSION
    packed = _HEADER.pack(version, *sides, len(features)) + records.tobytes()
    if not features.insets:
        return packed + features.thumbnail
    parts = [packed, _LENGTH.pack(len(features.thumbnail)), features.thumbnail]
    for inset in features.insets:
        own = pack(inset.features)
        parts += [_INSET.pack(inset.left, inset.top, inset.width, inset.height, len(own)), own]
    return b"".join(parts)


def unpack(packed: bytes) -> Features:
    """Return the features of packed bytes, within half a quantisation step of those that were packed.

    Raises:
        ValueError: The bytes are not features of this version.
    """
    if len(packed) < _HEADER.size or packed[0] not in {FEATURES_VERSION, _AND_INSETS}:
        raise ValueError(f"{len(packed)} bytes are not features of version {FEATURES_VERSION}: analyse the file again")
    _, width, height, count = _HEADER.unpack_from(packed)
    end = _HEADER.size + count * _RECORD.itemsize
    if len(packed) < end:
        raise ValueError(f"{count} features need {end} bytes, not {len(packed)}: the index entry is damaged")
    records = np.frombuffer(packed, dtype=_RECORD, count=count, offset=_HEADER.size)
    size = np.exp2(records["size"] / _SIZE_UNIT)
    columns = (records["x"] / _POINT_UNIT, records["y"] / _POINT_UNIT, size, records["angle"] / _ANGLE_UNIT)
    descriptors = _unpack_six_bits(records["descriptor"])
    points = np.stack(columns, axis=1).astype(np.float32)
    thumbnail, insets = _unpack_insets(packed[end:]) if packed[0] == _AND_INSETS else (packed[end:], ())
    return Features(width / _POINT_UNIT, height / _POINT_UNIT, points, descriptors, thumbnail, insets)


def _unpack_insets(packed: bytes) -> tuple[bytes, tuple[Inset, ...]]:
    """Return the thumbnail and the insets.

    Raises:
        ValueError: The bytes are neither.
    """
    parts: list[bytes] = []
    boxes: list[tuple[float, float, float, float]] = []
    position, header = 0, _LENGTH
    while position < len(packed) or not parts:
        start = position + header.size
        if start > len(packed):
            raise ValueError(f"{len(packed)} bytes are no thumbnail with insets: the index entry is damaged")
        *box, length = header.unpack_from(packed, position)
        position = start + length
        if position > len(packed):
            raise ValueError(f"{len(packed)} bytes are no thumbnail with insets: the index entry is damaged")
        part = packed[start:position]
        if box:
            left, top, width, height = box
            if not (0 < width < math.inf and 0 < height < math.inf) or part[:1] == bytes([_AND_INSETS]):
                raise ValueError("an inset has no size, or insets of its own: the index entry is damaged")
            boxes.append((left, top, width, height))
        parts.append(part)
        header = _INSET
    return parts[0], tuple(Inset(*box, unpack(own)) for box, own in zip(boxes, parts[1:], strict=True))


def _pack_six_bits(descriptors: Int8Array) -> UInt8Array:
    """Pack every four values of 6 bits into three bytes."""
    a, b, c, d = (
        (descriptors + np.int8(LARGEST + 1)).astype(np.uint8).reshape(-1, DIMENSIONS // 4, 4).transpose(2, 0, 1)
    )
    packed = np.stack([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d], axis=2)
    return packed.reshape(len(descriptors), DIMENSIONS * 3 // 4)


def _unpack_six_bits(squeezed: UInt8Array) -> Int8Array:
    """Unpack ``_pack_six_bits``."""
    a, b, c = squeezed.reshape(-1, DIMENSIONS // 4, 3).transpose(2, 0, 1)
    values = np.stack([a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63], axis=2)
    return values.reshape(len(squeezed), DIMENSIONS).astype(np.int8) - np.int8(LARGEST + 1)


def _without_points(frame: tuple[float, float], thumbnail: bytes) -> Features:
    return Features(*frame, np.zeros((0, 4), dtype=np.float32), np.zeros((0, DIMENSIONS), dtype=np.int8), thumbnail)


def _working_size(grey: UInt8Array) -> UInt8Array:
    """Enlarge small pictures, so that their features have the sizes of large originals; shrink panoramas."""
    short, long = sorted(grey.shape)
    scale = min(1.0 if short >= _MIN_SIDE else FRAME / short, _MAX_SIDE / long)
    if scale == 1.0:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    kind = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    return cv2.resize(grey, size, interpolation=kind).astype(np.uint8, copy=False)


def select_spatially(keypoints: Keypoints, side: int, most: int) -> Int64Array:
    """Select keypoints evenly: the best of every cell of a grid, then the second best of every cell, and so on.

    Large blobs survive blurs and small copies, so size counts beside contrast. A crop keeps its share of the features.

    Args:
        keypoints: All keypoints.
        side: Long side of the picture in pixels; a cell is a sixth of it.
        most: Number of keypoints to select.

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
    rank_in_cell = np.empty(len(number), dtype=np.int64)
    rank_in_cell[by_cell] = np.arange(len(number)) - np.repeat(starts, np.diff(starts, append=len(number)))
    return best_first[np.argsort(rank_in_cell, kind="stable")[:most]]
