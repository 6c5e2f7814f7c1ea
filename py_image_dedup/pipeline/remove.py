"""The stage that removes: ranked groups become a plan, and a plan is carried out or shown."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import QUARANTINE_NAME, ActionKind, Kept, Outcome, OutcomeStatus, Plan
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.pipeline.options import RunContext
from py_image_dedup.removal.executor import show
from py_image_dedup.removal.plan import RemovalOptions, check_plan, make_plan
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
from py_image_dedup.store.base import Store


@dataclass(frozen=True, slots=True)
class Removed:
    """What the phase did.

    Attributes:
        outcomes: One an action, in the order of the plan.
        summary: ``actions``, and how many ended how: ``planned``, ``done``, ``skipped``, ``failed``.
    """

    outcomes: tuple[Outcome, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class QuarantinePolicy:
    """When files in quarantine may be deleted.

    Attributes:
        days: The time that a file waits at least.
        now: The time of the run, with time zone.
        store: The index, which knows further copies of keepers.
    """

    days: float
    now: datetime
    store: Store


@dataclass(frozen=True, slots=True)
class Removal:
    """What the stage is about to do.

    Attributes:
        plan: Every action, also those that delete files from the quarantine.
        kept: Files whose time in quarantine is over and that stay.
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
) -> Removal:
    """Make the plan of a run and save it as ``plan.json``, so that it can be looked at and carried out later.

    Args:
        run: The name of the run.
        groups: As the phase ``rank`` returns them.
        roots: As ``Inventory.roots`` has them.
        options: What the user wants.
        run_directory: Made if it is not there.
        quarantine: When files in quarantine may be deleted; ``None``: never in this run.

    Raises:
        PlanError: No safe plan can be made.
        OSError: The plan could not be saved.
    """
    removal = Removal(make_plan(run, groups, roots, options, taken=os.path.lexists))
    if quarantine is not None:
        removal = _with_expiry(removal.plan, roots, run_directory.parent, quarantine)
    save_plan(removal.plan, run_directory / PLAN_NAME)
    return removal


def _with_expiry(plan: Plan, roots: Sequence[Root], runs_directory: Path, policy: QuarantinePolicy) -> Removal:
    """Add the deletion of files that waited in quarantine for long enough; most libraries have none."""
    places = [root.path for root in roots if not root.protected and (root.path / QUARANTINE_NAME).is_dir()]
    if not places:
        return Removal(plan)
    # Not at the top: few runs find anything in quarantine.
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
    should_stop: Callable[[], bool] = lambda: False,
) -> Removed:
    """Carry a plan out, or show what it would do.

    Args:
        plan: From ``plan_removal`` or ``removal.plan_file.load_plan``.
        run_directory: Where the journal is written. The caller holds ``removal.lock.RunLock``.
        dry_run: Nothing is done.
        observer: Is told the phase and every outcome.
        should_stop: Asked before each file.

    Raises:
        PlanError: The plan breaks what is true of every plan, or the folder has the journal of another one.
        JournalError: The journal cannot be opened; nothing was done.
    """
    observer(PhaseStarted(Phase.REMOVE, len(plan.actions)))
    begun = time.perf_counter()
    if dry_run:
        outcomes = show(plan, observer)
    else:
        # Not at the top: a dry run starts sooner without all that moves and journals files.
        from py_image_dedup.removal.executor import execute

        outcomes = execute(plan, run_directory, observer=observer, should_stop=should_stop)
        if any((root / QUARANTINE_NAME).is_dir() for root in plan.roots):
            from py_image_dedup.removal.manifest import tidy_quarantines

            tidy_quarantines(root for root in plan.roots if root not in plan.protected)
    ended: Counter[OutcomeStatus] = Counter(outcome.status for outcome in outcomes)
    counts = {"actions": len(outcomes)} | {status.value: ended[status] for status in OutcomeStatus if ended[status]}
    expired = [each for each in outcomes if each.action.kind is ActionKind.EXPIRE]
    if expired:
        counts["expired"] = sum(each.status is OutcomeStatus.DONE for each in expired)
    summary = PhaseSummary(Phase.REMOVE, time.perf_counter() - begun, counts)
    observer(PhaseFinished(summary))
    return Removed(outcomes, summary)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the phase did.

    Attributes:
        folders: That are gone, in the order in which they went.
        summary: ``pruned``: how many.
    """

    folders: tuple[Path, ...]
    summary: PhaseSummary


def prune(
    plan: Plan, outcomes: Sequence[Outcome], run_directory: Path, *, dry_run: bool, observer: Observer = ignore
) -> Pruned:
    """Remove the folders that this run emptied, if the plan asks for it and something was done.

    Args:
        plan: Of the run.
        outcomes: Of the phase ``remove``.
        run_directory: Its journal is told, so that an undo makes the folders again.
        dry_run: Nothing is done.
        observer: Is told the phase.

    Raises:
        JournalError: The journal cannot be written; nothing more was removed.
    """
    observer(PhaseStarted(Phase.PRUNE, unit="folders"))
    begun = time.perf_counter()
    folders: tuple[Path, ...] = ()
    if plan.prune and not dry_run:
        # Not at the top, as in the phase before.
        from py_image_dedup.removal.folders import prune as prune_folders

        folders = prune_folders(plan, outcomes, run_directory)
    summary = PhaseSummary(Phase.PRUNE, time.perf_counter() - begun, {"pruned": len(folders)})
    observer(PhaseFinished(summary))
    return Pruned(folders, summary)


def apply_plan(context: RunContext, plan: Plan) -> RunResult:
    """Carry out a saved plan: compare what is not the same by bytes, remove, drop the index entries, prune.

    Args:
        context: The index, the options, and whom to report to.
        plan: The plan; actions may have been deleted from it.

    Returns:
        The outcomes, in the order of the plan; ``interrupted`` if it was stopped.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
        PlanError: The plan breaks what is true of every plan; nothing was removed.
        JournalError: The journal cannot be written.
        RunLockedError: Another run is going on.
        ValueError: There is no state directory to keep the journal in.
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
        allowed, refused = inspect_plan(plan, context)
        observer, should_stop = context.observer, context.should_stop
        removed = remove(allowed, folder, dry_run=False, observer=observer, should_stop=should_stop)
        gone = [outcome.action.source.path for outcome in removed.outcomes if outcome.status is OutcomeStatus.DONE]
        context.store.remove(gone)
        pruned = prune(allowed, removed.outcomes, folder, dry_run=False, observer=observer)
    return RunResult(
        run=plan.run,
        started=started,
        dry_run=False,
        roots=plan.roots,
        max_distance=context.options.find.distance_bound,
        outcomes=tuple(sorted((*removed.outcomes, *refused), key=lambda outcome: outcome.action.number)),
        phases=(removed.summary, pruned.summary),
        files=len(plan.actions),
        pruned_folders=pruned.folders,
        interrupted=context.should_stop(),
    )
