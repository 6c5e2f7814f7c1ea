"""Looks up single files in the index without adding them to it, outside of any run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from py_image_dedup.features.extract import Features, extract, extract_faint, unpack
from py_image_dedup.features.visual_words import pack_words
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.matching.matcher import as_match
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.match import Match, MatchClass, PairVerdict
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.pipeline.verification import MAX_CANDIDATES, verification_method
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.compute import compute
from py_image_dedup.store.base import Neighbour, Store
from py_image_dedup.verification.picture import Picture

_QUERY = -1
"""Stands for the content id of the queried picture."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a lookup.

    Attributes:
        matches: Matches of the file (``left``) with unchanged files of the index, the most certain first.
        problem: The reason for which the file could not be read; empty if it could.
    """

    matches: tuple[Match, ...] = ()
    problem: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the index has the same picture; a partial match does not count."""
        return any(match.match_class is not MatchClass.PARTIAL for match in self.matches)


class Lookup:
    """Compares files with the entries of the index, which it does not change. Not thread-safe.

    Args:
        store: The index.
        decoder: Decoder of the files.
        options: Options that define a duplicate.
    """

    def __init__(self, store: Store, decoder: Decoder, options: FindOptions) -> None:
        self._store = store
        self._decoder = decoder
        self._options = options
        self._verifier = verification_method(options)

    def ask(self, file: Path) -> Answer:
        """Read a file and return its matches in the index.

        Args:
            file: Absolute path.

        Raises:
            StoreError: The index cannot be used.
        """
        try:
            with read_file(file) as opened:
                entry = IndexEntry(opened.stat, Versions(0, 0), digest=opened.digest)
                try:
                    decoded = self._decoder.decode(opened)
                except MediaError as error:
                    # A file that cannot be decoded may still have the same bytes as a file in the index.
                    matches = tuple(self._identical(entry))
                    return Answer(matches, "" if matches else error.message)
        except MediaError as error:
            return Answer(problem=error.message)
        entry = IndexEntry(opened.stat, Versions(0, 0), opened.digest, decoded.facts, compute(decoded.canonical))
        found = list(self._identical(entry))
        # A flat picture matches by its bytes only, and a faint one by its features.
        if self._options.finds_similar:
            near: Sequence[Neighbour] = ()
            if entry.signature is not None:
                (near,) = self._store.similar([entry.signature], self._options.candidate_bound, None)
            if not self._options.is_verified:
                found += self._near(entry, near)
            else:
                grey = decoded.canonical
                features = extract(grey, decoded.panels) if entry.signature is not None else extract_faint(grey)
                if features is not None:
                    found += self._verified(entry, features, near[:MAX_CANDIDATES])
        # A picture that is asked about has no root, and its time is that of its arrival.
        options = replace(self._options, scope=Scope.ALL, max_file_modification_time_diff=None)
        eligibility = options.eligibility(Ownership(()))
        found = [match for match in found if eligibility.allows(entry, match.right) and eligibility.accepts(match)]
        surest = list(MatchClass)
        found.sort(key=lambda match: (surest.index(match.match_class), match.distance, match.right.stat.raw_path))
        return Answer(tuple(found))

    def _identical(self, entry: IndexEntry) -> Iterator[Match]:
        if entry.digest is None:
            return
        numbers = self._store.content_ids([entry.digest]).values()
        for same in self._store.contents(numbers, None).values():
            yield from (Match(entry, other, MatchClass.IDENTICAL) for other in _present(same, entry))

    def _near(self, entry: IndexEntry, near: Sequence[Neighbour]) -> Iterator[Match]:
        """Yield the matches by distance, except with files that have the same bytes."""
        contents = self._store.contents([each.content_id for each in near], None)
        for each in near:
            for other in _present(contents.get(each.content_id, ()), entry):
                if other.digest != entry.digest:
                    yield Match(entry, other, MatchClass.SIMILAR, each.distance, each.orientation)

    def _verified(self, entry: IndexEntry, features: Features, near: Sequence[Neighbour]) -> Iterator[Match]:
        """Yield the verified matches, except with files that have the same bytes."""
        (sharing,) = self._store.candidates_for([pack_words(features)])
        numbers = sorted({*sharing, *(each.content_id for each in near)})
        others = self._store.features(numbers)
        contents = self._store.contents(numbers, None)
        query = Picture(features)
        for number in numbers:
            files = [each for each in _present(contents.get(number, ()), entry) if each.digest != entry.digest]
            if not files or number not in others:
                continue
            verdict = self._verifier.verify(query, Picture(unpack(others[number])))
            if verdict is not None:
                pair = PairVerdict(_QUERY, number, verdict)
                yield from (as_match(pair, entry, other, left_is=_QUERY) for other in files)


def _present(found: Iterable[IndexEntry], query: IndexEntry) -> Iterator[IndexEntry]:
    """Yield the entries whose file exists, is unchanged, and is not the queried file itself."""
    for entry in found:
        stat = entry.stat
        try:
            now = stat.path.lstat()
        except OSError:
            continue
        same = (now.st_size, now.st_mtime_ns) == (stat.size, stat.mtime_ns)
        if same and (now.st_dev, now.st_ino) != (query.stat.device, query.stat.inode) and stat.path != query.stat.path:
            yield entry
