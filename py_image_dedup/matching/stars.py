"""A group becomes stars: a keeper, and files that match this keeper itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from py_image_dedup.matching.matcher import AS_MANY_PIXELS, Relation
from py_image_dedup.matching.shots import time_between
from py_image_dedup.model.match import WHOLE, Match, MatchClass
from py_image_dedup.model.photo import IndexEntry


@dataclass(frozen=True, slots=True)
class Star:
    """A keeper and what it makes redundant.

    Attributes:
        keeper: The file that stays.
        matches: From the keeper to each redundant file, in the order of rank; never empty.
    """

    keeper: IndexEntry
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class Stars:
    """What became of one group.

    Attributes:
        stars: Disjoint, the best keeper first. Files in none stay and were found by no keeper.
        reported: Matches between files that both stay: of a class that is never removed, or of two protected files.
            A file is the right side of one at most.
    """

    stars: tuple[Star, ...]
    reported: tuple[Match, ...]


def may_go(match: Match) -> bool:
    """Whether nothing is lost if the right file of a match goes and the left one stays.

    A copy may go. A part may if the keeper shows all of it, in no fewer pixels, and more besides: a photo does not go
    for a collage that has it in small, nor a shot for the next one of the same scene.
    """
    if match.match_class is not MatchClass.PARTIAL:
        return True
    seen, keeper, part = match.evidence, match.left.facts, match.right.facts
    if seen is None or keeper is None or part is None or time_between(keeper, part) is not None:
        return False
    is_part = seen.coverage_right >= WHOLE > seen.coverage_left
    return is_part and keeper.pixels * seen.coverage_left >= AS_MANY_PIXELS * part.pixels


def form_stars(
    ordered: Sequence[IndexEntry],
    relation: Relation,
    *,
    removable: frozenset[MatchClass],
    is_protected: Callable[[bytes], bool],
) -> Stars:
    """Cut a group into stars.

    The best file keeps; what matches it directly is redundant; the best of the rest keeps next, and so on. Likeness is
    not transitive, so a file that matches only a redundant one is never given up for it. A protected file is never
    redundant: two of them both stay, and each may be the keeper of others.

    Args:
        ordered: The group, best first, by a total order.
        relation: What makes two files match.
        removable: Classes that make a file redundant, as far as it may go for its keeper; other matches are reported.
        is_protected: Tells it of a raw path.
    """
    stars: list[Star] = []
    mentioned: dict[bytes, Match] = {}
    remaining = list(ordered)
    while remaining:
        keeper, others = remaining[0], remaining[1:]
        redundant: list[Match] = []
        remaining = []
        for other, match in zip(others, relation.matches(keeper, others), strict=True):
            raw = other.stat.raw_path
            if match is not None and match.match_class in removable and may_go(match) and not is_protected(raw):
                redundant.append(match)
                mentioned.pop(raw, None)
                continue
            remaining.append(other)
            if match is not None:
                mentioned.setdefault(raw, match)
        if redundant:
            stars.append(Star(keeper, tuple(redundant)))
    return Stars(tuple(stars), tuple(mentioned.values()))
