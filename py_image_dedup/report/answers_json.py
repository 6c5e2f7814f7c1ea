"""The answers of small commands as JSON: ``--output json`` of known, runs, undo, quarantine and others.

Each is an object with its ``version``. A path that is not UTF-8 has its bytes beside it, in base64, as in result.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from py_image_dedup.model.match import Match
from py_image_dedup.model.plan import Outcome
from py_image_dedup.removal.journal import Entry
from py_image_dedup.removal.quarantine import InQuarantine
from py_image_dedup.removal.runs import RunSummary
from py_image_dedup.removal.serialization import encode_path

VERSION: Final = 1
"""Version of these formats; new keys do not raise it."""


def as_text(value: Mapping[str, Any]) -> str:
    """Return an answer as JSON text that ends with a line break."""
    text = json.dumps({"version": VERSION, **value}, ensure_ascii=False, indent=1, default=_plain)
    # A message may quote a name that is not UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def path_fields(path: Path, name: str = "path") -> dict[str, Any]:
    """Return the fields of a path: one, or two if its bytes are not UTF-8."""
    text, raw = encode_path(path)
    return {name: text, **({f"{name}_bytes": raw} if isinstance(raw, bytes) else {})}


def run_fields(run: RunSummary) -> dict[str, Any]:
    """Return one run."""
    return {
        "run": run.run,
        **path_fields(run.directory, "directory"),
        "when": run.when.isoformat(),
        "dry_run": run.dry_run,
        "planned": run.planned,
        "outcomes": {status.value: count for status, count in sorted(run.counts.items())},
        "restored": run.undone,
        "expired": run.expired,
        "deleted_from_quarantine": run.deleted_from_quarantine,
        "interrupted": run.interrupted,
        "problem": run.problem or None,
    }


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return one file of a run."""
    action = entry.action
    return {
        "number": action.number,
        **path_fields(action.source.path),
        **path_fields(action.keeper.path, "keeper"),
        "class": action.match_class.value,
        "action": action.kind.value,
        "state": "expired" if entry.expired else entry.state.value,
        **(path_fields(entry.location, "location") if entry.location else {"location": None}),
        "size": action.source.size,
        "message": entry.message or None,
    }


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome of an undo for one file."""
    return {
        **path_fields(outcome.action.source.path),
        "outcome": outcome.status.value,
        **(path_fields(outcome.target, "location") if outcome.target else {"location": None}),
        "message": outcome.message or None,
    }


def undone(runs: Iterable[tuple[str, Sequence[Outcome]]]) -> dict[str, Any]:
    """Return what an undo did, by run."""
    return {"runs": [{"run": run, "files": [outcome_fields(each) for each in outcomes]} for run, outcomes in runs]}


def quarantined_fields(one: InQuarantine) -> dict[str, Any]:
    """Return one file in quarantine."""
    return {
        **path_fields(one.path),
        **path_fields(one.original, "original"),
        **path_fields(one.root, "root"),
        "run": one.run,
        "since": one.since.isoformat() if one.since else None,
        "size": one.size,
    }


def restored(
    runs: Iterable[tuple[str, Sequence[Outcome]]], without_record: Iterable[tuple[InQuarantine, str | None]]
) -> dict[str, Any]:
    """Return which files came back from the quarantine.

    Args:
        runs: Outcomes by run.
        without_record: Files of which no run has a record, each with why it stays in quarantine.
    """
    others = [{**quarantined_fields(one), "problem": problem} for one, problem in without_record]
    return {**undone(runs), "without_record": others}


def known_fields(file: Path, matches: Sequence[Match], problem: str, *, is_known: bool) -> dict[str, Any]:
    """Return the answer about one picture."""
    return {
        **path_fields(Path(os.path.abspath(file))),  # noqa: PTH100 - keeps links
        "known": is_known,
        "problem": problem or None,
        "matches": [
            {
                **path_fields(match.right.stat.path),
                "class": match.match_class.value,
                "distance": match.distance,
                "orientation": match.orientation.label,
            }
            for match in matches
        ],
    }
