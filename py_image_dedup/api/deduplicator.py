"""The class that runs the stages over one index, and an observer for what is in no group."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from py_image_dedup.model.events import Event, InventoryTaken, Observer, ignore, never
from py_image_dedup.model.file import Inventory, Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import Outcome, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import Confirm, Options, RunContext
from py_image_dedup.pipeline.run import analyse_only, deduplicate, deduplicate_batch, find_only
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.api.damage import Damages


class Deduplicator:
    """Runs the stages over one index. Not thread-safe, except that ``should_stop`` may depend on other threads.

    Args:
        store: The index; it stays open.
        options: Options of all runs.
        observer: Receives the events, from several threads.
        should_stop: Returns whether to stop, called often; a stopped run keeps its work so far and is
            ``interrupted``.
        confirm: Returns whether to remove files, called once per run before the first removal; ``False`` makes the run
            a dry run.
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
        """Bring the index up to date with the files under the roots: the stages count, cleanup and analyse.

        Returns:
            The result, with ``error`` if the run failed and ``interrupted`` if it was stopped.

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
        """Find the duplicates under the roots and remove them: all stages.

        Args:
            roots: Folders to search.
            dry_run: Whether to plan only, and to change nothing but the index and the folder of the run.
            skip_analyse: Whether new and changed files are skipped instead of read.
            without: Raw paths of files that this run ignores, such as files that are still being written.

        Returns:
            The result, with ``error`` if the run failed and ``interrupted`` if it was stopped.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            ValueError: A real run has no state directory for its journal.
        """
        self._check_journal(dry_run)
        return deduplicate(self._context, roots, dry_run=dry_run, skip_analyse=skip_analyse, without=without)

    def find(self, roots: Sequence[Root]) -> RunResult:
        """Find the duplicates under the roots, without planning a removal: nothing but the index is changed.

        Args:
            roots: Folders to search.

        Returns:
            The result, with ``error`` if the run failed and ``interrupted`` if it was stopped.

        Raises:
            StoreError: The index cannot be used.
        """
        return find_only(self._context, roots)

    def find_damage(self, roots: Sequence[Root]) -> Damages:
        """Read every picture under the roots and return the damaged ones; see ``pipeline.damage``.

        The index is not changed; it reveals files whose bytes changed while their size and time did not.

        Args:
            roots: Folders to search.

        Raises:
            StoreError: The index cannot be used.
        """
        from py_image_dedup.api.damage import find_damage
        from py_image_dedup.pipeline.cleanup import count

        context, options = self._context, self._context.options
        observer, should_stop = context.observer, context.should_stop
        inventory = count(roots, options.walked, observer=observer, should_stop=should_stop).inventory
        inventory = options.analyse.photos_of(inventory)
        threads, limits = options.analyse.threads, options.analyse.limits
        photos = options.analyse.photos_of(inventory)  # videos are not decoded in full
        return find_damage(photos, context.store, threads, limits, observer=observer, should_stop=should_stop)

    def process(
        self, roots: Sequence[Root], ready: Sequence[bytes], gone: Sequence[bytes], *, dry_run: bool
    ) -> RunResult:
        """Do what ``deduplicate`` does for some files only: the cost grows with them, not with the library.

        The files are read and compared with the whole index under the roots, and files that match them directly are
        ranked together with them.

        Args:
            roots: Folders of the files and of possible matches.
            ready: Raw paths of new or changed files.
            gone: Raw paths of deleted files and folders.
            dry_run: Whether to plan only, as for ``deduplicate``.

        Returns:
            The result; ``files`` is the number of ready files and of other pictures of their photos.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            ValueError: A real run has no state directory for its journal.
        """
        self._check_journal(dry_run)
        return deduplicate_batch(self._context, roots, ready, gone, dry_run=dry_run)

    def apply(self, plan: Plan) -> RunResult:
        """Carry out a saved plan; see ``removal.serialization.load_plan``.

        Every file is checked again. Files that are not byte-identical to their keeper are compared with it in full, or
        the index has the result: a file that changed, or has content of its own, is skipped with the reason.

        Args:
            plan: The plan of an earlier run; actions may have been deleted from it.

        Returns:
            The outcomes, in the order of the plan.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
            PlanError: The plan violates an invariant of all plans; nothing was removed.
            JournalError: The journal cannot be written.
            RunLockedError: Another run is in progress.
            ValueError: There is no state directory for the journal.
        """
        from py_image_dedup.pipeline.remove import apply_plan

        return apply_plan(self._context, plan)

    def undo(self, run: str) -> tuple[Outcome, ...]:
        """Restore the files that a run removed, the last one first.

        Args:
            run: Name of the run, from ``RunResult.run``.

        Returns:
            One outcome per action that was started: ``done`` with the path as target, ``skipped``, or ``failed`` with
            the reason.

        Raises:
            JournalError: There is no such run, or its journal cannot be read or written.
            RunLockedError: Another run is in progress.
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
        """Load the search data of ``process``, so that its first call does not wait for them.

        Args:
            roots: Folders, as for ``process``.

        Raises:
            StoreError: The index cannot be used.
        """
        from py_image_dedup.pipeline.incremental import prepare

        prepare(self._context, roots)

    def _check_journal(self, dry_run: bool) -> None:  # noqa: FBT001 - passed on from the caller
        if not dry_run and self._context.options.state_directory is None:
            raise ValueError("files are removed only with a state directory, where the journal of the run is kept")
        if not dry_run and not self._context.options.inspect:
            raise ValueError("files are removed only after they were compared in full: inspect, or make a dry run")


class Taken:
    """An observer that keeps the inventory of a run, for what is in no group. Thread-safe.

    Args:
        observer: Receives every event too.
    """

    def __init__(self, observer: Observer = ignore) -> None:
        self._observer = observer
        self.inventory: Inventory | None = None

    def __call__(self, event: Event, /) -> None:
        """Keep the inventory, and pass the event on."""
        if isinstance(event, InventoryTaken):
            self.inventory = event.inventory
        self._observer(event)

    @property
    def unprotected(self) -> int:
        """The number of files outside of protected folders."""
        if self.inventory is None:
            return 0
        is_protected = Ownership(self.inventory.roots).is_protected
        return sum(not is_protected(raw) for raw in self.inventory.stamps)

    def with_few_copies(self, result: RunResult, copies: int = 1) -> list[Path]:
        """Return the files outside of protected folders that have fewer copies than wanted, besides themselves.

        Args:
            result: The result of the run.
            copies: Number of copies that are enough; 1 for the files that exist once.
        """
        if self.inventory is None:
            return []
        counts: Counter[bytes] = Counter()
        for group in result.groups:
            members = (group.keeper, *(each.entry for each in group.redundant))
            counts.update({entry.stat.raw_path: len(members) - 1 for entry in members})
        for match in result.reported:
            if match.match_class in _COPIES:
                counts.update((match.left.stat.raw_path, match.right.stat.raw_path))
        is_protected = Ownership(self.inventory.roots).is_protected
        few = (raw for raw in self.inventory.stamps if counts[raw] < copies and not is_protected(raw))
        return [Path(os.fsdecode(raw)) for raw in sorted(few)]


_COPIES = frozenset({MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR})
"""Classes of matches between copies of one picture."""
