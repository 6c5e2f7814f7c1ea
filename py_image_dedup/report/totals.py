"""A run in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.match import Redundant
from py_image_dedup.model.plan import Outcome, OutcomeStatus
from py_image_dedup.model.result import RunResult

_REMOVABLE = (OutcomeStatus.PLANNED, OutcomeStatus.DONE)


@dataclass(frozen=True, slots=True)
class Totals:
    """A run in figures.

    Attributes:
        files: How many files counted.
        groups: How many groups there are.
        redundant: How many redundant files, over all groups.
        bytes_redundant: Their size.
        bytes_reclaimable: The size of those that were removed, or would be.
        classes: Redundant files by class.
        outcomes: Actions by what became of them.
        failures: Files that could not be handled, by reason.
        seconds: Wall time of all phases.
    """

    files: int
    groups: int
    redundant: int
    bytes_redundant: int
    bytes_reclaimable: int
    classes: Mapping[str, int]
    outcomes: Mapping[str, int]
    failures: Mapping[str, int]
    seconds: float


def outcomes_by_source(result: RunResult) -> dict[Path, Outcome]:
    """Return what became of each redundant file that the plan names."""
    return {outcome.action.source.path: outcome for outcome in result.outcomes}


def redundant_files(result: RunResult) -> list[Redundant]:
    """Return the redundant files of all groups."""
    return [each for group in result.groups for each in group.redundant]


def totals_of(result: RunResult) -> Totals:
    """Count a run."""
    redundant = redundant_files(result)
    return Totals(
        files=result.files,
        groups=len(result.groups),
        redundant=len(redundant),
        bytes_redundant=sum(each.entry.stat.size for each in redundant),
        bytes_reclaimable=sum(each.action.source.size for each in result.outcomes if each.status in _REMOVABLE),
        classes=Counter(each.match.match_class.value for each in redundant),
        outcomes=Counter(each.status.value for each in result.outcomes),
        failures=Counter(each.reason.value for each in result.failures),
        seconds=sum(each.seconds for each in result.phases),
    )
