"""The runner of the daemon: full runs and batches over one library, and the log lines about them."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from py_image_dedup.api import Deduplicator
from py_image_dedup.daemon.service import IndexAway, Postponed
from py_image_dedup.model import events
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import Redundant
from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.quarantine import size_of_quarantines
from py_image_dedup.report.terminal import match_words, reason_words, totals_lines
from py_image_dedup.report.text import PARTICIPLES, readable
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.base import Store, StoreError


def give_back() -> None:
    """Return free heap memory to the system; does nothing where the C library cannot.

    glibc keeps freed memory below blocks that are still in use. After a full run that is about the size of the index.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


_LOG = logging.getLogger(__name__)


class Publish(Protocol):
    """A function that receives the results of runs."""

    def __call__(self, result: RunResult, *, full: bool) -> None:
        """Take the result of a full run or of a batch."""


def _publish_nothing(result: RunResult, *, full: bool) -> None:
    """Do nothing: there is no review page."""


class LibraryRunner:
    """Runs full runs and batches for ``service.Service``. Used by the thread of the loop only.

    The index is opened when it is first needed, and again after an error.

    Args:
        roots: Folders of the library.
        selector: Selects the files of the library.
        open_store: Opens the index.
        make: Builds a deduplicator for an index.
        dry_run: Whether nothing is removed.
        observer: Receives the events that the runs themselves do not send.
        keep: Saves the result of a run that planned or did something.
        runs_directory: Folder of the run folders; a run without actions leaves none.
        publish: Receives the result of every run and whether it was a full run, for the review page.
    """

    def __init__(
        self,
        roots: Sequence[Root],
        selector: Selector,
        *,
        open_store: Callable[[], Store],
        make: Callable[[Store], Deduplicator],
        dry_run: bool,
        observer: events.Observer,
        keep: Callable[[RunResult], object],
        runs_directory: Path,
        publish: Publish = _publish_nothing,
    ) -> None:
        self._roots = tuple(roots)
        self._selector = selector
        self._ownership = Ownership(self._roots)
        self._open_store = open_store
        self._make = make
        self._dry_run = dry_run
        self._observer = observer
        self._keep = keep
        self._runs_directory = runs_directory
        self._publish = publish
        self._store: Store | None = None

    def full(self, unfinished: Collection[bytes]) -> Collection[bytes]:
        """Run all phases over the roots without the files that are still being written.

        Then load what batches search, so that the first new photo does not wait for it.

        Returns:
            Raw paths that were skipped because they had changed; they are not in the index any more.

        Raises:
            IndexAway: The index is not available.
            Postponed: The run failed.
        """
        with self._index(full=True) as store:
            work = self._make(store)
            result = work.deduplicate(self._roots, dry_run=self._dry_run, without=unfinished)
            changed = self._finish(result, store, full=True)
            give_back()
            if not result.interrupted:
                work.prepare(self._roots)
            give_back()
            return changed

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> Collection[bytes]:
        """Run all phases for some files; without anything to do there is no run.

        Events of files that the program itself moved end here: their paths are not in the index any more.

        Returns:
            As ``full``.

        Raises:
            IndexAway: The index is not available.
            Postponed: The run failed.
        """
        with self._index(full=False) as store:
            new = [raw for raw in ready if not _is_unchanged(raw, store)]
            vanished = [raw for raw in gone if _is_in(raw, store)]
            if not new and not vanished:
                return ()
            result = self._make(store).process(self._roots, new, vanished, dry_run=self._dry_run)
            return self._finish(result, store, full=False)

    def below(self, raw_folder: bytes) -> Iterable[bytes]:
        """Return the files of the library below a new folder."""
        if not os.path.isdir(raw_folder) or os.path.islink(raw_folder):  # noqa: PTH112, PTH114 - a raw path
            return ()
        found = walk([Root(Path(os.fsdecode(raw_folder)))], self._selector).stamps
        return [raw for raw in found if self.counts(raw)]

    def counts(self, raw_path: bytes) -> bool:
        """Return whether a file of this path would belong to the library."""
        root = self._ownership.root_of(raw_path)
        return root is not None and self._selector.selects(raw_path, root)

    def close(self) -> None:
        """Close the index."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    @contextmanager
    def _index(self, *, full: bool) -> Iterator[Store]:
        try:
            if self._store is None:
                self._store = self._open_store()
            yield self._store
        except StoreError as error:
            self._observer(events.RunFailed(str(error), full))
            self._give_up()
            raise IndexAway(str(error)) from error

    def _give_up(self) -> None:
        try:
            self.close()
        except StoreError as error:
            _LOG.debug("the index could not be closed after an error: %s", error)

    def _finish(self, result: RunResult, store: Store, *, full: bool) -> Collection[bytes]:
        log_result(result, "full run" if full else "batch")
        self._publish(result, full=full)
        folder = self._runs_directory / result.run
        if result.outcomes:
            self._keep(result)
        else:
            # A daemon runs for years: a run without actions leaves no folder behind.
            shutil.rmtree(folder, ignore_errors=True)
        if result.error is not None:
            raise Postponed(result.error)
        self._observer(events.IndexMeasured(store.count(None), store.size()))
        if full:
            roots = [root.path for root in self._roots if not root.protected]
            self._observer(events.QuarantineMeasured(*size_of_quarantines(roots)))
        skipped = [outcome.action for outcome in result.outcomes if outcome.status is OutcomeStatus.SKIPPED]
        return {file.raw_path for action in skipped for file in (action.source, action.keeper)}


def log_result(result: RunResult, kind: str) -> None:
    """Log each unreadable file, each action with its reason, and a summary of the run.

    Args:
        result: The result of the run.
        kind: ``full run`` or ``batch``.
    """
    for failure in result.failures:
        _LOG.info("unreadable: %s: %s", readable(failure.path), readable(failure.message))
    found = {each.entry.stat.path: each for group in result.groups for each in group.redundant}
    for outcome in result.outcomes:
        _LOG.info("%s", _action_line(outcome, found.get(outcome.action.source.path)))
    totals = "; ".join(f"{name.lower()}: {words}" for name, words in totals_lines(result))
    _LOG.info("%s %s%s: %s", kind, result.run, " (dry run)" if result.dry_run else "", totals)


def _action_line(outcome: Outcome, redundant: Redundant | None) -> str:
    action = outcome.action
    source, keeper = readable(action.source.path), readable(action.keeper.path)
    if outcome.status not in (OutcomeStatus.PLANNED, OutcomeStatus.DONE):
        return f"{source} was not removed: {readable(outcome.message)}"
    tense = "would be" if outcome.status is OutcomeStatus.PLANNED else "was"
    if action.kind is ActionKind.EXPIRE:
        return f"{source} {tense} permanently deleted from quarantine (its content is kept in {keeper})"
    target = outcome.target or action.target
    to = f" to {readable(target)}" if target is not None else ""
    match = match_words(redundant.match) if redundant is not None else action.match_class.value
    why = f"; kept: {reason_words(redundant.reason)}" if redundant is not None else ""
    return f"{source} {tense} {PARTICIPLES[action.kind]}{to} ({match}, duplicate of {keeper}{why})"


def _is_unchanged(raw_path: bytes, store: Store) -> bool:
    """Return whether the index has the file as it is; entries of older methods are left to full runs."""
    entry = store.get(Path(os.fsdecode(raw_path)))
    if entry is None:
        return False
    try:
        status = os.lstat(raw_path)
    except OSError:
        return False
    return entry.stat.stamp == (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _is_in(raw_path: bytes, store: Store) -> bool:
    path = Path(os.fsdecode(raw_path))
    return store.get(path) is not None or store.count([path]) > 0
