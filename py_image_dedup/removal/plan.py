"""Ranked groups -> a plan: what will be done to the disk, before any of it is done. Pure: nothing is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, RankedGroup, Redundant
from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, Plan
from py_image_dedup.removal.invariants import PlanError, check_plan, is_under
from py_image_dedup.scan.roots import Ownership

_LONGEST_NAME: Final = 255
"""Bytes that a file name may have on nearly every file system."""


class ActionChoice(StrEnum):
    """What the user wants to happen to redundant files.

    ``auto``: moved if there is a target directory; else an identical file is deleted (an undo copies its keeper back)
    and any other goes to the quarantine of its root. ``delete`` deletes at once what is not identical, too: an undo
    cannot bring that back. ``hardlink`` leaves every name where it is and is for identical files only: any other
    redundant file stays as it is.
    """

    AUTO = "auto"
    MOVE = "move"
    DELETE = "delete"
    TRASH = "trash"
    HARDLINK = "hardlink"


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """How redundant files are removed.

    Attributes:
        action: What to do.
        target_directory: Where ``move`` and ``auto`` move to; absolute.
        remove_classes: Matches of other classes are reported and never removed.
        quarantine_name: The folder in each root where removed files wait. A scan knows the usual name only.
        prune: Folders that the run empties are removed afterwards.
    """

    action: ActionChoice = ActionChoice.AUTO
    target_directory: Path | None = None
    remove_classes: frozenset[MatchClass] = frozenset(
        {MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR}
    )
    quarantine_name: str = QUARANTINE_NAME
    prune: bool = False


def nowhere(path: Path) -> bool:  # noqa: ARG001 - an answer to ``taken``
    """Say of every name that it is free."""
    return False


def make_plan(
    run: str,
    groups: Sequence[RankedGroup],
    roots: Sequence[Root],
    options: RemovalOptions,
    *,
    taken: Callable[[Path], bool] = nowhere,
) -> Plan:
    """Say what to do with every redundant file that may be removed.

    The same arguments give the same plan. A moved file keeps its path below its root; where two roots, or a file that
    is there already, want one name, the later gets `` (2)`` before its extension.

    Args:
        run: The name of the run; the quarantine has a folder of this name.
        groups: Disjoint groups, each with a keeper.
        roots: What was searched, protected ones too, as ``Inventory.roots`` has them.
        options: What the user wants.
        taken: Whether a name is taken on the disk already; it makes the plan tell the names that files will have.
            The executor never overwrites, whatever this says.

    Raises:
        PlanError: For ``move`` without a target directory, and for groups that no safe plan can be made from.
    """
    if options.action is ActionChoice.MOVE and options.target_directory is None:
        raise PlanError("the action 'move' needs a target directory: set deduplication.duplicates_target_directory")
    ownership = Ownership(roots)
    entries = [entry for group in groups for entry in (group.keeper, *(one.entry for one in group.redundant))]
    targets = _Targets(taken, {entry.stat.path for entry in entries})
    actions: list[Action] = []
    for number, group in enumerate(groups, start=1):
        for redundant in group.redundant:
            if reason_to_stay(group, redundant, ownership, options) is not None:
                continue
            actions.append(_action(len(actions) + 1, number, group, redundant, ownership, options, targets, run))
    plan = Plan(
        run=run,
        roots=tuple(root.path for root in roots),
        actions=tuple(actions),
        prune=options.prune,
        protected=tuple(root.path for root in roots if root.protected),
        target_directory=options.target_directory,
    )
    check_plan(plan)
    return plan


def for_run(plan: Plan, run: str) -> Plan:
    """Return the plan as one of another run: a saved plan is carried out under a name, and in a quarantine, of its own.

    Raises:
        PlanError: The name cannot be one.
    """

    def moved(action: Action) -> Action:
        if action.kind is not ActionKind.QUARANTINE or action.target is None:
            return action
        name, *below = action.target.relative_to(action.root).parts
        if not below or below[0] != plan.run:
            return action
        return replace(action, target=action.root.joinpath(name, run, *below[1:]))

    renamed = replace(plan, run=run, actions=tuple(moved(action) for action in plan.actions))
    check_plan(renamed)
    return renamed


def reason_to_stay(
    group: RankedGroup, redundant: Redundant, ownership: Ownership, options: RemovalOptions
) -> str | None:
    """Say in words why a redundant file has no action, or ``None`` if it has one."""
    stat, keeper = redundant.entry.stat, group.keeper.stat
    root = ownership.root_of(stat.raw_path)
    reason: str | None = None
    if redundant.match.match_class not in options.remove_classes:
        reason = f"matches of class {redundant.match.match_class.value} are not removed"
    elif root is None:
        reason = "it is under no root of this run"
    elif root.protected:
        reason = f"it is under the protected folder {root.path}"
    elif (stat.device, stat.inode) == (keeper.device, keeper.inode):
        reason = "it is another name of its keeper"
    elif redundant.entry.digest is None or group.keeper.digest is None:
        reason = "its bytes, or its keeper's, could not be read"
    elif options.action is ActionChoice.HARDLINK and redundant.match.match_class is not MatchClass.IDENTICAL:
        reason = "only an identical file can become a hard link of its keeper"
    elif options.target_directory is not None and is_under(stat.path, (options.target_directory,)):
        reason = "it is in the target directory already"
    elif {options.quarantine_name, QUARANTINE_NAME} & set(stat.path.parts):
        reason = "it is in quarantine already"
    return reason


def _action(
    number: int,
    group_number: int,
    group: RankedGroup,
    redundant: Redundant,
    ownership: Ownership,
    options: RemovalOptions,
    targets: _Targets,
    run: str,
) -> Action:
    stat, match_class = redundant.entry.stat, redundant.match.match_class
    root = ownership.root_of(stat.raw_path)
    digest, keeper_digest = redundant.entry.digest, group.keeper.digest
    assert root is not None and digest is not None and keeper_digest is not None  # noqa: S101, PT018 - reason_to_stay
    kind = _kind(match_class, options)
    target: Path | None = None
    if kind is ActionKind.MOVE and options.target_directory is not None:
        target = targets.free(options.target_directory / stat.path.relative_to(root.path))
    elif kind is ActionKind.QUARANTINE:
        target = targets.free(root.path / options.quarantine_name / run / stat.path.relative_to(root.path))
    return Action(
        number=number,
        group=group_number,
        kind=kind,
        match_class=match_class,
        source=stat,
        source_digest=digest,
        keeper=group.keeper.stat,
        keeper_digest=keeper_digest,
        root=root.path,
        target=target,
    )


def _kind(match_class: MatchClass, options: RemovalOptions) -> ActionKind:
    if options.action is not ActionChoice.AUTO:
        return ActionKind(options.action.value)
    if options.target_directory is not None:
        return ActionKind.MOVE
    return ActionKind.DELETE if match_class is MatchClass.IDENTICAL else ActionKind.QUARANTINE


class _Targets:
    """Gives every file a name of its own."""

    def __init__(self, taken: Callable[[Path], bool], given: set[Path]) -> None:
        self._taken = taken
        self._given = given

    def free(self, wanted: Path) -> Path:
        for target in _numbered(wanted):
            if target not in self._given and not self._taken(target):
                self._given.add(target)
                return target
        raise AssertionError("numbers do not end")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    stem, suffix = os.fsencode(path.stem), os.fsencode(path.suffix)
    while True:
        tail = f" ({number})".encode() + suffix
        yield path.with_name(os.fsdecode(stem[: max(1, _LONGEST_NAME - len(tail))] + tail))
        number += 1
