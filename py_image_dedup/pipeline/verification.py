"""Geometric verification of new contents against their candidates; each pair is verified once.

A picture of a library of screenshots, forms or pages has a crowd of candidates, and few of them are worth a look:
nearly all share a template with it. Those that show the same are found by the arrangement of the words that the others
do not have (``features.arrangement``), before any pixels are compared.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from py_image_dedup.media.process import command_of
from py_image_dedup.model.closing import Closing
from py_image_dedup.model.events import Observer, PhaseAdvanced
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.match import MatchClass, PairVerdict
from py_image_dedup.pipeline.options import FindOptions, Options, VerificationMethod
from py_image_dedup.pipeline.verification_workers import InProcesses, InThreads, Pair
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.features.arrangement import PlacedWords


MAX_CANDIDATES: Final = 50
"""Largest number of candidates of a content by the distance of signatures; the nearest are kept."""

FEW: Final = 1_000
"""Up to this many new contents are searched one by one; beyond it, one join of the whole index is cheaper."""

_CONTENTS_PER_SEARCH: Final = 50

_PAIRS_TO_MERGE: Final = 1_000_000
"""Number of pairs that are buffered before they are merged into the nearest candidates: 40 MB."""


class NearestCandidates:
    """The nearest contents by signature, collected from blocks of pairs in bounded memory.

    Args:
        content_ids: The contents whose candidates are collected, ascending.
    """

    def __init__(self, content_ids: Sequence[int]) -> None:
        self._wanted = np.asarray(content_ids, dtype=np.int64)
        nothing = np.empty(0, dtype=np.int64)
        self._own, self._other, self._distance = nothing, nothing, np.empty(0)
        self._waiting: list[PairBlock] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Add pairs; pairs without any of the contents are dropped."""
        self._waiting.append(block)
        self._count += len(block)
        if self._count > _PAIRS_TO_MERGE:
            self._merge()

    def of(self, content: int) -> list[int]:
        """Return the candidates of one of the contents, nearest first, at most ``MAX_CANDIDATES``."""
        self._merge()
        first, last = np.searchsorted(self._own, [content, content + 1])
        return list(map(int, self._other[first:last]))

    def _merge(self) -> None:
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
    """Yield all pairs of a new content with one within the distance; pairs of other contents may be among them."""
    if len(new) > FEW:
        yield from store.pairs(max_distance, None)
        return
    for start in range(0, len(new), _CONTENTS_PER_SEARCH):
        known = store.contents(new[start : start + _CONTENTS_PER_SEARCH], None)
        signed = {number: s for number, same in known.items() if (s := same[0].signature) is not None}
        found = store.similar(list(signed.values()), max_distance, None)
        for number, neighbours in zip(signed, found, strict=True):
            yield PairBlock(
                np.full(len(neighbours), number, dtype=np.int64),
                np.array([neighbour.content_id for neighbour in neighbours], dtype=np.int64),
                np.array([neighbour.distance for neighbour in neighbours], dtype=np.float64),
                np.array([neighbour.orientation for neighbour in neighbours], dtype=np.uint8),
            )


_CONTENTS_PER_STEP: Final = 100
_PAIRS_PER_BATCH: Final = 1_000
_LOADED: Final = 4_000
"""Number of contents whose packed features stay in memory: 40 MB."""
_MANY: Final = 300
"""Number of new contents from which worker processes are worth their start, a third of a second each."""


class PairVerifier(Closing):
    """Verifies pairs of contents and keeps the verdicts in the index. A context manager; not thread-safe.

    The packed features of the last few thousand contents stay in memory.

    Args:
        store: The index.
        method: The method that verifies one pair.
        key: Key that verdicts are stored with; see ``verdict_key``.
        max_distance: Largest distance of signatures, 0 to 1, that makes two contents candidates.
        threads: Number of pairs that are verified at a time.
        joining: Classes of matches that make groups.
    """

    def __init__(
        self,
        store: Store,
        method: VerificationMethod,
        key: int,
        max_distance: float,
        threads: int,
        joining: frozenset[MatchClass],
    ) -> None:
        self._store = store
        self._method = method
        self._threads = max(1, threads)
        self._here = InThreads(method, self._threads)
        self._several: InProcesses | None = None
        self._key = key
        self._max_distance = max_distance
        self._packed: OrderedDict[int, bytes | None] = OrderedDict()
        self._crowds = Crowds(self._load)
        self.joining = joining
        self.verified = 0
        """Number of pairs verified so far."""

    def verify_new(self, under: Sequence[Path], *, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Verify the contents under some folders that have not been verified with this key.

        Each is compared with its candidates in the whole index: contents that share visual words, and contents with a
        similar signature. So the verdict on any two verified contents is known if one is a candidate of the other.

        Args:
            under: Folders of the contents to verify; the others are verified when a run includes them.
            observer: Receives the progress.
            should_stop: Returns whether to stop; verdicts reached so far are kept.

        Raises:
            StoreError: The index cannot be used.
        """
        self._verify_all(self._store.unverified(self._key, under), observer, should_stop)

    def verify_some(self, content_ids: Sequence[int], *, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Verify those of some contents that have not been verified yet; the cost does not grow with the index."""
        self._verify_all(self._store.unverified_among(self._key, content_ids), observer, should_stop)

    def _verify_all(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        if not new:
            return
        self._store.invalidate_orphans()
        if len(new) >= _MANY and self._threads > 1 and self._method.command:
            self._several = InProcesses(self._method, self._threads)
        try:
            self._verify_each(new, observer, should_stop)
        finally:
            if self._several is not None:
                self._several.close()
                self._several = None

    def _verify_each(self, new: Sequence[int], observer: Observer, should_stop: Callable[[], bool]) -> None:
        nearest = NearestCandidates(new)
        for block in near_blocks(self._store, new, self._max_distance):
            if should_stop():
                return
            nearest.add(block)
        # While one batch of pairs is verified, the candidates of the next contents are searched.
        begun: tuple[Sequence[int], Callable[[], list[PairVerdict]]] | None = None
        for contents, pairs in self._batches(new, nearest):
            following = (contents, self._begin(pairs))
            if begun is not None:
                self._keep(*begun, observer)
            begun = following
            if should_stop():
                return
        if begun is not None:
            self._keep(*begun, observer)

    def _batches(self, new: Sequence[int], nearest: NearestCandidates) -> Iterator[tuple[Sequence[int], list[Pair]]]:
        """Yield batches of contents with the pairs to verify for them."""
        waiting = set(new)
        verified_with: dict[int, set[int]] = defaultdict(set)
        contents: list[int] = []
        pairs: list[Pair] = []
        for content, candidates in zip(new, self._store.candidates(new), strict=True):
            waiting.discard(content)
            contents.append(content)
            chosen = self._crowds.choose(content, candidates, nearest.of(content))
            # A pair of new contents is verified once, with the first of them that has the other as a candidate.
            for other in sorted(chosen - verified_with.pop(content, set())):
                pairs.append((min(content, other), max(content, other)))
                if other in waiting:
                    verified_with[other].add(content)
            if len(contents) >= _CONTENTS_PER_STEP or len(pairs) >= _PAIRS_PER_BATCH:
                yield contents, pairs
                contents, pairs = [], []
        if contents:
            yield contents, pairs

    def _keep(self, contents: Sequence[int], verdicts: Callable[[], list[PairVerdict]], observer: Observer) -> None:
        matching = [pair for pair in verdicts() if pair.verdict is not None]
        self._store.keep_verdicts(self._key, matching, contents)
        observer(PhaseAdvanced(Phase.FIND, len(contents)))

    def verdicts(self, content_ids: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """Stream the stored verdicts; see ``Store.verdicts``."""
        return self._store.verdicts(self._key, content_ids)

    def partners(self, digests: Iterable[bytes]) -> list[int]:
        """Return the ids of some contents and of all contents with a verified match, ascending.

        Args:
            digests: Digests of the contents.
        """
        own = sorted(self._store.content_ids(digests).values())
        matching = [pair for pair in self.verdicts(own) if pair.verdict is not None]
        return sorted({*own, *(pair.left for pair in matching), *(pair.right for pair in matching)})

    def verify(self, pairs: Sequence[Pair]) -> list[PairVerdict]:
        """Verify pairs of content ids; return their verdicts in the same order, including those of no match."""
        verdicts: list[PairVerdict] = []
        for start in range(0, len(pairs), _PAIRS_PER_BATCH):
            verdicts += self._begin(pairs[start : start + _PAIRS_PER_BATCH])()
        return verdicts

    def verify_and_keep(self, pairs: Sequence[Pair]) -> list[PairVerdict]:
        """Verify pairs that were not candidates and store all verdicts, including those of no match."""
        verdicts = self.verify(pairs)
        self._store.keep_verdicts(self._key, verdicts)
        return verdicts

    def _begin(self, pairs: Sequence[Pair]) -> Callable[[], list[PairVerdict]]:
        """Start verifying pairs; return a function that waits for the verdicts."""
        packed = self._load({content for pair in pairs for content in pair})
        # Copies that differ in metadata alone have the same features, and so the same verdicts.
        first: dict[bytes, int] = {}
        same_as = {content: first.setdefault(features, content) for content, features in sorted(packed.items())}
        reduced = [(same_as.get(left, left), same_as.get(right, right)) for left, right in pairs]
        distinct = list(dict.fromkeys(reduced))
        answers = (self._several or self._here).begin(distinct, packed)
        self.verified += len(distinct)

        def verdicts() -> list[PairVerdict]:
            by_pair = dict(zip(distinct, answers(), strict=True))
            return [PairVerdict(*pair, by_pair[same]) for pair, same in zip(pairs, reduced, strict=True)]

        return verdicts

    def close(self) -> None:
        """Stop the threads; closing twice is not an error."""
        self._here.close()

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


@contextmanager
def open_pair_verifier(store: Store, options: Options) -> Iterator[PairVerifier | None]:
    """Provide the pair verifier of a run in a ``with`` block; ``None`` if nothing is verified.

    Args:
        store: The index.
        options: Options of the run.

    Raises:
        ValueError: Matches are to be verified, but files are analysed without features.
    """
    if not options.find.is_verified:
        yield None
        return
    if not options.analyse.features:
        raise ValueError("matches cannot be verified without features: analyse with them, or match by distance")
    with PairVerifier(
        store,
        verification_method(options.find),
        verdict_key(options),
        options.find.candidate_bound,
        options.find.threads,
        options.removal.remove_classes | {MatchClass.SIMILAR},
    ) as verifier:
        yield verifier


def verdict_key(options: Options) -> int:
    """Return the key that verdicts are stored with: it differs when any verdict or the choice of candidates may differ.

    Args:
        options: Options of the run.
    """
    versions = options.analyse.versions
    methods = (versions.media * 1000 + versions.features) * 1000 + verification_method(options.find).version
    return methods * 10_000 + round(options.find.candidate_bound * 1000)


def verification_method(options: FindOptions) -> VerificationMethod:
    """Return the method that verifies pairs: the one of the options, or ``verification.verify``.

    Args:
        options: Options of the stage ``find``.
    """
    if options.verifier is not None:
        return options.verifier
    # Imported late: it loads OpenCV, which runs without new pictures do not need.
    from py_image_dedup.verification.thresholds import method_version
    from py_image_dedup.verification.verify import verify

    return VerificationMethod(verify, method_version(), command_of("py_image_dedup.verification.worker"))


CROWD: Final = 16
"""Number of candidates from which on they are a crowd: a photo has fewer, copies apart, in a library of 100,000."""

OUTSTANDING: Final = 4
"""Number of a crowd that are kept by the arrangement of their words. The right one of hundreds of copies of documents,
photographed pages among them, was the first in all cases but three."""

NEAREST: Final = 2
"""Number of a crowd that are kept by the distance of their signatures."""

COPY_SHARE: Final = 0.4
"""Share of the words of either picture from which on those that agree on one transform make it a copy, of which a crowd
may have any number: pages of one form have 0.25."""

MIN_WORDS: Final = 40
"""Fewest words by which a picture is judged; smooth ones are judged by their signatures."""

_PLACED_WORDS: Final = 4_000
"""Number of contents whose words stay in memory: 50 MB."""


class Crowds:
    """The choice among the candidates of crowded contents. Not thread-safe.

    Args:
        load: Function that returns the packed features of contents; contents without features are left out.
    """

    def __init__(self, load: Callable[[set[int]], Mapping[int, bytes]]) -> None:
        self._load = load
        self._words: OrderedDict[int, PlacedWords] = OrderedDict()

    def choose(self, content: int, sharing: Sequence[int], near: Sequence[int]) -> set[int]:
        """Return the candidates of a content that are worth verification: all of them unless they are a crowd.

        Args:
            content: The content.
            sharing: Contents that share visual words with it.
            near: Contents with a similar signature, the nearest first.

        Raises:
            StoreError: The index cannot be used.
        """
        every = {*sharing, *near}
        if len(every) <= CROWD:
            return every
        with single_threaded_blas:  # the other cores verify pairs
            return self._worth(content, every, near)

    def _worth(self, content: int, every: set[int], near: Sequence[int]) -> set[int]:
        # Imported late: it loads OpenCV, which runs without crowds do not need.
        from py_image_dedup.features.arrangement import PlacedWords, agreement
        from py_image_dedup.features.extract import unpack

        packed = self._load({content})
        if content not in packed:
            return every
        words = self._words_of({content, *every})
        own = words.pop(content)
        if len(own) < MIN_WORDS:
            return every
        judged = sorted(other for other, some in words.items() if len(some) >= MIN_WORDS)
        chosen = (every - set(judged)) | set(near[:NEAREST])
        if not judged:
            return chosen
        picture = [own, PlacedWords.of(unpack(packed[content]).mirrored())]
        found = agreement(picture, [words[other] for other in judged])
        weight, count = found.weight.tolist(), found.words.tolist()
        best = sorted(range(len(judged)), key=lambda row: (-weight[row], judged[row]))
        chosen |= {judged[row] for row in best[:OUTSTANDING]}
        return chosen | {
            other
            for other, shared in zip(judged, count, strict=True)
            if shared >= COPY_SHARE * min(len(own), len(words[other]))
        }

    def _words_of(self, contents: set[int]) -> dict[int, PlacedWords]:
        from py_image_dedup.features.arrangement import PlacedWords
        from py_image_dedup.features.extract import unpack

        missing = {content for content in contents if content not in self._words}
        for content, packed in sorted(self._load(missing).items()):
            self._words[content] = PlacedWords.of(unpack(packed))
        found = {}
        for content in sorted(contents & self._words.keys()):
            self._words.move_to_end(content)
            found[content] = self._words[content]
        while len(self._words) > _PLACED_WORDS:
            self._words.popitem(last=False)
        return found
