"""The image features of a picture, and a decoder process that computes them where it decodes.

Started as ``python -m py_image_dedup.features.describe``, one process for each thread of the analysis: local features
are many short steps in the interpreter, and threads of one process would wait for one another.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from py_image_dedup.features.extract import extract, extract_faint, pack
from py_image_dedup.features.visual_words import pack_words
from py_image_dedup.media.worker import main as worker
from py_image_dedup.media.worker.protocol import DecodedPicture, Panel
from py_image_dedup.model.photo import Signature
from py_image_dedup.signature.arrays import UInt8Array
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.signature.compute import compute


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """The signature, features and visual words of a picture; all ``None`` for a featureless one.

    A picture too faint for a signature, such as a sky full of stars, may have features.

    Attributes:
        signature: Signature of the whole picture.
        features: Packed features; see ``extract.pack``.
        words: Packed visual words; see ``visual_words.pack_words``.
    """

    signature: Signature | None = None
    features: bytes | None = None
    words: bytes | None = None

    @property
    def parts(self) -> tuple[bytes, ...]:
        """The fields as bytes, for another process."""
        return (self.signature.values if self.signature else b"", self.features or b"", self.words or b"")

    @classmethod
    def of_parts(cls, parts: Sequence[bytes]) -> Self:
        """Return the image features of ``parts``.

        Raises:
            ValueError: The number of parts or their content is wrong.
        """
        values, features, words = parts
        return cls(Signature(values) if values else None, features or None, words or None)


def image_features(grey: UInt8Array, panels: Sequence[Panel] = ()) -> ImageFeatures:
    """Compute signature, local features and visual words of a picture.

    Args:
        grey: Canonical grey picture, uint8, shape ``(height, width)``.
        panels: Photos inside the picture.

    Raises:
        ValueError: As ``compute`` and ``extract``.

    Thread-safety: any number of threads.
    """
    signature = compute(grey)
    features = extract(grey, panels) if signature is not None else extract_faint(grey)
    if features is None:
        return ImageFeatures()
    return ImageFeatures(signature, pack(features), pack_words(features))


def make(decoded: DecodedPicture) -> tuple[bytes, ...]:
    """Return the image features of a picture that was just decoded, for ``media.worker.main``."""
    return image_features(decoded.canonical, decoded.panels).parts


def main() -> int:
    """Serve requests on one thread: there is a process for each core already."""
    with single_threaded_blas:
        return worker.main(make)


if __name__ == "__main__":
    sys.exit(main())
