"""The result of a run as JSON, written and read: ``result.json``, ``--report x.json`` and ``--output json``.

``docs/formats.md`` describes the format and ``docs/schemas/result.schema.json`` defines it. A path that is not UTF-8
has its bytes beside it, in base64; everything else is plain text and numbers.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.match import Evidence, Match, MatchClass, Orientation, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import Action, ActionKind, Kept, Outcome, OutcomeStatus, Quarantined
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.report.text import outcomes_by_source, totals_of

VERSION = 1
"""Version of the format. A reader refuses a newer one; new optional keys do not raise it."""


def path_fields(path: Path, name: str = "path") -> dict[str, str]:
    """Return the fields of a path: one, or two if its bytes are not UTF-8."""
    raw = os.fsencode(path)
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: raw.decode("utf-8", "replace"), f"{name}_bytes": base64.b64encode(raw).decode("ascii")}


def _paths(paths: tuple[Path, ...], name: str) -> dict[str, Any]:
    """Return the fields of a list of paths; if one of them is not UTF-8, a second list holds the bytes of all."""
    fields = [path_fields(path) for path in paths]
    listed: dict[str, Any] = {name: [each["path"] for each in fields]}
    if any("path_bytes" in each for each in fields):
        listed[f"{name}_bytes"] = [base64.b64encode(os.fsencode(path)).decode("ascii") for path in paths]
    return listed


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        **path_fields(failure.path),
        "phase": failure.phase.value,
        "reason": failure.reason.value,
        "message": failure.message,
    }


def _file(stat: FileStat, digest: bytes | None) -> dict[str, Any]:
    return {
        **path_fields(stat.path),
        "size": stat.size,
        "mtime_ns": stat.mtime_ns,
        "device": stat.device,
        "inode": stat.inode,
        "digest": digest.hex() if digest else None,
    }


def _entry(entry: IndexEntry) -> dict[str, Any]:
    facts = entry.facts
    return {
        **_file(entry.stat, entry.digest),
        "format": facts.format if facts else None,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "exif_fields": facts.exif_fields if facts else None,
        "captured": facts.captured.isoformat() if facts and facts.captured else None,
        "camera": facts.camera if facts else None,
        "has_gps": facts.has_gps if facts else None,
        "frames": facts.frames if facts else None,
        "failure": _failure(entry.failure) if entry.failure else None,
    }


def _reason(reason: Reason) -> dict[str, str]:
    return {
        "rule": reason.rule,
        "keeper": reason.keeper_value,
        "redundant": reason.redundant_value,
        "sentence": reason.sentence,
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "words": list(evidence.words),
        "inliers": evidence.inliers,
        "bad_share": evidence.bad_share,
        "coverage_left": evidence.coverage_left,
        "coverage_right": evidence.coverage_right,
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "class": match.match_class.value,
        "distance": match.distance,
        "orientation": match.orientation.label,
        "evidence": _evidence(match.evidence) if match.evidence else None,
        "inspection": msgspec.to_builtins(match.inspection) if match.inspection else None,
    }


def _outcome(outcome: Outcome | None) -> dict[str, Any]:
    """Return the fields of an action and its outcome; all ``null`` for a file without an action."""
    if outcome is None:
        return dict.fromkeys(("action", "action_number", "root", "target", "outcome", "message"))
    target = outcome.target or outcome.action.target
    return {
        "action": outcome.action.kind.value,
        "action_number": outcome.action.number,
        **path_fields(outcome.action.root, "root"),
        **(path_fields(target, "target") if target else {"target": None}),
        "outcome": outcome.status.value,
        "message": outcome.message or None,
    }


def _redundant(redundant: Redundant, outcome: Outcome | None) -> dict[str, Any]:
    return {
        **_entry(redundant.entry),
        **_match(redundant.match),
        "reason": _reason(redundant.reason),
        **_outcome(outcome),
    }


def _group(group: RankedGroup, outcomes: Mapping[Path, Outcome]) -> dict[str, Any]:
    return {
        "keeper": {**_entry(group.keeper), "reason": _reason(group.redundant[0].reason)},
        "redundant": [_redundant(each, outcomes.get(each.entry.stat.path)) for each in group.redundant],
    }


def _other_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome whose file is in no group, as when a saved plan is carried out."""
    action = outcome.action
    return {
        "source": _file(action.source, action.source_digest),
        "keeper": _file(action.keeper, action.keeper_digest),
        "class": action.match_class.value,
        "group": action.group,
        **_outcome(outcome),
        **({"quarantined": _quarantined(action.quarantined)} if action.quarantined else {}),
    }


def _quarantined(found: Quarantined) -> dict[str, Any]:
    return {
        "run": found.run,
        "number": found.number,
        **path_fields(found.path),
        "since": found.since.isoformat(timespec="milliseconds"),
    }


def _read_quarantined(found: _Json | None) -> Quarantined | None:
    if found is None:
        return None
    return Quarantined(found["run"], found["number"], _path(found), datetime.fromisoformat(found["since"]))


def _phase(summary: PhaseSummary) -> dict[str, Any]:
    return {"name": summary.phase.value, "seconds": summary.seconds, "counts": dict(summary.counts)}


def _totals(result: RunResult) -> dict[str, Any]:
    totals = totals_of(result)
    return {
        "files": totals.files,
        "groups": totals.groups,
        "redundant": totals.redundant,
        "bytes_redundant": totals.bytes_redundant,
        "bytes_reclaimable": totals.bytes_reclaimable,
        "classes": dict(totals.classes),
        "outcomes": dict(totals.outcomes),
        "failures": dict(totals.failures),
        "seconds": totals.seconds,
    }


def as_dict(result: RunResult) -> dict[str, Any]:
    """Return a result as a dictionary in the format."""
    outcomes = outcomes_by_source(result)
    grouped = {each.entry.stat.path for group in result.groups for each in group.redundant}
    return {
        "version": VERSION,
        "run": result.run,
        "started": result.started.isoformat(),
        "dry_run": result.dry_run,
        **_paths(result.roots, "roots"),
        "max_distance": result.max_distance,
        "scope": result.scope,
        "across_scopes": result.across_scopes,
        "interrupted": result.interrupted,
        "error": result.error,
        "groups": [_group(group, outcomes) for group in result.groups],
        "reported": [
            {"left": _entry(match.left), "right": _entry(match.right), **_match(match)} for match in result.reported
        ],
        "other_outcomes": [_other_outcome(each) for path, each in outcomes.items() if path not in grouped],
        "failures": [_failure(failure) for failure in result.failures],
        "kept_in_quarantine": [{**path_fields(each.path), "reason": each.reason} for each in result.kept_in_quarantine],
        **_paths(result.pruned_folders, "pruned_folders"),
        "totals": _totals(result),
        "phases": [_phase(summary) for summary in result.phases],
    }


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(value: Any) -> str:
    """Return a list with one item per line, and other values on one line; indenting everything takes much longer."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join("  " + _compact(each) for each in value) + "\n ]"
    return _compact(value)


def as_json(result: RunResult) -> str:
    """Return a result as JSON text that ends with a line break."""
    text = "{\n" + ",\n".join(f" {_compact(key)}: {_lines(value)}" for key, value in as_dict(result).items()) + "\n}\n"
    # A message may quote a name that is not UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def write_result(result: RunResult, path: Path) -> None:
    """Write ``result.json`` atomically: an older file is replaced as a whole or stays.

    Raises:
        OSError: The folder does not exist, is full or is not writable.
    """
    text = as_json(result)
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a pipe or a terminal
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


_UNKNOWN = Versions(media=0, signature=0)
_ORIENTATIONS = {orientation.label: orientation for orientation in Orientation}

_Json = Mapping[str, Any]


class ResultFileError(Exception):
    """A file that is not a readable result; the message says why."""


def _path(found: _Json, name: str = "path") -> Path:
    raw = found.get(f"{name}_bytes")
    return Path(os.fsdecode(base64.b64decode(raw))) if raw else Path(found[name])


def _read_paths(found: _Json, name: str) -> tuple[Path, ...]:
    raw = found.get(f"{name}_bytes")
    if raw:
        return tuple(Path(os.fsdecode(base64.b64decode(each))) for each in raw)
    return tuple(Path(each) for each in found[name])


def _read_failure(found: _Json) -> Failure:
    return Failure(_path(found), Phase(found["phase"]), FailureReason(found["reason"]), found["message"])


def _stat(found: _Json) -> FileStat:
    return FileStat(_path(found), found["size"], found["mtime_ns"], found["device"], found["inode"])


def _digest(found: _Json) -> bytes | None:
    return bytes.fromhex(found["digest"]) if found["digest"] else None


def _facts(found: _Json) -> PhotoFacts | None:
    if found["format"] is None:
        return None
    captured = found["captured"]
    return PhotoFacts(
        format=found["format"],
        width=found["width"],
        height=found["height"],
        exif_fields=found["exif_fields"],
        captured=datetime.fromisoformat(captured) if captured else None,
        camera=found["camera"],
        has_gps=found["has_gps"],
        frames=found["frames"],
    )


def _read_entry(found: _Json) -> IndexEntry:
    failure = _read_failure(found["failure"]) if found["failure"] else None
    return IndexEntry(_stat(found), _UNKNOWN, digest=_digest(found), facts=_facts(found), failure=failure)


def _read_evidence(found: _Json | None) -> Evidence | None:
    if found is None:
        return None
    return Evidence(
        words=tuple(found["words"]),
        inliers=found["inliers"],
        bad_share=found["bad_share"],
        coverage_left=found["coverage_left"],
        coverage_right=found["coverage_right"],
    )


def _read_match(left: IndexEntry, right: IndexEntry, found: _Json) -> Match:
    return Match(
        left,
        right,
        MatchClass(found["class"]),
        found["distance"],
        _ORIENTATIONS[found["orientation"]],
        _read_evidence(found["evidence"]),
        msgspec.convert(found["inspection"], Inspection) if found.get("inspection") else None,
    )


def _read_reason(found: _Json) -> Reason:
    return Reason(found["rule"], found["keeper"], found["redundant"], found.get("sentence", ""))


def _read_group(found: _Json) -> RankedGroup:
    keeper = _read_entry(found["keeper"])
    return RankedGroup(
        keeper,
        tuple(
            Redundant(
                _read_match(keeper, _read_entry(each), each),
                _read_reason(each["reason"]),
            )
            for each in found["redundant"]
        ),
    )


def _read_outcome(found: _Json, source: _Json, keeper: _Json, group: int) -> Outcome:
    target = _path(found, "target") if found["target"] else None
    status = OutcomeStatus(found["outcome"])
    action = Action(
        number=found["action_number"],
        group=group,
        kind=ActionKind(found["action"]),
        match_class=MatchClass(found["class"]),
        source=_stat(source),
        source_digest=_digest(source) or b"",
        keeper=_stat(keeper),
        keeper_digest=_digest(keeper) or b"",
        root=_path(found, "root"),
        target=target,
        quarantined=_read_quarantined(found.get("quarantined")),
    )
    done = status is OutcomeStatus.DONE
    return Outcome(action, status, target if done else None, found["message"] or "")


def _outcomes(found: _Json) -> tuple[Outcome, ...]:
    outcomes = [
        _read_outcome(each, each, group["keeper"], number)
        for number, group in enumerate(found["groups"], start=1)
        for each in group["redundant"]
        if each["outcome"] is not None
    ]
    outcomes += [_read_outcome(each, each["source"], each["keeper"], each["group"]) for each in found["other_outcomes"]]
    return tuple(sorted(outcomes, key=lambda outcome: outcome.action.number))


def from_dict(found: _Json) -> RunResult:
    """Return the result that ``as_dict`` wrote, without signatures, features and versions of the methods.

    Raises:
        ResultFileError: The dictionary is not a result, or is of a newer version.
    """
    version = found.get("version")
    if not isinstance(version, int):
        raise ResultFileError("it is not the result of a run")
    if version > VERSION:
        raise ResultFileError(f"its format has version {version}, this program reads {VERSION}: use a newer program")
    try:
        return RunResult(
            run=found["run"],
            started=datetime.fromisoformat(found["started"]),
            dry_run=found["dry_run"],
            roots=_read_paths(found, "roots"),
            max_distance=found["max_distance"],
            groups=tuple(_read_group(each) for each in found["groups"]),
            outcomes=_outcomes(found),
            failures=tuple(_read_failure(each) for each in found["failures"]),
            phases=tuple(PhaseSummary(Phase(p["name"]), p["seconds"], p["counts"]) for p in found["phases"]),
            files=found["totals"]["files"],
            reported=tuple(_read_match(_read_entry(m["left"]), _read_entry(m["right"]), m) for m in found["reported"]),
            kept_in_quarantine=tuple(Kept(_path(each), each["reason"]) for each in found.get("kept_in_quarantine", ())),
            pruned_folders=_read_paths(found, "pruned_folders"),
            interrupted=found["interrupted"],
            error=found["error"],
            scope=found.get("scope", ""),
            across_scopes=found.get("across_scopes", 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultFileError(f"it is not the complete result of a run: {error!r}") from error


def load_result(path: Path) -> RunResult:
    """Read ``result.json``.

    Raises:
        ResultFileError: The file is not a result, or is of a newer version.
        OSError: The file cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ResultFileError(f"{path} is not the result of a run")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultFileError(f"{path} is not JSON: {error}") from error
    try:
        return from_dict(found)
    except ResultFileError as error:
        raise ResultFileError(f"{path}: {error}") from error
