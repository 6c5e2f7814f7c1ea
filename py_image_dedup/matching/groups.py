"""Numbers joined by pairs: a union-find over columns, with memory for the numbers and not for the pairs."""

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
    """Sets of numbers, grown pair by pair. Not for several threads.

    The forest is one int64 array over the numbers, so numbers should be small, as
    those of an index's contents are.
    A parent is always less than its child, so there are no circles, and a component is named by its least number.
    """

    __slots__ = ("_parents",)

    def __init__(self) -> None:
        self._parents: Int64Array = np.empty(0, dtype=np.int64)

    def join(self, left: Int64Array, right: Int64Array) -> None:
        """Join each pair of numbers.

        Args:
            left: int64, not negative.
            right: int64, of the same length.
        """
        if not len(left):
            return
        self._grow(int(max(left.max(), right.max())) + 1)
        while True:
            left, right = self._tops(left), self._tops(right)
            apart = left != right
            if not apart.any():
                return
            left, right = left[apart], right[apart]
            # Where several pairs hang the same top below others only one takes effect; the loop comes back to the rest.
            self._parents[np.maximum(left, right)] = np.minimum(left, right)

    def members(self) -> Iterator[Int64Array]:
        """Yield each component of two and more numbers, ascending; the components by their least numbers."""
        parents = self._parents
        numbers = np.arange(len(parents), dtype=np.int64)
        tops = self._tops(numbers)
        sizes = np.bincount(tops, minlength=len(parents))
        joined = numbers[sizes[tops] > 1]
        if not len(joined):
            return
        order = np.argsort(tops[joined], kind="stable")
        cuts = np.flatnonzero(np.diff(tops[joined][order])) + 1
        yield from np.split(joined[order], cuts)

    def top(self, number: int) -> int:
        """Return the least number of the component of a number; the number itself if it was never joined."""
        if number >= len(self._parents):
            return number
        return int(self._tops(np.array([number], dtype=np.int64))[0])

    def _grow(self, size: int) -> None:
        known = len(self._parents)
        if size > known:
            grown = np.arange(max(size, known + known // 2), dtype=np.int64)
            grown[:known] = self._parents
            self._parents = grown

    def _tops(self, numbers: Int64Array) -> Int64Array:
        """Follow the parents up, and shorten the way for the next time."""
        parents = self._parents
        tops = parents[numbers]
        while True:
            above = parents[tops]
            if np.array_equal(above, tops):
                parents[numbers] = tops
                return tops
            tops = above


@dataclass(frozen=True, slots=True)
class KeeperGroup:
    """A keeper and what it makes redundant.

    Attributes:
        keeper: The file that stays.
        matches: From the keeper to each redundant file, in the order of rank; never empty.
    """

    keeper: IndexEntry
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class KeeperGroups:
    """What became of one group.

    Attributes:
        groups: Disjoint, the best keeper first. Files in none stay and were found by no keeper.
        reported: Matches between files that both stay: of a class that is never removed, or of two protected files.
            A file is the right side of one at most.
    """

    groups: tuple[KeeperGroup, ...]
    reported: tuple[Match, ...]


def may_go(match: Match) -> bool:
    """Whether nothing is lost if the right file of a match goes and the left one stays.

    A copy may go. A part may if the keeper shows all of it, in no fewer pixels, and more besides: a photo does not go
    for a collage that has it in small, nor a shot for the next one of the same scene.
    """
    if match.inspection is not None and not _is_kept_by(match.inspection):
        return False
    if match.match_class is not MatchClass.PARTIAL:
        return True
    seen, keeper, part = match.evidence, match.left.facts, match.right.facts
    if seen is None or keeper is None or part is None or capture_gap(keeper, part) is not None:
        return False
    is_part = seen.coverage_right >= WHOLE > seen.coverage_left
    return is_part and keeper.pixels * seen.coverage_left >= AS_MANY_PIXELS * part.pixels


def _is_kept_by(found: Inspection) -> bool:
    """Whether a comparison in full leaves the right file nothing of its own, apart from what its class stands for."""
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
    """Cut a group into groups around keepers.

    The best file keeps; what matches it directly is redundant; the best of the rest keeps next, and so on. Likeness is
    not transitive, so a file that matches only a redundant one is never given up for it. A protected file is never
    redundant: two of them both stay, and each may be the keeper of others.

    Args:
        ordered: The group, best first, by a total order.
        matcher: What makes two files match.
        removable: Classes that make a file redundant, as far as it may go for its keeper; other matches are reported.
        is_protected: Tells it of a raw path.
    """
    groups: list[KeeperGroup] = []
    mentioned: dict[bytes, Match] = {}
    remaining = list(ordered)
    while remaining:
        keeper, others = remaining[0], remaining[1:]
        redundant: list[Match] = []
        remaining = []
        for other, match in zip(others, matcher.matches(keeper, others), strict=True):
            raw = other.stat.raw_path
            if match is not None and match.match_class in removable and may_go(match) and not is_protected(raw):
                redundant.append(match)
                mentioned.pop(raw, None)
                continue
            remaining.append(other)
            if match is not None:
                mentioned.setdefault(raw, match)
        if redundant:
            groups.append(KeeperGroup(keeper, tuple(redundant)))
    return KeeperGroups(tuple(groups), tuple(mentioned.values()))
