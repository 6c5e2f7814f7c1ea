"""Reads the decisions of a user from ``decisions.json`` and makes a plan from them and the plan of the run.

The new plan contains only decided actions. It is checked like every plan, and each file again just before its removal.
A user may remove files that the program would keep, such as a part of a picture, and choose another keeper, but cannot
make a part the keeper of the whole picture: the rest of the picture would be lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from py_image_dedup.matching.rejections import REJECTIONS_NAME, Rejection, load_rejections, save_rejections
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import REMOVABLE_CLASSES, Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Action, ActionKind, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.unit import Units
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions, check_plan, make_plan, reason_to_stay
from py_image_dedup.removal.serialization import FormatError, PathRecord, Record, RunName, from_json
from py_image_dedup.report.text import readable
from py_image_dedup.scan.roots import Ownership

VERSION: Final = 1
"""Version of the format; other versions are refused."""

BY_HAND: Final = "by-hand"
"""The rule in the reason of a file that the user decided on."""

_WHOLE_PICTURE: Final = frozenset({MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR})
_SUREST_FIRST: Final = tuple(MatchClass)


class DecisionsError(ValueError):
    """Decisions that cannot be carried out; the message names the file and the cause."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file that a decision names.

    Attributes:
        path: Absolute path.
        digest: BLAKE3 digest of the file that the user saw.
    """

    path: Path
    digest: bytes


@dataclass(frozen=True, slots=True)
class GroupDecision:
    """The decision on one group.

    Attributes:
        keeper: The keeper.
        remove: Files to remove.
        keep: Further files to keep.
        not_duplicates: Whether the files show different photos.
    """

    keeper: FileRef
    remove: tuple[FileRef, ...] = ()
    keep: tuple[FileRef, ...] = ()
    not_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions on the groups of a run.

    Attributes:
        run: Name of the run.
        groups: Decisions; groups without one are left unchanged.
    """

    run: str
    groups: tuple[GroupDecision, ...]


@dataclass(frozen=True, slots=True)
class DecidedPlan:
    """The plan that follows from decisions.

    Attributes:
        plan: The checked plan.
        left: Files that were to be removed and must stay, each with the reason as a sentence.
    """

    plan: Plan
    left: tuple[tuple[Path, str], ...] = ()


class SeenFileRecord(PathRecord, frozen=True, kw_only=True):
    """A file that the user saw.

    Attributes:
        digest: BLAKE3 digest of its bytes, in hexadecimal; empty if it could not be read.
    """

    digest: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]

    def to_file(self) -> FileRef:
        """Return the file."""
        return FileRef(self.to_path(), bytes.fromhex(self.digest))


class DecidedFileRecord(SeenFileRecord, frozen=True, kw_only=True):
    """A file that the user decided on.

    Attributes:
        decision: The decision.
    """

    decision: Literal["keep", "remove"]


class GroupRecord(Record, frozen=True, kw_only=True):
    """The decision on one group.

    Attributes:
        keeper: The keeper.
        not_duplicates: Whether the files show different photos.
        files: The other files.
    """

    keeper: SeenFileRecord
    not_duplicates: bool
    files: tuple[DecidedFileRecord, ...]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for the removal of files that are not duplicates."""
        if self.not_duplicates and any(file.decision == "remove" for file in self.files):
            raise ValueError("files that are not duplicates cannot be removed")

    def to_decision(self) -> GroupDecision:
        """Return the decision."""
        remove = tuple(file.to_file() for file in self.files if file.decision == "remove")
        keep = tuple(file.to_file() for file in self.files if file.decision == "keep")
        return GroupDecision(self.keeper.to_file(), remove, keep, self.not_duplicates)


class DecisionsRecord(Record, frozen=True, kw_only=True):
    """What a person decided on the groups of a run.

    Attributes:
        version: Version of the format.
        kind: Name of the format.
        run: The name of the run.
        groups: The decided groups.
    """

    version: Literal[1]
    kind: Literal["py-image-dedup decisions"] = "py-image-dedup decisions"
    run: RunName
    groups: tuple[GroupRecord, ...]


def load_decisions(path: Path) -> Decisions:
    """Read decisions from a file ``decisions.json``.

    Raises:
        DecisionsError: The file has another format or version.
        OSError: The file cannot be read.
    """
    try:
        return decisions_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (DecisionsError, ValueError, RecursionError) as error:
        raise DecisionsError(f"{path}: {error}") from error


def decisions_from_json(value: object) -> Decisions:
    """Read decisions from the JSON value that the page writes.

    Raises:
        DecisionsError: The value has another format or version.
    """
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise DecisionsError(f"decisions of version {version}; this program knows version {VERSION}")
    try:
        record = from_json(value, DecisionsRecord)
    except FormatError as error:
        raise DecisionsError(str(error)) from error
    return Decisions(record.run, tuple(group.to_decision() for group in record.groups))


def rejections_of(decisions: Decisions, when: datetime) -> tuple[Rejection, ...]:
    """Return the rejections to store: groups whose files are not duplicates by decision.

    Args:
        decisions: Decisions on any run.
        when: Time of the decisions, with time zone.
    """
    return tuple(
        Rejection(when, tuple((file.digest, readable(file.path.name)) for file in (group.keeper, *group.keep)))
        for group in decisions.groups
        if group.not_duplicates and all(file.digest for file in (group.keeper, *group.keep))
    )


def remember(rejections: Sequence[Rejection], state_directory: Path) -> None:
    """Add rejections to those in the state directory. The caller holds the run lock.

    Raises:
        RejectionsError: The stored rejections are damaged.
        OSError: The file cannot be read or written.
    """
    if rejections:
        path = state_directory / REJECTIONS_NAME
        save_rejections(load_rejections(path).with_more(rejections), path)


def decided_plan(plan: Plan, result: RunResult, decisions: Decisions, removal: RemovalOptions) -> DecidedPlan:
    """Return the plan that follows from decisions.

    Actions of the plan that agree with a decision are copied with their numbers. Other decided removals get actions as
    a run would plan them.

    Args:
        plan: Plan of the run, which may have been edited.
        result: Result of the same run, with the matches of its groups.
        decisions: Decisions on the same run.
        removal: Options of the removal where the plan does not determine them.

    Raises:
        DecisionsError: The decisions are on another run, or a file changed, is unknown, or does not match its keeper.
        PlanError: No safe plan is possible, for example if a file is to be removed and is the keeper of another one.
    """
    if decisions.run != plan.run:
        raise DecisionsError(f"the decisions are on the run {decisions.run}, but the plan is of the run {plan.run}")
    known = _Known(result)
    planned = {action.source.path: action for action in plan.actions}
    roots = [Root(path, protected=path in plan.protected) for path in plan.roots]
    options = replace(_options(plan, removal), remove_classes=REMOVABLE_CLASSES)
    ownership = Ownership(roots)
    taken: list[Action] = []
    more: list[RankedGroup] = []
    left: list[tuple[Path, str]] = []
    for group in decisions.groups:
        keeper = known.entry(group.keeper)
        further: list[Redundant] = []
        for file in group.remove:
            entry = known.entry(file)
            match = known.match(keeper, entry)
            action = planned.get(entry.stat.path)
            if action is not None and action.keeper.path == keeper.stat.path:
                taken.append(action)
                continue
            redundant = Redundant(match, Reason(BY_HAND, "kept by decision", "removed by decision"))
            unit = known.units.of(entry.stat.path)
            if unit is not None and options.action is not ActionChoice.HARDLINK:
                others = ", ".join(part.path.name for part in unit.beside(entry.stat.path))
                left.append((entry.stat.path, f"it is one photo with {others}, which would be left behind"))
                continue
            why = reason_to_stay(RankedGroup(keeper, (redundant,)), redundant, ownership, options)
            if why is None:
                further.append(redundant)
            else:
                left.append((entry.stat.path, why))
        if further:
            more.append(RankedGroup(keeper, tuple(further)))
    taken, left = _with_whole_photos(taken, left, plan, decisions)
    targets = {action.target for action in taken}
    added = make_plan(plan.run, more, roots, options, taken=lambda path: path in targets or os.path.lexists(path))
    decided = replace(plan, actions=(*taken, *_renumbered(added, plan)))
    check_plan(decided)
    return DecidedPlan(decided, tuple(left))


def _with_whole_photos(
    taken: Sequence[Action], left: Sequence[tuple[Path, str]], plan: Plan, decisions: Decisions
) -> tuple[list[Action], list[tuple[Path, str]]]:
    """Return the decided actions with those of the other files of their photos, unless one of these was to be kept.

    Args:
        taken: Actions of the plan that were decided on.
        left: Files that stay, with the reasons.
        plan: Plan of the run.
        decisions: The decisions.
    """
    kept = {file.path for group in decisions.groups for file in group.keep}
    units = {action.unit for action in taken if action.unit}
    torn: dict[int, Path] = {}
    for action in plan.actions:
        if action.unit in units and action.source.path in kept:
            torn[action.unit] = action.source.path
    whole = [action for action in taken if not action.unit]
    whole += [action for action in plan.actions if action.unit in units and action.unit not in torn]
    stays = [
        (action.source.path, f"it is one photo with {torn[action.unit].name}, which is to be kept")
        for action in taken
        if action.unit in torn
    ]
    return whole, [*left, *stays]


def _renumbered(added: Plan, plan: Plan) -> Iterator[Action]:
    """Yield the added actions with numbers that are unique in the plan, as the journal requires."""
    number = max((action.number for action in plan.actions), default=0)
    group = max((action.group for action in plan.actions), default=0)
    for action in added.actions:
        yield replace(action, number=number + action.number, group=group + action.group)


def _options(plan: Plan, removal: RemovalOptions) -> RemovalOptions:
    """Return the options of the removal, as far as the plan, which reflects its command line, determines them."""
    kinds = {action.kind for action in plan.actions} - {ActionKind.EXPIRE}
    action = removal.action
    if ActionKind.TRASH in kinds:
        action = ActionChoice.TRASH
    elif ActionKind.HARDLINK in kinds:
        action = ActionChoice.HARDLINK
    elif kinds:
        deletes_at_once = any(
            each.kind is ActionKind.DELETE and each.match_class is not MatchClass.IDENTICAL for each in plan.actions
        )
        action = ActionChoice.DELETE if deletes_at_once else ActionChoice.AUTO
    if action is ActionChoice.MOVE and plan.target_directory is None:
        action = ActionChoice.AUTO
    return replace(removal, action=action, target_directory=plan.target_directory, prune=plan.prune)


class _Known:
    """The files and matches of a result, by path."""

    def __init__(self, result: RunResult) -> None:
        self._entries: dict[Path, IndexEntry] = {}
        self._matches: dict[tuple[Path, Path], Match] = {}
        self._keepers: dict[Path, IndexEntry] = {}
        self.units = Units(result.units)
        for match in result.reported:
            self._add(match)
        for group in result.groups:
            for redundant in group.redundant:
                self._add(redundant.match)
                self._keepers[redundant.entry.stat.path] = group.keeper

    def _add(self, match: Match) -> None:
        left, right = match.left.stat.path, match.right.stat.path
        self._entries[left], self._entries[right] = match.left, match.right
        self._matches[left, right] = match

    def entry(self, file: FileRef) -> IndexEntry:
        """Return the entry of a file."""
        entry = self._entries.get(file.path)
        if entry is None:
            raise DecisionsError(f"{file.path} is in no group of this run")
        if entry.digest != file.digest:
            raise DecisionsError(f"{file.path} has other content in this run than in the decisions")
        return entry

    def match(self, keeper: IndexEntry, entry: IndexEntry) -> Match:
        """Return the match of a file with its keeper."""
        direct = self._either_way(keeper, entry)
        if direct is not None:
            return direct
        # Both files match the keeper of the run: their match has the less certain class of the two, and the full
        # comparison decides before a file is removed.
        first = self._keepers.get(keeper.stat.path)
        if first is not None and self._keepers.get(entry.stat.path) is first:
            mine, other = self._either_way(keeper, first), self._either_way(first, entry)
            if mine is not None and other is not None:
                classes = (mine.match_class, other.match_class)
                if not set(classes) <= _WHOLE_PICTURE:
                    raise DecisionsError(
                        f"{entry.stat.path} cannot be removed: {keeper.stat.path} may not show the whole picture"
                    )
                weaker = max(classes, key=_SUREST_FIRST.index)
                return Match(keeper, entry, weaker, max(mine.distance, other.distance))
        raise DecisionsError(f"{entry.stat.path} does not match {keeper.stat.path}")

    def _either_way(self, keeper: IndexEntry, entry: IndexEntry) -> Match | None:
        forward = self._matches.get((keeper.stat.path, entry.stat.path))
        if forward is not None:
            return forward
        back = self._matches.get((entry.stat.path, keeper.stat.path))
        if back is None:
            return None
        if back.match_class not in _WHOLE_PICTURE:
            raise DecisionsError(f"{entry.stat.path} cannot be removed: {keeper.stat.path} shows only a part of it")
        evidence = back.evidence.reversed() if back.evidence else None
        return Match(keeper, entry, back.match_class, back.distance, evidence=evidence)
