"""What a proof says, in words for the person who has to believe it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from py_image_dedup.model.match import WHOLE, Orientation
from py_image_dedup.signature.orientation import inverse
from py_image_dedup.verification.coverage import Coverage

_TURNED = {
    Orientation.UPRIGHT: (),
    Orientation.MIRROR: ("mirrored",),
    Orientation.ROTATE_180: ("turned 180°",),
    Orientation.FLIP: ("mirrored top to bottom",),
    Orientation.TRANSPOSE: ("mirrored", "turned 270°"),
    Orientation.ROTATE_90: ("turned 90°",),
    Orientation.TRANSVERSE: ("mirrored", "turned 90°"),
    Orientation.ROTATE_270: ("turned 270°",),
}

_OVER = {
    None: "small changes inside",
    True: "small changes inside: drawn over it",
    False: "small changes inside: drawn over the keeper",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about two pictures of which the left one is the keeper.

    Attributes:
        orientation: The turn that makes the left one look like the right one.
        left: How much of the left one the right one shows.
        right: How much of the right one the left one shows.
        tilt: Degrees of a slight turn.
        bent: With a perspective.
        changed: Share of the common part that differs.
        drawn: What differs was drawn over one of them.
        over_right: Over the right one; false: over the left one; ``None``: that is not clear.
        certain: The pictures are copies of each other beyond doubt.
    """

    orientation: Orientation
    left: Coverage
    right: Coverage
    tilt: float
    bent: bool
    changed: float
    drawn: bool
    certain: bool = True
    over_right: bool | None = None

    def reversed(self) -> Findings:
        """Return the same for the right picture being the keeper."""
        return replace(
            self,
            orientation=inverse(self.orientation),
            left=self.right,
            right=self.left,
            over_right=None if self.over_right is None else not self.over_right,
        )


def describe(findings: Findings, *, most_tilted: float) -> tuple[str, ...]:
    """Put findings into words, the most important first; none for a plain copy.

    Args:
        findings: What was found out.
        most_tilted: Degrees that are no tilt yet.
    """
    words = list(_extent(findings.left, findings.right))
    words += _TURNED[findings.orientation]
    if findings.bent:
        words.append("in perspective")
    elif findings.tilt > most_tilted:
        words.append(f"tilted {findings.tilt:.0f}°" if findings.tilt >= 1 else f"tilted {findings.tilt:.1f}°")
    if findings.changed > 0:
        words.append(_OVER[findings.over_right] if findings.drawn else "parts differ")
    elif not findings.certain and covers(findings.left) and covers(findings.right):
        words.append("not certainly a copy")
    return tuple(words)


def covers(coverage: Coverage) -> bool:
    """Whether a picture is shown whole, a border left out of account."""
    return coverage.share >= WHOLE or coverage.framed


def _extent(left: Coverage, right: Coverage) -> list[str]:
    if covers(left) and covers(right):
        bordered = [side for side in (left, right) if side.share < WHOLE]
        if not bordered:
            return []
        return ["with a border" if right.share < WHOLE else "without the keeper's border"]
    if covers(right):
        return [f"crop: {_percent(left.share)} of the keeper"]
    if covers(left):
        if right.mostly_even:
            return [f"on a page: the keeper is {_percent(right.share)} of it"]
        return [f"shows more: the keeper is {_percent(right.share)} of it"]
    return [f"overlap: {_percent(left.share)} of the keeper"]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
