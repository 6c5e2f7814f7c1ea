"""Runs over a real library and index, as the daemon's loop asks for them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.daemon.runner import LibraryRunner, log_result
from py_image_dedup.model.events import Event, PhaseStarted, QuarantineMeasured
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import QUARANTINE_NAME, Outcome, OutcomeStatus
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.store.base import Store
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.report.results import EXPIRED, result
from tests.support.pictures import picture, write


class Library:
    """A photo, its copy, and a runner; ``meddle`` is touched when the files are about to be removed."""

    def __init__(self, folder: Path) -> None:
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.photo = write(self.photos / "photo.jpg", picture(1))
        self.copy = Path(shutil.copy2(self.photo, self.photos / "photo copy.jpg"))
        self.meddle: Path | None = None
        self.heard: list[Event] = []
        state = folder / "state"
        options = Options(state_directory=state, removal=RemovalOptions(target_directory=self.out))

        def observe(event: Event) -> None:
            if isinstance(event, PhaseStarted) and event.phase is Phase.REMOVE and self.meddle is not None:
                os.utime(self.meddle)
                self.meddle = None

        def make(store: Store) -> Deduplicator:
            return Deduplicator(store, options, observer=observe)

        self.runner = LibraryRunner(
            [Root(self.photos)], options.walked, open_store=lambda: SqliteStore(state / "index.sqlite3"), make=make,
            dry_run=False, observer=self.heard.append, keep=lambda _: None, runs_directory=state / RUNS_NAME,
        )  # fmt: skip

    def moved(self) -> set[str]:
        return {path.name for path in self.out.rglob("*.jpg")}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    yield made
    made.runner.close()


@pytest.mark.parametrize("which", ["photo", "copy"])
def test_what_had_changed_when_it_was_to_be_removed_is_told_and_handled_by_the_next_batch(
    library: Library, which: str
) -> None:
    library.meddle = library.photo if which == "photo" else library.copy
    changed = library.runner.full(())
    assert set(changed) == {bytes(library.photo), bytes(library.copy)}
    assert library.moved() == set()
    assert set(library.runner.batch(sorted(changed), [])) == set()
    assert len(library.moved()) == 1


def test_a_full_run_measures_the_quarantine(library: Library) -> None:
    waiting = write(library.photos / QUARANTINE_NAME / "a-run" / "2019" / "old.jpg", picture(3))
    (waiting.parent.parent / MANIFEST_NAME).write_text("")
    library.runner.full(())
    assert [each for each in library.heard if isinstance(each, QuarantineMeasured)] == [
        QuarantineMeasured(1, waiting.stat().st_size)
    ]


def test_a_file_that_cannot_be_read_is_named_in_the_log(library: Library, caplog: pytest.LogCaptureFixture) -> None:
    broken = library.photos / "broken.jpg"
    broken.write_bytes(b"no picture")
    with caplog.at_level(logging.INFO):
        library.runner.full(())
    (line,) = [record.getMessage() for record in caplog.records if "broken" in record.getMessage()]
    assert line.startswith(f"unreadable: {broken}: ")


def test_a_batch_of_files_that_are_as_the_index_knows_them_is_no_run(library: Library, tmp_path: Path) -> None:
    assert set(library.runner.full(())) == set()
    runs = list((tmp_path / "state" / RUNS_NAME).iterdir())
    assert set(library.runner.batch([bytes(library.photo)], [bytes(library.copy)])) == set()
    assert list((tmp_path / "state" / RUNS_NAME).iterdir()) == runs


def test_every_action_has_its_reason_and_every_run_a_summary_in_the_log(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "py_image_dedup.daemon.runner"):
        library.runner.full(())
        odd = library.photos / "photo of\nb.jpg"
        shutil.copy2(library.photo, odd)
        library.runner.batch([bytes(odd)], [])
    first, full, second, batch = [record.getMessage() for record in caplog.records]
    kept = "kept: not named as a copy"
    assert first.startswith(f"{library.copy} was moved to {library.out}")
    assert f"(identical, duplicate of {library.photo}; {kept}" in first
    assert full.startswith("full run ")
    assert "files: 2; groups: 1; redundant: 1 file, " in full
    assert "; removed: 1 file, " in full
    assert second.startswith(f"{library.photos}/photo of\\nb.jpg was moved to ")
    assert batch.startswith("batch ")
    assert "\n" not in second + batch


def test_a_file_that_leaves_the_quarantine_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    run = replace(result(groups=(), failures=()), outcomes=(Outcome(EXPIRED, OutcomeStatus.DONE),), dry_run=False)
    with caplog.at_level(logging.INFO, "py_image_dedup.daemon.runner"):
        log_result(run, "full run")
    assert caplog.records[0].getMessage() == (
        f"{EXPIRED.source.path} was permanently deleted from quarantine (its content is kept in {EXPIRED.keeper.path})"
    )
