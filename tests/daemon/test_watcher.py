"""What the watcher tells of real folders."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.utils import BaseThread

from py_image_dedup.daemon.watcher import Change, Watcher
from py_image_dedup.model.events import Event, FileEventSeen, WatcherChanged


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.gaps: list[Path] = []
        self.events: list[Event] = []

    def saw(self, path: Path) -> bool:
        return any(change.raw_path == bytes(path) for change in self.changes)

    @property
    def watched(self) -> WatcherChanged:
        return [event for event in self.events if isinstance(event, WatcherChanged)][-1]


def until(fact: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def in_a_namespace(code: str) -> str:
    """Run code where the limits of inotify are nobody else's, and return what it prints."""
    imports = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
from py_image_dedup.daemon.watcher import Watcher
"""
    if not Path("/proc/sys/user/max_inotify_watches").exists():
        pytest.skip("inotify and its limits are Linux's")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", imports + code],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.stderr.startswith("unshare"):
        pytest.skip("namespaces of users are not allowed here")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(params=["inotify", "polling"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def watch(listener: Listener) -> Iterator[Callable[..., Watcher]]:
    begun: list[Watcher] = []

    def begin(*roots: Path, kind: str = "inotify") -> Watcher:
        watcher = Watcher(
            roots, polling=kind == "polling", recursive=True, on_change=listener.changes.append,
            on_gap=listener.gaps.append, observer=listener.events.append, clock=time.monotonic, polling_seconds=0.1,
        )  # fmt: skip
        begun.append(watcher)
        watcher.check_watches()
        return watcher

    yield begin
    for watcher in begun:
        watcher.close()


def test_a_new_a_changed_and_a_deleted_file_are_told(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher], kind: str
) -> None:
    watch(tmp_path, kind=kind)
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    until(lambda: listener.saw(photo))
    listener.changes.clear()
    time.sleep(0.15 if kind == "polling" else 0)
    photo.write_bytes(b"22")
    until(lambda: listener.saw(photo))
    listener.changes.clear()
    photo.unlink()
    until(lambda: listener.saw(photo))
    assert FileEventSeen("deleted") in listener.events


def test_both_names_of_a_renamed_file_are_told(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher], kind: str
) -> None:
    before = tmp_path / "a.jpg"
    before.write_bytes(b"1")
    watch(tmp_path, kind=kind)
    after = before.rename(tmp_path / "b.jpg")
    until(lambda: listener.saw(before) and listener.saw(after))


def test_a_folder_tree_that_is_moved_in_is_told(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher], kind: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside" / "deep"
    outside.mkdir(parents=True)
    (outside / "a.jpg").write_bytes(b"1")
    watch(root, kind=kind)
    inside = outside.parent.rename(root / "inside")
    until(lambda: listener.saw(inside))
    assert any(change.folder for change in listener.changes if change.raw_path == bytes(inside))
    (inside / "deep" / "b.jpg").write_bytes(b"2")
    until(lambda: listener.saw(inside / "deep" / "b.jpg"))


# As watchdog tells of the folders that it loses; as an error it would end watchdog's thread.
@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
def test_folders_that_are_renamed_while_they_are_made_are_watched_after_all(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    watcher = watch(tmp_path)
    for number in range(60):
        (tmp_path / "new" / "deep").mkdir(parents=True)
        (tmp_path / "new" / "deep" / "a.jpg").write_bytes(b"1")
        (tmp_path / "new").rename(tmp_path / f"renamed {number}")
        time.sleep(0.002 * (number % 3))
    last = bytes(tmp_path / "renamed 59")
    until(lambda: any(change.raw_path == last for change in listener.changes))
    watcher.ensure_watched([bytes(path) for path in tmp_path.iterdir()])
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(folders) == 120
    for folder in folders:
        (folder / "late.jpg").write_bytes(b"1")
    until(lambda: all(listener.saw(folder / "late.jpg") for folder in folders))
    assert watcher.problems == {}
    assert listener.watched == WatcherChanged(1, 1)
    assert listener.gaps == [tmp_path]


def test_more_folders_than_the_system_may_watch_are_said_and_watched_as_soon_as_they_may_be(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(20):
        (root / f"{number:02}").mkdir(parents=True)
    code = f"""
limit = Path("/proc/sys/user/max_inotify_watches")
limit.write_text("8")
gaps, events, now = [], [], [0.0]
alive = lambda: [event.alive for event in events if hasattr(event, "alive")][-1]
watcher = Watcher([Path({str(root)!r})], polling=False, recursive=True, on_change=lambda change: None,
                  on_gap=gaps.append, observer=events.append, clock=lambda: now[0])
watcher.check_watches()
now[0] += 6
watcher.check_watches()
print(next(iter(watcher.problems.values())), alive(), len(gaps))
limit.write_text("1000")
now[0] += 301
watcher.check_watches()
print(watcher.problems, alive(), len(gaps))
# Enough for all folders, and too few for watching them twice.
limit.write_text("25")
new = Path({str(root)!r}) / "new"
new.mkdir()
watcher._watch_anew(watcher._watches[0])
now[0] += 6
watcher.check_watches()
print(watcher.problems, alive(), len(gaps))
watcher.close()
"""
    limited, lifted, narrow = in_a_namespace(code).splitlines()
    assert limited.startswith(f"13 folders are not watched, such as {root}/")
    assert "max_user_watches" in limited
    assert limited.endswith(" 0 1")
    assert lifted == "{} 1 2"
    assert narrow == "{} 1 3"


def test_reading_a_file_is_no_change(tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"1")
    watch(tmp_path)
    photo.read_bytes()
    marker = tmp_path / "marker"
    marker.write_bytes(b"")
    until(lambda: listener.saw(marker))
    assert not listener.saw(photo)


def test_a_name_that_is_not_utf_8_is_told_as_it_is(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    watch(tmp_path)
    raw = bytes(tmp_path) + b"/caf\xe9.jpg"
    with open(raw, "wb") as file:  # noqa: PTH123 - pathlib takes no bytes
        file.write(b"1")
    until(lambda: any(change.raw_path == raw for change in listener.changes))


def test_a_root_that_is_not_there_yet_is_watched_as_soon_as_it_is(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    root = tmp_path / "later"
    watcher = watch(root)
    assert str(root) in watcher.problems[root]
    assert listener.watched == WatcherChanged(0, 1)
    root.mkdir()
    watcher.check_watches()
    assert watcher.problems == {}
    assert listener.gaps == [root]
    assert listener.watched.alive == 1


def test_a_root_that_was_replaced_is_watched_again_and_asks_for_a_full_run(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"1")
    watcher = watch(root)
    root.rename(tmp_path / "away")
    watcher.check_watches()
    assert root in watcher.problems
    assert listener.watched.alive == 0
    (tmp_path / "away").rename(root)
    watcher.check_watches()
    assert watcher.problems == {}
    assert listener.watched == WatcherChanged(1, 1, restarted=True)
    assert listener.gaps == [root, root]
    (root / "b.jpg").write_bytes(b"1")
    until(lambda: listener.saw(root / "b.jpg"))


def test_an_empty_mount_point_is_not_taken_for_the_library(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"1")
    watcher = watch(root)
    root.rename(tmp_path / "away")
    root.mkdir()
    watcher.check_watches()
    assert "not mounted" in watcher.problems[root]
    assert listener.gaps == [root]


@pytest.mark.parametrize("which", ["InotifyObserver", "InotifyEmitter", "InotifyFD"])
def test_a_watcher_that_died_is_begun_again(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher], which: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    watcher = watch(tmp_path)
    # Any of the threads that it works with.
    (thread,) = [thread for thread in watcher._watches[0].threads if type(thread).__name__ == which]
    assert isinstance(thread, BaseThread)
    thread.stop()
    thread.join(5)
    watcher.check_watches()
    assert listener.watched == WatcherChanged(1, 1, restarted=True)
    (tmp_path / "b.jpg").write_bytes(b"1")
    until(lambda: listener.saw(tmp_path / "b.jpg"))


def test_one_root_that_fails_leaves_the_others_watched(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    watcher = watch(tmp_path / "missing", good)
    assert list(watcher.problems) == [tmp_path / "missing"]
    (good / "a.jpg").write_bytes(b"1")
    until(lambda: listener.saw(good / "a.jpg"))


def test_dropped_events_ask_for_a_full_run_of_every_root(
    tmp_path: Path, listener: Listener, watch: Callable[..., Watcher]
) -> None:
    watch(tmp_path)
    listener.gaps.clear()
    # What watchdog writes when the kernel's queue overflows; filling the real queue takes 16,384 unread events.
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    assert listener.gaps == [tmp_path]
    assert FileEventSeen("overflow") in listener.events


def test_running_out_of_inotify_instances_costs_a_root_its_events_and_nothing_else(tmp_path: Path) -> None:
    code = f"""
Path("/proc/sys/user/max_inotify_instances").write_text("0")
watcher = Watcher([Path({str(tmp_path)!r})], polling=False, recursive=True, on_change=print, on_gap=print,
                  observer=lambda event: None, clock=lambda: 0.0)
watcher.check_watches()
print(next(iter(watcher.problems.values())))
watcher.close()
"""
    assert "max_user_instances" in in_a_namespace(code)
