"""What a journal tells: the last known state of every action of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from py_image_dedup.model.plan import Action, Outcome, OutcomeStatus
from py_image_dedup.removal.file_metadata import FileFacts
from py_image_dedup.removal.journal import JOURNAL_NAME, JOURNAL_VERSION, JournalError
from py_image_dedup.removal.serialization import FormError, Json, action_from_json, facts_from_json, path_from_json
from py_image_dedup.removal.serialization import field as field_of


class State(StrEnum):
    """How far an action came."""

    INTENDED = "intended"
    DONE = "done"
    NOT_DONE = "not-done"
    UNDOING = "undoing"
    UNDONE = "undone"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(slots=True)
class Entry:
    """One action that was begun.

    Attributes:
        action: What was meant.
        facts: Of its source, before.
        state: How far it came.
        where: Where the file is, if it is neither at its source nor gone.
        message: Why it was skipped or failed.
        at: When its outcome was told.
        expired: It was deleted from the quarantine, its days being over.
    """

    action: Action
    facts: FileFacts
    state: State = State.INTENDED
    where: Path | None = None
    message: str = ""
    at: datetime | None = None
    expired: bool = False


@dataclass(slots=True)
class History:
    """A journal, read.

    Attributes:
        run: The name of the run; empty if nothing could be read.
        started: When the journal was begun.
        anchors: Roots and target directories: folders that may be reached through links.
        entries: By number of action, those that were begun.
        outcomes: The last outcome of every action that has one, begun or not.
        folders: Folders as they were before they were touched.
        pruned: Folders that were removed, or that may have been.
        new_folders: Folders that were made for targets, or that may have been.
        damaged: Lines that cannot be read and are not the torn end of a killed run.
    """

    run: str = ""
    started: datetime | None = None
    anchors: tuple[Path, ...] = ()
    entries: dict[int, Entry] = field(default_factory=dict)
    outcomes: dict[int, OutcomeStatus] = field(default_factory=dict)
    folders: dict[Path, FileFacts] = field(default_factory=dict)
    pruned: dict[Path, FileFacts] = field(default_factory=dict)
    new_folders: set[Path] = field(default_factory=set)
    damaged: int = 0

    @property
    def unfinished(self) -> tuple[Entry, ...]:
        """Actions that were begun and whose end is not known, in the order of the plan."""
        open_states = {State.INTENDED, State.UNDOING, State.EXPIRING}
        return tuple(
            self.entries[number] for number in sorted(self.entries) if self.entries[number].state in open_states
        )


def outcome_of(entry: Entry) -> Outcome:
    """Say what a journal knows of an action's end."""
    if entry.state is State.INTENDED:
        message = "a run was killed while it was its turn, and what became of it could not be found out"
        return Outcome(entry.action, OutcomeStatus.FAILED, entry.where, message)
    done = entry.state is not State.NOT_DONE
    return Outcome(entry.action, OutcomeStatus.DONE if done else OutcomeStatus.FAILED, entry.where, entry.message)


def read_history(run_directory: Path) -> History:
    """Read a journal; one that is not there is empty.

    The torn last line of a killed run is passed over. Any other line that cannot be read is counted: what it told is
    found on the disk, where that is possible.

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
        entry.expired |= kind == "expired"
    else:
        raise FormError(f"{where}: {kind!r} is no kind of record")


_FOLDERS: Final = frozenset({"folder", "prune", "pruned", "kept", "restored"})
_MARKS: Final = {"undo": State.UNDOING, "expire": State.EXPIRING, "expired": State.EXPIRED, "waits": State.DONE}


def _opened(history: History, record: Json, where: str, path: Path) -> None:
    version = field_of(record, "version", int, where)
    if version > JOURNAL_VERSION:
        raise JournalError(f"{path} is of version {version}, made by a newer py-image-dedup; use that one")
    history.run = field_of(record, "run", str, where)
    history.started = history.started or datetime.fromisoformat(field_of(record, "at", str, where))
    folders = [*field_of(record, "roots", list, where)]
    if record.get("target_directory") is not None:
        folders.append(record["target_directory"])
    fresh = (path_from_json(folder, where) for folder in folders)
    history.anchors = tuple(dict.fromkeys((*history.anchors, *fresh)))


def _intent(record: Json, where: str) -> Entry:
    return Entry(
        action=action_from_json(record.get("action"), f"{where}.action"),
        facts=facts_from_json(record.get("facts"), f"{where}.facts"),
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
    entry.at = datetime.fromisoformat(field_of(record, "at", str, where))
    entry.message = field_of(record, "message", str, where)
    if kind == "outcome":
        entry.where = None if target is None else path_from_json(target, where)
        entry.state = State.DONE if done or entry.where is not None else State.NOT_DONE
    elif done:
        entry.where, entry.state = None, State.UNDONE
    else:
        entry.where = entry.where if target is None else path_from_json(target, where)
        entry.state = State.DONE


def _folder(history: History, kind: str, record: Json, where: str) -> None:
    path = path_from_json(record, where)
    if kind == "folder":
        history.folders.setdefault(path, facts_from_json(record.get("facts"), where))
    elif kind == "prune":
        history.pruned[path] = facts_from_json(record.get("facts"), where)
    elif kind in {"kept", "restored"}:
        history.pruned.pop(path, None)
