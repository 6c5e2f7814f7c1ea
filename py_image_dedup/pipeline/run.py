"""A run: the stages in order, from counting files to removing emptied folders, and the result they add up to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from py_image_dedup.matching.rejections import (
    REJECTIONS_NAME,
    RejectingMatcher,
    Rejections,
    RejectionsError,
    load_rejections,
)
from py_image_dedup.model.events import (
    GroupFound,
    InventoryTaken,
    MatchReported,
    PhaseFinished,
    PhaseStarted,
    RunFinished,
    RunStarted,
)
from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.file import FileStat, Inventory, Root
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.model.series import NO_SERIES
from py_image_dedup.model.unit import NO_UNITS
from py_image_dedup.pipeline.cleanup import cleanup, count
from py_image_dedup.pipeline.find import Found, find, paused_collection
from py_image_dedup.pipeline.options import RunContext
from py_image_dedup.pipeline.rank import GroupRanker, Ranked, rank, with_partial
from py_image_dedup.pipeline.remove import (
    QuarantinePolicy,
    forget_removed,
    merge_metadata,
    plan_removal,
    prune,
    remove,
    without_restored,
)
from py_image_dedup.pipeline.units import (
    Coverage,
    UnitMatcher,
    are_other_shots,
    joined,
    series_around,
    settled,
    units_around,
    with_unit_mates,
)
from py_image_dedup.pipeline.verification import open_pair_verifier
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.removal.journal import JOURNAL_NAME, JournalError
from py_image_dedup.removal.plan import MergeMetadata, PlanError, make_plan
from py_image_dedup.removal.runs import RUNS_NAME, RunLock, RunLockedError, free_run_name, run_name
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.store.base import StoreError

if TYPE_CHECKING:
    from py_image_dedup.pipeline.verification import PairVerifier
    from py_image_dedup.store.base import SearchableStore

# Modules that only some runs need (decoders, removal, batches) are imported where they are used: a run over an
# unchanged library takes a second, of which imports would otherwise be a large part.

_log = logging.getLogger(__name__)


def analyse_only(context: RunContext, roots: Sequence[Root]) -> RunResult:
    """Bring the index up to date with the files under the roots: the stages count, cleanup and analyse.

    Args:
        context: Dependencies of the run.
        roots: Folders to search.

    Raises:
        StoreError: The index cannot be used.
    """
    run = Recorder(context, roots, dry_run=True)

    def work() -> None:
        _, stale = _take_stock(run)
        _analyse(run, stale)

    return run.carry_out(work)


def deduplicate(
    context: RunContext,
    roots: Sequence[Root],
    *,
    dry_run: bool,
    skip_analyse: bool = False,
    without: Collection[bytes] = frozenset(),
) -> RunResult:
    """Find the duplicates under the roots and remove them: all stages.

    Args:
        context: Dependencies of the run.
        roots: Folders to search.
        dry_run: Whether to change nothing but the index and the folder of the run.
        skip_analyse: Whether new and changed files are skipped instead of read.
        without: Raw paths of files to ignore, such as files that are still being written.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
    """
    run = Recorder(context, roots, dry_run=dry_run)

    def work() -> None:
        _recover(run)
        with paused_collection():
            inventory, stale = _take_stock(run, without)
        if not skip_analyse:
            _analyse(run, stale)
        with open_pair_verifier(context.store, context.options) as verifier:
            found = _find(run, context.options.analyse.photos_of(inventory), context.store, verifier)
            ranked = _rank(run, inventory, found, merges=_merges(context))
        days = context.options.quarantine_days
        policy = None if days is None else QuarantinePolicy(days, run.result.started, context.store)
        _remove(run, inventory, ranked, policy)

    return run.carry_out(work)


def find_only(context: RunContext, roots: Sequence[Root]) -> RunResult:
    """Find and rank the duplicates under the roots, and compare them in full, without planning a removal.

    The observer receives the inventory, as in all runs.

    Args:
        context: Dependencies of the run.
        roots: Folders to search.

    Raises:
        StoreError: The index cannot be used.
    """
    run = Recorder(context, roots, dry_run=True)

    def work() -> None:
        with paused_collection():
            inventory, stale = _take_stock(run)
        _analyse(run, stale)
        with open_pair_verifier(context.store, context.options) as verifier:
            photos = context.options.analyse.photos_of(inventory)
            _rank(run, inventory, _find(run, photos, context.store, verifier))

    return run.carry_out(work)


def deduplicate_batch(
    context: RunContext, roots: Sequence[Root], ready: Sequence[bytes], gone: Sequence[bytes], *, dry_run: bool
) -> RunResult:
    """Do what ``deduplicate`` does, for some files and their possible matches in the index.

    Args:
        context: Dependencies of the run.
        roots: Folders of the files and of possible matches.
        ready: Raw paths of new or changed files.
        gone: Raw paths of deleted files and folders.
        dry_run: Whether to plan only, as for ``deduplicate``.

    Raises:
        StoreError: The index cannot be used; nothing was removed.
    """
    from py_image_dedup.pipeline.incremental import collect_affected, forget_gone, inventory_of, is_known

    options, store = context.options, context.store
    run = Recorder(context, roots, dry_run=dry_run, full=False)

    def work() -> None:
        concerned = with_unit_mates(ready) if options.units else ready
        inventory = inventory_of(concerned, run.roots, options.walked)
        run.fail(inventory.failures)
        run.know(files=len(inventory))
        forget_gone(gone, inventory, store, context.should_stop)
        _analyse(run, [stat for stat in inventory if not is_known(stat, store, options.analyse.versions)])
        with open_pair_verifier(store, options) as verifier:
            affected = collect_affected(options.analyse.photos_of(inventory), context, verifier)
            run.check_stopped()
            around = options.analyse.photos_of(inventory_of(affected.raw_paths, run.roots, options.walked))
            found = _find(run, around, affected, verifier, affected.content_ids)
            if options.analyse.videos:
                # Videos are compared with all others: which may be copies is not a matter of neighbours.
                from py_image_dedup.pipeline.videos import with_known_videos

                videos = with_known_videos(inventory, context)
                stamps = {raw: stamp for raw, stamp in videos.stamps.items() if options.analyse.is_video(raw)}
                around = replace(around, stamps={**around.stamps, **stamps}, linked=around.linked | videos.linked)
            ranked = _rank(run, around, found, new=inventory.stamps.keys(), merges=_merges(context))
        _remove(run, around, ranked)

    return run.carry_out(work)


class Stopped(Exception):  # noqa: N818 - a request of the user, not an error
    """The user stopped the run."""


class StageResult(Protocol):
    """The interface of the results of all stages."""

    @property
    def summary(self) -> PhaseSummary:
        """The figures of the stage."""


Result = TypeVar("Result", bound=StageResult)


class Recorder:
    """Builds the result of one run, also if it ends early. Not thread-safe, and for a single use.

    Attributes:
        context: Dependencies of the run.
        roots: Folders to search.
        result: The result so far.

    Args:
        context: Dependencies of the run.
        roots: Folders to search.
        dry_run: Whether to change nothing but the index and the folder of the run.
        full: Whether the run covers all files under the roots.
    """

    def __init__(self, context: RunContext, roots: Sequence[Root], *, dry_run: bool, full: bool = True) -> None:
        self.context = context
        self.roots = tuple(roots)
        self._full = full
        self._started = datetime.now(UTC)
        self._phases: list[PhaseSummary] = []
        self._failures: list[Failure] = []
        self.result = RunResult(
            run=run_name(self._started),
            started=self._started,
            dry_run=dry_run,
            roots=tuple(root.path for root in roots),
            max_distance=context.options.find.distance_bound,
            scope=context.options.find.scope.value,
        )

    @property
    def folder(self) -> Path | None:
        """The folder of the run; ``None`` without a state directory."""
        state = self.context.options.state_directory
        return None if state is None else state / RUNS_NAME / self.result.run

    def carry_out(self, work: Callable[[], None]) -> RunResult:
        """Do the work of a run under the lock of the state directory and return the result, errors included.

        Args:
            work: Function that does the work and records its results in this object.

        Raises:
            StoreError: The index cannot be used.
        """
        state = self.context.options.state_directory
        try:
            with RunLock(state) if state is not None else nullcontext():
                if state is not None:
                    self.know(run=free_run_name(self._started, state / RUNS_NAME))
                self.context.observer(RunStarted(self.result.run, self.result.dry_run, self._full))
                work()
        except StoreError:
            raise
        except Stopped:
            self.know(interrupted=True)
        except (RunLockedError, PlanError, JournalError, RejectionsError, OSError) as error:
            self.know(error=str(error))
        except Exception as error:  # noqa: BLE001 - logged; removals so far must still be reported
            _log.exception("the run %s failed", self.result.run)
            self.know(error=f"unexpected {type(error).__name__}: {error}")
        self.know(phases=tuple(self._phases), failures=tuple(self._failures))
        self.context.observer(RunFinished(self.result))
        return self.result

    def know(self, **fields: Any) -> None:
        """Update fields of the result."""
        self.result = replace(self.result, **fields)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Add failures of files."""
        self._failures.extend(failures)

    def add(self, done: Result) -> Result:
        """Add the figures of a stage and return what it returned."""
        self._phases.append(done.summary)
        return done

    def add_summary(self, summary: PhaseSummary) -> None:
        """Add the figures of a stage; those of a stage in two parts, such as photos and videos, are added up."""
        for place, first in enumerate(self._phases):
            if first.phase is summary.phase:
                counts = {
                    name: first.counts.get(name, 0) + summary.counts.get(name, 0)
                    for name in (*first.counts, *summary.counts)
                }
                self._phases[place] = PhaseSummary(first.phase, first.seconds + summary.seconds, counts)
                return
        self._phases.append(summary)

    def check_stopped(self) -> None:
        """Raise if the user stopped the run.

        Raises:
            Stopped: The run must end.
        """
        if self.context.should_stop():
            raise Stopped


def _recover(run: Recorder) -> None:
    """Complete the interrupted actions of a killed run, so that the walk finds their files."""
    folder = run.folder
    if run.result.dry_run or folder is None or not folder.parent.is_dir():
        return
    from py_image_dedup.removal.recovery import recover

    for name in sorted((each.name for each in folder.parent.iterdir()), reverse=True):
        if (folder.parent / name / JOURNAL_NAME).is_file():
            for outcome in recover(folder.parent / name):
                _log.warning("recovery of %s, killed run %s: %s", outcome.action.source.path, name, outcome.status)
            return


def _take_stock(run: Recorder, without: Collection[bytes] = frozenset()) -> tuple[Inventory, tuple[FileStat, ...]]:
    """Walk the roots and compare the files with the index; return the inventory and the stale files."""
    context = run.context
    observer, should_stop = context.observer, context.should_stop
    inventory = run.add(count(run.roots, context.options.walked, observer=observer, should_stop=should_stop)).inventory
    if without:
        stamps = {raw: stamp for raw, stamp in inventory.stamps.items() if raw not in without}
        inventory = replace(inventory, stamps=stamps)
    run.fail(inventory.failures)
    run.know(files=len(inventory), unread=inventory.unread)
    observer(InventoryTaken(inventory))
    run.check_stopped()
    if not inventory.roots:
        causes = "; ".join(failure.message for failure in inventory.failures)
        raise OSError(f"there is nothing to search: {causes or 'no folder was given'}")
    versions = context.options.analyse.versions
    cleaned = run.add(cleanup(inventory, context.store, versions, observer=observer, should_stop=should_stop))
    run.fail(cleaned.failures)
    run.check_stopped()
    return inventory, cleaned.stale


def _analyse(run: Recorder, stale: Sequence[FileStat]) -> None:
    context = run.context
    context.observer(PhaseStarted(Phase.ANALYSE, len(stale)))
    summary = PhaseSummary(Phase.ANALYSE, 0.0, {"analysed": 0, "known": 0, "failed": 0, "bytes": 0})
    if stale:
        from py_image_dedup.pipeline.analyse import analyse

        analysed = analyse(
            stale,
            context.store,
            context.options.analyse,
            observer=context.observer,
            should_stop=context.should_stop,
        )
        summary = analysed.summary
        run.fail(analysed.failures)
    context.observer(PhaseFinished(summary))
    run.add_summary(summary)
    run.check_stopped()


def _find(
    run: Recorder,
    inventory: Inventory,
    searched: SearchableStore,
    verifier: PairVerifier | None,
    contents: Sequence[int] | None = None,
) -> Found:
    context = run.context
    found = run.add(
        find(
            inventory,
            searched,
            context.options.analyse.versions,
            context.options.find,
            verifier=verifier,
            contents=contents,
            observer=context.observer,
            should_stop=context.should_stop,
        )
    )
    run.know(across_scopes=found.across_scopes)
    run.check_stopped()
    return found


def _merges(context: RunContext) -> bool:
    return context.options.removal.merge_metadata is MergeMetadata.SIDECAR


def _rank(
    run: Recorder,
    inventory: Inventory,
    found: Found,
    *,
    new: Collection[bytes] | None = None,
    merges: bool = False,
) -> Ranked:
    """Choose keepers, then compare redundant files with them in full. Of a batch, ``new`` are its own files."""
    context, options = run.context, run.context.options
    ownership = Ownership(inventory.roots)
    is_protected = ownership.is_protected
    ranker = Ranker(
        options.rules,
        is_protected,
        options.find.distance_bound,
        identical_rules=options.identical_rules,
        is_linked=inventory.linked.__contains__,
    )
    # Loaded in each run: the user may reject matches while a daemon runs.
    state = options.state_directory
    rejections = Rejections() if state is None else load_rejections(state / REJECTIONS_NAME)
    matcher = RejectingMatcher(found.matcher, rejections) if rejections.entries else found.matcher
    group_ranker = alone = GroupRanker(matcher, ranker, options.removal.remove_classes)
    groups = found.groups
    coverage = None
    series = NO_SERIES
    if options.units or options.series:
        matched = [entry for group in groups for entry in group.entries]
        units = units_around(entry.stat.path for entry in matched) if options.units else NO_UNITS
        if options.series:
            partial = (entry for pair in found.partial for entry in (*pair.left, *pair.right))
            series = series_around((*matched, *partial), context.store)
        removable = options.removal.remove_classes
        coverage = Coverage(units, matcher, removable, inventory, options.walked, context.store, series)
        coverage.know(groups)
        groups = joined(groups, units, series)
        ranker = replace(ranker, units=units, series=series)
        group_ranker = GroupRanker(UnitMatcher(matcher, coverage), ranker, removable, units, series)
    with paused_collection():
        ranked = run.add(rank(groups, group_ranker, observer=context.observer, should_stop=context.should_stop))
    run.check_stopped()
    if options.inspect:
        from py_image_dedup.pipeline.inspection import inspect_groups

        ranked = run.add(inspect_groups(ranked, group_ranker, context))
    if coverage is not None:
        ranked = settled(ranked, coverage)
    if options.analyse.videos and any(map(options.analyse.is_video, inventory.stamps)):
        # Not at the top: few libraries have videos.
        from py_image_dedup.pipeline.videos import merged, rank_videos

        videos = rank_videos(inventory, context, alone, new=new)
        run.fail(videos.failures)
        run.add_summary(videos.ranked.summary)
        ranked = merged(ranked, videos.ranked)
        run.check_stopped()
    ranked = without_restored(ranked, context)
    if merges:
        ranked = merge_metadata(ranked, inventory.roots, context)
        run.check_stopped()
    reported = tuple(
        match
        for match in with_partial(ranked, found.partial, options.find.eligibility(ownership))
        if not rejections.reject(match.left, match.right) and not are_other_shots(match.left, match.right, series)
    )
    run.know(groups=ranked.groups, reported=reported, units=ranked.units.units, series=ranked.series)
    for group in ranked.groups:
        context.observer(GroupFound(group))
    for match in reported:
        context.observer(MatchReported(match))
    run.check_stopped()
    return ranked


def _remove(run: Recorder, inventory: Inventory, ranked: Ranked, quarantine: QuarantinePolicy | None = None) -> None:
    context, removal, folder = run.context, run.context.options.removal, run.folder
    name, groups = run.result.run, ranked.groups
    with paused_collection():
        if folder is None:
            plan = make_plan(name, groups, inventory.roots, removal, units=ranked.units, merges=ranked.merges)
        else:
            planned = plan_removal(
                name, groups, inventory.roots, removal, folder, quarantine, units=ranked.units, merges=ranked.merges
            )
            plan = planned.plan
            run.know(kept_in_quarantine=planned.kept)
    run.check_stopped()
    if plan.actions and not run.result.dry_run and context.confirm is not None:
        run.know(dry_run=not context.confirm(plan, groups))
    dry_run, directory = run.result.dry_run, folder or Path()
    removed = run.add(
        remove(plan, directory, dry_run=dry_run, observer=context.observer, should_stop=context.should_stop)
    )
    run.know(outcomes=removed.outcomes)
    if not dry_run:
        error = forget_removed(context, removed.outcomes)
        if error:
            run.know(error=error)
    pruned = run.add(prune(plan, removed.outcomes, directory, dry_run=dry_run, observer=context.observer))
    run.know(pruned_folders=pruned.folders)
    run.check_stopped()
