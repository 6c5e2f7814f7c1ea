"""A run's result as JSON: ``result.json``, ``--report x.json`` and ``--output json`` are this one format.

``docs/formats.md`` describes it and ``docs/schemas/result.schema.json`` defines it. Paths that are not UTF-8 have
their bytes beside them, in base64; everything else is text and numbers that any program can read.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from py_image_dedup.model.failure import Failure
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Evidence, Match, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.report.totals import outcomes_by_source, totals_of

VERSION = 1
"""Of the format. A reader refuses a newer one; new optional keys do not change it."""


def path_fields(path: Path, name: str = "path") -> dict[str, str]:
    """Return a path as one key, or as two if its bytes are not UTF-8."""
    raw = os.fsencode(path)
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: raw.decode("utf-8", "replace"), f"{name}_bytes": base64.b64encode(raw).decode("ascii")}


def _paths(paths: tuple[Path, ...], name: str) -> dict[str, Any]:
    """Return a list of paths; if one of them is not UTF-8, the bytes of all in a second list."""
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
    return {"rule": reason.rule, "keeper": reason.keeper_value, "redundant": reason.redundant_value}


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
    }


def _outcome(outcome: Outcome | None) -> dict[str, Any]:
    """Return what is meant and what happened; all ``null`` for a file that no action names."""
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
    """Return an outcome whose file is in no group, as the runs that carry out a saved plan have them."""
    action = outcome.action
    return {
        "source": _file(action.source, action.source_digest),
        "keeper": _file(action.keeper, action.keeper_digest),
        "class": action.match_class.value,
        "group": action.group,
        **_outcome(outcome),
    }


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
    """Return a result as the dictionary that the format describes."""
    outcomes = outcomes_by_source(result)
    grouped = {each.entry.stat.path for group in result.groups for each in group.redundant}
    return {
        "version": VERSION,
        "run": result.run,
        "started": result.started.isoformat(),
        "dry_run": result.dry_run,
        **_paths(result.roots, "roots"),
        "max_distance": result.max_distance,
        "interrupted": result.interrupted,
        "error": result.error,
        "groups": [_group(group, outcomes) for group in result.groups],
        "reported": [
            {"left": _entry(match.left), "right": _entry(match.right), **_match(match)} for match in result.reported
        ],
        "other_outcomes": [_other_outcome(each) for path, each in outcomes.items() if path not in grouped],
        "failures": [_failure(failure) for failure in result.failures],
        **_paths(result.pruned_folders, "pruned_folders"),
        "totals": _totals(result),
        "phases": [_phase(summary) for summary in result.phases],
    }


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(value: Any) -> str:
    """Return a list with one value a line, such as a group, and all else in one; to indent it all takes much longer."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join("  " + _compact(each) for each in value) + "\n ]"
    return _compact(value)


def as_json(result: RunResult) -> str:
    """Return a result as JSON text, with a line break at its end."""
    text = "{\n" + ",\n".join(f" {_compact(key)}: {_lines(value)}" for key, value in as_dict(result).items()) + "\n}\n"
    # A message may quote a name that is not UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def write_result(result: RunResult, path: Path) -> None:
    """Write ``result.json``: complete or not at all, and never half over an older one.

    Raises:
        OSError: The folder is not there, is full or cannot be written to.
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
