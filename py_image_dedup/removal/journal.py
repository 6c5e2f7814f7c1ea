"""The journal of a run, ``journal.jsonl``: an intent before each action, an outcome after it. See ``docs/formats.md``.

A line that was written survives a killed process; a line that was flushed survives a power failure. Intents are flushed
before anything is done; a lost outcome is determined from the disk (``removal.recovery``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import UNSET, Meta, UnsetType

from py_image_dedup.model.closing import Closing
from py_image_dedup.model.plan import Action, Outcome, OutcomeStatus, Plan, Quarantined
from py_image_dedup.removal.filesystem import FileMetadata, fsync
from py_image_dedup.removal.serialization import (
    ActionRecord,
    FormatError,
    Json,
    MetadataRecord,
    Natural,
    Number,
    PathRecord,
    Record,
    RunName,
    SidecarWriteRecord,
    Time,
    action_record,
    encode_path,
    from_json,
    in_milliseconds,
    metadata_record,
    path_record,
    sidecar_write_record,
    to_json,
)
from py_image_dedup.removal.sidecars import SidecarWrite

JOURNAL_VERSION: Final = 1
"""Version of the format. A reader refuses a newer one."""

JOURNAL_NAME: Final = "journal.jsonl"
"""Name of the file in a run's folder."""

Step: TypeAlias = Callable[[str], None]
"""Called with the name of each step, before and after it; tests interrupt there."""


Mark: TypeAlias = Literal["undo", "expire", "expired", "waits"]
FolderMark: TypeAlias = Literal["pruned", "kept", "restored"]


def no_step(name: str, /) -> None:
    """Do nothing."""


class JournalError(Exception):
    """A journal that cannot be written or read; the message names it and the cause. Nothing more may be done."""


class OpenedRecord(Record, frozen=True, kw_only=True):
    """A process began to write.

    Attributes:
        kind: ``opened``.
        version: Version of the format.
        run: The name of the run.
        at: When.
        roots: The folders that were searched.
        target_directory: The destination of ``move``.
        planned: Number of actions of the plan that is carried out.
    """

    kind: Literal["opened"]
    version: Literal[1]
    run: RunName
    at: Time
    roots: tuple[PathRecord, ...]
    target_directory: PathRecord | None = None
    planned: Natural | UnsetType = UNSET


class IntentRecord(Record, frozen=True, kw_only=True):
    """An action is about to be carried out.

    Attributes:
        kind: ``intent``.
        number: The number of the action.
        action: The action.
        facts: Metadata of its source.
        new_folders: Folders that are made for its target, outermost first.
    """

    kind: Literal["intent"]
    number: Number
    action: ActionRecord
    facts: MetadataRecord
    new_folders: Annotated[tuple[PathRecord, ...], Meta(min_length=1)] | UnsetType = UNSET


class OutcomeRecord(Record, frozen=True, kw_only=True):
    """The outcome of an action, or of its undo.

    Attributes:
        kind: ``outcome``, or ``undone`` for an undo.
        number: The number of the action.
        status: How it ended.
        source: The source of the action.
        target: The present path of the file, if it still exists and has another one.
        message: The reason for which it was skipped or failed; empty otherwise.
        at: When.
    """

    kind: Literal["outcome", "undone"]
    number: Number
    status: OutcomeStatus
    source: PathRecord
    target: PathRecord | None = None
    message: str
    at: Time


class MarkRecord(Record, frozen=True, kw_only=True):
    """An action is about to be undone, or a file in quarantine is about to expire, expired, or stays.

    Attributes:
        kind: ``undo``, ``expire``, ``expired`` or ``waits``.
        number: The number of the action.
        at: When.
    """

    kind: Mark
    number: Number
    at: Time


class FolderRecord(PathRecord, frozen=True, kw_only=True):
    """A folder with its metadata, before anything in it is touched (``folder``) or it is removed (``prune``).

    Attributes:
        kind: ``folder`` or ``prune``.
        facts: Its metadata.
    """

    kind: Literal["folder", "prune"]
    facts: MetadataRecord


class FolderMarkRecord(PathRecord, frozen=True, kw_only=True):
    """What became of a folder that was about to be removed.

    Attributes:
        kind: ``pruned``, ``kept``, or ``restored`` by an undo.
    """

    kind: FolderMark


JOURNAL_RECORDS: Final[Mapping[str, type[Record]]] = {
    "opened": OpenedRecord,
    "intent": IntentRecord,
    "outcome": OutcomeRecord,
    "undone": OutcomeRecord,
    **dict.fromkeys(get_args(Mark), MarkRecord),
    "sidecar": SidecarWriteRecord,
    "sidecar-undone": SidecarWriteRecord,
    "folder": FolderRecord,
    "prune": FolderRecord,
    **dict.fromkeys(get_args(FolderMark), FolderMarkRecord),
}
"""The type of a line by its kind."""


class Journal(Closing):
    """Appends to the journal of one run. One thread at a time.

    Args:
        run_directory: The folder of the run; made if it is not there.
        run: Its name.
        roots: What is searched, and below what a file's folders may not be links.
        target_directory: The same for what is moved.
        planned: Number of actions of the plan that is carried out, which may be an edited one.

    Raises:
        JournalError: It cannot be opened.
    """

    def __init__(
        self,
        run_directory: Path,
        run: str,
        roots: Sequence[Path] = (),
        target_directory: Path | None = None,
        planned: int | None = None,
    ) -> None:
        self.path = run_directory / JOURNAL_NAME
        try:
            run_directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._error(error) from error
        try:
            self._torn = self._ends_torn()
            self._write(
                OpenedRecord(
                    kind="opened",
                    version=JOURNAL_VERSION,
                    run=run,
                    at=now(),
                    roots=tuple(path_record(root) for root in roots),
                    target_directory=None if target_directory is None else path_record(target_directory),
                    planned=UNSET if planned is None else planned,
                )
            )
            self._flush_names(run_directory)
        except BaseException:
            os.close(self._descriptor)
            raise

    @classmethod
    def of(cls, plan: Plan, run_directory: Path) -> Journal:
        """Open the journal of a plan's run."""
        return cls(run_directory, plan.run, plan.roots, plan.target_directory, len(plan.actions))

    def record_intent(self, action: Action, metadata: FileMetadata, new_folders: Sequence[Path]) -> None:
        """Record what will be done with a file, and its metadata.

        Args:
            action: The action.
            metadata: Present metadata of the source.
            new_folders: Folders that will be made for its target, outermost first.
        """
        self._write(
            IntentRecord(
                kind="intent",
                number=action.number,
                action=action_record(action),
                facts=metadata_record(metadata),
                new_folders=tuple(path_record(folder) for folder in new_folders) or UNSET,
            )
        )

    def record_outcome(
        self, outcome: Outcome, kind: Literal["outcome", "undone"] = "outcome", at: datetime | None = None
    ) -> None:
        """Record the outcome of an action; with the kind ``undone``, of its undo."""
        self._write(
            OutcomeRecord(
                kind=kind,
                number=outcome.action.number,
                status=outcome.status,
                source=path_record(outcome.action.source.path),
                target=None if outcome.target is None else path_record(outcome.target),
                message=outcome.message,
                at=now() if at is None else in_milliseconds(at),
            )
        )

    def record_sidecar(self, write: SidecarWrite) -> None:
        """Record what is about to be done to a sidecar."""
        self._write(sidecar_write_record(write, now()))

    def record_mark(self, kind: Mark, number: int) -> None:
        """Record a mark of an action."""
        self._write(MarkRecord(kind=kind, number=number, at=now()))

    def record_folder(self, kind: Literal["folder", "prune"], path: Path, metadata: FileMetadata) -> None:
        """Record a folder and its metadata before it is touched (``folder``) or removed (``prune``)."""
        text, raw = encode_path(path)
        self._write(FolderRecord(kind=kind, path=text, path_bytes=raw, facts=metadata_record(metadata)))

    def record_folder_mark(self, kind: FolderMark, path: Path) -> None:
        """Record what became of a folder that was about to be removed."""
        text, raw = encode_path(path)
        self._write(FolderMarkRecord(kind=kind, path=text, path_bytes=raw))

    def flush(self) -> None:
        """Flush every line to disk.

        Raises:
            JournalError: The disk refuses.
        """
        try:
            fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, record: Record) -> None:
        line = to_line(record)
        if self._torn:
            line = b"\n" + line
        try:
            while line:
                written = os.write(self._descriptor, line)
                self._torn = written < len(line)
                line = line[written:]
        except OSError as error:
            raise self._error(error) from error

    def _ends_torn(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def _flush_names(self, run_directory: Path) -> None:
        """The file and its folder must be found again after a power failure."""
        for folder in (run_directory, run_directory.parent):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise self._error(error) from error

    def _error(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be written ({error.strerror or error}), and without it nothing is done; "
            "make room there or choose another state directory"
        )


def to_line(record: Record) -> bytes:
    """Return a record as a line of a file of records."""
    text = json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))
    # backslashreplace writes a name's surrogate escapes as JSON does, so that every message can be written
    return text.encode("utf-8", "backslashreplace") + b"\n"


class EarlierJournals(Closing):
    """The journals of the runs that put files into quarantine, each opened when it is first needed.

    A context manager. A run without a journal is passed over: its quarantine has a manifest.

    Args:
        runs_directory: The folder that has a folder for each run.
    """

    def __init__(self, runs_directory: Path) -> None:
        self._runs = runs_directory
        self._journals: dict[str, Journal] = {}

    def record_mark(self, kind: Mark, quarantined: Quarantined) -> None:
        """Record that a file is about to expire (``expire``), has expired (``expired``) or stays (``waits``).

        Raises:
            JournalError: The journal cannot be written.
        """
        journal = self._journals.get(quarantined.run)
        if journal is None:
            directory = self._runs / quarantined.run
            if not (directory / JOURNAL_NAME).is_file():
                return
            journal = self._journals[quarantined.run] = Journal(directory, quarantined.run)
        journal.record_mark(kind, quarantined.number)

    def flush(self) -> None:
        """Flush every line to disk.

        Raises:
            JournalError: The disk refuses.
        """
        for journal in self._journals.values():
            journal.flush()

    def close(self) -> None:
        """Close all journals."""
        for journal in self._journals.values():
            journal.close()


def now() -> datetime:
    """Return the time, UTC, in milliseconds."""
    return in_milliseconds(datetime.now(UTC))


class State(StrEnum):
    """How far an action came."""

    INTENDED = "intended"
    DONE = "done"
    SKIPPED = "not-done"
    UNDOING = "undoing"
    UNDONE = "undone"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(slots=True)
class Entry:
    """One action that was begun.

    Attributes:
        action: The action.
        metadata: Former metadata of its source.
        state: Progress of the action.
        location: Where the file is, if it is neither at its source nor gone.
        message: Why it was skipped or failed.
        finished_at: When its outcome was recorded.
        expired: It was deleted from the quarantine, its days being over.
    """

    action: Action
    metadata: FileMetadata
    state: State = State.INTENDED
    location: Path | None = None
    message: str = ""
    finished_at: datetime | None = None
    expired: bool = False


@dataclass(slots=True)
class History:
    """A journal, read.

    Attributes:
        run: The name of the run; empty if nothing could be read.
        started: When the journal was begun.
        planned: Number of actions of the plan that was carried out last, if the journal has it.
        trusted_roots: Roots and target directories: folders that may be reached through links.
        entries: By number of action, those that were begun.
        outcomes: The last outcome of every action that has one, begun or not.
        folders: Folders as they were before they were touched.
        pruned: Folders that were removed, or that may have been.
        new_folders: Folders that were made for targets, or that may have been.
        sidecars: What was done to sidecars, or may have been, in order.
        damaged: Lines that cannot be read and are not the torn end of a killed run.
    """

    run: str = ""
    started: datetime | None = None
    planned: int | None = None
    trusted_roots: tuple[Path, ...] = ()
    entries: dict[int, Entry] = field(default_factory=dict)
    outcomes: dict[int, OutcomeStatus] = field(default_factory=dict)
    folders: dict[Path, FileMetadata] = field(default_factory=dict)
    pruned: dict[Path, FileMetadata] = field(default_factory=dict)
    new_folders: set[Path] = field(default_factory=set)
    sidecars: list[SidecarWrite] = field(default_factory=list)
    damaged: int = 0

    @property
    def unfinished(self) -> tuple[Entry, ...]:
        """Actions that were begun and whose outcome is unknown, in the order of the plan."""
        open_states = {State.INTENDED, State.UNDOING, State.EXPIRING}
        return tuple(
            self.entries[number] for number in sorted(self.entries) if self.entries[number].state in open_states
        )


def outcome_of(entry: Entry) -> Outcome:
    """Return the outcome of an action as the journal knows it."""
    if entry.state is State.INTENDED:
        message = "a run was killed while it was its turn, and what became of it could not be found out"
        return Outcome(entry.action, OutcomeStatus.FAILED, entry.location, message)
    done = entry.state is not State.SKIPPED
    return Outcome(entry.action, OutcomeStatus.DONE if done else OutcomeStatus.FAILED, entry.location, entry.message)


def read_history(run_directory: Path) -> History:
    """Read a journal; one that is not there is empty.

    The torn last line of a killed run is ignored. Any other unreadable line is counted; its content is determined from
    the disk, where that is possible.

    Raises:
        JournalError: It cannot be opened, or a newer version of this program wrote it.
    """
    path = run_directory / JOURNAL_NAME
    history = History()
    try:
        with path.open("rb") as lines:
            _read(history, lines, path)
    except FileNotFoundError:
        return history
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read ({error.strerror or error})") from error
    return history


def _read(history: History, lines: Iterable[bytes], path: Path) -> None:
    torn = False
    for number, line in enumerate(lines, start=1):
        if line == b"\n":
            continue
        try:
            record = json.loads(line)
            if torn and record.get("kind") != "opened":
                history.damaged += 1
            torn = False
            _take(history, record, f"line {number}", path)
        except (ValueError, AttributeError, KeyError):
            history.damaged += int(torn)
            torn = True


def _take(history: History, value: Json, where: str, path: Path) -> None:
    kind = value.get("kind")
    version = value.get("version")
    if kind == "opened" and isinstance(version, int) and version > JOURNAL_VERSION:
        raise JournalError(f"{path} is of version {version}, made by a newer py-image-dedup; use that one")
    if not isinstance(kind, str) or kind not in JOURNAL_RECORDS:
        raise FormatError(f"{where}: {kind!r} is no kind of record")
    record = from_json(value, JOURNAL_RECORDS[kind])
    if isinstance(record, OpenedRecord):
        _opened(history, record)
    elif isinstance(record, IntentRecord):
        entry = Entry(record.action.to_action(), record.facts.to_metadata())
        history.entries[entry.action.number] = entry
        if not isinstance(record.new_folders, UnsetType):
            history.new_folders.update(folder.to_path() for folder in record.new_folders)
    elif isinstance(record, OutcomeRecord):
        _outcome(history, record)
    elif isinstance(record, MarkRecord):
        _mark(history.entries[record.number], record.kind)
    elif isinstance(record, FolderRecord | FolderMarkRecord):
        _folder(history, record)
    elif isinstance(record, SidecarWriteRecord):
        history.sidecars.append(record.to_write())


def _mark(entry: Entry, kind: Mark) -> None:
    entry.state = _MARKS[kind]
    if kind != "undo":
        # "expire" counts too: a run may be killed between the deletion and its record.
        entry.expired = kind in {"expire", "expired"}


def _folder(history: History, record: FolderRecord | FolderMarkRecord) -> None:
    path = record.to_path()
    if isinstance(record, FolderMarkRecord):
        if record.kind != "pruned":
            history.pruned.pop(path, None)
    elif record.kind == "folder":
        history.folders.setdefault(path, record.facts.to_metadata())
    else:
        history.pruned[path] = record.facts.to_metadata()


_MARKS: Final[Mapping[Mark, State]] = {
    "undo": State.UNDOING,
    "expire": State.EXPIRING,
    "expired": State.EXPIRED,
    "waits": State.DONE,
}


def _opened(history: History, record: OpenedRecord) -> None:
    history.run = record.run
    history.started = history.started or record.at
    if not isinstance(record.planned, UnsetType):
        history.planned = record.planned
    target = () if record.target_directory is None else (record.target_directory,)
    fresh = (folder.to_path() for folder in (*record.roots, *target))
    history.trusted_roots = tuple(dict.fromkeys((*history.trusted_roots, *fresh)))


def _outcome(history: History, record: OutcomeRecord) -> None:
    if record.kind == "outcome":
        history.outcomes[record.number] = record.status
    entry = history.entries.get(record.number)
    if entry is None:
        return  # it was skipped before it was begun
    target = None if record.target is None else record.target.to_path()
    done = record.status is OutcomeStatus.DONE
    entry.finished_at = record.at
    entry.message = record.message
    if record.kind == "outcome":
        entry.location = target
        entry.state = State.DONE if done or target is not None else State.SKIPPED
    elif done:
        entry.location, entry.state = None, State.UNDONE
    else:
        entry.location = target or entry.location
        entry.state = State.DONE
