"""Statistics of a group, for the rules that compare a file with the rest of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.copy_names import plain_name
from py_image_dedup.signature.arrays import Float64Array, Int8Array
from py_image_dedup.signature.distance import distances

SAMPLE = 64
"""Number of contents of its group that a file is compared with at most, which bounds the cost of large groups."""


def _no_links(raw_path: bytes, /) -> bool:  # noqa: ARG001 - the signature is the ranker's
    return False


class GroupStats:
    """Statistics of one group, computed on demand and remembered. Not for several threads.

    Files with the same bytes are one content. Of more than ``SAMPLE`` contents, evenly spaced ones in the order of
    their digests stand for all: the result does not depend on the order of files or on their names.

    Args:
        entries: The group, in any order.
        max_distance: Signature distance up to which two files match, 0 to 1.
        is_linked: Returns whether the file at a raw path has several names (hard links).
    """

    __slots__ = ("_contents", "_entries", "_is_linked", "_known", "_max_distance", "_plain_names")

    def __init__(
        self,
        entries: Sequence[IndexEntry],
        max_distance: float,
        is_linked: Callable[[bytes], bool] = _no_links,
    ) -> None:
        contents = {content_of(entry): entry for entry in entries}
        digests = sorted(contents)
        if len(digests) > SAMPLE:
            digests = [digests[len(digests) * number // SAMPLE] for number in range(SAMPLE)]
        self._entries = entries
        self._plain_names: frozenset[str] | None = None
        self._contents = {digest: contents[digest] for digest in digests}
        self._max_distance = max_distance
        self._is_linked = is_linked
        self._known: dict[bytes, tuple[float, int]] = {}

    @property
    def plain_names(self) -> frozenset[str]:
        """The names of all files of the group, without suffix and case."""
        if self._plain_names is None:
            self._plain_names = frozenset(plain_name(entry.stat.path.name) for entry in self._entries)
        return self._plain_names

    def is_linked(self, entry: IndexEntry) -> bool:
        """Return whether the file has several names (hard links), wherever they are."""
        return self._is_linked(entry.stat.raw_path)

    def mean_distance(self, entry: IndexEntry) -> float:
        """Return the mean distance (0 to 1) to the other contents of the group; 0 if there is no other."""
        return self._compared(entry)[0]

    def score(self, entry: IndexEntry) -> int:
        """Return how many other contents of the group this one matches directly."""
        return self._compared(entry)[1]

    def _compared(self, entry: IndexEntry) -> tuple[float, int]:
        digest = content_of(entry)
        known = self._known.get(digest)
        if known is None:
            others = [other for key, other in self._contents.items() if key != digest]
            found = _distances(entry, others)
            known = (
                round(float(found.mean()), 9) if len(found) else 0.0,
                int(np.count_nonzero(found <= self._max_distance)),
            )
            self._known[digest] = known
        return known


def content_of(entry: IndexEntry) -> bytes:
    """Return what files with the same bytes have in common: their digest, or the path of one that has none."""
    return entry.digest or entry.stat.raw_path


def _distances(entry: IndexEntry, others: Sequence[IndexEntry]) -> Float64Array:
    """Return the distances to the others: 0 where the pixels are equal, 1 where one has no signature."""
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
