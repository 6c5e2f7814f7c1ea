"""Every threshold of inspection, with its unit and why it is what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of inspection.

    Attributes:
        most_pixels: Pixels of the grid that is compared; a larger picture is halved until it fits, which leaves a
            printed figure of 40 pixels its shape and costs no more than decoding did.
        fewest_side: Pixels of the smaller file's short side; below, a face or a word is not recognisable.
        same_correlation: Correlation of locally normalised pixels below which pictures do not show the same thing.
        sigmas: Pixels; the differences are smoothed by so much, which takes out what encoders do to single pixels.
        deviations: Times what the pair differs by elsewhere, at equal activity; the quantisation noise of JPEG has
            heavy tails, and 2 million pixels have many chances.
        least_difference: Grey levels of a smoothed difference that can be seen.
        least_area: Pixels of the compared grid that a difference covers at least; a stroke of small print.
        least_energy: Sum of the differences' excess, in thresholds, over a connected region, if the forecast leaves
            one threshold at its worst places; less in proportion where it leaves less, down to a quarter. A figure of
            10 pixels on a reduced page has 8 where 0.35 is left; a median filter makes 15 where it leaves 1.3.
        legible: What all but a thousandth of a printed page's pixels differ by, in thresholds, up to which a changed
            figure of 7 pixels, which differs by one at least, stands out three times. Pages that are foreseen less well
            hide it.
        paper: Share of a picture within a few grey levels of its median, from which on it is a printed page.
        most_changed: Share of the picture from which on it is another picture and no edit.
        chroma_difference: Grey levels of chroma; less is what subsampling and white balance leave.
        noise_measurable: Standard deviation in grey levels of noise that each of two exposures has of its own at
            least, if a JPEG of quality 85 and above keeps it; rounding to 8 bits leaves 0.3.
        noise_strong: The same for files of which no coefficients are known, WebP and AVIF among them.
        noise_alike: Ratio of the noise of two exposures by one camera, at least; grain that was added is on one side.
            Simulated sensors at four sensitivities gave 0.93 and more, two stops apart 0.71.
        foreseen: Share of JPEG coefficients missed by more than rounding explains, from which on neither file was
            made from the other in one step; copies saved again had 0.18 at most, exposures 0.30 at least.
        foreseen_reduced: The same share for the smaller of two files, if it is not met by reducing the larger one anew;
            of two files of one source, both encoded from it, also with the kernel that reduced it: 0.08 to 0.22.
        foreseen_exactly: The same share, below which the larger one, reduced anew with one of the usual kernels, was
            what the smaller one was made from: those had 0.05 at most, other exposures 0.06 to 0.69.
        foreseen_by_neither: The same share of both files, from which on two with one table are two exposures if they
            are equally far from each other, or differ in light; edits of tone had 0.10 at most, files that were saved
            again 0.18. Added noise and chains of copies are nearer one way.
        unforeseen: The same share of both files, from which on they are two exposures if each has noise of its own:
            webcam frames saved at two qualities had 0.44 and more, edits, filters and added noise 0.36 at most, but for
            a median filter, which leaves no coefficient as it was.
        foreseen_alike: Ratio of the two shares, at least: 0.94 and more for exposures, 0.76 at most for copies.
        added: What the coefficients of one of two files differ by from a forecast by the other at most, beyond their
            rounding, if both are of one exposure; squared grey levels, of a file of full contrast. Edits of tone and
            filters left 5 at most, exposures 5.1 at least, most of them 10 to 100.
        added_small: The same for a file of less than half the side, in which noise was averaged.
        added_moved: The same for two files that no turn and no change of size lays over each other: a crop or a
            straightened copy left 3.2 at most, frames of a hand-held camera 4.0 at least.
        added_rounding: Share of the squared steps that is added to these.
        added_lighter: The same for a reduced file that is lighter or darker.
        added_anew: The same power, where one of the usual kernels makes the file of the other one: colour edits left
            0.6 at most.
        added_reduced: The same for a reduced file: copies had 0.3, with more contrast 0.6; frames of a tripod 0.6 at
            least.
        added_sibling: Share of the other file's squared steps that is added to it; rounding has a twelfth.
        coarsest_sibling: Step that this is taken of at most: the rounding of coarser ones hides the noise of a camera.
        added_between: Grey levels for each step of a save between them: values beside a tie are rounded to either side.
        foreseen_larger: The same share for the larger of two files, from which on it has detail of its own; files
            enlarged 1.25 to 3 times had 0.36 at most, reductions left 0.53 at least.
        poor_quality: JPEG quality below which a keeper has lost what a person misses.
        unexplained: Share of the fine structure of the other file that no filter of the keeper makes, from which on
            it is detail and no sharpening.
        larger: Ratio of sides from which on a file has more resolution; less is a rounded size.
        enlarged_gain: Energy of the finest band in that of the coarse ones, below which a file was enlarged.
        whole: Share of a picture that counts as all of it.
        border_step: Grey levels of spread in a border.
        least_step: Grey levels of a step of the mean of whole rows; encoders leave less than 0.5 there.
        step_deviations: Times what the means of rows jump by elsewhere in the same pair.
        step_share: Share of the picture's own step at the same place that an edit of tone may leave.
    """

    most_pixels: int = 4_200_000
    fewest_side: int = 48
    same_correlation: float = 0.35
    sigmas: tuple[float, float] = (1.3, 3.2)
    deviations: float = 7.0
    least_difference: float = 7.0
    least_area: int = 12
    least_energy: float = 20.0
    legible: float = 1 / 3
    paper: float = 0.6
    most_changed: float = 0.45
    chroma_difference: float = 14.0
    noise_measurable: float = 0.4
    noise_strong: float = 0.8
    noise_alike: float = 0.7
    foreseen: float = 0.28
    foreseen_reduced: float = 0.24
    foreseen_exactly: float = 0.08
    foreseen_by_neither: float = 0.18
    unforeseen: float = 0.4
    foreseen_alike: float = 0.9
    added: float = 4.2
    added_small: float = 2.5
    added_moved: float = 2.4
    added_rounding: float = 0.015
    added_lighter: float = 1.2
    added_anew: float = 0.7
    added_reduced: float = 0.5
    added_sibling: float = 0.08
    coarsest_sibling: float = 7.0
    added_between: float = 0.25
    foreseen_larger: float = 0.43
    poor_quality: int = 50
    unexplained: float = 0.45
    larger: float = 1.03
    enlarged_gain: float = 0.057
    whole: float = 0.985
    border_step: float = 10.0
    least_step: float = 1.5
    step_deviations: float = 10.0
    step_share: float = 0.5


THRESHOLDS = Thresholds()
