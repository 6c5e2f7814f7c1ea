"""Geometric verification of two pictures: whether they are one photo, or parts of one.

The steps are those of a photographer who compares two prints:

1. **Where?** Matching keypoints determine a transform from one picture to the other (``correspondence``). If there are
   too few (a smooth sky), whole pictures are laid on each other in the orientation that fits best.
   Documents that cannot match there are refused at once (``screen``).
2. **Exactly there?** The thumbnails are registered to a fraction of a pixel (``registration``).
3. **The same?** Block by block (``compare``). A copy fits everywhere, to a tenth of a pixel; an overlay differs there
   and only there. Another photo of the same scene fits nowhere exactly, because a camera that moved sees near things
   shift against far ones.
4. **A part of it?** If the pictures do not match, each is compared with the photos inside the other, as on a page.
5. **All of it?** If each shows the whole of the other, in one of the eight orientations and at any size, the match is
   ``similar``; otherwise it is ``partial``.

Documents from one template differ only in what was filled in. They match only where no block differs, and are
``similar`` only if every block is the same to the last letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from py_image_dedup.features.extract import DOCUMENT, Features, document_score
from py_image_dedup.model.match import Evidence, MatchClass, Orientation, Verdict
from py_image_dedup.signature.arrays import Float64Array
from py_image_dedup.verification.compare import Comparison, Overlay, compare, detect_overlay, shows_other_print
from py_image_dedup.verification.correspondence import Correspondences, Fit, fit, match_descriptors, most_agree
from py_image_dedup.verification.evidence import Findings, cover, covers, describe
from py_image_dedup.verification.picture import Picture, best_orientation
from py_image_dedup.verification.registration import Overlap, register
from py_image_dedup.verification.screen import are_documents, is_refused
from py_image_dedup.verification.scrolling import shared_strips
from py_image_dedup.verification.thresholds import THRESHOLDS as T
from py_image_dedup.verification.transform import Transform, estimate_homography, reflection

LEAST_SHOWN: Final = 0.3
"""Share of a picture that a photo inside another one shows, at least. It belongs to the thresholds, but is not among
them, because no verdict on pictures without insets depends on it: stored ones stay valid."""


@dataclass(frozen=True, slots=True, eq=False)
class _Accepted:
    """A transform under which two pictures match.

    Attributes:
        overlap: The overlap of the registered thumbnails.
        comparison: The comparison of its blocks.
        overlay: What differs; ``None`` where nothing does.
        inliers: Keypoints that agree on the transform.
        perspective: Whether the transform has a perspective.
        transform: The transform from the left thumbnail to the right one.
        is_part: Whether only a part of a picture was compared: the content of two scrolled screens without their heads
            and feet, or a photo on a page.
    """

    overlap: Overlap
    comparison: Comparison
    overlay: Overlay | None
    inliers: int
    perspective: bool
    transform: Transform
    is_part: bool = False


def verify(left: Picture, right: Picture) -> Verdict | None:
    """Verify whether two pictures are one photo or parts of one.

    Symmetric: exchanging the pictures reverses the verdict and changes nothing else.

    Args:
        left: One picture; the evidence's words take it for the keeper.
        right: The other picture.

    Returns:
        The verdict, or ``None`` if the pictures do not match.

    Raises:
        ValueError: A thumbnail in the index is damaged.

    Thread-safety: any number of threads; native code releases the interpreter lock. Half a millisecond of CPU time for
    pictures whose keypoints do not agree, 5 for those that are compared.
    """
    if _have_equal_features(left.features, right.features):
        return Verdict(MatchClass.SIMILAR, Orientation.UPRIGHT, Evidence((), len(left.features)))
    exchanged = left.features.thumbnail > right.features.thumbnail
    if exchanged:
        left, right = right, left
    accepted = _search(left, right) or _search_insets(left, right)
    return None if accepted is None else _judge(left, right, accepted, exchanged=exchanged)


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
    one, other = (right, left) if exchanged else (left, right)
    accepted = _search(one, other) or _search_insets(one, other)
    if accepted is None:
        return None
    return (accepted.transform.inverse() if exchanged else accepted.transform).matrix


def _have_equal_features(left: Features, right: Features) -> bool:
    """Return whether the index holds the same of both: a thousand copies of a photo need no comparison of pixels."""
    return (
        left.thumbnail == right.thumbnail
        and len(left) >= T.certain_inliers
        and np.array_equal(left.descriptors, right.descriptors)
        and np.array_equal(left.points, right.points)
    )


def _search(left: Picture, right: Picture) -> _Accepted | None:
    """Return the first transform under which the pictures match, the most promising tried first."""
    accepted = _search_fits(left, right, T.min_inliers)
    if accepted is not None or min(len(left.features), len(right.features)) > T.max_smooth_keypoints:
        return accepted
    orientation = best_orientation(left.thumbnail, right.thumbnail)
    if orientation is None:
        return None
    return _first_accepted(left, right, [Transform.whole(orientation, left.size, right.size)], 0)


def _search_insets(left: Picture, right: Picture) -> _Accepted | None:
    """Compare each picture with the photos inside the other one.

    Documents are not sought there, nor what shares no more than such a photo: another page that it is on.
    """
    if left.features.insets and right.document_score < DOCUMENT:
        for inset, to_page in left.insets:
            accepted = _search_fits(inset, right, T.some_inliers)
            if accepted is not None and _shows(inset, right, accepted.transform):
                return replace(accepted, transform=to_page.inverse().then(accepted.transform), is_part=True)
    if right.features.insets and left.document_score < DOCUMENT:
        for inset, to_page in right.insets:
            accepted = _search_fits(left, inset, T.some_inliers)
            if accepted is not None and _shows(inset, left, accepted.transform.inverse()):
                return replace(accepted, transform=accepted.transform.then(to_page), is_part=True)
    return None


def _shows(inset: Picture, picture: Picture, to_picture: Transform) -> bool:
    """Return whether a photo inside another picture shows enough of a picture."""
    return cover(picture.thumbnail, inset.thumbnail, to_picture.inverse()).share >= LEAST_SHOWN


def _search_fits(left: Picture, right: Picture, min_inliers: int) -> _Accepted | None:
    """Return the first transform that keypoints agree on and under which the pictures match."""
    for found, mirrored in _fits(left, right):
        if found.inliers < min_inliers:
            continue
        start = _between_thumbnails(left, right, found.transform, mirrored=mirrored)
        if not _is_plausible(start):
            continue
        starts = _passed(left, right, start)
        accepted = _first_accepted(left, right, starts, found.inliers)
        # Where no affine map passes and the keypoints are on one, a homography near it does not pass either.
        if accepted is None and (starts or not found.is_affine):
            accepted = _with_perspective(left, right, found, mirrored=mirrored)
        if accepted is None and found.inliers >= T.certain_inliers:
            accepted = _scrolled(left, right, start, found.inliers)
        if accepted is not None:
            return accepted
    return None


def _passed(left: Picture, right: Picture, start: Transform) -> list[Transform]:
    """Return the transforms to register from: those near a start that the quick test of documents does not refuse."""
    # A copy of the whole picture lies exactly on it: a better start than keypoints that nearly say so.
    whole = Transform.whole(start.orientation, left.size, right.size)
    offset = _offset(left, start, whole)
    if np.abs(offset / right.size).max() >= T.nearly_whole:
        return [] if is_refused(left, right, start) else [start]
    near = np.abs(offset).max() <= T.screen_same and are_documents(left, right)
    if not is_refused(left, right, whole):
        return [whole] if near else [whole, start]
    return [] if near or is_refused(left, right, start) else [start]


def _offset(left: Picture, one: Transform, other: Transform) -> Float64Array:
    """Return how far apart two transforms move the corners of the left picture, shape ``(4, 2)``, pixels."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64) * left.size
    return one.apply(corners) - other.apply(corners)


def _first_accepted(left: Picture, right: Picture, starts: Sequence[Transform], inliers: int) -> _Accepted | None:
    checked = (_check(left, right, start, inliers) for start in starts)
    return next((accepted for accepted in checked if accepted is not None), None)


def _with_perspective(left: Picture, right: Picture, found: Fit, *, mirrored: bool) -> _Accepted | None:
    if found.inliers < T.perspective_inliers:
        return None
    homography = estimate_homography(found.left, found.right, T.perspective_distance)
    start = _between_thumbnails(left, right, homography or found.transform, mirrored=mirrored)
    if not _is_plausible(start) or is_refused(left, right, start):
        return None
    return _check(left, right, start, found.inliers, perspective=True)


def _scrolled(left: Picture, right: Picture, start: Transform, inliers: int) -> _Accepted | None:
    """Compare the content that two documents share where one of them was scrolled."""
    strips = shared_strips(left, right, start) if are_documents(left, right) else None
    if strips is None:
        return None
    accepted = _compared(register(strips.left, strips.right, strips.start), inliers, perspective=False)
    if accepted is None or accepted.comparison.textured_count < T.min_textured:
        return None
    overlap = strips.within_pictures(accepted.overlap)
    return replace(accepted, overlap=overlap, transform=overlap.transform, is_part=True)


def _fits(left: Picture, right: Picture) -> Iterator[tuple[Fit, bool]]:
    """Yield the transforms that keypoints agree on, most inliers first, each with whether it mirrors the left one."""
    pairs = match_descriptors(left.keypoints, right.keypoints)
    refused = _is_another_page(left, right, pairs)
    plain = None if refused else fit(pairs)
    certain = refused or (plain is not None and plain.inliers >= T.certain_inliers)
    if plain is not None and certain:
        yield plain, False
    # In a document, upright keypoints that agree are those of a template or of a copy. Where the caller asks for more,
    # it was no copy; a mirrored one would have more mirrored keypoints than that.
    support = T.min_matches
    if (refused or plain is not None) and are_documents(left, right):
        support = T.certain_inliers if certain or plain is None else max(support, plain.inliers)
    mirrored = fit(match_descriptors(left.mirrored_keypoints, right.keypoints), support)
    both = [] if plain is None or certain else [(plain, False)]
    if mirrored is not None:
        both.append((mirrored, True))
    both.sort(key=lambda pair: -pair[0].inliers)
    yield from ((found, is_mirrored) for found, is_mirrored in both if found.inliers >= T.min_inliers)


def _is_another_page(left: Picture, right: Picture, pairs: Correspondences) -> bool:
    """Return whether two documents lie on each other as they are, and show other print there: pages of one template."""
    if len(pairs) <= T.certain_inliers or not are_documents(left, right):
        return False
    whole = Transform.whole(Orientation.UPRIGHT, left.size, right.size)
    frames = left.to_thumbnail.then(whole).then(right.to_thumbnail.inverse())
    return most_agree(pairs, frames) and is_refused(left, right, whole)


def _between_thumbnails(left: Picture, right: Picture, transform: Transform, *, mirrored: bool) -> Transform:
    if mirrored:
        transform = reflection(left.features.width).then(transform)
    return left.to_thumbnail.inverse().then(transform).then(right.to_thumbnail)


def _is_plausible(transform: Transform) -> bool:
    return T.min_scale < transform.scale < T.max_scale and transform.anisotropy < T.max_stretch


def _check(
    left: Picture, right: Picture, start: Transform, inliers: int, *, perspective: bool = False
) -> _Accepted | None:
    """Register the thumbnails from a start, compare them, and accept or refuse."""
    overlap = register(left.thumbnail, right.thumbnail, start, perspective=perspective)
    return _compared(overlap, inliers, perspective=perspective)


def _compared(overlap: Overlap | None, inliers: int, *, perspective: bool) -> _Accepted | None:
    """Compare the registered pixels, and accept or refuse."""
    comparison = None if overlap is None else compare(overlap)
    if overlap is None or comparison is None:
        return None
    is_document = comparison.document_score >= DOCUMENT
    if comparison.mismatch_share > (T.max_mismatch if is_document else _max_mismatch(inliers)):
        return None
    if is_document and _shows_another_page(overlap, comparison):
        return None
    if comparison.median_shift > (T.certain_median_shift if is_document else T.max_median_shift):
        return None
    # In a document every block that differs has to be covered, so that here too no more may.
    changed = 0 < comparison.mismatch_share <= T.max_mismatch
    overlay = detect_overlay(overlap, comparison) if changed else None
    is_same = _is_same_document if is_document else _is_same_photo
    if is_document and _is_illegible(overlap):
        is_same = _is_same_small_document
    if not is_same(comparison, overlay, inliers):
        return None
    return _Accepted(overlap, comparison, overlay, inliers, perspective, overlap.transform)


def _shows_another_page(overlap: Overlap, comparison: Comparison) -> bool:
    """Return whether the correlations alone refuse a document: shifts and overlays cost several times as much."""
    if comparison.mismatch_share > 0 and _is_illegible(overlap):
        return True
    if comparison.mismatch_share > T.document_mismatch:
        return shows_other_print(comparison)
    legible = comparison.p02_correlation >= T.document_correlation
    return not (legible and _is_evenly_degraded(comparison, comparison.min_correlation))


def _is_same_photo(comparison: Comparison, overlay: Overlay | None, inliers: int) -> bool:
    """Decide for photos."""
    mismatch, exact = comparison.mismatch_share, comparison.exact_weight
    if comparison.measured_count < T.few_measured or inliers < T.min_inliers:
        # A smooth picture, or hardly any structure. Without inliers its soft detail agrees, or it would not be tried.
        needed = T.smooth_correlation if inliers >= T.min_inliers else T.smooth_correlation_alone
        enough = comparison.textured_count >= T.min_textured or inliers < T.min_inliers
        return mismatch <= T.unchanged and comparison.p02_correlation >= needed and enough
    if mismatch <= T.max_mismatch_few:
        return exact >= T.exact_weight_few
    if mismatch > _max_mismatch(inliers):
        return False
    if overlay is not None and overlay.has_overlay and inliers >= T.certain_inliers:
        return exact >= T.exact_weight_overlay and comparison.same_weight >= T.same_weight_overlay
    return exact >= T.exact_weight_changed and comparison.same_weight >= T.same_weight_changed


def _max_mismatch(inliers: int) -> float:
    """Return the largest share of mismatching blocks: less with few inliers, which agree by chance in garments."""
    if inliers >= T.certain_inliers:
        return T.max_mismatch
    return T.max_mismatch_some if inliers >= T.some_inliers else T.max_mismatch_few


def _is_same_document(comparison: Comparison, overlay: Overlay | None, inliers: int) -> bool:
    """Decide for documents that are large enough to be read."""
    if comparison.exact_weight < T.document_exact_weight or inliers < T.min_inliers:
        return False
    if comparison.mismatch_share <= T.document_mismatch:
        legible = comparison.p02_correlation >= T.document_correlation
        return legible and _is_evenly_degraded(comparison, comparison.min_correlation)
    if overlay is None or overlay.covered_share > T.max_mismatch:
        return False
    explained = overlay.uncovered == 0 and overlay.has_overlay
    return explained and _is_evenly_degraded(comparison, overlay.rest_min_correlation)


def _is_same_small_document(comparison: Comparison, overlay: Overlay | None, inliers: int) -> bool:  # noqa: ARG001 - as above
    """Decide for documents that are so small, or overlap so little, that another digit hardly makes a difference."""
    needed = T.small_document_correlation
    sharp = comparison.p02_correlation >= needed and comparison.min_correlation >= needed
    exact = comparison.exact_weight >= T.document_exact_weight
    return comparison.mismatch_share == 0 and sharp and exact and inliers >= T.min_inliers


def _is_illegible(overlap: Overlap) -> bool:
    """Return whether an overlap is print in one ink, as of receipts and forms, that is too small to be read."""
    if min(overlap.reference.shape) >= T.legible_side:
        return False
    return max(document_score(pixels, overlap.valid) for pixels in (overlap.reference, overlap.warped)) >= DOCUMENT


def _is_evenly_degraded(comparison: Comparison, min_correlation: float) -> bool:
    """Return whether no printed block stands out: compression and blur degrade all, another digit only its own."""
    if min_correlation >= T.even_correlation:
        return True
    even = 1 - min_correlation <= T.evenness * comparison.median_deficit
    return min_correlation >= T.uneven_correlation and even


def _judge(left: Picture, right: Picture, accepted: _Accepted, *, exchanged: bool) -> Verdict:
    """Make the verdict of a match: its class, and the evidence in words."""
    transform = accepted.transform
    one = cover(left.thumbnail, right.thumbnail, transform)
    other = cover(right.thumbnail, left.thumbnail, transform.inverse())
    comparison, overlay = accepted.comparison, accepted.overlay
    changed = comparison.mismatch_share if comparison.mismatch_share > T.unchanged else 0.0
    has_overlay = overlay is not None and overlay.has_overlay and changed > 0
    over_right = None
    if overlay is not None and has_overlay and overlay.over_reference is not None:
        over_right = overlay.over_reference != accepted.overlap.reference_is_left
    straight = not accepted.perspective and transform.skew <= T.max_skew
    certain = comparison.median_shift <= T.certain_median_shift and (changed == 0 or has_overlay)
    certain = certain and accepted.inliers >= T.min_inliers and not accepted.is_part
    if comparison.document_score >= DOCUMENT:
        certain = certain and changed == 0 and comparison.min_correlation >= T.certain_document_correlation
    # A rotation or a perspective makes the match partial already; doubt need not be mentioned then.
    doubtless = certain or not straight
    findings = Findings(
        transform.orientation,
        one,
        other,
        transform.skew,
        accepted.perspective,
        changed,
        has_overlay,
        doubtless,
        over_right,
    )
    if exchanged:
        findings = findings.reversed()
    certain = certain and straight and covers(one) and covers(other)
    evidence = Evidence(
        describe(findings),
        accepted.inliers,
        comparison.mismatch_share,
        findings.left.share,
        findings.right.share,
        describe(findings.reversed()),
        findings.over_right,
    )
    return Verdict(MatchClass.SIMILAR if certain else MatchClass.PARTIAL, findings.orientation, evidence)
