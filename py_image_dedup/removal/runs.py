"""The runs that a state directory remembers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.removal.invariants import PlanError
from py_image_dedup.removal.journal import JournalError
from py_image_dedup.removal.plan_file import PLAN_NAME, load_plan

RUNS_NAME: Final = "runs"
"""Of the folder in the state directory that has a folder a run."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run.

    Attributes:
        run: Its name.
        directory: Its folder.
        when: Its beginning, with time zone.
        planned: How many actions its plan has.
        counts: How many of them ended how.
        undone: How many were brought back.
        expired: How many were deleted from the quarantine, their days being over.
        interrupted: It was killed or stopped, or its undoing was, and can be gone on with.
        dry_run: It did nothing to the disk.
        problem: Why more cannot be told: a damaged journal, a plan of a newer version.
    """

    run: str
    directory: Path
    when: datetime
    planned: int = 0
    counts: Mapping[OutcomeStatus, int] = field(default_factory=dict)
    undone: int = 0
    expired: int = 0
    interrupted: bool = False
    dry_run: bool = True
    problem: str = ""

    @property
    def is_undone(self) -> bool:
        """Whether everything that it removed was brought back."""
        return 0 < self.undone == self.counts.get(OutcomeStatus.DONE, 0)


def list_runs(state_directory: Path) -> tuple[RunSummary, ...]:
    """Return every run of a state directory that has a plan or a journal, the oldest first.

    Raises:
        OSError: The folder of the runs is there and cannot be read.
    """
    runs = state_directory / RUNS_NAME
    if not runs.is_dir():
        return ()
    found = [_summary(folder) for folder in runs.iterdir() if folder.is_dir()]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.when, one.run)))


def _summary(directory: Path) -> RunSummary | None:
    # Not at the top: every run imports this module for a name, and few ask what earlier runs did.
    from py_image_dedup.removal.history import State, read_history

    problems: list[str] = []
    planned = 0
    when: datetime | None = None
    plan_path = directory / PLAN_NAME
    try:
        if plan_path.exists():  # a run without a plan may have a journal
            when = datetime.fromtimestamp(plan_path.stat().st_mtime, UTC)
            planned = len(load_plan(plan_path).actions)
    except (PlanError, OSError) as error:
        problems.append(str(error))
    try:
        history = read_history(directory)
    except JournalError as error:
        problems.append(str(error))
        return RunSummary(directory.name, directory, when or _EPOCH, planned, problem="; ".join(problems))
    if when is None and not history.run:
        return None
    if history.damaged:
        problems.append(f"{history.damaged} lines of its journal cannot be read")
    states = Counter(entry.state for entry in history.entries.values())
    counts = Counter(history.outcomes.values())
    return RunSummary(
        run=directory.name,
        directory=directory,
        when=history.started or when or _EPOCH,
        planned=max(planned, len(history.outcomes)),
        counts=dict(counts),
        undone=states[State.UNDONE],
        expired=states[State.EXPIRED],
        interrupted=bool(history.run) and (bool(history.unfinished) or sum(counts.values()) < planned),
        dry_run=not history.run,
        problem="; ".join(problems),
    )


_EPOCH: Final = datetime.fromtimestamp(0, UTC)
