"""Decides whether two files match. Applied to every keeper anew, so that no file is removed because of a chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.match import Match, MatchClass, Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, PhotoFacts
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.distance import distances, upright_distances


def _any_side(raw_path: bytes) -> bool | None:  # noqa: ARG001
    """Return ``None``: every file may match every other one."""
    return None


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The conditions on two files under which they may match, whatever their pictures show. Thread-safe.

    Attributes:
        max_gap_ns: Largest difference of modification times, nanoseconds; ``None``: any.
        same_dimensions: Whether width and height must be equal.
        upright: Whether similar pictures must be neither rotated nor mirrored against each other.
        max_distance: Largest distance of the signatures of similar pictures, 0 to 1; at 0, only equal bytes or pixels
            match. ``None``: any.
        side: Function from a raw path to the side that the file is on; files of one side do not match. ``None`` is no
            side.
    """

    max_gap_ns: int | None = None
    same_dimensions: bool = False
    upright: bool = False
    max_distance: float | None = None
    side: Callable[[bytes], bool | None] = _any_side

    def allows(self, one: IndexEntry, other: IndexEntry) -> bool:
        """Return whether two files of one scope may match. Two names of one inode are one file, not duplicates."""
        left, right = one.stat, other.stat
        if (left.inode == right.inode and left.device == right.device) or _is_mixed(one.facts, other.facts):
            return False
        if self.max_gap_ns is not None and abs(left.mtime_ns - right.mtime_ns) > self.max_gap_ns:
            return False
        if self.same_dimensions and not _same_dimensions(one.facts, other.facts):
            return False
        if self.side is _any_side:
            return True
        sides = self.side(left.raw_path), self.side(right.raw_path)
        return None in sides or sides[0] is not sides[1]

    def accepts(self, match: Match) -> bool:
        """Return whether a match of eligible files counts; equal bytes and pixels always do."""
        if match.match_class in (MatchClass.IDENTICAL, MatchClass.SAME_PIXELS):
            return True
        if self.upright and match.orientation is not Orientation.UPRIGHT:
            return False
        if self.max_distance is None:
            return True
        return self.max_distance > 0 and match.distance <= self.max_distance


def _same_dimensions(one: PhotoFacts | None, other: PhotoFacts | None) -> bool:
    """Return whether two pictures have one size; an undecoded file can only match by its bytes, which settle that."""
    return one is None or other is None or (one.width, one.height) == (other.width, other.height)


def _is_mixed(one: PhotoFacts | None, other: PhotoFacts | None) -> bool:
    """Return whether one of two photos is a RAW photo and the other a finished picture: neither is a copy."""
    return one is not None and other is not None and one.is_raw is not other.is_raw


def scope_key(scope: Scope, ownership: Ownership) -> Callable[[bytes], Hashable]:
    """Return a function from a file's raw path to a key; files may match only if their keys are equal."""
    if scope in (Scope.ALL, Scope.AGAINST):
        return lambda _: None
    if scope is Scope.FOLDER:
        return lambda raw: raw.rpartition(b"/")[0]
    return lambda raw: root.path if (root := ownership.root_of(raw)) else None


_CLOCK_STEP = timedelta(minutes=15)
"""Time zones differ by whole quarters of an hour; so do two captures of one moment after the camera's clock was set."""

_SECOND = timedelta(seconds=1)


def capture_gap(left: PhotoFacts | None, right: PhotoFacts | None) -> timedelta | None:
    """Return the time between two captures; ``None`` if both may be one capture.

    They may be one if either has no capture time, if the times are equal to the precision that both have (editors drop
    fractions of a second), or if they differ by a change of time zone.
    """
    if left is None or right is None or left.captured is None or right.captured is None:
        return None
    one, other = left.captured, right.captured
    if not one.microsecond or not other.microsecond:
        one, other = one.replace(microsecond=0), other.replace(microsecond=0)
    gap = abs(one - other)
    return None if not gap or not gap % _CLOCK_STEP else gap


def describe_gap(gap: timedelta) -> str:
    """Return the time between two captures as text: ``taken 0.2 s apart``, ``taken 3 days apart``."""
    seconds = gap.total_seconds()
    if gap < _SECOND:
        return f"taken {seconds:.2g} s apart"
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"taken {seconds / unit:.0f} {name} apart"
    return f"taken {seconds:.0f} s apart"


AS_MANY_PIXELS = 0.98
"""Ratio of two pixel counts from which on they count as equal: integer sizes round."""


class Matcher(Protocol):
    """A definition of when two files match.

    Symmetric, with one exception: a part never makes its whole redundant.
    """

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return the match of the keeper (``Match.left``) with each of the others, in its surest class, or ``None``."""

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the raw paths of entries that must not be kept while a better one of them is there.

        These are, whatever the keep rules say: a part of another picture, where parts match at all; a picture with a
        border around what another one shows without it in no fewer pixels; a picture that was drawn over, where another
        one is clean and has as many pixels.
        """


@dataclass(frozen=True, slots=True)
class DistanceMatcher:
    """Files match by equal bytes, equal pixels, or a small distance of their signatures. Thread-safe.

    Attributes:
        max_distance: Largest distance of similar signatures, 0 to 1, in the best of the eight orientations.
        eligibility: Conditions checked before anything is compared.
    """

    max_distance: float
    eligibility: Eligibility

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """See ``Matcher.matches``."""
        found: list[Match | None] = [None] * len(others)
        undecided: list[int] = []
        for index, other in enumerate(others):
            if not self.eligibility.allows(keeper, other):
                continue
            match_class = same_content(keeper, other)
            if match_class is not None:
                found[index] = Match(keeper, other, match_class)
            elif other.signature is not None:
                undecided.append(index)
        if undecided and keeper.signature is not None:
            self._add_similar(keeper, keeper.signature.values, others, undecided, found)
        return found

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:  # noqa: ARG002
        """Return none: a distance reveals neither parts nor borders nor overlays."""
        return frozenset()

    def _add_similar(
        self,
        keeper: IndexEntry,
        signature: bytes,
        others: Sequence[IndexEntry],
        undecided: Sequence[int],
        found: list[Match | None],
    ) -> None:
        # One row for each distinct signature: many copies of a file cost one comparison.
        rows: dict[bytes, int] = {}
        row_of = [rows.setdefault(s.values, len(rows)) for index in undecided if (s := others[index].signature)]
        many = np.frombuffer(b"".join(rows), dtype=np.int8).reshape(len(rows), -1)
        own = np.frombuffer(signature, dtype=np.int8)
        if self.eligibility.upright:
            distance, orientation = upright_distances(own, many), np.full(len(many), Orientation.UPRIGHT, np.uint8)
        else:
            distance, orientation = distances(own, many)
        for index, row in zip(undecided, row_of, strict=True):
            if distance[row] > self.max_distance:
                continue
            orientation_of_other = Orientation(int(orientation[row]))
            match = Match(keeper, others[index], MatchClass.SIMILAR, float(distance[row]), orientation_of_other)
            found[index] = match if self.eligibility.accepts(match) else None


class VerifiedMatcher:
    """Files match by equal bytes, equal pixels, or a verdict of geometric verification. Not thread-safe.

    A pair without a verdict is verified when a path of matches leads from one to the other: so a chain of copies
    becomes one group where its ends are copies of each other, and not where they are not.

    Args:
        eligibility: Conditions checked before anything is compared.
        content_ids: Ids of the contents, by digest.
        verdicts: Known verdicts on pairs of them.
        verify: Verifies pairs of content ids and stores the verdicts.
        with_partial: Whether a part matches its whole; the whole never matches as a part's duplicate.
    """

    def __init__(
        self,
        eligibility: Eligibility,
        content_ids: Mapping[bytes, int],
        verdicts: Iterable[PairVerdict],
        verify: Callable[[Sequence[tuple[int, int]]], Sequence[PairVerdict]],
        *,
        with_partial: bool = False,
    ) -> None:
        self._eligibility = eligibility
        self._content_ids = content_ids
        self._verify = verify
        self._joining = {MatchClass.SIMILAR, MatchClass.PARTIAL} if with_partial else {MatchClass.SIMILAR}
        self._known: dict[int, dict[int, PairVerdict]] = defaultdict(dict)
        for pair in verdicts:
            self._remember(pair)

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """See ``Matcher.matches``."""
        found: list[Match | None] = [None] * len(others)
        open_: dict[int, list[int]] = defaultdict(list)
        own = self._content_id(keeper)
        equal = set() if own is None else {own}
        for index, other in enumerate(others):
            match_class = same_content(keeper, other)
            content = self._content_id(other)
            allowed = self._eligibility.allows(keeper, other)
            if match_class is not None:
                equal |= set() if content is None else {content}
                found[index] = Match(keeper, other, match_class) if allowed else None
            elif content is not None and allowed:
                open_[content].append(index)
        if own is not None:
            for content, pair in self._matching(own, equal, open_.keys()).items():
                for index in open_[content]:
                    match = as_match(pair, keeper, others[index], left_is=own)
                    found[index] = match if self._eligibility.accepts(match) else None
        return found

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """See ``Matcher.dominated``."""
        pixels = {
            content: entry.facts.pixels if entry.facts else 0
            for entry in entries
            if (content := self._content_id(entry)) is not None
        }
        dominated = {
            content
            for content in pixels
            for other, pair in self._known[content].items()
            if other in pixels and self._is_dominated(pair, content, pixels[content], pixels[other])
        }
        return frozenset(entry.stat.raw_path for entry in entries if self._content_id(entry) in dominated)

    def _is_dominated(self, pair: PairVerdict, content: int, pixels: int, pixels_of_other: int) -> bool:
        other = pair.right if pair.left == content else pair.left
        if pair.match_class is MatchClass.PARTIAL:
            return MatchClass.PARTIAL in self._joining and is_whole(pair, other)
        seen = pair.seen_from(other)
        if seen is None or seen.match_class is not MatchClass.SIMILAR:
            return False
        evidence = seen.evidence
        if evidence.right_is_drawn_over:
            return pixels_of_other >= AS_MANY_PIXELS * pixels
        return evidence.right_is_bordered and pixels_of_other >= AS_MANY_PIXELS * evidence.coverage_right * pixels

    def _matching(self, own: int, equal: set[int], open_: Collection[int]) -> dict[int, PairVerdict]:
        """Follow matches outwards from the keeper's content; return the pairs in which it matches itself."""
        matching: dict[int, PairVerdict] = {}
        visited: set[int] = {own}
        frontier = equal
        while frontier:
            near = {n for at in frontier for n, pair in self._known[at].items() if pair.match_class in self._joining}
            reached = [content for content in sorted(near - visited) if content in open_]
            visited.update(reached)
            unknown = [(own, content) for content in reached if content not in self._known[own]]
            for pair in self._verify(unknown) if unknown else ():
                self._remember(pair)
            known = self._known[own]
            here = {content: known[content] for content in reached if self._counts(known.get(content), own)}
            matching |= here
            frontier = set(here)
        return matching

    def _counts(self, pair: PairVerdict | None, own: int) -> bool:
        if pair is None:
            return False
        if pair.match_class is MatchClass.PARTIAL:
            return MatchClass.PARTIAL in self._joining and is_whole(pair, own)
        return pair.match_class is MatchClass.SIMILAR

    def _remember(self, pair: PairVerdict) -> None:
        self._known[pair.left][pair.right] = pair
        self._known[pair.right][pair.left] = pair

    def _content_id(self, entry: IndexEntry) -> int | None:
        return None if entry.digest is None else self._content_ids.get(entry.digest)


def same_content(keeper: IndexEntry, other: IndexEntry) -> MatchClass | None:
    """Return the class of two files with equal bytes or equal pixels; ``None`` if neither is known to be equal."""
    if keeper.digest is not None and keeper.digest == other.digest:
        return MatchClass.IDENTICAL
    if keeper.pixel_digest is not None and keeper.pixel_digest == other.pixel_digest:
        return MatchClass.SAME_PIXELS
    return None


def is_whole(pair: PairVerdict, content: int) -> bool:
    """Return whether one of two contents shows more than the other one: the part is covered by the whole."""
    seen = pair.seen_from(content)
    return seen is not None and seen.evidence.coverage_right > seen.evidence.coverage_left


def as_match(pair: PairVerdict, left: IndexEntry, right: IndexEntry, *, left_is: int) -> Match:
    """Return the match of two files from the verdict on their contents.

    Files captured at different moments are ``partial`` at best, however similar they are.

    Args:
        pair: A verdict that the contents match.
        left: A file of one of the contents.
        right: A file of the other content.
        left_is: Id of the left file's content.

    Raises:
        ValueError: The contents do not match.
    """
    verdict = pair.seen_from(left_is)
    if verdict is None:
        raise ValueError("contents that do not match make no match")
    distance = 0.0
    if left.signature is not None and right.signature is not None:
        many = np.frombuffer(right.signature.values, dtype=np.int8).reshape(1, -1)
        distance = float(distances(np.frombuffer(left.signature.values, dtype=np.int8), many)[0][0])
    match_class, evidence = verdict.match_class, verdict.evidence
    gap = capture_gap(left.facts, right.facts)
    if gap is not None:
        match_class = MatchClass.PARTIAL
        evidence = evidence.with_words(describe_gap(gap))
    return Match(left, right, match_class, distance, verdict.orientation, evidence)
