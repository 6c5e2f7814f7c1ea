"""A group becomes stars: a keeper, and files that match this keeper itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from py_image_dedup.match.relation import Relation
from py_image_dedup.model.match import Match, MatchClass
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
        removable: Classes that make a file redundant; matches of others are reported.
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
            if match is not None and match.match_class in removable and not is_protected(raw):
                redundant.append(match)
                mentioned.pop(raw, None)
                continue
            remaining.append(other)
            if match is not None:
                mentioned.setdefault(raw, match)
        if redundant:
            stars.append(Star(keeper, tuple(redundant)))
    return Stars(tuple(stars), tuple(mentioned.values()))
