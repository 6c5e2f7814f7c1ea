"""Groups: connected components of matching contents, and the files that each keeper makes redundant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from py_image_dedup.matching.matcher import AS_MANY_PIXELS, Matcher, capture_gap
from py_image_dedup.model.inspection import Inspection, Outcome, Side
from py_image_dedup.model.match import WHOLE, Match, MatchClass
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.signature.arrays import Int64Array


class Components:
    """A union-find forest over small non-negative integers, such as content ids. Not thread-safe.

    The forest is one int64 array indexed by the integers, so memory grows with the largest of them and not with the
    pairs. A parent is always less than its child, so there are no cycles, and a component's root is its minimum.
    """

    __slots__ = ("_parents",)

    def __init__(self) -> None:
        self._parents: Int64Array = np.empty(0, dtype=np.int64)

    def join(self, left: Int64Array, right: Int64Array) -> None:
        """Unite the components of each pair.

        Args:
            left: int64, shape ``(n,)``, not negative.
            right: int64, shape ``(n,)``, not negative.
        """
        if not len(left):
            return
        self._grow(int(max(left.max(), right.max())) + 1)
        while True:
            left, right = self._roots(left), self._roots(right)
            apart = left != right
            if not apart.any():
                return
            left, right = left[apart], right[apart]
            # Of several pairs that move the same root only one takes effect; the loop comes back to the others.
            self._parents[np.maximum(left, right)] = np.minimum(left, right)

    def members(self) -> Iterator[Int64Array]:
        """Yield each component of two members or more, int64 and ascending, in the order of their minima."""
        parents = self._parents
        numbers = np.arange(len(parents), dtype=np.int64)
        roots = self._roots(numbers)
        sizes = np.bincount(roots, minlength=len(parents))
        joined = numbers[sizes[roots] > 1]
        if not len(joined):
            return
        order = np.argsort(roots[joined], kind="stable")
        cuts = np.flatnonzero(np.diff(roots[joined][order])) + 1
        yield from np.split(joined[order], cuts)

    def root(self, number: int) -> int:
        """Return the minimum of a member's component; the member itself if it was never joined."""
        if number >= len(self._parents):
            return number
        return int(self._roots(np.array([number], dtype=np.int64))[0])

    def _grow(self, size: int) -> None:
        known = len(self._parents)
        if size > known:
            grown = np.arange(max(size, known + known // 2), dtype=np.int64)
            grown[:known] = self._parents
            self._parents = grown

    def _roots(self, numbers: Int64Array) -> Int64Array:
        """Return the roots, with path compression."""
        parents = self._parents
        roots = parents[numbers]
        while True:
            above = parents[roots]
            if np.array_equal(above, roots):
                parents[numbers] = roots
                return roots
            roots = above


@dataclass(frozen=True, slots=True)
class KeeperGroup:
    """A keeper and the files that it makes redundant.

    Attributes:
        keeper: The file that stays.
        matches: Matches of the keeper with each redundant file, best file first; never empty.
    """

    keeper: IndexEntry
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class KeeperGroups:
    """The result of grouping a set of files around keepers.

    Attributes:
        groups: Disjoint groups, best keeper first. Files in none of them stay.
        reported: Matches between files that both stay: of a class that is not removed, or of two protected files.
            A file is the right side of at most one.
    """

    groups: tuple[KeeperGroup, ...]
    reported: tuple[Match, ...]


def may_go(match: Match) -> bool:
    """Return whether nothing is lost if the right file of a match is removed and the left one stays.

    A copy may be removed. A part may be removed if the keeper shows all of it and more, in no fewer pixels: a photo is
    not removed for a collage that contains a small version of it, nor a shot for the next one of the same scene.
    """
    if match.inspection is not None and not leaves_nothing(match.inspection):
        return False
    if match.match_class is not MatchClass.PARTIAL:
        return True
    seen, keeper, part = match.evidence, match.left.facts, match.right.facts
    if seen is None or keeper is None or part is None or capture_gap(keeper, part) is not None:
        return False
    is_part = seen.coverage_right >= WHOLE > seen.coverage_left
    return is_part and keeper.pixels * seen.coverage_left >= AS_MANY_PIXELS * part.pixels


def leaves_nothing(found: Inspection) -> bool:
    """Return whether a comparison in full leaves the right file nothing of its own but what its class stands for.

    Args:
        found: The comparison of a keeper and a file that would go for it.
    """
    if found.outcome in {Outcome.EDITED, Outcome.PARTIAL}:
        return not found.lacks and not (found.original.side is Side.RIGHT and found.original.sure)
    return found.is_removable


def group_around_keepers(
    ordered: Sequence[IndexEntry],
    matcher: Matcher,
    *,
    removable: frozenset[MatchClass],
    is_protected: Callable[[bytes], bool],
) -> KeeperGroups:
    """Split a set of matching files into keepers and the files that match a keeper directly.

    The best file is the first keeper, and what matches it directly is redundant; the best of the rest is the next
    keeper, and so on. Similarity is not transitive, so a file that matches only a redundant one is never removed for
    it. A protected file is never redundant; it may be the keeper of others.

    Args:
        ordered: The files, best first, in a total order.
        matcher: Decides which files match.
        removable: Classes of matches that make a file redundant (see ``may_go``); other matches are reported.
        is_protected: Returns whether a raw path is protected.
    """
    groups: list[KeeperGroup] = []
    reported: dict[bytes, Match] = {}
    remaining = list(ordered)
    while remaining:
        keeper, others = remaining[0], remaining[1:]
        redundant: list[Match] = []
        remaining = []
        for other, match in zip(others, matcher.matches(keeper, others), strict=True):
            raw = other.stat.raw_path
            if match is not None and match.match_class in removable and may_go(match) and not is_protected(raw):
                redundant.append(match)
                reported.pop(raw, None)
                continue
            remaining.append(other)
            if match is not None:
                reported.setdefault(raw, match)
        if redundant:
            groups.append(KeeperGroup(keeper, tuple(redundant)))
    return KeeperGroups(tuple(groups), tuple(reported.values()))
