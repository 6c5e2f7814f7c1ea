"""``result.json`` read back, as far as it goes: signatures and features are not in it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Evidence, Match, MatchClass, Orientation, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.report.result_json import VERSION

_UNKNOWN = Versions(media=0, signature=0)
_ORIENTATIONS = {orientation.label: orientation for orientation in Orientation}

_Json = Mapping[str, Any]


class ResultFileError(Exception):
    """The file is no result that this program can read; the message says why."""


def _path(found: _Json, name: str = "path") -> Path:
    raw = found.get(f"{name}_bytes")
    return Path(os.fsdecode(base64.b64decode(raw))) if raw else Path(found[name])


def _paths(found: _Json, name: str) -> tuple[Path, ...]:
    raw = found.get(f"{name}_bytes")
    if raw:
        return tuple(Path(os.fsdecode(base64.b64decode(each))) for each in raw)
    return tuple(Path(each) for each in found[name])


def _failure(found: _Json) -> Failure:
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


def _entry(found: _Json) -> IndexEntry:
    failure = _failure(found["failure"]) if found["failure"] else None
    return IndexEntry(_stat(found), _UNKNOWN, digest=_digest(found), facts=_facts(found), failure=failure)


def _evidence(found: _Json | None) -> Evidence | None:
    if found is None:
        return None
    return Evidence(
        words=tuple(found["words"]),
        inliers=found["inliers"],
        bad_share=found["bad_share"],
        coverage_left=found["coverage_left"],
        coverage_right=found["coverage_right"],
    )


def _match(left: IndexEntry, right: IndexEntry, found: _Json) -> Match:
    return Match(
        left,
        right,
        MatchClass(found["class"]),
        found["distance"],
        _ORIENTATIONS[found["orientation"]],
        _evidence(found["evidence"]),
    )


def _group(found: _Json) -> RankedGroup:
    keeper = _entry(found["keeper"])
    return RankedGroup(
        keeper,
        tuple(
            Redundant(
                _match(keeper, _entry(each), each),
                Reason(each["reason"]["rule"], each["reason"]["keeper"], each["reason"]["redundant"]),
            )
            for each in found["redundant"]
        ),
    )


def _outcome(found: _Json, source: _Json, keeper: _Json, group: int) -> Outcome:
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
    )
    done = status is OutcomeStatus.DONE
    return Outcome(action, status, target if done else None, found["message"] or "")


def _outcomes(found: _Json) -> tuple[Outcome, ...]:
    outcomes = [
        _outcome(each, each, group["keeper"], number)
        for number, group in enumerate(found["groups"], start=1)
        for each in group["redundant"]
        if each["outcome"] is not None
    ]
    outcomes += [_outcome(each, each["source"], each["keeper"], each["group"]) for each in found["other_outcomes"]]
    return tuple(sorted(outcomes, key=lambda outcome: outcome.action.number))


def from_dict(found: _Json) -> RunResult:
    """Return the result that ``as_dict`` described, without signatures, features and versions of the methods.

    Raises:
        ResultFileError: It is no result, or of a newer version.
    """
    version = found.get("version")
    if not isinstance(version, int):
        raise ResultFileError("it is not the result of a run")
    if version > VERSION:
        raise ResultFileError(f"its format has version {version}, this program reads {VERSION}: use a newer one")
    try:
        return RunResult(
            run=found["run"],
            started=datetime.fromisoformat(found["started"]),
            dry_run=found["dry_run"],
            roots=_paths(found, "roots"),
            max_distance=found["max_distance"],
            groups=tuple(_group(each) for each in found["groups"]),
            outcomes=_outcomes(found),
            failures=tuple(_failure(each) for each in found["failures"]),
            phases=tuple(PhaseSummary(Phase(p["name"]), p["seconds"], p["counts"]) for p in found["phases"]),
            files=found["totals"]["files"],
            reported=tuple(_match(_entry(m["left"]), _entry(m["right"]), m) for m in found["reported"]),
            pruned_folders=_paths(found, "pruned_folders"),
            interrupted=found["interrupted"],
            error=found["error"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultFileError(f"it is not the whole result of a run: {error!r}") from error


def load_result(path: Path) -> RunResult:
    """Read ``result.json``.

    Raises:
        ResultFileError: The file is no result, or of a newer version.
        OSError: It cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ResultFileError(f"{path} is not the result of a run")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ResultFileError(f"{path} is no JSON: {error}") from error
    try:
        return from_dict(found)
    except ResultFileError as error:
        raise ResultFileError(f"{path}: {error}") from error
