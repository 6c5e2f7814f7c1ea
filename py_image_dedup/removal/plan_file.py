"""``plan.json``: a plan on the disk, to be read, edited and carried out by a person. See ``docs/formats.md``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from py_image_dedup.model.plan import Plan
from py_image_dedup.removal.invariants import PlanError, can_be_undone, check_plan
from py_image_dedup.removal.serialization import (
    FormError,
    Json,
    action_from_json,
    action_to_json,
    field,
    object_from_json,
    path_from_json,
    path_to_json,
)

PLAN_VERSION: Final = 1
"""Of the format. A reader refuses a newer one."""

PLAN_NAME: Final = "plan.json"
"""Of the file in a run's folder."""


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan; a reader sees the old file or the whole new one.

    Raises:
        OSError: It could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as stream:
        stream.write(plan_to_text(plan))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def load_plan(path: Path) -> Plan:
    """Read a plan, perhaps edited, and check it.

    Raises:
        PlanError: It is no plan, of a newer version, or breaks what is true of every plan.
        OSError: It could not be read.
    """
    try:
        return plan_from_text(path.read_text(encoding="utf-8"))
    except (PlanError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error


def plan_to_text(plan: Plan) -> str:
    """Return a plan as JSON, one action a line, so that a line can be taken out."""
    head: Json = {
        "version": PLAN_VERSION,
        "run": plan.run,
        "roots": [{**path_to_json(root), "protected": root in plan.protected} for root in plan.roots],
        "target_directory": None if plan.target_directory is None else path_to_json(plan.target_directory),
        "prune": plan.prune,
    }
    lines = json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}")
    forms = (action_to_json(one) | {"can_be_undone": can_be_undone(one)} for one in plan.actions)
    actions = ",\n".join("    " + json.dumps(form, ensure_ascii=False) for form in forms)
    return lines + ',\n  "actions": [' + (f"\n{actions}\n  " if actions else "") + "]\n}\n"


def plan_from_text(text: str) -> Plan:
    """Read what ``plan_to_text`` made.

    Raises:
        PlanError: As ``load_plan``.
    """
    try:
        fields = object_from_json(json.loads(text), "plan")
        version = field(fields, "version", int, "plan")
        if version != PLAN_VERSION:
            raise PlanError(f"a plan of version {version}; this program knows version {PLAN_VERSION}: make a new plan")
        plan = _plan(fields)
    except json.JSONDecodeError as error:
        raise PlanError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except (FormError, RecursionError) as error:
        raise PlanError(f"{error}") from error
    check_plan(plan)
    return plan


def _plan(fields: Json) -> Plan:
    roots = [(root, f"roots[{place}]") for place, root in enumerate(field(fields, "roots", list, "plan"))]
    paths = [path_from_json(root, where) for root, where in roots]
    guarded = [field(root, "protected", bool, where) for root, where in roots]
    target = fields.get("target_directory")
    actions = field(fields, "actions", list, "plan")
    return Plan(
        run=field(fields, "run", str, "plan"),
        roots=tuple(paths),
        actions=tuple(action_from_json(one, f"actions[{place}]") for place, one in enumerate(actions)),
        prune=field(fields, "prune", bool, "plan"),
        protected=tuple(path for path, protected in zip(paths, guarded, strict=True) if protected),
        target_directory=None if target is None else path_from_json(target, "target_directory"),
    )
