"""The daemon's work: full runs and batches over one library, and what they leave in the log."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from py_image_dedup.api import Deduplicator
from py_image_dedup.daemon.service import IndexAway, Postponed
from py_image_dedup.model import events
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.base import Store, StoreError


def give_back() -> None:
    """Ask the C library for it; one that cannot, or does so by itself, does nothing.

    glibc keeps what was freed below anything that is still in use. After a library was walked and its index loaded that
    is as much again as the index.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


_LOG = logging.getLogger(__name__)


class LibraryRunner:
    """Runs the phases for ``service.Service``. Used by the loop's thread only.

    The index is opened when it is first needed and again after it failed.

    Args:
        roots: The library.
        selector: Which files count.
        open_store: Opens the index.
        make: Puts a deduplicator together.
        dry_run: Nothing is removed.
        observer: Is told what the runs themselves do not tell.
        keep: Takes the result of a run that found or did something.
        runs_directory: Where runs leave their folders; those with nothing in them are removed again.
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
        self._store: Store | None = None

    def full(self, unsettled: Collection[bytes]) -> Collection[bytes]:
        """Run all phases over the roots, and leave out the paths that are still being written.

        Then make ready what batches search, so that the first photo that arrives does not wait for it.

        Returns:
            What was left alone because it had changed, and is in the index no more.

        Raises:
            IndexAway: The index does not answer.
            Postponed: The run failed.
        """
        with self._index(full=True) as store:
            work = self._make(store)
            result = work.deduplicate(self._roots, dry_run=self._dry_run, without=unsettled)
            changed = self._finish(result, store)
            give_back()
            if not result.interrupted:
                work.prepare(self._roots)
            give_back()
            return changed

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> Collection[bytes]:
        """Run the phases for these files only; nothing to do is no run.

        What this program moved itself comes here too: those paths are not in the index any more, and end here.

        Returns:
            As ``full``.

        Raises:
            IndexAway: The index does not answer.
            Postponed: The run failed.
        """
        with self._index(full=False) as store:
            new = [raw for raw in ready if not _is_unchanged(raw, store)]
            vanished = [raw for raw in gone if _is_in(raw, store)]
            if not new and not vanished:
                return ()
            return self._finish(self._make(store).process(self._roots, new, vanished, dry_run=self._dry_run), store)

    def below(self, raw_folder: bytes) -> Iterable[bytes]:
        """Return the files that count below a folder that appeared."""
        if not os.path.isdir(raw_folder) or os.path.islink(raw_folder):  # noqa: PTH112, PTH114 - a raw path
            return ()
        found = walk([Root(Path(os.fsdecode(raw_folder)))], self._selector).stamps
        return [raw for raw in found if self.counts(raw)]

    def counts(self, raw_path: bytes) -> bool:
        """Tell whether a file of this name would count."""
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
            _LOG.debug("closing an index that had failed: %s", error)

    def _finish(self, result: RunResult, store: Store) -> Collection[bytes]:
        for failure in result.failures:
            _LOG.info("%s: %s", failure.path, failure.message)
        for outcome in result.outcomes:
            action = outcome.action
            match outcome.status:
                case OutcomeStatus.PLANNED:
                    words = f"{action.match_class} to {action.keeper.path}; would be removed ({action.kind})"
                case OutcomeStatus.DONE:
                    words = f"{action.match_class} to {action.keeper.path}; {action.kind} done"
                    words += f", now {outcome.target}" if outcome.target else ""
                case _:
                    words = f"left alone: {outcome.message}"
            _LOG.info("%s: %s", action.source.path, words)
        folder = self._runs_directory / result.run
        if result.outcomes:
            self._keep(result)
        else:
            # A daemon runs for years: a run that found nothing leaves no folder behind.
            shutil.rmtree(folder, ignore_errors=True)
        if result.error is not None:
            raise Postponed(result.error)
        self._observer(events.IndexMeasured(store.count(None), store.size()))
        skipped = [outcome.action for outcome in result.outcomes if outcome.status is OutcomeStatus.SKIPPED]
        return {file.raw_path for action in skipped for file in (action.source, action.keeper)}


def _is_unchanged(raw_path: bytes, store: Store) -> bool:
    """Whether the index has the file as it is; a changed method is for the full runs."""
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
