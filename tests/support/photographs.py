"""Generated pictures with as much detail of every size as a photograph has; the same seed gives the same one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.uint8]


def photograph(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """An RGB picture: clouds of every size, and shapes with edges in front of them."""
    random = np.random.default_rng(seed)
    field = np.zeros((height, width, 3), dtype=np.float32)
    size = 2.0
    while size < max(width, height):
        rough = random.normal(size=(round(height / size) + 2, round(width / size) + 2, 3)).astype(np.float32)
        field += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC) * size**0.45
        size *= 1.7
    field = 128 + 45 * (field - field.mean()) / field.std()
    for _ in range(30):
        centre = (int(random.integers(0, width)), int(random.integers(0, height)))
        axes = (int(random.integers(4, width // 6)), int(random.integers(4, height // 6)))
        colour = random.uniform(0, 255, 3)
        mask = np.zeros((height, width), dtype=np.uint8)
        if random.random() < 0.5:
            cv2.ellipse(mask, centre, axes, float(random.uniform(0, 180)), 0, 360, 255, -1)
        else:
            corners = cv2.boxPoints((centre, axes, float(random.uniform(0, 90))))
            cv2.fillConvexPoly(mask, corners.astype(np.int32), 255)
        inside = mask > 0
        field[inside] = 0.35 * field[inside] + 0.65 * colour.astype(np.float32)
    return Image.fromarray(np.clip(cv2.GaussianBlur(field, (0, 0), 0.7), 0, 255).astype(np.uint8))


def grey(image: Image.Image, short: int = 246) -> Grey:
    """The canonical grey picture, nearly: a short side of 246, or less for a smaller picture."""
    scale = min(1.0, short / min(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(image.convert("L").resize(size, Image.Resampling.BOX))
