"""Folders of small files, and plans for them: what the removal's tests begin with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blake3 import blake3

from py_image_dedup.model.file import FileStat, Root
from py_image_dedup.model.match import Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import Plan
from py_image_dedup.model.unit import NO_UNITS, Units
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions, make_plan
from py_image_dedup.removal.quarantine import MANIFEST_NAME

RUN = "2026-01-02T03-04-05"


def put(path: Path, content: bytes, mtime_ns: int = 1_600_000_000_123_456_789, mode: int = 0o640) -> Path:
    """Write a file with its times and mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(mtime_ns - 1_000, mtime_ns))
    return path


def entry(path: Path) -> IndexEntry:
    """The index entry of a file as it is now."""
    status = path.lstat()
    return IndexEntry(
        stat=FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino),
        versions=Versions(1, 1),
        digest=blake3(path.read_bytes()).digest(),
        facts=PhotoFacts("JPEG", 4, 3),
    )


def group(keeper: Path, *redundant: Path, match_class: MatchClass | None = None) -> RankedGroup:
    """A group of files as they are now; what has the keeper's bytes is identical, the rest similar, unless told."""
    best = entry(keeper)
    others = []
    for path in redundant:
        other = entry(path)
        known = MatchClass.IDENTICAL if other.digest == best.digest else MatchClass.SIMILAR
        match = Match(best, other, match_class or known, 0.0 if known is MatchClass.IDENTICAL else 0.05)
        others.append(Redundant(match, Reason("higher-pixel-count", "12", "6")))
    return RankedGroup(best, tuple(others))


def plan(
    roots: Sequence[Path | Root],
    groups: Sequence[RankedGroup],
    action: ActionChoice = ActionChoice.AUTO,
    target: Path | None = None,
    units: Units = NO_UNITS,
    **options: object,
) -> Plan:
    """A plan for these groups."""
    given = [root if isinstance(root, Root) else Root(root) for root in roots]
    wanted = RemovalOptions(action=action, target_directory=target, **options)  # type: ignore[arg-type]
    return make_plan(RUN, groups, given, wanted, taken=os.path.lexists, units=units)


@dataclass(frozen=True, slots=True)
class Seen:
    """One name as a snapshot has it."""

    content: bytes
    mtime_ns: int
    mode: int


def snapshot(*folders: Path) -> dict[str, Seen | None]:
    """Every name below these folders; a folder is ``None``."""
    found: dict[str, Seen | None] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            if path.is_dir() and not path.is_symlink():
                found[str(path)] = None
                continue
            content = b""  # a pipe has none that could be read
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            found[str(path)] = Seen(content, status.st_mtime_ns, status.st_mode)
    return found


def contents(*folders: Path) -> set[bytes]:
    """The bytes of every file below these folders, without the manifests of quarantines."""
    found = snapshot(*folders)
    return {seen.content for path, seen in found.items() if seen is not None and not path.endswith(MANIFEST_NAME)}


def in_days(days: float) -> datetime:
    """The time so many days from now."""
    return datetime.now(UTC) + timedelta(days=days)
