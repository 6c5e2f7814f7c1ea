"""Proving matches: contents that nobody looked at so far are compared with their suspects, each pair once ever."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from py_image_dedup.model.events import Observer, PhaseAdvanced
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.match import MatchClass, Proof, Verdict
from py_image_dedup.pipeline.options import Verifier
from py_image_dedup.pipeline.suspects import NearSuspects, near_blocks
from py_image_dedup.pipeline.verification_workers import InProcesses, InThreads, Pair
from py_image_dedup.store.base import Store

_CONTENTS_A_STEP: Final = 100
_PAIRS_AT_ONCE: Final = 1_000
_LOADED: Final = 4_000
"""Contents whose packed features stay in memory: 40 MB."""
_MANY: Final = 300
"""New contents from which on processes earn their start: a third of a second for each."""


class Prover:
    """Verifies pairs of contents in threads. Used by the calling thread only; a context manager.

    The features of a content are read once as long as it is among the last few thousand.

    Args:
        store: The index.
        verifier: How one pair is looked at.
        version: What proofs are marked with; see ``proving.mark_of``.
        max_distance: Signatures within it are reason enough to look at two pictures; nothing is accepted for it.
        threads: How many pairs are looked at at a time.
    """

    def __init__(self, store: Store, verifier: Verifier, version: int, max_distance: float, threads: int) -> None:
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
        self._verify_all(self._store.unmarked(self._version, numbers), observer, should_stop)

    def _verify_all(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        if not new:
            return
        self._store.unmark_absent()
        if len(new) >= _MANY and self._threads > 1 and self._verifier.command:
            self._several = InProcesses(self._verifier, self._threads)
        try:
            self._verify_each(new, observer, should_stop)
        finally:
            if self._several is not None:
                self._several.close()
                self._several = None

    def _verify_each(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        near = NearSuspects(new)
        for block in near_blocks(self._store, new, self._max_distance):
            if should_stop():
                return
            near.add(block)
        # While some pairs are looked at, the suspects of the next contents are asked for.
        begun: tuple[Sequence[int], Callable[[], list[Proof]]] | None = None
        for some, pairs in self._steps(new, near):
            following = (some, self._begin(pairs))
            if begun is not None:
                self._keep(*begun, observer)
            begun = following
            if should_stop():
                return
        if begun is not None:
            self._keep(*begun, observer)

    def _steps(self, new: Sequence[int], near: NearSuspects) -> Iterator[tuple[Sequence[int], list[Pair]]]:
        """Yield contents, a few at a time, and the pairs that are to be looked at for them."""
        waiting = set(new)
        looked_at: dict[int, set[int]] = defaultdict(set)
        some: list[int] = []
        pairs: list[Pair] = []
        for number, suspects in zip(new, self._store.suspects(new), strict=True):
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

    def _keep(self, some: Sequence[int], proofs: Callable[[], list[Proof]], observer: Observer) -> None:
        accepted = [proof for proof in proofs() if proof.match_class is not None]
        self._store.keep_proofs(self._version, accepted, some)
        observer(PhaseAdvanced(Phase.FIND, len(some)))

    def proofs(self, numbers: Sequence[int] | None = None) -> Iterator[Proof]:
        """Stream what is known about pairs; see ``Store.proofs``."""
        return self._store.proofs(self._version, numbers)

    def partners(self, digests: Iterable[bytes]) -> list[int]:
        """Return the contents that are known to match some others, by their digests, and those themselves."""
        own = sorted(self._store.numbers(digests).values())
        proofs = [proof for proof in self.proofs(own) if proof.match_class is not None]
        return sorted({*own, *(proof.left for proof in proofs), *(proof.right for proof in proofs)})

    def prove(self, pairs: Sequence[Pair]) -> list[Proof]:
        """Verify pairs of numbers; the answers are in their order, and those without a match are among them."""
        proofs: list[Proof] = []
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            proofs += self._begin(pairs[start : start + _PAIRS_AT_ONCE])()
        return proofs

    def _begin(self, pairs: Sequence[Pair]) -> Callable[[], list[Proof]]:
        """Have some pairs verified; return what waits for the answers."""
        packed = self._load({number for pair in pairs for number in pair})
        verdicts = (self._several or self._here).begin(pairs, packed)
        self.verified += len(pairs)
        return lambda: list(map(_proof, pairs, verdicts()))

    def prove_and_keep(self, pairs: Sequence[Pair]) -> list[Proof]:
        """Verify pairs that were no suspects and have to be known all the same; remember the answers, all of them."""
        proofs = self.prove(pairs)
        self._store.keep_proofs(self._version, proofs)
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


def _proof(pair: Pair, verdict: Verdict | None) -> Proof:
    if verdict is None:
        return Proof(*pair, None)
    return Proof(*pair, verdict.match_class, verdict.orientation, verdict.evidence)


@dataclass(frozen=True, slots=True)
class Proven:
    """What the find phase goes by where matches are verified.

    Attributes:
        prover: Knows what was found out, and finds out more.
        joining: Classes of matches that make groups.
        numbers: The contents that a batch concerns; ``None``: all.
    """

    prover: Prover
    joining: frozenset[MatchClass]
    numbers: Sequence[int] | None = None
