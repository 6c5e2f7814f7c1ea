"""The inspect stage: compares each redundant file in full with its keeper before it may be removed.

Matches rest on small copies of the pictures, which do not show a digit of an invoice, the later frames of an animation,
or a closed eye. This stage decodes the files themselves, each pair of contents once ever. A file with content that its
keeper lacks is not redundant; it is reported with the reason. Where the comparison shows that the other file is better,
it replaces the keeper and the group is divided again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from py_image_dedup.inspection.client import VERSION, InspectionPool, Question, decode, encode
from py_image_dedup.matching.groups import KeeperGroups, leaves_nothing
from py_image_dedup.matching.matcher import Matcher
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseExtended, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.inspection import Inspection, Original, Side
from py_image_dedup.model.inspection import Outcome as Finding
from py_image_dedup.model.match import WHOLE, Group, Match, MatchClass
from py_image_dedup.model.photo import IndexEntry, PhotoFacts
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus, Plan, without_torn_units
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.options import RunContext
from py_image_dedup.pipeline.rank import GroupRanker, Ordering, Ranked, RankedCandidates, collect, counts_of
from py_image_dedup.signature.arrays import Float64Array
from py_image_dedup.signature.distance import distances

if TYPE_CHECKING:
    from py_image_dedup.store.base import DigestPair, Store

_ROUNDS: Final = 12
"""Rounds of dividing groups again after new comparisons. Each round decides at least one keeper of a group."""
_BATCH: Final = 64
"""Pairs whose results are stored together: a killed run loses this many at most."""
_FAILURES: Final = 4
"""Unsuccessful comparisons of a file after which only the nearest files of its group are tried as keepers."""
_NEAREST: Final = 4
_MOVES: Final = 20
"""Largest number of files that replace their keeper in one round; further ones are left to the next round."""

Locate: TypeAlias = Callable[[Match], tuple[tuple[float, ...], ...] | None]
"""Function that returns the transform from the left picture of a match to the right one: 3 x 3, in file pixels."""

Item = TypeVar("Item", Match, Action)

_CLASSES: Final[Mapping[Finding, MatchClass]] = {
    Finding.EDITED: MatchClass.EDITED,
    Finding.ANOTHER_SHOT: MatchClass.ANOTHER_SHOT,
    Finding.DIFFERENT: MatchClass.NOT_THE_SAME,
    Finding.PARTIAL: MatchClass.PARTIAL,
}
"""Classes of matches by the outcomes of the full comparison that change them."""

_SAME_PHOTO: Final = frozenset({Finding.COVERED, Finding.EDITED, Finding.MORE, Finding.BOTH_HAVE_MORE})
"""Outcomes for which the evidence about the original is valid: another shot is not derived from this one."""

_TOO_MANY: Final = Inspection(
    Finding.UNDECIDED,
    "Too many pictures are nearly the same; this file was compared in full with those that are nearest to it only.",
)
_TORN: Final = "{} stays, because another file of the same photo does."
_NOT_REACHED: Final = Inspection(Finding.UNDECIDED, "It was not compared in full, because the run was stopped.")


@dataclass(slots=True)
class Inspector:
    """Compares pairs of contents in full, each pair once ever. Not thread-safe.

    Attributes:
        store: The index, which stores the results.
        pool: Processes that compare files.
        locate: Function that locates a part in the whole picture.
        observer: Receives the progress by pair.
        should_stop: Returns whether to stop; no further pair is then started.
        compared: Number of pairs compared in this run.
    """

    store: Store
    pool: InspectionPool
    locate: Locate
    observer: Observer
    should_stop: Callable[[], bool]
    compared: int = 0
    _known: dict[DigestPair, Inspection] = field(default_factory=dict)
    _failures: Counter[bytes] = field(default_factory=Counter)
    _placed: set[bytes] = field(default_factory=set)

    def found(self, match: Match) -> Inspection | None:
        """Return the result for a match; ``None`` if its files were not compared."""
        return self._known.get(_pair(match))

    @property
    def placed(self) -> Collection[bytes]:
        """The digests of contents that a full comparison found better or worse than another, or equal to it."""
        return self._placed

    def origin(self, left: IndexEntry, right: IndexEntry) -> Original | None:
        """Return which of two files the other is derived from; ``None`` if they were not compared."""
        if left.digest is None or right.digest is None:
            return None
        found = self._known.get((left.digest, right.digest))
        if found is not None and found.outcome in _SAME_PHOTO:
            return found.original
        found = self._known.get((right.digest, left.digest))
        return found.original.reversed() if found is not None and found.outcome in _SAME_PHOTO else None

    def failures(self, match: Match) -> int:
        """Return the number of keepers for which the right file turned out not to be redundant."""
        return self._failures[_pair(match)[1]]

    def inspect(self, matches: Sequence[Match]) -> None:
        """Compare the files of matches, except those with a stored result."""
        self._inspect({_pair(match): match for match in matches if _pair(match) not in self._known}, self._question)

    def decide(self, action: Action) -> Inspection | None:
        """Return the result for the files of an action; ``None`` if they were not compared."""
        return self._known.get((action.keeper_digest, action.source_digest))

    def inspect_actions(self, actions: Sequence[Action]) -> None:
        """Compare the files of actions, except those with a stored result."""
        self._inspect({(each.keeper_digest, each.source_digest): each for each in actions}, self._question_of)

    def _inspect(self, wanted: dict[DigestPair, Item], question: Callable[[Item], Question]) -> None:
        self._recall(wanted)
        self._compare({question(item): pair for pair, item in wanted.items()})

    def _question_of(self, action: Action) -> Question:
        """Return the question for an action, whose plan may have been edited: only the index knows its pixels."""
        keeper = self._entry(action.keeper.path, action.keeper_digest)
        source = self._entry(action.source.path, action.source_digest)
        question = Question(action.keeper, action.source)
        if keeper is None or source is None:
            return question
        if action.match_class is MatchClass.SAME_PIXELS:
            is_known = keeper.pixel_digest is not None and keeper.pixel_digest == source.pixel_digest
            return replace(question, same_pixels=is_known)
        if action.match_class is MatchClass.PARTIAL:
            return replace(question, transform=self.locate(Match(keeper, source, action.match_class)))
        return question

    def _entry(self, path: Path, digest: bytes) -> IndexEntry | None:
        """Return the entry of a file if it still has these bytes."""
        entry = self.store.get(path)
        return entry if entry is not None and entry.digest == digest else None

    def _recall(self, wanted: dict[DigestPair, Any]) -> None:
        """Load the stored results, and leave the other pairs in ``wanted``."""
        for pair, data in self.store.inspections(VERSION, wanted.keys()).items():
            inspection = decode(data)
            if inspection is not None:
                self._remember(pair, inspection)
                del wanted[pair]
                self.observer(PhaseAdvanced(Phase.INSPECT))

    def _compare(self, questions: Mapping[Question, DigestPair]) -> None:
        fresh: dict[DigestPair, bytes] = {}
        try:
            for question, answer in self.pool.ask(questions, self.should_stop):
                pair = questions[question]
                self._remember(pair, answer.inspection)
                self.compared += 1
                if answer.lasting:
                    fresh[pair] = encode(answer.inspection)
                if len(fresh) >= _BATCH:
                    self.store.keep_inspections(VERSION, fresh)
                    fresh = {}
                self.observer(PhaseAdvanced(Phase.INSPECT))
        finally:
            if fresh:
                self.store.keep_inspections(VERSION, fresh)

    def _remember(self, pair: DigestPair, inspection: Inspection) -> None:
        self._known[pair] = inspection
        self._failures[pair[1]] += not inspection.is_removable
        is_placed = inspection.outcome is not Finding.EDITED or inspection.original.side is not Side.UNKNOWN
        if inspection.outcome in _SAME_PHOTO and is_placed:
            self._placed.update(pair)

    def _question(self, match: Match) -> Question:
        if match.match_class is MatchClass.SAME_PIXELS:
            return Question(match.left.stat, match.right.stat, same_pixels=True)
        seen = match.evidence
        is_whole = seen is None or min(seen.coverage_left, seen.coverage_right) >= WHOLE
        transform = None if is_whole else self.locate(match)
        return Question(match.left.stat, match.right.stat, match.orientation, transform)


@dataclass(frozen=True, slots=True)
class InspectedMatcher:
    """A matcher whose matches include the results of full comparisons.

    Attributes:
        matcher: The matcher that decides which files match.
        inspector: The inspector with the results.
        removable: Classes that make a file redundant; matches of other classes are not compared.
        nearest: Function that returns the digests of the files that are nearest to one.
        is_final: Whether pairs that were not compared no longer make a file redundant.
    """

    matcher: Matcher
    inspector: Inspector
    removable: frozenset[MatchClass]
    nearest: Callable[[IndexEntry], Collection[bytes | None]]
    is_final: bool = False

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return the match of each other file with the keeper; see ``Matcher.matches``."""
        return [None if match is None else self._inspected(match) for match in self.matcher.matches(keeper, others)]

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the dominated files; see ``Matcher.dominated``."""
        return self.matcher.dominated(entries)

    def _inspected(self, match: Match) -> Match:
        if not needs_inspection(match, self.removable):
            return match
        found = self.inspector.found(match)
        if found is None and self._is_hopeless(match):
            found = _TOO_MANY
        if found is None and self.is_final:
            found = _NOT_REACHED
        return match if found is None else with_inspection(match, found)

    def _is_hopeless(self, match: Match) -> bool:
        """Return whether comparisons with several keepers failed and other files of the group are nearer."""
        is_tired = self.inspector.failures(match) >= _FAILURES
        return is_tired and match.left.digest not in self.nearest(match.right)


def needs_inspection(match: Match, removable: frozenset[MatchClass]) -> bool:
    """Return whether the right file of a match may be removed only after a full comparison of the two."""
    if match.match_class is MatchClass.IDENTICAL or match.inspection is not None:
        return False
    return match.match_class in removable and match.left.digest is not None and match.right.digest is not None


def with_inspection(match: Match, found: Inspection) -> Match:
    """Return a match with the result of the full comparison, in the class that follows from it."""
    match_class = _CLASSES.get(found.outcome, match.match_class)
    if match.match_class is MatchClass.PARTIAL and match_class is MatchClass.EDITED:
        match_class = MatchClass.PARTIAL
    evidence = match.evidence
    if evidence is not None and found.is_removable:
        # The full comparison refutes differences that the small copies seemed to have.
        evidence = evidence.without_changes()
    return replace(match, match_class=match_class, evidence=evidence, inspection=found)


def inspect_groups(ranked: Ranked, group_ranker: GroupRanker, context: RunContext) -> Ranked:
    """Compare redundant files in full, with as many processes as the run has threads; see ``inspect``.

    Args:
        ranked: Groups from the stage ``rank``.
        group_ranker: The ranker that divides a group again.
        context: Dependencies of the run.

    Raises:
        StoreError: The index cannot be used.
    """
    with _inspector(context) as inspector:
        ranker = replace(group_ranker.ranker, origin=inspector.origin)
        return inspect(ranked, replace(group_ranker, ranker=ranker), inspector)


@contextmanager
def _inspector(context: RunContext) -> Iterator[Inspector]:
    find, store = context.options.find, context.store
    with InspectionPool(find.threads, find.limits) as pool:
        yield Inspector(store, pool, partial(_locate, store), context.observer, context.should_stop)


@dataclass(frozen=True, slots=True)
class InspectedPlan:
    """A saved plan after its files were compared in full.

    Attributes:
        plan: The plan with the actions that may be carried out.
        refused: The outcomes of the other actions.
        summaries: The figures of the stage; empty if there was nothing to compare.
    """

    plan: Plan
    refused: tuple[Outcome, ...] = ()
    summaries: tuple[PhaseSummary, ...] = ()


def inspect_plan(plan: Plan, context: RunContext) -> InspectedPlan:
    """Compare the files of a saved plan in full with their keepers before it is carried out.

    Args:
        plan: The plan, which may have been edited by hand.
        context: Dependencies of the run.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
    """
    in_doubt = [
        action
        for action in plan.actions
        if action.match_class is not MatchClass.IDENTICAL and action.kind is not ActionKind.EXPIRE
    ]
    if not in_doubt:
        return InspectedPlan(plan)
    begin = perf_counter()
    context.observer(PhaseStarted(Phase.INSPECT, len(in_doubt), "pairs"))
    videos = [action for action in in_doubt if context.options.analyse.is_video(action.source.raw_path)]
    photos = [action for action in in_doubt if action not in videos]
    with _inspector(context) as inspector:
        inspector.inspect_actions(photos)
        refused = {
            action.number: _refusal(inspector.decide(action))
            for action in photos
            if not _may_be_carried_out(action, inspector.decide(action))
        }
    if videos:
        refused |= _refused_videos(videos, context)
    summary = PhaseSummary(Phase.INSPECT, perf_counter() - begin, {"compared": inspector.compared})
    context.observer(PhaseFinished(summary))
    allowed, torn = without_torn_units([action for action in plan.actions if action.number not in refused])
    refused |= {action.number: _TORN.format(action.source.path) for action in torn}
    skipped = tuple(
        Outcome(action, OutcomeStatus.SKIPPED, message=refused[action.number])
        for action in plan.actions
        if action.number in refused
    )
    return InspectedPlan(replace(plan, actions=allowed), skipped, (summary,))


def _refused_videos(actions: Sequence[Action], context: RunContext) -> dict[int, str]:
    """Return the reasons for which actions on videos must not be carried out, by their numbers."""
    # Not at the top: few plans have videos.
    from py_image_dedup.pipeline.videos import inspect_video_actions

    found = inspect_video_actions(actions, context)
    refused: dict[int, str] = {}
    for action in actions:
        inspection, match_class = found[action.number]
        if not leaves_nothing(inspection):
            refused[action.number] = inspection.reason
        elif match_class is not action.match_class:
            refused[action.number] = f"The two videos are {match_class.value} now, not {action.match_class.value}."
    return refused


def _may_be_carried_out(action: Action, found: Inspection | None) -> bool:
    """Return whether a full comparison confirms the class of an action."""
    if found is None or not leaves_nothing(found):
        return False
    return found.is_removable or _CLASSES[found.outcome] is action.match_class


def _refusal(found: Inspection | None) -> str:
    return (_NOT_REACHED if found is None else found).reason


def _locate(store: Store, match: Match) -> tuple[tuple[float, ...], ...] | None:
    """Return the transform from the left picture to the right one, in pixels of the files, from their features."""
    # Not at the top: it loads geometric verification, and few runs have parts of pictures to remove.
    from py_image_dedup.features.extract import unpack
    from py_image_dedup.verification.picture import Picture
    from py_image_dedup.verification.verify import locate

    left, right = match.left, match.right
    if left.digest is None or right.digest is None or left.facts is None or right.facts is None:
        return None
    ids = store.content_ids([left.digest, right.digest])
    packed = store.features(ids.values())
    try:
        one, other = (Picture(unpack(packed[ids[digest]])) for digest in (left.digest, right.digest))
    except KeyError:
        return None
    found = locate(one, other)
    if found is None:
        return None
    matrix = _to_pixels(other.size, right.facts) @ found @ np.linalg.inv(_to_pixels(one.size, left.facts))
    return tuple(tuple(float(value) for value in row) for row in matrix)


def _to_pixels(size: tuple[float, float], facts: PhotoFacts) -> Float64Array:
    """Return the transform from a thumbnail, whose corner is the origin, to pixels whose centres are integers."""
    across, down = facts.width / size[0], facts.height / size[1]
    return np.array([[across, 0, -0.5], [0, down, -0.5], [0, 0, 1]], dtype=np.float64)


def inspect(ranked: Ranked, group_ranker: GroupRanker, inspector: Inspector) -> Ranked:
    """Compare redundant files in full with their keepers, and keep those with content of their own.

    Args:
        ranked: Groups from the stage ``rank``.
        group_ranker: The ranker that orders and divides a group again; it uses the results of the inspector.
        inspector: The inspector that compares files; when it is to stop, files that were not compared are not
            redundant.
    """
    observer = inspector.observer
    begin = perf_counter()
    stage = _Stage(group_ranker, inspector)
    settled = dict(enumerate(ranked.candidates))
    pairs = {number: sum(map(stage.needs, _matches(each.keeper_groups))) for number, each in settled.items()}
    orderings = {number: settled[number].ordering for number, count in pairs.items() if count}
    announced = sum(pairs.values())
    observer(PhaseStarted(Phase.INSPECT, announced, "pairs"))
    for _ in range(_ROUNDS):
        wanted: list[Match] = []
        for number, ordering in list(orderings.items()):
            cut, ordering = stage.cut(ordering)
            pending = [match for match in _matches(cut) if stage.needs(match)]
            orderings[number] = ordering
            if pending:
                wanted += pending
            else:
                settled[number] = RankedCandidates(ordering, cut)
                del orderings[number]
        if not wanted or inspector.should_stop():
            break
        if len(wanted) > announced:
            observer(PhaseExtended(Phase.INSPECT, len(wanted) - announced))
        announced = max(0, announced - len(wanted))
        inspector.inspect(wanted)
    for number, ordering in orderings.items():
        settled[number] = RankedCandidates(ordering, stage.cut_finally(ordering))
    groups, reported = collect(settled.values())
    kept = Counter(match.match_class.value for match in reported if match.inspection is not None)
    counts = {**counts_of(groups, reported), "compared": inspector.compared, "kept": kept.total()}
    summary = PhaseSummary(Phase.INSPECT, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    return Ranked(tuple(settled.values()), groups, reported, summary)


@dataclass(slots=True)
class _Stage:
    """Divides groups by the results so far.

    Attributes:
        group_ranker: The ranker that orders and divides one group.
        inspector: The inspector with the results.
        better: Pairs of digests, in the order of discovery: the first content stays instead of the second, which lacks
            something.
    """

    group_ranker: GroupRanker
    inspector: Inspector
    better: dict[DigestPair, None] = field(default_factory=dict)
    _nearest: dict[bytes, Collection[bytes | None]] = field(default_factory=dict)

    def needs(self, match: Match) -> bool:
        return needs_inspection(match, self.group_ranker.removable)

    def cut(self, ordering: Ordering) -> tuple[KeeperGroups, Ordering]:
        """Order and divide a group by the results so far; a keeper is replaced by a file whose content it lacks."""
        ordering = self._ordered(ordering)
        cut = self.group_ranker.cut(ordering, self._matcher(ordering))
        for _ in range(_MOVES):
            pair = self._yielding(cut)
            if pair is None:
                break
            self.better[pair] = None
            ordering = self._ordered(ordering)
            cut = self.group_ranker.cut(ordering, self._matcher(ordering))
        return cut, ordering

    def cut_finally(self, ordering: Ordering) -> KeeperGroups:
        return self.group_ranker.cut(ordering, replace(self._matcher(ordering), is_final=True))

    def _ordered(self, ordering: Ordering) -> Ordering:
        entries = tuple(sorted(ordering.ranking.entries, key=lambda entry: entry.stat.raw_path))
        ordered = self.group_ranker.order(Group(entries), self.inspector.placed)
        digests = {entry.digest for entry in entries}
        for better, worse in self.better:
            if better in digests and worse in digests:
                ordered = _moved(ordered, better, worse)
        return self.group_ranker.together(ordered)

    def _matcher(self, ordering: Ordering) -> InspectedMatcher:
        ranker = self.group_ranker
        nearest = partial(self._nearest_in, ordering.entries)
        return InspectedMatcher(ranker.matcher, self.inspector, ranker.removable, nearest)

    def _nearest_in(self, group: Sequence[IndexEntry], entry: IndexEntry) -> Collection[bytes | None]:
        """Return the digests of the files of a group that are nearest to one of them; computed once for a file."""
        raw = entry.stat.raw_path
        if raw not in self._nearest:
            self._nearest[raw] = _nearest(entry, group)
        return self._nearest[raw]

    def _yielding(self, cut: KeeperGroups) -> DigestPair | None:
        """Return the digests of a file that should stay instead of its keeper, and of that keeper."""
        for match in cut.reported:
            found = match.inspection
            if found is None or found.outcome is not Finding.MORE or not self._may_change(match.left, match.right):
                continue
            keeper, other = _pair(match)
            reverse = self.inspector.found(replace(match, left=match.right, right=match.left))
            is_new = (other, keeper) not in self.better and (keeper, other) not in self.better
            if is_new and (reverse is None or reverse.outcome is not Finding.MORE):
                return other, keeper
        return None

    def _may_change(self, keeper: IndexEntry, other: IndexEntry) -> bool:
        is_protected = self.group_ranker.ranker.is_protected
        if is_protected(keeper.stat.raw_path) and not is_protected(other.stat.raw_path):
            return False
        return other.decoded_whole or not keeper.decoded_whole


def _moved(ordering: Ordering, better: bytes, worse: bytes) -> Ordering:
    """Return an ordering with all files of one content before those of another, by their digests."""
    entries = ordering.entries
    first = next(place for place, entry in enumerate(entries) if entry.digest == worse)
    moving = tuple(entry for entry in entries[first:] if entry.digest == better)
    rest = tuple(entry for entry in entries[first:] if entry.digest != better)
    return replace(ordering, entries=(*entries[:first], *moving, *rest))


def _matches(cut: KeeperGroups) -> Iterable[Match]:
    return (match for group in cut.groups for match in group.matches)


def _pair(match: Match) -> DigestPair:
    if match.left.digest is None or match.right.digest is None:
        raise ValueError("files without a digest are not compared")
    return match.left.digest, match.right.digest


def _nearest(entry: IndexEntry, entries: Sequence[IndexEntry]) -> set[bytes | None]:
    """Return the digests of the files of a group whose signatures are nearest to that of one of them."""
    others = [each for each in entries if each.signature is not None and each.digest != entry.digest]
    if entry.signature is None or not others:
        return set()
    many = np.frombuffer(b"".join(each.signature.values for each in others if each.signature), dtype=np.int8)
    apart, _ = distances(np.frombuffer(entry.signature.values, dtype=np.int8), many.reshape(len(others), -1))
    return {others[int(place)].digest for place in np.argsort(apart, kind="stable")[:_NEAREST]}
