"""The quarantine in each root: what waits there, what may be deleted when its time is over, and lost records.

The manifest in each run's folder of a quarantine survives the loss of the state directory. It has one line for each
file that the run meant to put there, in the form of the journal's intents, and is on the disk before the first of these
files is moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias

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
from py_image_dedup.removal.filesystem import (
    FileMetadata,
    NotAsPlanned,
    digest_of,
    fsync,
    is_file,
    open_in_dir,
    rename_new,
)
from py_image_dedup.removal.journal import (
    JOURNAL_NAME,
    Entry,
    History,
    IntentRecord,
    Journal,
    JournalError,
    State,
    now,
    read_history,
    to_line,
)
from py_image_dedup.removal.plan import check_plan
from py_image_dedup.removal.restore import CopyLocator
from py_image_dedup.removal.serialization import RunName, Time, action_record, from_json, metadata_record

MANIFEST_NAME: Final = ".py-image-dedup-manifest.jsonl"
"""Name of the file in a run's folder of a quarantine."""

MANIFEST_VERSION: Final = 1
"""Version of the format. A reader passes over lines of a newer one."""

OWN_PREFIX: Final = ".py-image-dedup-"
"""Beginning of the names of files that are the program's own: manifests, staged files, incomplete copies."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class ManifestRecord(IntentRecord, frozen=True, kw_only=True):
    """A file that a run meant to put into quarantine: a line of a manifest.

    Attributes:
        version: Version of the format.
        run: The name of the run.
        at: When.
    """

    version: Literal[1]
    run: RunName
    at: Time


def run_folder_of(root: Path, target: Path) -> Path:
    """Return the folder of its run that a path in the quarantine of a root is in."""
    return root.joinpath(*target.relative_to(root).parts[:2])


def write_manifest(
    folder: Path, run: str, intents: Iterable[tuple[Action, FileMetadata]], trusted_roots: Sequence[Path]
) -> None:
    """Append files to the manifest of a run and wait until they are on the disk.

    Args:
        folder: The run's folder in a quarantine; made if it is not there.
        run: The name of the run.
        intents: The actions with what their files have besides their bytes.
        trusted_roots: Folders that may be reached through links.

    Raises:
        NotAsPlanned: A link or a file is in the way.
        OSError: The manifest cannot be written.
    """
    with open_in_dir(folder / MANIFEST_NAME, trusted_roots, make=True) as place:
        descriptor = os.open(place.name, _APPEND, 0o600, dir_fd=place.folder)
        try:
            lines = b"".join(to_line(_record(run, action, metadata)) for action, metadata in intents)
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            fsync(descriptor)
            fsync(place.folder)
        finally:
            os.close(descriptor)


def _record(run: str, action: Action, metadata: FileMetadata) -> ManifestRecord:
    return ManifestRecord(
        kind="intent",
        number=action.number,
        action=action_record(action),
        facts=metadata_record(metadata),
        version=MANIFEST_VERSION,
        run=run,
        at=now(),
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest knows.

    Attributes:
        run: The name of the run.
        entries: By path in the quarantine, as the journal would have them.
    """

    run: str
    entries: Mapping[Path, Entry]


def read_manifest(root: Path, folder: Path) -> Manifest:
    """Read the manifest of a run's folder; one that is not there, and lines that cannot be read, are left out.

    Args:
        root: The root whose quarantine it is. Where it has another path now, the paths below it are adapted.
        folder: The run's folder in the quarantine.
    """
    entries: dict[Path, Entry] = {}
    run = folder.name
    with suppress(OSError), (folder / MANIFEST_NAME).open("rb") as lines:
        for line in lines:
            with suppress(ValueError):  # also of another version
                record = from_json(json.loads(line), ManifestRecord)
                action = _below(root, record.action.to_action())
                if action.target is None or folder not in action.target.parents:
                    continue
                run = record.run
                entries[action.target] = Entry(
                    action=action,
                    metadata=record.facts.to_metadata(),
                    state=State.DONE,
                    location=action.target,
                    finished_at=record.at,
                )
    return Manifest(run, entries)


def _below(root: Path, action: Action) -> Action:
    """Return an action with its paths below another root, if the root was moved or is mounted elsewhere."""
    if action.root == root:
        return action

    def moved(path: Path) -> Path:
        return root / path.relative_to(action.root) if path.is_relative_to(action.root) else path

    return replace(
        action,
        root=root,
        source=replace(action.source, path=moved(action.source.path)),
        keeper=replace(action.keeper, path=moved(action.keeper.path)),
        target=None if action.target is None else moved(action.target),
    )


def run_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders of runs in the quarantine of a root, by name; none if there is no quarantine."""
    quarantine = root / QUARANTINE_NAME
    try:
        if quarantine.is_symlink():
            return ()
        return tuple(sorted(one for one in quarantine.iterdir() if one.is_dir() and not one.is_symlink()))
    except OSError:
        return ()


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return the files of a run's folder without the program's own, by path."""
    found = []
    for above, _, names in os.walk(folder):
        found += [Path(above, name) for name in names if not name.startswith(OWN_PREFIX)]
    return tuple(sorted(found))


def size_of_quarantines(roots: Iterable[Path]) -> tuple[int, int]:
    """Return the number of files in the quarantines of some roots, and their size in bytes."""
    sizes: list[int] = []
    for root in roots:
        for folder in run_folders(root):
            for path in files_in(folder):
                with suppress(OSError):  # it is restored or deleted meanwhile
                    sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def tidy_run_folder(folder: Path) -> None:
    """Remove what is empty below a run's folder; with its last file the manifest, the folder and the quarantine go."""
    if folder.is_symlink() or not folder.is_dir():
        return
    below = [Path(above) for above, _, _ in os.walk(folder)]
    for each in sorted(below, key=lambda path: len(path.parts), reverse=True):
        if each == folder:
            with suppress(OSError):
                if {name.name for name in folder.iterdir()} == {MANIFEST_NAME}:
                    (folder / MANIFEST_NAME).unlink()
        with suppress(OSError):
            each.rmdir()
    with suppress(OSError):
        folder.parent.rmdir()


def tidy_quarantines(roots: Iterable[Path]) -> None:
    """Remove run folders without files, as a killed run leaves them."""
    for root in roots:
        for folder in run_folders(root):
            if not any(any(not name.startswith(OWN_PREFIX) for name in names) for _, _, names in os.walk(folder)):
                tidy_run_folder(folder)


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
                    if untouched or digest_at(path) == digest:
                        self._known[key] = stat
        return self._known[key]


def digest_at(path: Path) -> bytes:
    """Return the digest of a file's bytes; a link is an error."""
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
