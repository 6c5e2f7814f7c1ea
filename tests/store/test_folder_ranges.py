"""Ranges of raw paths are what lies below the folders, each path once and in order."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from py_image_dedup.store.folder_ranges import FolderRanges
from tests.store.samples import paths


@settings(max_examples=60, deadline=None)
@given(st.lists(paths() | st.just(Path("/")), max_size=5), st.lists(paths(), max_size=8))
def test_a_path_is_in_one_range_exactly_if_it_is_below_a_folder(folders: list[Path], others: list[Path]) -> None:
    ranges = FolderRanges.of(folders)
    candidates = {*others, *folders, *(folder / "x" for folder in folders), *(o / "y" for o in others)} - {Path("/")}
    for path in candidates:
        raw = os.fsencode(path)
        hits = sum(low <= raw and (high is None or raw < high) for low, high in ranges)
        below = any(folder in path.parents for folder in folders)
        assert hits == int(below)
        assert (raw in ranges) == below
    bounds = [bound for pair in ranges for bound in pair]
    assert bounds == sorted(bounds, key=lambda bound: bound or b"")


def test_no_folder_is_nothing_and_none_is_everything() -> None:
    assert list(FolderRanges.of([])) == []
    assert b"/a" not in FolderRanges.of([])
    assert b"/a" in FolderRanges.of(None)
    assert Path("/a") not in FolderRanges.of(None)
