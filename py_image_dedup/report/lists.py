"""Results for other programs: a table, lists of names, groups, and a script.

The lists have the names and lines of duplicate-photo-finder, and the groups are those of Dupe Scanner, so that what
reads the one reads the other.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.output_file import keep_backup, replacing
from py_image_dedup.report.terminal import reason_words
from py_image_dedup.report.text import outcomes_by_source, readable, size_words

COLUMNS: Final = (
    "group",
    "role",
    "path",
    "keeper",
    "class",
    "distance",
    "size",
    "width",
    "height",
    "format",
    "modified",
    "captured",
    "camera",
    "embedded",
    "action",
    "outcome",
    "target",
    "reason",
    "path_bytes",
)
"""The columns of the table. A path that is not UTF-8 has its bytes in ``path_bytes``, in base64."""

_DESCRIBING: Final = len(COLUMNS) - 5
"""Columns between the path and the reason."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NANOSECONDS: Final = 1_000_000_000


def _why(reason: Reason) -> str:
    return f"Kept: {reason_words(reason)}"


def write_table(result: RunResult, path: Path) -> None:
    """Write a result as CSV, one row for each file that is in a group, in a match, in a series, or unreadable.

    Raises:
        OSError: The file cannot be written.
    """
    outcomes = outcomes_by_source(result)
    with replacing(path, newline="") as stream:
        table = csv.writer(stream, lineterminator="\r\n")
        table.writerow(COLUMNS)
        for number, group in enumerate(result.groups, start=1):
            why = _why(group.redundant[0].reason)
            table.writerow(_row(str(number), "keeper", group.keeper, reason=why))
            for each in group.redundant:
                outcome = outcomes.get(each.entry.stat.path)
                why = outcome.message if outcome and outcome.message else _why(each.reason)
                table.writerow(
                    _row(str(number), "redundant", each.entry, match=each.match, outcome=outcome, reason=why)
                )
        for match in result.reported:
            why = match.inspection.reason if match.inspection else ""
            table.writerow(_row("", "match", match.right, match=match, reason=why))
        for series in result.series:
            why = f"One of {series.words}, recognised {series.evidence}."
            for path in series.files:
                table.writerow(["", series.kind.value, _text(path), *[""] * _DESCRIBING, why, _raw(path)])
        for failure in result.failures:
            why = readable(failure.message)
            table.writerow(["", "unreadable", _text(failure.path), *[""] * _DESCRIBING, why, _raw(failure.path)])


def _row(
    group: str,
    role: str,
    entry: IndexEntry,
    *,
    match: Match | None = None,
    outcome: Outcome | None = None,
    reason: str = "",
) -> list[str]:
    facts, stat = entry.facts, entry.stat
    target = (outcome.target or outcome.action.target) if outcome else None
    return [
        group,
        role,
        _text(stat.path),
        _text(match.left.stat.path) if match else "",
        match.match_class.value if match else "",
        f"{match.distance:.4f}" if match else "",
        str(stat.size),
        str(facts.width) if facts else "",
        str(facts.height) if facts else "",
        facts.format if facts else "",
        datetime.fromtimestamp(stat.mtime_ns // _NANOSECONDS, UTC).isoformat(),
        facts.captured.isoformat() if facts and facts.captured else "",
        _harmless(facts.camera) if facts and facts.camera else "",
        ", ".join(facts.embedded) if facts else "",
        outcome.action.kind.value if outcome else "",
        outcome.status.value if outcome else "",
        _text(target) if target else "",
        _harmless(reason),
        _raw(stat.path),
    ]


def _text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def _raw(path: Path) -> str:
    raw = os.fsencode(path)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii")
    return ""


def _harmless(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula: a camera's name is whatever a file says."""
    text = readable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_groups(result: RunResult, path: Path) -> None:
    """Write the groups as JSON: ``{"group-1": [paths]}``, the keeper first.

    A byte of a path that is not UTF-8 becomes a lone surrogate, from which Python makes the byte again.

    Raises:
        OSError: The file cannot be written.
    """
    with replacing(path) as stream:
        stream.write("{")
        for number, group in enumerate(result.groups, start=1):
            paths = [str(group.keeper.stat.path), *(str(each.entry.stat.path) for each in group.redundant)]
            stream.write(f'{"," if number > 1 else ""}\n "group-{number}": {json.dumps(paths)}')
        stream.write("\n}\n" if result.groups else "}\n")


DUPLICATES_NAME: Final = "duplicates.txt"
NON_DUPLICATES_NAME: Final = "non-duplicates.txt"
SKIPPED_NAME: Final = "skipped_files.txt"

_PLAIN_NAME: Final = re.compile(r'[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\udc80-\udcff",:\\]+')
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def quoted(path: Path) -> str:
    """Return a path for a line of a list: as it is, or in double quotes if anything in it could be mistaken.

    In quotes, a backslash begins an escape as in JSON, and ``x`` after it has a byte that is not UTF-8, in two digits.
    """
    name = str(path)
    if _PLAIN_NAME.fullmatch(name) and name == name.strip():
        return name
    return '"' + "".join(_escaped(character) for character in name) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if _PLAIN_NAME.fullmatch(character) or character in ",:" else f"\\u{ord(character):04x}"


def write_lists(result: RunResult, folder: Path, searched: Iterable[bytes] | None = None) -> None:
    """Write lists into a folder; those of an earlier run are kept with ``.BACKUP`` behind their names.

    ``duplicates.txt`` has each redundant file and its keeper, ``non-duplicates.txt`` the files without a duplicate,
    ``skipped_files.txt`` the files that could not be processed, with the reason.

    Args:
        result: The result of the run.
        folder: Folder of the lists.
        searched: Raw paths of all files that were searched; ``None`` if they are not known: then there is no
            ``non-duplicates.txt``.

    Raises:
        OSError: A file cannot be written.
    """
    pairs = (
        f"{quoted(each.entry.stat.path)}, {quoted(group.keeper.stat.path)}"
        for group in result.groups
        for each in group.redundant
    )
    _write_lines(folder / DUPLICATES_NAME, pairs)
    if searched is not None:
        known = {os.fsencode(path) for group in result.groups for path in _paths_of(group)}
        known |= {os.fsencode(failure.path) for failure in result.failures}
        rest = sorted(raw for raw in searched if raw not in known)
        _write_lines(folder / NON_DUPLICATES_NAME, (quoted(Path(os.fsdecode(raw))) for raw in rest))
    skipped = (f"{quoted(each.path)}: {readable(each.message or each.reason.value)}" for each in result.failures)
    _write_lines(folder / SKIPPED_NAME, skipped)


def _paths_of(group: RankedGroup) -> Iterator[Path]:
    yield group.keeper.stat.path
    yield from (each.entry.stat.path for each in group.redundant)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
        keep_backup(path)


_SCRIPT_HEAD: Final = """#!/bin/sh
# {title}
#
# Look at it, delete the lines that you do not want, and run it: sh {name}
# With DRY_RUN=1 in the environment it prints what it would do.
#
# A file goes only if it and the file that stays have the sizes of this run; files that are called identical are
# compared byte by byte. The command "py-image-dedup apply" checks more and can be undone; a script cannot.
set -u
todo=0 done=0

has_size() {{ [ -f "$2" ] && [ ! -L "$2" ] && [ "$(wc -c <"$2")" -eq "$1" ]; }}
ready() {{ # SIZE FILE KEEPER_SIZE KEEPER
    todo=$((todo + 1))
    if ! has_size "$1" "$2"; then printf 'left alone, it has changed: %s\\n' "$2" >&2; return 1; fi
    if ! has_size "$3" "$4"; then printf 'left alone, its keeper has changed: %s\\n' "$2" >&2; return 1; fi
    if [ "$2" -ef "$4" ]; then printf 'left alone, it is its keeper: %s\\n' "$2" >&2; return 1; fi
}}
same() {{ cmp -s -- "$2" "$4" || {{ printf 'left alone, not identical: %s\\n' "$2" >&2; return 1; }}; }}
act() {{
    if [ -n "${{DRY_RUN-}}" ]; then printf '%s ' "$@"; printf '\\n'; else "$@" && done=$((done + 1)); fi
}}
delete_identical() {{ ready "$@" && same "$@" && act rm -f -- "$2"; }}
delete() {{ ready "$@" && act rm -f -- "$2"; }}
link_identical() {{ ready "$@" && same "$@" && act ln -f -- "$4" "$2"; }}
trash() {{ ready "$@" && act gio trash -- "$2"; }}
move() {{ # SIZE FILE KEEPER_SIZE KEEPER TARGET
    ready "$@" || return
    if [ -e "$5" ] || [ -L "$5" ]; then printf 'left alone, its target exists: %s\\n' "$2" >&2; return; fi
    [ -n "${{DRY_RUN-}}" ] || mkdir -p -- "$(dirname -- "$5")" || return
    act mv -- "$2" "$5"
}}
"""
_SCRIPT_TAIL: Final = """
printf '%s of %s files done\\n' "$done" "$todo"
"""


def write_script(result: RunResult, path: Path) -> None:
    """Write a shell script that does what a dry run planned, with the reasons as comments.

    Raises:
        OSError: The file cannot be written.
    """
    outcomes = outcomes_by_source(result)
    with replacing(path) as stream:
        title = f"py-image-dedup, run {result.run}: what this run would remove, and why"
        stream.write(_SCRIPT_HEAD.format(title=title, name=readable(path.name)))
        for number, group in enumerate(result.groups, start=1):
            keeper = group.keeper.stat
            stream.write(f"\n# Group {number}: {readable(keeper.path)} stays ({size_words(keeper.size)}).\n")
            stream.write(f"# {readable(_why(group.redundant[0].reason))}\n")
            for each in group.redundant:
                stream.write(_script_line(each, outcomes.get(each.entry.stat.path)))
        stream.write(_SCRIPT_TAIL)
    if path.is_file():
        path.chmod(path.stat().st_mode | 0o100)


def _script_line(redundant: Redundant, outcome: Outcome | None) -> str:
    what = f"{redundant.match.match_class.value}, {size_words(redundant.entry.stat.size)}"
    if outcome is None or outcome.status is not OutcomeStatus.PLANNED:
        state = outcome.status.value if outcome else "stays"
        return f"# {state}: {readable(redundant.entry.stat.path)} ({what})\n"
    return f"# {what}\n{_command(outcome.action)}\n"


def _command(action: Action) -> str:
    words = [str(action.source.size), str(action.source.path), str(action.keeper.size), str(action.keeper.path)]
    identical = action.match_class is MatchClass.IDENTICAL
    if action.kind in {ActionKind.MOVE, ActionKind.QUARANTINE} and action.target is not None:
        words = ["move", *words, str(action.target)]
    elif action.kind is ActionKind.HARDLINK:
        words = ["link_identical", *words]
    elif action.kind is ActionKind.TRASH:
        words = ["trash", *words]
    else:
        words = ["delete_identical" if identical else "delete", *words]
    return shlex.join(words)
