"""Plans, actions and metadata as JSON, for ``plan.json`` and ``journal.jsonl``. See ``docs/formats.md``."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import Action, ActionKind, Plan, Quarantined
from py_image_dedup.removal.file_metadata import FileMetadata
from py_image_dedup.removal.plan import PlanError, can_be_undone, check_plan

Json: TypeAlias = dict[str, Any]
"""A JSON object."""

_Named = TypeVar("_Named", bound=StrEnum)


class FormatError(ValueError):
    """A JSON value that is not of the documented form; the message names its place."""


def path_to_json(path: Path) -> Json:
    """Return ``{"path": ...}``; with ``path_bytes`` (base64) if the name is not valid UTF-8."""
    raw = os.fsencode(path)
    try:
        return {"path": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"path": raw.decode("utf-8", "replace"), "path_bytes": base64.b64encode(raw).decode("ascii")}


def path_from_json(value: object, where: str) -> Path:
    """Read what ``path_to_json`` made.

    Raises:
        FormatError: The form is wrong, or ``path`` was edited and ``path_bytes`` was not.
    """
    fields = object_from_json(value, where)
    text = field(fields, "path", str, where)
    if "path_bytes" not in fields:
        try:
            return Path(os.fsdecode(text.encode("utf-8")))
        except UnicodeEncodeError as error:
            raise FormatError(f"{where}.path is not valid Unicode") from error
    try:
        raw = base64.b64decode(field(fields, "path_bytes", str, where), validate=True)
    except binascii.Error as error:
        raise FormatError(f"{where}.path_bytes is not base64") from error
    if raw.decode("utf-8", "replace") != text:
        raise FormatError(f"{where}: path and path_bytes name different files; to edit a path, take path_bytes out")
    return Path(os.fsdecode(raw))


def stat_to_json(stat: FileStat, digest: bytes) -> Json:
    """Return a file as it was analysed."""
    return {
        **path_to_json(stat.path),
        "size": stat.size,
        "mtime_ns": stat.mtime_ns,
        "device": stat.device,
        "inode": stat.inode,
        "digest": digest.hex(),
    }


def stat_from_json(value: object, where: str) -> tuple[FileStat, bytes]:
    """Read what ``stat_to_json`` made."""
    fields = object_from_json(value, where)
    numbers = [field(fields, name, int, where) for name in ("size", "mtime_ns", "device", "inode")]
    return FileStat(path_from_json(fields, where), *numbers), _digest(fields, where)


def action_to_json(action: Action) -> Json:
    """Return one action."""
    form: Json = {
        "number": action.number,
        "group": action.group,
        "action": action.kind.value,
        "class": action.match_class.value,
        "source": stat_to_json(action.source, action.source_digest),
        "keeper": stat_to_json(action.keeper, action.keeper_digest),
        "root": path_to_json(action.root),
        "target": None if action.target is None else path_to_json(action.target),
    }
    if action.quarantined is not None:
        form["quarantined"] = {
            "run": action.quarantined.run,
            "number": action.quarantined.number,
            **path_to_json(action.quarantined.path),
            "since": action.quarantined.since.isoformat(timespec="milliseconds"),
        }
    return form


def action_from_json(value: object, where: str) -> Action:
    """Read what ``action_to_json`` made.

    Raises:
        FormatError: The form is wrong.
    """
    fields = object_from_json(value, where)
    source, source_digest = stat_from_json(fields.get("source"), f"{where}.source")
    keeper, keeper_digest = stat_from_json(fields.get("keeper"), f"{where}.keeper")
    target = fields.get("target")
    return Action(
        number=field(fields, "number", int, where),
        group=field(fields, "group", int, where),
        kind=_named(fields, "action", ActionKind, where),
        match_class=_named(fields, "class", MatchClass, where),
        source=source,
        source_digest=source_digest,
        keeper=keeper,
        keeper_digest=keeper_digest,
        root=path_from_json(fields.get("root"), f"{where}.root"),
        target=None if target is None else path_from_json(target, f"{where}.target"),
        quarantined=_quarantined(fields.get("quarantined"), f"{where}.quarantined"),
    )


def _quarantined(value: object, where: str) -> Quarantined | None:
    if value is None:
        return None
    fields = object_from_json(value, where)
    try:
        since = datetime.fromisoformat(field(fields, "since", str, where))
    except ValueError as error:
        raise FormatError(f"{where}.since must be a time") from error
    return Quarantined(
        run=field(fields, "run", str, where),
        number=field(fields, "number", int, where),
        path=path_from_json(fields, where),
        since=since if since.tzinfo else since.replace(tzinfo=UTC),
    )


def metadata_to_json(metadata: FileMetadata) -> Json:
    """Return the metadata of a file as JSON."""
    form: Json = {
        "mode": metadata.mode,
        "uid": metadata.uid,
        "gid": metadata.gid,
        "atime_ns": metadata.atime_ns,
        "mtime_ns": metadata.mtime_ns,
    }
    if metadata.attributes:
        form["attributes"] = {name: base64.b64encode(value).decode("ascii") for name, value in metadata.attributes}
    return form


def metadata_from_json(value: object, where: str) -> FileMetadata:
    """Read what ``metadata_to_json`` made."""
    fields = object_from_json(value, where)
    attributes = object_from_json(fields.get("attributes", {}), f"{where}.attributes")
    return FileMetadata(
        mode=field(fields, "mode", int, where),
        uid=field(fields, "uid", int, where),
        gid=field(fields, "gid", int, where),
        atime_ns=field(fields, "atime_ns", int, where),
        mtime_ns=field(fields, "mtime_ns", int, where),
        attributes=tuple((name, base64.b64decode(text)) for name, text in attributes.items()),
    )


def object_from_json(value: object, where: str) -> Json:
    """Return an object, or raise ``FormatError``."""
    if not isinstance(value, dict):
        raise FormatError(f"{where} must be an object")
    return value


_Plain = TypeVar("_Plain", str, int, bool, list)  # type: ignore[type-arg]


def field(fields: Mapping[str, object], name: str, kind: type[_Plain], where: str) -> _Plain:
    """Return a field of a plain kind, or raise ``FormatError``."""
    value = fields.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FormatError(f"{where}.{name} must be {_WORDS[kind]}")
    return value


_WORDS: Mapping[type, str] = {str: "a text", int: "a whole number", bool: "true or false", list: "a list"}


def _digest(fields: Json, where: str) -> bytes:
    try:
        return bytes.fromhex(field(fields, "digest", str, where))
    except ValueError as error:
        raise FormatError(f"{where}.digest must be hexadecimal") from error


def _named(fields: Json, name: str, kind: type[_Named], where: str) -> _Named:
    value = field(fields, name, str, where)
    try:
        return kind(value)
    except ValueError as error:
        raise FormatError(f"{where}.{name} must be one of {', '.join(kind)}; it is {value!r}") from error


PLAN_VERSION: Final = 1
"""Version of the format. A reader refuses a newer one."""

PLAN_NAME: Final = "plan.json"
"""Name of the file in a run's folder."""


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan atomically.

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
        PlanError: The file is not a plan, is of a newer version, or breaks an invariant of plans.
        OSError: It could not be read.
    """
    try:
        return plan_from_text(path.read_text(encoding="utf-8"))
    except (PlanError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: {error}") from error


def plan_to_text(plan: Plan) -> str:
    """Return a plan as JSON, one action per line, so that lines can be deleted."""
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
    except (FormatError, RecursionError) as error:
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
