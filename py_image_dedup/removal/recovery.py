"""Journals checked against the disk: recovery after a kill, and the verification of a run.

Recovery determines the outcome of each unfinished action from the disk. Verification checks whether the files of a run
are where its journal says, and whether its keepers are whole.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseAdvanced, ignore, never
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.removal.actions import ActionContext, error_message, with_sidecars
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
from py_image_dedup.removal.journal import (
    EarlierJournals,
    Entry,
    Journal,
    JournalError,
    State,
    Step,
    no_step,
    read_history,
)
from py_image_dedup.removal.restore import CopyLocator
from py_image_dedup.removal.trash import find_in_trash
from py_image_dedup.removal.units import roll_back, torn_units

_NOT_DONE = "not done: the run was killed while it was its turn; run again to go on"


def recover(run_directory: Path, *, step: Step = no_step) -> tuple[Outcome, ...]:
    """Determine the outcomes of the actions that a killed run had begun, and complete its journal.

    A half-done action is reverted, or completed where only a name was left to be removed: an incomplete copy is
    removed, and a file that was set aside gets its name again. A photo of several files of which only some were removed
    is put back. May itself be killed and called again; a complete
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
    if not begun and not torn_units(history):
        return ()
    outcomes: list[Outcome] = []
    context = ActionContext(history.run, history.trusted_roots, step)
    with (
        Journal(run_directory, history.run, history.trusted_roots) as journal,
        EarlierJournals(run_directory.parent) as earlier,
    ):
        context = with_sidecars(context, history, journal)
        for entry in begun:
            try:
                outcome = _truth(entry.action, context)
            except OSError as error:
                outcomes.append(
                    Outcome(entry.action, OutcomeStatus.FAILED, message=error_message(error, entry.action, "looked at"))
                )
                continue
            outcome = _settle_sidecar(outcome, context)
            step("recover: found")
            if entry.action.quarantined is not None and outcome.status is OutcomeStatus.DONE:
                earlier.record_mark("expired", entry.action.quarantined)
            journal.record_outcome(outcome)
            outcomes.append(outcome)
        earlier.flush()
        journal.flush()
        history = read_history(run_directory)
        context = with_sidecars(context, history, journal)
        put_back = roll_back(history, journal, CopyLocator(run_directory, history), context)
    back = {outcome.action.number for outcome in put_back}
    return (*(outcome for outcome in outcomes if outcome.action.number not in back), *put_back)


def _settle_sidecar(outcome: Outcome, context: ActionContext) -> Outcome:
    """Take the metadata of a file that was not removed out of its keeper's sidecar again."""
    sidecars = context.sidecars
    if sidecars is None or outcome.action.merge is None or outcome.status is OutcomeStatus.DONE:
        return outcome
    left = sidecars.take_back(outcome.action.number)
    return replace(outcome, message=f"{outcome.message}; {left}") if left else outcome


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


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check of one action found.

    Attributes:
        entry: The action, as the journal knows it.
        problems: Sentences about what is not as it should be; none if all is well.
    """

    entry: Entry
    problems: tuple[str, ...] = ()


def verify_run(
    run_directory: Path, *, observer: Observer = ignore, should_stop: Callable[[], bool] = never
) -> tuple[Finding, ...]:
    """Compare a run's journal with the disk, every file by its bytes. Nothing is changed.

    Args:
        run_directory: The folder of the run.
        observer: Receives a ``PhaseAdvanced`` for each file.
        should_stop: Returns whether to leave out the rest; called before each file.

    Returns:
        One finding for each action that was begun, in the order of the plan.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    history = read_history(run_directory)
    if not history.run:
        raise JournalError(f"{run_directory} has no journal: this run removed nothing")
    check = _Check(CopyLocator(run_directory, history))
    found: list[Finding] = []
    for number in sorted(history.entries):
        if should_stop():
            break
        entry = history.entries[number]
        found.append(Finding(entry, tuple(check.problems(entry))))
        observer(PhaseAdvanced(Phase.REMOVE))
    return tuple(found)


class _Check:
    """Looks at files, each digest once."""

    def __init__(self, copies: CopyLocator) -> None:
        self._copies = copies
        self._digests: dict[Path, bytes | None] = {}

    def problems(self, entry: Entry) -> list[str]:
        action = entry.action
        if entry.state in {State.INTENDED, State.UNDOING, State.EXPIRING}:
            return [f"{action.source.path}: the run was killed while it handled this file; apply or undo goes on"]
        if entry.state is State.UNDONE:
            return self._expect(action.source.path, action.source_digest, "was restored, but")
        if entry.state is State.SKIPPED:
            return []
        return [*self._moved(entry), *self._keeper(action)]

    def _moved(self, entry: Entry) -> list[str]:
        """Return what is wrong with the place that the journal gives."""
        action = entry.action
        if entry.expired or action.kind in {ActionKind.DELETE, ActionKind.EXPIRE}:
            return []
        if action.kind is ActionKind.HARDLINK:
            return self._link(action)
        where = entry.location
        if where is None and action.kind is ActionKind.TRASH:
            where = find_in_trash(action.source.path, action.source.stamp)
        if where is None:
            return [f"{action.source.path} was not found in the trash"]
        return self._expect(where, action.source_digest, "should have the removed file, but")

    def _link(self, action: Action) -> list[str]:
        with suppress(OSError):
            if action.source.path.samefile(action.keeper.path):
                return []
        return [f"{action.source.path} is no hard link of {action.keeper.path} any more"]

    def _keeper(self, action: Action) -> list[str]:
        if self._digest(action.keeper.path) == action.keeper_digest:
            return []
        lost = self._expect(action.keeper.path, action.keeper_digest, "is a keeper, but")
        for path in self._copies.of(action.keeper_digest):
            if path != action.source.path and self._digest(path) == action.keeper_digest:
                return [f"{lost[0]}; {path} has its bytes"]
        return lost

    def _expect(self, path: Path, digest: bytes, what: str) -> list[str]:
        found = self._digest(path)
        if found == digest:
            return []
        return [f"{path} {what} {'it is not there or cannot be read' if found is None else 'it was changed'}"]

    def _digest(self, path: Path) -> bytes | None:
        if path not in self._digests:
            self._digests[path] = None
            with suppress(OSError):
                if is_file(path.lstat()):
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        self._digests[path] = digest_of(descriptor)
                    finally:
                        os.close(descriptor)
        return self._digests[path]
