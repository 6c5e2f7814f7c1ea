"""Local features by seed for an index as large as it takes, whose words are as often shared as those of photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from py_image_dedup.features.codebook import codebook
from py_image_dedup.features.extract import Features, extract, pack
from py_image_dedup.features.visual_words import MAX_REPEATS, quantise
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.pipeline.options import AnalyseOptions
from py_image_dedup.store.base import Store
from tests.support.photographs import grey, photograph

NOISE = 2.0
"""Steps of a compressed value: with so much of it, two features share a word as seldom as in real photographs."""

_A_PHOTO = 200
_POOL = 400_000
_BATCH = 500

WordArray = npt.NDArray[np.uint32]


class Crowd:
    """Draws features from a pool that was made of some photographs: theirs, with noise.

    Args:
        photographs: Files; generated ones are taken where there are none, whose words are shared more often.
        seed: Decides everything.
    """

    def __init__(self, photographs: Sequence[Path], seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        images = [Image.open(path) for path in photographs] or [photograph(number) for number in range(200)]
        self._originals = [extract(grey(image)) for image in images]
        known = np.concatenate([features.descriptors for features in self._originals])
        chosen = known[self._random.integers(0, len(known), _POOL)]
        noisy = np.rint(chosen + self._random.normal(0, NOISE, chosen.shape))
        self._descriptors = np.clip(noisy, -31, 31).astype(np.int8)
        parts = range(0, _POOL, 10_000)
        mirrored = self._descriptors * codebook().mirror
        self._words = np.concatenate([quantise(self._descriptors[at : at + 10_000]) for at in parts])
        self._mirrored = np.concatenate([quantise(mirrored[at : at + 10_000]) for at in parts])

    def draw(self) -> tuple[bytes, bytes]:
        """Return packed features and packed words of a picture that nobody took."""
        random = self._random
        rows = random.integers(0, _POOL, _A_PHOTO)
        original = self._originals[int(random.integers(len(self._originals)))]
        points = random.uniform((0, 0, 1, 0), (384, 256, 20, 6.28), (_A_PHOTO, 4)).astype(np.float32)
        features = Features(384, 256, points, self._descriptors[rows], original.thumbnail)
        plain, mirrored = _once(self._words[rows]), _once(self._mirrored[rows])
        words = np.concatenate([np.array([len(plain)]), plain, mirrored])
        return pack(features), words.astype("<u4").tobytes()

    def join(self, store: Store, apart: frozenset[Path]) -> None:
        """Give features to all entries of an index but for some, whose next run then computes them.

        Args:
            store: The index.
            apart: Their paths.
        """
        versions = AnalyseOptions(features=True).versions
        for some in _batches(store.entries(None)):
            changed = []
            for entry in some:
                if entry.stat.path not in apart and entry.signature is not None:
                    features, words = self.draw()
                    changed.append(replace(entry, versions=versions, features=features, words=words))
            store.put(changed)


def _once(words: WordArray) -> WordArray:
    found, counts = np.unique(words, return_counts=True)
    return found[counts <= MAX_REPEATS]


def _batches(entries: Iterator[IndexEntry]) -> Iterator[list[IndexEntry]]:
    batch: list[IndexEntry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch
