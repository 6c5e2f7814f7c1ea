"""Batches of actions, which are flushed to disk together."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from py_image_dedup.model.plan import Action, Outcome, OutcomeStatus
from py_image_dedup.removal.actions import ActionSteps
from py_image_dedup.removal.filesystem import NotAsPlanned, Stranded, fsync_all

BATCH: Final = 32
"""Number of actions whose intents are flushed together. Each may hold five descriptors; a process has at least 256."""

STOPPED: Final = "not reached: the run was stopped; run again to go on"

_ADVICE: Final = {
    errno.ENOSPC: "make room there and run again",
    errno.EDQUOT: "make room there and run again",
    errno.EFBIG: "the file system takes no file of this size; choose another target",
    errno.EROFS: "mount it for writing and run again",
    errno.EACCES: "give this user the right to write there and run again",
    errno.EPERM: "give this user the right to write there and run again",
    errno.EXDEV: "they are on different file systems; choose another action",
    errno.ENAMETOOLONG: "choose a target directory with a shorter path",
    errno.EIO: "the disk may be failing: look at its health first",
}


@dataclass(frozen=True, slots=True)
class PendingAction:
    """An action whose intent is on the disk.

    Attributes:
        action: What.
        begin: Starts it.
    """

    action: Action
    begin: Callable[[], ActionSteps]


@dataclass(slots=True)
class _Waiting:
    action: Action
    steps: ActionSteps
    descriptors: tuple[int, ...] = ()


def carry_out(
    pending: Iterable[PendingAction],
    finished: Callable[[Outcome], None],
    should_stop: Callable[[], bool],
    verb: str = "removed",
) -> None:
    """Carry out actions; an action that fails has its outcome, and the others continue.

    Args:
        pending: Actions in the order in which they begin; those not begun when ``should_stop`` is true are skipped.
        finished: Called with each outcome. An exception from it ends the batch; actions in progress are reverted.
        should_stop: Polled before each action begins.
        verb: Past participle used in failure messages: "removed".
    """
    waiting: list[_Waiting] = []
    try:
        for next_action in pending:
            if should_stop():
                finished(Outcome(next_action.action, OutcomeStatus.SKIPPED, message=STOPPED))
                continue
            begun = _Waiting(next_action.action, next_action.begin())
            waiting.append(begun)
            if _advance(begun, finished, verb):
                waiting.remove(begun)
        while waiting:
            failure = _flush_all(waiting)
            waiting = [one for one in waiting if not _advance(one, finished, verb, failure)]
    finally:
        for one in waiting:
            one.steps.close()


def _flush_all(waiting: Iterable[_Waiting]) -> OSError | None:
    try:
        fsync_all(descriptor for one in waiting for descriptor in one.descriptors)
    except OSError as error:
        return error
    return None


def _advance(one: _Waiting, finished: Callable[[Outcome], None], verb: str, failure: OSError | None = None) -> bool:
    """Take the next step of an action; return whether it came to its end."""
    outcome: Outcome
    try:
        one.descriptors = next(one.steps) if failure is None else one.steps.throw(failure)
    except StopIteration as end:
        outcome = Outcome(one.action, OutcomeStatus.DONE, end.value)
    except NotAsPlanned as error:
        outcome = Outcome(one.action, OutcomeStatus.SKIPPED, message=str(error))
    except Stranded as error:
        outcome = Outcome(one.action, OutcomeStatus.FAILED, error.location, str(error))
    except OSError as error:
        outcome = Outcome(one.action, OutcomeStatus.FAILED, message=error_message(error, one.action, verb))
    else:
        return False
    finished(outcome)
    return True


def error_message(error: OSError, action: Action, verb: str = "removed") -> str:
    """Return the message for an error of the system: what failed, why, and what to do."""
    cause = error.strerror or str(error) or type(error).__name__
    where = f" ({error.filename})" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "it stays where it is")
    return f"{action.source.path} could not be {verb} ({action.kind.value}): {cause}{where}; {advice}"
