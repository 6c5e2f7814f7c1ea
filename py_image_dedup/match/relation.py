"""What makes two files match: asked again for every keeper, so that no file goes because of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from py_image_dedup.match.pairing import Pairing
from py_image_dedup.model.match import Match, MatchClass, Orientation
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.signature.distance import distances


class Relation(Protocol):
    """A way to tell whether files match. Symmetric: who matches whom does not depend on who is asked."""

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper (the match's ``left``), of the surest class."""


@dataclass(frozen=True, slots=True)
class DistanceRelation:
    """Files match by their bytes, by their pixels, or by the distance of their signatures. Threads may share it.

    Attributes:
        max_distance: Signatures within it are similar, 0 to 1, in any of the eight orientations.
        pairing: Keeps files apart before anything is compared.
    """

    max_distance: float
    pairing: Pairing

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper, of the surest class."""
        found: list[Match | None] = [None] * len(others)
        undecided: list[int] = []
        for place, other in enumerate(others):
            if not self.pairing.allows(keeper.stat, other.stat):
                continue
            if keeper.digest is not None and keeper.digest == other.digest:
                found[place] = Match(keeper, other, MatchClass.IDENTICAL)
            elif keeper.pixel_digest is not None and keeper.pixel_digest == other.pixel_digest:
                found[place] = Match(keeper, other, MatchClass.SAME_PIXELS)
            elif other.signature is not None:
                undecided.append(place)
        if undecided and keeper.signature is not None:
            self._add_similar(keeper, keeper.signature.values, others, undecided, found)
        return found

    def _add_similar(
        self,
        keeper: IndexEntry,
        signature: bytes,
        others: Sequence[IndexEntry],
        undecided: Sequence[int],
        found: list[Match | None],
    ) -> None:
        # One row for each signature: many copies of a file cost one comparison.
        rows: dict[bytes, int] = {}
        row_of = [rows.setdefault(s.values, len(rows)) for place in undecided if (s := others[place].signature)]
        many = np.frombuffer(b"".join(rows), dtype=np.int8).reshape(len(rows), -1)
        distance, orientation = distances(np.frombuffer(signature, dtype=np.int8), many)
        for place, row in zip(undecided, row_of, strict=True):
            if distance[row] <= self.max_distance:
                found[place] = Match(
                    keeper,
                    others[place],
                    MatchClass.SIMILAR,
                    float(distance[row]),
                    Orientation(int(orientation[row])),
                )
