"""The planner, which turns ranked groups into a plan without reading the disk, and the invariants of plans."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final

from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, RankedGroup, Redundant
from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, Plan, SidecarMerge, without_torn_units
from py_image_dedup.model.unit import NO_UNITS, Unit, Units
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.xmp.properties import KINDS

DIGEST_LENGTH: Final = 32
"""Bytes of a BLAKE3 digest."""

RUN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
SIDECAR_SUFFIX: Final = ".xmp"
"""Ending of the only files that a plan writes to."""

_WITH_TARGET: Final = frozenset({ActionKind.MOVE, ActionKind.QUARANTINE})


class PlanError(ValueError):
    """A plan that must not be carried out; the message names the action, the problem, and what to do."""


def is_under(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a path lies below (not at) one of these folders, by name."""
    return any(folder in path.parents for folder in folders)


def check_plan(plan: Plan) -> None:
    """Check the invariants of a plan.

    A path is a source once and never a keeper; targets are distinct and no file's place; every group keeps its file;
    nothing under a protected folder, under the target directory or in quarantine is a source; a photo of several files
    has an action for each of them.

    Raises:
        PlanError: The first violation.
    """
    if not RUN_NAME.fullmatch(plan.run):
        raise PlanError(f"the run name {plan.run!r} is none: use letters, digits, '.', '_' and '-' (64 at most)")
    for folder in (*plan.roots, *plan.protected, *((plan.target_directory,) if plan.target_directory else ())):
        _check_path(folder, "the plan")
    if plan.target_directory is not None and _at_or_under(plan.target_directory, plan.protected):
        raise PlanError(f"the target directory {plan.target_directory} is in a protected folder; choose another one")
    for action in plan.actions:
        _check_alone(action, plan)
    _check_together(plan.actions)


def _at_or_under(path: Path, folders: Iterable[Path]) -> bool:
    folders = tuple(folders)
    return path in folders or is_under(path, folders)


def _check_path(path: Path, where: str) -> None:
    if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise PlanError(f"{where}: {str(path)!r} is no absolute path without '..'")


def _check_alone(action: Action, plan: Plan) -> None:
    name = f"action {action.number}"
    source, keeper = action.source, action.keeper
    expires = action.kind is ActionKind.EXPIRE
    if action.number < 1 or (action.group != 0 if expires else action.group < 1):
        raise PlanError(f"{name}: numbers begin at 1, and only what expires has the group 0")
    if expires is (action.quarantined is None):
        raise PlanError(f"{name}: what expires, and nothing else, says how it came into quarantine")
    for path in (source.path, keeper.path, action.root):
        _check_path(path, name)
    if len(action.source_digest) != DIGEST_LENGTH or len(action.keeper_digest) != DIGEST_LENGTH:
        raise PlanError(f"{name}: a digest has {DIGEST_LENGTH} bytes")
    if (source.device, source.inode) == (keeper.device, keeper.inode):
        raise PlanError(f"{name}: {source.path} and its keeper {keeper.path} are two names of one file")
    same = source.size == keeper.size and action.source_digest == action.keeper_digest
    if action.match_class is MatchClass.IDENTICAL and not same:
        raise PlanError(f"{name}: {source.path} and {keeper.path} are not identical: sizes or digests differ")
    if action.kind is ActionKind.HARDLINK and action.match_class is not MatchClass.IDENTICAL:
        raise PlanError(f"{name}: only an identical file can become a hard link of its keeper; {source.path} is not")
    _check_source(action, plan)
    _check_target(action, plan)
    _check_sidecar(action, plan)


def _check_source(action: Action, plan: Plan) -> None:
    name, source = f"action {action.number}", action.source
    if action.root not in plan.roots or not is_under(source.path, (action.root,)):
        raise PlanError(f"{name}: {source.path} is not under its root {action.root}, or that is no root of the plan")
    if is_under(source.path, plan.protected):
        raise PlanError(f"{name}: {source.path} is under a protected folder and cannot be removed")
    if plan.target_directory is not None and is_under(source.path, (plan.target_directory,)):
        raise PlanError(f"{name}: {source.path} is in the target directory already")
    if action.kind is ActionKind.EXPIRE:
        if not is_under(source.path, (action.root / QUARANTINE_NAME,)):
            raise PlanError(f"{name}: {source.path} is not in the quarantine of {action.root}")
        if QUARANTINE_NAME in action.keeper.path.parts:
            raise PlanError(f"{name}: {action.keeper.path} is in quarantine itself and cannot be the keeper")
    elif QUARANTINE_NAME in source.path.parts:
        raise PlanError(f"{name}: {source.path} is in quarantine already")


def _check_target(action: Action, plan: Plan) -> None:
    name = f"action {action.number}"
    if (action.target is not None) != (action.kind in _WITH_TARGET):
        raise PlanError(f"{name}: {action.kind.value} {'needs a' if action.target is None else 'has no'} target")
    if action.target is None:
        return
    _check_path(action.target, name)
    if is_under(action.target, plan.protected):
        raise PlanError(f"{name}: the target {action.target} is in a protected folder")
    if action.kind is ActionKind.QUARANTINE and not is_under(action.target, (action.root,)):
        raise PlanError(f"{name}: the quarantine of {action.source.path} must be under its root {action.root}")


def _check_sidecar(action: Action, plan: Plan) -> None:
    name, merge = f"action {action.number}", action.merge
    if merge is None:
        return
    if action.kind in {ActionKind.EXPIRE, ActionKind.HARDLINK} or action.match_class is MatchClass.IDENTICAL:
        raise PlanError(f"{name}: {action.source.path} has no metadata that its keeper could lack")
    _check_path(merge.path, name)
    if merge.path.parent != action.keeper.path.parent or merge.path.suffix.lower() != SIDECAR_SUFFIX:
        raise PlanError(f"{name}: {merge.path} is no XMP sidecar beside the keeper {action.keeper.path}")
    if is_under(merge.path, plan.protected):
        raise PlanError(f"{name}: the sidecar {merge.path} is in a protected folder, where nothing is written")
    unknown = [each for each, _ in merge.properties if each not in KINDS]
    if unknown:
        raise PlanError(f"{name}: {unknown[0]} is no property that is written to a sidecar")


def _check_together(actions: Iterable[Action]) -> None:
    actions = tuple(actions)
    _check_units(actions)
    numbers = {action.number for action in actions}
    if len(numbers) != len(actions):
        raise PlanError("two actions have the same number")
    sources = {action.source.path for action in actions}
    if len(sources) != len(actions):
        raise PlanError("a file is the source of two actions")
    keepers: dict[int, Path] = {}
    targets: set[Path] = set()
    written = {action.merge.path: action.number for action in actions if action.merge is not None}
    for path in sorted((sources | {action.keeper.path for action in actions}) & written.keys()):
        raise PlanError(f"action {written[path]}: the sidecar {path} is the source or the keeper of another action")
    kept = {action.keeper.path for action in actions}
    for action in actions:
        if action.keeper.path in sources:
            raise PlanError(f"action {action.number}: the keeper {action.keeper.path} would be removed by another one")
        if (
            action.kind is not ActionKind.EXPIRE
            and keepers.setdefault(action.group, action.keeper.path) != action.keeper.path
        ):
            raise PlanError(f"action {action.number}: group {action.group} has two keepers")
        if action.target is None:
            continue
        if action.target in targets or action.target in sources or action.target in kept or action.target in written:
            raise PlanError(f"action {action.number}: the target {action.target} is the place of another file")
        targets.add(action.target)


def _check_units(actions: Sequence[Action]) -> None:
    torn = without_torn_units(actions)[1]
    if torn:
        unit, found = torn[0].unit, [action for action in torn if action.unit == torn[0].unit]
        raise PlanError(
            f"action {found[0].number}: the photo {unit} has actions for {len(found)} of its {found[0].parts} files, "
            f"such as {found[0].source.path}; give it an action for each of them, or for none"
        )
    places: dict[int, tuple[Path, Path]] = {}
    for action in actions:
        place = (action.source.path.parent, action.keeper.path.parent)
        if action.unit and action.kind is not ActionKind.EXPIRE and places.setdefault(action.unit, place) != place:
            raise PlanError(f"action {action.number}: the files of the photo {action.unit} are not in one folder")


def can_be_undone(action: Action) -> bool:
    """Return whether an undo can restore the file: not if it was deleted and no other file has its bytes."""
    if action.kind is ActionKind.EXPIRE:
        return False
    return action.kind is not ActionKind.DELETE or action.match_class is MatchClass.IDENTICAL


_LONGEST_NAME: Final = 255
"""Bytes that a file name may have on nearly every file system."""


QUARANTINE_DAYS: Final = 30
"""Default of the days after which a file in quarantine is permanently deleted."""


class ActionChoice(StrEnum):
    """The action that the user wants for redundant files.

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


class MergeMetadata(StrEnum):
    """Where metadata of a removed picture go that its keeper lacks.

    ``sidecar``: into the keeper's XMP sidecar, before the picture is removed; one whose metadata cannot go there stays.
    """

    NONE = "none"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """How redundant files are removed.

    Attributes:
        action: What to do.
        target_directory: Where ``move`` and ``auto`` move to; absolute.
        remove_classes: Matches of other classes are reported and never removed.
        quarantine_name: The folder in each root where removed files wait. A scan knows the usual name only.
        prune: Folders that the run empties are removed afterwards.
        merge_metadata: Where metadata of removed pictures go that their keepers lack.
    """

    action: ActionChoice = ActionChoice.AUTO
    target_directory: Path | None = None
    remove_classes: frozenset[MatchClass] = frozenset(
        {MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR}
    )
    quarantine_name: str = QUARANTINE_NAME
    prune: bool = False
    merge_metadata: MergeMetadata = MergeMetadata.NONE


def nowhere(path: Path) -> bool:  # noqa: ARG001 - an answer to ``taken``
    """Return ``False``: every name is free."""
    return False


def make_plan(
    run: str,
    groups: Sequence[RankedGroup],
    roots: Sequence[Root],
    options: RemovalOptions,
    *,
    taken: Callable[[Path], bool] = nowhere,
    units: Units = NO_UNITS,
    merges: Mapping[Path, SidecarMerge] = MappingProxyType({}),
) -> Plan:
    """Make the plan for every redundant file that may be removed.

    The same arguments give the same plan. A moved file keeps its path below its root, and below the root's name if
    files of several roots may go. Where a file has the name already, the later one gets `` (2)`` before its extension.
    The files of a photo of several files go together or not at all, and get the same number; if one of them goes to the
    quarantine, all do.

    Args:
        run: The name of the run; the quarantine has a folder of this name.
        groups: Disjoint groups, each with a keeper.
        roots: What was searched, protected ones too, as ``Inventory.roots`` has them.
        options: The options of the removal.
        taken: Returns whether a name is taken on disk, so that the plan has the final names. The executor never
            overwrites in any case.
        units: The photos that consist of several files.
        merges: Metadata that go to the sidecar of the keeper, by the path of the redundant file.

    Raises:
        PlanError: For ``move`` without a target directory, and for groups that no safe plan can be made from.
    """
    if options.action is ActionChoice.MOVE and options.target_directory is None:
        raise PlanError("the action 'move' needs a target directory: set deduplication.duplicates_target_directory")
    if options.action is ActionChoice.HARDLINK:
        units = NO_UNITS  # every name stays where it is
    ownership = Ownership(roots)
    entries = [entry for group in groups for entry in (group.keeper, *(one.entry for one in group.redundant))]
    targets = _Targets(taken, {entry.stat.path for entry in entries}, roots)
    actions: list[Action] = []
    photos = 0
    for members in _together(groups, units):
        if members and not any(reason_to_stay(each.group, each.redundant, ownership, options) for each in members):
            unit = units.of(members[0].redundant.entry.stat.path)
            photos += unit is not None
            stem = "" if unit is None else unit.stem
            kinds = {_kind(each.redundant.match.match_class, options) for each in members}
            kind = ActionKind.QUARANTINE if ActionKind.QUARANTINE in kinds else kinds.pop()
            made = [
                _action(len(actions) + place, each, kind, ownership, options, run, targets)
                for place, each in enumerate(members, 1)
            ]
            made = [replace(each, merge=merges.get(each.source.path)) for each in targets.free(made, stem)]
            actions += made if unit is None else [replace(each, unit=photos, parts=len(made)) for each in made]
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


@dataclass(frozen=True, slots=True)
class _Member:
    """A redundant file with its group and the number of that."""

    number: int
    group: RankedGroup
    redundant: Redundant


def _together(groups: Sequence[RankedGroup], units: Units) -> Iterator[list[_Member]]:
    """Yield redundant files: one at a time, and all of a unit at once; none for a unit that cannot go as a whole."""
    members = [_Member(number, group, each) for number, group in enumerate(groups, start=1) for each in group.redundant]
    by_unit: dict[Path, list[_Member]] = {}
    for member in members:
        by_unit.setdefault(units.key(member.redundant.entry.stat.path), []).append(member)
    for member in members:
        path = member.redundant.entry.stat.path
        unit = units.of(path)
        if unit is None:
            yield [member]
            continue
        mine = by_unit.pop(unit.lead, [])
        if mine and _is_whole(mine, unit, units):
            yield sorted(mine, key=lambda each: each.redundant.entry.stat.path != unit.lead)


def _is_whole(members: Sequence[_Member], unit: Unit, units: Units) -> bool:
    """Return whether the redundant files of a unit are all of it, and their keepers of one other unit."""
    sources = {each.redundant.entry.stat.path for each in members}
    keepers = {units.key(each.group.keeper.stat.path) for each in members}
    return sources == {part.path for part in unit.parts} and len(keepers) == 1 and unit.lead not in keepers


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
    """Return why a redundant file has no action, or ``None`` if it has one."""
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
    member: _Member,
    kind: ActionKind,
    ownership: Ownership,
    options: RemovalOptions,
    run: str,
    targets: _Targets,
) -> Action:
    """Return an action with the target that it has if the name is free."""
    group, redundant = member.group, member.redundant
    stat, match_class = redundant.entry.stat, redundant.match.match_class
    root = ownership.root_of(stat.raw_path)
    digest, keeper_digest = redundant.entry.digest, group.keeper.digest
    assert root is not None and digest is not None and keeper_digest is not None  # noqa: S101, PT018 - reason_to_stay
    target: Path | None = None
    if kind is ActionKind.MOVE and options.target_directory is not None:
        target = options.target_directory / targets.folder_of(root.path) / stat.path.relative_to(root.path)
    elif kind is ActionKind.QUARANTINE:
        target = root.path / options.quarantine_name / run / stat.path.relative_to(root.path)
    return Action(
        number=number,
        group=member.number,
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
    """Unique target paths."""

    def __init__(self, taken: Callable[[Path], bool], given: set[Path], roots: Iterable[Root]) -> None:
        self._taken = taken
        self._given = given
        self._folders = _folders_of([root.path for root in roots if not root.protected])

    def folder_of(self, root: Path) -> str:
        """Return the folder of a root below the target directory; empty if there is one root only."""
        return self._folders.get(root, "")

    def free(self, actions: Sequence[Action], stem: str) -> list[Action]:
        """Return actions with free targets; the files of one photo get the same number.

        Args:
            actions: The actions of one photo, with the targets that they would like to have.
            stem: What the names of its files begin with, and what the number stands behind; empty for one file.
        """
        wanted = [action.target for action in actions]
        for number in count(1):
            targets = [each and _with_number(each, number, stem) for each in wanted]
            places = {each for each in targets if each is not None}
            if len(places) == sum(each is not None for each in targets) and not any(
                each in self._given or self._taken(each) for each in places
            ):
                self._given |= places
                return [replace(action, target=target) for action, target in zip(actions, targets, strict=True)]
        raise AssertionError("numbers do not end")


def _folders_of(roots: Sequence[Path]) -> dict[Path, str]:
    """Return a folder name for each of several roots: the root's own name, numbered where two have the same."""
    if len(roots) < 2:
        return {}
    folders: dict[Path, str] = {}
    given: set[str] = set()
    for root in sorted(roots):
        names = (_with_number(Path(root.name or "root"), number).name for number in count(1))
        name = next(name for name in names if name.casefold() not in given)
        given.add(name.casefold())
        folders[root] = name
    return folders


def _with_number(path: Path, number: int, stem: str = "") -> Path:
    """Return a path whose name has a number behind its stem; the path itself for the number 1.

    Args:
        path: A path.
        number: 1 or more.
        stem: What the name begins with, in any case, if the number stands behind that and not before the last suffix.
    """
    if number == 1:
        return path
    begins = bool(stem) and path.name.casefold().startswith(stem.casefold())
    first, rest = (path.name[: len(stem)], path.name[len(stem) :]) if begins else (path.stem, path.suffix)
    tail = f" ({number})".encode() + os.fsencode(rest)
    return path.with_name(os.fsdecode(os.fsencode(first)[: max(1, _LONGEST_NAME - len(tail))] + tail))
