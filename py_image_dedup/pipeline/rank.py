"""The rank phase: each group gets its keepers, and every redundant file the reason why it is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from py_image_dedup.matching.groups import group_around_keepers
from py_image_dedup.matching.matcher import Eligibility, Matcher, as_match, is_whole
from py_image_dedup.model.events import GroupFound, Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.match import Group, Match, MatchClass, PairVerdict, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.ranking.ranker import Ranker, Ranking

_WHOLE = Reason("whole-picture", "the whole picture", "a part of it")
_UNBORDERED = Reason("without-border", "no border", "a border around it")
_UNDRAWN = Reason("without-overlay", "nothing drawn over it", "a caption or the like drawn over it")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Who stays and who need not.

    Attributes:
        groups: Disjoint, in the order of their keepers' paths.
        reported: Matches between files that both stay, in the order of their paths.
        summary: Figures.
    """

    groups: tuple[RankedGroup, ...]
    reported: tuple[Match, ...]
    summary: PhaseSummary


def rank(
    groups: Sequence[Group],
    matcher: Matcher,
    ranker: Ranker,
    removable: frozenset[MatchClass],
    *,
    observer: Observer,
    should_stop: Callable[[], bool],
) -> Ranked:
    """Cut groups into keepers and the files that match them directly.

    Args:
        groups: As the phase ``find`` returns them.
        matcher: As the phase ``find`` returns it.
        ranker: Says which file is better.
        removable: Classes of matches that make a file redundant; others are reported.
        observer: Told of the beginning, every ranked group, and the end.
        should_stop: When it says so the rest is left out.
    """
    begin = perf_counter()
    observer(PhaseStarted(Phase.RANK, len(groups), "groups"))
    ranked: list[RankedGroup] = []
    reported: list[Match] = []
    for group in groups:
        if should_stop():
            break
        ranking = ranker.rank(group.entries)
        dominated = matcher.dominated(ranking.entries)
        # Whatever the rules say of a part, it is the whole picture that stays; and what is larger by its border only,
        # or was drawn over, is no better than what it was made from.
        ordered = sorted(ranking.entries, key=lambda entry: entry.stat.raw_path in dominated)
        clusters = group_around_keepers(ordered, matcher, removable=removable, is_protected=ranker.is_protected)
        for cluster in clusters.groups:
            redundant = tuple(Redundant(match, _reason(ranking, match, dominated)) for match in cluster.matches)
            ranked.append(RankedGroup(redundant[0].match.left, redundant))
            observer(GroupFound(ranked[-1]))
        reported += clusters.reported
        observer(PhaseAdvanced(Phase.RANK))
    ranked.sort(key=lambda group: group.keeper.stat.raw_path)
    reported.sort(key=lambda match: (match.left.stat.raw_path, match.right.stat.raw_path))
    counts = {
        "groups": len(ranked),
        "redundant": sum(len(group.redundant) for group in ranked),
        "reported": len(reported),
    }
    summary = PhaseSummary(Phase.RANK, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    return Ranked(tuple(ranked), tuple(reported), summary)


def _reason(ranking: Ranking, match: Match, dominated: frozenset[bytes]) -> Reason:
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
