"""Every threshold of geometric verification, with its unit and how it was measured.

Measured means: the largest value at which no pair of different pictures matched among all pairs of 500 ordinary photos,
300 garments, 60 receipts, 29 photos of one street and 40 frames of turning objects (``docs/accuracy.md``), or the
smallest at which the copies of the accuracy ladder were still found. Pixels are those of a thumbnail (short side 160,
of a document 256) where nothing else is said; the frame of keypoints has a short side of 256 pixels.

The fingerprint of these values is part of the key that verdicts are stored with, so a change here verifies every pair
again without a version that has to be raised by hand.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of geometric verification, in the order in which they apply."""

    # Correspondences of keypoints.

    ratio_test: float = 0.85
    """Largest ratio of the distances to the nearest and the second nearest descriptor (Lowe's ratio test)."""
    min_matches: int = 3
    """Fewest correspondences that determine a transform."""
    max_hypotheses: int = 4
    """Transforms that are refined for one pair; a fifth found no further copy."""
    vote_distance: float = 18.0
    """Largest distance, pixels of the frame at scale 1, at which a correspondence supports a hypothesis."""
    vote_scale: float = 0.5
    """Largest difference of the natural logarithms of the scales of a correspondence and a hypothesis."""
    vote_angle: float = math.radians(25)
    """Largest difference of the angles of a correspondence and a hypothesis, radians."""
    similarity_distances: tuple[float, ...] = (10.0, 6.0, 4.0, 4.0)
    """Inlier distances of the rounds that refine a similarity, pixels of the frame."""
    affine_distances: tuple[float, ...] = (10.0, 8.0, 6.0, 4.0, 4.0)
    """Inlier distances of the rounds that refine an affine map, pixels of the frame."""
    rough_distance: float = 14.0
    """Distance within which correspondences are kept for the estimate of a homography, pixels of the frame."""
    max_anisotropy: float = 1.6
    """Largest ratio of the two scales of an affine map; a width x 0.8 with a little shear stays below."""
    decisive_inliers: int = 20
    """Inliers above which a hypothesis that a third of all correspondences support ends the search."""
    inlier_cell: float = 2.0
    """Side of a square, pixels of the frame, in which several inliers count once: a corner has several keypoints."""

    # Which transforms are tried.

    min_inliers: int = 4
    """Inliers below which pixels are not compared; unrelated photos have 3 at most, as a rule."""
    certain_inliers: int = 12
    """Inliers from which on the mirrored picture is tried last; unrelated pictures never reached it."""
    some_inliers: int = 8
    """Inliers from which on up to ``max_mismatch_some`` may differ."""
    max_smooth_keypoints: int = 80
    """Keypoints up to which a picture counts as smooth; two whole pictures are then compared without inliers."""
    min_soft_correlation: float = 0.85
    """Smallest correlation of their soft detail, gradients removed, for such a comparison: different skies have 0.74 at
    most in any orientation, half-size copies 0.88 at least."""
    min_soft_deviation: float = 1.0
    """Smallest standard deviation of soft detail, grey levels, that tells skies apart; compression leaves 0.3."""
    max_stretch: float = 3.0
    """Largest ratio of the two scales between thumbnails."""
    min_scale: float = 0.05
    """Smallest scale between thumbnails."""
    max_scale: float = 20.0
    """Largest scale between thumbnails."""
    nearly_whole: float = 0.03
    """Largest offset of corners, share of a side, at which the exact map of whole on whole is tried first."""
    perspective_inliers: int = 8
    """Inliers from which on a homography is estimated: twice what determines it."""
    perspective_distance: float = 3.0
    """Inlier distance of a homography, pixels of the frame."""

    affine_outliers: float = 0.2
    """Share of rough inliers up to which more than ``perspective_distance`` away are chance and no perspective."""

    # The quick test of documents. Pixels are those of a thumbnail at half size.

    screen_block_side: int = 7
    """Side of a block, pixels, odd: two lines of small print."""
    screen_stride: int = 3
    """Distance of neighbouring blocks, pixels."""
    screen_reach: int = 3
    """Distance, pixels, within which a block's counterpart is looked for: beyond what registration corrects."""
    screen_variance: float = 400.0
    """Variance, grey levels squared, from which on a block counts as printed: more than ``strong_deviation`` asks for,
    since pale print may vanish in a copy that is made brighter."""
    screen_correlation: float = 0.4
    """Correlation below which a block has no counterpart. Copies of receipts have none below 0.5 except under overlays;
    screenshots of one app have 30 and more below 0.4."""
    screen_mismatches: int = 2
    """Blocks without a counterpart and without an overlay that refuse a pair of documents."""
    screen_share: float = 0.33
    """Share of all blocks that have no counterpart where the overlap of two documents is no document; of a match, 0.3
    at most differ."""
    screen_steps: tuple[int, ...] = (16, 64)
    """Blocks whose counterparts are looked for, step by step: the first step refuses most pairs."""
    screen_fit: float = 0.8
    """Share of textured blocks that fit exactly, from which on documents lie on each other to a pixel."""
    background_side: int = 5
    """Side of the window, pixels, odd, whose median is the background of print."""
    screen_same: float = 3.0
    """Distance of corners, pixels of a whole thumbnail, up to which the test of one transform holds for another."""
    screen_whole: float = 0.6
    """Share of the larger picture from which on an overlap is a document because both pictures are."""

    # Scrolled screens. Pixels are those of a thumbnail.

    min_scroll: int = 8
    """Shortest shift, pixels, by which a screen counts as scrolled."""
    scroll_distortion: float = 0.02
    """Largest difference of the linear part from that of a shift."""
    scroll_aside: float = 2.0
    """Largest shift across, pixels."""
    min_strip: float = 0.3
    """Shortest strip of the same content, share of the height."""
    row_difference: float = 0.06
    """Share of a row's pixels that may differ; the strip is compared more closely afterwards."""
    row_gap: int = 3
    """Half the number of rows that may differ between rows of a strip."""
    min_fixed: float = 0.04
    """Smallest share of the height of head and foot together."""
    fixed_share: float = 0.7
    """Share of the rows of head and foot that agree: the time of day differs."""

    # Registration.

    min_overlap_side: int = 12
    """Shortest side of an overlap, pixels: less shows too little."""
    min_overlap_pixels: int = 80
    """Fewest valid pixels of an overlap that is registered."""
    edge_width: float = 1.25
    """Width of the rim that is left out because it mixes with what lies beyond, pixels of the coarser picture."""
    noise_variance: float = 25.0
    """Variance, grey levels squared, below which local contrast is not amplified: JPEG noise of a thumbnail."""
    registration_outlier: float = 0.5
    """Difference in units of local contrast at which a pixel's weight is halved."""
    max_registration_shift: float = 12.0
    """Shift in one step, pixels, beyond which registration is abandoned."""
    max_registration_change: float = 0.2
    """Change of the linear part in one step, beyond which registration is abandoned."""
    registration_step: float = 0.02
    """Step, pixels, below which registration has converged."""

    # Comparison of blocks.

    min_block_side: int = 7
    """Smallest side of a block, pixels; otherwise a tenth of the overlap's short side."""
    document_block_side: int = 11
    """Largest side of a block in a document, pixels: a changed digit is this large."""
    min_blocks: int = 4
    """Fewest blocks that are compared."""
    mismatch_correlation: float = 0.5
    """Correlation below which a textured block shows something else."""
    exact_correlation: float = 0.8
    """Smallest correlation of a block that fits exactly."""
    exact_shift: float = 0.5
    """Largest shift, pixels, of a block that fits exactly."""
    max_shift: float = 3.0
    """Shift at which measured shifts are cut off, pixels."""
    block_noise: float = 16.0
    """Variance of a thumbnail's noise, grey levels squared."""
    max_gain: float = 5.0
    """Largest ratio of contrasts that is compensated, either way."""
    strong_deviation: float = 16.0
    """Standard deviation, grey levels, from which on a block has clear edges: print, not paper."""
    max_weight: float = 32.0
    """Standard deviation, grey levels, at which a block's weight is cut off."""
    flow_side: int = 13
    """Smallest side of the window that a shift is measured in, pixels."""
    min_gradient: float = 0.004
    """Smallest eigenvalue of the structure tensor from which a shift can be measured (not along a single edge)."""
    min_measured_shifts: int = 4
    """Fewest measured shifts that give a median."""

    # Overlays: captions, stickers, watermarks.

    changed_levels: float = 20.0
    """Difference, grey levels, from which on a pixel counts as changed."""
    min_changed_pixels: int = 20
    """Fewest changed pixels that are judged."""
    one_colour: float = 0.58
    """Share of changed pixels within ten levels of the commonest value from which on they have one colour."""
    many_colours: float = 0.4
    """Share below which they clearly have not."""
    steeper: float = 2.0
    """Ratio of mean gradients that shows which picture was drawn on."""
    writing_slope: float = 30.0
    """Smallest mean gradient of writing, levels per pixel."""
    writing_ratio: float = 2.5
    """Smallest ratio of mean gradients of writing and its background."""
    veil_sign: float = 0.97
    """Share of pixels that a translucent overlay makes lighter, or darker."""
    veil_detail: float = 0.1
    """Smallest correlation of the fine detail that shines through."""
    veil_ratio: float = 1.5
    """Smallest ratio of mean gradients under a translucent overlay."""
    covered_levels: float = 30.0
    """Difference of backgrounds, grey levels, from which on one of them is covered."""

    # Acceptance.

    max_median_shift: float = 0.7
    """Median shift of a photo's blocks, pixels, beyond which it is another shot of the scene."""
    certain_median_shift: float = 0.45
    """The same for documents, and for a copy that is certain."""
    few_measured: int = 12
    """Measured shifts below which a picture is judged as a smooth one."""
    min_textured: int = 10
    """Fewest textured blocks of a smooth picture."""
    unchanged: float = 0.01
    """Share of mismatching blocks up to which nothing was changed: compression at quality 5."""
    smooth_correlation: float = 0.75
    """Correlation that all but 2 % of a smooth picture's blocks reach, with inliers."""
    smooth_correlation_alone: float = 0.9
    """The same without inliers."""
    max_mismatch: float = 0.30
    """Largest share of mismatching blocks of a match: a caption, a sticker. Unrelated photos start at 0.25, with few
    inliers only."""
    max_mismatch_some: float = 0.20
    """The same with ``some_inliers`` and fewer than ``certain_inliers``: parts of garments agree by chance."""
    max_mismatch_few: float = 0.10
    """The same with fewer inliers. False pairs have more than 0.16."""
    exact_weight_few: float = 0.35
    """Smallest exact weight of a photo with at most ``max_mismatch_few`` differing; false pairs have below 0.16."""
    exact_weight_changed: float = 0.25
    """Smallest exact weight of a photo of which more differs."""
    same_weight_changed: float = 0.5
    """Smallest same weight of a photo of which more differs."""
    exact_weight_overlay: float = 0.08
    """Smallest exact weight of a photo with an overlay and ``certain_inliers``."""
    same_weight_overlay: float = 0.4
    """Smallest same weight of a photo with an overlay and ``certain_inliers``."""
    document_exact_weight: float = 0.5
    """Smallest exact weight of a document."""
    document_mismatch: float = 0.012
    """Largest share of mismatching blocks of a document: receipts of one shop differ in 1.7 %, filled-in forms in
    0.2 %, which the two values below tell apart."""
    document_correlation: float = 0.45
    """Correlation that all but 2 % of a document's blocks reach."""
    even_correlation: float = 0.75
    """Smallest correlation of a printed block at which no block stands out in any case."""
    uneven_correlation: float = 0.5
    """Smallest correlation of a printed block of an evenly degraded document."""
    evenness: float = 12.0
    """Largest ratio of the worst printed block's deficit to the median one: blur degrades all blocks alike."""
    legible_side: int = 160
    """Short side, pixels, of an overlap below which a document is held to the next value."""
    small_document_correlation: float = 0.9
    """Correlation that each block of a small document reaches: receipts of one shop have 0.8 at most, copies 0.94."""
    certain_document_correlation: float = 0.88
    """Correlation that each printed block of a document reaches for ``similar``: the same to the last letter."""
    max_skew: float = 0.8
    """Degrees that the sides of a whole copy may seem rotated by: what a smooth picture's transform is off by."""

    # Evidence.

    border_rim: int = 7
    """Side of the square that widens the shown part, pixels: a thumbnail's compression smears its edge."""
    even_levels: int = 8
    """Distance from the median, grey levels, within which pixels of a border lie."""
    even_share: float = 0.985
    """Share of such pixels in a border."""
    blank_share: float = 0.5
    """Share of such pixels beside a picture on a page or a screen."""
    min_border: float = 0.02
    """Smallest share of a picture beside the shown part that can be recognised as a border."""


THRESHOLDS: Final = Thresholds()

_ALGORITHM: Final = 4
"""Changes when the same thresholds may give the same two pictures another verdict."""

_PUBLISHED: Final[Mapping[str, int]] = {
    "0cfbd7ea737e4fbb": 4,
    "8a2792df4133d4ef": 4,
}
"""Versions of thresholds under which no stored verdict becomes wrong. The second ones have one more threshold,
which refuses pages before they are registered. Version 3 took slides of one deck, and other pages with light and dark
print, for one photo with small changes, and some smooth skies for parts of each other."""


def fingerprint(thresholds: Thresholds) -> str:
    """Return a digest of the thresholds and of the algorithm's version, 16 hexadecimal digits."""
    values = {name: repr(value) for name, value in asdict(thresholds).items()}
    text = "\n".join([str(_ALGORITHM), *(f"{name}={value}" for name, value in sorted(values.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def method_version(thresholds: Thresholds = THRESHOLDS) -> int:
    """Return the number that stands for the thresholds and the algorithm in the key of stored verdicts.

    Published thresholds keep their number, below 1,000; any others get one from their fingerprint, from 10 ** 9 up to
    10 ** 15, which leaves the lower digits of the key to the versions of the other methods.
    """
    digest = fingerprint(thresholds)
    return _PUBLISHED.get(digest) or (1 + int(digest, 16) % 900_000) * 10**9
