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
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason
from py_image_dedup.model.photo import Footage, IndexEntry, Versions
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.output_file import keep_backup, replacing
from py_image_dedup.report.terminal import reason_words
from py_image_dedup.report.text import is_lead, outcomes_by_source, parts_by_lead, readable, shown_groups, size_words

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
    "seconds",
    "codec",
    "frame_rate",
    "audio",
)
"""The columns of the table; the last four are those of videos.

A path that is not UTF-8 has its bytes in ``path_bytes``, in base64.
"""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NANOSECONDS: Final = 1_000_000_000


def _why(reason: Reason) -> str:
    return f"Kept: {reason_words(reason)}"


def write_table(result: RunResult, path: Path) -> None:
    """Write a result as CSV, a row for each file of a group, match, action or series, and for each unreadable one.

    A file that is in several reported matches has a row for each.

    Raises:
        OSError: The file cannot be written.
    """
    outcomes = outcomes_by_source(result)
    listed: set[Path] = set()
    with replacing(path, newline="") as stream:
        table = csv.writer(stream, lineterminator="\r\n")
        table.writerow(COLUMNS)
        for number, group in enumerate(result.groups, start=1):
            why = _why(group.redundant[0].reason)
            table.writerow(_row(str(number), "keeper", group.keeper, reason=why))
            listed.add(group.keeper.stat.path)
            for each in group.redundant:
                outcome = outcomes.pop(each.entry.stat.path, None)
                why = outcome.message if outcome and outcome.message else _why(each.reason)
                table.writerow(
                    _row(str(number), "redundant", each.entry, match=each.match, outcome=outcome, reason=why)
                )
                listed.add(each.entry.stat.path)
        for match in result.reported:
            if match.left.stat.path not in listed:
                table.writerow(_row("", "match", match.left))
                listed.add(match.left.stat.path)
            why = match.inspection.reason if match.inspection else ""
            table.writerow(_row("", "match", match.right, match=match, reason=why))
            listed.add(match.right.stat.path)
        for outcome in outcomes.values():
            table.writerow(_action_row(outcome))
        for series in result.series:
            why = f"One of {series.words}, recognised {series.evidence}."
            for path in series.files:
                table.writerow(_plain_row(series.kind.value, path, why))
        for kept in result.kept_in_quarantine:
            table.writerow(_plain_row("quarantine", kept.path, kept.reason))
        for failure in result.failures:
            table.writerow(_plain_row("unreadable", failure.path, failure.message))


def _plain_row(role: str, path: Path, reason: str) -> list[str]:
    """Return the row of a file of which nothing else is known."""
    return ["", role, _text(path), *[""] * 13, _harmless(reason), _raw(path), *_footage_cells(None)]


def _action_row(outcome: Outcome) -> list[str]:
    """Return the row of a file that has an action and is in no group that is known."""
    action = outcome.action
    entry = IndexEntry(action.source, Versions(media=0, signature=0))
    role = "quarantine" if action.kind is ActionKind.EXPIRE else "redundant"
    row = _row("", role, entry, outcome=outcome, reason=outcome.message)
    row[COLUMNS.index("keeper")] = _text(action.keeper.path)
    row[COLUMNS.index("class")] = action.match_class.value
    return row


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
        *_footage_cells(facts.footage if facts else None),
    ]


def _footage_cells(footage: Footage | None) -> list[str]:
    if footage is None:
        return [""] * 4
    audio = " + ".join(map(readable, footage.audio))
    return [f"{footage.seconds:.3f}", readable(footage.codec), f"{footage.frame_rate:g}", audio]


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
# Look at it, delete the commands that you do not want, and run it: sh {name}
# With DRY_RUN=1 in the environment it prints what it would do.
#
# A file goes only if it and the file that stays have the sizes of this run; files that are called identical are
# compared byte by byte. Of a photo that consists of several files, such as a RAW file and its JPEG, all go or none:
# they are one command of several lines. The command "py-image-dedup apply" checks more and can be undone; a script
# cannot.
set -u
todo=0 done=0

has_size() {{ [ -f "$2" ] && [ ! -L "$2" ] && [ "$(wc -c <"$2")" -eq "$1" ]; }}
stays() {{ printf 'left alone, %s: %s\\n' "$1" "$2" >&2; return 1; }}
can() {{ # ACTION SIZE FILE KEEPER_SIZE KEEPER TARGET
    has_size "$2" "$3" || stays 'it has changed' "$3" || return
    has_size "$4" "$5" || stays 'its keeper has changed' "$3" || return
    [ ! "$3" -ef "$5" ] || stays 'it is its keeper' "$3" || return
    case $1 in *_identical) cmp -s -- "$3" "$5" || stays 'not identical' "$3" || return ;; esac
    if [ -e "$6" ] || [ -L "$6" ]; then stays 'its target exists' "$3"; fi
}}
act() {{ # ACTION SIZE FILE KEEPER_SIZE KEEPER TARGET
    case $1 in
        move) set -- mv -- "$3" "$6" && [ -n "${{DRY_RUN-}}" ] || mkdir -p -- "$(dirname -- "$4")" || return ;;
        trash) set -- gio trash -- "$3" ;;
        link_identical) set -- ln -f -- "$5" "$3" ;;
        *) set -- rm -f -- "$3" ;;
    esac
    if [ -n "${{DRY_RUN-}}" ]; then printf '%s ' "$@"; printf '\\n'; else "$@" && done=$((done + 1)); fi
}}
photo() {{ # one file or several of one photo, six words each: ACTION SIZE FILE KEEPER_SIZE KEEPER TARGET
    todo=$((todo + $# / 6))
    all_can "$@" || {{ [ $# -eq 6 ] || printf '  and so are the other files of this photo\\n' >&2; return; }}
    before=$done
    while [ $# -gt 0 ]; do
        act "$1" "$2" "$3" "$4" "$5" "$6" || {{
            printf 'failed: %s\\n' "$3" >&2
            [ "$done" -eq "$before" ] || printf '  other files of this photo have gone already: see the commands\\n' >&2
            return
        }}
        shift 6
    done
}}
all_can() {{ while [ $# -gt 0 ]; do can "$1" "$2" "$3" "$4" "$5" "$6" || return; shift 6; done; }}
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
    parts = parts_by_lead(result.outcomes)
    with replacing(path) as stream:
        title = f"py-image-dedup, run {result.run}: what this run would remove, and why"
        stream.write(_SCRIPT_HEAD.format(title=title, name=readable(path.name)))
        for number, group in enumerate(shown_groups(result), start=1):
            keeper = group.keeper.stat
            stream.write(f"\n# Group {number}: {readable(keeper.path)} stays ({size_words(keeper.size)}).\n")
            stream.write(f"# {readable(_why(group.redundant[0].reason))}\n")
            for each in group.redundant:
                stat = each.entry.stat
                outcome = outcomes.pop(stat.path, None)
                if outcome is None:
                    stream.write(_comment("stays", stat, each.match.match_class))
                elif is_lead(outcome, parts):
                    stream.write(_script_lines((outcome, *parts.get(stat.path, ()))))
        others = [each for each in outcomes.values() if is_lead(each, parts)]
        if others:
            stream.write("\n# Files of groups that this run does not know.\n")
        for other in others:
            stream.write(_script_lines((other, *parts.get(other.action.source.path, ()))))
        stream.write(_SCRIPT_TAIL)
    if path.is_file():
        path.chmod(path.stat().st_mode | 0o100)


def _script_lines(photo: Sequence[Outcome]) -> str:
    """Return the command that removes the files of one photo, with comments; only comments if not all can go."""
    possible = all(each.status is OutcomeStatus.PLANNED and _verb(each.action) for each in photo)
    actions = [each.action for each in photo]
    if not possible:
        return "".join(_comment(each.status.value, each.action.source, each.action.match_class) for each in photo)
    what = [f"{action.match_class.value}, {size_words(action.source.size)}" for action in actions]
    if len(actions) == 1:
        return f"# {what[0]}\n{_command(actions)}\n"
    return f"# One photo of {len(actions)} files: {'; '.join(what)}\n{_command(actions)}\n\n"


def _comment(state: str, file: FileStat, match_class: MatchClass) -> str:
    return f"# {state}: {readable(file.path)} ({match_class.value}, {size_words(file.size)})\n"


def _verb(action: Action) -> str:
    """Return the script's word for an action; empty for one that a script does not do."""
    if action.kind in {ActionKind.MOVE, ActionKind.QUARANTINE}:
        return "move" if action.target is not None else ""
    return {
        ActionKind.HARDLINK: "link_identical",
        ActionKind.TRASH: "trash",
        ActionKind.DELETE: "delete_identical" if action.match_class is MatchClass.IDENTICAL else "delete",
    }.get(action.kind, "")


def _command(actions: Iterable[Action]) -> str:
    words = [
        shlex.join(
            (
                _verb(each),
                str(each.source.size),
                str(each.source.path),
                str(each.keeper.size),
                str(each.keeper.path),
                str(each.target or ""),
            )
        )
        for each in actions
    ]
    return " \\\n    ".join(["photo", *words]) if len(words) > 1 else f"photo {words[0]}"
