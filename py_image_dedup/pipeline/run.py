"""One run: the seven phases in order, and what they tell in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from py_image_dedup.model.events import PhaseFinished, PhaseStarted, RunFinished, RunStarted
from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.file import FileStat, Inventory, Root
from py_image_dedup.model.photo import Versions
from py_image_dedup.model.plan import Outcome, OutcomeStatus
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.pipeline.cleanup import cleanup
from py_image_dedup.pipeline.count import count
from py_image_dedup.pipeline.find import find
from py_image_dedup.pipeline.gc_pause import paused_collection
from py_image_dedup.pipeline.options import Parts
from py_image_dedup.pipeline.rank import rank, with_partial
from py_image_dedup.pipeline.remove import plan_removal, prune, remove
from py_image_dedup.pipeline.verification import open_pair_verifier
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.removal.journal import JOURNAL_NAME, JournalError
from py_image_dedup.removal.plan import PlanError, make_plan
from py_image_dedup.removal.runs import RUNS_NAME, RunLock, RunLockedError, free_run_name, run_name
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.store.base import StoreError

if TYPE_CHECKING:
    from py_image_dedup.pipeline.verification import PairVerifier
    from py_image_dedup.store.base import SearchableStore

# What only some runs need (decoders, what moves files, batches) is imported where it is needed: a run over an unchanged
# library takes a second, and should not spend a good part of it on code that it does not use.

_log = logging.getLogger(__name__)


class _Stopped(Exception):  # noqa: N818 - the user's wish, no error
    """The user wants no more."""


class Run:
    """One run. What it knows so far becomes its result, wherever it ends. Used once, by one thread.

    Args:
        parts: What it works with.
        roots: What is searched.
        dry_run: Nothing is changed but the index and the folder of the run.
        without: Raw paths that are left alone: files that are still being written.
    """

    def __init__(
        self, parts: Parts, roots: Sequence[Root], *, dry_run: bool, without: Collection[bytes] = frozenset()
    ) -> None:
        self._parts = parts
        self._roots = tuple(roots)
        self._without = without
        self._full = True
        self._started = datetime.now(UTC)
        self._phases: list[PhaseSummary] = []
        self._failures: list[Failure] = []
        self._result = RunResult(
            run=run_name(self._started),
            started=self._started,
            dry_run=dry_run,
            roots=tuple(root.path for root in roots),
            max_distance=parts.options.find.distance_bound,
        )

    def analyse(self) -> RunResult:
        """Phases count to analyse.

        Raises:
            StoreError: The index cannot be used.
        """
        return self._carry_out(lambda: self._read(self._look()[1]))

    def deduplicate(self, *, skip_analyse: bool) -> RunResult:
        """All phases.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
        """
        parts = self._parts

        def work() -> None:
            self._recover()
            with paused_collection():
                inventory, stale = self._look()
            if not skip_analyse:
                self._read(stale)
            with open_pair_verifier(parts.store, parts.options) as verifier:
                self._find_and_rank(inventory, parts.store, verifier)
            self._remove(inventory)

        return self._carry_out(work)

    def batch(self, ready: Sequence[bytes], gone: Sequence[bytes]) -> RunResult:
        """All phases, for some files and what is near them in the index.

        Args:
            ready: Raw paths of files that are new or have changed.
            gone: Raw paths of files and folders that are no more.

        Raises:
            StoreError: The index cannot be used; nothing was removed.
        """
        from py_image_dedup.pipeline.incremental import forget_gone, is_known, look_at, surroundings

        parts, options = self._parts, self._parts.options
        self._full = False

        def work() -> None:
            inventory = look_at(ready, self._roots, options.walked)
            self._failures.extend(inventory.failures)
            self._know(files=len(inventory))
            forget_gone(gone, inventory, parts.store, parts.should_stop)
            self._read([stat for stat in inventory if not is_known(stat, parts.store, self._versions)])
            with open_pair_verifier(parts.store, options) as verifier:
                near = surroundings(inventory, parts, verifier)
                self._go_on()
                around = look_at(near.raw_paths, self._roots, options.walked)
                self._find_and_rank(around, near, verifier, near.numbers)
            self._remove(around)

        return self._carry_out(work)

    def _carry_out(self, work: Callable[[], None]) -> RunResult:
        """Work under the lock of the state directory; whatever happens becomes a result."""
        state = self._parts.options.state_directory
        try:
            with RunLock(state) if state is not None else nullcontext():
                if state is not None:
                    self._know(run=free_run_name(self._started, state / RUNS_NAME))
                self._parts.observer(RunStarted(self._result.run, self._result.dry_run, self._full))
                work()
        except StoreError:
            raise
        except _Stopped:
            self._know(interrupted=True)
        except (RunLockedError, PlanError, JournalError, OSError) as error:
            self._know(error=str(error))
        except Exception as error:  # noqa: BLE001 - logged; what was removed so far must be told all the same
            _log.exception("the run %s failed", self._result.run)
            self._know(error=f"unexpected {type(error).__name__}: {error}")
        self._know(phases=tuple(self._phases), failures=tuple(self._failures))
        self._parts.observer(RunFinished(self._result))
        return self._result

    def _know(self, **facts: object) -> None:
        self._result = replace(self._result, **facts)  # type: ignore[arg-type] # the names are those of the fields

    @property
    def _versions(self) -> Versions:
        return self._parts.options.analyse.versions

    @property
    def _folder(self) -> Path | None:
        state = self._parts.options.state_directory
        return None if state is None else state / RUNS_NAME / self._result.run

    def _recover(self) -> None:
        """Complete what a killed run left half done, so that its files are there to be counted."""
        folder = self._folder
        if self._result.dry_run or folder is None or not folder.parent.is_dir():
            return
        from py_image_dedup.removal.recovery import recover

        for name in sorted((run.name for run in folder.parent.iterdir()), reverse=True):
            if (folder.parent / name / JOURNAL_NAME).is_file():
                for outcome in recover(folder.parent / name):
                    _log.warning("%s, of the killed run %s: %s", outcome.action.source.path, name, outcome.status)
                return

    def _look(self) -> tuple[Inventory, tuple[FileStat, ...]]:
        parts = self._parts
        counted = count(self._roots, parts.options.walked, observer=parts.observer, should_stop=parts.should_stop)
        inventory = counted.inventory
        if self._without:
            stamps = {raw: stamp for raw, stamp in inventory.stamps.items() if raw not in self._without}
            inventory = replace(inventory, stamps=stamps)
        self._phases.append(counted.summary)
        self._failures.extend(inventory.failures)
        self._know(files=len(inventory))
        self._go_on()
        if not inventory.roots:
            words = "; ".join(failure.message for failure in inventory.failures)
            raise OSError(f"there is nothing to search: {words or 'no folder was given'}")
        cleaned = cleanup(
            inventory, parts.store, self._versions, observer=parts.observer, should_stop=parts.should_stop
        )
        self._phases.append(cleaned.summary)
        self._failures.extend(cleaned.failures)
        self._go_on()
        return inventory, cleaned.stale

    def _read(self, stale: Sequence[FileStat]) -> None:
        parts = self._parts
        parts.observer(PhaseStarted(Phase.ANALYSE, len(stale)))
        summary = PhaseSummary(Phase.ANALYSE, 0.0, {"analysed": 0, "known": 0, "failed": 0, "bytes": 0})
        if stale:
            from py_image_dedup.pipeline.analyse import analyse

            analysed = analyse(
                stale, parts.store, parts.options.analyse, observer=parts.observer, should_stop=parts.should_stop
            )
            summary = analysed.summary
            self._failures.extend(analysed.failures)
        parts.observer(PhaseFinished(summary))
        self._phases.append(summary)
        self._go_on()

    def _find_and_rank(
        self,
        inventory: Inventory,
        searched: SearchableStore,
        verifier: PairVerifier | None,
        contents: Sequence[int] | None = None,
    ) -> None:
        parts, options = self._parts, self._parts.options
        searching = partial(find, observer=parts.observer, should_stop=parts.should_stop)
        found = searching(inventory, searched, self._versions, options.find, verifier=verifier, contents=contents)
        self._phases.append(found.summary)
        self._go_on()
        with paused_collection():
            ranked = rank(
                found.groups,
                found.matcher,
                Ranker(options.rules, Ownership(inventory.roots).is_protected, options.find.distance_bound),
                options.removal.remove_classes,
                observer=parts.observer,
                should_stop=parts.should_stop,
            )
        self._phases.append(ranked.summary)
        reported = with_partial(ranked, found.partial, options.find.eligibility)
        self._know(groups=ranked.groups, reported=reported)
        self._go_on()

    def _remove(self, inventory: Inventory) -> None:
        parts, removal, folder = self._parts, self._parts.options.removal, self._folder
        groups, run = self._result.groups, self._result.run
        with paused_collection():
            if folder is None:
                plan = make_plan(run, groups, inventory.roots, removal)
            else:
                plan = plan_removal(run, groups, inventory.roots, removal, folder)
        self._go_on()
        if plan.actions and not self._result.dry_run and parts.confirm is not None:
            self._know(dry_run=not parts.confirm(plan, groups))
        dry_run, directory = self._result.dry_run, folder or Path()
        removed = remove(plan, directory, dry_run=dry_run, observer=parts.observer, should_stop=parts.should_stop)
        self._know(outcomes=removed.outcomes)
        if not dry_run:
            self._forget(removed.outcomes)
        self._phases.append(removed.summary)
        self._phases[-1] = self._expire(removed.summary, inventory)
        pruned = prune(plan, removed.outcomes, directory, dry_run=dry_run, observer=parts.observer)
        self._phases.append(pruned.summary)
        self._know(pruned_folders=pruned.folders)
        self._go_on()

    def _forget(self, outcomes: Sequence[Outcome]) -> None:
        """Drop the entries of files that are gone, and of those that were not as the index said."""
        paths: set[Path] = set()
        for outcome in outcomes:
            if outcome.status is OutcomeStatus.DONE:
                paths.add(outcome.action.source.path)
            elif outcome.status is OutcomeStatus.SKIPPED and not self._parts.should_stop():
                paths |= {outcome.action.source.path, outcome.action.keeper.path}
        try:
            self._parts.store.remove(sorted(paths))
        except StoreError as error:
            # Files were removed, and that must be told; the next run's cleanup drops these entries.
            self._know(error=f"the files were handled, but the index could not be updated: {error}")

    def _expire(self, summary: PhaseSummary, inventory: Inventory) -> PhaseSummary:
        """Delete what has waited in quarantine long enough; a part of the phase ``remove``."""
        days, folder = self._parts.options.quarantine_days, self._folder
        if self._result.dry_run or days is None or folder is None or self._parts.should_stop():
            return summary
        from py_image_dedup.removal.quarantine import expire

        roots = [root.path for root in inventory.roots if not root.protected]
        outcomes = expire(folder.parent, roots, days, self._started, should_stop=self._parts.should_stop)
        expired = sum(outcome.status is OutcomeStatus.DONE for outcome in outcomes)
        for outcome in outcomes:
            if outcome.status is not OutcomeStatus.DONE:
                _log.info("%s", outcome.message)
        return replace(summary, counts={**summary.counts, "expired": expired}) if outcomes else summary

    def _go_on(self) -> None:
        if self._parts.should_stop():
            raise _Stopped
