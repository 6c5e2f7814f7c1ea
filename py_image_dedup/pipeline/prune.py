"""Phase 7: folders that the run emptied are removed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Outcome, Plan
from py_image_dedup.model.result import PhaseSummary


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
