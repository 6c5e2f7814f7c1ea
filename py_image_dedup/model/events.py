"""What a run tells while it runs. Progress bars and metrics are made from these events and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import PhaseSummary, RunResult


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. ``full`` is false for the daemon's batches, which look at some files only."""

    run: str
    dry_run: bool
    full: bool = True


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins. ``total`` is how many steps it will take, if that is known; ``unit`` names a step."""

    phase: Phase
    total: int | None = None
    unit: str = "files"


@dataclass(frozen=True, slots=True)
class PhaseAdvanced:
    """``steps`` more steps of a phase are done."""

    phase: Phase
    steps: int = 1


@dataclass(frozen=True, slots=True)
class PhaseExtended:
    """A phase turned out to take ``steps`` more steps than it announced."""

    phase: Phase
    steps: int


@dataclass(frozen=True, slots=True)
class FileAnalysed:
    """A file was read. ``seconds`` is the time of its thread; ``decoded`` is false if its content was known."""

    size: int
    seconds: float
    decoded: bool


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A file could not be handled; it is in the result's failures too."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class GroupFound:
    """A group was ranked."""

    group: RankedGroup


@dataclass(frozen=True, slots=True)
class ActionFinished:
    """An action of the plan was carried out, skipped, or shown in a dry run."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PhaseFinished:
    """A phase is over."""

    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over; nothing follows."""

    result: RunResult


@dataclass(frozen=True, slots=True)
class FileEventSeen:
    """The watched folders changed: ``kind`` is ``created``, ``modified``, ``moved``, ``deleted`` or ``overflow``."""

    kind: str


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Paths wait to settle or to be processed. ``oldest_seconds`` is how long the oldest has waited."""

    pending: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class WatcherChanged:
    """Watching a root began, ended or was begun again after it had died."""

    alive: int
    wanted: int
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The index did not answer; the work waits and nothing is removed."""

    message: str


@dataclass(frozen=True, slots=True)
class IndexMeasured:
    """The size of the index. ``size`` is bytes on disk, if the store can tell."""

    entries: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run ended with an error instead of a result, or could not begin; nothing follows."""

    message: str
    full: bool = True


Event: TypeAlias = (
    RunStarted
    | PhaseStarted
    | PhaseAdvanced
    | PhaseExtended
    | FileAnalysed
    | FileFailed
    | GroupFound
    | ActionFinished
    | PhaseFinished
    | RunFinished
    | RunFailed
    | FileEventSeen
    | QueueChanged
    | WatcherChanged
    | StoreFailed
    | IndexMeasured
)


class Observer(Protocol):
    """Listens to a run. Called from several threads at once: an observer locks what it shares."""

    def __call__(self, event: Event, /) -> None:
        """Take one event; must not raise and must not wait."""


def ignore(event: Event, /) -> None:
    """Listen to nothing."""


def never() -> bool:
    """Return ``False``: nothing is ever stopped."""
    return False
