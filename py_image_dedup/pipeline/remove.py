"""The remove and prune stages: make the plan for ranked groups, carry it out, and remove emptied folders."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.model.events import Observer, PhaseFinished, PhaseStarted, ignore, never
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.inspection import Outcome as Finding
from py_image_dedup.model.match import MatchClass, Orientation, RankedGroup, Redundant
from py_image_dedup.model.plan import (
    QUARANTINE_NAME,
    Action,
    ActionKind,
    Kept,
    Outcome,
    OutcomeStatus,
    Plan,
    SidecarMerge,
    without_torn_units,
)
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.model.unit import NO_UNITS, Units
from py_image_dedup.pipeline.options import RunContext
from py_image_dedup.pipeline.rank import Ranked
from py_image_dedup.removal.executor import show
from py_image_dedup.removal.journal import JournalError
from py_image_dedup.removal.plan import (
    ActionChoice,
    MergeMetadata,
    RemovalOptions,
    check_plan,
    make_plan,
    reason_to_stay,
)
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.distance import distances
from py_image_dedup.store.base import Store, StoreError
from py_image_dedup.xmp.properties import NotMerged

if TYPE_CHECKING:
    from py_image_dedup.xmp.merging import Merger


def merge_metadata(ranked: Ranked, roots: Sequence[Root], context: RunContext) -> Ranked:
    """Return the groups with the metadata of redundant pictures that go to the sidecars of their keepers.

    A picture whose metadata the keeper lacks and cannot get stays, with the other files of its photo, and is reported
    with the reason. Identical files have the same metadata, and those of videos are not read.

    Args:
        ranked: Groups from the stages ``rank`` and ``inspect``.
        roots: Roots of the inventory.
        context: Dependencies of the run.
    """
    removal, ownership = context.options.removal, Ownership(roots)
    wanted = [
        (group, each)
        for group in ranked.groups
        for each in group.redundant
        if _may_have_more(each.match.match_class, each.entry.stat.raw_path, context)
        and reason_to_stay(group, each, ownership, removal) is None
    ]
    if removal.action is ActionChoice.HARDLINK or not wanted:
        return ranked
    involved = {group.keeper.stat.path for group in ranked.groups}
    involved |= {each.entry.stat.path for group in ranked.groups for each in group.redundant}
    keepers = {group.keeper.stat.path for group, _ in wanted}
    merges: dict[Path, SidecarMerge] = {}
    stays: dict[Path, str] = {}
    with _merger(keepers, involved, ownership, context) as merger:
        for group, each in wanted:
            source, match = each.entry.stat, each.match
            same_view = match.match_class in _SAME_VIEW and match.orientation is Orientation.UPRIGHT
            try:
                merge = merger.merge(source, group.keeper.stat, same_view=same_view)
            except NotMerged as error:
                stays[ranked.units.key(source.path)] = str(error)
            else:
                merges |= {} if merge is None else {source.path: merge}
            if context.should_stop():
                break
    return replace(_without(ranked, stays, Finding.MORE), merges=merges)


_SAME_VIEW: Final = frozenset({MatchClass.SAME_PIXELS, MatchClass.SIMILAR})


def _may_have_more(match_class: MatchClass, raw_path: bytes, context: RunContext) -> bool:
    return match_class is not MatchClass.IDENTICAL and not context.options.analyse.is_video(raw_path)


@contextmanager
def _merger(
    keepers: Iterable[Path], involved: Collection[Path], ownership: Ownership, context: RunContext
) -> Iterator[Merger]:
    from py_image_dedup.pipeline.units import units_around
    from py_image_dedup.xmp.merging import Merger

    units = units_around(keepers)

    def sidecars_of(keeper: Path) -> list[Path]:
        unit = units.of(keeper)
        parts = () if unit is None else unit.parts
        return [part.path for part in parts if part.is_xmp]

    def why_not(sidecar: Path) -> str | None:
        if ownership.is_protected(os.fsencode(sidecar)):
            return "the other is in a protected folder, where nothing is written"
        if sidecar in involved:
            return f"its sidecar {sidecar.name} has copies in this run, which it must not be changed for"
        return None

    with Decoder(context.options.analyse.limits) as decoder:
        yield Merger(decoder, sidecars_of, why_not)


def _without(ranked: Ranked, stays: Mapping[Path, str], finding: Finding) -> Ranked:
    """Return the groups without files that stay; they are reported with the reason.

    Args:
        ranked: The groups.
        stays: Reasons by the leading file of a photo, of which every file stays.
        finding: What the reasons mean.
    """
    if not stays:
        return ranked
    groups: list[RankedGroup] = []
    reported = list(ranked.reported)
    for group in ranked.groups:
        going: list[Redundant] = []
        for each in group.redundant:
            reason = stays.get(ranked.units.key(each.entry.stat.path))
            if reason is None:
                going.append(each)
            else:
                reported.append(replace(each.match, inspection=Inspection(finding, reason)))
        if going:
            groups.append(replace(group, redundant=tuple(going)))
    return replace(ranked, groups=tuple(groups), reported=tuple(reported))


def without_restored(ranked: Ranked, context: RunContext) -> Ranked:
    """Return the groups without files that an undo restored, if the run leaves these; they are reported.

    Args:
        ranked: Groups from the stages ``rank`` and ``inspect``.
        context: Dependencies of the run.

    Raises:
        JournalError: The list of restored files cannot be read.
    """
    state = context.options.state_directory
    if state is None or not context.options.leaves_restored:
        return ranked
    from py_image_dedup.removal.undo import load_restored

    restored = load_restored(state)
    entries = (each.entry for group in ranked.groups for each in group.redundant)
    held = [each.stat.path for each in entries if restored.get(each.stat.path, b"") == each.digest]
    return _without(ranked, {ranked.units.key(path): _RESTORED for path in held}, Finding.UNDECIDED)


_RESTORED: Final = "It was removed before and restored, so it stays until a run that you start removes it."


def merge_metadata_of_plan(plan: Plan, context: RunContext) -> tuple[Plan, tuple[Outcome, ...]]:
    """Return a saved plan with the metadata for sidecars that its actions lack, because a person decided on them.

    Args:
        plan: The plan.
        context: Dependencies of the run.

    Returns:
        The plan, and the outcomes of actions that cannot be carried out, because metadata would be lost.
    """
    wanted = [
        action
        for action in plan.actions
        if action.merge is None
        and action.kind not in {ActionKind.EXPIRE, ActionKind.HARDLINK}
        and _may_have_more(action.match_class, action.source.raw_path, context)
    ]
    if context.options.removal.merge_metadata is not MergeMetadata.SIDECAR or not wanted:
        return plan, ()
    ownership = Ownership([Root(path, protected=path in plan.protected) for path in plan.roots])
    involved = {stat.path for action in plan.actions for stat in (action.source, action.keeper)}
    found: dict[int, Action] = {}
    refused: dict[int, str] = {}
    with _merger({action.keeper.path for action in wanted}, involved, ownership, context) as merger:
        for action in wanted:
            try:
                same_view = action.match_class in _SAME_VIEW and _is_upright(action, context.store)
                merge = merger.merge(action.source, action.keeper, same_view=same_view)
                found[action.number] = replace(action, merge=merge)
            except NotMerged as error:
                refused[action.number] = str(error)
    allowed, torn = without_torn_units([action for action in plan.actions if action.number not in refused])
    refused |= {action.number: f"{action.source.path} stays, because another file of its photo does" for action in torn}
    outcomes = tuple(
        Outcome(action, OutcomeStatus.SKIPPED, message=refused[action.number])
        for action in plan.actions
        if action.number in refused
    )
    return replace(plan, actions=tuple(found.get(action.number, action) for action in allowed)), outcomes


def _is_upright(action: Action, store: Store) -> bool:
    """Return whether the signatures of both files agree best without rotation; not if one has none."""
    found: list[Int8Array] = []
    for stat, digest in ((action.keeper, action.keeper_digest), (action.source, action.source_digest)):
        entry = store.get(stat.path)
        if entry is None or entry.digest != digest or entry.signature is None:
            return False
        found.append(np.frombuffer(entry.signature.values, dtype=np.int8))
    _, orientations = distances(found[0], found[1].reshape(1, -1))
    return int(orientations[0]) == Orientation.UPRIGHT


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of the stage ``remove``.

    Attributes:
        outcomes: One outcome per action, in the order of the plan.
        summary: Number of ``actions``, and of outcomes by status: ``planned``, ``done``, ``skipped``, ``failed``.
    """

    outcomes: tuple[Outcome, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class QuarantinePolicy:
    """The policy for deleting files from quarantine.

    Attributes:
        days: Minimum time in quarantine, in days.
        now: Time of the run, with time zone.
        store: The index, with further copies of keepers.
    """

    days: float
    now: datetime
    store: Store


@dataclass(frozen=True, slots=True)
class Removal:
    """A saved plan, with the quarantined files that it keeps.

    Attributes:
        plan: The plan, including actions that delete files from quarantine.
        kept: Files whose quarantine expired and that stay.
    """

    plan: Plan
    kept: tuple[Kept, ...] = ()


def plan_removal(
    run: str,
    groups: Sequence[RankedGroup],
    roots: Sequence[Root],
    options: RemovalOptions,
    run_directory: Path,
    quarantine: QuarantinePolicy | None = None,
    *,
    units: Units = NO_UNITS,
    merges: Mapping[Path, SidecarMerge] = MappingProxyType({}),
) -> Removal:
    """Make the plan of a run and save it as ``plan.json``, so that it can be reviewed and applied later.

    Args:
        run: Name of the run.
        groups: Ranked groups from the stages ``rank`` and ``inspect``.
        roots: Roots of the inventory.
        options: Options of the removal.
        run_directory: Folder of the run, created if missing.
        quarantine: Policy for deleting files from quarantine; ``None`` to delete none in this run.
        units: The photos that consist of several files.
        merges: Metadata that go to the sidecars of keepers, by the path of the redundant file.

    Raises:
        PlanError: No safe plan can be made.
        OSError: The plan could not be saved.
    """
    removal = Removal(make_plan(run, groups, roots, options, taken=os.path.lexists, units=units, merges=merges))
    if quarantine is not None:
        removal = _with_expiry(removal.plan, roots, run_directory.parent, quarantine)
    save_plan(removal.plan, run_directory / PLAN_NAME)
    return removal


def _with_expiry(plan: Plan, roots: Sequence[Root], runs_directory: Path, policy: QuarantinePolicy) -> Removal:
    """Add the deletion of files whose quarantine expired; most libraries have none."""
    places = [root.path for root in roots if not root.protected and (root.path / QUARANTINE_NAME).is_dir()]
    if not places:
        return Removal(plan)
    # Not at the top: few runs find files in quarantine.
    from py_image_dedup.removal.quarantine import list_quarantine, plan_expiry

    def in_index(digest: bytes) -> list[Path]:
        numbers = policy.store.content_ids([digest]).values()
        return [entry.stat.path for same in policy.store.contents(numbers, None).values() for entry in same]

    waiting = [one for one in list_quarantine(places, runs_directory) if one.journaled]
    age = timedelta(days=policy.days)
    expiry = plan_expiry(plan, waiting, runs_directory, age, policy.now, copies_in_index=in_index)
    return Removal(expiry.plan, expiry.kept)


def remove(
    plan: Plan,
    run_directory: Path,
    *,
    dry_run: bool,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
) -> Removed:
    """Carry out a plan, or report its actions in a dry run.

    Args:
        plan: Plan from ``plan_removal`` or ``removal.serialization.load_plan``.
        run_directory: Folder of the journal. The caller holds the ``removal.runs.RunLock``.
        dry_run: Whether to change nothing.
        observer: Receives the start, every outcome, and the end.
        should_stop: Returns whether to stop, called before each file.

    Raises:
        PlanError: The plan violates an invariant of all plans, or the folder has the journal of another plan.
        JournalError: The journal cannot be opened; nothing was removed.
    """
    observer(PhaseStarted(Phase.REMOVE, len(plan.actions)))
    begun = time.perf_counter()
    if dry_run:
        outcomes = show(plan, observer)
    else:
        # Not at the top: a dry run starts faster without the modules that move files and keep journals.
        from py_image_dedup.removal.executor import execute

        outcomes = execute(plan, run_directory, observer=observer, should_stop=should_stop)
        if any((root / QUARANTINE_NAME).is_dir() for root in plan.roots):
            from py_image_dedup.removal.quarantine import tidy_quarantines

            tidy_quarantines(root for root in plan.roots if root not in plan.protected)
    ended: Counter[OutcomeStatus] = Counter(outcome.status for outcome in outcomes)
    counts = {"actions": len(outcomes)} | {status.value: ended[status] for status in OutcomeStatus if ended[status]}
    expired = [each for each in outcomes if each.action.kind is ActionKind.EXPIRE]
    if expired:
        counts["expired"] = sum(each.status is OutcomeStatus.DONE for each in expired)
    summary = PhaseSummary(Phase.REMOVE, time.perf_counter() - begun, counts)
    observer(PhaseFinished(summary))
    return Removed(outcomes, summary)


def forget_removed(context: RunContext, outcomes: Sequence[Outcome]) -> str:
    """Drop the index entries of removed files, and of files that differed from their entries.

    Args:
        context: Dependencies of the run.
        outcomes: Outcomes of the stage ``remove``.

    Returns:
        Why the index, or the list of restored files, could not be updated; empty if they were.
    """
    paths: set[Path] = set()
    for outcome in outcomes:
        if outcome.status is OutcomeStatus.DONE:
            paths.add(outcome.action.source.path)
        elif outcome.action.kind is ActionKind.EXPIRE:
            continue
        elif outcome.status is OutcomeStatus.SKIPPED and not context.should_stop():
            paths |= {outcome.action.source.path, outcome.action.keeper.path}
    removed = [outcome.action.source.path for outcome in outcomes if outcome.status is OutcomeStatus.DONE]
    if removed and context.options.state_directory is not None:
        from py_image_dedup.removal.undo import forget_restored

        try:
            forget_restored(context.options.state_directory, removed)
        except JournalError as error:
            return f"the files were processed, but {error}"
    try:
        context.store.remove(sorted(paths))
    except StoreError as error:
        # The removals must still be reported; the cleanup of the next run drops these entries.
        return f"the files were processed, but the index could not be updated: {error}"
    return ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of the stage ``prune``.

    Attributes:
        folders: Removed folders, in the order of removal.
        summary: Number of removed folders, ``pruned``.
    """

    folders: tuple[Path, ...]
    summary: PhaseSummary


def prune(
    plan: Plan, outcomes: Sequence[Outcome], run_directory: Path, *, dry_run: bool, observer: Observer = ignore
) -> Pruned:
    """Remove the folders that this run emptied, if the plan includes that.

    Args:
        plan: Plan of the run.
        outcomes: Outcomes of the stage ``remove``.
        run_directory: Folder of the journal, which records the folders so that an undo recreates them.
        dry_run: Whether to change nothing.
        observer: Receives the start and the end.

    Raises:
        JournalError: The journal cannot be written; no further folder was removed.
    """
    observer(PhaseStarted(Phase.PRUNE, unit="folders"))
    begun = time.perf_counter()
    folders: tuple[Path, ...] = ()
    if plan.prune and not dry_run:
        # Not at the top, as in ``remove``.
        from py_image_dedup.removal.folders import prune as prune_folders

        folders = prune_folders(plan, outcomes, run_directory)
    summary = PhaseSummary(Phase.PRUNE, time.perf_counter() - begun, {"pruned": len(folders)})
    observer(PhaseFinished(summary))
    return Pruned(folders, summary)


def apply_plan(context: RunContext, plan: Plan) -> RunResult:
    """Carry out a saved plan: compare files that are not byte-identical, remove, drop index entries, and prune.

    Args:
        context: Dependencies of the run.
        plan: The plan; actions may have been deleted from it.

    Returns:
        The result, with the outcomes in the order of the plan; ``interrupted`` if the run was stopped.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
        PlanError: The plan violates an invariant of all plans; nothing was removed.
        JournalError: The journal cannot be written.
        RunLockedError: Another run is in progress.
        ValueError: There is no state directory for the journal.
    """
    # Not at the top: few runs carry out a saved plan.
    from py_image_dedup.pipeline.inspection import inspect_plan
    from py_image_dedup.removal.runs import RUNS_NAME, RunLock

    state = context.options.state_directory
    if state is None:
        raise ValueError("files are removed only with a state directory, where the journal of the run is kept")
    started, folder = datetime.now(UTC), state / RUNS_NAME / plan.run
    with RunLock(state):
        check_plan(plan)
        inspected = inspect_plan(plan, context)
        allowed, refused = merge_metadata_of_plan(inspected.plan, context)
        refused = (*inspected.refused, *refused)
        observer, should_stop = context.observer, context.should_stop
        removed = remove(allowed, folder, dry_run=False, observer=observer, should_stop=should_stop)
        error = forget_removed(context, removed.outcomes)
        pruned = prune(allowed, removed.outcomes, folder, dry_run=False, observer=observer)
    return RunResult(
        run=plan.run,
        started=started,
        dry_run=False,
        roots=plan.roots,
        max_distance=context.options.find.distance_bound,
        outcomes=tuple(sorted((*removed.outcomes, *refused), key=lambda outcome: outcome.action.number)),
        phases=(*inspected.summaries, removed.summary, pruned.summary),
        files=len(plan.actions),
        pruned_folders=pruned.folders,
        interrupted=context.should_stop(),
        error=error or None,
    )
