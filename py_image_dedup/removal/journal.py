"""The journal of a run, ``journal.jsonl``: an intent before each action, an outcome after it. See ``docs/formats.md``.

A line that was written survives a killed process; a line that was flushed survives a power failure. Intents are flushed
before anything is done; a lost outcome is determined from the disk (``removal.recovery``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.model.closing import Closing
from py_image_dedup.model.plan import Action, Outcome, OutcomeStatus, Plan, Quarantined
from py_image_dedup.removal.file_metadata import FileMetadata
from py_image_dedup.removal.filesystem import fsync
from py_image_dedup.removal.serialization import (
    FormatError,
    Json,
    action_from_json,
    action_to_json,
    metadata_from_json,
    metadata_to_json,
    path_from_json,
    path_to_json,
)
from py_image_dedup.removal.serialization import field as field_of

JOURNAL_VERSION: Final = 1
"""Version of the format. A reader refuses a newer one."""

JOURNAL_NAME: Final = "journal.jsonl"
"""Name of the file in a run's folder."""

Step: TypeAlias = Callable[[str], None]
"""Called with the name of each step, before and after it; tests interrupt there."""


def no_step(name: str, /) -> None:
    """Do nothing."""


class JournalError(Exception):
    """A journal that cannot be written or read; the message names it and the cause. Nothing more may be done."""


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
                {
                    "kind": "opened",
                    "version": JOURNAL_VERSION,
                    "run": run,
                    "at": now(),
                    "roots": [path_to_json(root) for root in roots],
                    "target_directory": None if target_directory is None else path_to_json(target_directory),
                    **({} if planned is None else {"planned": planned}),
                }
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
            action: What.
            metadata: Of the source, now.
            new_folders: Folders that will be made for its target, outermost first.
        """
        record = intent_to_json(action, metadata)
        if new_folders:
            record["new_folders"] = [path_to_json(folder) for folder in new_folders]
        self._write(record)

    def record_outcome(self, outcome: Outcome, kind: str = "outcome", at: datetime | None = None) -> None:
        """Record the outcome of an action; with the kind ``undone``, of its undo."""
        self._write(
            {
                "kind": kind,
                "number": outcome.action.number,
                "status": outcome.status.value,
                "source": path_to_json(outcome.action.source.path),
                "target": None if outcome.target is None else path_to_json(outcome.target),
                "message": outcome.message,
                "at": now() if at is None else at.isoformat(timespec="milliseconds"),
            }
        )

    def record_mark(self, kind: str, number: int) -> None:
        """Record a mark of an action: ``undo``, ``expire``, ``expired`` or ``waits``."""
        self._write({"kind": kind, "number": number, "at": now()})

    def record_folder(self, kind: str, path: Path, metadata: FileMetadata | None = None) -> None:
        """Record a folder: ``folder`` (before it was touched), ``prune``, ``pruned``, ``kept`` or ``restored``."""
        metadata_form: Json = {} if metadata is None else {"facts": metadata_to_json(metadata)}
        self._write({"kind": kind, **path_to_json(path), **metadata_form})

    def flush(self) -> None:
        """Flush every line to disk.

        Raises:
            JournalError: The disk refuses.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, record: Json) -> None:
        # backslashreplace writes a name's surrogate escapes as JSON does, so that every message can be written
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
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


def intent_to_json(action: Action, metadata: FileMetadata) -> Json:
    """Return the record of an action that is about to be carried out."""
    return {
        "kind": "intent",
        "number": action.number,
        "action": action_to_json(action),
        "facts": metadata_to_json(metadata),
    }


class EarlierJournals(Closing):
    """The journals of the runs that put files into quarantine, each opened when it is first needed.

    A context manager. A run without a journal is passed over: its quarantine has a manifest.

    Args:
        runs_directory: The folder that has a folder for each run.
    """

    def __init__(self, runs_directory: Path) -> None:
        self._runs = runs_directory
        self._journals: dict[str, Journal] = {}

    def record_mark(self, kind: str, quarantined: Quarantined) -> None:
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


def now() -> str:
    """Return the time, UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


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
        action: What was meant.
        metadata: Of its source, before.
        state: How far it came.
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


def _take(history: History, record: Json, where: str, path: Path) -> None:
    kind = field_of(record, "kind", str, where)
    if kind == "opened":
        _opened(history, record, where, path)
    elif kind == "intent":
        entry = _intent(record, where)
        history.entries[entry.action.number] = entry
        history.new_folders.update(path_from_json(folder, where) for folder in record.get("new_folders", ()))
    elif kind in _FOLDERS:
        _folder(history, kind, record, where)
    elif kind in {"outcome", "undone"}:
        _told(history, kind, record, where)
    elif kind in _MARKS:
        entry = history.entries[field_of(record, "number", int, where)]
        entry.state = _MARKS[kind]
        if kind != "undo":
            # "expire" counts too: a run may be killed between the deletion and its record.
            entry.expired = kind in {"expire", "expired"}
    else:
        raise FormatError(f"{where}: {kind!r} is no kind of record")


_FOLDERS: Final = frozenset({"folder", "prune", "pruned", "kept", "restored"})
_MARKS: Final = {"undo": State.UNDOING, "expire": State.EXPIRING, "expired": State.EXPIRED, "waits": State.DONE}


def _opened(history: History, record: Json, where: str, path: Path) -> None:
    version = field_of(record, "version", int, where)
    if version > JOURNAL_VERSION:
        raise JournalError(f"{path} is of version {version}, made by a newer py-image-dedup; use that one")
    history.run = field_of(record, "run", str, where)
    history.started = history.started or datetime.fromisoformat(field_of(record, "at", str, where))
    if "planned" in record:
        history.planned = field_of(record, "planned", int, where)
    folders = [*field_of(record, "roots", list, where)]
    if record.get("target_directory") is not None:
        folders.append(record["target_directory"])
    fresh = (path_from_json(folder, where) for folder in folders)
    history.trusted_roots = tuple(dict.fromkeys((*history.trusted_roots, *fresh)))


def _intent(record: Json, where: str) -> Entry:
    return Entry(
        action=action_from_json(record.get("action"), f"{where}.action"),
        metadata=metadata_from_json(record.get("facts"), f"{where}.facts"),
    )


def _told(history: History, kind: str, record: Json, where: str) -> None:
    number = field_of(record, "number", int, where)
    status = OutcomeStatus(field_of(record, "status", str, where))
    if kind == "outcome":
        history.outcomes[number] = status
    entry = history.entries.get(number)
    if entry is None:
        return  # it was skipped before it was begun
    target = record.get("target")
    done = status is OutcomeStatus.DONE
    entry.finished_at = datetime.fromisoformat(field_of(record, "at", str, where))
    entry.message = field_of(record, "message", str, where)
    if kind == "outcome":
        entry.location = None if target is None else path_from_json(target, where)
        entry.state = State.DONE if done or entry.location is not None else State.SKIPPED
    elif done:
        entry.location, entry.state = None, State.UNDONE
    else:
        entry.location = entry.location if target is None else path_from_json(target, where)
        entry.state = State.DONE


def _folder(history: History, kind: str, record: Json, where: str) -> None:
    path = path_from_json(record, where)
    if kind == "folder":
        history.folders.setdefault(path, metadata_from_json(record.get("facts"), where))
    elif kind == "prune":
        history.pruned[path] = metadata_from_json(record.get("facts"), where)
    elif kind in {"kept", "restored"}:
        history.pruned.pop(path, None)
