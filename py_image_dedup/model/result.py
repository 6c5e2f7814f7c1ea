"""What a run did: the one value that every report and the exit code are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.match import Match, RankedGroup
from py_image_dedup.model.plan import Kept, Outcome


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """One phase in figures.

    Attributes:
        phase: Which.
        seconds: Wall time.
        counts: Figures by name, such as ``{"analysed": 12, "unchanged": 988}``.
    """

    phase: Phase
    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run.

    Attributes:
        run: Its name, sortable by time.
        started: With time zone.
        dry_run: Nothing on the disk was changed.
        roots: The folders that were searched.
        max_distance: The bound that ``similar`` matches were searched within.
        groups: Ranked, in the order of their keepers' paths.
        outcomes: One per planned action, in the order of the plan.
        failures: Files that could not be handled, with the reason.
        phases: In the order in which they ran.
        files: How many files counted.
        reported: Matches of classes that are shown and never removed.
        kept_in_quarantine: Files whose time in quarantine is over and that stay, with the reason.
        pruned_folders: Emptied folders that were removed.
        interrupted: Stopped by the user; what was done is kept.
        error: Why the run failed, if it did.
    """

    run: str
    started: datetime
    dry_run: bool
    roots: tuple[Path, ...]
    max_distance: float
    groups: tuple[RankedGroup, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    failures: tuple[Failure, ...] = ()
    phases: tuple[PhaseSummary, ...] = ()
    files: int = 0
    reported: tuple[Match, ...] = ()
    kept_in_quarantine: tuple[Kept, ...] = ()
    pruned_folders: tuple[Path, ...] = ()
    interrupted: bool = False
    error: str | None = None
