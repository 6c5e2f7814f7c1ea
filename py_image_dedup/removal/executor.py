"""The executor, which carries out a plan or shows what it would do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from py_image_dedup.model.events import ActionFinished, Observer, PhaseAdvanced, ignore, never
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus, Plan
from py_image_dedup.removal.actions import (
    STOPPED,
    ActionContext,
    PendingAction,
    ProtectedFolders,
    carry_out,
    error_message,
    expected_file,
    perform,
    with_sidecars,
)
from py_image_dedup.removal.filesystem import FileMetadata, NotAsPlanned, missing_folders
from py_image_dedup.removal.journal import (
    EarlierJournals,
    Entry,
    History,
    Journal,
    JournalError,
    Mark,
    State,
    Step,
    no_step,
    outcome_of,
    read_history,
)
from py_image_dedup.removal.plan import PlanError, check_plan
from py_image_dedup.removal.quarantine import run_folder_of, tidy_run_folder, write_manifest
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.restore import CopyLocator
from py_image_dedup.removal.units import Intent, UnitRemoval, batches, by_unit, settle_stopped


def show(plan: Plan, observer: Observer) -> tuple[Outcome, ...]:
    """Return the outcome ``planned`` for each action, without reading the disk.

    Args:
        plan: Checked again first.
        observer: Receives every outcome.

    Raises:
        PlanError: The plan breaks an invariant.
    """
    check_plan(plan)
    outcomes = tuple(Outcome(action, OutcomeStatus.PLANNED, action.target) for action in plan.actions)
    for outcome in outcomes:
        announce(observer, outcome)
    return outcomes


def announce(observer: Observer, outcome: Outcome) -> None:
    """Send an outcome to the observer."""
    observer(ActionFinished(outcome))
    observer(PhaseAdvanced(Phase.REMOVE))


_NO_JOURNAL: Final = "nothing was done with it: "


def execute(
    plan: Plan,
    run_directory: Path,
    *,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
    step: Step = no_step,
) -> tuple[Outcome, ...]:
    """Carry out a plan, file by file, each checked against its keeper at the moment of removal.

    A file that is not as planned is skipped, and one that the disk refuses fails, each with a message; the others
    continue. The files of one photo go all or not at all. Nothing is done that is not journaled. A plan that was partly
    carried out, by a killed process or an earlier call, is continued: nothing is done twice.

    Args:
        plan: Checked again first.
        run_directory: Where ``journal.jsonl`` is written; made if it is not there. The caller holds the run lock.
        observer: Receives every outcome.
        should_stop: Returns whether to leave out the rest; called before each file.
        step: Called with the name of each step, before and after it.

    Returns:
        One outcome an action, in the order of the plan.

    Raises:
        PlanError: The plan breaks an invariant, or the journal is of another plan.
        JournalError: The journal cannot be opened. A later failure is in the outcomes.
    """
    check_plan(plan)
    if not plan.actions:
        return ()
    return _Execution(plan, run_directory, observer, should_stop, step).run()


class _Execution:
    def __init__(
        self, plan: Plan, run_directory: Path, observer: Observer, should_stop: Callable[[], bool], step: Step
    ) -> None:
        self._plan = plan
        self._directory = run_directory
        self._observer = observer
        self._should_stop = should_stop
        self._step = step
        trusted_roots = (*plan.roots, *((plan.target_directory,) if plan.target_directory else ()))
        self._context = ActionContext(plan.run, trusted_roots, step)
        self._fence = ProtectedFolders(plan)
        self._outcomes: dict[int, Outcome] = {}
        self._folders: set[Path] = set()
        self._earlier = EarlierJournals(run_directory.parent)
        self._copies = CopyLocator(run_directory, History())

    def run(self) -> tuple[Outcome, ...]:
        recover(self._directory, step=self._step)
        history = read_history(self._directory)
        self._copies = CopyLocator(self._directory, history)
        self._folders.update(history.folders)
        left = [action for action in self._plan.actions if not self._is_done(action, history.entries)]
        with Journal.of(self._plan, self._directory) as journal, EarlierJournals(self._directory.parent) as earlier:
            self._earlier = earlier
            self._context = with_sidecars(self._context, history, journal)
            try:
                for batch in batches(left):
                    if self._should_stop():
                        break
                    self._batch(batch, journal)
                journal.flush()
                earlier.flush()
                reason = STOPPED
            except JournalError as error:
                reason = f"{_NO_JOURNAL}{error}"
        for action in left:
            if action.number not in self._outcomes:
                self._take(Outcome(action, OutcomeStatus.SKIPPED, message=reason))
        for folder in {one for action in self._plan.actions if (one := _quarantine_folder(action)) is not None}:
            tidy_run_folder(folder)
        return tuple(self._outcomes[action.number] for action in self._plan.actions)

    def _is_done(self, action: Action, entries: dict[int, Entry]) -> bool:
        entry = entries.get(action.number)
        if entry is None:
            return False
        if entry.action.source.path != action.source.path:
            raise PlanError(
                f"{self._directory} has the journal of another plan, whose action {action.number} was "
                f"{entry.action.source.path} and not {action.source.path}; give the plan a run of its own"
            )
        if entry.state in {State.SKIPPED, State.UNDONE}:
            return False
        self._take(outcome_of(entry))
        return True

    def _batch(self, batch: Sequence[Action], journal: Journal) -> None:
        """Write all intents of a batch, flush them together, then act."""

        def finished(outcome: Outcome) -> None:
            self._take(outcome)  # first: it is true whether it can be written or not
            if outcome.action.quarantined is not None:
                mark: Mark = "expired" if outcome.status is OutcomeStatus.DONE else "waits"
                self._earlier.record_mark(mark, outcome.action.quarantined)
            if outcome.message != STOPPED:  # what was not reached stays open: the run is not over
                journal.record_outcome(outcome)

        intents, stopped = self._intents(batch, journal)
        intents = settle_stopped(stopped, intents, finished)
        if not intents:
            return
        self._step("intents written")
        journal.flush()
        self._step("intents flushed")
        intents = settle_stopped(self._record_in_quarantines(intents), intents, finished)
        pending = [
            PendingAction(action, partial(perform, action, metadata, self._context))
            for action, metadata in intents
            if not action.unit
        ]
        carry_out(pending, finished, self._should_stop)
        units = UnitRemoval(journal, self._copies, self._context, self._should_stop, finished, self._take)
        for unit in by_unit(intents):
            units.carry_out(unit)

    def _intents(self, batch: Sequence[Action], journal: Journal) -> tuple[list[Intent], list[Outcome]]:
        """Write intents, and return them with the outcomes of actions that cannot be carried out."""
        intents: list[Intent] = []
        stopped: list[Outcome] = []
        for action in batch:
            try:
                intents.append((action, self._look(action, journal)))
            except NotAsPlanned as error:
                stopped.append(Outcome(action, OutcomeStatus.SKIPPED, message=str(error)))
            except OSError as error:
                stopped.append(Outcome(action, OutcomeStatus.FAILED, message=error_message(error, action)))
        return intents, stopped

    def _record_in_quarantines(self, intents: Sequence[tuple[Action, FileMetadata]]) -> list[Outcome]:
        """Write manifests and the marks of what expires; return the outcomes of actions that must not begin."""
        coming: dict[Path, list[tuple[Action, FileMetadata]]] = {}
        for action, metadata in intents:
            if action.quarantined is not None:
                self._earlier.record_mark("expire", action.quarantined)
            elif action.kind is ActionKind.QUARANTINE and action.target is not None:
                coming.setdefault(run_folder_of(action.root, action.target), []).append((action, metadata))
        self._earlier.flush()
        failed: list[Outcome] = []
        for folder, found in coming.items():
            try:
                write_manifest(folder, self._plan.run, found, self._context.trusted_roots)
            except NotAsPlanned as error:
                failed += [Outcome(action, OutcomeStatus.SKIPPED, message=str(error)) for action, _ in found]
            except OSError as error:
                failed += [
                    Outcome(action, OutcomeStatus.FAILED, message=error_message(error, action)) for action, _ in found
                ]
            self._step("manifest written")
        return failed

    def _look(self, action: Action, journal: Journal) -> FileMetadata:
        path = action.source.path
        self._fence.check(path)
        expected_file(path.lstat() if os.path.lexists(path) else None, action.source, str(path))
        if action.target is not None and os.path.lexists(action.target):
            raise NotAsPlanned(f"{action.target} is there already; nothing is ever overwritten")
        metadata = FileMetadata.of(path)
        if action.quarantined is None and path.parent not in self._folders:
            self._folders.add(path.parent)
            journal.record_folder("folder", path.parent, FileMetadata.of(path.parent))
        new_folders = () if action.target is None else missing_folders(action.target)
        journal.record_intent(action, metadata, new_folders)
        return metadata

    def _take(self, outcome: Outcome) -> None:
        self._outcomes[outcome.action.number] = outcome
        announce(self._observer, outcome)


def _quarantine_folder(action: Action) -> Path | None:
    """Return the folder that an expired file leaves, or that was made for a file that stays."""
    inside = action.source.path if action.quarantined is not None else action.target
    if inside is None or action.kind not in {ActionKind.EXPIRE, ActionKind.QUARANTINE}:
        return None
    return run_folder_of(action.root, inside)
