"""The find stage: groups the files of a run that may be duplicates of each other."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from py_image_dedup.matching.groups import Components
from py_image_dedup.matching.matcher import DistanceMatcher, Matcher, VerifiedMatcher, scope_key
from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Inventory
from py_image_dedup.model.match import Group, MatchClass, Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.cleanup import is_current
from py_image_dedup.pipeline.options import NEAR, FindOptions
from py_image_dedup.pipeline.rank import PartialPair
from py_image_dedup.pipeline.same_pixels import PixelComparison, near_candidates, same_pixels
from py_image_dedup.scan.roots import Ownership, topmost

if TYPE_CHECKING:
    from py_image_dedup.pipeline.verification import PairVerifier
    from py_image_dedup.store.base import SearchableStore


_CONTENTS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the stage.

    Attributes:
        groups: Disjoint groups, in the order of their first paths. Files of different groups do not match; files of one
            group match directly or through others, or not at all where their times are too far apart.
        matcher: Decides which files of a group match.
        summary: Number of groups, of their files, of pictures whose pixels were compared, and of verified pairs.
        partial: Pairs of pictures of which one shows a part of the other.
        across_scopes: Number of sets of copies in several folders or roots, which the scope keeps apart.
    """

    groups: tuple[Group, ...]
    matcher: Matcher
    summary: PhaseSummary
    partial: tuple[PartialPair, ...] = ()
    across_scopes: int = 0


def find(
    inventory: Inventory,
    store: SearchableStore,
    current: Versions,
    options: FindOptions,
    *,
    observer: Observer,
    should_stop: Callable[[], bool],
    verifier: PairVerifier | None = None,
    contents: Sequence[int] | None = None,
) -> Found:
    """Find the groups of files that may be duplicates of each other.

    Only files of the inventory take part, and only with an entry that describes them as they are now. Memory grows with
    the contents of the index and the files in groups, not with the pairs.

    Args:
        inventory: Files of this run.
        store: The index, or the part of it that a batch concerns.
        current: Versions of a current entry.
        options: Definition of a duplicate.
        observer: Receives the start, each picture whose pixels are compared, and the end.
        should_stop: Returns whether to end the stage early, with an incomplete result.
        verifier: Verifies which pictures match; without it the distance of their signatures decides.
        contents: Numbers of the contents that a batch concerns, already verified; ``None``: all.

    Raises:
        StoreError: The index cannot be used.
    """
    begin = perf_counter()
    observer(PhaseStarted(Phase.FIND, unit="pictures compared"))
    search = _Search(inventory, store, current, options, should_stop, verifier, contents)
    if verifier is not None and contents is None:
        # The files of a batch are verified before their neighbours are collected.
        verifier.verify_new(search.under, observer=observer, should_stop=should_stop)
    with paused_collection():
        groups = search.groups()
    compared = 0
    if options.finds_same_pixels:
        comparison = PixelComparison(store, options.threads, options.limits, observer, should_stop)
        digests = same_pixels(search.candidates, comparison.digests)
        compared = len(digests)
        groups = [[_with_pixels(entry, digests) for entry in group] for group in groups]
        groups += _flat_groups(search.flat, digests)
    found = tuple(
        Group(tuple(sorted(group, key=lambda entry: entry.stat.raw_path))) for group in groups if len(group) > 1
    )
    found = tuple(sorted(found, key=lambda group: group.entries[0].stat.raw_path))
    counts = {"groups": len(found), "files": sum(len(group.entries) for group in found), "compared": compared}
    if verifier is not None:
        counts |= {"verified": verifier.verified}
    summary = PhaseSummary(Phase.FIND, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    return Found(found, search.matcher(), summary, search.partial(), search.across_scopes())


class _Search:
    """The search for the groups of one run, and for candidates whose pixels are to be compared."""

    def __init__(
        self,
        inventory: Inventory,
        store: SearchableStore,
        current: Versions,
        options: FindOptions,
        should_stop: Callable[[], bool],
        verifier: PairVerifier | None,
        contents: Sequence[int] | None,
    ) -> None:
        self._verifier = verifier
        self._verified_contents = contents
        self._verdicts: list[PairVerdict] = []
        self._numbers: dict[bytes, int] = {}
        self._stamps = inventory.stamps
        self._store = store
        self._current = current
        self._options = options
        self._should_stop = should_stop
        self.under = topmost(root.path for root in inventory.roots)
        ownership = Ownership(inventory.roots)
        self._key = scope_key(options.scope, ownership)
        self._eligibility = options.eligibility(ownership)
        # Of contents with copies in several scopes, or joined with such: the component and the scopes.
        self._spread: dict[int, tuple[int, frozenset[Hashable]]] = {}
        self._spread_components: set[int] = set()
        self._copies_apart = 0
        self.candidates: list[list[IndexEntry]] = []
        self.flat: list[list[IndexEntry]] = []

    def groups(self) -> list[list[IndexEntry]]:
        """Return the groups by verdicts, signatures or bytes; pictures without a signature are kept apart."""
        seen: set[bytes | None] = set()
        groups: list[list[IndexEntry]] = []
        for entries, near in self._alike():
            seen.update(entry.digest for entry in entries)
            for group in self._by_scope(entries):
                groups.append(group)
                if self._options.finds_same_pixels:
                    self.candidates += near_candidates(group, near)
        if self._options.finds_same_pixels:
            self._take_flat(seen)
        for same in self._store.identical(self.under):
            if self._should_stop():
                break
            if same[0].digest not in seen:
                scopes = self._scopes(same)
                self._copies_apart += len(scopes) > 1
                groups += (group for group in scopes.values() if len(group) > 1)
        return groups

    def across_scopes(self) -> int:
        """Return the number of sets of copies that lie in several scopes and so are not compared."""
        spread = self._spread
        for pair in self._verdicts:
            if pair.match_class is MatchClass.SIMILAR and pair.left in spread and pair.right in spread:
                component, keys = spread[pair.left]
                if len(keys | spread[pair.right][1]) > 1:
                    self._spread_components.add(component)
        return len(self._spread_components) + self._copies_apart

    def _note_spread(self, component: int, contents: Mapping[int, Sequence[IndexEntry]]) -> None:
        """Record a component whose files lie in several scopes."""
        keys = {number: frozenset(self._key(each.stat.raw_path) for each in mine) for number, mine in contents.items()}
        if len(frozenset[Hashable]().union(*keys.values())) < 2:
            return
        # Without verification every pair of a component counts; with it, only pairs that were found to match.
        by_distance = self._options.finds_similar and self._verifier is None
        if by_distance or any(len(mine) > 1 for mine in keys.values()):
            self._spread_components.add(component)
        self._spread |= {number: (component, mine) for number, mine in keys.items()}

    def matcher(self) -> Matcher:
        """Return what decides whether two files of a group match."""
        options, verifier = self._options, self._verifier
        if verifier is None:
            return DistanceMatcher(options.distance_bound, self._eligibility)
        return VerifiedMatcher(
            self._eligibility,
            self._numbers,
            self._verdicts,
            verifier.verify_and_keep,
            with_partial=MatchClass.PARTIAL in verifier.joining,
        )

    def partial(self) -> tuple[PartialPair, ...]:
        """Return the pairs of which one picture shows a part of the other, with the files that may match."""
        partial = [pair for pair in self._verdicts if pair.match_class is MatchClass.PARTIAL]
        found = self._store.contents({n for pair in partial for n in (pair.left, pair.right)}, self.under)
        pairs = []
        for pair in partial:
            left, right = (self._scopes(found.get(content, ())) for content in (pair.left, pair.right))
            pairs += [PartialPair(pair, tuple(left[key]), tuple(right[key])) for key in left.keys() & right.keys()]
        return tuple(pairs)

    @property
    def _bound(self) -> float | None:
        """The distance of signatures up to which pairs are searched; ``None`` if none are."""
        options = self._options
        if not options.finds_similar or self._verifier is not None:
            return NEAR if options.finds_same_pixels else None
        return max(options.distance_bound, NEAR) if options.finds_same_pixels else options.distance_bound

    def _alike(self) -> Iterator[tuple[list[IndexEntry], Callable[[IndexEntry], Hashable]]]:
        """Yield the files of each connected component, and a function from a file to its set of near contents."""
        joined, close = Components(), Components()
        for block in self._store.pairs(self._bound, self.under) if self._bound is not None else ():
            if self._should_stop():
                return
            near = (block.distance <= NEAR) & (block.orientation == Orientation.UPRIGHT)
            close.join(block.left[near], block.right[near])
            # Where the distance decides nothing, a small one is only a reason to compare the pixels.
            by_distance = self._options.finds_similar and self._verifier is None
            chosen = np.ones(len(block), dtype=np.bool_) if by_distance else near
            joined.join(block.left[chosen], block.right[chosen])
        if self._verifier is not None:
            self._verdicts = list(self._verifier.verdicts(self._verified_contents))
            matching = np.array(
                [(pair.left, pair.right) for pair in self._verdicts if pair.match_class in self._verifier.joining],
                dtype=np.int64,
            ).reshape(-1, 2)
            joined.join(matching[:, 0], matching[:, 1])
        for batch in _batches([int(number) for number in members] for members in joined.members()):
            if self._should_stop():
                return
            found = self._store.contents([number for members in batch for number in members], self.under)
            for members in batch:
                roots: dict[bytes | None, int] = {}
                entries: list[IndexEntry] = []
                contents: dict[int, Sequence[IndexEntry]] = {}
                for number in members:
                    mine = [entry for entry in found.get(number, ()) if self._counts(entry)]
                    entries += mine
                    contents[number] = mine
                    if mine and mine[0].digest is not None:
                        roots[mine[0].digest] = close.root(number)
                        self._numbers[mine[0].digest] = number
                if len(entries) > 1:
                    self._note_spread(members[0], contents)
                    yield entries, _lookup(roots)

    def _take_flat(self, seen: set[bytes | None]) -> None:
        """Group the pictures without a signature by shown size: they match by bytes or pixels only."""
        by_size: dict[Hashable, list[IndexEntry]] = defaultdict(list)
        for entry in self._store.unsigned(self.under):
            if self._should_stop():
                return
            if self._counts(entry) and entry.facts is not None:
                facts = entry.facts
                key = (self._key(entry.stat.raw_path), facts.width, facts.height, facts.frames)
                by_size[key].append(entry)
        for entries in by_size.values():
            if len(entries) > 1:
                self.candidates += near_candidates(entries, lambda _: None)
            # Faint pictures may have features, and be in a group already.
            alone = [entry for entry in entries if entry.digest not in seen]
            if len(alone) > 1:
                self.flat.append(alone)
        seen.update(entry.digest for entries in by_size.values() for entry in entries)

    def _by_scope(self, entries: Iterable[IndexEntry]) -> Iterator[list[IndexEntry]]:
        return (group for group in self._scopes(entries).values() if len(group) > 1)

    def _scopes(self, entries: Iterable[IndexEntry]) -> dict[Hashable, list[IndexEntry]]:
        apart: dict[Hashable, list[IndexEntry]] = defaultdict(list)
        for entry in entries:
            if self._counts(entry):
                apart[self._key(entry.stat.raw_path)].append(entry)
        return apart

    def _counts(self, entry: IndexEntry) -> bool:
        """Return whether the file is in the inventory, its entry is current, and its picture is large enough."""
        stat, least = entry.stat, self._options.min_pixels
        if least and (entry.facts is None or entry.facts.pixels < least):
            return False
        return self._stamps.get(os.fsencode(stat.path)) == stat.stamp and is_current(entry.versions, self._current)


def _lookup(roots: dict[bytes | None, int]) -> Callable[[IndexEntry], Hashable]:
    return lambda entry: roots[entry.digest]


def _batches(components: Iterable[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    batch: list[Sequence[int]] = []
    size = 0
    for members in components:
        batch.append(members)
        size += len(members)
        if size >= _CONTENTS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _with_pixels(entry: IndexEntry, digests: dict[bytes, bytes]) -> IndexEntry:
    found = digests.get(entry.digest) if entry.digest is not None else None
    return entry if found is None or found == entry.pixel_digest else replace(entry, pixel_digest=found)


def _flat_groups(flat: Iterable[Sequence[IndexEntry]], digests: dict[bytes, bytes]) -> Iterator[list[IndexEntry]]:
    for entries in flat:
        same: dict[bytes | None, list[IndexEntry]] = defaultdict(list)
        for entry in entries:
            known = _with_pixels(entry, digests)
            same[known.pixel_digest or known.digest].append(known)
        yield from same.values()


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the garbage collector inside a ``with`` block that makes a small tuple or two per file of a library.

    None of them is part of a cycle, but the collector would traverse all of them again and again: a fifth of the time
    of a run over an unchanged library. It is resumed afterwards, unless it was off before.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
