"""The result of a run, the only source of reports and of the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.file import UnreadFiles
from py_image_dedup.model.match import Match, RankedGroup
from py_image_dedup.model.plan import Kept, Outcome
from py_image_dedup.model.series import Series
from py_image_dedup.model.unit import Unit


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """The figures of one stage.

    Attributes:
        phase: The stage.
        seconds: Wall time, in seconds.
        counts: Figures by name, such as ``{"analysed": 12, "unchanged": 988}``.
    """

    phase: Phase
    seconds: float
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a whole run.

    Attributes:
        run: Name of the run, sortable by time.
        started: Start time, with time zone.
        dry_run: Whether no file was changed.
        roots: The folders that were searched.
        max_distance: Largest distance of signatures that was searched, 0 to 1.
        groups: Ranked groups, in the order of their keepers' paths.
        outcomes: One outcome per planned action, in the order of the plan.
        failures: Files that could not be processed.
        phases: Figures of the stages, in the order of execution.
        files: Number of files that took part.
        reported: Matches between files that all stay.
        kept_in_quarantine: Files whose quarantine expired and that stay, with the reason.
        pruned_folders: Emptied folders that were removed.
        interrupted: Whether the user stopped the run; its work so far is kept.
        error: Cause of the failure, if the run failed.
        scope: Scope within which files were compared: ``all``, ``root``, ``folder`` or ``against``; empty if nothing
            was compared.
        across_scopes: Number of sets of copies that lie in several folders or roots and were not compared because of
            the scope.
        units: Photos that consist of several files, of those in groups and among reported matches.
        series: Bursts and exposure brackets that have any of the pictures that matched another one.
        unread: Files that were found and not read, such as videos, one value per kind.
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
    scope: str = ""
    across_scopes: int = 0
    units: tuple[Unit, ...] = ()
    series: tuple[Series, ...] = ()
    unread: tuple[UnreadFiles, ...] = ()
