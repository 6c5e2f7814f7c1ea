"""The runs of a state directory: their names, their lock, and what each did."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from py_image_dedup.model.plan import ActionKind, OutcomeStatus
from py_image_dedup.removal.journal import JournalError
from py_image_dedup.removal.plan import PlanError
from py_image_dedup.removal.serialization import PLAN_NAME, load_plan

RUNS_NAME: Final = "runs"
"""Name of the folder in the state directory that has a folder for each run."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run.

    Attributes:
        run: Its name.
        directory: Its folder.
        when: Its beginning, with time zone.
        planned: How many actions its plan has.
        counts: Number of its actions by outcome, without those that delete from the quarantine.
        undone: Number of files that were restored.
        expired: Number of its files that a later run deleted from the quarantine.
        deleted_from_quarantine: Number of files of earlier runs that this run deleted from the quarantine.
        interrupted: The run, or its undo, was killed or stopped and can be continued.
        dry_run: Nothing was changed on disk.
        problem: Why more is not known: a damaged journal, a plan of a newer version.
    """

    run: str
    directory: Path
    when: datetime
    planned: int = 0
    counts: Mapping[OutcomeStatus, int] = field(default_factory=dict)
    undone: int = 0
    expired: int = 0
    deleted_from_quarantine: int = 0
    interrupted: bool = False
    dry_run: bool = True
    problem: str = ""

    @property
    def is_undone(self) -> bool:
        """Whether everything that the run removed was restored."""
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


def list_roots(state_directory: Path) -> tuple[Path, ...]:
    """Return the folders that any run of a state directory searched or moved files to, each once."""
    from py_image_dedup.removal.journal import read_history

    found: dict[Path, None] = {}
    runs = state_directory / RUNS_NAME
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        with suppress(JournalError):
            found |= dict.fromkeys(read_history(folder).trusted_roots)
    return tuple(found)


def _summary(directory: Path) -> RunSummary | None:
    # Not at the top: every run imports this module for a name, and few ask what earlier runs did.
    from py_image_dedup.removal.journal import State, read_history

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
    entries = history.entries
    states = Counter(entry.state for entry in entries.values())
    expiring = {number for number, entry in entries.items() if entry.action.kind is ActionKind.EXPIRE}
    counts = Counter(status for number, status in history.outcomes.items() if number not in expiring)
    if history.planned is not None:
        planned = history.planned
    return RunSummary(
        run=directory.name,
        directory=directory,
        when=history.started or when or _EPOCH,
        planned=max(planned, len(history.outcomes)),
        counts=dict(counts),
        undone=states[State.UNDONE],
        expired=sum(entry.expired for entry in entries.values()),
        deleted_from_quarantine=sum(history.outcomes.get(number) is OutcomeStatus.DONE for number in expiring),
        interrupted=bool(history.run) and (bool(history.unfinished) or len(history.outcomes) < planned),
        dry_run=not history.run,
        problem="; ".join(problems),
    )


_EPOCH: Final = datetime.fromtimestamp(0, UTC)


LOCK_NAME: Final = "run.lock"
"""Name of the lock file in the state directory. The file stays; the lock ends with the process."""

_HOLDER_NAME: Final = "run.lock.holder"


class RunLockedError(Exception):
    """The state directory is used by another run; the message names its process."""


class RunLock:
    """Locks the state directory while a run, an ``apply`` or an ``undo`` writes to it.

    A context manager. The lock of a killed process is free. Not for several threads.

    Args:
        state_directory: Made if it is not there.
    """

    def __init__(self, state_directory: Path) -> None:
        self._directory = state_directory
        self._holder = state_directory / _HOLDER_NAME
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting.

        Raises:
            RunLockedError: Another process, or another part of this one, holds it; the message names the process.
            OSError: The state directory cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._directory / LOCK_NAME, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunLockedError(
                f"another run uses {self._directory} ({self._holder_text()}); wait until it is over, or stop it"
            ) from error
        self._lock = lock
        self._holder.write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._lock is None:
            return
        with suppress(FileNotFoundError):
            self._holder.unlink()
        self._lock.release()
        self._lock = None

    def __enter__(self) -> Self:
        """Acquire the lock."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()

    def _holder_text(self) -> str:
        try:
            return f"process {int(self._holder.read_text(encoding='ascii'))}"
        except (OSError, ValueError):
            return "a process that has just begun"


def run_name(when: datetime) -> str:
    """Return the name of a run that started then: by UTC, so that names sort by time in winter and summer."""
    utc = when.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H-%M-%S}-{utc.microsecond // 1000:03}Z"


def free_run_name(when: datetime, runs: Path) -> str:
    """Return the name of a run that started then, or the next one that no run has.

    Args:
        when: With time zone.
        runs: The folder that has a folder for each run; need not be there.
    """
    while os.path.lexists(runs / (name := run_name(when))):
        when += timedelta(milliseconds=1)
    return name
