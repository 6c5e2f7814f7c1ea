"""Small libraries of real picture files, and a real deduplicator over them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from py_image_dedup.api import Confirm, Deduplicator, Options
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.events import Observer, ignore
from py_image_dedup.model.file import Root
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions
from py_image_dedup.ranking.rules import RuleSpec, parse_rule
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from py_image_dedup.scan.selector import Selector
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.pictures import picture, write


class Library:
    """A folder of pictures, an index, and runs over both.

    Args:
        top: An empty folder; the pictures are in ``top / "photos"``.
    """

    def __init__(self, top: Path) -> None:
        self.photos = top / "photos"
        self.state = top / "state"
        self.photos.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, seed: int, *, time: int = 1_600_000_000, **options: object) -> Path:
        """Write a picture; the same seed is the same photo, other options make other bytes."""
        path = write(self.photos / name, picture(seed, 160, 120), **options)
        return dated(path, time)

    def copy(self, source: Path, name: str, *, time: int = 1_600_000_000) -> Path:
        """Copy a file byte by byte."""
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        return dated(path, time)

    def options(
        self,
        *,
        scope: Scope = Scope.ALL,
        max_distance: float = 0.10,
        time_diff: float | None = None,
        rules: Sequence[RuleSpec] = (),
        selector: Selector | None = None,
        removal: RemovalOptions | None = None,
        quarantine_days: float | None = 30,
    ) -> Options:
        """Options for a small library; rules by their specs, the default ones if none are given."""
        base = Options()
        return Options(
            selector=selector or base.selector,
            analyse=AnalyseOptions(threads=2),
            find=FindOptions(max_distance, scope, time_diff),
            rules=tuple(parse_rule(rule) for rule in rules) or base.rules,
            removal=removal or RemovalOptions(),
            quarantine_days=quarantine_days,
            state_directory=self.state,
        )

    def run(
        self,
        *roots: Root,
        dry_run: bool = True,
        skip_analyse: bool = False,
        options: Options | None = None,
        observer: Observer = ignore,
        should_stop: Callable[[], bool] = lambda: False,
        confirm: Confirm | None = None,
    ) -> RunResult:
        """Deduplicate the photos, or the given roots."""
        with SqliteStore(self.state / "index.sqlite3") as store:
            work = Deduplicator(
                store, options or self.options(), observer=observer, should_stop=should_stop, confirm=confirm
            )
            return work.deduplicate(roots or [Root(self.photos)], dry_run=dry_run, skip_analyse=skip_analyse)

    def files(self) -> dict[str, bytes]:
        """All files under the photos, hidden ones too but for manifests, by their relative paths."""
        return {
            str(path.relative_to(self.photos)): path.read_bytes()
            for path in sorted(self.photos.rglob("*"))
            if path.is_file() and path.name != MANIFEST_NAME
        }


def dated(path: Path, time: int) -> Path:
    """Set the time of a file, in seconds."""
    os.utime(path, (time, time))
    return path


def groups(result: RunResult, below: Path) -> dict[str, list[str]]:
    """Keepers and their redundant files, by their relative paths."""
    return {
        str(group.keeper.stat.path.relative_to(below)): [
            str(redundant.entry.stat.path.relative_to(below)) for redundant in group.redundant
        ]
        for group in result.groups
    }


def flat(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture of one colour, which has no signature."""
    return Image.new("RGB", size, colour)
