"""A review session: the result of a run, and the steps that the user applies and undoes.

Each step is a run of its own, with plan, checks, journal and undo: the page removes files exactly as ``deduplicate``
does, and ``py-image-dedup undo`` restores them as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from py_image_dedup.matching.rejections import REJECTIONS_NAME, Rejection, load_rejections, save_rejections
from py_image_dedup.model.events import ActionFinished, Event, Observer, PhaseAdvanced, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Action, Outcome, OutcomeStatus, Plan, planned_groups
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.journal import Entry
from py_image_dedup.removal.plan import RemovalOptions, for_run
from py_image_dedup.removal.runs import RUNS_NAME, RunLock, free_run_name
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
from py_image_dedup.removal.undo import undo
from py_image_dedup.report.page_content import PageFiles, page_content
from py_image_dedup.report.result_json import write_result
from py_image_dedup.report.text import readable
from py_image_dedup.review.decisions import DecidedPlan, Decisions, decided_plan, rejections_of, remember
from py_image_dedup.review.history import entries_of, files_as_json, runs_as_json

_RESULT_NAME: Final = "result.json"
_MOST_MESSAGES: Final = 20

_log = logging.getLogger(__name__)


_VERBS: Final = {Phase.INSPECT: "compare", Phase.REMOVE: "apply"}

CarryOut: TypeAlias = Callable[[Plan, Observer, Callable[[], bool]], RunResult]
"""Function that carries out a plan: ``(plan, observer, should_stop) -> result``."""


class BusyError(Exception):
    """Another step is still being applied or undone."""


@dataclass(slots=True)
class Step:
    """An applied step of a review.

    Attributes:
        run: Name of its run, the argument of ``undo``.
        groups: Numbers of the groups on the page.
        done: Number of removed files.
        size: Size of the removed files, in bytes.
        failed: Number of files that were to be removed and were not.
        messages: Reasons for these, as sentences.
        left: Numbers of these files on the page.
        undone: Whether all removed files were restored.
        rejected: Rejections that the step stored.
    """

    run: str
    groups: tuple[int, ...]
    done: int = 0
    size: int = 0
    failed: int = 0
    messages: tuple[str, ...] = ()
    left: tuple[int, ...] = ()
    undone: bool = False
    rejected: tuple[Rejection, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the step as the JSON object that the page reads."""
        return {
            "run": self.run,
            "groups": list(self.groups),
            "done": self.done,
            "bytes": self.size,
            "failed": self.failed,
            "messages": list(self.messages[:_MOST_MESSAGES]),
            "left": list(self.left),
            "undone": self.undone,
        }


@dataclass(slots=True)
class _Job:
    verb: str
    total: int
    done: int = 0


@dataclass(slots=True)
class _State:
    steps: list[Step] = field(default_factory=list)
    job: _Job | None = None
    error: str = ""


class ReviewSession:
    """One review session. Thread-safe; one step is carried out at a time, in its own thread.

    Args:
        plan: Plan of the dry run.
        result: Result of the same run.
        removal: Options of the removal where the plan does not determine them.
        state_directory: Folder of the plans and journals of runs.
        carry_out: Function that carries out a plan; see ``Deduplicator.apply``.
        shows_history: Whether the page lists earlier runs too, and can undo them.
        remembers_undo: Whether files that are restored are remembered as no duplicates of their keepers, because a
            daemon would remove them again.
    """

    def __init__(
        self,
        plan: Plan,
        result: RunResult,
        removal: RemovalOptions,
        state_directory: Path,
        carry_out: CarryOut,
        *,
        shows_history: bool = False,
        remembers_undo: bool = False,
    ) -> None:
        self._shows_history = shows_history
        self._remembers_undo = remembers_undo
        self._plan = plan
        self._result = result
        self._removal = removal
        self._state_directory = state_directory
        self._carry_out_plan = carry_out
        content, files = page_content(result)
        self.content: Mapping[str, Any] = content
        self.files: PageFiles = files
        self._groups = _numbers_of_groups(content, files)
        self._lock = threading.Lock()
        self._state = _State()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def status(self) -> dict[str, Any]:
        """Return the state that the page shows: the current job, the steps so far, and the last error."""
        with self._lock:
            job = self._state.job
            return {
                "job": None if job is None else {"verb": job.verb, "done": job.done, "total": job.total},
                "applied": [step.as_json() for step in self._state.steps],
                "error": self._state.error,
            }

    def apply(self, decisions: Decisions) -> None:
        """Start to carry out decisions; other actions of the plan are left out.

        Raises:
            BusyError: Another step is in progress.
            DecisionsError: The decisions do not fit the run, see ``decided_plan``; nothing was removed.
            PlanError: No safe plan is possible, see ``decided_plan``; nothing was removed.
        """
        decided = decided_plan(self._plan, self._result, decisions, self._removal)
        groups = tuple(number for number in map(self._number_of, decisions.groups) if number is not None)
        self._start("apply", len(decided.plan.actions), lambda: self._apply(decided, groups, decisions))

    def undo(self, run: str, numbers: Sequence[int] | None = None) -> None:
        """Start to restore the files that a step removed, or an earlier run if the page shows these.

        Args:
            run: Name of the run.
            numbers: Numbers of its actions, of an earlier run only; ``None`` for all.

        Raises:
            BusyError: Another step is in progress.
            KeyError: There is no such run, it was undone before, or it has no such file.
            JournalError: The journal of an earlier run cannot be read.
        """
        with self._lock:
            step = next((step for step in self._state.steps if step.run == run and not step.undone), None)
        if step is not None and numbers is None:
            self._start("undo", step.done, lambda: self._undo(step))
            return
        if not self._shows_history:
            raise KeyError(run)
        directory, entries = entries_of(self._state_directory, run, numbers)
        if not entries:
            raise KeyError(run)
        self._start("undo", len(entries), lambda: self._undo_earlier(directory, entries))

    @property
    def remembers_undo(self) -> bool:
        """Whether a daemon removes files by itself, so that restored ones must be remembered."""
        return self._remembers_undo

    @property
    def shows_history(self) -> bool:
        """Whether the page lists earlier runs."""
        return self._shows_history

    def history(self) -> list[dict[str, Any]]:
        """Return the earlier runs, see ``history.runs_as_json``; nothing if the page does not show them."""
        return runs_as_json(self._state_directory) if self._shows_history else []

    def history_of(self, run: str) -> list[dict[str, Any]]:
        """Return the files of an earlier run, see ``history.files_as_json``.

        Raises:
            KeyError: There is no such run, or the page does not show earlier runs.
            JournalError: Its journal cannot be read.
        """
        if not self._shows_history:
            raise KeyError(run)
        return files_as_json(self._state_directory, run)

    @property
    def is_busy(self) -> bool:
        """Whether a step is in progress."""
        with self._lock:
            return self._state.job is not None

    def close(self) -> None:
        """Stop after the current file, and wait for it."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def _runs(self) -> Path:
        return self._state_directory / RUNS_NAME

    def _number_of(self, group: Any) -> int | None:
        paths = frozenset(file.path for file in (group.keeper, *group.remove, *group.keep))
        return self._groups.get(paths)

    def _start(self, verb: str, total: int, work: Callable[[], None]) -> None:
        with self._lock:
            if self._state.job is not None:
                raise BusyError("another step is still in progress; wait until it is finished")
            self._state.job = _Job(verb, total)
            self._state.error = ""
        self._thread = threading.Thread(target=self._carry_out, args=(work,), name=f"review-{verb}")
        self._thread.start()

    def _carry_out(self, work: Callable[[], None]) -> None:
        error = ""
        try:
            work()
        except Exception as caught:  # noqa: BLE001 - logged, and shown on the page
            _log.exception("a step of the review failed")
            error = readable(str(caught) or type(caught).__name__)
        with self._lock:
            self._state.job = None
            self._state.error = error

    def _advance(self, event: Event) -> None:
        with self._lock:
            job = self._state.job
            if job is None:
                return
            if isinstance(event, PhaseStarted) and event.phase in _VERBS:
                job.verb, job.total, job.done = _VERBS[event.phase], event.total or 0, 0
            elif isinstance(event, PhaseAdvanced):
                job.done += event.steps

    def _apply(self, decided: DecidedPlan, groups: tuple[int, ...], decisions: Decisions) -> None:
        started = datetime.now(UTC)
        step = Step(free_run_name(started, self._runs), groups)
        rejected = rejections_of(decisions, started)
        if rejected:
            with RunLock(self._state_directory):
                remember(rejected, self._state_directory)
            step.rejected = rejected
        outcomes: dict[int, Outcome] = {}

        def observe(event: Event) -> None:
            self._advance(event)
            if isinstance(event, ActionFinished):
                outcomes[event.outcome.action.number] = event.outcome

        try:
            if decided.plan.actions:
                plan = for_run(decided.plan, step.run)
                save_plan(plan, self._runs / plan.run / PLAN_NAME)
                result = self._carry_out_plan(plan, observe, self._stopping.is_set)
                outcomes |= {outcome.action.number: outcome for outcome in result.outcomes}
                self._save(result, plan)
        finally:
            # Also after an error, the page can undo the removals so far.
            self._record(step, decided, list(outcomes.values()))

    def _save(self, result: RunResult, plan: Plan) -> None:
        groups = planned_groups(self._result.groups, plan)
        write_result(replace(result, groups=groups), self._runs / plan.run / _RESULT_NAME)

    def _record(self, step: Step, decided: DecidedPlan, outcomes: Sequence[Outcome]) -> None:
        done = [outcome for outcome in outcomes if outcome.status is OutcomeStatus.DONE]
        messages = [_message(outcome) for outcome in outcomes if outcome.message]
        messages += [f"{path} stays: {why}" for path, why in decided.left]
        gone = {outcome.action.source.path for outcome in done}
        left = [action.source.path for action in decided.plan.actions if action.source.path not in gone]
        left += [path for path, _ in decided.left]
        step.left = tuple(number for number in map(self.files.known, left) if number is not None)
        step.done = len(done)
        step.size = sum(outcome.action.source.size for outcome in done)
        step.failed = len(decided.plan.actions) - len(done) + len(decided.left)
        step.messages = tuple(readable(message) for message in messages)
        with self._lock:
            self._state.steps.append(step)

    def _undo(self, step: Step) -> None:
        outcomes: tuple[Outcome, ...] = ()
        with RunLock(self._state_directory):
            if self._remembers_undo and step.done:
                _, entries = entries_of(self._state_directory, step.run, None)
                remember(rejections_of_undone([entry.action for entry in entries]), self._state_directory)
            if step.rejected:
                path = self._state_directory / REJECTIONS_NAME
                save_rejections(load_rejections(path).without(entry.digests for entry in step.rejected), path)
            if step.done:
                outcomes = undo(self._runs / step.run, observer=self._advance, should_stop=self._stopping.is_set)
        failed = [outcome for outcome in outcomes if outcome.status is OutcomeStatus.FAILED]
        back = sum(outcome.status is OutcomeStatus.DONE for outcome in outcomes)
        with self._lock:
            step.messages = tuple(readable(outcome.message) for outcome in failed)
            step.undone = not failed and back == step.done

    def _undo_earlier(self, directory: Path, entries: Sequence[Entry]) -> None:
        """Restore files of an earlier run; what cannot be restored is the error of the step."""
        sources = frozenset(entry.action.source.path for entry in entries)
        with RunLock(self._state_directory):
            if self._remembers_undo:
                # First: a daemon may see the restored files at once.
                remember(rejections_of_undone([entry.action for entry in entries]), self._state_directory)
            outcomes = undo(directory, only=sources, observer=self._advance, should_stop=self._stopping.is_set)
        failed = [_message(outcome) for outcome in outcomes if outcome.status is OutcomeStatus.FAILED]
        if failed:
            raise UndoError("; ".join(failed[:_MOST_MESSAGES]))


class UndoError(Exception):
    """Some files could not be restored; the message names them."""


def rejections_of_undone(actions: Sequence[Action]) -> tuple[Rejection, ...]:
    """Return the rejections that keep restored files: each file and its keeper, unless their bytes are equal."""
    when = datetime.now(UTC)
    return tuple(
        Rejection(
            when,
            (
                (action.keeper_digest, readable(action.keeper.path.name)),
                (action.source_digest, readable(action.source.path.name)),
            ),
        )
        for action in actions
        if action.source_digest != action.keeper_digest
    )


def _message(outcome: Outcome) -> str:
    """Return the message of an outcome, which includes the path of the file."""
    path = str(outcome.action.source.path)
    return outcome.message if path in outcome.message else f"{path}: {outcome.message}"


def _numbers_of_groups(content: Mapping[str, Any], files: PageFiles) -> dict[frozenset[Path], int]:
    return {
        frozenset(
            files.entries[number].stat.path
            for number in (group["keeper"], *(member["file"] for member in group["members"]))
        ): group["id"]
        for group in content["groups"]
    }
