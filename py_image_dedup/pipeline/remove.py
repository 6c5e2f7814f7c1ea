"""The remove and prune stages: make the plan for ranked groups, carry it out, and remove emptied folders."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted, ignore, never
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import QUARANTINE_NAME, ActionKind, Kept, Outcome, OutcomeStatus, Plan
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.model.unit import NO_UNITS, Units
from py_image_dedup.pipeline.options import RunContext
from py_image_dedup.removal.executor import show
from py_image_dedup.removal.plan import RemovalOptions, check_plan, make_plan
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
from py_image_dedup.store.base import Store, StoreError


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of the stage ``remove``.

    Attributes:
        outcomes: One outcome per action, in the order of the plan.
        summary: Number of ``actions``, and of outcomes by status: ``planned``, ``done``, ``skipped``, ``failed``.
    """

    outcomes: tuple[Outcome, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class QuarantinePolicy:
    """The policy for deleting files from quarantine.

    Attributes:
        days: Minimum time in quarantine, in days.
        now: Time of the run, with time zone.
        store: The index, with further copies of keepers.
    """

    days: float
    now: datetime
    store: Store


@dataclass(frozen=True, slots=True)
class Removal:
    """A saved plan, with the quarantined files that it keeps.

    Attributes:
        plan: The plan, including actions that delete files from quarantine.
        kept: Files whose quarantine expired and that stay.
    """

    plan: Plan
    kept: tuple[Kept, ...] = ()


def plan_removal(
    run: str,
    groups: Sequence[RankedGroup],
    roots: Sequence[Root],
    options: RemovalOptions,
    run_directory: Path,
    quarantine: QuarantinePolicy | None = None,
    *,
    units: Units = NO_UNITS,
) -> Removal:
    """Make the plan of a run and save it as ``plan.json``, so that it can be reviewed and applied later.

    Args:
        run: Name of the run.
        groups: Ranked groups from the stages ``rank`` and ``inspect``.
        roots: Roots of the inventory.
        options: Options of the removal.
        run_directory: Folder of the run, created if missing.
        quarantine: Policy for deleting files from quarantine; ``None`` to delete none in this run.
        units: The photos that consist of several files.

    Raises:
        PlanError: No safe plan can be made.
        OSError: The plan could not be saved.
    """
    removal = Removal(make_plan(run, groups, roots, options, taken=os.path.lexists, units=units))
    if quarantine is not None:
        removal = _with_expiry(removal.plan, roots, run_directory.parent, quarantine)
    save_plan(removal.plan, run_directory / PLAN_NAME)
    return removal


def _with_expiry(plan: Plan, roots: Sequence[Root], runs_directory: Path, policy: QuarantinePolicy) -> Removal:
    """Add the deletion of files whose quarantine expired; most libraries have none."""
    places = [root.path for root in roots if not root.protected and (root.path / QUARANTINE_NAME).is_dir()]
    if not places:
        return Removal(plan)
    # Not at the top: few runs find files in quarantine.
    from py_image_dedup.removal.quarantine import list_quarantine, plan_expiry

    def in_index(digest: bytes) -> list[Path]:
        numbers = policy.store.content_ids([digest]).values()
        return [entry.stat.path for same in policy.store.contents(numbers, None).values() for entry in same]

    waiting = [one for one in list_quarantine(places, runs_directory) if one.journaled]
    age = timedelta(days=policy.days)
    expiry = plan_expiry(plan, waiting, runs_directory, age, policy.now, copies_in_index=in_index)
    return Removal(expiry.plan, expiry.kept)


def remove(
    plan: Plan,
    run_directory: Path,
    *,
    dry_run: bool,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
) -> Removed:
    """Carry out a plan, or report its actions in a dry run.

    Args:
        plan: Plan from ``plan_removal`` or ``removal.serialization.load_plan``.
        run_directory: Folder of the journal. The caller holds the ``removal.runs.RunLock``.
        dry_run: Whether to change nothing.
        observer: Receives the start, every outcome, and the end.
        should_stop: Returns whether to stop, called before each file.

    Raises:
        PlanError: The plan violates an invariant of all plans, or the folder has the journal of another plan.
        JournalError: The journal cannot be opened; nothing was removed.
    """
    observer(PhaseStarted(Phase.REMOVE, len(plan.actions)))
    begun = time.perf_counter()
    if dry_run:
        outcomes = show(plan, observer)
    else:
        # Not at the top: a dry run starts faster without the modules that move files and keep journals.
        from py_image_dedup.removal.executor import execute

        outcomes = execute(plan, run_directory, observer=observer, should_stop=should_stop)
        if any((root / QUARANTINE_NAME).is_dir() for root in plan.roots):
            from py_image_dedup.removal.quarantine import tidy_quarantines

            tidy_quarantines(root for root in plan.roots if root not in plan.protected)
    ended: Counter[OutcomeStatus] = Counter(outcome.status for outcome in outcomes)
    counts = {"actions": len(outcomes)} | {status.value: ended[status] for status in OutcomeStatus if ended[status]}
    expired = [each for each in outcomes if each.action.kind is ActionKind.EXPIRE]
    if expired:
        counts["expired"] = sum(each.status is OutcomeStatus.DONE for each in expired)
    summary = PhaseSummary(Phase.REMOVE, time.perf_counter() - begun, counts)
    observer(PhaseFinished(summary))
    return Removed(outcomes, summary)


def forget_removed(context: RunContext, outcomes: Sequence[Outcome]) -> str:
    """Drop the index entries of removed files, and of files that differed from their entries.

    Args:
        context: Dependencies of the run.
        outcomes: Outcomes of the stage ``remove``.

    Returns:
        Why the index could not be updated; empty if it was.
    """
    paths: set[Path] = set()
    for outcome in outcomes:
        if outcome.status is OutcomeStatus.DONE:
            paths.add(outcome.action.source.path)
        elif outcome.action.kind is ActionKind.EXPIRE:
            continue
        elif outcome.status is OutcomeStatus.SKIPPED and not context.should_stop():
            paths |= {outcome.action.source.path, outcome.action.keeper.path}
    try:
        context.store.remove(sorted(paths))
    except StoreError as error:
        # The removals must still be reported; the cleanup of the next run drops these entries.
        return f"the files were processed, but the index could not be updated: {error}"
    return ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of the stage ``prune``.

    Attributes:
        folders: Removed folders, in the order of removal.
        summary: Number of removed folders, ``pruned``.
    """

    folders: tuple[Path, ...]
    summary: PhaseSummary


def prune(
    plan: Plan, outcomes: Sequence[Outcome], run_directory: Path, *, dry_run: bool, observer: Observer = ignore
) -> Pruned:
    """Remove the folders that this run emptied, if the plan includes that.

    Args:
        plan: Plan of the run.
        outcomes: Outcomes of the stage ``remove``.
        run_directory: Folder of the journal, which records the folders so that an undo recreates them.
        dry_run: Whether to change nothing.
        observer: Receives the start and the end.

    Raises:
        JournalError: The journal cannot be written; no further folder was removed.
    """
    observer(PhaseStarted(Phase.PRUNE, unit="folders"))
    begun = time.perf_counter()
    folders: tuple[Path, ...] = ()
    if plan.prune and not dry_run:
        # Not at the top, as in ``remove``.
        from py_image_dedup.removal.folders import prune as prune_folders

        folders = prune_folders(plan, outcomes, run_directory)
    summary = PhaseSummary(Phase.PRUNE, time.perf_counter() - begun, {"pruned": len(folders)})
    observer(PhaseFinished(summary))
    return Pruned(folders, summary)


def apply_plan(context: RunContext, plan: Plan) -> RunResult:
    """Carry out a saved plan: compare files that are not byte-identical, remove, drop index entries, and prune.

    Args:
        context: Dependencies of the run.
        plan: The plan; actions may have been deleted from it.

    Returns:
        The result, with the outcomes in the order of the plan; ``interrupted`` if the run was stopped.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
        PlanError: The plan violates an invariant of all plans; nothing was removed.
        JournalError: The journal cannot be written.
        RunLockedError: Another run is in progress.
        ValueError: There is no state directory for the journal.
    """
    # Not at the top: few runs carry out a saved plan.
    from py_image_dedup.pipeline.inspection import inspect_plan
    from py_image_dedup.removal.runs import RUNS_NAME, RunLock

    state = context.options.state_directory
    if state is None:
        raise ValueError("files are removed only with a state directory, where the journal of the run is kept")
    started, folder = datetime.now(UTC), state / RUNS_NAME / plan.run
    with RunLock(state):
        check_plan(plan)
        inspected = inspect_plan(plan, context)
        allowed = inspected.plan
        observer, should_stop = context.observer, context.should_stop
        removed = remove(allowed, folder, dry_run=False, observer=observer, should_stop=should_stop)
        error = forget_removed(context, removed.outcomes)
        pruned = prune(allowed, removed.outcomes, folder, dry_run=False, observer=observer)
    return RunResult(
        run=plan.run,
        started=started,
        dry_run=False,
        roots=plan.roots,
        max_distance=context.options.find.distance_bound,
        outcomes=tuple(sorted((*removed.outcomes, *inspected.refused), key=lambda outcome: outcome.action.number)),
        phases=(*inspected.summaries, removed.summary, pruned.summary),
        files=len(plan.actions),
        pruned_folders=pruned.folders,
        interrupted=context.should_stop(),
        error=error or None,
    )
