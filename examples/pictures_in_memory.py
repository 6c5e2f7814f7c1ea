"""Compare pictures that are no files: bytes, arrays and images of Pillow, from a generator."""

from collections.abc import Iterator

import numpy as np

from py_image_dedup import find_duplicates


def pictures() -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(1)
    blocks = random.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    large = np.kron(blocks, np.ones((30, 30, 1), dtype=np.uint8))
    yield "large", large
    yield "the same", large.copy()
    yield "another", random.integers(0, 256, (200, 200, 3)).astype(np.uint8)


result = find_duplicates(pictures())
print([str(path) for path in result.lower_quality], [str(path) for path in result.unique])
