"""The content of the review page: a result as the JSON that ``frontend/src/model.ts`` describes.

Names are hostile: whatever a file is called, the page gets text without control characters, and a browser gets JSON in
which nothing can end the element that it is in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from py_image_dedup.media.formats import EXTENSIONS, VIDEO_SUFFIXES
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.match import Match, RankedGroup, Reason
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.series import NO_SERIES, SeriesOfFiles
from py_image_dedup.model.unit import NO_UNITS, Units
from py_image_dedup.ranking.copy_names import is_from_messenger
from py_image_dedup.removal.serialization import path_record, to_json
from py_image_dedup.report.text import common_folder, is_lead, outcomes_by_source, parts_by_lead, readable, shown_groups

VERSION: Final = 1
"""Of the content. The page that reads it is part of the same release."""

_NANOSECONDS: Final = 1_000_000_000
_SUFFIXES: Final = frozenset((*EXTENSIONS, *VIDEO_SUFFIXES))


def keeper_sentence(reason: Reason) -> str:
    """Return the sentence that says why a keeper stays."""
    if reason.sentence:
        return f"Kept: {reason.sentence}."
    return f"Kept by the rule {reason.rule}: {reason.keeper_value}, the other {reason.redundant_value}."


class PageFiles:
    """Gives every file of a page a number, its place in ``entries``.

    Args:
        units: The photos of several files among them.
        series: The bursts and brackets among them.
    """

    def __init__(self, units: Units = NO_UNITS, series: SeriesOfFiles = NO_SERIES) -> None:
        self.units = units
        self.series = series
        self.entries: list[IndexEntry] = []
        self.folders: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._folders: dict[Path, int] = {}

    def number(self, entry: IndexEntry) -> int:
        """Return the number of a file, a new one if it has none."""
        path = entry.stat.path
        if path not in self._numbers:
            self._numbers[path] = len(self.entries)
            self.entries.append(entry)
        return self._numbers[path]

    def known(self, path: Path) -> int | None:
        """Return the number of a file, or ``None`` if it is on no group of the page."""
        return self._numbers.get(path)

    def folder(self, folder: Path) -> int:
        """Return the number of a folder, a new one if it has none."""
        if folder not in self._folders:
            self._folders[folder] = len(self.folders)
            self.folders.append(folder)
        return self._folders[folder]


def page_content(result: RunResult) -> tuple[dict[str, Any], PageFiles]:
    """Return the content of the page of a result, and its files by number."""
    files = PageFiles(Units(result.units), SeriesOfFiles(result.series))
    outcomes = outcomes_by_source(result)
    parts = parts_by_lead(result.outcomes)
    groups = [_group(number, group, outcomes, parts, files) for number, group in enumerate(shown_groups(result))]
    for first, matches in _by_left(result.reported):
        groups.append(_reported(len(groups), first, matches, files))
    listed = [_file(number, entry, files) for number, entry in enumerate(files.entries)]
    base = common_folder(result.roots)
    return {
        "version": VERSION,
        "run": readable(result.run),
        "started": result.started.isoformat(),
        "dry_run": result.dry_run,
        "roots": [readable(root) for root in result.roots],
        "base": "" if base is None else readable(base),
        "compared": bool(groups) or any(phase.phase is Phase.FIND for phase in result.phases),
        "files_searched": result.files,
        "unreadable": len(result.failures),
        "folders": [_folder(folder) for folder in files.folders],
        "files": listed,
        "groups": groups,
    }, files


def as_script(content: Mapping[str, Any]) -> str:
    """Return content as JSON that may stand inside a ``script`` element: no ``<``, ``>`` or ``&`` is left in it."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _by_left(matches: Iterable[Match]) -> Iterator[tuple[IndexEntry, list[Match]]]:
    found: dict[Path, list[Match]] = {}
    for match in matches:
        found.setdefault(match.left.stat.path, []).append(match)
    return ((matches[0].left, matches) for matches in found.values())


def _group(
    number: int,
    group: RankedGroup,
    outcomes: Mapping[Path, Outcome],
    parts: Mapping[Path, tuple[Outcome, ...]],
    files: PageFiles,
) -> dict[str, Any]:
    """Return a group; further files of a photo are with the file that leads it."""
    return {
        "id": number,
        "keeper": files.number(group.keeper),
        "reported": False,
        "members": [
            {
                **_match(each.match, files),
                "rule": each.reason.rule,
                "why": readable(keeper_sentence(each.reason)),
                **_outcome(outcomes.get(each.path)),
                **_parts_of(parts.get(each.path, ())),
            }
            for each in group.redundant
            if each.path not in outcomes or is_lead(outcomes[each.path], parts)
        ],
    }


def _parts_of(parts: Iterable[Outcome]) -> dict[str, Any]:
    sources = [part.action.source for part in parts]
    return {"parts": [{"name": readable(each.path.name), "size": each.size} for each in sources]} if sources else {}


def _reported(number: int, keeper: IndexEntry, matches: Iterable[Match], files: PageFiles) -> dict[str, Any]:
    return {
        "id": number,
        "keeper": files.number(keeper),
        "reported": True,
        "members": [{**_match(match, files), "rule": "", "why": "", **_outcome(None)} for match in matches],
    }


def _match(match: Match, files: PageFiles) -> dict[str, Any]:
    return {
        "file": files.number(match.right),
        "class": match.match_class.value,
        "distance": round(match.distance, 4),
        "orientation": match.orientation.value,
        "words": [readable(words) for words in (*_parts(match, files), *_evidence(match))],
        **(_inspection(match.inspection) if match.inspection else {"found": "", "original": "", "regions": []}),
    }


def _evidence(match: Match) -> tuple[str, ...]:
    return () if match.evidence is None else match.evidence.words


def _parts(match: Match, files: PageFiles) -> Iterator[str]:
    """Yield what a file belongs to, and what is embedded in it, as words."""
    path, facts = match.right.stat.path, match.right.facts
    unit, series = files.units.of(path), files.series.of(path)
    if unit is not None:
        yield f"one photo with {', '.join(part.path.name for part in unit.beside(path))}"
    if series is not None:
        yield f"one of {series.words}"
    if facts is not None:
        yield from (f"with a {name}" for name in facts.embedded)


def _inspection(found: Inspection) -> dict[str, Any]:
    return {
        "found": readable(found.reason),
        "original": readable(found.original.reason),
        "regions": [
            {
                "x": region.x,
                "y": region.y,
                "width": region.width,
                "height": region.height,
                "kind": region.kind.value,
            }
            for region in found.regions
        ],
    }


def _outcome(outcome: Outcome | None) -> dict[str, str | None]:
    if outcome is None:
        return {"action": None, "outcome": None, "message": None}
    return {
        "action": outcome.action.kind.value,
        "outcome": outcome.status.value,
        "message": readable(outcome.message) or None,
    }


def _file(number: int, entry: IndexEntry, files: PageFiles) -> dict[str, Any]:
    path, facts = entry.stat.path, entry.facts
    content: dict[str, Any] = {
        "id": number,
        "name": readable(path.name),
        "folder": files.folder(path.parent),
        "size": entry.stat.size,
        "width": facts.width if facts else 0,
        "height": facts.height if facts else 0,
        "format": facts.format if facts else "",
        "modified": entry.stat.mtime_ns // _NANOSECONDS,
        "exif": facts.exif_fields if facts else 0,
        "gps": facts.has_gps if facts else False,
        "frames": facts.frames if facts else 1,
        "digest": entry.digest.hex() if entry.digest else "",
    }
    if is_from_messenger(path):
        content["messenger"] = True
    if facts and facts.footage:
        footage = facts.footage
        content["video"] = {
            "seconds": footage.seconds,
            "codec": readable(footage.codec),
            "rate": footage.frame_rate,
            "audio": [readable(each) for each in footage.audio],
        }
    exact = to_json(path_record(path))
    if "path_bytes" in exact or exact["path"] != readable(path):
        content["exact"] = {**exact, "address": _address(path)}
    if facts and facts.captured:
        content["captured"] = facts.captured.replace(tzinfo=None).isoformat(timespec="seconds")
    if facts and facts.camera:
        content["camera"] = readable(facts.camera)
    if entry.failure:
        content["damage"] = readable(entry.failure.message)
    return content


def _folder(folder: Path) -> dict[str, Any]:
    return {"name": readable(folder), "files": _photos_in(folder), "address": _address(folder)}


def _address(path: Path) -> str:
    return "file://" + quote(os.fsencode(path))


def _photos_in(folder: Path) -> int:
    """Count the pictures and videos directly in a folder, by their names; 0 if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as listed:
        return sum(os.path.splitext(each.name)[1].lower() in _SUFFIXES for each in listed)  # noqa: PTH122 - quicker
    return 0
