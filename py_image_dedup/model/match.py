"""Matches between photos, the evidence for them, and the groups of files that they form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from pathlib import Path

from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.photo import IndexEntry


class MatchClass(StrEnum):
    """The classes of matches, the most certain first; the user chooses the classes whose files are removed."""

    IDENTICAL = "identical"
    SAME_PIXELS = "same-pixels"
    SIMILAR = "similar"
    EDITED = "edited"
    PARTIAL = "partial"
    ANOTHER_SHOT = "another-shot"
    NOT_THE_SAME = "not-the-same"


REMOVABLE_CLASSES = frozenset(
    {MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR, MatchClass.EDITED, MatchClass.PARTIAL}
)
"""Classes that the user may choose for removal; matches of the others are only reported."""


class Orientation(IntEnum):
    """The eight rotations and reflections; each value is that of the EXIF orientation tag.

    ``Match.orientation`` is the transform that makes the left picture look like the right one.
    """

    UPRIGHT = 1
    MIRROR = 2
    ROTATE_180 = 3
    FLIP = 4
    TRANSPOSE = 5
    ROTATE_90 = 6
    TRANSVERSE = 7
    ROTATE_270 = 8

    @property
    def label(self) -> str:
        """The name in reports: ``rotate-90`` (clockwise), ``mirror`` (left-right), ``flip`` (top-bottom)."""
        return self.name.lower().replace("_", "-")

    @property
    def inverse(self) -> Orientation:
        """The orientation that undoes this one: each but the two quarter turns undoes itself."""
        if self is Orientation.ROTATE_90:
            return Orientation.ROTATE_270
        return Orientation.ROTATE_90 if self is Orientation.ROTATE_270 else self


WHOLE = 0.9885
"""Share of a picture above which a copy counts as whole: alignment errs by 0.3 % at most, a crop loses 2 %."""


CHANGES = ("small changes inside", "parts differ", "not certainly a copy")
"""Prefixes of the evidence words about changes inside a picture."""


def current_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return evidence words that an index or a result may have from an earlier version, in the words of this one."""
    return tuple(each.replace("turned ", "rotated ") for each in words)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for a match, from the alignment of two pictures; see ``verification.verify``.

    Attributes:
        words: Evidence for the user, with the left picture as the keeper: "crop: 43 % of the keeper", "mirrored", "with
            a border".
        inliers: Number of local features that agree on one alignment.
        bad_share: Share of the blocks of the overlap whose pixels differ (0 to 1).
        coverage_left: Share of the left picture that the right one shows (0 to 1).
        coverage_right: Share of the right picture that the left one shows (0 to 1).
        words_reversed: The same with the right picture as the keeper.
        right_is_drawn_over: Whether a caption or sticker was drawn over the right picture; false for the left one, and
            ``None`` for neither or if that is unclear.
    """

    words: tuple[str, ...]
    inliers: int = 0
    bad_share: float = 0.0
    coverage_left: float = 1.0
    coverage_right: float = 1.0
    words_reversed: tuple[str, ...] = ()
    right_is_drawn_over: bool | None = None

    @property
    def right_is_bordered(self) -> bool:
        """Whether the right picture is the left one and a border, where both are copies of the whole picture."""
        return self.coverage_left >= WHOLE > self.coverage_right

    def with_words(self, *more: str) -> Evidence:
        """Return the same with more words, which hold whichever picture is the keeper."""
        return replace(self, words=self.words + more, words_reversed=self.words_reversed + more)

    def without_changes(self) -> Evidence:
        """Return the same without the words about changes inside the picture."""

        def kept(words: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(each for each in words if not each.startswith(CHANGES))

        return replace(self, words=kept(self.words), words_reversed=kept(self.words_reversed), right_is_drawn_over=None)

    def reversed(self) -> Evidence:
        """Return the same with left and right exchanged."""
        return replace(
            self,
            words=self.words_reversed,
            words_reversed=self.words,
            coverage_left=self.coverage_right,
            coverage_right=self.coverage_left,
            right_is_drawn_over=None if self.right_is_drawn_over is None else not self.right_is_drawn_over,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of geometric verification for two pictures that match.

    Attributes:
        match_class: ``similar`` or ``partial``.
        orientation: The transform that makes the left picture look like the right one.
        evidence: Evidence for the match.
    """

    match_class: MatchClass
    orientation: Orientation = Orientation.UPRIGHT
    evidence: Evidence = Evidence(())

    def reversed(self) -> Verdict:
        """Return the verdict with left and right exchanged."""
        return Verdict(self.match_class, self.orientation.inverse, self.evidence.reversed())


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The verdict on a pair of contents, as the index keeps it.

    Attributes:
        left: Id of a content.
        right: Id of another content.
        verdict: The verdict, with the contents in this order; ``None``: they do not match.
    """

    left: int
    right: int
    verdict: Verdict | None

    @property
    def match_class(self) -> MatchClass | None:
        """The class of the match; ``None`` if the contents do not match."""
        return None if self.verdict is None else self.verdict.match_class

    def seen_from(self, content: int) -> Verdict | None:
        """Return the verdict with one of the two contents as the left one."""
        return self.verdict if self.verdict is None or content == self.left else self.verdict.reversed()


@dataclass(frozen=True, slots=True)
class Match:
    """Two files that show the same photo.

    Attributes:
        left: One file.
        right: Another file, never the same one.
        match_class: Class of the match.
        distance: Distance of the signatures, 0 (equal) to 1; 0 for ``identical`` and ``same-pixels``.
        orientation: The transform that makes ``left`` look like ``right``.
        evidence: Evidence of the geometric verification, if there was one.
        inspection: Result of the full comparison, if there was one.
    """

    left: IndexEntry
    right: IndexEntry
    match_class: MatchClass
    distance: float = 0.0
    orientation: Orientation = Orientation.UPRIGHT
    evidence: Evidence | None = None
    inspection: Inspection | None = None

    def __post_init__(self) -> None:
        """Refuse a file as its own duplicate."""
        if self.left.stat.path == self.right.stat.path:
            raise ValueError(f"{self.left.stat.path} cannot match itself")


@dataclass(frozen=True, slots=True)
class Group:
    """Files connected by matches, directly or through others; groups are disjoint.

    Attributes:
        entries: At least two entries, in the order of their paths.
    """

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """The first rule that preferred one file over another, with the values that it compared.

    Attributes:
        rule: Name of the rule; ``path`` if all rules were ties.
        keeper_value: The compared value of the keeper, as text for the user ("4000 x 3000").
        redundant_value: The compared value of the other file.
        sentence: Text for the user that completes "Kept: ...": "larger (2.7 MiB, the other has 2.1 MiB)".
    """

    rule: str
    keeper_value: str
    redundant_value: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Redundant:
    """A file that its keeper makes redundant.

    Attributes:
        match: The direct match of the keeper (``left``) with this file (``right``).
        reason: The reason for which the keeper is preferred.
    """

    match: Match
    reason: Reason

    @property
    def entry(self) -> IndexEntry:
        """The redundant file."""
        return self.match.right

    @property
    def path(self) -> Path:
        """The path of the redundant file."""
        return self.match.right.stat.path


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """One keeper and the files that match it directly.

    Attributes:
        keeper: The file that stays.
        redundant: The redundant files by rank, best first; never empty.
    """

    keeper: IndexEntry
    redundant: tuple[Redundant, ...]
