"""Proving matches: contents that nobody looked at so far are compared with their suspects, each pair once ever."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from py_image_dedup.media.process import command_of
from py_image_dedup.model.events import Observer, PhaseAdvanced
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.match import MatchClass, PairVerdict, Verdict
from py_image_dedup.pipeline.options import FindOptions, Matching, Options, VerificationMethod
from py_image_dedup.pipeline.verification_workers import InProcesses, InThreads, Pair
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.base import Store

MAX_CANDIDATES: Final = 50
"""How many suspects a content gets by its signature at most, the nearest."""

FEW: Final = 1_000
"""So many new contents are searched some at a time: what a batch costs does not follow the library."""

_SEARCHED_AT_ONCE: Final = 50

_PAIRS_TO_FOLD: Final = 1_000_000


class NearestCandidates:
    """The nearest by signature of some contents, gathered from blocks of pairs in bounded memory.

    Args:
        numbers: Whose.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._wanted = np.asarray(numbers, dtype=np.int64)
        nothing = np.empty(0, dtype=np.int64)
        self._own, self._other, self._distance = nothing, nothing, np.empty(0)
        self._waiting: list[PairBlock] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Take some pairs; those of none of the contents are left out."""
        self._waiting.append(block)
        self._count += len(block)
        if self._count > _PAIRS_TO_FOLD:
            self._fold()

    def of(self, number: int) -> list[int]:
        """Return the contents that are nearest to one of the contents, at most ``MAX_CANDIDATES``."""
        self._fold()
        first, last = np.searchsorted(self._own, [number, number + 1])
        return list(map(int, self._other[first:last]))

    def _fold(self) -> None:
        if not self._waiting:
            return
        own, other, distance = [self._own], [self._other], [self._distance]
        for block in self._waiting:
            for mine, theirs in ((block.left, block.right), (block.right, block.left)):
                chosen = np.isin(mine, self._wanted) & (mine != theirs)
                own.append(mine[chosen])
                other.append(theirs[chosen])
                distance.append(block.distance[chosen])
        self._waiting, self._count = [], 0
        owns, others, distances = np.concatenate(own), np.concatenate(other), np.concatenate(distance)
        order = np.lexsort((others, distances, owns))
        owns, others, distances = owns[order], others[order], distances[order]
        starts = np.flatnonzero(np.diff(owns, prepend=-1))
        rank = np.arange(len(owns)) - np.repeat(starts, np.diff(starts, append=len(owns)))
        kept = rank < MAX_CANDIDATES
        self._own, self._other, self._distance = owns[kept], others[kept], distances[kept]


def near_blocks(store: Store, new: Sequence[int], max_distance: float) -> Iterator[PairBlock]:
    """Yield all pairs of a new content with a suspicious one, and others besides."""
    if len(new) > FEW:
        yield from store.pairs(max_distance, None)
        return
    for start in range(0, len(new), _SEARCHED_AT_ONCE):
        known = store.contents(new[start : start + _SEARCHED_AT_ONCE], None)
        signed = {number: s for number, same in known.items() if (s := same[0].signature) is not None}
        found = store.similar(list(signed.values()), max_distance, None)
        for number, neighbours in zip(signed, found, strict=True):
            yield PairBlock(
                np.full(len(neighbours), number, dtype=np.int64),
                np.array([neighbour.content_id for neighbour in neighbours], dtype=np.int64),
                np.array([neighbour.distance for neighbour in neighbours], dtype=np.float64),
                np.array([neighbour.orientation for neighbour in neighbours], dtype=np.uint8),
            )


_CONTENTS_A_STEP: Final = 100
_PAIRS_AT_ONCE: Final = 1_000
_LOADED: Final = 4_000
"""Contents whose packed features stay in memory: 40 MB."""
_MANY: Final = 300
"""New contents from which on processes earn their start: a third of a second for each."""


class PairVerifier:
    """Verifies pairs of contents in threads. Used by the calling thread only; a context manager.

    The features of a content are read once as long as it is among the last few thousand.

    Args:
        store: The index.
        verifier: How one pair is looked at.
        version: What proofs are marked with; see ``proving.verdict_key``.
        max_distance: Signatures within it are reason enough to look at two pictures; nothing is accepted for it.
        threads: How many pairs are looked at at a time.
    """

    def __init__(
        self, store: Store, verifier: VerificationMethod, version: int, max_distance: float, threads: int
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._threads = max(1, threads)
        self._here = InThreads(verifier, self._threads)
        self._several: InProcesses | None = None
        self._version = version
        self._max_distance = max_distance
        self._packed: OrderedDict[int, bytes | None] = OrderedDict()
        self.verified = 0
        """How many pairs were looked at."""

    def verify_new(self, under: Sequence[Path], *, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Verify the contents under some folders that were not verified with this version.

        Each of them is compared with its suspects in the whole index: those that share visual words, and those with a
        similar signature. So of any two verified contents it is known whether they match, as far as one of them
        suspects the other.

        Args:
            under: Whose contents; the others are verified when it is their turn.
            observer: Told of the progress.
            should_stop: When it says so, what was verified so far is kept.

        Raises:
            StoreError: The index cannot be used.
        """
        self._verify_all(self._store.unverified(self._version, under), observer, should_stop)

    def verify_some(self, numbers: Sequence[int], *, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Do the same for those of some contents that were not verified yet: its cost follows them, not the index."""
        self._verify_all(self._store.unverified_among(self._version, numbers), observer, should_stop)

    def _verify_all(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        if not new:
            return
        self._store.invalidate_orphans()
        if len(new) >= _MANY and self._threads > 1 and self._verifier.command:
            self._several = InProcesses(self._verifier, self._threads)
        try:
            self._verify_each(new, observer, should_stop)
        finally:
            if self._several is not None:
                self._several.close()
                self._several = None

    def _verify_each(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        near = NearestCandidates(new)
        for block in near_blocks(self._store, new, self._max_distance):
            if should_stop():
                return
            near.add(block)
        # While some pairs are looked at, the suspects of the next contents are asked for.
        begun: tuple[Sequence[int], Callable[[], list[PairVerdict]]] | None = None
        for some, pairs in self._steps(new, near):
            following = (some, self._begin(pairs))
            if begun is not None:
                self._keep(*begun, observer)
            begun = following
            if should_stop():
                return
        if begun is not None:
            self._keep(*begun, observer)

    def _steps(self, new: Sequence[int], near: NearestCandidates) -> Iterator[tuple[Sequence[int], list[Pair]]]:
        """Yield contents, a few at a time, and the pairs that are to be looked at for them."""
        waiting = set(new)
        looked_at: dict[int, set[int]] = defaultdict(set)
        some: list[int] = []
        pairs: list[Pair] = []
        for number, suspects in zip(new, self._store.candidates(new), strict=True):
            waiting.discard(number)
            some.append(number)
            # A pair of two new contents is looked at once: with the first of them that suspects the other.
            for other in sorted({*suspects, *near.of(number)} - looked_at.pop(number, set())):
                pairs.append((min(number, other), max(number, other)))
                if other in waiting:
                    looked_at[other].add(number)
            if len(some) >= _CONTENTS_A_STEP or len(pairs) >= _PAIRS_AT_ONCE:
                yield some, pairs
                some, pairs = [], []
        if some:
            yield some, pairs

    def _keep(self, some: Sequence[int], proofs: Callable[[], list[PairVerdict]], observer: Observer) -> None:
        accepted = [proof for proof in proofs() if proof.match_class is not None]
        self._store.keep_verdicts(self._version, accepted, some)
        observer(PhaseAdvanced(Phase.FIND, len(some)))

    def proofs(self, numbers: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """Stream what is known about pairs; see ``Store.proofs``."""
        return self._store.verdicts(self._version, numbers)

    def partners(self, digests: Iterable[bytes]) -> list[int]:
        """Return the contents that are known to match some others, by their digests, and those themselves."""
        own = sorted(self._store.content_ids(digests).values())
        proofs = [proof for proof in self.proofs(own) if proof.match_class is not None]
        return sorted({*own, *(proof.left for proof in proofs), *(proof.right for proof in proofs)})

    def prove(self, pairs: Sequence[Pair]) -> list[PairVerdict]:
        """Verify pairs of numbers; the answers are in their order, and those without a match are among them."""
        proofs: list[PairVerdict] = []
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            proofs += self._begin(pairs[start : start + _PAIRS_AT_ONCE])()
        return proofs

    def _begin(self, pairs: Sequence[Pair]) -> Callable[[], list[PairVerdict]]:
        """Have some pairs verified; return what waits for the answers."""
        packed = self._load({number for pair in pairs for number in pair})
        verdicts = (self._several or self._here).begin(pairs, packed)
        self.verified += len(pairs)
        return lambda: list(map(_proof, pairs, verdicts()))

    def prove_and_keep(self, pairs: Sequence[Pair]) -> list[PairVerdict]:
        """Verify pairs that were no suspects and have to be known all the same; remember the answers, all of them."""
        proofs = self.prove(pairs)
        self._store.keep_verdicts(self._version, proofs)
        return proofs

    def close(self) -> None:
        """End the threads."""
        self._here.close()

    def __enter__(self) -> Self:
        """Return the prover itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _load(self, numbers: set[int]) -> dict[int, bytes]:
        missing = [number for number in sorted(numbers) if number not in self._packed]
        found = self._store.features(missing)
        for number in missing:
            self._packed[number] = found.get(number)
        loaded = {}
        for number in numbers:
            self._packed.move_to_end(number)
            if (packed := self._packed[number]) is not None:
                loaded[number] = packed
        while len(self._packed) > _LOADED:
            self._packed.popitem(last=False)
        return loaded


def _proof(pair: Pair, verdict: Verdict | None) -> PairVerdict:
    if verdict is None:
        return PairVerdict(*pair, None)
    return PairVerdict(*pair, verdict.match_class, verdict.orientation, verdict.evidence)


@dataclass(frozen=True, slots=True)
class Proven:
    """What the find phase goes by where matches are verified.

    Attributes:
        prover: Knows what was found out, and finds out more.
        joining: Classes of matches that make groups.
        numbers: The contents that a batch concerns; ``None``: all.
    """

    prover: PairVerifier
    joining: frozenset[MatchClass]
    numbers: Sequence[int] | None = None


@contextmanager
def open_pair_verifier(store: Store, options: Options) -> Iterator[Proven | None]:
    """Give what proves matches for a block; ``None`` where the distance of signatures decides.

    Args:
        store: The index.
        options: Of the run.

    Raises:
        ValueError: Matches are to be verified, and files are analysed without what they are verified by.
    """
    if options.find.matching is Matching.DISTANCE:
        yield None
        return
    if not options.analyse.features:
        raise ValueError("matches cannot be verified without features: analyse with them, or match by distance")
    # Not at the top: it brings what compares pictures.

    with PairVerifier(
        store,
        verification_method(options.find),
        verdict_key(options),
        options.find.distance_bound,
        options.find.threads,
    ) as prover:
        yield Proven(prover, options.removal.remove_classes | {MatchClass.SIMILAR})


def verdict_key(options: Options) -> int:
    """Return what proofs are marked with: one number for all methods they depend on and for which pairs were looked at.

    Args:
        options: Of the run.
    """
    versions = options.analyse.versions
    methods = (versions.media * 1000 + versions.features) * 1000 + verification_method(options.find).version
    return methods * 10_000 + round(options.find.distance_bound * 1000)


def verification_method(options: FindOptions) -> VerificationMethod:
    """Return what matches are proven with: what the options say, or ``verification.verify``.

    Args:
        options: What matches.
    """
    if options.verifier is not None:
        return options.verifier
    # Not at the top: it brings what compares pictures.
    from py_image_dedup.verification.verify import VERIFY_VERSION, verify

    return VerificationMethod(verify, VERIFY_VERSION, command_of("py_image_dedup.verification.worker"))
