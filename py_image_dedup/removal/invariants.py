"""What is true of every plan, whoever made it: checked before a plan is shown, saved, loaded or carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import QUARANTINE_NAME, Action, ActionKind, Plan

DIGEST_LENGTH: Final = 32
"""Bytes of a BLAKE3 digest."""

_RUN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_WITH_TARGET: Final = frozenset({ActionKind.MOVE, ActionKind.QUARANTINE})


class PlanError(ValueError):
    """A plan that must not be carried out; the message names the action, what is wrong, and what to do."""


def is_under(path: Path, folders: Iterable[Path]) -> bool:
    """Tell whether a path lies below (not at) one of these folders, by name."""
    return any(folder in path.parents for folder in folders)


def check_plan(plan: Plan) -> None:
    """Refuse a plan that could lose something.

    A path is a source once and never a keeper; targets are distinct and nobody's place; every group keeps its file;
    nothing under a protected folder, under the target directory or in quarantine is a source.

    Raises:
        PlanError: With the first thing that is wrong.
    """
    if not _RUN_NAME.fullmatch(plan.run):
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
    if action.number < 1 or action.group < 1:
        raise PlanError(f"{name}: numbers begin at 1")
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


def _check_source(action: Action, plan: Plan) -> None:
    name, source = f"action {action.number}", action.source
    if action.root not in plan.roots or not is_under(source.path, (action.root,)):
        raise PlanError(f"{name}: {source.path} is not under its root {action.root}, or that is no root of the plan")
    if is_under(source.path, plan.protected):
        raise PlanError(f"{name}: {source.path} is under a protected folder and cannot be removed")
    if plan.target_directory is not None and is_under(source.path, (plan.target_directory,)):
        raise PlanError(f"{name}: {source.path} is in the target directory already")
    if QUARANTINE_NAME in source.path.parts:
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


def _check_together(actions: Iterable[Action]) -> None:
    actions = tuple(actions)
    numbers = {action.number for action in actions}
    if len(numbers) != len(actions):
        raise PlanError("two actions have the same number")
    sources = {action.source.path for action in actions}
    if len(sources) != len(actions):
        raise PlanError("a file is the source of two actions")
    keepers: dict[int, Path] = {}
    targets: set[Path] = set()
    kept = {action.keeper.path for action in actions}
    for action in actions:
        if action.keeper.path in sources:
            raise PlanError(f"action {action.number}: the keeper {action.keeper.path} would be removed by another one")
        if keepers.setdefault(action.group, action.keeper.path) != action.keeper.path:
            raise PlanError(f"action {action.number}: group {action.group} has two keepers")
        if action.target is None:
            continue
        if action.target in targets or action.target in sources or action.target in kept:
            raise PlanError(f"action {action.number}: the target {action.target} is the place of another file")
        targets.add(action.target)


def can_be_undone(action: Action) -> bool:
    """Tell whether an undo can bring the file back: not if it was deleted and nothing else has its bytes."""
    return action.kind is not ActionKind.DELETE or action.match_class is MatchClass.IDENTICAL
