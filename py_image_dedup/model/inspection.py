"""What comparing two files in full found out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What the keeper and the other file are to each other; only ``covered`` lets the other file go."""

    COVERED = "covered"
    EDITED = "edited"
    ANOTHER_SHOT = "another shot"
    DIFFERENT = "not the same"
    PARTIAL = "partial"
    MORE = "more"
    BOTH_HAVE_MORE = "both have more"
    UNDECIDED = "undecided"


class RegionKind(StrEnum):
    """What happened in a region, as seen from the keeper: ``added`` is there in the other file only."""

    ADDED = "added"
    REMOVED = "removed"
    REPLACED = "replaced"
    COVERED = "covered"
    FLAT = "flat"
    CUT_OFF = "cut off"


class Side(StrEnum):
    """One of two files: ``left`` is the keeper."""

    LEFT = "left"
    RIGHT = "right"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the keeper in which the files differ.

    Attributes:
        x: Left edge, pixels of the keeper.
        y: Upper edge, pixels of the keeper.
        width: In pixels of the keeper.
        height: In pixels of the keeper.
        kind: What happened there.
        share: Area of the rectangle in the keeper's, 0 to 1.
    """

    x: int
    y: int
    width: int
    height: int
    kind: RegionKind
    share: float


@dataclass(frozen=True, slots=True)
class Original:
    """The file that the other one was made from.

    Attributes:
        side: The original.
        sure: The evidence suffices to decide a removal; otherwise it is a proposal.
        reason: A sentence with the evidence, in which ``A`` stands for the left file, the keeper, and ``B`` for the
            right one; whoever shows it puts their names there. Empty if unknown.
    """

    side: Side = Side.UNKNOWN
    sure: bool = False
    reason: str = ""

    def reversed(self) -> Original:
        """Return the same with left and right exchanged; the sentence calls the left file A and the right one B."""
        side = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.UNKNOWN: Side.UNKNOWN}[self.side]
        swapped = self.reason.translate(str.maketrans("AB", "BA"))
        return Original(side, self.sure, swapped)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What comparing two files in full says about removing the second one.

    Attributes:
        outcome: The verdict.
        reason: A full sentence for a person.
        regions: Where the files differ, largest first.
        lacks: What the other file has and the keeper lacks, as words for a person: ``frames``, ``transparency``,
            ``bit depth``, ``colour``, ``CMYK``, ``wide gamut``, ``gain map``, ``depth map``, ``film``, ``second eye``,
            ``field of view``, ``resolution``, ``detail``, ``highlights``, ``shadows``.
        original: The file that the other one was made from.
    """

    outcome: Outcome
    reason: str
    regions: tuple[Region, ...] = ()
    lacks: tuple[str, ...] = ()
    original: Original = Original()

    @property
    def is_removable(self) -> bool:
        """Whether the keeper has everything that is in the other file."""
        return self.outcome is Outcome.COVERED
