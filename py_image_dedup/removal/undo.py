"""The undo of a run: every file that it removed is restored with its times, or its outcome says why not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from py_image_dedup.model.events import Observer, PhaseAdvanced, ignore, never
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus
from py_image_dedup.removal.actions import (
    BATCH,
    STOPPED,
    ActionContext,
    PendingAction,
    carry_out,
    with_sidecars,
)
from py_image_dedup.removal.filesystem import missing_folders
from py_image_dedup.removal.folders import remake_folders, remove_if_empty, restore_metadata
from py_image_dedup.removal.journal import (
    Entry,
    History,
    Journal,
    JournalError,
    State,
    Step,
    no_step,
    now,
    read_history,
)
from py_image_dedup.removal.plan import can_be_undone
from py_image_dedup.removal.quarantine import run_folder_of, tidy_run_folder
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.restore import CopyLocator, Restorer, lost_message
from py_image_dedup.removal.serialization import Digest, PathRecord, Record, Time, encode_path, from_json, to_json
from py_image_dedup.removal.units import blocked_units

RESTORED_NAME: Final = "restored.json"
"""Name of the file in the state directory that lists restored files."""


class RestoredFileRecord(PathRecord, frozen=True, kw_only=True):
    """A file that was restored.

    Attributes:
        digest: BLAKE3 digest of its bytes.
        at: When.
    """

    digest: Digest
    at: Time


class RestoredRecord(Record, frozen=True, kw_only=True):
    """The files that were restored, and that a daemon leaves until a run by hand removes them.

    Attributes:
        version: Version of the format.
        kind: What the file is, for the reader.
        files: The files.
    """

    version: Literal[1]
    kind: str = "py-image-dedup restored files"
    files: tuple[RestoredFileRecord, ...]


def load_restored(state_directory: Path) -> dict[Path, bytes]:
    """Return the files that were restored and not removed again since, with the digests of their bytes.

    Raises:
        JournalError: The list cannot be read: better no run than one that removes what was to stay.
    """
    return {path: bytes.fromhex(record.digest) for path, record in _restored_records(state_directory).items()}


def remember_restored(state_directory: Path, files: Iterable[tuple[Path, bytes]]) -> None:
    """Add files with the digests of their bytes to the list. The caller holds the run lock.

    Raises:
        JournalError: The list cannot be read or written.
    """
    added = {
        path: RestoredFileRecord(path=text, path_bytes=raw, digest=digest.hex(), at=now())
        for path, digest in files
        for text, raw in (encode_path(path),)
    }
    if added:
        _save_restored(state_directory, _restored_records(state_directory) | added)


def forget_restored(state_directory: Path, paths: Iterable[Path]) -> None:
    """Take files from the list, because they were removed. The caller holds the run lock.

    Raises:
        JournalError: The list cannot be read or written.
    """
    if not (state_directory / RESTORED_NAME).is_file():
        return
    known, gone = _restored_records(state_directory), set(paths)
    left = {path: record for path, record in known.items() if path not in gone}
    if len(left) < len(known):
        _save_restored(state_directory, left)


def _restored_records(state_directory: Path) -> dict[Path, RestoredFileRecord]:
    path = state_directory / RESTORED_NAME
    try:
        record = from_json(json.loads(path.read_text(encoding="utf-8")), RestoredRecord)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise JournalError(
            f"the list of restored files {path} cannot be read ({error}); correct or delete it"
        ) from error
    return {each.to_path(): each for each in record.files}


def _save_restored(state_directory: Path, records: Mapping[Path, RestoredFileRecord]) -> None:
    path = state_directory / RESTORED_NAME
    part = path.with_name(f"{RESTORED_NAME}.new")
    try:
        with part.open("w", encoding="utf-8") as stream:
            json.dump(to_json(RestoredRecord(version=1, files=tuple(records.values()))), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        cause = error.strerror or str(error)
        raise JournalError(f"the list of restored files {path} cannot be written ({cause})") from error


def undo(
    run_directory: Path,
    *,
    only: Collection[Path] | None = None,
    dry_run: bool = False,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
    step: Step = no_step,
) -> tuple[Outcome, ...]:
    """Restore what a run removed, the last file first.

    Moved, quarantined and trashed files are moved back, deleted ones copied from their keeper or from any other file
    with their bytes that a journal knows, hard links made files of their own again, emptied folders made again. Nothing
    is overwritten. Journaled like the removal itself: may be killed at any step and called again.

    Files that are restored are listed in the state directory, two folders above, so that a daemon leaves them.

    Args:
        run_directory: The folder of the run. The caller holds the run lock.
        only: Paths that the files had, or have now; ``None``: every file of the run. The other files of a photo of
            several files are restored with each of them.
        dry_run: Nothing is done; what would be is ``planned``.
        observer: Receives a ``PhaseAdvanced`` for each file.
        should_stop: Returns whether to leave out the rest; called before each file.
        step: Called with the name of each step, before and after it.

    Returns:
        One outcome for each action that was begun, in reverse order: ``done`` with the path as target; ``skipped`` if
        there was nothing to do (never done, or undone already) or the undo was stopped; ``failed`` with the reason and,
        as target, where the file is.

    Raises:
        JournalError: There is no journal, or it cannot be read or written.
    """
    if not dry_run:
        recover(run_directory, step=step)
    history = read_history(run_directory)
    if not history.run:
        raise JournalError(f"{run_directory} has no journal: this run removed nothing that could be restored")
    undoing = _Undoing(run_directory, history, observer, should_stop, step)
    return undoing.preview(only) if dry_run else undoing.run(only)


class _Undoing:
    def __init__(
        self, directory: Path, history: History, observer: Observer, should_stop: Callable[[], bool], step: Step
    ) -> None:
        self._directory = directory
        self._history = history
        self._observer = observer
        self._should_stop = should_stop
        self._step = step
        self._context = ActionContext(history.run, history.trusted_roots, step)
        self._copies = CopyLocator(directory, history)
        self._outcomes: dict[int, Outcome] = {}
        self._made: set[Path] = set(history.pruned)

    def preview(self, only: Collection[Path] | None) -> tuple[Outcome, ...]:
        """Return what an undo would do."""
        outcomes: list[Outcome] = []
        chosen = self._chosen(only)
        left = [entry for entry in chosen if _nothing_to_do(entry) is None]
        blocked = blocked_units(left, self._context, self._copies)
        for entry in chosen:
            reason = _nothing_to_do(entry)
            if reason is None and (entry.expired or not can_be_undone(entry.action)):
                outcomes.append(Outcome(entry.action, OutcomeStatus.FAILED, message=lost_message(entry)))
            elif reason is None and entry.action.unit in blocked:
                outcomes.append(Outcome(entry.action, OutcomeStatus.FAILED, message=blocked[entry.action.unit]))
            elif reason is None:
                outcomes.append(Outcome(entry.action, OutcomeStatus.PLANNED, entry.action.source.path))
            else:
                outcomes.append(Outcome(entry.action, OutcomeStatus.SKIPPED, message=reason))
        return tuple(outcomes)

    def _chosen(self, only: Collection[Path] | None) -> list[Entry]:
        entries = [self._history.entries[number] for number in sorted(self._history.entries, reverse=True)]
        if only is None:
            return entries
        chosen = [one for one in entries if one.action.source.path in only or one.location in only]
        units = {one.action.unit for one in chosen if one.action.unit}
        return [one for one in entries if one in chosen or one.action.unit in units]

    def _limit(self, entries: Sequence[Entry]) -> None:
        """Make only those folders again that the chosen files are in."""
        wanted = {folder for entry in entries for folder in entry.action.source.path.parents}
        self._history.pruned = {path: each for path, each in self._history.pruned.items() if path in wanted}
        self._made = set(self._history.pruned)

    def run(self, only: Collection[Path] | None) -> tuple[Outcome, ...]:
        """Restore the files."""
        entries = self._chosen(only)
        if only is not None:
            self._limit(entries)
        left: list[Entry] = []
        for entry in entries:
            reason = _nothing_to_do(entry)
            if reason is None:
                left.append(entry)
            else:
                self._take(Outcome(entry.action, OutcomeStatus.SKIPPED, message=reason))
        blocked = blocked_units(left, self._context, self._copies)
        for entry in left:
            if entry.action.unit in blocked:
                message = (
                    f"{entry.action.source.path} is restored with its whole photo only: {blocked[entry.action.unit]}"
                )
                self._take(Outcome(entry.action, OutcomeStatus.FAILED, entry.location, message))
        left = [entry for entry in left if entry.action.unit not in blocked]
        if left or self._history.pruned:
            self._bring_back(left)
        self._tidy()
        return tuple(self._outcomes[entry.action.number] for entry in entries)

    def _bring_back(self, left: Sequence[Entry]) -> None:
        reason = STOPPED
        # First: a daemon may see the restored files at once.
        files = [(entry.action.source.path, entry.action.source_digest) for entry in left]
        remember_restored(self._directory.parent.parent, files)
        with Journal(self._directory, self._history.run, self._history.trusted_roots) as journal:
            self._context = with_sidecars(self._context, self._history, journal)
            try:
                remake_folders(self._history, self._step)
                for start in range(0, len(left), BATCH):
                    if self._should_stop():
                        break
                    self._batch(left[start : start + BATCH], journal)
                restore_metadata(self._made, self._history, journal)
                journal.flush()
            except JournalError as error:
                reason = f"nothing was done with it: {error}"
        for entry in left:
            if entry.action.number not in self._outcomes:
                self._take(Outcome(entry.action, OutcomeStatus.SKIPPED, entry.location, reason))

    def _batch(self, batch: Sequence[Entry], journal: Journal) -> None:
        locations = {entry.action.number: entry.location for entry in batch}

        def finished(outcome: Outcome) -> None:
            if outcome.status is not OutcomeStatus.DONE and outcome.message != STOPPED:
                where = outcome.target or locations[outcome.action.number]
                outcome = replace(outcome, status=OutcomeStatus.FAILED, target=where)
            elif outcome.status is OutcomeStatus.DONE and self._context.sidecars is not None:
                outcome = replace(outcome, message=self._context.sidecars.take_back(outcome.action.number))
            self._take(outcome)
            journal.record_outcome(outcome, "undone")

        for entry in batch:
            self._made.update(missing_folders(entry.action.source.path))
            journal.record_mark("undo", entry.action.number)
        self._step("undo: intents written")
        journal.flush()
        self._step("undo: intents flushed")
        restorers = [(entry.action, Restorer(entry, self._context, self._copies.of)) for entry in batch]
        pending = [PendingAction(action, restorer.steps) for action, restorer in restorers]
        carry_out(pending, finished, self._should_stop, "restored")

    def _tidy(self) -> None:
        """Remove the folders that were created for the removed files, and those created in vain just now."""
        made = self._history.new_folders | (self._made - set(self._history.pruned))
        for entry in self._history.entries.values():
            if entry.action.kind is ActionKind.QUARANTINE and entry.action.target is not None:
                tidy_run_folder(run_folder_of(entry.action.root, entry.action.target))
        remove_if_empty(made)

    def _take(self, outcome: Outcome) -> None:
        self._outcomes[outcome.action.number] = outcome
        self._observer(PhaseAdvanced(Phase.REMOVE))


def _nothing_to_do(entry: Entry) -> str | None:
    path = entry.action.source.path
    if entry.action.kind is ActionKind.EXPIRE:
        return f"{path} was permanently deleted from the quarantine and cannot be restored"
    if entry.state is State.UNDONE:
        return f"{path} was restored already"
    if entry.state is State.SKIPPED:
        return f"{path} was not removed: {entry.message}"
    if entry.state is State.INTENDED:
        return f"{path}: what became of it could not be found out; see the journal"
    return None
