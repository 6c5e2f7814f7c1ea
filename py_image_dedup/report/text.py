"""Text for people: paths that any terminal can show, sizes, durations and counts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from py_image_dedup.model.file import UnreadFiles
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.photo import Footage
from py_image_dedup.model.plan import ActionKind, Outcome
from py_image_dedup.model.result import RunResult

# Characters that move the cursor, ring the bell, change colours, or reverse the reading direction of the line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def readable(path: Path | str) -> str:
    """Return a path for display: bytes that are not UTF-8 become U+FFFD, control characters are escaped."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def size_words(size: int) -> str:
    """Return a size in bytes as ``312 KiB``."""
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1000 or unit == "TiB":
            break
        amount /= 1024
    if unit == "bytes":
        return f"{size} byte{'' if size == 1 else 's'}"
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def seconds_words(seconds: float) -> str:
    """Return a duration as ``0.12 s``, ``45 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def footage_words(footage: Footage) -> str:
    """Return the properties of a video as ``1 min 5 s, h264, 30 frames/s, aac, stereo``."""
    sound = " + ".join(map(readable, footage.audio)) or "no sound"
    rate = f"{round(footage.frame_rate, 2):g} frames/s"
    return ", ".join((seconds_words(footage.seconds), readable(footage.codec), rate, sound))


def count_words(count: int, one: str, many: str = "") -> str:
    """Return ``1 file`` or ``1,234 files``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def common_folder(roots: Sequence[Path]) -> Path | None:
    """Return the deepest folder that contains all roots, or ``None`` if that is the root of the file system."""
    if not roots:
        return None
    folder = Path(os.path.commonpath(roots))
    return folder if len(folder.parts) > 1 else None


def below(path: Path, folder: Path | None) -> str:
    """Return a path for display, relative to a folder if it is below it."""
    if folder is not None and path != folder and path.is_relative_to(folder):
        return readable(path.relative_to(folder))
    return readable(path)


PARTICIPLES = {
    ActionKind.MOVE: "moved",
    ActionKind.QUARANTINE: "quarantined",
    ActionKind.DELETE: "deleted",
    ActionKind.TRASH: "trashed",
    ActionKind.HARDLINK: "linked",
    ActionKind.EXPIRE: "expired",
}
"""Past participles of the actions."""


def unread_words(unread: Sequence[UnreadFiles]) -> str:
    """Return the files that were not read: ``1,204 videos; 3 RAW photos (install py-image-dedup[raw])``."""
    parts = []
    for each in unread:
        why = f" ({each.reason})" if each.reason.startswith("install") else ""
        parts.append(f"{count_words(len(each.paths), each.kind)}{why}")
    return "; ".join(parts)


def outcomes_by_source(result: RunResult) -> dict[Path, Outcome]:
    """Return the outcomes of a run by the path of the redundant file."""
    return {outcome.action.source.path: outcome for outcome in result.outcomes}


def parts_by_lead(outcomes: Iterable[Outcome]) -> dict[Path, tuple[Outcome, ...]]:
    """Return the outcomes of the other files of each photo of several files, by the file that leads it."""
    units: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.action.unit:
            units.setdefault(outcome.action.unit, []).append(outcome)
    ordered = (sorted(found, key=lambda outcome: outcome.action.number) for found in units.values())
    return {first.action.source.path: tuple(others) for first, *others in ordered}


def is_lead(outcome: Outcome, parts: Mapping[Path, tuple[Outcome, ...]]) -> bool:
    """Return whether a file is a photo of its own, or leads the photo of several files that it is a part of.

    Args:
        outcome: The outcome of the file's action.
        parts: The result of ``parts_by_lead``.
    """
    return not outcome.action.unit or outcome.action.source.path in parts


def shown_groups(result: RunResult) -> tuple[RankedGroup, ...]:
    """Return the groups of a run without those that only have parts of photos that other groups have."""
    parts = {each.action.source.path for found in parts_by_lead(result.outcomes).values() for each in found}
    return tuple(group for group in result.groups if any(each.entry.stat.path not in parts for each in group.redundant))
