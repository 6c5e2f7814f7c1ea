from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.events import Event, PhaseFinished, PhaseStarted, ignore
from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat, Inventory, Root
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.pipeline.cleanup import Cleaned, cleanup, is_current
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.entries import VERSIONS, entry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "index.sqlite3") as opened:
        yield opened


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def make(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def stat_of(path: Path) -> FileStat:
    status = path.lstat()
    return FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def known(path: Path, content: str | None = None) -> IndexEntry:
    """The entry of a file as it is now."""
    return replace(entry(str(path), content or path.name), stat=stat_of(path))


def look(library: Path, *exclusions: str) -> Inventory:
    return walk([Root(library)], Selector(frozenset({".jpg"}), tuple(re.compile(e) for e in exclusions)))


def clean(
    inventory: Inventory, store: SqliteStore, current: Versions = VERSIONS, stop: Callable[[], bool] = lambda: False
) -> Cleaned:
    return cleanup(inventory, store, current, observer=ignore, should_stop=stop)


def stale(cleaned: Cleaned) -> set[Path]:
    return {stat.path for stat in cleaned.stale}


def indexed(store: SqliteStore) -> set[Path]:
    return {kept.stat.path for kept in store.entries(None)}


def test_new_files_are_stale_and_unchanged_ones_are_not(library: Path, store: SqliteStore) -> None:
    old, new = make(library / "old.jpg"), make(library / "new.jpg")
    store.put([known(old)])
    cleaned = clean(look(library), store)
    assert cleaned.stale == (stat_of(new),)
    assert cleaned.summary.counts["unchanged"] == 1


@pytest.mark.parametrize("changed", ["size", "time"])
def test_a_changed_file_is_stale(library: Path, store: SqliteStore, changed: str) -> None:
    photo = make(library / "a.jpg")
    store.put([known(photo)])
    if changed == "size":
        photo.write_text("longer")
    else:
        os.utime(photo, ns=(1, 1))
    assert stale(clean(look(library), store)) == {photo}


def test_an_entry_of_an_older_method_is_stale(library: Path, store: SqliteStore) -> None:
    photo = make(library / "a.jpg")
    store.put([known(photo)])
    assert stale(clean(look(library), store, Versions(media=2, signature=1))) == {photo}
    assert indexed(store) == {photo}


@pytest.mark.parametrize(
    ("made", "asked", "current"),
    [((1, 1, 0), (1, 1, 0), True), ((1, 1, 1), (1, 1, 0), True), ((1, 1, 0), (1, 1, 1), False),
     ((1, 1, 1), (1, 1, 2), False), ((1, 2, 0), (1, 1, 0), False)],
)  # fmt: skip
def test_an_entry_with_more_than_is_asked_for_is_current(
    made: tuple[int, int, int], asked: tuple[int, int, int], current: bool
) -> None:
    assert is_current(Versions(*made), Versions(*asked)) is current


def test_the_entry_of_a_deleted_file_is_dropped(library: Path, store: SqliteStore) -> None:
    kept, deleted = make(library / "kept.jpg"), make(library / "sub" / "deleted.jpg")
    store.put([known(kept), known(deleted)])
    deleted.unlink()
    cleaned = clean(look(library), store)
    assert indexed(store) == {kept}
    assert cleaned.summary.counts["gone"] == 1


def test_a_deleted_folder_is_dropped_with_all_that_was_in_it(library: Path, store: SqliteStore) -> None:
    kept, deleted = make(library / "kept.jpg"), make(library / "sub" / "sub" / "deleted.jpg")
    store.put([known(kept), known(deleted)])
    deleted.unlink()
    deleted.parent.rmdir()
    clean(look(library), store)
    assert indexed(store) == {kept}


def test_an_entry_outside_the_roots_is_left_alone(library: Path, store: SqliteStore) -> None:
    make(library / "a.jpg")
    elsewhere = entry("/elsewhere/b.jpg")
    store.put([elsewhere])
    clean(look(library), store)
    assert store.get(Path("/elsewhere/b.jpg")) == elsewhere


def test_an_excluded_file_keeps_its_entry_and_is_not_part_of_the_run(library: Path, store: SqliteStore) -> None:
    excluded, photo = make(library / "private" / "a.jpg"), make(library / "b.jpg")
    store.put([known(excluded), known(photo)])
    cleaned = clean(look(library, "/private/"), store)
    assert indexed(store) == {excluded, photo}
    assert cleaned.summary.counts["not-in-this-run"] == 1
    assert not cleaned.stale


def test_the_entry_of_another_name_of_a_counted_file_is_kept(library: Path, store: SqliteStore) -> None:
    first = make(library / "a.jpg")
    os.link(first, library / "b.jpg")
    store.put([known(first), known(library / "b.jpg")])
    clean(look(library), store)
    assert indexed(store) == {first, library / "b.jpg"}


def test_a_link_in_the_place_of_a_file_drops_its_entry(library: Path, store: SqliteStore) -> None:
    photo, other = make(library / "a.jpg"), make(library / "b.jpg")
    store.put([known(photo)])
    photo.unlink()
    photo.symlink_to(other)
    clean(look(library), store)
    assert indexed(store) == set()


def test_a_root_that_is_gone_or_empty_keeps_its_entries(library: Path, store: SqliteStore) -> None:
    photo = make(library / "a.jpg")
    store.put([known(photo)])
    photo.unlink()
    clean(look(library), store)
    assert indexed(store) == {photo}
    library.rmdir()
    clean(look(library), store)
    assert indexed(store) == {photo}


def test_entries_below_an_unreadable_folder_are_kept(library: Path, store: SqliteStore) -> None:
    photo, deleted = make(library / "locked" / "a.jpg"), make(library / "lockedx" / "b.jpg")
    store.put([known(photo), known(deleted)])
    photo.unlink()
    deleted.unlink()
    make(library / "c.jpg")
    clean(replace(look(library), incomplete=(library / "locked",)), store)
    assert indexed(store) == {photo}


def test_entries_below_an_empty_mount_point_are_kept(library: Path, store: SqliteStore) -> None:
    away, deleted = make(library / "disk" / "sub" / "a.jpg"), make(library / "emptied" / "b.jpg")
    gone = replace(known(away), stat=replace(stat_of(away), device=stat_of(away).device + 1))
    store.put([gone, known(deleted)])
    away.unlink()
    away.parent.rmdir()
    deleted.unlink()
    make(library / "c.jpg")
    clean(look(library), store)
    assert indexed(store) == {away}


def test_a_moved_file_keeps_its_entry_under_its_new_name(library: Path, store: SqliteStore) -> None:
    old = make(library / "a.jpg")
    store.put([known(old, "content")])
    new = library / "sub" / "b.jpg"
    new.parent.mkdir()
    old.rename(new)
    cleaned = clean(look(library), store)
    assert not cleaned.stale
    assert store.get(old) is None
    assert store.get(new) == known(new, "content")
    assert cleaned.summary.counts["moved"] == 1
    assert cleaned.summary.counts["gone"] == 0


def test_a_file_moved_over_another_brings_its_entry(library: Path, store: SqliteStore) -> None:
    first, second = make(library / "a.jpg"), make(library / "b.jpg")
    os.utime(second, ns=(stat_of(first).mtime_ns, stat_of(first).mtime_ns))
    store.put([known(first, "first"), known(second, "second")])
    second.rename(first)
    cleaned = clean(look(library), store)
    assert not cleaned.stale
    assert list(store.entries(None)) == [known(first, "second")]


def test_a_moved_file_of_an_older_method_is_moved_and_stale(library: Path, store: SqliteStore) -> None:
    old = make(library / "a.jpg")
    store.put([known(old, "content")])
    new = old.rename(library / "b.jpg")
    cleaned = clean(look(library), store, Versions(media=2, signature=1))
    assert stale(cleaned) == {new}
    assert indexed(store) == {new}


def test_a_moved_failure_names_the_new_path(library: Path, store: SqliteStore) -> None:
    old = make(library / "a.jpg")
    failure = Failure(old, Phase.ANALYSE, FailureReason.CORRUPT, "damaged")
    store.put([replace(known(old), facts=None, failure=failure)])
    new = old.rename(library / "b.jpg")
    cleaned = clean(look(library), store)
    assert [failed.path for failed in cleaned.failures] == [new]


def test_a_disk_mounted_under_another_number_is_not_read_again(library: Path, store: SqliteStore) -> None:
    photo = make(library / "a.jpg")
    store.put([replace(known(photo), stat=replace(stat_of(photo), device=99999))])
    cleaned = clean(look(library), store)
    assert not cleaned.stale
    assert store.get(photo) == known(photo)


def test_files_that_are_all_numbered_anew_are_not_read_again(library: Path, store: SqliteStore) -> None:
    photos = [make(library / f"{n}.jpg") for n in range(3)]
    store.put([replace(known(photo), stat=replace(stat_of(photo), inode=n)) for n, photo in enumerate(photos)])
    assert not clean(look(library), store).stale
    assert list(store.entries(None)) == [known(photo) for photo in photos]


def test_one_file_written_anew_with_its_old_size_and_time_is_read_again(library: Path, store: SqliteStore) -> None:
    photos = [make(library / f"{n}.jpg") for n in range(3)]
    store.put([known(photo) for photo in photos])
    rewritten = photos[1]
    time = rewritten.stat().st_mtime_ns
    fresh = make(library / "fresh.tmp", "y")
    os.utime(fresh, ns=(time, time))
    fresh.rename(rewritten)
    assert stale(clean(look(library), store)) == {rewritten}


def test_known_failures_of_unchanged_files_are_told_again_and_not_tried_again(
    library: Path, store: SqliteStore
) -> None:
    broken, excluded = make(library / "a.jpg"), make(library / "x" / "b.jpg")
    entries = [
        replace(known(path), facts=None, failure=Failure(path, Phase.ANALYSE, FailureReason.CORRUPT, "damaged"))
        for path in (broken, excluded)
    ]
    store.put(entries)
    cleaned = clean(look(library, "/x/"), store)
    assert cleaned.failures == (entries[0].failure,)
    assert not cleaned.stale


def test_a_file_that_could_not_be_read_is_tried_again(library: Path, store: SqliteStore) -> None:
    photo = make(library / "a.jpg")
    failure = Failure(photo, Phase.ANALYSE, FailureReason.NO_PERMISSION, "locked")
    store.put([replace(known(photo), digest=None, facts=None, failure=failure)])
    cleaned = clean(look(library), store)
    assert stale(cleaned) == {photo}
    assert not cleaned.failures


def test_when_stopped_no_entry_is_dropped(library: Path, store: SqliteStore) -> None:
    photo = make(library / "a.jpg")
    make(library / "b.jpg")
    store.put([known(photo)])
    photo.unlink()
    clean(look(library), store, stop=lambda: True)
    assert indexed(store) == {photo}


def test_a_name_that_is_not_utf8_is_cleaned_up_like_any_other(library: Path, store: SqliteStore) -> None:
    photo = make(Path(os.fsdecode(os.fsencode(library) + b"/\xff.jpg")))
    store.put([known(photo)])
    assert not clean(look(library), store).stale
    moved = photo.rename(Path(os.fsdecode(os.fsencode(library) + b"/\xfe.jpg")))
    assert not clean(look(library), store).stale
    assert indexed(store) == {moved}


def test_the_phase_is_announced(library: Path, store: SqliteStore) -> None:
    told: list[Event] = []
    make(library / "a.jpg")
    cleaned = cleanup(look(library), store, VERSIONS, observer=told.append, should_stop=lambda: False)
    assert told == [PhaseStarted(Phase.CLEANUP), PhaseFinished(cleaned.summary)]
