"""The proof that two pictures are one photo, or parts of one.

How a photographer would check it, in this order:

1. **Where?** Features that look alike in both put one picture somewhere in the other (``correspondence``). If they say
   nothing (a smooth sky), the whole of one is laid on the whole of the other, turned as the signatures say.
2. **Exactly there?** The thumbnails are laid over each other and moved until they fit (``registration``).
3. **The same?** Block by block (``comparison``). A copy fits everywhere, to a tenth of a pixel; where something was
   drawn over it, it differs there and only there. Another photo of the same scene fits nowhere exactly, because a
   camera that moved sees near things shift against far ones.
4. **All of it?** If each shows the whole of the other, and in a way that editors make (the eight turns, any size), it
   is ``similar``; otherwise ``partial``.

Documents are all alike but for what was filled in. They match only where no block differs, and are ``similar`` only if
every block is the same to the last letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from py_image_dedup.features.extract import DOCUMENT, Features
from py_image_dedup.model.match import Evidence, MatchClass, Orientation, Verdict
from py_image_dedup.signature.arrays import Float64Array
from py_image_dedup.verification.compare import Changes, Comparison, compare, look_at_changes
from py_image_dedup.verification.correspondence import Fit, correspond, fit
from py_image_dedup.verification.evidence import Findings, cover, covers, describe
from py_image_dedup.verification.picture import Picture, likeliest_turn
from py_image_dedup.verification.registration import Overlap, register
from py_image_dedup.verification.transform import Alignment, fit_projective, mirroring

VERIFY_VERSION = 3
"""Changes when the same two pictures may get another verdict."""

FEWEST_INLIERS = 4
"""Features that must agree before pixels are looked at."""
SURE_INLIERS = 12
"""Features that agree so well that the mirrored picture is tried later, if at all."""
MOST_TILTED = 0.8
"""Degrees that a whole copy's sides may seem turned by: what a smooth picture's alignment is off by."""

_SMOOTH_FEATURES = 80
_LARGEST_STRETCH = 3.0
_SCALES = (0.05, 20.0)
_NEARLY_WHOLE = 0.03
_BENT_INLIERS = 8
_BENT_PIXELS = 3.0

_MOST_SHIFTED = 0.7
_SURELY_SHIFTED = 0.45
_FEW_MEASURED = 12
_FEWEST_TEXTURED = 10
_UNCHANGED = 0.01
_LEGIBLE = 160
"""Pixels: a document that is seen smaller is believed only where nothing differs."""
_MOST_CHANGED = 0.30
_SOME_INLIERS = 8
_CHANGED_WITH_SOME = 0.20
_CHANGED_WITH_FEW = 0.10


@dataclass(frozen=True, slots=True, eq=False)
class _Proof:
    overlap: Overlap
    comparison: Comparison
    changes: Changes | None
    inliers: int
    bent: bool


def verify(left: Picture, right: Picture) -> Verdict | None:
    """Prove or refuse that two pictures are one photo.

    Symmetric: exchanging the pictures exchanges what is said of them, and nothing else.

    Args:
        left: The keeper.
        right: The other one.

    Returns:
        The verdict, or ``None`` if nothing proves that they are one photo.

    Raises:
        ValueError: A thumbnail in the index is damaged.

    Thread-safety: any number of threads; native code releases the interpreter lock. Half a millisecond of CPU time for
    pictures whose features do not agree, 5 for those that are compared.
    """
    if _is_seen_the_same(left.features, right.features):
        seen = Evidence((), len(left.features))
        return Verdict(MatchClass.SIMILAR, Orientation.UPRIGHT, seen)
    exchanged = left.features.thumbnail > right.features.thumbnail
    if exchanged:
        left, right = right, left
    proof = _prove(left, right)
    return None if proof is None else _judge(left, right, proof, exchanged=exchanged)


def locate(left: Picture, right: Picture) -> Float64Array | None:
    """Find where one picture lies in another one that it matches.

    Args:
        left: A picture.
        right: A picture that shows the same, in whole or in part.

    Returns:
        The homography from the left thumbnail to the right one, 3 x 3, float64, in pixels whose corners are whole
        numbers; ``None`` if the pictures do not match.

    Raises:
        ValueError: A thumbnail in the index is damaged.
    """
    exchanged = left.features.thumbnail > right.features.thumbnail
    proof = _prove(right, left) if exchanged else _prove(left, right)
    if proof is None:
        return None
    alignment = proof.overlap.alignment
    return (alignment.inverse() if exchanged else alignment).matrix


def _is_seen_the_same(left: Features, right: Features) -> bool:
    """Whether the index has exactly the same of both: a thousand copies of a photo need not be laid over each other."""
    return (
        left.thumbnail == right.thumbnail
        and len(left) >= SURE_INLIERS
        and np.array_equal(left.descriptors, right.descriptors)
        and np.array_equal(left.points, right.points)
    )


def _prove(left: Picture, right: Picture) -> _Proof | None:
    for found, mirrored in _fits(left, right):
        start = _between_thumbnails(left, right, found.alignment, mirrored=mirrored)
        if not _is_possible(start):
            continue
        starts = [start]
        # A copy of the whole picture lies exactly on it: a better start than features that nearly say so.
        if _is_nearly_whole(left, right, start):
            starts.insert(0, Alignment.whole(start.orientation, left.size, right.size))
        proof = _first_proof(left, right, starts, found.inliers) or _prove_bent(left, right, found, mirrored=mirrored)
        if proof is not None:
            return proof
    if min(len(left.features), len(right.features)) > _SMOOTH_FEATURES:
        return None
    turn = likeliest_turn(left.thumbnail, right.thumbnail)
    if turn is None:
        return None
    return _first_proof(left, right, [Alignment.whole(turn, left.size, right.size)], 0)


def _first_proof(left: Picture, right: Picture, starts: Sequence[Alignment], inliers: int) -> _Proof | None:
    proofs = (_check(left, right, start, inliers) for start in starts)
    return next((proof for proof in proofs if proof is not None), None)


def _prove_bent(left: Picture, right: Picture, found: Fit, *, mirrored: bool) -> _Proof | None:
    if found.inliers < _BENT_INLIERS:
        return None
    bent = fit_projective(found.left, found.right, _BENT_PIXELS)
    start = _between_thumbnails(left, right, bent or found.alignment, mirrored=mirrored)
    return _check(left, right, start, found.inliers, bend=True) if _is_possible(start) else None


def _fits(left: Picture, right: Picture) -> Iterator[tuple[Fit, bool]]:
    """Yield where features put the left picture, the likeliest first, each with whether it is mirrored."""
    plain = fit(correspond(left.places, right.places))
    sure = plain is not None and plain.inliers >= SURE_INLIERS
    if plain is not None and sure:
        yield plain, False
    mirrored = fit(correspond(left.mirrored, right.places))
    both = [] if plain is None or sure else [(plain, False)]
    if mirrored is not None:
        both.append((mirrored, True))
    both.sort(key=lambda pair: -pair[0].inliers)
    yield from ((found, is_mirrored) for found, is_mirrored in both if found.inliers >= FEWEST_INLIERS)


def _between_thumbnails(left: Picture, right: Picture, alignment: Alignment, *, mirrored: bool) -> Alignment:
    if mirrored:
        alignment = mirroring(left.features.width).then(alignment)
    return left.to_thumbnail.inverse().then(alignment).then(right.to_thumbnail)


def _is_possible(alignment: Alignment) -> bool:
    smallest, largest = _SCALES
    return smallest < alignment.scale < largest and alignment.stretch < _LARGEST_STRETCH


def _is_nearly_whole(left: Picture, right: Picture, alignment: Alignment) -> bool:
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64) * left.size
    whole = Alignment.whole(alignment.orientation, left.size, right.size)
    apart = (alignment.apply(corners) - whole.apply(corners)) / right.size
    return bool(np.abs(apart).max() < _NEARLY_WHOLE)


def _check(left: Picture, right: Picture, start: Alignment, inliers: int, *, bend: bool = False) -> _Proof | None:
    """Lay the pictures over each other and compare them."""
    found = register(left.thumbnail, right.thumbnail, start, bend=bend)
    comparison = None if found is None else compare(found)
    if found is None or comparison is None:
        return None
    is_document = comparison.document >= DOCUMENT
    if comparison.shift > (_SURELY_SHIFTED if is_document else _MOST_SHIFTED):
        return None
    # In a document every block that differs has to be covered, so that here too no more may.
    changed = 0 < comparison.bad_share <= _MOST_CHANGED
    changes = look_at_changes(found, comparison) if changed else None
    is_same = _is_same_document if is_document else _is_same_photo
    if is_document and min(found.base.shape) < _LEGIBLE:
        is_same = _is_same_small_print
    return _Proof(found, comparison, changes, inliers, bend) if is_same(comparison, changes, inliers) else None


def _is_same_photo(comparison: Comparison, changes: Changes | None, inliers: int) -> bool:
    """Decide for photographs. False pairs have more than 0.16 bad blocks, and less than 0.16 exact weight."""
    bad, exact = comparison.bad_share, comparison.exact_weight
    if comparison.measured < _FEW_MEASURED or inliers < FEWEST_INLIERS:
        # A smooth picture, or hardly anything to see.
        worst = 0.75 if inliers >= FEWEST_INLIERS else 0.9
        return bad <= _UNCHANGED and comparison.worst >= worst and comparison.textured >= _FEWEST_TEXTURED
    if bad <= _CHANGED_WITH_FEW:
        return exact >= 0.35
    if bad > _most_changed(inliers):
        return False
    if changes is not None and changes.drawn and inliers >= SURE_INLIERS:
        return exact >= 0.08 and comparison.same_weight >= 0.4
    return exact >= 0.25 and comparison.same_weight >= 0.5


def _most_changed(inliers: int) -> float:
    """Return how much may differ: less where few features agree, as they do by chance in a tiny part of a garment."""
    if inliers >= SURE_INLIERS:
        return _MOST_CHANGED
    return _CHANGED_WITH_SOME if inliers >= _SOME_INLIERS else _CHANGED_WITH_FEW


def _is_same_document(comparison: Comparison, changes: Changes | None, inliers: int) -> bool:
    """Decide for documents: two receipts of one shop differ in 1.7 % of the blocks, two filled-in forms in 0.2 %."""
    if comparison.exact_weight < 0.5 or inliers < FEWEST_INLIERS:
        return False
    if comparison.bad_share <= 0.012:
        return comparison.worst >= 0.45 and _is_even(comparison, comparison.least)
    if changes is None or changes.covered_share > _MOST_CHANGED:
        return False
    return changes.uncovered == 0 and changes.drawn and _is_even(comparison, changes.rest_least)


def _is_same_small_print(comparison: Comparison, changes: Changes | None, inliers: int) -> bool:  # noqa: ARG001 - as above
    """Decide for documents of which so little is seen, or so small, that another figure hardly differs.

    Two receipts of one shop, side by side with white or of the head alone, have a worst block of 0.8 at most there;
    copies have 0.94 and more.
    """
    sharp = comparison.worst >= 0.9 and comparison.least >= 0.9
    return comparison.bad_share == 0 and sharp and comparison.exact_weight >= 0.5 and inliers >= FEWEST_INLIERS


def _is_even(comparison: Comparison, least: float) -> bool:
    """Whether no block of print stands out: compression and blur spoil all of them, another figure only its own."""
    return least >= 0.75 or (least >= 0.5 and 1 - least <= 12 * comparison.usual)


def _judge(left: Picture, right: Picture, proof: _Proof, *, exchanged: bool) -> Verdict:
    alignment = proof.overlap.alignment
    one = cover(left.thumbnail, right.thumbnail, alignment)
    other = cover(right.thumbnail, left.thumbnail, alignment.inverse())
    comparison, changes = proof.comparison, proof.changes
    changed = comparison.bad_share if comparison.bad_share > _UNCHANGED else 0.0
    drawn = changes is not None and changes.drawn and changed > 0
    over_right = None
    if changes is not None and drawn and changes.over_base is not None:
        over_right = changes.over_base != proof.overlap.base_is_left
    straight = not proof.bent and alignment.tilt <= MOST_TILTED
    certain = comparison.shift <= _SURELY_SHIFTED and (changed == 0 or drawn)
    certain = certain and proof.inliers >= FEWEST_INLIERS
    if comparison.document >= DOCUMENT:
        certain = certain and changed == 0 and comparison.least >= 0.88
    # Where a turn or a perspective says already why it is a part, doubt is not worth a word.
    doubtless = certain or not straight
    findings = Findings(
        alignment.orientation, one, other, alignment.tilt, proof.bent, changed, drawn, doubtless, over_right
    )
    if exchanged:
        findings = findings.reversed()
    certain = certain and straight and covers(one) and covers(other)
    evidence = Evidence(
        describe(findings, most_tilted=MOST_TILTED),
        proof.inliers,
        comparison.bad_share,
        findings.left.share,
        findings.right.share,
        describe(findings.reversed(), most_tilted=MOST_TILTED),
        findings.over_right,
    )
    return Verdict(MatchClass.SIMILAR if certain else MatchClass.PARTIAL, findings.orientation, evidence)
