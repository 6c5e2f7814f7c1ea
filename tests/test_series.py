"""Bursts and brackets through whole runs: their shots are no copies, and a copied series goes as a whole or stays."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from rich.console import Console

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.series import SeriesKind
from py_image_dedup.removal.undo import undo
from py_image_dedup.report.lists import write_table
from py_image_dedup.report.page_content import page_content
from py_image_dedup.report.result_json import as_json, from_dict
from py_image_dedup.report.terminal import TerminalReport
from tests.support.libraries import Library, dated
from tests.support.pictures import picture
from tests.support.shots import numbered_note, write_shot


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def frame(number: int) -> Image.Image:
    """A frame of one scene, in which little moves."""
    image = picture(1, 240, 180)
    ImageDraw.Draw(image).ellipse((100 + 2 * number, 80, 112 + 2 * number, 92), fill=(250, 240, 20))
    return image


def burst(library: Library, folder: str, numbers: range, *, quality: int = 92) -> None:
    """Shots of one second of a Sony camera, which numbers them."""
    for number in numbers:
        path = library.photos / folder / f"DSC{number + 1:05}.JPG"
        write_shot(path, frame(number), quality=quality, note=numbered_note("Sony", number + 1))
        dated(path, 1_600_000_000)


def removed(result: RunResult, library: Library) -> dict[str, str]:
    return {
        str(each.action.source.path.relative_to(library.photos)): str(
            each.action.keeper.path.relative_to(library.photos)
        )
        for each in result.outcomes
    }


def test_the_shots_of_a_burst_are_no_copies_of_each_other_and_every_report_marks_them(
    library: Library, tmp_path: Path
) -> None:
    burst(library, "a", range(4))
    result = library.run()
    assert (result.groups, result.reported) == ((), ())
    [series] = result.series
    assert (series.kind, len(series.shots)) == (SeriesKind.BURST, 4)
    assert from_dict(json.loads(as_json(result))).series == result.series
    stream = io.StringIO()
    TerminalReport(Console(file=stream, width=200)).print(result)
    assert (
        "DSC00001.JPG: first of a burst of 4 shots, recognised by the numbers that the camera gave" in stream.getvalue()
    )
    write_table(result, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as rows:
        assert [row["role"] for row in csv.DictReader(rows)] == ["burst"] * 4


def test_without_series_the_same_shots_match(library: Library) -> None:
    burst(library, "a", range(4))
    result = library.run(options=replace(library.options(), series=False, inspect=False))
    assert result.series == ()
    assert result.groups or result.reported


def test_a_copied_burst_goes_as_a_whole_and_comes_back(library: Library) -> None:
    burst(library, "a/original", range(3))
    burst(library, "b", range(3), quality=80)
    before = library.files()
    result = library.run(dry_run=False)
    assert removed(result, library) == {f"b/DSC0000{n}.JPG": f"a/original/DSC0000{n}.JPG" for n in range(1, 4)}
    assert {each.status for each in result.outcomes} == {OutcomeStatus.DONE}
    assert len(result.series) == 2
    undo(library.state / "runs" / result.run)
    assert library.files() == before


def test_half_a_burst_goes_for_the_whole_one_whatever_the_rules_prefer(library: Library) -> None:
    burst(library, "long/path/to/a", range(4))
    burst(library, "b", range(2))
    library.copy(library.photos / "long/path/to/a/DSC00003.JPG", "best.jpg")
    result = library.run(options=library.options(rules=["shorter-folder-path"]))
    assert "best.jpg" in removed(result, library)
    assert all(keeper.startswith("long/") for keeper in removed(result, library).values())
    content, _ = page_content(result)
    words = [word for group in content["groups"] for member in group["members"] for word in member["words"]]
    assert "one of a burst of 2 shots" in words


def test_a_burst_with_a_shot_of_its_own_stays_with_the_reason(library: Library) -> None:
    burst(library, "a", range(4))
    burst(library, "b", range(2, 6))
    result = library.run()
    assert removed(result, library) == {}
    [reason] = {match.inspection.reason for match in result.reported if match.inspection}
    assert reason == "It is one of a burst of 4 shots, of which DSC00001.JPG and 1 more stay."


def test_identical_bytes_within_a_burst_go(library: Library) -> None:
    burst(library, "a", range(4))
    library.copy(library.photos / "a/DSC00004.JPG", "a/DSC00005.JPG")
    assert removed(library.run(), library) == {"a/DSC00005.JPG": "a/DSC00004.JPG"}


def test_the_exposures_of_a_bracket_stay(library: Library) -> None:
    for number, (bias, light) in enumerate([(0.0, 1.0), (-1.0, 0.7), (1.0, 1.3)], start=1):
        image = picture(3, 240, 180).point(lambda value, light=light: min(255, round(value * light)))
        path = library.photos / f"IMG_000{number}.JPG"
        dated(write_shot(path, image, seconds=0.01 * 2**bias, bias=bias, bracketed=True), 1_600_000_000)
    library.copy(library.photos / "IMG_0002.JPG", "copy.jpg")
    result = library.run()
    assert removed(result, library) == {"copy.jpg": "IMG_0002.JPG"}
    assert [series.kind for series in result.series] == [SeriesKind.BRACKET]
