"""The Python API.

Example:
    What is there twice, without changing anything:

    >>> from py_image_dedup import find_duplicates
    >>> result = find_duplicates(pictures)
    >>> for group in result.groups:
    ...     for redundant in group.redundant:
    ...         print(redundant.entry.stat.path.name, redundant.match.match_class, group.keeper.stat.path.name)
    beach copy.jpg identical beach.jpg

    With an index that is kept, a real run:

    >>> from py_image_dedup import Deduplicator, Options, Root, SqliteStore
    >>> with SqliteStore(state / "index.sqlite3") as store:
    ...     work = Deduplicator(store, Options(state_directory=state))
    ...     result = work.deduplicate([Root(pictures)], dry_run=False)
    >>> [str(outcome.status) for outcome in result.outcomes]
    ['done']
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from py_image_dedup.matching.matcher import Scope
from py_image_dedup.model.events import Observer, ignore
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import Outcome, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import Confirm, FindOptions, Options, RunContext
from py_image_dedup.pipeline.run import analyse_only, deduplicate, deduplicate_batch
from py_image_dedup.store.base import Store
from py_image_dedup.store.sqlite.store import SqliteStore

__all__ = ["INDEX_NAME", "Confirm", "Deduplicator", "FindOptions", "Options", "SqliteStore", "find_duplicates", "never"]

INDEX_NAME = "index.sqlite3"
"""Of the embedded index in the state directory."""


def never() -> bool:
    """Never stop."""
    return False


class Deduplicator:
    """Runs the phases over one index. For one thread at a time; only ``should_stop`` may change from another.

    Args:
        store: The index; stays open.
        options: What a run does.
        observer: Told of everything, from several threads.
        should_stop: Polled by all long work; a run that it stops keeps what was done and says ``interrupted``.
        confirm: Asked once, before anything is removed; ``False`` makes the run a dry one.
    """

    def __init__(
        self,
        store: Store,
        options: Options,
        *,
        observer: Observer = ignore,
        should_stop: Callable[[], bool] = never,
        confirm: Confirm | None = None,
    ) -> None:
        self._context = RunContext(store, options, observer, should_stop, confirm)

    def analyse(self, roots: Sequence[Root]) -> RunResult:
        """Bring the index up to date with the files under the roots: phases count to analyse.

        Returns:
            What was done; with ``error`` if it could not be done, and ``interrupted`` if it was stopped.

        Raises:
            StoreError: The index cannot be used.
        """
        return analyse_only(self._context, roots)

    def deduplicate(
        self,
        roots: Sequence[Root],
        *,
        dry_run: bool,
        skip_analyse: bool = False,
        without: Collection[bytes] = frozenset(),
    ) -> RunResult:
        """Find the duplicates under the roots and remove them: all phases.

        Args:
            roots: What is searched.
            dry_run: Everything is planned and nothing is changed but the index and the folder of the run.
            skip_analyse: New and changed files are left out instead of read.
            without: Raw paths that this run leaves alone, such as files that are still being written.

        Returns:
            What was done; with ``error`` if it could not be done, and ``interrupted`` if it was stopped.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            ValueError: A real run has no state directory to keep its journal in.
        """
        self._check_journal(dry_run)
        return deduplicate(self._context, roots, dry_run=dry_run, skip_analyse=skip_analyse, without=without)

    def process(
        self, roots: Sequence[Root], ready: Sequence[bytes], gone: Sequence[bytes], *, dry_run: bool
    ) -> RunResult:
        """Do what ``deduplicate`` does for some files only: its cost follows them, not the library.

        The files are read, compared with everything in the index under the roots, and what matches them directly is
        ranked together with them.

        Args:
            roots: The folders that the files and their partners are in.
            ready: Raw paths of files that are new or have changed.
            gone: Raw paths of files and folders that are no more.
            dry_run: As for ``deduplicate``.

        Returns:
            What was done; ``files`` counts the ready ones.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            ValueError: A real run has no state directory to keep its journal in.
        """
        self._check_journal(dry_run)
        return deduplicate_batch(self._context, roots, ready, gone, dry_run=dry_run)

    def apply(self, plan: Plan) -> RunResult:
        """Carry out a saved plan; see ``removal.serialization.load_plan``.

        Every file is checked again, and what is not the same by bytes is compared in full with its keeper once more or
        looked up in the index: a file that changed, or that has something of its own, is skipped with the reason.

        Args:
            plan: The plan of an earlier run; actions may have been deleted from it.

        Returns:
            The outcomes, in the order of the plan.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            PlanError: The plan breaks what is true of every plan; nothing was removed.
            JournalError: The journal cannot be written.
            RunLockedError: Another run is going on.
            ValueError: There is no state directory to keep the journal in.
        """
        from py_image_dedup.pipeline.remove import apply_plan

        return apply_plan(self._context, plan)

    def undo(self, run: str) -> tuple[Outcome, ...]:
        """Bring back what a run removed, the last file first.

        Args:
            run: The name of the run, as ``RunResult.run`` has it.

        Returns:
            One outcome for each action that was begun: ``done`` with the path as target, ``skipped``, or ``failed``
            with the reason.

        Raises:
            JournalError: There is no such run, or its journal cannot be read or written.
            RunLockedError: Another run is going on.
            ValueError: There is no state directory.
        """
        from py_image_dedup.removal.runs import RUNS_NAME, RunLock
        from py_image_dedup.removal.undo import undo

        state = self._context.options.state_directory
        if state is None:
            raise ValueError("a run is undone by its journal, which is kept in a state directory only")
        with RunLock(state):
            return undo(state / RUNS_NAME / run, observer=self._context.observer, should_stop=self._context.should_stop)

    def prepare(self, roots: Sequence[Root]) -> None:
        """Load what ``process`` searches, so that its first call does not wait for it.

        Args:
            roots: As for ``process``.

        Raises:
            StoreError: The index cannot be used.
        """
        from py_image_dedup.pipeline.incremental import prepare

        prepare(self._context, roots)

    def _check_journal(self, dry_run: bool) -> None:  # noqa: FBT001 - the caller's word
        if not dry_run and self._context.options.state_directory is None:
            raise ValueError("files are removed only with a state directory, where the journal of the run is kept")
        if not dry_run and not self._context.options.inspect:
            raise ValueError("files are removed only after they were compared in full: inspect, or make a dry run")


def find_duplicates(
    *folders: str | Path,
    max_distance: float | None = None,
    recursive: bool = True,
    protected: Sequence[str | Path] = (),
    options: Options | None = None,
    state_directory: str | Path | None = None,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
) -> RunResult:
    """Find the duplicates in folders, in one call and without changing anything.

    Args:
        folders: What is searched, as one pool: files of different folders may match.
        max_distance: Of signatures, 0 (the same) to 1 (unlike); see ``FindOptions``. ``None``: as the options say.
        recursive: Folders below are searched too.
        protected: Further folders, of originals: their files are keepers and never redundant.
        options: Everything else, the scope included; what is given above wins.
        state_directory: Where the index is kept, so that the next call reads only what is new. Without it the index
            lives as long as the call.
        observer: Told of everything, from several threads.
        should_stop: Polled; the result then says ``interrupted``.

    Returns:
        The groups, and the plan of what a real run would do as outcomes with the status ``planned``.

    Raises:
        StoreError: The index in the state directory cannot be used.
    """
    base = options or Options(find=FindOptions(scope=Scope.ALL))
    chosen = replace(
        base,
        selector=replace(base.selector, recursive=recursive),
        find=base.find if max_distance is None else replace(base.find, max_distance=max_distance),
        state_directory=None if state_directory is None else Path(state_directory),
    )
    roots = [Root(Path(os.path.abspath(folder))) for folder in folders]  # noqa: PTH100 - keeps links, drops ".."
    roots += [Root(Path(os.path.abspath(folder)), protected=True) for folder in protected]  # noqa: PTH100 - as above
    with (
        tempfile.TemporaryDirectory(prefix="py-image-dedup-") as temporary,
        SqliteStore((chosen.state_directory or Path(temporary)) / INDEX_NAME) as store,
    ):
        work = Deduplicator(store, chosen, observer=observer, should_stop=should_stop)
        return work.deduplicate(roots, dry_run=True)
