"""The result of a full comparison of two files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The relation of the other file to the keeper; only ``covered`` makes the other file redundant."""

    COVERED = "covered"
    EDITED = "edited"
    ANOTHER_SHOT = "another shot"
    DIFFERENT = "not the same"
    PARTIAL = "partial"
    MORE = "more"
    BOTH_HAVE_MORE = "both have more"
    UNDECIDED = "undecided"


class RegionKind(StrEnum):
    """The kind of difference in a region, relative to the keeper: ``added`` content is in the other file only."""

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
        width: Width, in pixels of the keeper.
        height: Height, in pixels of the keeper.
        kind: Kind of difference.
        share: Area of the rectangle as a share of the keeper, 0 to 1.
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
        sure: Whether the evidence suffices to decide a removal; otherwise it is a suggestion.
        reason: A sentence with the evidence, in which ``A`` stands for the left file, the keeper, and ``B`` for the
            right one; reports replace them by names. Empty if unknown.
    """

    side: Side = Side.UNKNOWN
    sure: bool = False
    reason: str = ""

    def reversed(self) -> Original:
        """Return the same with left and right, and the ``A`` and ``B`` of the sentence, exchanged."""
        side = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, Side.UNKNOWN: Side.UNKNOWN}[self.side]
        swapped = self.reason.translate(str.maketrans("AB", "BA"))
        return Original(side, self.sure, swapped)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The verdict of a full comparison on the removal of the other file.

    Attributes:
        outcome: The verdict.
        reason: The verdict as a full sentence for the user.
        regions: Regions in which the files differ, largest first.
        lacks: Properties of the other file that the keeper lacks, as words for the user: ``frames``, ``transparency``,
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
