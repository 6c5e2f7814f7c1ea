"""A guarded decoder that describes each picture where it was decoded.

Started as ``python -m py_image_dedup.features.describe``, one for each thread of the analysis: local features are
many short steps in the interpreter, and in threads of one process they would wait for one another.
"""

from __future__ import annotations

import sys

import numpy as np

from py_image_dedup.features.description import Description
from py_image_dedup.features.extract import extract, pack
from py_image_dedup.features.visual_words import pack_words
from py_image_dedup.media.worker import main as guard
from py_image_dedup.signature.arrays import UInt8Array
from py_image_dedup.signature.blas import one_thread
from py_image_dedup.signature.compute import compute


def describe(grey: UInt8Array) -> Description:
    """Describe a picture: signature, local features, visual words.

    Args:
        grey: The canonical grey picture, uint8, shape ``(height, width)``.

    Raises:
        ValueError: As ``compute`` and ``extract``.

    Thread-safety: any number of threads.
    """
    signature = compute(grey)
    if signature is None:
        return Description()
    features = extract(grey)
    return Description(signature, pack(features), pack_words(features))


def make(width: int, height: int, grey: bytes) -> tuple[bytes, ...]:
    """Describe a picture that was just decoded: what ``media.guard.main`` is given."""
    return describe(np.frombuffer(grey, dtype=np.uint8).reshape(height, width)).parts


def main() -> int:
    """Serve, with one thread: there is a process for each core already."""
    with one_thread:
        return guard.main(make)


if __name__ == "__main__":
    sys.exit(main())
