"""The events of a run and of the daemon, the only source of progress bars and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.file import Inventory
from py_image_dedup.model.match import Match, RankedGroup
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import PhaseSummary, RunResult


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run started. ``full`` is false for a batch of the daemon, which covers some files only."""

    run: str
    dry_run: bool
    full: bool = True


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A stage started. ``total`` is its number of steps, if known; ``unit`` is the plural of a step's name."""

    phase: Phase
    total: int | None = None
    unit: str = "files"


@dataclass(frozen=True, slots=True)
class PhaseAdvanced:
    """A stage completed ``steps`` more steps."""

    phase: Phase
    steps: int = 1


@dataclass(frozen=True, slots=True)
class PhaseExtended:
    """A stage needs ``steps`` more steps than it announced."""

    phase: Phase
    steps: int


@dataclass(frozen=True, slots=True)
class InventoryTaken:
    """The files of a full run were found; observers that keep the inventory keep it in memory."""

    inventory: Inventory


@dataclass(frozen=True, slots=True)
class FileAnalysed:
    """A file was analysed. ``size`` is in bytes, ``seconds`` is wall time; ``decoded`` is false for known content."""

    size: int
    seconds: float
    decoded: bool


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file could not be processed; the result lists the failure as well."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class GroupFound:
    """A group was ranked."""

    group: RankedGroup


@dataclass(frozen=True, slots=True)
class MatchReported:
    """Two files match, and both stay."""

    match: Match


@dataclass(frozen=True, slots=True)
class ActionFinished:
    """An action of the plan was carried out, skipped, or shown in a dry run."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """A stage finished."""

    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run finished; it emits no further event."""

    result: RunResult


@dataclass(frozen=True, slots=True)
class FileEventSeen:
    """A watched folder changed. ``kind`` is ``created``, ``modified``, ``moved``, ``deleted`` or ``overflow``."""

    kind: str


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """The daemon's queue changed. ``pending`` counts its paths; ``oldest_seconds`` is the age of the oldest one."""

    pending: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class WatcherChanged:
    """The watch of a root started, ended or was restarted. ``alive`` of the ``wanted`` watches work."""

    alive: int
    wanted: int
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The index is unavailable: work is deferred and nothing is removed."""

    message: str


@dataclass(frozen=True, slots=True)
class IndexMeasured:
    """The size of the index was measured. ``size`` is bytes on disk, if the store provides it."""

    entries: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class QuarantineMeasured:
    """The quarantines of the library were measured: their number of files, and the size of these in bytes."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run failed or could not start; it emits no further event."""

    message: str
    full: bool = True


Event: TypeAlias = (
    RunStarted
    | PhaseStarted
    | PhaseAdvanced
    | PhaseExtended
    | InventoryTaken
    | FileAnalysed
    | FileFailed
    | GroupFound
    | MatchReported
    | ActionFinished
    | PhaseFinished
    | RunFinished
    | RunFailed
    | FileEventSeen
    | QueueChanged
    | WatcherChanged
    | StoreFailed
    | IndexMeasured
    | QuarantineMeasured
)


class Observer(Protocol):
    """A receiver of events. It is called from several threads at once and locks what it shares."""

    def __call__(self, event: Event, /) -> None:
        """Handle one event; must not raise and must not block."""


def ignore(event: Event, /) -> None:
    """Discard the event."""


def never() -> bool:
    """Return ``False``: the default ``should_stop``, with which work is never stopped."""
    return False
