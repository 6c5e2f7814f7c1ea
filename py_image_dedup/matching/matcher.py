"""What makes two files match: asked again for every keeper, so that no file goes because of a chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import numpy as np

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Match, MatchClass, Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, PhotoFacts
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.distance import distances
from py_image_dedup.signature.orientation import inverse


class Scope(StrEnum):
    """Among which files duplicates are looked for."""

    ALL = "all"
    ROOT = "root"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Keeps files apart that are no duplicates however alike they are.

    Attributes:
        max_gap_ns: Files whose modification times are further apart, in nanoseconds, never match.
    """

    max_gap_ns: int | None = None

    def allows(self, one: FileStat, other: FileStat) -> bool:
        """Tell whether two files of one scope may match. Two names of one inode are one file, and no duplicates."""
        if one.inode == other.inode and one.device == other.device:
            return False
        return self.max_gap_ns is None or abs(one.mtime_ns - other.mtime_ns) <= self.max_gap_ns


def scope_key(scope: Scope, ownership: Ownership) -> Callable[[bytes], Hashable]:
    """Make the function that tells what a file, by its raw path, has in common with those it may match."""
    if scope is Scope.ALL:
        return lambda _: None
    if scope is Scope.FOLDER:
        return lambda raw: raw.rpartition(b"/")[0]
    return lambda raw: root.path if (root := ownership.root_of(raw)) else None


_TIME_ZONES = timedelta(minutes=15)
"""Clocks are put right by whole quarters of an hour, when the camera has been to another country."""

_SECOND = timedelta(seconds=1)


def capture_gap(left: PhotoFacts | None, right: PhotoFacts | None) -> timedelta | None:
    """Return how long after one another two shots were taken; ``None`` if they may be one.

    They may be one if either does not know its moment, if the moments are the same as far as both know them (editors
    lose fractions of a second), or differ by a change of clocks.
    """
    if left is None or right is None or left.captured is None or right.captured is None:
        return None
    one, other = left.captured, right.captured
    if not one.microsecond or not other.microsecond:
        one, other = one.replace(microsecond=0), other.replace(microsecond=0)
    apart = abs(one - other)
    return None if not apart or not apart % _TIME_ZONES else apart


def describe_gap(apart: timedelta) -> str:
    """Put the time between two shots into words: ``taken 0.2 s apart``, ``taken 3 days apart``."""
    seconds = apart.total_seconds()
    if apart < _SECOND:
        return f"taken {seconds:.2g} s apart"
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"taken {seconds / unit:.0f} {name} apart"
    return f"taken {seconds:.0f} s apart"


AS_MANY_PIXELS = 0.98
"""Of what two pictures have in common; the rest is rounding."""


class Matcher(Protocol):
    """A way to tell whether files match.

    Symmetric: who matches whom does not depend on who is asked, but that a part never makes its whole redundant.
    """

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper (the match's ``left``), of the surest class."""

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the raw paths of those that another one of them is better than, whatever the rules say.

        A part of another picture, where parts match at all; a picture with a border around what another one shows
        without it and in no fewer pixels; one that was drawn over, where another one is clean and has as many.
        """


@dataclass(frozen=True, slots=True)
class DistanceMatcher:
    """Files match by their bytes, by their pixels, or by the distance of their signatures. Threads may share it.

    Attributes:
        max_distance: Signatures within it are similar, 0 to 1, in any of the eight orientations.
        eligibility: Keeps files apart before anything is compared.
    """

    max_distance: float
    eligibility: Eligibility

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper, of the surest class."""
        found: list[Match | None] = [None] * len(others)
        undecided: list[int] = []
        for place, other in enumerate(others):
            if not self.eligibility.allows(keeper.stat, other.stat):
                continue
            if keeper.digest is not None and keeper.digest == other.digest:
                found[place] = Match(keeper, other, MatchClass.IDENTICAL)
            elif keeper.pixel_digest is not None and keeper.pixel_digest == other.pixel_digest:
                found[place] = Match(keeper, other, MatchClass.SAME_PIXELS)
            elif other.signature is not None:
                undecided.append(place)
        if undecided and keeper.signature is not None:
            self._add_similar(keeper, keeper.signature.values, others, undecided, found)
        return found

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:  # noqa: ARG002
        """Return none: a distance tells neither parts nor borders nor captions."""
        return frozenset()

    def _add_similar(
        self,
        keeper: IndexEntry,
        signature: bytes,
        others: Sequence[IndexEntry],
        undecided: Sequence[int],
        found: list[Match | None],
    ) -> None:
        # One row for each signature: many copies of a file cost one comparison.
        rows: dict[bytes, int] = {}
        row_of = [rows.setdefault(s.values, len(rows)) for place in undecided if (s := others[place].signature)]
        many = np.frombuffer(b"".join(rows), dtype=np.int8).reshape(len(rows), -1)
        distance, orientation = distances(np.frombuffer(signature, dtype=np.int8), many)
        for place, row in zip(undecided, row_of, strict=True):
            if distance[row] <= self.max_distance:
                found[place] = Match(
                    keeper,
                    others[place],
                    MatchClass.SIMILAR,
                    float(distance[row]),
                    Orientation(int(orientation[row])),
                )


class VerifiedMatcher:
    """Files match by their bytes, by their pixels, or because verification has proven it. For one thread.

    A pair that nobody looked at so far is verified when there is a way from one to the other over matches: so a chain
    of copies becomes one star where the ends are copies of each other, and not where they are not.

    Args:
        eligibility: Keeps files apart before anything is asked.
        numbers: Of the contents that are asked about, by digest.
        proofs: What is known about pairs of them.
        prove: Verifies pairs of numbers now, and remembers.
        with_partial: A part matches the whole picture too; the whole one never matches its part.
    """

    def __init__(
        self,
        eligibility: Eligibility,
        numbers: Mapping[bytes, int],
        proofs: Iterable[PairVerdict],
        prove: Callable[[Sequence[tuple[int, int]]], Sequence[PairVerdict]],
        *,
        with_partial: bool = False,
    ) -> None:
        self._eligibility = eligibility
        self._numbers = numbers
        self._prove = prove
        self._joining = {MatchClass.SIMILAR, MatchClass.PARTIAL} if with_partial else {MatchClass.SIMILAR}
        self._known: dict[int, dict[int, PairVerdict]] = defaultdict(dict)
        for proof in proofs:
            self._remember(proof)

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper, of the surest class."""
        found: list[Match | None] = [None] * len(others)
        asked: dict[int, list[int]] = defaultdict(list)
        mine = self._number(keeper)
        equal = set() if mine is None else {mine}
        for place, other in enumerate(others):
            match_class = same_content(keeper, other)
            number = self._number(other)
            allowed = self._eligibility.allows(keeper.stat, other.stat)
            if match_class is not None:
                equal |= set() if number is None else {number}
                found[place] = Match(keeper, other, match_class) if allowed else None
            elif number is not None and allowed:
                asked[number].append(place)
        if mine is not None:
            for number, proof in self._proven(mine, equal, asked.keys()).items():
                for place in asked[number]:
                    found[place] = as_match(proof, keeper, others[place], left_is=mine)
        return found

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the raw paths of those that another one of them is better than, whatever the rules say."""
        pixels = {
            number: entry.facts.pixels if entry.facts else 0
            for entry in entries
            if (number := self._number(entry)) is not None
        }
        lesser = {
            number
            for number in pixels
            for other, proof in self._known[number].items()
            if other in pixels and self._is_lesser(proof, number, pixels[number], pixels[other])
        }
        return frozenset(entry.stat.raw_path for entry in entries if self._number(entry) in lesser)

    def _is_lesser(self, proof: PairVerdict, number: int, pixels: int, pixels_of_other: int) -> bool:
        if proof.match_class is MatchClass.PARTIAL:
            other = proof.right if proof.left == number else proof.left
            return MatchClass.PARTIAL in self._joining and is_whole(proof, other)
        if proof.match_class is not MatchClass.SIMILAR or proof.evidence is None:
            return False
        seen = proof.evidence if proof.right == number else proof.evidence.reversed()
        if seen.right_is_drawn_over:
            return pixels_of_other >= AS_MANY_PIXELS * pixels
        return seen.right_is_bordered and pixels_of_other >= AS_MANY_PIXELS * seen.coverage_right * pixels

    def _proven(self, mine: int, equal: set[int], asked: Collection[int]) -> dict[int, PairVerdict]:
        """Go from match to match, and return those of the keeper itself."""
        proven: dict[int, PairVerdict] = {}
        looked_at: set[int] = {mine}
        frontier = equal
        while frontier:
            near = {n for at in frontier for n, proof in self._known[at].items() if proof.match_class in self._joining}
            reached = [number for number in sorted(near - looked_at) if number in asked]
            looked_at.update(reached)
            unknown = [(mine, number) for number in reached if number not in self._known[mine]]
            for proof in self._prove(unknown) if unknown else ():
                self._remember(proof)
            known = self._known[mine]
            here = {number: known[number] for number in reached if self._counts(known.get(number), mine)}
            proven |= here
            frontier = set(here)
        return proven

    def _counts(self, proof: PairVerdict | None, mine: int) -> bool:
        if proof is None:
            return False
        if proof.match_class is MatchClass.PARTIAL:
            return MatchClass.PARTIAL in self._joining and is_whole(proof, mine)
        return proof.match_class is MatchClass.SIMILAR

    def _remember(self, proof: PairVerdict) -> None:
        self._known[proof.left][proof.right] = proof
        self._known[proof.right][proof.left] = proof

    def _number(self, entry: IndexEntry) -> int | None:
        return None if entry.digest is None else self._numbers.get(entry.digest)


def same_content(keeper: IndexEntry, other: IndexEntry) -> MatchClass | None:
    """Tell whether two files have the same bytes or the same pixels."""
    if keeper.digest is not None and keeper.digest == other.digest:
        return MatchClass.IDENTICAL
    if keeper.pixel_digest is not None and keeper.pixel_digest == other.pixel_digest:
        return MatchClass.SAME_PIXELS
    return None


def is_whole(proof: PairVerdict, number: int) -> bool:
    """Tell whether one of two contents shows more than the other: the part is covered by the whole."""
    seen = proof.evidence
    if seen is None:
        return False
    mine, others = seen.coverage_left, seen.coverage_right
    return others > mine if proof.left == number else mine > others


def as_match(proof: PairVerdict, left: IndexEntry, right: IndexEntry, *, left_is: int) -> Match:
    """Make the match of two files of what was found out about their contents.

    A copy that was taken at another moment than its original is none, however alike the two are: it is ``partial``.

    Args:
        proof: Of a class.
        left: A file of one of the contents.
        right: A file of the other one.
        left_is: The number of the left file's content.
    """
    if proof.match_class is None:
        raise ValueError("contents that do not match make no match")
    distance = 0.0
    if left.signature is not None and right.signature is not None:
        many = np.frombuffer(right.signature.values, dtype=np.int8).reshape(1, -1)
        distance = float(distances(np.frombuffer(left.signature.values, dtype=np.int8), many)[0][0])
    match_class, orientation, evidence = proof.match_class, proof.orientation, proof.evidence
    if proof.left != left_is:
        orientation = inverse(orientation)
        evidence = None if evidence is None else evidence.reversed()
    apart = capture_gap(left.facts, right.facts)
    if apart is not None:
        match_class = MatchClass.PARTIAL
        evidence = None if evidence is None else evidence.with_words(describe_gap(apart))
    return Match(left, right, match_class, distance, orientation, evidence)
