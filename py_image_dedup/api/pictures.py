"""Single pictures without an index: their signature, their features, and whether two of them match."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from py_image_dedup.api.sources import Image, write_image
from py_image_dedup.media.decoder import DecodedPicture, Decoder
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.match import MatchClass, Verdict

if TYPE_CHECKING:
    from py_image_dedup.features.extract import Features
    from py_image_dedup.signature.arrays import Int8Array


def signature(image: Image) -> Int8Array | None:
    """Return the perceptual signature of a picture; ``None`` for a flat one, which has no structure to compare.

    Args:
        image: A path, the bytes of a file, an array (uint8; grey, RGB or RGBA), or an image of Pillow.

    Returns:
        int8, shape ``(272,)``. The distance of two signatures is ``|a - b| / (|a| + |b|)``, see ``signature.distance``.

    Raises:
        MediaError: The picture cannot be read or decoded.

    Thread-safety: any number of threads. Each call starts a decoder process; ``find_duplicates`` shares them.
    """
    from py_image_dedup.signature.compute import compute

    with _decoded(image) as pictures:
        found = compute(next(pictures)[1].canonical)
    return None if found is None else np.frombuffer(found.values, dtype=np.int8)


def features(image: Image) -> Features:
    """Return the local features of a picture: keypoints, descriptors and the thumbnail that verification compares.

    Args:
        image: As for ``signature``.

    Raises:
        MediaError: The picture cannot be read or decoded.
    """
    from py_image_dedup.features.extract import extract

    with _decoded(image) as pictures:
        _, decoded = next(pictures)
        return extract(decoded.canonical, decoded.panels)


def compare(a: Image, b: Image) -> Verdict | None:
    """Return whether two pictures match, without an index.

    The verdict is that of geometric verification, which aligns two small copies of the pictures; the files are not
    compared in full, as they would be before a removal.

    Args:
        a: As for ``signature``.
        b: The other picture.

    Returns:
        The verdict: ``identical`` for equal bytes, otherwise ``similar`` or ``partial``, with the transform and the
        evidence; ``None`` if the pictures do not match.

    Raises:
        MediaError: A picture cannot be read or decoded.
    """
    from py_image_dedup.features.extract import extract
    from py_image_dedup.verification.picture import Picture
    from py_image_dedup.verification.verify import verify

    with _decoded(a, b) as pictures:
        (digest, left), (other_digest, right) = pictures
    if digest == other_digest:
        return Verdict(MatchClass.IDENTICAL)
    one, another = (extract(decoded.canonical, decoded.panels) for decoded in (left, right))
    return verify(Picture(one), Picture(another))


@contextmanager
def _decoded(*images: Image) -> Iterator[Iterator[tuple[bytes, DecodedPicture]]]:
    """Provide the digest of each picture and the decoded picture."""

    def decode(path: Path) -> tuple[bytes, DecodedPicture]:
        with read_file(path) as opened:
            return opened.digest, decoder.decode(opened)

    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as folder, Decoder(panels=True) as decoder:
        paths = [write_image(image, Path(folder) / str(number)) for number, image in enumerate(images)]
        yield map(decode, paths)
