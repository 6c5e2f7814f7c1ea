"""The plan of a run: the actions on files, and their outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass, RankedGroup

QUARANTINE_NAME = ".py-image-dedup-quarantine"
"""Name of the quarantine folder in a root; a scan never enters it."""


class ActionKind(StrEnum):
    """The kinds of actions on a redundant file; ``expire`` deletes a file from quarantine permanently."""

    MOVE = "move"
    QUARANTINE = "quarantine"
    DELETE = "delete"
    TRASH = "trash"
    HARDLINK = "hardlink"
    EXPIRE = "expire"


class OutcomeStatus(StrEnum):
    """The status of an action after a run."""

    PLANNED = "planned"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The origin of a file in quarantine.

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
    """A file whose quarantine expired and that stays nevertheless.

    Attributes:
        path: Its path in quarantine.
        reason: The reason for which it stays, as a sentence.
    """

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class SidecarMerge:
    """Metadata of a removed picture that its keeper lacks, and the sidecar that gets them.

    Attributes:
        path: The keeper's XMP sidecar, which may exist.
        properties: Values by the name of the property in XMP, such as ``dc:subject``; see ``xmp.properties``.
        width: Width of the keeper as it is stored, in pixels.
        height: Height of the keeper as it is stored, in pixels.
    """

    path: Path
    properties: tuple[tuple[str, tuple[str, ...]], ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a plan, on one redundant file.

    Attributes:
        number: Its place in the plan, from 1; unique in the run.
        group: The number of its group, from 1; 0 for ``expire``, which belongs to no group.
        kind: Kind of the action.
        match_class: Class of the match that justifies it; ``identical`` is checked byte by byte.
        source: The redundant file as it was when it was analysed.
        source_digest: BLAKE3 digest of its bytes.
        keeper: The file that stays, as it was when it was analysed.
        keeper_digest: BLAKE3 digest of its bytes.
        root: The root of the source, with the quarantine folder.
        target: The new path, for ``move`` and ``quarantine``.
        quarantined: The origin of the file in quarantine, for ``expire``.
        unit: The number of the photo of several files that it is a part of, from 1; 0 for a photo of one file.
        parts: The number of actions of that photo, which are carried out all or not at all.
        merge: The metadata that are written to the keeper's sidecar before the file is removed.
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
    unit: int = 0
    parts: int = 1
    merge: SidecarMerge | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes that a run will make to the disk, decided before the first one is made.

    Invariants: a path is a source at most once and never a keeper; targets are distinct; every group keeps a file; of
    a photo of several files all have an action or none.

    Attributes:
        run: The name of the run.
        roots: The folders that were searched.
        actions: The actions in the order of execution.
        prune: Whether folders that the run empties are removed afterwards.
        protected: Folders whose files may be keepers and are never sources.
        target_directory: The destination of ``move``; files below it are never sources.
    """

    run: str
    roots: tuple[Path, ...]
    actions: tuple[Action, ...]
    prune: bool = False
    protected: tuple[Path, ...] = ()
    target_directory: Path | None = None


def without_torn_units(actions: Sequence[Action]) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
    """Return the actions of photos of which every part has one, and the actions of the others, in their order."""
    counts = Counter(action.unit for action in actions)
    whole = tuple(action for action in actions if not action.unit or counts[action.unit] == action.parts)
    return whole, tuple(action for action in actions if action.unit and counts[action.unit] != action.parts)


def planned_groups(groups: Sequence[RankedGroup], plan: Plan) -> tuple[RankedGroup, ...]:
    """Return the groups of which a plan removes at least one file."""
    sources = {action.source.path for action in plan.actions}
    return tuple(group for group in groups if any(each.entry.stat.path in sources for each in group.redundant))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one action.

    Attributes:
        action: The planned action.
        status: The status; ``planned`` in a dry run.
        target: The present path of the file, if it still exists.
        message: The reason for which it was skipped or failed; empty otherwise.
    """

    action: Action
    status: OutcomeStatus
    target: Path | None = None
    message: str = ""
