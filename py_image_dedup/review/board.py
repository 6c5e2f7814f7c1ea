"""The content of a served page: one result, or the growing findings of a daemon.

A view is a page that a browser may have open: its content, its pictures and its steps belong together, so the numbers
that one page got never mean files of another.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from py_image_dedup.matching.rejections import Rejections
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.match import Match, RankedGroup
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus, Plan, without_torn_units
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.plan import for_run
from py_image_dedup.review.access import make_token
from py_image_dedup.review.pictures import Pictures
from py_image_dedup.review.session import ReviewSession

_MOST_VIEWS: Final = 4
"""Views that stay usable: a page that was opened before some new photos arrived still works."""


@dataclass(frozen=True, slots=True)
class View:
    """A page that can be served.

    Attributes:
        name: Unguessable name, part of the addresses of its pictures and requests.
        session: Its content and steps.
        pictures: Its pictures.
    """

    name: str
    session: ReviewSession
    pictures: Pictures

    def close(self) -> None:
        """Stop the current step after its current file, and end the worker processes."""
        self.session.close()
        self.pictures.close()


class Views(Protocol):
    """The interface of what a server serves. Thread-safe."""

    def newest(self) -> View | None:
        """Return the view that a page which is loaded now shows; ``None`` if there is nothing to show yet."""

    def get(self, name: str) -> View | None:
        """Return the view of this name, if it is still served."""

    def close(self) -> None:
        """Close all views."""


class OneView:
    """The view of one result.

    Args:
        session: The session.
        limits: Cost limits of rendering one picture.
        workers: Number of rendering processes.
    """

    def __init__(self, session: ReviewSession, limits: Limits, workers: int) -> None:
        self._view = View(make_token(), session, Pictures(session.files, limits, workers))

    def newest(self) -> View:
        """Return the view."""
        return self._view

    def get(self, name: str) -> View | None:
        """Return the view, if this is its name."""
        return self._view if name == self._view.name else None

    def close(self) -> None:
        """Close the view."""
        self._view.close()


class Board:
    """The findings of a daemon: those of its last full run and of the batches since, without what was done.

    Thread-safe. A view is made when a page is loaded, not when a run ends.

    Args:
        make_session: Makes the session of a plan and a result.
        load_rejections: Returns the pairs that the user marked as not duplicates.
        protected: Folders whose files are never removed.
        target_directory: Folder to move redundant files to.
        prune: Whether folders that a step empties are removed.
        limits: Cost limits of rendering one picture.
        workers: Number of rendering processes for each view.
    """

    def __init__(
        self,
        make_session: Callable[[Plan, RunResult], ReviewSession],
        load_rejections: Callable[[], Rejections],
        *,
        protected: tuple[Path, ...],
        target_directory: Path | None,
        prune: bool,
        limits: Limits,
        workers: int,
    ) -> None:
        self._make_session = make_session
        self._load_rejections = load_rejections
        self._protected = protected
        self._target_directory = target_directory
        self._prune = prune
        self._limits = limits
        self._workers = workers
        self._lock = threading.Lock()
        self._findings: RunResult | None = None
        self._shown: RunResult | None = None
        self._views: OrderedDict[str, View] = OrderedDict()

    def publish(self, result: RunResult, *, full: bool) -> None:
        """Take the result of a run.

        Args:
            result: The result; one that was interrupted or failed is left out, because it may lack groups.
            full: Whether it replaces the findings so far; otherwise its groups are added to them.
        """
        if result.interrupted or result.error is not None:
            return
        with self._lock:
            findings = without_signatures(undecided(result))
            if not full and self._findings is not None:
                findings = merged(self._findings, findings)
            self._findings = findings
            views = tuple(self._views.values())
        for view in views:
            view.pictures.rest()  # a daemon runs for months, and somebody looked at the page once

    def newest(self) -> View | None:
        """Return the view of the present findings; ``None`` before the first full run."""
        with self._lock:
            if self._findings is None:
                return None
            findings = without_rejected(still_there(self._findings), self._load_rejections())
            last = next(reversed(self._views.values()), None)
            if last is not None and self._shown is not None and _same(findings, self._shown):
                return last
            plan = Plan(
                findings.run,
                findings.roots,
                planned_actions(findings),
                prune=self._prune,
                protected=self._protected,
                target_directory=self._target_directory,
            )
            session = self._make_session(plan, findings)
            view = View(make_token(), session, Pictures(session.files, self._limits, self._workers))
            self._shown = findings
            self._views[view.name] = view
            left = [self._views.pop(name) for name in self._closable()]
        for each in left:
            each.close()
        return view

    def get(self, name: str) -> View | None:
        """Return the view of this name; the oldest are closed when there are too many."""
        with self._lock:
            return self._views.get(name)

    def close(self) -> None:
        """Close all views."""
        with self._lock:
            views = list(self._views.values())
            self._views.clear()
        for view in views:
            view.close()

    def _closable(self) -> list[str]:
        over = len(self._views) - _MOST_VIEWS
        return [name for name, view in self._views.items() if not view.session.is_busy][: max(0, over)]


def planned_actions(findings: RunResult) -> tuple[Action, ...]:
    """Return the actions that a dry run planned and that can still be carried out; of a photo all or none."""
    planned = (each.action for each in findings.outcomes if each.status is OutcomeStatus.PLANNED)
    return without_torn_units([action for action in planned if action.kind is not ActionKind.EXPIRE])[0]


def _same(left: RunResult, right: RunResult) -> bool:
    return (left.groups, left.reported, left.outcomes) == (right.groups, right.reported, right.outcomes)


def undecided(result: RunResult) -> RunResult:
    """Return a result without the files that the run removed."""
    gone = {each.action.source.path for each in result.outcomes if each.status is OutcomeStatus.DONE}
    return _limited(result, lambda path: path not in gone)


def still_there(result: RunResult) -> RunResult:
    """Return a result without files that are gone since, such as those that a step of the page removed."""
    known: dict[Path, bool] = {}

    def exists(path: Path) -> bool:
        if path not in known:
            known[path] = os.path.lexists(path)
        return known[path]

    return _limited(result, exists)


def without_rejected(result: RunResult, rejections: Rejections) -> RunResult:
    """Return a result without matches that the user decided to be none since."""
    groups = []
    for group in result.groups:
        redundant = tuple(each for each in group.redundant if not rejections.reject(group.keeper, each.entry))
        if redundant:
            groups.append(replace(group, redundant=redundant))
    reported = (each for each in result.reported if not rejections.reject(each.left, each.right))
    return replace(result, groups=tuple(groups), reported=tuple(reported))


def _limited(result: RunResult, stays: Callable[[Path], bool]) -> RunResult:
    groups = []
    for group in result.groups:
        redundant = tuple(each for each in group.redundant if stays(each.entry.stat.path))
        if redundant and stays(group.keeper.stat.path):
            groups.append(group if len(redundant) == len(group.redundant) else replace(group, redundant=redundant))
    reported = (each for each in result.reported if stays(each.left.stat.path) and stays(each.right.stat.path))
    outcomes = (each for each in result.outcomes if stays(each.action.source.path))
    return replace(result, groups=tuple(groups), reported=tuple(reported), outcomes=tuple(outcomes))


def merged(before: RunResult, batch: RunResult) -> RunResult:
    """Return findings with those of a batch, which replace the earlier groups and matches of the same files."""
    again = {path for group in batch.groups for path in _paths(group)}
    pairs = {_pair(match) for match in batch.reported}
    kept = tuple(group for group in before.groups if again.isdisjoint(_paths(group)))
    members = {path for group in kept for path in _paths(group)} | again
    sources = {each.action.source.path for each in batch.outcomes}
    parts = {part.path for unit in batch.units for part in unit.parts}
    return replace(
        before,
        groups=(*kept, *batch.groups),
        reported=(*(match for match in before.reported if _pair(match) not in pairs), *batch.reported),
        outcomes=(
            *(
                each
                for each in before.outcomes
                if each.action.source.path not in sources and each.action.source.path in members
            ),
            *_as_of(before, batch),
        ),
        units=(
            *(unit for unit in before.units if parts.isdisjoint(part.path for part in unit.parts)),
            *batch.units,
        ),
        failures=tuple({each.path: each for each in (*before.failures, *batch.failures)}.values()),
    )


def _as_of(before: RunResult, batch: RunResult) -> Iterator[Outcome]:
    """Yield the outcomes of a batch as of the run of the earlier findings.

    Planned actions get the name of that run and free numbers; of other outcomes only the messages are shown.
    """
    actions = [each.action for each in before.outcomes]
    number = max((each.number for each in actions), default=0)
    group = max((each.group for each in actions), default=0)
    unit = max((each.unit for each in actions), default=0)
    renamed = for_run(Plan(batch.run, batch.roots, planned_actions(batch)), before.run)
    for action in renamed.actions:
        renumbered = replace(
            action,
            number=number + action.number,
            group=group + action.group,
            unit=unit + action.unit if action.unit else 0,
        )
        yield Outcome(renumbered, OutcomeStatus.PLANNED)
    yield from (each for each in batch.outcomes if each.status is not OutcomeStatus.PLANNED)


def _paths(group: RankedGroup) -> set[Path]:
    return {group.keeper.stat.path, *(each.entry.stat.path for each in group.redundant)}


def _pair(match: Match) -> frozenset[Path]:
    return frozenset((match.left.stat.path, match.right.stat.path))


def without_signatures(result: RunResult) -> RunResult:
    """Return a result whose entries have only what the page shows: a daemon keeps it for a day."""

    def light(entry: IndexEntry) -> IndexEntry:
        return replace(entry, signature=None, features=None, words=None)

    def match(each: Match) -> Match:
        return replace(each, left=light(each.left), right=light(each.right))

    groups = tuple(
        replace(
            group,
            keeper=light(group.keeper),
            redundant=tuple(replace(each, match=match(each.match)) for each in group.redundant),
        )
        for group in result.groups
    )
    return replace(result, groups=groups, reported=tuple(map(match, result.reported)))
