"""The watcher of the roots: it reports changes, restarts after failures, and finds folders that are not watched."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from py_image_dedup.model.events import FileEventSeen, WatcherChanged
from py_image_dedup.model.events import Observer as RunObserver
from py_image_dedup.report.text import readable

_KINDS = {
    "created": "created",
    "modified": "modified",
    "attrib": "modified",  # a new time is a new stamp, by which the index does not recognise the file
    "closed": "modified",
    "moved": "moved",
    "deleted": "deleted",
}
_OVERFLOW_WORDS = "queue overflowed"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a path.

    Attributes:
        raw_path: Absolute raw path.
        folder: Whether the path is, or was, a folder: everything below it may have changed.
    """

    raw_path: bytes
    folder: bool = False


class ChangeListener(FileSystemEventHandler):
    """Converts watchdog's events to changes; events of opening and reading are ignored."""

    def __init__(self, changed: Callable[[str, Change], None]) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        """See ``FileSystemEventHandler``."""
        kind = _KINDS.get(event.event_type)
        if kind is None or (event.is_directory and kind == "modified"):
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._changed(kind, Change(os.fsencode(path), event.is_directory))


class OverflowListener(logging.Handler):
    """Detects dropped events by the only sign that watchdog gives of them: a line in its log."""

    def __init__(self, on_overflow: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._on_overflow = on_overflow

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        if _OVERFLOW_WORDS in record.msg and "events were lost" in record.msg:
            self._on_overflow()


_DESCRIPTORS: Final = Path("/proc/self/fdinfo")
_WATCH: Final = "inotify wd:"


def unwatched_folders(root: Path, below: Path | None = None) -> Iterator[Path]:
    """Yield the folders that watchdog failed to watch.

    Nothing is yielded where the kernel does not list its watches, or numbers inodes in another way than ``stat``.

    Args:
        root: A root that is watched recursively.
        below: A folder in the root to check with its subfolders; ``None`` for the whole root.
    """
    watched = _watched()
    if _inode(root) not in watched:
        return
    for folder, _, _ in os.walk(below or root):
        inode = _inode(Path(folder))
        if inode is not None and inode not in watched:
            yield Path(folder)


def _watched() -> frozenset[int]:
    found: set[int] = set()
    try:
        descriptors = list(_DESCRIPTORS.iterdir())
    except OSError:
        return frozenset()
    for descriptor in descriptors:
        try:
            text = descriptor.read_text(encoding="ascii")
        except OSError:  # closed in the meantime, as that of the listing is
            continue
        for line in text.splitlines():
            if line.startswith(_WATCH):
                fields = dict(field.split(":", 1) for field in line.split()[1:])
                found.add(int(fields["ino"], 16))
    return frozenset(found)


def _inode(folder: Path) -> int | None:
    try:
        return folder.lstat().st_ino if not folder.is_symlink() else folder.stat().st_ino
    except OSError:
        return None


_LOG = logging.getLogger(__name__)
_EMPTY_IS_UNMOUNTED = "is empty: it looks like the mount point of a file system that is not mounted"


@dataclass(slots=True)
class _Watch:
    """The state of a root; without an ``observer`` it is not watched, with one a ``problem`` is about some folders."""

    root: Path
    observer: BaseObserver | None = None
    identity: tuple[int, int] | None = None
    problem: str | None = None
    retry_at: float = 0.0
    was_up: bool = False
    check_at: float | None = None
    threads: tuple[threading.Thread, ...] = ()


class Watcher:
    """Keeps one watchdog observer per root alive, so that a root that fails does not affect the others.

    ``check_watches`` does the work; one thread calls it about once a second. ``on_change`` and ``on_gap`` are also
    called by the observers' threads.

    Args:
        roots: Folders to watch.
        polling: Whether to scan the folders instead of using the kernel: for network shares.
        recursive: Whether to watch subfolders.
        on_change: Receives every change.
        on_gap: Receives a root whose changes may have been missed, so that a full run is needed.
        observer: Receives the number of watched roots, and events.
        clock: Monotonic clock, in seconds.
        retry_seconds: Seconds between two attempts to watch a root.
        polling_seconds: Seconds between two scans of a polled root.
        check_seconds: Seconds from the start of a watch to the check that all folders are watched.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        *,
        polling: bool,
        recursive: bool,
        on_change: Callable[[Change], None],
        on_gap: Callable[[Path], None],
        observer: RunObserver,
        clock: Callable[[], float],
        retry_seconds: float = 30.0,
        polling_seconds: float = 10.0,
        check_seconds: float = 5.0,
    ) -> None:
        self._watches = [_Watch(root) for root in roots]
        self._polling = polling
        self._recursive = recursive
        self._on_change = on_change
        self._on_gap = on_gap
        self._observer = observer
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._polling_seconds = polling_seconds
        self._check_seconds = check_seconds
        self._overflow = OverflowListener(self._overflowed)
        logging.getLogger("watchdog").addHandler(self._overflow)
        self._report()

    @property
    def problems(self) -> dict[Path, str]:
        """The roots that are not or only partly watched, with the reason."""
        return {watch.root: watch.problem for watch in self._watches if watch.problem is not None}

    def check_watches(self) -> None:
        """Watch roots that can be watched, stop at those that cannot, and restart watchers that have died."""
        for watch in self._watches:
            identity = _identity(watch.root)
            if watch.observer is not None and identity != watch.identity:
                self._end(watch, f"{watch.root} was unmounted, moved or replaced")
            elif watch.observer is not None and not all(thread.is_alive() for thread in watch.threads):
                self._end(watch, f"the watcher of {watch.root} died")
            if watch.observer is None and self._clock() >= watch.retry_at:
                self._begin(watch, identity)
            if watch.check_at is not None and self._clock() >= watch.check_at:
                self._check(watch)

    def ensure_watched(self, raw_folders: Collection[bytes]) -> None:
        """Make sure that new folders are watched.

        watchdog loses a folder that is renamed at the moment of its creation, and with it all events below.

        Args:
            raw_folders: Raw paths of new folders, after their quiet period.
        """
        for watch in self._watches:
            above = os.fsencode(watch.root) + b"/"
            own = [Path(os.fsdecode(raw)) for raw in raw_folders if raw.startswith(above)]
            if watch.problem is None and any(self._unwatched_folders(watch, folder) for folder in own):
                self._watch_anew(watch)
                watch.check_at = self._clock() + self._check_seconds

    def close(self) -> None:
        """Stop all watching."""
        logging.getLogger("watchdog").removeHandler(self._overflow)
        for watch in self._watches:
            self._stop(watch)

    def _begin(self, watch: _Watch, identity: tuple[int, int] | None) -> None:
        if identity is None:
            self._failed(watch, f"{watch.root} does not exist or is not a folder; waiting for it")
            return
        if watch.was_up and _is_empty(watch.root):
            self._failed(watch, f"{watch.root} {_EMPTY_IS_UNMOUNTED}; waiting for it")
            return
        try:
            observer, threads = self._observe(watch.root)
        except OSError as error:
            self._failed(watch, f"{_explain(error, watch.root)}; next attempt in {self._retry_seconds:.0f} s")
            watch.retry_at = self._clock() + self._retry_seconds
            return
        restarted, watch.was_up = watch.was_up, True
        watch.observer, watch.threads, watch.identity, watch.problem = observer, threads, identity, None
        watch.check_at = self._clock() + self._check_seconds
        if restarted:  # the first time, the daemon has said so
            _LOG.info("watching %s again", readable(watch.root))
        self._report(restarted=restarted)
        # Changes between the last full run and this moment were not seen.
        self._on_gap(watch.root)

    def _unwatched_folders(self, watch: _Watch, below: Path | None = None) -> list[Path]:
        if watch.observer is None or self._polling or not self._recursive:
            return []
        return list(unwatched_folders(watch.root, below))

    def _watch_anew(self, watch: _Watch) -> None:
        """Watch a root again and then stop the old observer, so that no event is missed.

        If the system does not allow both at once, the second attempt starts after the old observer has stopped.
        """
        for attempt in range(2):
            old = watch.observer
            try:
                watch.observer, watch.threads = self._observe(watch.root)
            except OSError as error:
                _LOG.debug("%s", readable(_explain(error, watch.root)))
                return
            if old is not None:
                _stop(old)
            if attempt:
                self._on_gap(watch.root)
            elif not self._unwatched_folders(watch):
                return

    def _check(self, watch: _Watch) -> None:
        """Check that every folder of a root is watched, and record a problem if that is impossible."""
        watch.check_at = None
        if self._unwatched_folders(watch):
            self._watch_anew(watch)
        missing = self._unwatched_folders(watch)
        if missing:
            watch.check_at = self._clock() + 10 * self._retry_seconds
            self._failed(watch, f"{len(missing)} folders are not watched, such as {missing[0]}: {_limit(watch.root)}")
        elif watch.observer is not None and watch.problem is not None:
            watch.problem = None
            _LOG.info("watching all folders of %s", readable(watch.root))
            self._report()
            self._on_gap(watch.root)

    def _observe(self, root: Path) -> tuple[BaseObserver, tuple[threading.Thread, ...]]:
        """Start an observer; return it with all of its threads."""
        watched: BaseObserver | None = None
        before = set(threading.enumerate())
        try:
            watched = PollingObserver(timeout=self._polling_seconds) if self._polling else Observer()
            watched.schedule(ChangeListener(self._changed), os.fspath(root), recursive=self._recursive)
            watched.start()
        except OSError:
            if watched is not None:
                _stop(watched)
            raise
        begun = set(threading.enumerate()) - before
        return watched, tuple(thread for thread in begun if type(thread).__module__.startswith("watchdog."))

    def _failed(self, watch: _Watch, problem: str) -> None:
        if problem != watch.problem:
            _LOG.warning("%s", readable(problem))
        watch.problem = problem
        self._report()

    def _end(self, watch: _Watch, problem: str) -> None:
        _LOG.warning("%s; watching resumes when it is back", readable(problem))
        self._stop(watch)
        watch.problem = problem
        self._report()

    def _stop(self, watch: _Watch) -> None:
        observer, watch.observer, watch.identity, watch.check_at = watch.observer, None, None, None
        if observer is not None:
            _stop(observer)

    def _changed(self, kind: str, change: Change) -> None:
        self._observer(FileEventSeen(kind))
        self._on_change(change)

    def _overflowed(self) -> None:
        self._observer(FileEventSeen("overflow"))
        _LOG.warning("the kernel dropped file events: a full run follows")
        for watch in self._watches:
            self._on_gap(watch.root)

    def _report(self, *, restarted: bool = False) -> None:
        alive = sum(watch.observer is not None and watch.problem is None for watch in self._watches)
        self._observer(WatcherChanged(alive, len(self._watches), restarted))


def _limit(root: Path) -> str:
    return (
        f"{root} has more folders than the system allows to watch: raise fs.inotify.max_user_watches with sysctl, "
        "or set daemon.file_observer to polling; until then only full runs detect their changes"
    )


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if root.is_dir() else None


def _is_empty(root: Path) -> bool:
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _stop(observer: BaseObserver) -> None:
    """Stop an observer, even one that could not start: without inotify watches left, its clean-up fails too."""
    try:
        observer.unschedule_all()
    except OSError as error:
        _LOG.debug("a failed watcher could not be stopped cleanly: %s", error)
    if observer.is_alive():
        observer.stop()
        observer.join(5)


def _explain(error: OSError, root: Path) -> str:
    if error.errno == errno.ENOSPC:
        return _limit(root)
    if error.errno == errno.EMFILE:
        return f"{root} cannot be watched: raise fs.inotify.max_user_instances with sysctl"
    return f"{root} cannot be watched: {error.strerror or error}"
