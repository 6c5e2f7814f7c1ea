"""Whole runs over real photographs of which somebody knows what is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from py_image_dedup.api import FindOptions, Options, find_duplicates
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.result import RunResult


def together(result: RunResult, below: Path) -> list[set[str]]:
    return [
        {
            str(entry.stat.path.relative_to(below))
            for entry in (group.keeper, *(redundant.entry for redundant in group.redundant))
        }
        for group in result.groups
    ]


def test_one_photo_in_every_orientation_is_one_group_by_its_thumbnails(photos: Path) -> None:
    folder = photos / "orientation"
    quick = Options(find=FindOptions(scope=Scope.ALL), inspect=False)
    found = together(find_duplicates(folder, options=quick), folder)
    assert found == [
        {path.name for path in folder.glob("Landscape_*")},
        {path.name for path in folder.glob("Portrait_*")},
    ]


def test_photos_with_another_figure_drawn_on_each_are_edited_and_stay(photos: Path) -> None:
    # Each of these photos has the number of its orientation printed on it.
    result = find_duplicates(photos / "orientation")
    assert result.groups == ()
    assert len(result.reported) == 16
    assert {match.match_class for match in result.reported} <= {MatchClass.EDITED, MatchClass.SIMILAR}
    assert all(match.inspection is not None and not match.inspection.is_removable for match in result.reported)


@pytest.mark.parametrize("max_distance", [0.1, 0.3])
def test_versions_of_a_phone_photo_match_their_own_photo_only(photos: Path, max_distance: float) -> None:
    folder = photos / "phone"
    found = together(find_duplicates(folder, max_distance=max_distance), folder)
    assert len(found) == 3
    assert all(len({name.split("/")[0] for name in group}) == 1 for group in found)
    assert sum(map(len, found)) >= 9


@pytest.mark.parametrize("name", ["look-alikes", "same-scene"])
def test_photos_that_look_alike_are_no_duplicates(photos: Path, name: str) -> None:
    assert together(find_duplicates(photos / name), photos / name) == []


def test_equal_files_of_every_format_are_identical(photos: Path) -> None:
    folder = photos / "lene" / "exactly_equal"
    result = find_duplicates(folder)
    assert {redundant.match.match_class for group in result.groups for redundant in group.redundant} >= {
        MatchClass.IDENTICAL
    }
    names = {name.rpartition("/")[0] for group in together(result, folder) for name in group}
    assert {"pair2", "pair3"} <= names


def test_the_turned_and_mirrored_forms_of_a_photo_are_one_group(photos: Path) -> None:
    folder = photos / "pdq" / "reg-test-input" / "dih"
    (group,) = find_duplicates(folder).groups
    forms = {redundant.match.orientation for redundant in group.redundant}
    assert len(group.redundant) + 1 == len(list(folder.glob("*.jpg")))
    assert len(forms) == 7
