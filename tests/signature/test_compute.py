"""The signature is image-match's, to the last value."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from py_image_dedup.model.photo import SIGNATURE_LENGTH
from py_image_dedup.signature.compute import MIN_NONZERO, _crossing, _grid_points, compute, compute_values
from py_image_dedup.signature.orientation import expand
from tests.signature.conftest import Oracle
from tests.signature.greys import black_and_white, random_grey, samples, scene

GOLDEN = Path(__file__).with_name("golden.json")


def test_generated_pictures_have_the_values_of_the_oracle(oracle: Oracle) -> None:
    different = [name for name, grey in samples() if not np.array_equal(expand(compute_values(grey)), oracle(grey))]
    assert different == []


def test_photographs_have_the_values_of_the_oracle(oracle: Oracle, photos: Path) -> None:
    files = sorted((photos / "bsds500").rglob("*.jpg"))[::5] + sorted((photos / "look-alikes").rglob("*.jpg"))[::6]
    different = []
    for file in files:
        with Image.open(file) as image:
            grey = np.asarray(image.convert("L").reduce(max(1, min(image.size) // 256)))
        if not np.array_equal(expand(compute_values(grey)), oracle(grey)):
            different.append(file.name)
    assert len(files) > 100
    assert different == []


def test_generated_pictures_have_the_golden_values() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    values = {name: base64.b64encode(compute_values(grey).tobytes()).decode() for name, grey in samples()}
    assert values == golden


def test_a_featureless_picture_has_no_signature() -> None:
    assert compute(np.full((256, 341), 128, np.uint8)) is None
    assert compute(np.zeros((1, 1), np.uint8)) is None
    faint = random_grey("faint", 256, 256) // 128 + 100
    assert compute(faint) is None, "one grey level of noise is no structure"


def test_a_single_edge_or_line_is_no_structure_and_a_few_shapes_are() -> None:
    edge, line = np.full((2, 256, 341), 40, np.uint8)
    edge[128:] = 200
    line[120:140] = 200
    assert compute(edge) is None
    assert compute(line) is None
    assert compute(black_and_white("shapes", 256, 341)) is not None


def test_a_signature_has_272_values_from_minus_two_to_two() -> None:
    signature = compute(scene("one", 256, 341))
    assert signature is not None
    values = np.frombuffer(signature.values, np.int8)
    assert len(values) == SIGNATURE_LENGTH
    assert set(np.unique(values)) == {-2, -1, 0, 1, 2}
    assert np.count_nonzero(values) >= MIN_NONZERO


def test_memory_layout_and_order_of_threads_change_nothing() -> None:
    grey = scene("layout", 256, 341)
    expected = compute(grey)
    wide = np.zeros((512, 682), np.uint8)
    wide[::2, ::2] = grey
    layouts = [np.asfortranarray(grey), wide[::2, ::2], grey.copy()] * 8
    for layout in layouts:
        layout.setflags(write=False)
    with ThreadPoolExecutor(4) as pool:
        assert all(signature == expected for signature in pool.map(compute, layouts))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)])
def test_what_is_no_grey_picture_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="two-dimensional uint8 array"):
        compute(wrong)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.sampled_from([5, 95]))
def test_the_crossing_is_where_searchsorted_puts_the_percentile(steps: list[int], percent: int) -> None:
    cumulative = np.cumsum(np.array(steps, np.int64))
    side = "right" if percent == 5 else "left"
    expected = np.searchsorted(cumulative / 255.0, np.percentile(cumulative / 255.0, percent), side)
    assert _crossing(cumulative, (len(steps) - 1) * (percent / 100), side=side) == expected


def test_whole_places_of_percentiles_are_whole_at_every_length() -> None:
    lengths = np.arange(0, 200_000, 20)
    assert np.array_equal(lengths * (5 / 100), lengths // 20)
    assert np.array_equal(lengths * (95 / 100), lengths // 20 * 19)


def test_grid_points_are_rounded_as_linspace_rounds_them() -> None:
    for start in range(0, 300, 7):
        for stop in range(start, start + 450):
            assert _grid_points(start, stop) == np.linspace(start, stop, 11, dtype=int)[1:-1].tolist()


def test_the_whole_signature_is_antisymmetric_and_holds_the_values_once_each() -> None:
    values = compute_values(scene("expand", 256, 341))
    whole = expand(values)
    assert whole.shape == (648,)
    assert int(whole.astype(int).sum()) == 0
    assert np.count_nonzero(whole) == 2 * np.count_nonzero(values)
    both = expand(np.stack([values, -values]))
    assert np.array_equal(both[0], whole)
    assert np.array_equal(both[1], -whole)
