"""Plans, actions and metadata as JSON, for ``plan.json`` and ``journal.jsonl``. See ``docs/formats.md``.

A record is the type of a JSON object: msgspec reads, checks and writes it, and ``make tables`` derives the schema. The
text is read and written by ``json``, which names the line of a syntax error and allows names of files in messages that
are not valid Unicode.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import Action, ActionKind, Plan, Quarantined, SidecarMerge
from py_image_dedup.removal.filesystem import FileMetadata
from py_image_dedup.removal.plan import RUN_NAME, PlanError, can_be_undone, check_plan
from py_image_dedup.removal.sidecars import SidecarWrite

Json: TypeAlias = dict[str, Any]
"""A JSON object."""

Natural: TypeAlias = Annotated[int, Meta(ge=0)]
Number: TypeAlias = Annotated[int, Meta(ge=1)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
RunName: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": f"^{RUN_NAME.pattern}$"})]
Time: TypeAlias = Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
Digest: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""The BLAKE3 digest of a file's bytes, in hexadecimal."""


class FormatError(ValueError):
    """A JSON value that is not of the documented form; the message names its place."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object. Every field is written; one that may be ``UNSET`` only if it is set."""


_Record = TypeVar("_Record")


def to_json(record: Record) -> Json:
    """Return a record as a JSON object."""
    form: Json = msgspec.to_builtins(record)
    return form


def from_json(value: object, kind: type[_Record]) -> _Record:
    """Return a JSON value as a record; fields that the record lacks are ignored.

    Raises:
        FormatError: The value is not of this form.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(_sentence(str(error), kind)) from error
    except UnicodeEncodeError as error:
        raise FormatError("a name of a field is not valid Unicode") from error


_TYPES: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
"""The types of JSON in words."""


def _sentence(message: str, kind: type) -> str:
    """Return an error of msgspec as a sentence that begins with the place."""
    cause, _, place = message.partition(" - at ")
    place = place.strip("`") or "$"
    if found := re.fullmatch(r"Object missing required field `(\w+)`", cause):
        return f"{place}.{found[1]} is missing"
    if found := re.fullmatch(r"Invalid enum value (.*)", cause):
        allowed = [str(each) for each in _values(kind, place)]
        words = " or ".join(allowed) if len(allowed) < 3 else f"one of {', '.join(allowed)}"
        return f"{place} must be {words}; it is {found[1]}"
    if "matching regex '^[0-9a-f]{64}$'" in cause:
        return f"{place} must be 64 hexadecimal digits"
    if found := re.fullmatch(r"Expected `([^`]+)`(?:, got `(\w+)`| (.*))", cause):
        expected = " or ".join(_TYPES.get(each, each) for each in found[1].split(" | "))
        return f"{place} must be {expected}" + (
            f", not {_TYPES.get(found[2], found[2])}" if found[2] else f" {found[3]}"
        )
    return f"{place}: {cause}"


def _values(kind: type, place: str) -> Iterable[object]:
    """Return the values that are allowed at a place below a record."""
    below: Any = msgspec.inspect.type_info(kind)
    for field, item in re.findall(r"\.(\w+)|(\[)", place):
        for each in getattr(below, "types", (below,)):  # of a union, the part that has something below it
            if item and hasattr(each, "item_type"):
                below = each.item_type
            elif field and hasattr(each, "fields"):
                below = next(one.type for one in each.fields if one.encode_name == field)
    for each in getattr(below, "types", (below,)):
        if isinstance(each, msgspec.inspect.EnumType):
            members: type[Enum] = each.cls
            return [member.value for member in members]
        if isinstance(each, msgspec.inspect.LiteralType):
            return each.values
    return ()


def encode_path(path: Path) -> tuple[str, bytes | UnsetType]:
    """Return a path as text; if it is not valid UTF-8, a readable form and its bytes."""
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8"), UNSET
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), raw


def decode_path(text: str, raw: bytes | UnsetType) -> Path:
    """Return the path that ``encode_path`` was given."""
    return Path(os.fsdecode(text.encode("utf-8") if isinstance(raw, UnsetType) else raw))


class PathRecord(Record, frozen=True, kw_only=True):
    """A path.

    Attributes:
        path: The path, absolute; bytes that are not UTF-8 are replaced.
        path_bytes: The bytes of a path that is not UTF-8, in base64; they take precedence.
    """

    path: Text
    path_bytes: bytes | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a path that cannot be decoded or that was edited; msgspec adds the place."""
        if self.path_bytes is UNSET:
            if not self.path.isascii():
                self._check_unicode()
        elif self.path_bytes.decode("utf-8", "replace") != self.path:
            raise ValueError("path and path_bytes name different files; to edit a path, take path_bytes out")

    def _check_unicode(self) -> None:
        try:
            self.path.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("a path that is not valid Unicode") from error

    def to_path(self) -> Path:
        """Return the path."""
        return decode_path(self.path, self.path_bytes)


def path_record(path: Path) -> PathRecord:
    """Return the record of a path."""
    text, raw = encode_path(path)
    return PathRecord(path=text, path_bytes=raw)


class StatRecord(PathRecord, frozen=True, kw_only=True):
    """A file and its stat.

    Attributes:
        size: Size in bytes.
        mtime_ns: Modification time, nanoseconds since the epoch.
        device: Number of the file system.
        inode: Number of the file on its device.
    """

    size: Natural
    mtime_ns: int
    device: Natural
    inode: Natural

    def to_stat(self) -> FileStat:
        """Return the stat of the file."""
        return FileStat(self.to_path(), self.size, self.mtime_ns, self.device, self.inode)


def stat_fields(stat: FileStat) -> dict[str, Any]:
    """Return the fields of a ``StatRecord``."""
    text, raw = encode_path(stat.path)
    return {
        "path": text,
        "path_bytes": raw,
        "size": stat.size,
        "mtime_ns": stat.mtime_ns,
        "device": stat.device,
        "inode": stat.inode,
    }


class FileRecord(StatRecord, frozen=True, kw_only=True):
    """A file as it was analysed.

    Attributes:
        digest: BLAKE3 digest of the bytes, in hexadecimal.
    """

    digest: Digest


def file_record(stat: FileStat, digest: bytes) -> FileRecord:
    """Return the record of a file."""
    return FileRecord(**stat_fields(stat), digest=digest.hex())


class QuarantinedRecord(PathRecord, frozen=True, kw_only=True):
    """The origin of a file in quarantine.

    Attributes:
        run: The run that put it there.
        number: The number of that run's action.
        since: The time when it was put there.
    """

    run: Text
    number: Number
    since: Time

    def to_quarantined(self) -> Quarantined:
        """Return the origin."""
        since = self.since if self.since.tzinfo else self.since.replace(tzinfo=UTC)
        return Quarantined(self.run, self.number, self.to_path(), since)


def quarantined_record(quarantined: Quarantined | None) -> QuarantinedRecord | UnsetType:
    """Return the record of the origin of a file in quarantine, if there is one."""
    if quarantined is None:
        return UNSET
    text, raw = encode_path(quarantined.path)
    return QuarantinedRecord(
        path=text,
        path_bytes=raw,
        run=quarantined.run,
        number=quarantined.number,
        since=in_milliseconds(quarantined.since),
    )


class SidecarRecord(PathRecord, frozen=True, kw_only=True):
    """Metadata that a keeper's XMP sidecar gets before the source is removed.

    Attributes:
        width: Width of the keeper as it is stored, in pixels.
        height: Height of the keeper as it is stored, in pixels.
        properties: Values by the name of the property in XMP; of ``mwg-rs:Regions``, one XML element a region.
    """

    width: Number
    height: Number
    properties: Annotated[dict[str, tuple[str, ...]], Meta(min_length=1)]

    def to_merge(self) -> SidecarMerge:
        """Return the metadata."""
        return SidecarMerge(self.to_path(), tuple(self.properties.items()), self.width, self.height)


def sidecar_record(merge: SidecarMerge | None) -> SidecarRecord | UnsetType:
    """Return the record of metadata for a sidecar, if there are any."""
    if merge is None:
        return UNSET
    text, raw = encode_path(merge.path)
    return SidecarRecord(
        path=text, path_bytes=raw, width=merge.width, height=merge.height, properties=dict(merge.properties)
    )


def in_milliseconds(time: datetime) -> datetime:
    """Return a time without the fraction of its millisecond, as the files have times."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class ActionRecord(Record, frozen=True, kw_only=True):
    """An action.

    Attributes:
        number: Its place in the plan, from 1; unique in the run.
        group: The number of its group, from 1; 0 for ``expire``.
        kind: What is done.
        match_class: The class of the match that justifies it.
        source: The redundant file.
        keeper: The file that stays.
        root: The root of the source.
        target: The new path, for ``move`` and ``quarantine``.
        quarantined: The origin of the file in quarantine, for ``expire``.
        unit: The number of the photo of several files that the source is a part of; missing for a photo of one file.
        parts: The number of actions of that photo, which are carried out all or not at all.
        sidecar: The metadata that the keeper's XMP sidecar gets before, with ``--merge-metadata sidecar``.
        can_be_undone: Whether an undo can restore the file; for the reader of a plan, and ignored when it is read.
    """

    number: Number
    group: Natural
    kind: ActionKind = msgspec.field(name="action")
    match_class: MatchClass = msgspec.field(name="class")
    source: FileRecord
    keeper: FileRecord
    root: PathRecord
    target: PathRecord | None = None
    quarantined: QuarantinedRecord | UnsetType = UNSET
    unit: Number | UnsetType = UNSET
    parts: Number | UnsetType = UNSET
    sidecar: SidecarRecord | UnsetType = UNSET
    can_be_undone: bool | UnsetType = UNSET

    def to_action(self) -> Action:
        """Return the action."""
        return Action(
            number=self.number,
            group=self.group,
            kind=self.kind,
            match_class=self.match_class,
            source=self.source.to_stat(),
            source_digest=bytes.fromhex(self.source.digest),
            keeper=self.keeper.to_stat(),
            keeper_digest=bytes.fromhex(self.keeper.digest),
            root=self.root.to_path(),
            target=None if self.target is None else self.target.to_path(),
            quarantined=None if isinstance(self.quarantined, UnsetType) else self.quarantined.to_quarantined(),
            unit=0 if isinstance(self.unit, UnsetType) else self.unit,
            parts=1 if isinstance(self.parts, UnsetType) else self.parts,
            merge=None if isinstance(self.sidecar, UnsetType) else self.sidecar.to_merge(),
        )


def action_record(action: Action, *, can_be_undone: bool | UnsetType = UNSET) -> ActionRecord:
    """Return the record of an action."""
    return ActionRecord(
        number=action.number,
        group=action.group,
        kind=action.kind,
        match_class=action.match_class,
        source=file_record(action.source, action.source_digest),
        keeper=file_record(action.keeper, action.keeper_digest),
        root=path_record(action.root),
        target=None if action.target is None else path_record(action.target),
        quarantined=quarantined_record(action.quarantined),
        unit=action.unit or UNSET,
        parts=action.parts if action.unit else UNSET,
        sidecar=sidecar_record(action.merge),
        can_be_undone=can_be_undone,
    )


class MetadataRecord(Record, frozen=True, kw_only=True):
    """Metadata of a file or a folder.

    Attributes:
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        atime_ns: Last read, nanoseconds since the epoch.
        mtime_ns: Last change, nanoseconds since the epoch.
        attributes: Extended attributes by name, in base64.
    """

    mode: Annotated[int, Meta(ge=0, le=0o7777)]
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    attributes: dict[str, bytes] | UnsetType = UNSET

    def to_metadata(self) -> FileMetadata:
        """Return the metadata."""
        return FileMetadata(
            mode=self.mode,
            uid=self.uid,
            gid=self.gid,
            atime_ns=self.atime_ns,
            mtime_ns=self.mtime_ns,
            attributes=() if isinstance(self.attributes, UnsetType) else tuple(self.attributes.items()),
        )


def metadata_record(metadata: FileMetadata) -> MetadataRecord:
    """Return the record of metadata."""
    return MetadataRecord(
        mode=metadata.mode,
        uid=metadata.uid,
        gid=metadata.gid,
        atime_ns=metadata.atime_ns,
        mtime_ns=metadata.mtime_ns,
        attributes=dict(metadata.attributes) or UNSET,
    )


class SidecarWriteRecord(PathRecord, frozen=True, kw_only=True):
    """A keeper's XMP sidecar is about to be written, or restored.

    Attributes:
        kind: ``sidecar``, or ``sidecar-undone`` when the metadata of an action are taken out of it again.
        number: The number of the action.
        at: When.
        before: The bytes of the sidecar before, in base64; missing if there was none.
        facts: Metadata of the sidecar before; missing if there was none.
        after: BLAKE3 digest of its bytes afterwards; missing if it is removed.
    """

    kind: Literal["sidecar", "sidecar-undone"]
    number: Number
    at: Time
    before: bytes | UnsetType = UNSET
    facts: MetadataRecord | UnsetType = UNSET
    after: Digest | UnsetType = UNSET

    def to_write(self) -> SidecarWrite:
        """Return the change."""
        return SidecarWrite(
            number=self.number,
            path=self.to_path(),
            before=None if isinstance(self.before, UnsetType) else self.before,
            metadata=None if isinstance(self.facts, UnsetType) else self.facts.to_metadata(),
            after=None if isinstance(self.after, UnsetType) else bytes.fromhex(self.after),
            undone=self.kind == "sidecar-undone",
        )


def sidecar_write_record(write: SidecarWrite, at: datetime) -> SidecarWriteRecord:
    """Return the record of a change of a sidecar."""
    text, raw = encode_path(write.path)
    return SidecarWriteRecord(
        kind="sidecar-undone" if write.undone else "sidecar",
        number=write.number,
        path=text,
        path_bytes=raw,
        at=at,
        before=UNSET if write.before is None else write.before,
        facts=UNSET if write.metadata is None else metadata_record(write.metadata),
        after=UNSET if write.after is None else write.after.hex(),
    )


PLAN_VERSION: Final = 1
"""Version of the format. A reader refuses a newer one."""

PLAN_NAME: Final = "plan.json"
"""Name of the file in a run's folder."""


class RootRecord(PathRecord, frozen=True, kw_only=True):
    """A folder that was searched.

    Attributes:
        protected: Whether its files are never removed.
    """

    protected: bool


class PlanRecord(Record, frozen=True, kw_only=True):
    """Everything that a run will do to the disk.

    Attributes:
        version: Version of the format.
        run: The name of the run.
        roots: The folders that were searched.
        target_directory: The destination of ``move``.
        prune: Whether folders that the run empties are removed.
        actions: The actions in the order of execution.
    """

    version: Literal[1]
    run: RunName
    roots: tuple[RootRecord, ...]
    target_directory: PathRecord | None = None
    prune: bool
    actions: tuple[ActionRecord, ...]


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
        raise PlanError(f"{path}: {error}; correct it there or make a new plan with a dry run") from error


def plan_to_text(plan: Plan) -> str:
    """Return a plan as JSON, one action per line, so that lines can be deleted."""
    roots = (encode_path(root) for root in plan.roots)
    head = PlanRecord(
        version=PLAN_VERSION,
        run=plan.run,
        roots=tuple(
            RootRecord(path=text, path_bytes=raw, protected=root in plan.protected)
            for root, (text, raw) in zip(plan.roots, roots, strict=True)
        ),
        target_directory=None if plan.target_directory is None else path_record(plan.target_directory),
        prune=plan.prune,
        actions=(),
    )
    lines = json.dumps(to_json(head), ensure_ascii=False, indent=2).removesuffix("[]\n}")
    records = (action_record(one, can_be_undone=can_be_undone(one)) for one in plan.actions)
    actions = ",\n".join("    " + json.dumps(to_json(record), ensure_ascii=False) for record in records)
    return lines + "[" + (f"\n{actions}\n  " if actions else "") + "]\n}\n"


def plan_from_text(text: str) -> Plan:
    """Read what ``plan_to_text`` made.

    Raises:
        PlanError: As ``load_plan``.
    """
    try:
        value = json.loads(text)
        version = value.get("version") if isinstance(value, dict) else None
        if isinstance(version, int) and version != PLAN_VERSION:
            raise PlanError(f"a plan of version {version}; this program knows version {PLAN_VERSION}")
        record = from_json(value, PlanRecord)
    except json.JSONDecodeError as error:
        raise PlanError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except (FormatError, RecursionError) as error:
        raise PlanError(f"{error}") from error
    plan = Plan(
        run=record.run,
        roots=tuple(root.to_path() for root in record.roots),
        actions=tuple(action.to_action() for action in record.actions),
        prune=record.prune,
        protected=tuple(root.to_path() for root in record.roots if root.protected),
        target_directory=None if record.target_directory is None else record.target_directory.to_path(),
    )
    check_plan(plan)
    return plan
