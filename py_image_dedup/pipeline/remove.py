"""Phase 6: ranked groups become a plan, and the plan is carried out or shown."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import Outcome, OutcomeStatus, Plan
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.removal.executor import show
from py_image_dedup.removal.plan import RemovalOptions, make_plan
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan


@dataclass(frozen=True, slots=True)
class Removed:
    """What the phase did.

    Attributes:
        outcomes: One an action, in the order of the plan.
        summary: ``actions``, and how many ended how: ``planned``, ``done``, ``skipped``, ``failed``.
    """

    outcomes: tuple[Outcome, ...]
    summary: PhaseSummary


def plan_removal(
    run: str, groups: Sequence[RankedGroup], roots: Sequence[Root], options: RemovalOptions, run_directory: Path
) -> Plan:
    """Make the plan of a run and save it as ``plan.json``, so that it can be looked at and carried out later.

    Args:
        run: The name of the run.
        groups: As the phase ``rank`` returns them.
        roots: As ``Inventory.roots`` has them.
        options: What the user wants.
        run_directory: Made if it is not there.

    Raises:
        PlanError: No safe plan can be made.
        OSError: The plan could not be saved.
    """
    plan = make_plan(run, groups, roots, options, taken=os.path.lexists)
    save_plan(plan, run_directory / PLAN_NAME)
    return plan


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

        outcomes = execute(plan, run_directory, dry_run=False, observer=observer, should_stop=should_stop)
    ended: Counter[OutcomeStatus] = Counter(outcome.status for outcome in outcomes)
    counts = {"actions": len(outcomes)} | {status.value: ended[status] for status in OutcomeStatus if ended[status]}
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
