"""Which photos are the same, and which of them stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.photo import IndexEntry


class MatchClass(StrEnum):
    """How sure it is that two files are the same photo, surest first; each class has rights of its own."""

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
"""Classes whose files may be removed if the user wants it; the others are only ever reported."""


class Orientation(IntEnum):
    """The eight turns and mirrorings; the value is the EXIF orientation tag that asks for that turn.

    ``Match.orientation`` is the turn that makes the left picture look like the right one.
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
"""Share of a picture from which on it counts as all of it: an alignment is off by 0.3 % at most, a crop loses 2 %."""


CHANGES = ("small changes inside", "parts differ", "not certainly a copy")
"""How the words of evidence begin that tell of changes inside a picture."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the alignment of two pictures shows; see ``verification.verify``.

    Attributes:
        words: For a person, the left picture being the keeper: "crop: 43 % of the keeper", "mirrored", "with a border".
        inliers: Local features that agree on one alignment.
        bad_share: Share of the overlap's blocks whose pixels differ (0 to 1).
        coverage_left: Share of the left picture that the right one shows (0 to 1).
        coverage_right: Share of the right picture that the left one shows (0 to 1).
        words_reversed: The words for the right picture being the keeper.
        right_is_drawn_over: Something was drawn over the right picture, a caption or a sticker; false: over the left
            one; ``None``: over none, or it is not clear over which.
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
        """Return the same without what it says of changes inside the picture."""

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
        orientation: The turn that makes the left picture look like the right one.
        evidence: What the match rests on.
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
        left: Number of a content.
        right: Number of another content.
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
        match_class: How it is known.
        distance: Of the signatures, 0 the same to 1 unlike; 0 for ``identical`` and ``same-pixels``.
        orientation: The turn that makes ``left`` look like ``right``.
        evidence: What the verification saw, if there was one.
        inspection: What comparing the two files in full found, if they were compared.
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
    """Files joined by matches, directly or through others; groups are disjoint.

    Attributes:
        entries: At least two, in the order of their paths.
    """

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """The first rule that decided between two files, with what it saw.

    Attributes:
        rule: The rule's published name; ``path`` when every rule called it a tie.
        keeper_value: What the rule compared, in words for a person ("4000 x 3000").
        redundant_value: The same of the other file.
        sentence: Completes "Kept: ..." for a person: "larger (2.7 MiB, the other has 2.1 MiB)".
    """

    rule: str
    keeper_value: str
    redundant_value: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Redundant:
    """A file that its keeper makes superfluous.

    Attributes:
        match: From the keeper (``left``) to this file (``right``), always direct.
        reason: Why the keeper is the better one.
    """

    match: Match
    reason: Reason

    @property
    def entry(self) -> IndexEntry:
        """The redundant file."""
        return self.match.right


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """One keeper and the files that match it directly.

    Attributes:
        keeper: The file that stays.
        redundant: In the order of rank, best first; never empty.
    """

    keeper: IndexEntry
    redundant: tuple[Redundant, ...]
