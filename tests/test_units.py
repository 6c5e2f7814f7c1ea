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
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions
from py_image_dedup.removal.undo import undo
from py_image_dedup.report.page_content import page_content
from py_image_dedup.report.result_json import as_json, from_dict
from py_image_dedup.report.terminal import TerminalReport
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.libraries import Library, dated
from tests.support.live_photos import film
from tests.support.pictures import picture
from tests.support.raw_files import dng

pytest.importorskip("rawpy")

RAW = dng(picture(1, 160, 120), preview=picture(1, 320, 240))


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


def test_a_copy_of_all_parts_goes_and_each_part_for_its_own(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    assert removed(library.run(), library) == {
        "b/IMG_1.JPG": "a/IMG_1.JPG",
        "b/IMG_1.DNG": "a/IMG_1.DNG",
        "b/IMG_1.xmp": "a/IMG_1.xmp",
    }


def test_the_whole_round_trip_keeps_the_structure_and_restores_every_part(library: Library, tmp_path: Path) -> None:
    shot(library, "2020/a")
    shot(library, "2020/b")
    before = library.files()
    target = tmp_path / "duplicates"
    options = library.options(removal=RemovalOptions(target_directory=target))
    result = library.run(dry_run=False, options=options)
    assert {each.status for each in result.outcomes} == {OutcomeStatus.DONE}
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


def test_half_a_unit_goes_for_the_whole_one_and_never_the_other_way_round(library: Library) -> None:
    shot(library, "b")
    library.add("a/IMG_1.JPG", 1, quality=92)
    assert removed(library.run(), library) == {"a/IMG_1.JPG": "b/IMG_1.JPG"}


def test_a_raw_photo_alone_goes_for_one_with_its_jpeg(library: Library) -> None:
    shot(library, "b")
    beside(library, "a/IMG_1.DNG", RAW)
    assert removed(library.run(), library) == {"a/IMG_1.DNG": "b/IMG_1.DNG"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IMG_1.MOV", "It has a film (IMG_1.MOV) that the other lacks."),
        ("IMG_1.AAE", "It has edits in an AAE file (IMG_1.AAE) that the other lacks."),
    ],
)
def test_of_two_photos_that_both_have_something_of_their_own_both_stay_with_the_reason(
    library: Library, name: str, reason: str
) -> None:
    library.add("a/IMG_1.JPG", 1)
    library.copy(library.photos / "a/IMG_1.JPG", "b/IMG_1.JPG")
    beside(library, "a/IMG_1.xmp", b"one")
    beside(library, "a/IMG_1.pp3", b"one")
    beside(library, f"b/{name}", film("1"))
    result = library.run()
    assert result.groups == ()
    assert list(reasons(result).values()) == [reason]


def test_a_sidecar_that_differs_keeps_the_photo(library: Library) -> None:
    for folder, content in (("a", b"one"), ("b", b"two")):
        library.add(f"{folder}/IMG_1.JPG", 1)
        beside(library, f"{folder}/IMG_1.xmp", content)
    result = library.run()
    assert result.groups == ()
    assert reasons(result) == {"IMG_1.JPG": "It has a sidecar (XMP) (IMG_1.xmp) that differs from that of the other."}


def test_a_raw_photo_with_other_values_keeps_its_jpeg(library: Library) -> None:
    shot(library, "a")
    shot(library, "b", raw=dng(picture(7, 160, 120), preview=picture(1, 320, 240)))
    result = library.run()
    assert removed(result, library) == {}
    assert any("IMG_1.DNG" in reason for reason in reasons(result).values())


def test_a_raw_photo_with_other_tags_goes_with_its_unit(library: Library) -> None:
    shot(library, "a")
    shot(library, "b", raw=dng(picture(1, 160, 120), preview=picture(1, 320, 240), artist=b"Somebody"))
    result = library.run()
    assert len(removed(result, library)) == 3
    classes = {each.action.source.path.name: each.action.match_class.value for each in result.outcomes}
    assert classes == {"IMG_1.JPG": "identical", "IMG_1.DNG": "same-pixels", "IMG_1.xmp": "identical"}


def test_the_film_of_a_live_photo_goes_with_its_photo(library: Library) -> None:
    for folder in ("a", "b"):
        library.add(f"{folder}/IMG_1.JPG", 1)
        beside(library, f"{folder}/IMG_1.MOV", film("1"))
    assert removed(library.run(), library) == {"b/IMG_1.JPG": "a/IMG_1.JPG", "b/IMG_1.MOV": "a/IMG_1.MOV"}


def test_two_units_of_one_name_that_are_different_photos_stay(library: Library) -> None:
    shot(library, "a")
    shot(library, "b", seed=2, raw=dng(picture(2, 160, 120), preview=picture(2, 320, 240)))
    assert removed(library.run(), library) == {}


def test_an_edited_version_and_its_original_stay_together(library: Library) -> None:
    for folder in ("a", "b"):
        library.add(f"{folder}/x.jpg", 1)
        library.add(f"{folder}/x-edited.jpg", 1, quality=60)
        beside(library, f"{folder}/x.jpg.json", b"{}")
    assert removed(library.run(), library) == {
        "b/x.jpg": "a/x.jpg",
        "b/x-edited.jpg": "a/x-edited.jpg",
        "b/x.jpg.json": "a/x.jpg.json",
    }


def test_without_units_every_file_is_for_itself(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    result = library.run(options=replace(library.options(), units=False))
    assert set(removed(result, library)) == {"b/IMG_1.JPG", "b/IMG_1.DNG"}


@pytest.mark.parametrize("taken", ["IMG_1.JPG", "IMG_1.DNG", "IMG_1.xmp"])
def test_a_name_that_is_taken_for_one_part_numbers_all_alike(library: Library, tmp_path: Path, taken: str) -> None:
    shot(library, "a")
    shot(library, "b")
    target = tmp_path / "duplicates"
    (target / "b").mkdir(parents=True)
    (target / "b" / taken).write_bytes(b"another")
    options = library.options(removal=RemovalOptions(target_directory=target))
    result = library.run(dry_run=False, options=options)
    assert sorted(each.target.name for each in result.outcomes if each.target) == [
        "IMG_1 (2).DNG",
        "IMG_1 (2).JPG",
        "IMG_1 (2).xmp",
    ]
    assert (target / "b" / taken).read_bytes() == b"another"


@pytest.mark.parametrize("action", [ActionChoice.AUTO, ActionChoice.DELETE])
def test_deleted_and_quarantined_units_come_back(library: Library, action: ActionChoice) -> None:
    shot(library, "a")
    shot(library, "b", raw=dng(picture(1, 160, 120), preview=picture(1, 320, 240), artist=b"Somebody"))
    before = library.files()
    result = library.run(dry_run=False, options=library.options(removal=RemovalOptions(action=action)))
    assert [each.status for each in result.outcomes] == [OutcomeStatus.DONE] * 3
    undone = undo(library.state / "runs" / result.run)
    if action is ActionChoice.AUTO:
        assert {each.status for each in undone} == {OutcomeStatus.DONE}
        assert library.files() == before


def test_a_protected_unit_is_the_keeper(library: Library) -> None:
    shot(library, "a")
    shot(library, "originals/b")
    roots = (Root(library.photos / "a"), Root(library.photos / "originals", protected=True))
    assert set(removed(library.run(*roots), library)) == {"a/IMG_1.JPG", "a/IMG_1.DNG", "a/IMG_1.xmp"}


def test_a_batch_takes_the_other_pictures_of_a_photo_with_it(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    library.run()
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, library.options())
        changed = [os.fsencode(library.photos / "b/IMG_1.JPG")]
        result = work.process([Root(library.photos)], changed, [], dry_run=True)
    assert set(removed(result, library)) == {"b/IMG_1.JPG", "b/IMG_1.DNG", "b/IMG_1.xmp"}


def test_a_result_on_disk_has_the_photos_and_their_actions(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    result = library.run()
    read = from_dict(json.loads(as_json(result)))
    assert read.units == result.units
    assert [(each.action.unit, each.action.parts) for each in read.outcomes] == [(1, 3)] * 3
    assert [[part.path.name for part in unit.parts] for unit in read.units] == [
        ["IMG_1.JPG", "IMG_1.DNG", "IMG_1.xmp"]
    ] * 2


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


def test_a_file_that_takes_no_part_keeps_its_photo(library: Library) -> None:
    shot(library, "a")
    shot(library, "b")
    listed = frozenset(os.fsencode(path) for path in library.photos.rglob("*.JPG"))
    options = library.options(selector=replace(library.options().selector, listed=listed))
    result = library.run(options=options)
    assert removed(result, library) == {}
    assert reasons(result) == {"IMG_1.JPG": "It is one photo with IMG_1.DNG, which takes no part in this run."}


def test_a_hard_link_tears_nothing_apart(library: Library) -> None:
    shot(library, "a")
    shot(library, "b", raw=dng(picture(9, 160, 120), preview=picture(1, 320, 240)))
    shot(library, "c")
    options = library.options(removal=RemovalOptions(action=ActionChoice.HARDLINK))
    result = library.run(dry_run=False, options=options)
    assert {each.action.source.path.parent.name for each in result.outcomes} == {"c"}
    assert {each.status for each in result.outcomes} == {OutcomeStatus.DONE}
    assert (library.photos / "c/IMG_1.DNG").samefile(library.photos / "a/IMG_1.DNG")


def printed(result: RunResult) -> list[str]:
    """The lines of the terminal report."""
    stream = io.StringIO()
    TerminalReport(Console(file=stream, width=120)).print(result)
    return stream.getvalue().splitlines()
