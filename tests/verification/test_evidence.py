"""What was found out is said in words that a photographer understands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from py_image_dedup.model.match import Orientation
from py_image_dedup.verification.evidence import Coverage, Findings, cover, describe
from py_image_dedup.verification.transform import Transform, scaling, translation

WHOLE = Coverage(1.0, framed=False, mostly_even=False)
PLAIN = Findings(Orientation.UPRIGHT, WHOLE, WHOLE, 0.0, perspective=False, changed=0.0, drawn=False)


def part(share: float, *, framed: bool = False, mostly_even: bool = False) -> Coverage:
    return Coverage(share, framed=framed, mostly_even=mostly_even)


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        (PLAIN, ()),
        (replace(PLAIN, orientation=Orientation.ROTATE_90), ("rotated 90°",)),
        (replace(PLAIN, orientation=Orientation.TRANSVERSE), ("mirrored", "rotated 90°")),
        (replace(PLAIN, left=part(0.43)), ("crop: 43 % of the keeper",)),
        (replace(PLAIN, right=part(0.3, mostly_even=True)), ("on a page: the keeper is 30 % of it",)),
        (replace(PLAIN, right=part(0.3)), ("shows more: the keeper is 30 % of it",)),
        (replace(PLAIN, right=part(0.002)), ("shows more: the keeper is under 1 % of it",)),
        (replace(PLAIN, right=part(0.8, framed=True)), ("with a border",)),
        (replace(PLAIN, left=part(0.8, framed=True)), ("without the keeper's border",)),
        (replace(PLAIN, left=part(0.6), right=part(0.7)), ("overlap: 60 % of the keeper",)),
        (replace(PLAIN, changed=0.1, drawn=True), ("small changes inside",)),
        (replace(PLAIN, changed=0.1, drawn=True, over_right=True), ("small changes inside: drawn over it",)),
        (replace(PLAIN, changed=0.1, drawn=True, over_right=False), ("small changes inside: drawn over the keeper",)),
        (replace(PLAIN, changed=0.1), ("parts differ",)),
        (replace(PLAIN, changed=0.1, certain=False), ("parts differ",)),
        (replace(PLAIN, certain=False), ("not certainly a copy",)),
        (replace(PLAIN, skew=4.6), ("tilted 5°",)),
        (replace(PLAIN, skew=0.9), ("tilted 0.9°",)),
        (replace(PLAIN, skew=0.5), ()),
        (replace(PLAIN, skew=2.0, perspective=True), ("in perspective",)),
        (
            Findings(Orientation.MIRROR, part(0.5), WHOLE, 0.0, perspective=False, changed=0.1, drawn=True),
            ("crop: 50 % of the keeper", "mirrored", "small changes inside"),
        ),
    ],
)
def test_findings_are_put_into_words(findings: Findings, words: tuple[str, ...]) -> None:
    assert describe(findings) == words


def test_a_picture_covers_what_its_alignment_says() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (120, 160), dtype=np.uint8)

    seen = cover(noise, noise, translation(40, 30))

    assert seen.share == pytest.approx(0.75 * 0.75)
    assert not seen.framed


def test_an_even_border_is_recognised() -> None:
    content = np.random.default_rng(1).integers(0, 256, (120, 160), dtype=np.uint8)
    framed = np.full((160, 200), 250, dtype=np.uint8)
    framed[20:140, 20:180] = content

    seen = cover(framed, content, translation(-20, -20))

    assert seen.share == pytest.approx(120 * 160 / (160 * 200))
    assert seen.framed
    assert cover(content, framed, translation(20, 20)).share == 1.0


def test_a_border_with_something_on_it_is_content() -> None:
    framed = np.full((160, 200), 250, dtype=np.uint8)
    framed[146:156, 60:140] = 0

    seen = cover(framed, np.zeros((120, 160), dtype=np.uint8), translation(-20, -20))

    assert not seen.framed
    assert seen.mostly_even


def test_nothing_covers_nothing() -> None:
    picture = np.zeros((100, 100), dtype=np.uint8)

    assert cover(picture, picture, translation(500, 0)).share == 0


def test_the_area_of_a_turned_picture_is_right() -> None:
    picture = np.zeros((100, 100), dtype=np.uint8)
    middle = translation(-50, -50)
    diamond = middle.then(Transform.affine(np.array([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5, np.zeros(2)))

    seen = cover(picture, picture, diamond.then(translation(50, 50)))

    assert seen.share == pytest.approx(2 * (2**0.5 - 1))
    assert cover(picture, picture, scaling(2, 2)).share == pytest.approx(0.25)
