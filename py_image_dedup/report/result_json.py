"""The result of a run as JSON, written and read: ``result.json``, ``--report x.json`` and ``--output json``.

``docs/formats.md`` describes the format, and ``report.result_records`` defines it. A path that is not UTF-8 has its
bytes beside it, in base64.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from py_image_dedup.model.failure import Failure
from py_image_dedup.model.file import FileStat, UnreadFiles
from py_image_dedup.model.match import (
    Evidence,
    Match,
    Orientation,
    RankedGroup,
    Reason,
    Redundant,
    current_words,
)
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import Action, Kept, Outcome, OutcomeStatus
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.model.series import Series
from py_image_dedup.model.unit import Part, Unit
from py_image_dedup.removal.serialization import (
    FormatError,
    Record,
    decode_path,
    encode_path,
    from_json,
    path_record,
    quarantined_record,
    sidecar_record,
    stat_fields,
    to_json,
)
from py_image_dedup.report.output_file import replacing
from py_image_dedup.report.result_records import (
    AnalysedFileRecord,
    EntryRecord,
    EvidenceRecord,
    FailureRecord,
    GroupRecord,
    KeeperRecord,
    KeptRecord,
    OtherOutcomeRecord,
    PartRecord,
    ReasonRecord,
    RedundantRecord,
    ReportedRecord,
    ResultRecord,
    SeriesRecord,
    StageRecord,
    UnitRecord,
    UnreadRecord,
    totals_of,
)
from py_image_dedup.report.text import outcomes_by_source

VERSION: Final = 1
"""Version of the format. A reader refuses a newer one; new optional keys do not raise it."""


def _failure(failure: Failure) -> FailureRecord:
    text, raw = encode_path(failure.path)
    return FailureRecord(path=text, path_bytes=raw, phase=failure.phase, reason=failure.reason, message=failure.message)


def _file(stat: FileStat, digest: bytes | None) -> AnalysedFileRecord:
    return AnalysedFileRecord(**stat_fields(stat), digest=digest.hex() if digest else None)


def _entry(entry: IndexEntry) -> EntryRecord:
    facts = entry.facts
    return EntryRecord(
        **msgspec.structs.asdict(_file(entry.stat, entry.digest)),
        format=facts.format if facts else None,
        width=facts.width if facts else None,
        height=facts.height if facts else None,
        exif_fields=facts.exif_fields if facts else None,
        captured=facts.captured if facts else None,
        camera=facts.camera if facts else None,
        has_gps=facts.has_gps if facts else None,
        frames=facts.frames if facts else None,
        embedded=facts.embedded if facts else (),
        failure=_failure(entry.failure) if entry.failure else None,
        video=facts.footage if facts and facts.footage else UNSET,
    )


def _reason(reason: Reason) -> ReasonRecord:
    return ReasonRecord(
        rule=reason.rule, keeper=reason.keeper_value, redundant=reason.redundant_value, sentence=reason.sentence
    )


def _match_fields(match: Match) -> dict[str, Any]:
    """Return the fields that the records of matches have in common."""
    evidence = match.evidence
    return {
        "match_class": match.match_class,
        "distance": match.distance,
        "orientation": match.orientation.label,
        "evidence": msgspec.convert(evidence, EvidenceRecord, from_attributes=True) if evidence else None,
        "inspection": match.inspection,
    }


def _outcome_fields(outcome: Outcome | None) -> dict[str, Any]:
    """Return the fields that the records of actions have in common; all null for a file without an action."""
    if outcome is None:
        return dict.fromkeys(("action", "action_number", "root", "target", "outcome", "message"))
    target = outcome.target or outcome.action.target
    root, root_bytes = encode_path(outcome.action.root)
    text, raw = encode_path(target) if target else (None, UNSET)
    return {
        "action": outcome.action.kind,
        "action_number": outcome.action.number,
        "root": root,
        "root_bytes": root_bytes,
        "target": text,
        "target_bytes": raw,
        "outcome": outcome.status,
        "message": outcome.message or None,
        "unit": outcome.action.unit or UNSET,
        "parts": outcome.action.parts if outcome.action.unit else UNSET,
        "sidecar": sidecar_record(outcome.action.merge),
    }


def _redundant(redundant: Redundant, outcome: Outcome | None) -> RedundantRecord:
    return RedundantRecord(
        **msgspec.structs.asdict(_entry(redundant.entry)),
        **_match_fields(redundant.match),
        reason=_reason(redundant.reason),
        **_outcome_fields(outcome),
    )


def _group(group: RankedGroup, outcomes: Mapping[Path, Outcome]) -> GroupRecord:
    return GroupRecord(
        keeper=KeeperRecord(**msgspec.structs.asdict(_entry(group.keeper)), reason=_reason(group.redundant[0].reason)),
        redundant=tuple(_redundant(each, outcomes.get(each.entry.stat.path)) for each in group.redundant),
    )


def _other_outcome(outcome: Outcome) -> OtherOutcomeRecord:
    action = outcome.action
    return OtherOutcomeRecord(
        source=_file(action.source, action.source_digest),
        keeper=_file(action.keeper, action.keeper_digest),
        match_class=action.match_class,
        group=action.group,
        **_outcome_fields(outcome),
        quarantined=quarantined_record(action.quarantined),
    )


def _kept(kept: Kept) -> KeptRecord:
    text, raw = encode_path(kept.path)
    return KeptRecord(path=text, path_bytes=raw, reason=kept.reason)


def _unit(unit: Unit) -> UnitRecord:
    encoded = ((encode_path(part.path), part.kind) for part in unit.parts)
    parts = tuple(PartRecord(path=text, path_bytes=raw, kind=kind) for (text, raw), kind in encoded)
    return UnitRecord(stem=unit.stem, parts=parts)


def _series(series: Series) -> SeriesRecord:
    shots = tuple(tuple(path_record(path) for path in shot) for shot in series.shots)
    return SeriesRecord(kind=series.kind, evidence=series.evidence, shots=shots)


def _unread(unread: UnreadFiles) -> UnreadRecord:
    texts, raw = _paths(unread.paths)
    return UnreadRecord(kind=unread.kind, reason=unread.reason, paths=texts, paths_bytes=raw)


def _paths(paths: tuple[Path, ...]) -> tuple[tuple[str, ...], tuple[bytes, ...] | UnsetType]:
    """Return paths as texts and, if one of them is not UTF-8, the bytes of all."""
    encoded = [encode_path(path) for path in paths]
    exact = all(raw is UNSET for _, raw in encoded)
    return tuple(text for text, _ in encoded), UNSET if exact else tuple(os.fsencode(path) for path in paths)


def _lists(result: RunResult) -> dict[str, Iterator[Record]]:
    """Return the long lists of a result by field, each record made when it is needed."""
    outcomes = outcomes_by_source(result)
    return {
        "groups": (_group(group, outcomes) for group in result.groups),
        "reported": (
            ReportedRecord(left=_entry(match.left), right=_entry(match.right), **_match_fields(match))
            for match in result.reported
        ),
        "other_outcomes": map(_other_outcome, _ungrouped(result, outcomes)),
        "failures": map(_failure, result.failures),
        "units": map(_unit, result.units),
        "series": map(_series, result.series),
        "unread": map(_unread, result.unread),
        "kept_in_quarantine": map(_kept, result.kept_in_quarantine),
    }


def _ungrouped(result: RunResult, outcomes: Mapping[Path, Outcome]) -> Iterator[Outcome]:
    """Yield the outcomes whose files are in no group."""
    left = dict(outcomes)
    if left:
        for group in result.groups:
            for each in group.redundant:
                left.pop(each.entry.stat.path, None)
    yield from left.values()


def _record(result: RunResult, lists: Mapping[str, Any]) -> ResultRecord:
    roots, roots_bytes = _paths(result.roots)
    pruned, pruned_bytes = _paths(result.pruned_folders)
    return ResultRecord(
        version=VERSION,
        run=result.run,
        started=result.started,
        dry_run=result.dry_run,
        roots=roots,
        roots_bytes=roots_bytes,
        max_distance=result.max_distance,
        scope=result.scope,
        across_scopes=result.across_scopes,
        interrupted=result.interrupted,
        error=result.error,
        **lists,
        pruned_folders=pruned,
        pruned_folders_bytes=pruned_bytes,
        totals=totals_of(result),
        phases=tuple(StageRecord(name=each.phase, seconds=each.seconds, counts=each.counts) for each in result.phases),
    )


def result_record(result: RunResult) -> ResultRecord:
    """Return the record of a result."""
    return _record(result, {name: tuple(records) for name, records in _lists(result).items()})


def as_dict(result: RunResult) -> dict[str, Any]:
    """Return a result as a dictionary in the format."""
    return to_json(result_record(result))


def json_parts(result: RunResult) -> Iterator[str]:
    """Yield a result as JSON text in parts; together they end with a line break.

    A list has one item per line: indenting everything takes much longer. Only one item is in memory at a time, so the
    text of a large result costs no memory.
    """
    lists = _lists(result)
    start = "{\n"
    for key, value in to_json(_record(result, dict.fromkeys(lists, ()))).items():
        yield f"{start} {_compact(key)}: "
        if key in lists:
            yield from _item_per_line(lists[key])
        else:
            yield _compact(value)
        start = ",\n"
    yield "\n}\n"


def _item_per_line(records: Iterator[Record]) -> Iterator[str]:
    start = "[\n  "
    for record in records:
        yield start + _compact(to_json(record))
        start = ",\n  "
    yield "[]" if start.startswith("[") else "\n ]"


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # A message may quote a name that is not UTF-8.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def as_json(result: RunResult) -> str:
    """Return a result as JSON text that ends with a line break."""
    return "".join(json_parts(result))


def write_result(result: RunResult, path: Path) -> None:
    """Write ``result.json`` atomically: an older file is replaced as a whole or stays.

    Raises:
        OSError: The folder does not exist, is full or is not writable.
    """
    with replacing(path) as stream:
        stream.writelines(json_parts(result))


_UNKNOWN = Versions(media=0, signature=0)
_ORIENTATIONS = {orientation.label: orientation for orientation in Orientation}


class ResultFileError(Exception):
    """A file that is not a readable result; the message says why."""


def _read_paths(texts: tuple[str, ...], raw: tuple[bytes, ...] | UnsetType) -> tuple[Path, ...]:
    return tuple(Path(text) for text in texts) if isinstance(raw, UnsetType) else tuple(map(_from_bytes, raw))


def _from_bytes(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))


def _read_failure(record: FailureRecord) -> Failure:
    return Failure(record.to_path(), record.phase, record.reason, record.message)


def _facts(record: EntryRecord) -> PhotoFacts | None:
    if record.format is None or record.width is None or record.height is None:
        return None
    return PhotoFacts(
        format=record.format,
        width=record.width,
        height=record.height,
        exif_fields=record.exif_fields or 0,
        captured=record.captured,
        camera=record.camera,
        has_gps=bool(record.has_gps),
        frames=record.frames or 1,
        footage=None if isinstance(record.video, UnsetType) else record.video,
        embedded=record.embedded,
    )


def _read_entry(record: EntryRecord) -> IndexEntry:
    failure = _read_failure(record.failure) if record.failure else None
    return IndexEntry(record.to_stat(), _UNKNOWN, digest=record.to_digest(), facts=_facts(record), failure=failure)


def _read_match(left: IndexEntry, right: IndexEntry, record: RedundantRecord | ReportedRecord) -> Match:
    return Match(
        left,
        right,
        record.match_class,
        record.distance,
        _ORIENTATIONS[record.orientation],
        _read_evidence(record.evidence) if record.evidence else None,
        record.inspection,
    )


def _read_evidence(record: EvidenceRecord) -> Evidence:
    return Evidence(**{**msgspec.structs.asdict(record), "words": current_words(record.words)})


def _read_reason(record: ReasonRecord) -> Reason:
    return Reason(record.rule, record.keeper, record.redundant, record.sentence)


def _read_group(record: GroupRecord) -> RankedGroup:
    keeper = _read_entry(record.keeper)
    return RankedGroup(
        keeper,
        tuple(
            Redundant(_read_match(keeper, _read_entry(each), each), _read_reason(each.reason))
            for each in record.redundant
        ),
    )


def _read_outcome(
    record: RedundantRecord | OtherOutcomeRecord, source: AnalysedFileRecord, keeper: AnalysedFileRecord, group: int
) -> Outcome | None:
    """Return an action and its outcome; ``None`` for a file without an action."""
    if record.action is None or record.action_number is None or record.root is None or record.outcome is None:
        return None
    target = None if record.target is None else decode_path(record.target, record.target_bytes)
    quarantined = record.quarantined if isinstance(record, OtherOutcomeRecord) else UNSET
    action = Action(
        number=record.action_number,
        group=group,
        kind=record.action,
        match_class=record.match_class,
        source=source.to_stat(),
        source_digest=source.to_digest() or b"",
        keeper=keeper.to_stat(),
        keeper_digest=keeper.to_digest() or b"",
        root=decode_path(record.root, record.root_bytes),
        target=target,
        quarantined=None if isinstance(quarantined, UnsetType) else quarantined.to_quarantined(),
        unit=0 if isinstance(record.unit, UnsetType) else record.unit,
        parts=1 if isinstance(record.parts, UnsetType) else record.parts,
        merge=None if isinstance(record.sidecar, UnsetType) else record.sidecar.to_merge(),
    )
    return Outcome(
        action, record.outcome, target if record.outcome is OutcomeStatus.DONE else None, record.message or ""
    )


def _outcomes(record: ResultRecord) -> tuple[Outcome, ...]:
    outcomes = [
        _read_outcome(each, each, group.keeper, number)
        for number, group in enumerate(record.groups, start=1)
        for each in group.redundant
    ]
    outcomes += [_read_outcome(each, each.source, each.keeper, each.group) for each in record.other_outcomes]
    return tuple(sorted(filter(None, outcomes), key=lambda outcome: outcome.action.number))


def from_dict(found: object) -> RunResult:
    """Return the result that ``as_dict`` wrote, without signatures, features and versions of the methods.

    Raises:
        ResultFileError: The dictionary is not a result, or is of a newer version.
    """
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, int):
        raise ResultFileError("it is not the result of a run")
    if version > VERSION:
        raise ResultFileError(f"its format has version {version}, this program reads {VERSION}: use a newer program")
    try:
        record = from_json(found, ResultRecord)
        return RunResult(
            run=record.run,
            started=record.started,
            dry_run=record.dry_run,
            roots=_read_paths(record.roots, record.roots_bytes),
            max_distance=record.max_distance,
            groups=tuple(_read_group(each) for each in record.groups),
            outcomes=_outcomes(record),
            failures=tuple(_read_failure(each) for each in record.failures),
            phases=tuple(PhaseSummary(each.name, each.seconds, each.counts) for each in record.phases),
            files=record.totals.files,
            reported=tuple(
                _read_match(_read_entry(each.left), _read_entry(each.right), each) for each in record.reported
            ),
            units=tuple(
                Unit(tuple(Part(part.to_path(), part.kind) for part in each.parts), each.stem) for each in record.units
            ),
            series=tuple(
                Series(each.kind, each.evidence, tuple(tuple(path.to_path() for path in shot) for shot in each.shots))
                for each in record.series
            ),
            unread=tuple(
                UnreadFiles(each.kind, each.reason, _read_paths(each.paths, each.paths_bytes)) for each in record.unread
            ),
            kept_in_quarantine=tuple(Kept(each.to_path(), each.reason) for each in record.kept_in_quarantine),
            pruned_folders=_read_paths(record.pruned_folders, record.pruned_folders_bytes),
            interrupted=record.interrupted,
            error=record.error,
            scope=record.scope,
            across_scopes=record.across_scopes,
        )
    except FormatError as error:
        raise ResultFileError(
            f"it is not the complete result of a run: {error}; take the file as a run wrote it"
        ) from error
    except (KeyError, ValueError) as error:
        raise ResultFileError(f"it is not the complete result of a run: {error!r}") from error


def load_result(path: Path) -> RunResult:
    """Read ``result.json``.

    Raises:
        ResultFileError: The file is not a result, or is of a newer version.
        OSError: The file cannot be read.
    """
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResultFileError(f"{path} is not JSON: {error}") from error
    except ResultFileError as error:
        raise ResultFileError(f"{path}: {error}") from error
