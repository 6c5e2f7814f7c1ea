"""The daemon's loop with a runner that only takes notes; files, settling and time are real."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from py_image_dedup.daemon.debounce import Debouncer
from py_image_dedup.daemon.service import IndexAway, Postponed, Runner, Service, Timing
from py_image_dedup.daemon.watcher import Change
from py_image_dedup.model.events import Event, PhaseAdvanced, QueueChanged, StoreFailed
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Stamp
from tests.daemon.test_watcher import until

QUIET = 0.1
TIMING = Timing(full_run_interval=3600, tick=0.05, first_retry=0.1, longest_retry=0.4, silence=0.5, backlog_limit=50)


def look(raw_path: bytes) -> Stamp | None:
    try:
        status = os.lstat(raw_path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino) if os.path.isfile(raw_path) else None  # noqa: PTH113


class Notes(Runner):
    """Writes down what it is asked to do; fails or takes its time where a test says so."""

    def __init__(self) -> None:
        self.fulls: list[frozenset[bytes]] = []
        self.ready: list[bytes] = []
        self.gone: list[bytes] = []
        self.batches = 0
        self.trouble: Postponed | None = None
        self.changed: list[bytes] = []
        self.hold = threading.Event()
        self.hold.set()

    def full(self, unfinished: Collection[bytes]) -> Collection[bytes]:
        self.hold.wait(10)
        if self.trouble:
            raise self.trouble
        self.fulls.append(frozenset(unfinished))
        return self.changed

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> Collection[bytes]:
        if self.trouble:
            raise self.trouble
        self.batches += 1
        self.ready += ready
        self.gone += gone
        return self.changed

    def below(self, raw_folder: bytes) -> Iterable[bytes]:
        return [bytes(path) for path in Path(os.fsdecode(raw_folder)).rglob("*.jpg")]

    def counts(self, raw_path: bytes) -> bool:
        return raw_path.endswith(b".jpg")


class NoWatching:
    """A watcher that has nothing to say."""

    problems: dict[Path, str] = {}  # noqa: RUF012 - never written

    def __init__(self) -> None:
        self.renewed: list[bytes] = []

    def check_watches(self) -> None:
        return

    def ensure_watched(self, raw_folders: Collection[bytes]) -> None:
        self.renewed += raw_folders

    def close(self) -> None:
        return


class Running:
    """A service that runs in a thread of its own."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self.notes = Notes()
        self.watching = NoWatching()
        self.events: list[Event] = []
        self.service = Service(
            self.notes, Debouncer(QUIET, clock=time.monotonic, look=look), lambda _changed, _missed: self.watching,
            timing=timing, observer=self.events.append,
        )  # fmt: skip
        self.thread = threading.Thread(target=self.service.run)

    def start(self) -> None:
        self.thread.start()

    def change(self, path: Path, *, folder: bool = False) -> None:
        self.service.changed(Change(bytes(path), folder))

    def close(self) -> None:
        self.notes.hold.set()
        self.service.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def daemon() -> Iterator[Running]:
    running = Running()
    running.start()
    yield running
    running.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"1")
    return path


def test_a_full_run_comes_first_and_makes_the_daemon_ready(daemon: Running) -> None:
    until(lambda: daemon.notes.fulls == [frozenset()])
    until(lambda: set(daemon.service.ready().values()) == {None})


def test_before_the_first_full_run_the_daemon_is_not_ready() -> None:
    running = Running()
    assert running.service.ready()["last run"] == "there has been no full run yet"


def test_a_changed_file_comes_through_once_it_has_settled(daemon: Running, photo: Path) -> None:
    daemon.change(photo)
    until(lambda: daemon.notes.ready == [bytes(photo)])


def test_a_deleted_file_comes_through_as_gone(daemon: Running, photo: Path) -> None:
    photo.unlink()
    daemon.change(photo)
    until(lambda: daemon.notes.gone == [bytes(photo)])


def test_a_file_that_does_not_count_is_never_handed_on(daemon: Running, photo: Path) -> None:
    daemon.change(photo.with_suffix(".txt"))
    daemon.change(photo)
    until(lambda: bytes(photo) in daemon.notes.ready)
    assert daemon.notes.gone == []


def test_the_files_of_a_folder_that_was_moved_in_come_through(daemon: Running, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    folder.mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "c.txt"):
        (folder / name).write_bytes(b"1")
    daemon.change(folder.parent, folder=True)
    until(lambda: sorted(daemon.notes.ready) == [bytes(folder / "a.jpg"), bytes(folder / "b.jpg")])


def test_a_folder_that_came_to_rest_is_watched_anew_and_looked_into_once_more(daemon: Running, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    daemon.change(folder, folder=True)
    until(lambda: isinstance(daemon.events[-1], QueueChanged) and daemon.events[-1].pending == 1)
    # Of this file no event came.
    (folder / "late.jpg").write_bytes(b"1")
    until(lambda: daemon.notes.ready == [bytes(folder / "late.jpg")])
    assert daemon.watching.renewed == [bytes(folder)]


def test_a_full_run_leaves_out_what_is_still_being_written(photo: Path) -> None:
    running = Running()
    running.change(photo)
    running.start()
    until(lambda: len(running.notes.fulls) == 1)
    assert running.notes.fulls == [frozenset([bytes(photo)])]
    until(lambda: running.notes.ready == [bytes(photo)])
    running.close()


def test_changes_during_a_full_run_wait_and_are_merged(tmp_path: Path, photo: Path) -> None:
    running = Running()
    running.notes.hold.clear()
    running.start()
    for _ in range(20):
        running.change(photo)
    time.sleep(0.3)
    assert running.notes.ready == []
    running.notes.hold.set()
    until(lambda: running.notes.ready == [bytes(photo)])
    running.close()


def test_a_flood_of_changes_becomes_a_full_run_instead_of_growing(tmp_path: Path) -> None:
    running = Running()
    running.start()
    until(lambda: len(running.notes.fulls) == 1)
    running.notes.hold.clear()
    for number in range(200):
        running.change(tmp_path / f"{number}.jpg")
    running.notes.hold.set()
    until(lambda: len(running.notes.fulls) == 2)
    running.close()


def test_when_the_index_is_away_the_work_waits_and_is_done_later(daemon: Running, photo: Path) -> None:
    until(lambda: len(daemon.notes.fulls) == 1)
    daemon.notes.trouble = IndexAway("no answer from the index")
    daemon.change(photo)
    until(lambda: any(isinstance(event, StoreFailed) for event in daemon.events))
    assert daemon.service.ready()["index"] == "no answer from the index"
    assert daemon.service.alive() == {"loop": None}
    daemon.notes.trouble = None
    until(lambda: daemon.notes.ready == [bytes(photo)])
    until(lambda: daemon.service.ready()["index"] is None)


def test_a_run_that_fails_says_nothing_about_the_index(daemon: Running, photo: Path) -> None:
    until(lambda: len(daemon.notes.fulls) == 1)
    daemon.notes.trouble = Postponed("another run uses the state directory")
    daemon.change(photo)
    until(lambda: daemon.service.ready()["last run"] == "another run uses the state directory")
    assert daemon.service.ready()["index"] is None
    assert not any(isinstance(event, StoreFailed) for event in daemon.events)
    daemon.notes.trouble = None
    until(lambda: daemon.notes.ready == [bytes(photo)])
    until(lambda: daemon.service.ready()["last run"] is None)


def test_retries_come_further_and_further_apart() -> None:
    running = Running()
    running.notes.trouble = IndexAway("away")
    began = time.monotonic()
    running.start()
    # 0.1, 0.2, 0.4, 0.4 ... seconds apart: six tries, a tick apart, would be over after a third of a second.
    until(lambda: sum(isinstance(event, StoreFailed) for event in running.events) >= 6)
    assert time.monotonic() - began > 1.3
    running.close()


def test_what_had_changed_when_it_was_to_be_removed_is_looked_at_again_but_not_for_ever(photo: Path) -> None:
    running = Running()
    running.notes.changed = [bytes(photo)]
    running.start()
    until(lambda: running.notes.ready == [bytes(photo)])
    until(lambda: isinstance(running.events[-1], QueueChanged) and running.events[-1].pending == 0)
    time.sleep(3 * QUIET)
    assert running.notes.ready == [bytes(photo)]
    running.service.missed(photo.parent)
    until(lambda: running.notes.ready == [bytes(photo)] * 2)
    running.close()


def test_a_gap_asks_for_a_full_run(daemon: Running, tmp_path: Path) -> None:
    until(lambda: len(daemon.notes.fulls) == 1)
    daemon.service.missed(tmp_path)
    until(lambda: len(daemon.notes.fulls) == 2)


def test_full_runs_come_again_after_the_interval() -> None:
    running = Running(Timing(full_run_interval=0.2, tick=0.05))
    running.start()
    until(lambda: len(running.notes.fulls) >= 3)
    running.close()


def test_the_queue_is_told(daemon: Running, photo: Path) -> None:
    daemon.change(photo)
    until(lambda: any(isinstance(e, QueueChanged) and e.pending == 1 for e in daemon.events))
    until(lambda: isinstance(daemon.events[-1], QueueChanged) and daemon.events[-1].pending == 0)


def test_a_loop_that_hangs_is_not_alive_unless_its_run_tells_of_progress() -> None:
    running = Running()
    running.notes.hold.clear()
    running.start()
    until(lambda: running.service.alive()["loop"] is not None)
    running.service.heartbeat(PhaseAdvanced(Phase.ANALYSE))
    assert running.service.alive() == {"loop": None}
    running.close()


def test_stopping_takes_no_longer_than_the_work_in_hand(daemon: Running) -> None:
    began = time.monotonic()
    daemon.close()
    assert time.monotonic() - began < 1.0


def test_an_idle_daemon_uses_next_to_no_processor_time(daemon: Running) -> None:
    until(lambda: len(daemon.notes.fulls) == 1)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.2
