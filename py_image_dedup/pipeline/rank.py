"""The stage that ranks: each group gets its keepers, and every redundant file the reason why its keeper is better."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from py_image_dedup.matching.groups import KeeperGroups, group_around_keepers
from py_image_dedup.matching.matcher import Eligibility, Matcher, as_match, is_whole
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.inspection import Side
from py_image_dedup.model.match import Group, Match, MatchClass, PairVerdict, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.ranking.ranker import Ranker, Ranking, original_reason

_WHOLE = Reason(
    "whole-picture", "the whole picture", "a part of it", "the whole picture (the other shows a part of it)"
)
_UNBORDERED = Reason(
    "without-border", "no border", "a border around it", "without a border (the other is larger by its border only)"
)
_UNDRAWN = Reason(
    "without-overlay",
    "nothing drawn over it",
    "a caption or the like drawn over it",
    "nothing is drawn over it (the other has a caption or the like)",
)


@dataclass(frozen=True, slots=True)
class Ordering:
    """The files of a group in the order in which they are to stay.

    Attributes:
        ranking: The order of the rules, which gives the reasons.
        entries: The order that decides, best first.
        dominated: Raw paths of files that another one is better than whatever the rules say.
    """

    ranking: Ranking
    entries: tuple[IndexEntry, ...]
    dominated: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class GroupRanker:
    """Cuts groups into keepers and the files that match them directly.

    Attributes:
        matcher: Decides which files match.
        ranker: Decides which file is better.
        removable: Classes of matches that make a file redundant; others are reported.
    """

    matcher: Matcher
    ranker: Ranker
    removable: frozenset[MatchClass]

    def order(self, group: Group, compared: Collection[bytes] = ()) -> Ordering:
        """Order the files of a group, best first.

        Args:
            group: The files.
            compared: Digests of files that were compared in full: what small copies of the pictures say of borders and
                overlays is superseded by what was found then.
        """
        ranking = self.ranker.rank(group.entries)
        doubtful = [entry.stat.raw_path for entry in ranking.entries if entry.digest in compared]
        dominated = self.matcher.dominated(ranking.entries).difference(doubtful)
        # Whatever the rules say of a part, it is the whole picture that stays; and what is larger by its border only,
        # or was drawn over, is no better than what it was made from.
        ordered = sorted(ranking.entries, key=lambda entry: entry.stat.raw_path in dominated)
        return Ordering(ranking, tuple(ordered), dominated)

    def cut(self, ordering: Ordering, matcher: Matcher | None = None) -> KeeperGroups:
        """Cut an ordered group.

        Args:
            ordering: The group.
            matcher: Decides which files match instead of the own one.
        """
        return group_around_keepers(
            ordering.entries,
            matcher or self.matcher,
            removable=self.removable,
            is_protected=self.ranker.is_protected,
        )


@dataclass(frozen=True, slots=True)
class RankedCandidates:
    """A group as it was ordered and cut.

    Attributes:
        ordering: Its files in order.
        keeper_groups: The keepers and what they make redundant.
    """

    ordering: Ordering
    keeper_groups: KeeperGroups


@dataclass(frozen=True, slots=True)
class Ranked:
    """The files that stay, and those that need not.

    Attributes:
        candidates: The groups as they were cut, in the order in which they were found.
        groups: Disjoint, in the order of their keepers' paths.
        reported: Matches between files that both stay, in the order of their paths.
        summary: Figures.
    """

    candidates: tuple[RankedCandidates, ...]
    groups: tuple[RankedGroup, ...]
    reported: tuple[Match, ...]
    summary: PhaseSummary


def rank(
    groups: Sequence[Group], group_ranker: GroupRanker, *, observer: Observer, should_stop: Callable[[], bool]
) -> Ranked:
    """Cut groups into keepers and the files that match them directly.

    Args:
        groups: As the stage ``find`` returns them.
        group_ranker: Orders and cuts one group.
        observer: Receives the beginning, the progress by group, and the end.
        should_stop: Polled before each group; when true, the rest is left out.
    """
    begin = perf_counter()
    observer(PhaseStarted(Phase.RANK, len(groups), "groups"))
    candidates: list[RankedCandidates] = []
    for group in groups:
        if should_stop():
            break
        ordering = group_ranker.order(group)
        candidates.append(RankedCandidates(ordering, group_ranker.cut(ordering)))
        observer(PhaseAdvanced(Phase.RANK))
    ranked, reported = collect(candidates)
    summary = PhaseSummary(Phase.RANK, perf_counter() - begin, counts_of(ranked, reported))
    observer(PhaseFinished(summary))
    return Ranked(tuple(candidates), ranked, reported, summary)


def collect(candidates: Iterable[RankedCandidates]) -> tuple[tuple[RankedGroup, ...], tuple[Match, ...]]:
    """Return the ranked groups of all candidates and the matches that are only reported, each in the order of paths."""
    ranked: list[RankedGroup] = []
    reported: list[Match] = []
    for each in candidates:
        for group in each.keeper_groups.groups:
            redundant = tuple(Redundant(match, _reason(each.ordering, match)) for match in group.matches)
            ranked.append(RankedGroup(redundant[0].match.left, redundant))
        reported += each.keeper_groups.reported
    ranked.sort(key=lambda group: group.keeper.stat.raw_path)
    reported.sort(key=lambda match: (match.left.stat.raw_path, match.right.stat.raw_path))
    return tuple(ranked), tuple(reported)


def counts_of(groups: Sequence[RankedGroup], reported: Sequence[Match]) -> dict[str, int]:
    """Return the figures of a summary: groups, redundant files, matches that are only reported."""
    return {
        "groups": len(groups),
        "redundant": sum(len(group.redundant) for group in groups),
        "reported": len(reported),
    }


def _reason(ordering: Ordering, match: Match) -> Reason:
    ranking, dominated = ordering.ranking, ordering.dominated
    found = match.inspection
    if found is not None and found.original.side is Side.LEFT and found.original.reason:
        return original_reason(found.original, match.left, match.right)
    if match.match_class is MatchClass.PARTIAL:
        return _WHOLE
    seen = match.evidence
    if seen is not None and match.right.stat.raw_path in dominated and match.left.stat.raw_path not in dominated:
        if seen.right_is_drawn_over:
            return _UNDRAWN
        if seen.right_is_bordered:
            return _UNBORDERED
    return ranking.reason(match.left, match.right)


@dataclass(frozen=True, slots=True)
class PartialPair:
    """Two contents of which one shows a part of the other.

    Attributes:
        verdict: The verdict on the two contents.
        left: The files of the verdict's left content that may match those of the right one, in the order of paths.
        right: The files of the right one.
    """

    verdict: PairVerdict
    left: tuple[IndexEntry, ...]
    right: tuple[IndexEntry, ...]


def with_partial(ranked: Ranked, pairs: Iterable[PartialPair], eligibility: Eligibility) -> tuple[Match, ...]:
    """Return what is reported of a run: what ranking left, and one match of each pair, between files that stay.

    A pair of which all files of one side are redundant is left out: its keeper shows the same, and is told instead.

    Args:
        ranked: The groups, and other matches to report.
        pairs: What was found.
        eligibility: Keeps files apart.
    """
    redundant = {each.entry.stat.raw_path for group in ranked.groups for each in group.redundant}

    def stays(entry: IndexEntry) -> bool:
        return entry.stat.raw_path not in redundant

    found = [match for pair in pairs if (match := _match(pair, stays, eligibility)) is not None]
    told = {(match.left.stat.raw_path, match.right.stat.raw_path): match for match in (*found, *ranked.reported)}
    return tuple(told[paths] for paths in sorted(told))


def _match(pair: PartialPair, stays: Callable[[IndexEntry], bool], eligibility: Eligibility) -> Match | None:
    verdict = pair.verdict
    for left in filter(stays, pair.left):
        for right in filter(stays, pair.right):
            if eligibility.allows(left.stat, right.stat):
                # The whole picture is the left one, as a keeper is.
                if is_whole(verdict, verdict.right):
                    return as_match(verdict, right, left, left_is=verdict.right)
                return as_match(verdict, left, right, left_is=verdict.left)
    return None
