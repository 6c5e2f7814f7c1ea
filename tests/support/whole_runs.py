"""Libraries with copies of every kind, and whole runs over them with one index or another."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.events import Observer, ignore
from py_image_dedup.model.file import Root
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.analyse import AnalyseOptions
from py_image_dedup.pipeline.find import FindOptions
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.removal.undo import undo
from py_image_dedup.report.result_json import as_dict
from py_image_dedup.store.base import Store

NIGHT = 1_600_000_000


def make_library(photos: Path, folder: Path, count: int) -> None:
    """Photographs, and copies of them of every kind that people make."""
    (folder / "one").mkdir(parents=True)
    (folder / "two" / "deeper").mkdir(parents=True)
    for place, source in enumerate(sorted((photos / "bsds500").rglob("*.jpg"))[:count]):
        shutil.copyfile(source, folder / "one" / source.name)
        add_copies(source, folder, place)
    (folder / "one" / "text.jpg").write_bytes(b"not a picture")
    for place, path in enumerate(sorted(folder.rglob("*"))):
        if path.is_file():
            os.utime(path, (NIGHT + place, NIGHT + place))


def add_copies(source: Path, folder: Path, place: int) -> None:
    two, deeper, stem = folder / "two", folder / "two" / "deeper", source.stem
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    match place % 8:
        case 0:
            shutil.copyfile(source, deeper / f"{stem} copy.jpg")
            shutil.copyfile(source, os.fsencode(deeper) + b"/not-utf8-\xff-%d.jpg" % place)
        case 1:
            image.save(two / f"{stem}.jpg", quality=60)
        case 2:
            image.resize((image.width // 2, image.height // 2)).save(deeper / f"{stem}-small.jpg", quality=85)
        case 3:
            image.save(deeper / f"{stem}.png")
        case 4:
            image.transpose(Image.Transpose.ROTATE_90).save(two / f"{stem}-turned.jpg", quality=90)
        case 5:
            ImageOps.mirror(image).save(deeper / f"{stem}-mirrored.jpg", quality=90)
            shutil.copyfile(deeper / f"{stem}-mirrored.jpg", folder / "one" / f"{stem}-again.jpg")
        case 6:
            (deeper / f"{stem}-cut.jpg").write_bytes(source.read_bytes()[:3000])
        case _:
            pass  # a photo without a copy


class Side:
    """One library with its index."""

    def __init__(self, top: Path, open_store: Callable[[], Store]) -> None:
        self.top = top
        self.photos = top / "photos"
        self.state = top / "state"
        self.open_store = open_store

    def options(self, scope: Scope, max_distance: float, action: ActionChoice) -> Options:
        target = self.top / "duplicates" if action is ActionChoice.MOVE else None
        return Options(
            analyse=AnalyseOptions(threads=2),
            find=FindOptions(max_distance, scope),
            removal=RemovalOptions(action=action, target_directory=target),
            state_directory=self.state,
        )

    def run(
        self,
        *,
        dry_run: bool,
        scope: Scope = Scope.ALL,
        max_distance: float = 0.2,
        action: ActionChoice = ActionChoice.AUTO,
        observer: Observer = ignore,
    ) -> RunResult:
        roots = [Root(self.photos / "one"), Root(self.photos / "two")]
        with self.open_store() as store:
            work = Deduplicator(store, self.options(scope, max_distance, action), observer=observer)
            return work.deduplicate(roots, dry_run=dry_run)

    def undo(self, result: RunResult) -> list[str]:
        return [outcome.status.value for outcome in undo(self.state / RUNS_NAME / result.run)]

    def told(self, result: RunResult) -> Any:
        """The result as ``result.json`` has it, without times and without what names this side."""
        told = as_dict(result)
        assert told["error"] is None
        text = json.dumps(told).replace(result.run, "RUN").replace(str(self.top), "TOP")
        text = re.sub(r'"(path|target)_bytes": "[^"]*"', r'"\1_bytes": "..."', text)
        text = re.sub(r'"inode": [0-9]+', '"inode": 0', text)
        told = json.loads(text)
        del told["started"], told["totals"]["seconds"]
        for phase in told["phases"]:
            del phase["seconds"]
        return told

    def files(self) -> dict[bytes, bytes]:
        """All files with their bytes; the folders of runs have one name, and manifests, which have times, are there."""
        return {
            re.sub(rb"/[0-9-]+T[0-9-]+Z/", b"/RUN/", os.fsencode(path.relative_to(self.photos))): (
                b"manifest" if path.name == MANIFEST_NAME else path.read_bytes()
            )
            for path in self.photos.rglob("*")
            if path.is_file()
        }
