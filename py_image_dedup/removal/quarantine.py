"""The quarantine in each root: what waits there, what may be deleted when its time is over, and lost records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import (
    QUARANTINE_NAME,
    Action,
    ActionKind,
    Kept,
    Outcome,
    OutcomeStatus,
    Plan,
    Quarantined,
)
from py_image_dedup.removal.filesystem import NotAsPlanned, digest_of, is_file, open_in_dir, rename_new
from py_image_dedup.removal.journal import JOURNAL_NAME, Entry, History, Journal, JournalError, State, read_history
from py_image_dedup.removal.manifest import files_in, read_manifest, run_folders, tidy_run_folder
from py_image_dedup.removal.plan import check_plan
from py_image_dedup.removal.restore import CopyLocator

CopiesInIndex: TypeAlias = Callable[[bytes], Iterable[Path]]
"""Returns the paths of files that the index knows by their digest."""

_WAITING: Final = frozenset({State.DONE, State.EXPIRING, State.UNDOING})


def no_copies(digest: bytes, /) -> Iterable[Path]:  # noqa: ARG001 - a ``CopiesInIndex``
    """Return no path: there is no index."""
    return ()


@dataclass(frozen=True, slots=True)
class InQuarantine:
    """One file in a quarantine.

    Attributes:
        path: Where it is.
        root: The root whose quarantine it is in.
        run: The run that put it there.
        original: Where it was; derived from its path if no record is left.
        size: Bytes.
        entry: What the journal or the manifest knows of it; ``None`` if no record is left.
        journaled: The journal of its run knows it.
    """

    path: Path
    root: Path
    run: str
    original: Path
    size: int
    entry: Entry | None = None
    journaled: bool = False

    @property
    def since(self) -> datetime | None:
        """The time when it was put there, with time zone."""
        return None if self.entry is None else self.entry.finished_at


def list_quarantine(roots: Sequence[Path], runs_directory: Path | None) -> tuple[InQuarantine, ...]:
    """Return every file in the quarantines of some roots, by root, run and path.

    Args:
        roots: The folders whose quarantines are read.
        runs_directory: The folder that has a folder for each run; ``None`` if it is lost.
    """
    found: list[InQuarantine] = []
    for root in dict.fromkeys(roots):
        for folder in run_folders(root):
            found.extend(_in_folder(root, folder, runs_directory))
    return tuple(found)


def _in_folder(root: Path, folder: Path, runs_directory: Path | None) -> Iterator[InQuarantine]:
    journaled: dict[Path, Entry] = {}
    if runs_directory is not None and (runs_directory / folder.name / JOURNAL_NAME).is_file():
        with suppress(JournalError):  # the manifest is left, and what only it knows does not expire by itself
            journaled = _waiting(read_history(runs_directory / folder.name))
    recorded = read_manifest(root, folder).entries
    for path in files_in(folder):
        entry = journaled.get(path) or recorded.get(path)
        with suppress(OSError):
            yield InQuarantine(
                path=path,
                root=root,
                run=folder.name,
                original=entry.action.source.path if entry else root / path.relative_to(folder),
                size=path.lstat().st_size,
                entry=entry,
                journaled=path in journaled,
            )


def _waiting(history: History) -> dict[Path, Entry]:
    return {
        entry.location: entry
        for entry in history.entries.values()
        if entry.action.kind is ActionKind.QUARANTINE and entry.state in _WAITING and entry.location is not None
    }


@dataclass(frozen=True, slots=True)
class Expiry:
    """What may be deleted from the quarantine.

    Attributes:
        plan: The plan with an action ``expire`` for each file that may go, after its other actions.
        kept: Files whose time is over and that stay.
    """

    plan: Plan
    kept: tuple[Kept, ...] = ()


def plan_expiry(
    plan: Plan,
    waiting: Iterable[InQuarantine],
    runs_directory: Path,
    older_than: timedelta,
    now: datetime,
    *,
    copies_in_index: CopiesInIndex = no_copies,
) -> Expiry:
    """Add to a plan the deletion of files that waited in quarantine for long enough.

    A file may go only if its keeper, or another file with the bytes of its keeper or its own, exists outside every
    quarantine and is removed by no other action of the plan. The executor compares both digests again before it acts.

    Args:
        plan: What the run does otherwise; its roots are those of the files.
        waiting: Files in quarantine. Those without a journal or manifest stay.
        runs_directory: The folder that has a folder for each run: their journals know other copies.
        older_than: The time that a file waits at least.
        now: The time, with time zone.
        copies_in_index: Further places of files by digest.

    Raises:
        PlanError: The plan breaks an invariant of plans.
    """
    actions: list[Action] = []
    kept: list[Kept] = []
    waiting = tuple(waiting)
    number = max((action.number for action in plan.actions), default=0)
    search = _KeeperSearch(plan, runs_directory, copies_in_index)
    for one in waiting:
        entry = one.entry
        if entry is None or entry.state is State.UNDOING or one.since is None or now - one.since <= older_than:
            continue
        reason = _changed(one.path, entry.action)
        keeper = None if reason else search.keeper_of(entry.action, one.path)
        if keeper is None:
            lost = f"its keeper {entry.action.keeper.path} is not there any more, and no other copy is known"
            kept.append(Kept(one.path, f"{one.path} stays in quarantine: {reason or lost}"))
            continue
        actions.append(_expire(number + len(actions) + 1, one, entry, one.since, keeper))
    actions, more = _whole_photos(actions, waiting, max((action.unit for action in plan.actions), default=0))
    extended = replace(plan, actions=(*plan.actions, *actions))
    check_plan(extended)
    return Expiry(extended, (*kept, *more))


def _whole_photos(
    actions: Sequence[Action], waiting: Iterable[InQuarantine], last_unit: int
) -> tuple[list[Action], list[Kept]]:
    """Return the actions without those of a photo of which another file must stay, and these files.

    Args:
        actions: Deletions from quarantine.
        waiting: Files in quarantine.
        last_unit: Number of the last photo of several files in the plan.
    """
    photos: dict[tuple[str, int], list[InQuarantine]] = {}
    for one in waiting:
        if one.entry is not None and one.entry.action.unit:
            photos.setdefault((one.run, one.entry.action.unit), []).append(one)
    going = {action.source.path: action for action in actions}
    kept: list[Kept] = []
    for files in photos.values():
        found = [going[one.path] for one in files if one.path in going]
        stays = next((one for one in files if one.path not in going), None)
        if stays is not None:
            for action in found:
                del going[action.source.path]
                reason = f"stays in quarantine: it is one photo with {stays.path.name}, which stays"
                kept.append(Kept(action.source.path, f"{action.source.path} {reason}"))
        elif len(found) > 1:
            last_unit += 1
            going |= {each.source.path: replace(each, unit=last_unit, parts=len(found)) for each in found}
    return [going[action.source.path] for action in actions if action.source.path in going], kept


def _expire(number: int, one: InQuarantine, entry: Entry, since: datetime, keeper: tuple[FileStat, bytes]) -> Action:
    original, (stat, digest) = entry.action, keeper
    same = digest == original.source_digest
    return Action(
        number=number,
        group=0,
        kind=ActionKind.EXPIRE,
        match_class=MatchClass.IDENTICAL if same else original.match_class,
        source=_stat(one.path, one.path.lstat()),
        source_digest=original.source_digest,
        keeper=stat,
        keeper_digest=digest,
        root=one.root,
        quarantined=Quarantined(one.run, original.number, original.source.path, since),
    )


def _stat(path: Path, status: os.stat_result) -> FileStat:
    return FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _changed(path: Path, action: Action) -> str | None:
    try:
        status = path.lstat()
    except OSError as error:
        return f"it cannot be looked at ({error.strerror or error})"
    if not is_file(status) or (status.st_size, status.st_mtime_ns) != action.source.stamp[:2]:
        return "it was changed since it was put there"
    return None


class _KeeperSearch:
    """Finds a file that has everything that is in a quarantined one."""

    def __init__(self, plan: Plan, runs_directory: Path, copies_in_index: CopiesInIndex) -> None:
        self._runs = runs_directory
        self._plan = plan
        self._in_index = copies_in_index
        self._removed = {action.source.path for action in plan.actions}
        self._kept: dict[bytes, list[Path]] = {}
        for action in plan.actions:
            self._kept.setdefault(action.keeper_digest, []).append(action.keeper.path)
        self._copies = CopyLocator(runs_directory / plan.run, History())
        self._known: dict[tuple[Path, int, bytes], FileStat | None] = {}

    def keeper_of(self, action: Action, waiting: Path) -> tuple[FileStat, bytes] | None:
        """Return a keeper with its digest, or ``None`` if there is none."""
        for digest, size in ((action.keeper_digest, action.keeper.size), (action.source_digest, action.source.size)):
            first = [action.keeper.path] if digest == action.keeper_digest else [action.source.path]
            for path in (*first, *self._kept.get(digest, ()), *self._in_index(digest), *self._copies.of(digest)):
                if path == waiting or not self._counts(path):
                    continue
                stat = self._whole(path, size, digest, action)
                if stat is not None:
                    return stat, digest
        return None

    def _counts(self, path: Path) -> bool:
        target = self._plan.target_directory
        return (
            QUARANTINE_NAME not in path.parts
            and path not in self._removed
            and (target is None or target not in path.parents)
        )

    def _whole(self, path: Path, size: int, digest: bytes, action: Action) -> FileStat | None:
        """Return the file at a path if it has these bytes; what is as it was at the removal is not read."""
        key = (path, size, digest)
        if key not in self._known:
            self._known[key] = None
            with suppress(OSError):
                status = path.lstat()
                stat = _stat(path, status)
                if is_file(status) and status.st_size == size:
                    untouched = path == action.keeper.path and stat.stamp == action.keeper.stamp
                    if untouched or _digest(path) == digest:
                        self._known[key] = stat
        return self._known[key]


def _digest(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return digest_of(descriptor)
    finally:
        os.close(descriptor)


def restore_without_record(one: InQuarantine) -> str | None:
    """Put a file back of which neither a journal nor a manifest knows more than its path.

    Returns:
        Why that is impossible, or ``None`` if the file is back.
    """
    try:
        with (
            open_in_dir(one.path, [one.root]) as place,
            open_in_dir(one.original, [one.root], make=True) as target,
        ):
            rename_new(place, target)
    except FileExistsError:
        return f"something else is at {one.original}; the removed file stays at {one.path}"
    except (OSError, NotAsPlanned) as error:
        return f"{one.path} could not be restored: {error}"
    tidy_run_folder(one.root / QUARANTINE_NAME / one.run)
    return None


def adopt(files: Iterable[InQuarantine], runs_directory: Path) -> None:
    """Write into the journals of their runs what only a manifest knows, so that an undo can bring the files back.

    Args:
        files: Files in quarantine; those that a journal knows, and those without a record, are passed over.
        runs_directory: The folder that has a folder for each run. The caller holds the run lock.

    Raises:
        JournalError: A journal cannot be written.
    """
    by_run: dict[str, list[InQuarantine]] = {}
    for one in files:
        if one.entry is not None and not one.journaled:
            by_run.setdefault(one.run, []).append(one)
    for run, found in by_run.items():
        roots = tuple(dict.fromkeys(one.root for one in found))
        with Journal(runs_directory / run, run, roots) as journal:
            for one in found:
                entry = one.entry
                if entry is not None:
                    journal.record_intent(entry.action, entry.metadata, ())
                    done = Outcome(entry.action, OutcomeStatus.DONE, one.path)
                    journal.record_outcome(done, at=entry.finished_at)
            journal.flush()
