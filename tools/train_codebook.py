"""Train the codebook of the local features from photographs.

    python tools/train_codebook.py FOLDER[:COUNT] ... [--output FILE] [--seed N]

``FOLDER:50`` takes the first fifty photos of a folder. The codebook that comes with the package was made from the
training photos and the first fifty validation photos of BSDS500 (250 photos, one minute):

    python tools/train_codebook.py bsds500/train bsds500/val:50

The same photos and the same seed give the same codebook on the same machine.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from py_image_dedup.features import codebook
from py_image_dedup.features import extract as features
from py_image_dedup.features import keypoints as descriptor
from py_image_dedup.features.keypoints import (
    GradientSampler,
    assign_orientations,
    compute_descriptors,
    detect_keypoints,
)
from py_image_dedup.media.worker.decode import canonical_size

Floats = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]

COPIES = 8
KEYPOINTS = 500
NOISE_FLOOR = 0.1
ROUNDS = 15
TRAINING_ROWS = 80_000
STEPS_PER_DEVIATION = 9.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:COUNT]")
    parser.add_argument("--output", type=Path, default=Path(str(codebook.__file__)).with_name("codebook.npz"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    photos = [path for folder in arguments.folders for path in _photos(folder)]
    all_rows, ones, others = [], [], []
    for number, path in enumerate(photos):
        grey = _canonical(Image.open(path))
        points, rows = _describe(grey)
        all_rows.append(rows)
        for copy, move in _copies(grey, random):
            copied_points, copied_rows = _describe(copy)
            left, right = _same_places(points, copied_points, move)
            ones.append(rows[left])
            others.append(copied_rows[right])
        if number % 50 == 49:
            print(f"{number + 1} of {len(photos)} photos")
    trained = train(np.concatenate(all_rows), np.concatenate(ones), np.concatenate(others), random)
    np.savez_compressed(arguments.output, **trained)
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes")


def train(
    rows: Floats, ones: Floats, others: Floats, random: np.random.Generator
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of ``codebook.npz``.

    Args:
        rows: Descriptors of all photos.
        ones: Descriptors of points ...
        others: ... and of the same points in copies.
        random: Draws the first centres.
    """
    mirror = descriptor.MIRROR
    mean = (rows.mean(axis=0) + rows.mean(axis=0)[mirror]) / 2
    projection, signs = _discriminant(rows - mean, ones - others)
    both = np.concatenate([rows, rows[:, mirror]]) - mean
    step = (both @ projection).std(axis=0) / STEPS_PER_DEVIATION
    compressed = np.clip(np.rint(both @ projection / step), -codebook.LARGEST, codebook.LARGEST)
    sample = compressed[random.choice(len(compressed), min(TRAINING_ROWS, len(compressed)), replace=False)] * step
    half = codebook.DIMENSIONS // codebook.HALVES
    centres = [
        _k_means(sample[:, first : first + half], codebook.CENTRES, random) / step[first : first + half]
        for first in range(0, codebook.DIMENSIONS, half)
    ]
    return {
        "mean": mean.astype(np.float32),
        "projection": projection.astype(np.float32),
        "step": step.astype(np.float32),
        "mirror": signs.astype(np.int8),
        "centres": np.clip(np.rint(np.stack(centres) * codebook.CENTRE_UNIT), -127, 127).astype(np.int8),
    }


def _discriminant(rows: Floats, differences: Floats) -> tuple[Floats, Floats]:
    """Find the directions with most signal for their noise, apart for what mirroring keeps and what it negates."""
    swap = np.eye(descriptor.LENGTH)[descriptor.MIRROR]
    total = rows.T @ rows / len(rows)
    noise = differences.T @ differences / len(differences) / 2
    total, noise = ((matrix + swap @ matrix @ swap.T) / 2 for matrix in (total, noise))
    noise += np.eye(len(noise)) * NOISE_FLOOR * np.trace(total) / len(total)
    found = []
    for sign in (1, -1):
        values, vectors = np.linalg.eigh((np.eye(len(swap)) + sign * swap) / 2)
        basis = vectors[:, values > 0.5]
        whiten = np.linalg.inv(np.linalg.cholesky(basis.T @ noise @ basis)).T
        ratios, directions = np.linalg.eigh(whiten.T @ basis.T @ total @ basis @ whiten)
        found += [(ratio, sign, basis @ whiten @ column) for ratio, column in zip(ratios, directions.T, strict=True)]
    found.sort(key=lambda direction: -direction[0])
    # Every second one, so that both halves of a word know as much.
    best = found[: codebook.DIMENSIONS : 2] + found[1 : codebook.DIMENSIONS : 2]
    return np.stack([column for _, _, column in best], axis=1), np.array([sign for _, sign, _ in best])


def _k_means(rows: Floats, count: int, random: np.random.Generator) -> Floats:
    centres = rows[random.choice(len(rows), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = np.concatenate(
            [
                (part @ centres.T - (centres * centres).sum(axis=1) / 2).argmax(axis=1)
                for part in np.array_split(rows, math.ceil(len(rows) / 8192))
            ]
        )
        members = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, column, count) for column in rows.T], axis=1)
        fresh = rows[random.choice(len(rows), count)]
        centres = np.where(members[:, None] > 0, sums / np.maximum(members, 1)[:, None], fresh)
    return centres


def _photos(argument: str) -> list[Path]:
    folder, _, count = argument.partition(":")
    found = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    if not found:
        raise SystemExit(f"{folder}: no photos here")
    return found[: int(count)] if count else found


def _canonical(image: Image.Image) -> Grey:
    upright = ImageOps.exif_transpose(image).convert("L")
    return np.asarray(upright.resize(canonical_size(*upright.size), Image.Resampling.BOX))


def _describe(grey: Grey) -> tuple[Floats, Floats]:
    """Return points (x, y, sigma, angle) in pixels of this picture, and descriptors."""
    keypoints, levels = detect_keypoints(grey)
    if not len(keypoints):
        return np.zeros((0, 4)), np.zeros((0, descriptor.LENGTH))
    keypoints = keypoints.at(features.select_spatially(keypoints, max(grey.shape), KEYPOINTS))
    surroundings = GradientSampler(levels, keypoints)
    rows, angles = assign_orientations(surroundings, len(keypoints))
    points = np.stack([keypoints.x[rows], keypoints.y[rows], keypoints.sigma[rows], angles], axis=1)
    return points, compute_descriptors(surroundings, rows, angles).astype(np.float64)


def _copies(grey: Grey, random: np.random.Generator) -> Iterator[tuple[Grey, Floats]]:
    """Yield edited pictures, each with the affine map (2 x 3) that leads from the original to it."""
    height, width = grey.shape
    for _ in range(COPIES):
        angle = math.radians(random.choice([0, 0, random.uniform(-15, 15), random.uniform(-180, 180)]))
        scale = 2 ** random.uniform(-1.3, 0.7)
        squash = random.choice([1.0, 1.0, random.uniform(0.8, 1.25)])
        linear = scale * np.array(
            [[math.cos(angle) * squash, -math.sin(angle)], [math.sin(angle) * squash, math.cos(angle)]]
        )
        size = (max(48, round(width * min(scale, 1.0))), max(48, round(height * min(scale, 1.0))))
        shift = np.array(size) / 2 - linear @ np.array([width / 2, height / 2])
        move = np.column_stack([linear, shift])
        smooth = cv2.GaussianBlur(grey, (0, 0), max(0.1, 0.5 / scale)) if scale < 1 else grey
        copy = cv2.warpAffine(smooth, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(
            np.float64
        )
        copy = 255 * (np.clip(copy, 0, 255) / 255) ** 2 ** random.uniform(-0.8, 0.8)
        copy = (copy - 128) * random.uniform(0.6, 1.6) + 128 + random.uniform(-30, 30)
        if random.random() < 0.3:
            copy = cv2.GaussianBlur(copy, (0, 0), random.uniform(0.5, 2))
        if random.random() < 0.3:
            copy += random.normal(0, random.uniform(2, 20), copy.shape)
        picture = Image.fromarray(np.clip(copy, 0, 255).astype(np.uint8))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(random.integers(5, 80)))
        yield np.asarray(Image.open(stream)), move


def _same_places(points: Floats, copied: Floats, move: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of points that are at the same place, of the same size, and turned alike."""
    linear = move[:, :2]
    scale = math.sqrt(abs(np.linalg.det(linear)))
    moved = points[:, :2] @ linear.T + move[:, 2]
    directions = np.stack([np.cos(points[:, 3]), np.sin(points[:, 3])], axis=1) @ linear.T
    angles = np.arctan2(directions[:, 1], directions[:, 0])
    apart = np.linalg.norm(moved[:, None] - copied[None, :, :2], axis=2)
    turned = np.abs((angles[:, None] - copied[None, :, 3] + math.pi) % (2 * math.pi) - math.pi)
    octaves = np.abs(np.log2(points[:, None, 2] * scale / copied[None, :, 2]))
    left, right = np.nonzero((apart < 2 * max(1.0, scale)) & (turned < math.radians(20)) & (octaves < 0.35))
    return left, right


if __name__ == "__main__":
    main()
