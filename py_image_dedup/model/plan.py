"""What is meant to happen to the disk, and what did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass

QUARANTINE_NAME = ".py-image-dedup-quarantine"
"""The folder in a root where removed files wait; a scan never enters it."""


class ActionKind(StrEnum):
    """What is done with a redundant file; ``expire`` deletes one from the quarantine for ever."""

    MOVE = "move"
    QUARANTINE = "quarantine"
    DELETE = "delete"
    TRASH = "trash"
    HARDLINK = "hardlink"
    EXPIRE = "expire"


class OutcomeStatus(StrEnum):
    """What became of an action."""

    PLANNED = "planned"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """How a file came into quarantine.

    Attributes:
        run: The run that put it there.
        number: The number of that run's action.
        path: The path that the file had before.
        since: The time when it was put there, with time zone.
    """

    run: str
    number: int
    path: Path
    since: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """A file whose time in quarantine is over and that stays all the same.

    Attributes:
        path: Its path in quarantine.
        reason: A sentence that says why it stays.
    """

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a plan: one redundant file.

    Attributes:
        number: Its place in the plan, from 1; unique in the run.
        group: The number of its group, from 1; 0 for ``expire``, which belongs to no group.
        kind: What to do.
        match_class: Why it may be done; ``identical`` is checked byte by byte.
        source: The redundant file as it was when it was analysed.
        source_digest: BLAKE3 of its bytes.
        keeper: The file that stays, as it was when it was analysed.
        keeper_digest: BLAKE3 of its bytes.
        root: The root that the source was found under; its quarantine is there.
        target: Where it goes, for ``move`` and ``quarantine``.
        quarantined: How it came into quarantine, for ``expire``.
    """

    number: int
    group: int
    kind: ActionKind
    match_class: MatchClass
    source: FileStat
    source_digest: bytes
    keeper: FileStat
    keeper_digest: bytes
    root: Path
    target: Path | None = None
    quarantined: Quarantined | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run will do to the disk, before it does any of it.

    Invariants: a path is a source once and never a keeper; targets are distinct; every group keeps a file.

    Attributes:
        run: The name of the run.
        roots: The folders that were searched.
        actions: In the order in which they will be carried out.
        prune: Folders that the run empties are removed afterwards.
        protected: Folders whose files may be keepers and are never sources.
        target_directory: Where ``move`` moves to; files below it are never sources.
    """

    run: str
    roots: tuple[Path, ...]
    actions: tuple[Action, ...]
    prune: bool = False
    protected: tuple[Path, ...] = ()
    target_directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one action.

    Attributes:
        action: What was meant.
        status: ``planned`` in a dry run.
        target: Where the file is now, if it still is somewhere.
        message: Why it was skipped or failed; empty otherwise.
    """

    action: Action
    status: OutcomeStatus
    target: Path | None = None
    message: str = ""
