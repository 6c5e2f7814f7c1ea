"""Photos of several files in a removal: their files go all or not at all, and come back together.

The files of a photo are checked together before the first of them is touched, then removed one after the other. If one
of them cannot go, those before it are put back, as an undo would do it; the journal has both. A run that was killed in
between is rolled back by the recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from py_image_dedup.model.events import never
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.removal.actions import (
    BATCH,
    STOPPED,
    ActionContext,
    PendingAction,
    carry_out,
    checked_pair,
    error_message,
    perform,
)
from py_image_dedup.removal.filesystem import FileMetadata, NotAsPlanned, open_in_dir
from py_image_dedup.removal.folders import remove_if_empty
from py_image_dedup.removal.journal import Entry, History, Journal, State
from py_image_dedup.removal.plan import can_be_undone
from py_image_dedup.removal.restore import CopyLocator, Restorer

Intent = tuple[Action, FileMetadata]
"""An action whose intent is on the disk, with the metadata of its source."""


def batches(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """Yield actions in batches of about ``BATCH``; the actions of one photo are in one batch."""
    batch: list[Action] = []
    for action in actions:
        if len(batch) >= BATCH and not (action.unit and batch[-1].unit == action.unit):
            yield batch
            batch = []
        batch.append(action)
    if batch:
        yield batch


def others_stay(action: Action, cause: Outcome) -> Outcome:
    """Return the outcome of an action whose file stays because another file of its photo does."""
    message = (
        f"{action.source.path} stays, because {cause.action.source.path.name} of the same photo does: {cause.message}"
    )
    return Outcome(action, OutcomeStatus.SKIPPED, message=message)


def settle_stopped(
    stopped: Sequence[Outcome], intents: Sequence[Intent], finished: Callable[[Outcome], None]
) -> list[Intent]:
    """Return the actions that may begin: the other files of a photo stay with one that cannot go.

    Args:
        stopped: Outcomes of actions that cannot be carried out.
        intents: All actions that could be.
        finished: Called with the outcome of each action that does not begin.
    """
    causes = {outcome.action.unit: outcome for outcome in reversed(stopped) if outcome.action.unit}
    numbers = {outcome.action.number for outcome in stopped}
    for outcome in stopped:
        finished(outcome)
    for action, _ in intents:
        if action.unit in causes and action.number not in numbers:
            finished(others_stay(action, causes[action.unit]))
    return [intent for intent in intents if intent[0].number not in numbers and intent[0].unit not in causes]


def by_unit(intents: Iterable[Intent]) -> Iterator[list[Intent]]:
    """Yield the actions of each photo of several files."""
    found: dict[int, list[Intent]] = {}
    for action, metadata in intents:
        if action.unit:
            found.setdefault(action.unit, []).append((action, metadata))
    return iter(found.values())


@dataclass(frozen=True, slots=True)
class UnitRemoval:
    """Carries out the actions of one photo after the other, all of a photo or none.

    Attributes:
        journal: The journal of the run.
        copies: Finds files by digest, to put back what was deleted.
        context: Of the run.
        should_stop: Polled before the first action of a photo begins.
        finished: Called with the outcomes that are still to be journaled.
        journaled: Called with the outcomes that are journaled.
    """

    journal: Journal
    copies: CopyLocator
    context: ActionContext
    should_stop: Callable[[], bool]
    finished: Callable[[Outcome], None]
    journaled: Callable[[Outcome], None]

    def carry_out(self, intents: Sequence[Intent]) -> None:
        """Carry out the actions of one photo, whose intents are on the disk.

        Raises:
            JournalError: The journal cannot be written; the recovery of the next run rolls the photo back.
        """
        if self.should_stop():
            for action, _ in intents:
                self.finished(Outcome(action, OutcomeStatus.SKIPPED, message=STOPPED))
            return
        problem = _problem(intents, self.context)
        if problem is not None:
            self._leave([action for action, _ in intents if action is not problem.action], problem)
        elif intents[0][0].kind is ActionKind.EXPIRE:  # nothing brings these back
            carry_out([_pending(*intent, self.context) for intent in intents], self.finished, never)
        else:
            # What an undo cannot bring back goes last, when everything else has gone.
            self._remove(sorted(intents, key=lambda intent: not can_be_undone(intent[0])))

    def _remove(self, intents: Sequence[Intent]) -> None:
        done: list[tuple[Outcome, FileMetadata]] = []
        try:
            for place, (action, metadata) in enumerate(intents):
                outcome = _one(_pending(action, metadata, self.context))
                if outcome.status is not OutcomeStatus.DONE:
                    self._leave([other for other, _ in intents[place + 1 :]], outcome)
                    entries = [Entry(each.action, own, State.DONE, each.target) for each, own in done]
                    for each in put_back(entries, outcome, self.journal, self.copies, self.context):
                        self.journaled(each)
                    done = []
                    return
                done.append((outcome, metadata))
                self.journal.record_outcome(outcome)
                self.context.step("unit: part removed")
        finally:
            for outcome, _ in done:  # also if the journal failed: it is true whether it can be written or not
                self.journaled(outcome)

    def _leave(self, actions: Sequence[Action], cause: Outcome) -> None:
        """Record that one file of a photo cannot go, and that some others stay with it."""
        self.finished(cause)
        for action in actions:
            self.finished(others_stay(action, cause))


def _problem(intents: Sequence[Intent], context: ActionContext) -> Outcome | None:
    """Check every file of a photo against its keeper; return the outcome of the first that cannot go."""
    for action, _ in intents:
        try:
            with ExitStack() as stack:
                source = stack.enter_context(open_in_dir(action.source.path, context.trusted_roots))
                keeper = stack.enter_context(open_in_dir(action.keeper.path, context.trusted_roots))
                stack.enter_context(checked_pair(action, source, keeper))
        except NotAsPlanned as error:
            return Outcome(action, OutcomeStatus.SKIPPED, message=str(error))
        except OSError as error:
            return Outcome(action, OutcomeStatus.FAILED, message=error_message(error, action))
    return None


def _pending(action: Action, metadata: FileMetadata, context: ActionContext) -> PendingAction:
    return PendingAction(action, lambda: perform(action, metadata, context))


def _one(pending: PendingAction, verb: str = "removed") -> Outcome:
    outcomes: list[Outcome] = []
    carry_out([pending], outcomes.append, never, verb)
    return outcomes[0]


def put_back(
    entries: Sequence[Entry], cause: Outcome, journal: Journal, copies: CopyLocator, context: ActionContext
) -> list[Outcome]:
    """Put the removed files of a photo back, the last one first.

    Args:
        entries: The files, as the journal knows them.
        cause: The outcome of the file that stays.
        journal: The journal of the run.
        copies: Finds files by digest.
        context: Of the run.

    Returns:
        One outcome an entry: ``skipped``, or ``failed`` with the present place of a file that cannot be put back.

    Raises:
        JournalError: The journal cannot be written.
    """
    for entry in entries:
        journal.record_mark("undo", entry.action.number)
    journal.flush()
    context.step("unit: rolling back")
    outcomes: list[Outcome] = []
    for entry in reversed(entries):
        action = entry.action
        outcome = _one(PendingAction(action, Restorer(entry, context, copies.of).steps), "put back")
        if outcome.status is OutcomeStatus.DONE:
            left = "" if context.sidecars is None else context.sidecars.take_back(action.number)
            outcome = replace(outcome, message=left)
            outcomes.append(others_stay(action, cause))
        else:
            where = outcome.target or entry.location
            outcome = replace(outcome, status=OutcomeStatus.FAILED, target=where)
            outcomes.append(outcome)
        journal.record_outcome(outcome, "undone")
        context.step("unit: part put back")
    journal.flush()
    return outcomes


def torn_units(history: History) -> list[tuple[list[Entry], Outcome]]:
    """Return the photos of which some files were removed and one was not.

    Returns:
        For each photo, the entries of the removed files, and an outcome of one that stays.
    """
    found: dict[int, list[Entry]] = {}
    for number in sorted(history.entries):
        entry = history.entries[number]
        if entry.action.unit and entry.action.kind is not ActionKind.EXPIRE:
            found.setdefault(entry.action.unit, []).append(entry)
    torn: list[tuple[list[Entry], Outcome]] = []
    for entries in found.values():
        gone = [entry for entry in entries if entry.state in {State.DONE, State.UNDOING} and not entry.expired]
        stays = next((entry for entry in entries if entry.state is State.SKIPPED), None)
        if gone and stays is not None:
            torn.append((gone, Outcome(stays.action, OutcomeStatus.SKIPPED, message=stays.message)))
    return torn


def roll_back(history: History, journal: Journal, copies: CopyLocator, context: ActionContext) -> list[Outcome]:
    """Put back the files of photos of which a killed run left some; see ``put_back``.

    Args:
        history: The journal, in which every action that was begun has an outcome.
        journal: The same journal, open.
        copies: Finds files by digest.
        context: Of the run.

    Raises:
        JournalError: The journal cannot be written.
    """
    outcomes: list[Outcome] = []
    for gone, cause in torn_units(history):
        outcomes += put_back(gone, cause, journal, copies, context)
    if outcomes:
        remove_if_empty(history.new_folders)
    return outcomes


def blocked_units(entries: Sequence[Entry], context: ActionContext, copies: CopyLocator) -> dict[int, str]:
    """Return why the files of some photos cannot be restored together: something else is at the place of one.

    Args:
        entries: The entries of an undo.
        context: Of the run.
        copies: Finds files by digest.

    Returns:
        A sentence for each such photo, by its number.
    """
    blocked: dict[int, str] = {}
    for entry in entries:
        unit = entry.action.unit
        if unit and unit not in blocked:
            obstacle = Restorer(entry, context, copies.of).obstacle()
            if obstacle is not None:
                blocked[unit] = obstacle
    return blocked
