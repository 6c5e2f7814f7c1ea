"""The rank stage: chooses the keepers of each group, and a reason for each redundant file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from py_image_dedup.matching.groups import KeeperGroups, group_around_keepers
from py_image_dedup.matching.matcher import Eligibility, Matcher, as_match, is_whole
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.inspection import Side
from py_image_dedup.model.match import Group, Match, MatchClass, PairVerdict, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import SidecarMerge
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.model.series import NO_SERIES, Series, SeriesOfFiles
from py_image_dedup.model.unit import NO_UNITS, Units
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
    """The files of a group in order of preference.

    Attributes:
        ranking: Ranking by the rules, with the reasons.
        entries: Final order, best first.
        dominated: Raw paths of files that rank behind all others, regardless of the rules.
    """

    ranking: Ranking
    entries: tuple[IndexEntry, ...]
    dominated: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class GroupRanker:
    """Divides groups into keepers and the files that match them directly.

    Attributes:
        matcher: The matcher that decides which files match.
        ranker: The ranker that decides which file is better.
        removable: Classes of matches that make a file redundant; matches of others are reported.
        units: The photos that consist of several files.
        series: The photos that are shots of one burst or bracket.
    """

    matcher: Matcher
    ranker: Ranker
    removable: frozenset[MatchClass]
    units: Units = NO_UNITS
    series: SeriesOfFiles = NO_SERIES

    def order(self, group: Group, compared: Collection[bytes] = ()) -> Ordering:
        """Order the files of a group, best first.

        Args:
            group: The group.
            compared: Digests of files that were compared in full: the results supersede the evidence of small copies
                about borders and overlays.
        """
        ranking = self.ranker.rank(group.entries)
        doubtful = [entry.stat.raw_path for entry in ranking.entries if entry.digest in compared]
        dominated = self.matcher.dominated(ranking.entries).difference(doubtful)
        # Regardless of the rules, the whole picture stays rather than a part of it, and the original rather than a copy
        # that is larger by its border only or has an overlay.
        ordered = sorted(ranking.entries, key=lambda entry: entry.stat.raw_path in dominated)
        return self.together(Ordering(ranking, tuple(ordered), dominated))

    def together(self, ordering: Ordering) -> Ordering:
        """Return an ordering with the files of each unit, and those of each series, together."""
        return self._by_series(self._by_unit(ordering))

    def _by_series(self, ordering: Ordering) -> Ordering:
        """Return an ordering with the files of each series together, at the place of the first: it goes as a whole."""
        if not self.series:
            return ordering
        places: dict[Path, int] = {}
        keyed: list[tuple[int, IndexEntry]] = []
        for place, entry in enumerate(ordering.entries):
            lead = self.units.key(entry.stat.path)
            series = self.series.of(entry.stat.path) or self.series.of(lead)
            keyed.append((places.setdefault(lead if series is None else series.first, place), entry))
        return replace(ordering, entries=tuple(entry for _, entry in sorted(keyed, key=lambda item: item[0])))

    def _by_unit(self, ordering: Ordering) -> Ordering:
        """Return an ordering with the files of each unit together, and the units in the order of those that lead them.

        A unit comes before every file that one of its parts comes before: that file may go for the unit, and the unit
        never for that file.
        """
        if not self.units:
            return ordering
        places: dict[Path, int] = {}
        led: dict[Path, int] = {}
        for place, entry in enumerate(ordering.entries):
            lead = self.units.key(entry.stat.path)
            places.setdefault(lead, place)
            if self.units.of(lead) is not None and (lead == entry.stat.path or lead not in led):
                led[lead] = place
        first = sorted(places[lead] for lead in led)
        places |= dict(zip(sorted(led, key=lambda lead: led[lead]), first, strict=True))
        keys = ((places[self.units.key(entry.stat.path)], entry) for entry in ordering.entries)
        return replace(ordering, entries=tuple(entry for _, entry in sorted(keys, key=lambda item: item[0])))

    def cut(self, ordering: Ordering, matcher: Matcher | None = None) -> KeeperGroups:
        """Divide an ordered group into keepers and the files that match them directly.

        Args:
            ordering: The ordered group.
            matcher: The matcher to use instead of the one of this object.
        """
        return group_around_keepers(
            ordering.entries,
            matcher or self.matcher,
            removable=self.removable,
            is_protected=self.ranker.is_protected,
        )


@dataclass(frozen=True, slots=True)
class RankedCandidates:
    """An ordered and divided group.

    Attributes:
        ordering: The files in order of preference.
        keeper_groups: The keepers and the files that they make redundant.
    """

    ordering: Ordering
    keeper_groups: KeeperGroups


@dataclass(frozen=True, slots=True)
class Ranked:
    """The result of the stages ``rank`` and ``inspect``.

    Attributes:
        candidates: The divided groups, in the order in which they were found.
        groups: Disjoint ranked groups, in the order of their keepers' paths.
        reported: Matches between files that both stay, in the order of their paths.
        summary: Figures of the stage.
        units: The photos of several files among all of these.
        series: The bursts and brackets that have any of the pictures that were ranked.
        merges: Metadata that go to the sidecars of keepers, by the path of the redundant file.
    """

    candidates: tuple[RankedCandidates, ...]
    groups: tuple[RankedGroup, ...]
    reported: tuple[Match, ...]
    summary: PhaseSummary
    units: Units = NO_UNITS
    series: tuple[Series, ...] = ()
    merges: Mapping[Path, SidecarMerge] = field(default_factory=dict)


def rank(
    groups: Sequence[Group], group_ranker: GroupRanker, *, observer: Observer, should_stop: Callable[[], bool]
) -> Ranked:
    """Divide groups into keepers and the files that match them directly.

    Args:
        groups: Groups from the stage ``find``.
        group_ranker: The ranker that orders and divides one group.
        observer: Receives the start, the progress by group, and the end.
        should_stop: Returns whether to stop, called before each group; the remaining groups are then left out.
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
    """Return the figures of a summary: numbers of groups, redundant files and reported matches."""
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
    """A pair of contents of which one shows a part of the other.

    Attributes:
        verdict: The verdict on the two contents.
        left: Files of the left content that may match those of the right one, in the order of paths.
        right: Files of the right content, likewise.
    """

    verdict: PairVerdict
    left: tuple[IndexEntry, ...]
    right: tuple[IndexEntry, ...]


def with_partial(ranked: Ranked, pairs: Iterable[PartialPair], eligibility: Eligibility) -> tuple[Match, ...]:
    """Return the reported matches of a run: those of the ranking, and one per partial pair, between files that stay.

    A pair is left out if all files of one side are redundant: their keeper shows the same and is reported instead.

    Args:
        ranked: The ranked groups and the matches that they report.
        pairs: Partial pairs from the stage ``find``.
        eligibility: Condition under which two files may match.
    """
    redundant = {each.entry.stat.raw_path for group in ranked.groups for each in group.redundant}

    def stays(entry: IndexEntry) -> bool:
        return entry.stat.raw_path not in redundant

    found = [match for pair in pairs if (match := _match(pair, stays, eligibility)) is not None]
    by_paths = {(match.left.stat.raw_path, match.right.stat.raw_path): match for match in (*found, *ranked.reported)}
    return tuple(by_paths[paths] for paths in sorted(by_paths))


def _match(pair: PartialPair, stays: Callable[[IndexEntry], bool], eligibility: Eligibility) -> Match | None:
    verdict = pair.verdict
    for left in filter(stays, pair.left):
        for right in filter(stays, pair.right):
            if eligibility.allows(left, right):
                # The whole picture is the left one, as a keeper is.
                if is_whole(verdict, verdict.right):
                    match = as_match(verdict, right, left, left_is=verdict.right)
                else:
                    match = as_match(verdict, left, right, left_is=verdict.left)
                # A bound on the distance is about removal; a part is far from its whole, and reported at any distance.
                return match if replace(eligibility, max_distance=None).accepts(match) else None
    return None
