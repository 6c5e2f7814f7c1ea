"""At canonical sizes the eight orientations are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from py_image_dedup.media.worker.decode import LARGEST_LONG_SIDE, LARGEST_SHORT_SIDE, canonical_size
from py_image_dedup.signature.compute import compute_values
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_picture, orient_signature
from tests.signature.greys import scene
from tests.support.signatures import distance

SIZES = [(341, 256), (4000, 3000), (3024, 4032), (320, 240), (100, 100), (640, 60), (4000, 250)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_turned_picture_has_the_turned_signature(width: int, height: int) -> None:
    width, height = canonical_size(width, height)
    grey = scene(f"canonical-{width}-{height}", height, width)
    values = compute_values(grey)
    for orientation in ORIENTATIONS:
        found, expected = compute_values(orient_picture(grey, orientation)), orient_signature(values, orientation)
        # The greys of a window are added in another order, which decides where a difference lies on a border; in
        # windows of four pixels many do.
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert distance(found, expected) < 0.06


def test_turned_photographs_have_the_turned_signature(photos: Path) -> None:
    found = []
    for file in sorted((photos / "bsds500").rglob("*.jpg"))[::25]:
        with Image.open(file) as image:
            size = canonical_size(*image.size)
            grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX))
        values = compute_values(grey)
        found += [
            distance(orient_signature(values, turned), compute_values(orient_picture(grey, turned)))
            for turned in ORIENTATIONS
        ]
    assert len(found) == 8 * 20
    assert np.mean(found) < 0.001
    assert max(found) < 0.05, "where a part of the picture has no detail at all, the crop may differ"


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6000), st.integers(1, 6000) | st.integers(1, 200_000))
def test_canonical_pictures_are_not_larger_and_nearly_of_the_same_shape(width: int, height: int) -> None:
    new_width, new_height = canonical_size(width, height)
    assert canonical_size(height, width) == (new_height, new_width)
    assert new_width <= width
    assert new_height <= height
    assert min(new_width, new_height) <= max(LARGEST_SHORT_SIDE, 12)
    assert canonical_size(new_width, new_height) == (new_width, new_height)
    assert max(new_width, new_height) <= LARGEST_LONG_SIDE + 12 or min(width, height) < 12
    if min(width, height) >= LARGEST_SHORT_SIDE and max(width, height) / min(width, height) < 60:
        assert min(new_width, new_height) == LARGEST_SHORT_SIDE
        assert abs(new_width * height / (new_height * width) - 1) < 0.05
    assert (new_width <= new_height) == (width <= height) or new_width == new_height
