"""What the rules that compare a file with its group ask: how near it is to the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.signature.arrays import Float64Array, Int8Array
from py_image_dedup.signature.distance import distances

SAMPLE = 64
"""With how many contents of its group a file is compared at most, so that a large group costs no more than a small."""


class GroupStats:
    """The files of one group, seen from one of them. Computed on demand and remembered; not for several threads.

    Files of the same bytes are one content and ask once. Of more than ``SAMPLE`` contents, evenly spaced ones in the
    order of their digests stand for all: the answer does not depend on the order of files or on their names.

    Args:
        entries: The group, in any order.
        max_distance: Up to where two files match.
    """

    __slots__ = ("_answers", "_contents", "_max_distance")

    def __init__(self, entries: Sequence[IndexEntry], max_distance: float) -> None:
        contents = {_content(entry): entry for entry in entries}
        names = sorted(contents)
        if len(names) > SAMPLE:
            names = [names[len(names) * place // SAMPLE] for place in range(SAMPLE)]
        self._contents = {name: contents[name] for name in names}
        self._max_distance = max_distance
        self._answers: dict[bytes, tuple[float, int]] = {}

    def mean_distance(self, entry: IndexEntry) -> float:
        """Return the mean distance (0 to 1) to the other contents of the group; 0 if there is no other."""
        return self._ask(entry)[0]

    def score(self, entry: IndexEntry) -> int:
        """Return how many other contents of the group this one matches directly."""
        return self._ask(entry)[1]

    def _ask(self, entry: IndexEntry) -> tuple[float, int]:
        name = _content(entry)
        answer = self._answers.get(name)
        if answer is None:
            others = [other for key, other in self._contents.items() if key != name]
            found = _distances(entry, others)
            answer = (
                round(float(found.mean()), 9) if len(found) else 0.0,
                int(np.count_nonzero(found <= self._max_distance)),
            )
            self._answers[name] = answer
        return answer


def _content(entry: IndexEntry) -> bytes:
    return entry.digest or entry.stat.raw_path


def _distances(entry: IndexEntry, others: Sequence[IndexEntry]) -> Float64Array:
    """Distances to the others; where the pixels are equal 0, where one has no signature 1."""
    found = np.ones(len(others))
    signed = [i for i, other in enumerate(others) if other.signature is not None]
    if entry.signature is not None and signed:
        many = np.frombuffer(b"".join(s.values for i in signed if (s := others[i].signature)), dtype=np.int8)
        found[signed] = distances(_values(entry.signature.values), many.reshape(len(signed), -1))[0]
    if entry.pixel_digest is not None:
        same = [i for i, other in enumerate(others) if other.pixel_digest == entry.pixel_digest]
        found[same] = 0.0
    return found


def _values(values: bytes) -> Int8Array:
    return np.frombuffer(values, dtype=np.int8)
