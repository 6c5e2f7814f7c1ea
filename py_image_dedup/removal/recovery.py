"""Recovery after a kill: the outcome of each unfinished action is determined from the disk."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.removal.actions import ActionContext
from py_image_dedup.removal.batch import error_message
from py_image_dedup.removal.filesystem import (
    CREATED_MODE,
    NameInDir,
    NotAsPlanned,
    Stranded,
    digest_of,
    is_file,
    is_planned,
    open_in_dir,
    put_back,
)
from py_image_dedup.removal.journal import EarlierJournals, Journal, State, Step, no_step, read_history
from py_image_dedup.removal.trash import find_in_trash

_NOT_DONE = "not done: the run was killed while it was its turn; run again to go on"


def recover(run_directory: Path, *, step: Step = no_step) -> tuple[Outcome, ...]:
    """Determine the outcomes of the actions that a killed run had begun, and complete its journal.

    A half-done action is reverted, or completed where only a name was left to be removed: an incomplete copy is
    removed, and a file that was set aside gets its name again. May itself be killed and called again; a complete
    journal is not touched. An undo that was killed is continued by ``undo``.

    Args:
        run_directory: The folder of the run. The caller holds the run lock.
        step: Called with the name of each step, before and after it.

    Returns:
        One outcome for each such action: ``done``, ``skipped`` (it is where it was) or ``failed`` (the message says
        where it is). One whose files cannot be read is ``failed`` and stays open in the journal.

    Raises:
        JournalError: The journal cannot be read or written.
    """
    history = read_history(run_directory)
    begun = [entry for entry in history.unfinished if entry.state is State.INTENDED]
    if not begun:
        return ()
    outcomes: list[Outcome] = []
    context = ActionContext(history.run, history.trusted_roots, step)
    with (
        Journal(run_directory, history.run, history.trusted_roots) as journal,
        EarlierJournals(run_directory.parent) as earlier,
    ):
        for entry in begun:
            try:
                outcome = _truth(entry.action, context)
            except OSError as error:
                outcomes.append(
                    Outcome(entry.action, OutcomeStatus.FAILED, message=error_message(error, entry.action, "looked at"))
                )
                continue
            step("recover: found")
            if entry.action.quarantined is not None and outcome.status is OutcomeStatus.DONE:
                earlier.record_mark("expired", entry.action.quarantined)
            journal.record_outcome(outcome)
            outcomes.append(outcome)
        earlier.flush()
        journal.flush()
    return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class _Traces:
    """The names that an action may have left; ``None`` for a name in a folder that no longer exists."""

    source: NameInDir | None
    staged: NameInDir | None
    target: NameInDir | None
    part: NameInDir | None
    keeper: NameInDir | None


def _truth(action: Action, context: ActionContext) -> Outcome:
    with ExitStack() as stack:

        def place(path: Path | None) -> NameInDir | None:
            try:
                return None if path is None else stack.enter_context(open_in_dir(path, context.trusted_roots))
            except NotAsPlanned:
                return None

        source, target = place(action.source.path), place(action.target)
        beside = source if action.kind is ActionKind.HARDLINK else target
        traces = _Traces(
            source=source,
            staged=source and source.beside(context.staged_name(action.number)),
            target=target,
            part=beside and beside.beside(context.part_name(action.number)),
            keeper=place(action.keeper.path),
        )
        try:
            outcome = _settle(action, traces, context)
        except Stranded as error:
            outcome = Outcome(action, OutcomeStatus.FAILED, error.location, str(error))
        _remove_part(action, traces, context)
        return outcome


def _settle(action: Action, traces: _Traces, context: ActionContext) -> Outcome:
    source = _look(traces.source)
    staged = _look(traces.staged)
    linked = action.kind is ActionKind.HARDLINK and _is_complete(action, traces)
    if is_planned(source, action.source) and not linked:
        return _back(action, traces, context)
    if traces.source is not None and traces.staged is not None and is_planned(staged, action.source):
        if _is_complete(action, traces):
            context.step("recover: unlink")
            traces.staged.unlink()
            return _done(action)
        context.step("recover: put back")
        put_back(traces.staged, traces.source)
        return _back(action, traces, context)
    if _is_complete(action, traces):
        return _done(action)
    if source is not None and (source.st_ino == action.source.inode or action.kind not in _DELETES):
        return Outcome(action, OutcomeStatus.SKIPPED, message=_NOT_DONE)
    if _was_restored(action):
        return Outcome(action, OutcomeStatus.SKIPPED, message=f"{action.source.path} was restored meanwhile")
    if action.kind in {ActionKind.DELETE, ActionKind.TRASH, ActionKind.EXPIRE}:
        return _done(action)
    message = f"{action.source.path} is neither at its place nor at {action.target or action.keeper.path}"
    return Outcome(action, OutcomeStatus.FAILED, message=message)


_DELETES = frozenset({ActionKind.DELETE, ActionKind.EXPIRE})


def _was_restored(action: Action) -> bool:
    """Return whether a file that should expire is back where it came from."""
    if action.quarantined is None:
        return False
    try:
        return is_planned(action.quarantined.path.lstat(), action.source)
    except OSError:
        return False


def _back(action: Action, traces: _Traces, context: ActionContext) -> Outcome:
    """Remove second names and copies of a source that is at its place."""
    for extra in (traces.staged, traces.target):
        status = _look(extra)
        if extra is None or status is None or not is_file(status):
            continue
        source = _look(traces.source)
        second_name = source is not None and os.path.samestat(status, source)
        empty_claim = status.st_size == 0 < action.source.size and stat.S_IMODE(status.st_mode) == CREATED_MODE
        if second_name or empty_claim or _has_bytes(extra, action.source.size, action.source_digest):
            context.step("recover: unlink")
            extra.unlink()
    return Outcome(action, OutcomeStatus.SKIPPED, message=_NOT_DONE)


def _is_complete(action: Action, traces: _Traces) -> bool:
    """Return whether the result of the action exists."""
    if action.kind in {ActionKind.MOVE, ActionKind.QUARANTINE}:
        return is_planned(_look(traces.target), action.source) or _has_bytes(
            traces.target, action.source.size, action.source_digest
        )
    if action.kind is ActionKind.HARDLINK:
        source, keeper = _look(traces.source), _look(traces.keeper)
        return source is not None and keeper is not None and os.path.samestat(source, keeper)
    if action.kind is ActionKind.TRASH:
        return find_in_trash(action.source.path, action.source.stamp) is not None
    return False


def _done(action: Action) -> Outcome:
    if action.kind is ActionKind.TRASH:
        where = find_in_trash(action.source.path, action.source.stamp)
        message = "" if where else f"{action.source.path} is gone and was not found in the trash; look for it there"
        return Outcome(action, OutcomeStatus.DONE, where, message)
    where = action.target if action.kind in {ActionKind.MOVE, ActionKind.QUARANTINE} else None
    return Outcome(action, OutcomeStatus.DONE, where)


def _remove_part(action: Action, traces: _Traces, context: ActionContext) -> None:
    """Remove an incomplete copy, or a link without its final name."""
    part = traces.part
    status = _look(part)
    if part is None or status is None or not is_file(status):
        return
    seen = [one for one in map(_look, (traces.source, traces.staged, traces.target)) if one is not None]
    still_there = any(is_planned(one, action.source) or one.st_ino == action.source.inode for one in seen)
    if status.st_nlink > 1 or still_there:
        context.step("recover: unlink")
        part.unlink()


def _look(place: NameInDir | None) -> os.stat_result | None:
    return None if place is None else place.look()


def _has_bytes(place: NameInDir | None, size: int, digest: bytes) -> bool:
    status = _look(place)
    if place is None or status is None or not is_file(status) or status.st_size != size:
        return False
    descriptor = place.open()
    try:
        return digest_of(descriptor) == digest
    finally:
        os.close(descriptor)
