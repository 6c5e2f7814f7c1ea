"""The folder in each root where removed files wait, and the end of their wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.removal.batch import BATCH, error_message
from py_image_dedup.removal.filesystem import NotAsPlanned, digest_of, is_file, open_in_dir
from py_image_dedup.removal.journal import JOURNAL_NAME, Entry, History, Journal, State, Step, no_step, read_history
from py_image_dedup.removal.restore import CopyLocator

_WAITING = frozenset({State.DONE, State.EXPIRING})


def _never() -> bool:
    return False


def quarantine_of(root: Path, target: Path) -> Path:
    """Return the quarantine that a target is in: the folder right below the root."""
    return root / target.relative_to(root).parts[0]


def expire(
    runs_directory: Path,
    roots: Sequence[Path],
    quarantine_days: float,
    now: datetime,
    *,
    should_stop: Callable[[], bool] = _never,
    step: Step = no_step,
) -> tuple[Outcome, ...]:
    """Delete what has waited in the quarantines of these roots for longer than so many days.

    Only files that a journal says were put there, that are what was put there, and whose keeper, or another file with
    the keeper's bytes, still exists outside every quarantine. Whatever else is in a quarantine stays.

    Args:
        runs_directory: Where the runs' folders are. The caller holds the run lock.
        roots: Whose quarantines; protected ones have none.
        quarantine_days: How long a file waits at least.
        now: The time, with time zone.
        should_stop: Asked before each file.
        step: Is told each step.

    Returns:
        One outcome for each file whose days are over: ``done`` if it is gone, ``skipped`` if it must stay and
        ``failed`` if the disk refuses, both with words.

    Raises:
        JournalError: A journal cannot be read or written; nothing was deleted without it.
    """
    outcomes: list[Outcome] = []
    for run_directory in _runs_in_quarantine(runs_directory, roots):
        history = read_history(run_directory)
        over = [entry for entry in history.entries.values() if _is_over(entry, roots, now, quarantine_days)]
        if over:
            outcomes.extend(_delete(over, run_directory, history, should_stop, step))
    return tuple(outcomes)


def _runs_in_quarantine(runs_directory: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Return the folders of the runs that have something in a quarantine: there may be thousands that have not."""
    names: set[str] = set()
    for root in roots:
        with suppress(OSError):
            names.update(folder.name for folder in (root / QUARANTINE_NAME).iterdir())
    for name in sorted(names):
        if (runs_directory / name / JOURNAL_NAME).is_file():
            yield runs_directory / name


def _is_over(entry: Entry, roots: Sequence[Path], now: datetime, days: float) -> bool:
    return (
        entry.action.kind is ActionKind.QUARANTINE
        and entry.state in _WAITING
        and entry.location is not None
        and QUARANTINE_NAME in entry.location.parts
        and any(root in entry.location.parents for root in roots)
        and entry.finished_at is not None
        and now - entry.finished_at > timedelta(days=days)
    )


def _delete(
    entries: Sequence[Entry], run_directory: Path, history: History, should_stop: Callable[[], bool], step: Step
) -> Iterator[Outcome]:
    copies = CopyLocator(run_directory, history)
    with Journal(run_directory, history.run, history.trusted_roots) as journal:
        for start in range(0, len(entries), BATCH):
            if should_stop():
                break
            batch = entries[start : start + BATCH]
            for entry in batch:
                journal.record_mark("expire", entry.action.number)
            step("expire: intents written")
            journal.flush()
            for entry in batch:
                outcome = _delete_one(entry, history.trusted_roots, copies, step)
                journal.record_mark("expired" if outcome.status is OutcomeStatus.DONE else "waits", entry.action.number)
                yield outcome
        journal.flush()
    _remove_empty(entries)


def _delete_one(entry: Entry, trusted_roots: Sequence[Path], copies: CopyLocator, step: Step) -> Outcome:
    action, where = entry.action, entry.location
    try:
        if where is not None:
            _unlink(action, where, trusted_roots, copies, step)
    except NotAsPlanned as error:
        return Outcome(action, OutcomeStatus.SKIPPED, where, str(error))
    except OSError as error:
        return Outcome(action, OutcomeStatus.FAILED, where, error_message(error, action, "deleted from the quarantine"))
    return Outcome(action, OutcomeStatus.DONE)


def _unlink(action: Action, where: Path, trusted_roots: Sequence[Path], copies: CopyLocator, step: Step) -> None:
    if not _has_keeper(action, copies):
        raise NotAsPlanned(f"{where} stays in quarantine: its keeper {action.keeper.path} is not there any more")
    with open_in_dir(where, trusted_roots) as place:
        status = place.look()
        if status is None:
            return
        if not is_file(status) or (status.st_size, status.st_mtime_ns) != action.source.stamp[:2]:
            raise NotAsPlanned(f"{where} stays in quarantine: it was changed since it was put there")
        step("expire: unlink")
        place.unlink()
        step("expire: unlinked")


def _has_keeper(action: Action, copies: CopyLocator) -> bool:
    """Tell whether the bytes for which a file was removed are still somewhere outside the quarantines."""
    keeper = action.keeper
    for path in (keeper.path, *copies.of(action.keeper_digest)):
        if QUARANTINE_NAME in path.parts:
            continue
        with suppress(OSError):
            status = path.lstat()
            if not is_file(status) or status.st_size != keeper.size:
                continue
            unchanged = path == keeper.path and (status.st_mtime_ns, status.st_ino) == (keeper.mtime_ns, keeper.inode)
            if unchanged or _digest(path) == action.keeper_digest:
                return True
    return False


def _digest(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return digest_of(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(entries: Sequence[Entry]) -> None:
    """Remove the folders of the quarantine that have nothing in them any more, innermost first."""
    folders: set[Path] = set()
    for entry in entries:
        if entry.location is not None:
            top = quarantine_of(entry.action.root, entry.location)
            folders.update(folder for folder in entry.location.parents if folder == top or top in folder.parents)
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):
            folder.rmdir()
