"""What the daemon does with a handful of files: the same answers as a whole run, without looking at the library."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.events import Event, FileAnalysed, RunStarted
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.pictures import picture, write


class Library:
    """Twelve photos that were indexed by a full run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "photos"
        self.state = folder / "state"
        for seed in range(12):
            write(self.root / f"{seed:02}.jpg", picture(seed))
        self.store = SqliteStore(self.state / "index.sqlite3")
        self.events: list[Event] = []
        self.options = Options(
            analyse=AnalyseOptions(threads=2), find=FindOptions(scope=Scope.ALL), state_directory=self.state
        )
        self.full()
        self.events.clear()

    @property
    def work(self) -> Deduplicator:
        return Deduplicator(self.store, self.options, observer=self.events.append)

    def full(self) -> RunResult:
        return self.work.deduplicate([Root(self.root)], dry_run=True)

    def batch(self, *ready: Path, gone: tuple[Path, ...] = (), dry_run: bool = True) -> RunResult:
        return self.work.process(
            [Root(self.root)], [bytes(path) for path in ready], [bytes(path) for path in gone], dry_run=dry_run
        )

    def analysed(self) -> int:
        return sum(isinstance(event, FileAnalysed) for event in self.events)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    yield made
    made.store.close()


def redundant(result: RunResult) -> list[tuple[str, str, str]]:
    return [
        (group.keeper.stat.path.name, each.entry.stat.path.name, each.match.match_class.value)
        for group in result.groups
        for each in group.redundant
    ]


def test_a_copy_that_arrives_is_found_and_nothing_else_is_read(library: Library) -> None:
    copy = Path(shutil.copy2(library.root / "03.jpg", library.root / "03 copy.jpg"))
    result = library.batch(copy)
    assert redundant(result) == [("03.jpg", "03 copy.jpg", "identical")]
    assert library.analysed() == 1
    assert isinstance(library.events[0], RunStarted)
    assert library.events[0].full is False


def test_a_resized_turned_picture_that_arrives_is_found(library: Library) -> None:
    with Image.open(library.root / "05.jpg") as image:
        turned = image.resize((160, 120)).rotate(90, expand=True)
    result = library.batch(write(library.root / "sub" / "small.jpg", turned))
    assert redundant(result) == [("05.jpg", "small.jpg", "similar")]


def test_a_better_copy_that_arrives_makes_the_old_file_redundant(library: Library) -> None:
    result = library.batch(write(library.root / "big.jpg", picture(7).resize((960, 720))), dry_run=False)
    assert redundant(result) == [("big.jpg", "07.jpg", "similar")]
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE]
    assert not (library.root / "07.jpg").exists()
    assert library.store.get(library.root / "07.jpg") is None


def test_a_batch_and_a_full_run_find_the_same(library: Library) -> None:
    arrived = [write(library.root / f"new {seed}.jpg", picture(seed), quality=50) for seed in (1, 2, 30, 31)]
    arrived.append(Path(shutil.copy2(arrived[0], library.root / "new 1 again.jpg")))
    batch, full = library.batch(*arrived), library.full()
    assert redundant(batch) == redundant(full)
    assert len(redundant(batch)) == 3


def test_two_flat_pictures_match_by_their_pixels(library: Library) -> None:
    first = write(library.root / "grey.png", Image.new("RGB", (64, 64), (90, 90, 90)))
    library.batch(first)
    second = write(library.root / "grey.bmp", Image.new("RGB", (64, 64), (90, 90, 90)))
    assert [found[2] for found in redundant(library.batch(second))] == ["same-pixels"]


def test_two_copies_of_a_broken_file_match_by_their_bytes(library: Library) -> None:
    whole = (library.root / "01.jpg").read_bytes()
    first, second = library.root / "broken.jpg", library.root / "broken too.jpg"
    first.write_bytes(whole[:2000])
    library.batch(first)
    second.write_bytes(whole[:2000])
    assert [found[2] for found in redundant(library.batch(second))] == ["identical"]


def test_a_vanished_file_leaves_the_index(library: Library) -> None:
    gone = library.root / "04.jpg"
    gone.unlink()
    library.batch(gone=(gone,))
    assert library.store.get(gone) is None
    assert library.store.count([library.root]) == 11


def test_a_folder_that_was_moved_away_takes_its_entries_along(library: Library) -> None:
    inside = write(library.root / "trip" / "day 1" / "a.jpg", picture(50))
    library.batch(inside)
    (library.root / "trip").rename(library.root.parent / "elsewhere")
    library.batch(gone=(library.root / "trip",))
    assert library.store.count([library.root]) == 12


def test_what_was_written_again_is_not_forgotten(library: Library) -> None:
    library.batch(gone=(library.root / "04.jpg",))
    assert library.store.get(library.root / "04.jpg") is not None


def test_a_library_that_was_unmounted_keeps_its_entries(library: Library) -> None:
    names = sorted(library.root.iterdir())
    library.root.rename(library.root.parent / "away")
    library.root.mkdir()
    library.batch(gone=tuple(names))
    assert library.store.count([library.root]) == 12


def test_a_file_that_does_not_count_is_left_alone(library: Library) -> None:
    library.options = replace(
        library.options, selector=replace(library.options.selector, extensions=frozenset({"png"}))
    )
    result = library.batch(Path(shutil.copy2(library.root / "03.jpg", library.root / "03 copy.jpg")))
    assert (result.files, result.groups) == (0, ())


def test_an_excluded_partner_is_never_touched(library: Library) -> None:
    hidden = write(library.root / "raw" / "a.jpg", picture(60, 960, 720))
    library.batch(hidden)
    exclusion = re.compile("/raw/")
    library.options = replace(library.options, selector=replace(library.options.selector, exclusions=(exclusion,)))
    assert library.batch(write(library.root / "a.jpg", picture(60))).groups == ()


def test_a_partner_that_changed_meanwhile_is_left_to_the_next_full_run(library: Library) -> None:
    write(library.root / "03.jpg", picture(99))
    os.utime(library.root / "03.jpg", (1, 1))
    assert library.batch(write(library.root / "new.jpg", picture(3))).groups == ()


def test_a_batch_deletes_nothing_from_the_quarantine(library: Library) -> None:
    library.options = replace(library.options, quarantine_days=0)
    photo = (library.root / "03.jpg").read_bytes()
    small = library.root / "small.jpg"
    small.write_bytes(photo[:2] + photo[4 + int.from_bytes(photo[4:6]) :])  # the same pixels in other bytes
    assert [each.status for each in library.batch(small, dry_run=False).outcomes] == [OutcomeStatus.DONE]
    other = library.root / "other.jpg"
    shutil.copy2(library.root / "05.jpg", other)
    result = library.batch(other, dry_run=False)
    assert [each.action.source.path for each in result.outcomes if each.status is OutcomeStatus.DONE] == [other]
    assert len(list(library.root.rglob(".py-image-dedup-quarantine/*/small.jpg"))) == 1


def test_a_full_run_leaves_alone_what_is_still_being_written(library: Library) -> None:
    arriving = Path(shutil.copy2(library.root / "03.jpg", library.root / "arriving.jpg"))
    result = library.work.deduplicate([Root(library.root)], dry_run=True, without={bytes(arriving)})
    assert (result.files, result.groups) == (12, ())
    assert library.analysed() == 0
