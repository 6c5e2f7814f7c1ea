"""A photo of several files is found, ranked, moved, removed and restored as one."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from py_image_dedup.api import Deduplicator
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.removal.undo import undo
from py_image_dedup.report.page_content import page_content
from py_image_dedup.report.result_json import as_json, from_dict
from py_image_dedup.report.terminal import TerminalReport
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.libraries import Library, dated
from tests.support.pictures import picture
from tests.support.raw_files import dng

pytest.importorskip("rawpy")

RAW = dng(picture(1, 160, 120), preview=picture(1, 320, 240))
TAGGED = dng(picture(1, 160, 120), preview=picture(1, 320, 240), artist=b"Somebody")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def shot(library: Library, folder: str, *, seed: int = 1, raw: bytes = RAW, time: int = 1_600_000_000) -> None:
    """A RAW photo, its JPEG and a sidecar."""
    library.add(f"{folder}/IMG_1.JPG", seed, time=time, quality=92)
    beside(library, f"{folder}/IMG_1.DNG", raw)
    beside(library, f"{folder}/IMG_1.xmp", b"<x:xmpmeta>rating 5</x:xmpmeta>")


def beside(library: Library, name: str, content: bytes) -> Path:
    path = library.photos / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return dated(path, 1_600_000_000)


def removed(result: RunResult, library: Library) -> dict[str, str]:
    """The files that go, with their keepers."""
    return {
        str(each.action.source.path.relative_to(library.photos)): str(
            each.action.keeper.path.relative_to(library.photos)
        )
        for each in result.outcomes
    }


def reasons(result: RunResult) -> dict[str, str]:
    """Why files stay that match another one."""
    return {
        match.right.stat.path.name: match.inspection.reason for match in result.reported if match.inspection is not None
    }


def test_the_whole_round_trip_keeps_the_structure_and_restores_every_part(library: Library, tmp_path: Path) -> None:
    shot(library, "2020/a")
    shot(library, "2020/b", raw=TAGGED)
    before = library.files()
    target = tmp_path / "duplicates"
    options = library.options(removal=RemovalOptions(target_directory=target))
    result = library.run(dry_run=False, options=options)
    assert {each.status for each in result.outcomes} == {OutcomeStatus.DONE}
    assert {each.action.source.path.name: each.action.match_class.value for each in result.outcomes} == {
        "IMG_1.JPG": "identical",
        "IMG_1.DNG": "same-pixels",
        "IMG_1.xmp": "identical",
    }
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) == [
        "2020/b/IMG_1.DNG",
        "2020/b/IMG_1.JPG",
        "2020/b/IMG_1.xmp",
    ]
    undone = undo(library.state / "runs" / result.run)
    assert {each.status for each in undone} == {OutcomeStatus.DONE}
    assert library.files() == before
    assert not target.exists() or not any(target.rglob("*.*"))


def test_a_raw_photo_and_its_own_jpeg_are_no_duplicates(library: Library) -> None:
    shot(library, "a")
    result = library.run()
    assert result.groups == ()
    assert result.reported == ()


def test_a_raw_photo_with_other_values_keeps_its_jpeg(library: Library) -> None:
    shot(library, "a")
    shot(library, "b", raw=dng(picture(7, 160, 120), preview=picture(1, 320, 240)))
    result = library.run()
    assert removed(result, library) == {}
    assert any("IMG_1.DNG" in reason for reason in reasons(result).values())


def test_without_units_every_file_is_for_itself(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    result = library.run(options=replace(library.options(), units=False))
    assert set(removed(result, library)) == {"b/IMG_1.JPG", "b/IMG_1.DNG"}


def test_a_batch_takes_the_other_pictures_of_a_photo_with_it(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    library.run()
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, library.options())
        changed = [os.fsencode(library.photos / "b/IMG_1.JPG")]
        result = work.process([Root(library.photos)], changed, [], dry_run=True)
    assert set(removed(result, library)) == {"b/IMG_1.JPG", "b/IMG_1.DNG", "b/IMG_1.xmp"}


def test_reports_show_the_parts_of_a_photo(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    result = library.run()
    lines = printed(result)
    assert sum(line.startswith("Group ") for line in lines) == 1
    assert "  delete      b/IMG_1.DNG" in lines
    assert any("part of the same photo; identical to a/IMG_1.xmp" in line for line in lines)
    content, _ = page_content(result)
    words = [member["words"] for group in content["groups"] for member in group["members"]]
    assert ["one photo with IMG_1.DNG, IMG_1.xmp"] in words
    read = from_dict(json.loads(as_json(result)))
    assert read.units == result.units
    assert [(each.action.unit, each.action.parts) for each in read.outcomes] == [(1, 3)] * 3


def printed(result: RunResult) -> list[str]:
    """The lines of the terminal report."""
    stream = io.StringIO()
    TerminalReport(Console(file=stream, width=120)).print(result)
    return stream.getvalue().splitlines()
