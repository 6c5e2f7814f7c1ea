"""What finding costs where every match is proven: a full index, photos that arrive one by one, and blank scans.

    python benchmarks/find.py [PHOTOS] [--scans N] [--folder FOLDER] [--keep FOLDER]

A library of PHOTOS pictures (10,000 unless told) is made by seed from real photographs: pieces of them, stretched,
slanted, mirrored and bent, so that each piece is a picture of its own; of every ten one is a smaller copy of the one
before it, saved again, and one in fifty a crop. It is analysed with local features, and the phase find is timed from
that full index: the first time, when every picture is compared with its suspects; again, when nothing is new; and for
50 more pictures that arrive one at a time. ``--scans`` does the first of these with scans of nearly empty pages, which
all look alike. ``--keep`` leaves the pictures in a folder and uses them again.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from measures.album import photos_folder, photos_in
from PIL import Image, ImageDraw, ImageFont, ImageOps

from py_image_dedup.api import INDEX_NAME, Deduplicator, Options
from py_image_dedup.matching.matcher import Scope
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.store.sqlite.store import SqliteStore

SIZE = (328, 246)
WAVES = 9.0
WAVE_LENGTH = 40
A_FOLDER = 500
ARRIVING = 50
SOURCES = ("bsds500", "look-alikes/clothing", "same-scene/street", "phone")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="?", type=int, default=10_000)
    parser.add_argument("--scans", type=int, default=0, help="so many nearly empty pages instead")
    parser.add_argument("--folder", type=Path, help="of photographs; the development photographs if not given")
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        top = chosen.keep or Path(name)
        kind = "scans" if chosen.scans else "photos"
        make_library(top / kind, kind, chosen.scans or chosen.photos, sources(chosen.folder))
        options = Options(find=FindOptions(scope=Scope.ALL), state_directory=top / f"state of {kind}")
        measure(top / kind, options, sources(chosen.folder) if kind == "photos" else [])


def measure(folder: Path, options: Options, originals: Sequence[Path]) -> None:
    assert options.state_directory is not None
    with SqliteStore(options.state_directory / INDEX_NAME) as store:
        work = Deduplicator(store, options)
        begin = time.perf_counter()
        read = work.analyse([Root(folder)])
        print(f"{read.files:,} pictures; analysed in {time.perf_counter() - begin:.1f} s")
        tell("find, the first time", work.deduplicate([Root(folder)], dry_run=True))
        tell("find, nothing new", work.deduplicate([Root(folder)], dry_run=True))
        if originals:
            seconds = []
            for number in range(ARRIVING):
                path = folder / f"new {number}.jpg"
                piece(10_000_000 + number, originals).save(path, quality=88)
                begin = time.perf_counter()
                result = work.process([Root(folder)], [os.fsencode(path)], [], dry_run=True)
                reading = sum(phase.seconds for phase in result.phases if phase.phase is Phase.ANALYSE)
                seconds.append(time.perf_counter() - begin - reading)
                path.unlink()
            median, worst = 1000 * statistics.median(seconds), 1000 * max(seconds)
            print(f"one new picture, all but reading it: {median:.0f} ms, worst {worst:.0f} ms")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def tell(what: str, result: RunResult) -> None:
    assert result.error is None, result.error
    phase = find_phase(result)
    redundant = [each.match.match_class for group in result.groups for each in group.redundant]
    parts = sum(match.match_class is MatchClass.PARTIAL for match in result.reported)
    print(
        f"{what}: {phase.seconds:.1f} s, {phase.counts['verified']:,} pairs compared; "
        f"{len(result.groups):,} groups, {len(redundant):,} redundant, {parts:,} partial"
    )


def find_phase(result: RunResult):
    return next(phase for phase in result.phases if phase.phase is Phase.FIND)


def sources(folder: Path | None) -> list[Path]:
    if folder is not None:
        return photos_in(folder)
    return [path for name in SOURCES for path in photos_in(photos_folder() / name)]


def make_library(folder: Path, kind: str, count: int, originals: Sequence[Path]) -> None:
    if folder.is_dir():
        return
    tasks = [(folder / f"{start // A_FOLDER:04}", start, min(A_FOLDER, count - start), kind, originals)
             for start in range(0, count, A_FOLDER)]  # fmt: skip
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(make_folder, tasks):
            pass


def make_folder(task: tuple[Path, int, int, str, Sequence[Path]]) -> None:
    folder, start, count, kind, originals = task
    folder.mkdir(parents=True)
    before = Image.new("L", SIZE)
    for number in range(start, start + count):
        name = folder / f"{number}.jpg"
        if kind == "scans":
            scan(number).save(name, quality=85)
        elif number % 10 == 9:
            before.resize((246, 184), Image.Resampling.LANCZOS).save(name, quality=60)
        elif number % 50 == 25:
            before.crop((40, 30, 300, 220)).save(name, quality=80)
        else:
            before = piece(number, originals)
            before.save(name, quality=88)


def piece(number: int, originals: Sequence[Path]) -> Image.Image:
    """Return a piece of a photograph, stretched and slanted by chance, in the same way for the same number."""
    random = np.random.default_rng(number)
    image = opened(originals[int(random.integers(len(originals)))])
    side = random.uniform(0.25, 0.6) if min(image.size) < 1000 else random.uniform(0.08, 0.3)
    stretch = 2 ** random.uniform(-0.8, 0.8)
    width, height = side * image.width * stretch**0.5, side * image.height / stretch**0.5
    slant = random.uniform(-0.35, 0.35) * width
    left = random.uniform(abs(slant), max(abs(slant) + 1, image.width - width - abs(slant)))
    top = random.uniform(0, max(1, image.height - height))
    corners = (left, top, left + slant, top + height, left + width + slant, top + height, left + width, top)
    made = image.transform(SIZE, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    bent = bend(np.asarray(made), random)
    return ImageOps.mirror(bent) if random.random() < 0.5 else bent


def bend(grey: np.ndarray, random: np.random.Generator) -> Image.Image:
    """Return a picture as a wavy mirror shows it: as much to see as before, and no piece that lies on another one."""
    width, height = SIZE
    waves = random.normal(0, WAVES, (2, height // WAVE_LENGTH + 2, width // WAVE_LENGTH + 2)).astype(np.float32)
    across, down = (cv2.resize(wave, SIZE, interpolation=cv2.INTER_CUBIC) for wave in waves)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return Image.fromarray(
        cv2.remap(grey, columns + across, rows + down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    )


@cache
def opened(path: Path) -> Image.Image:
    """Return a photo in grey, a large one in half: all of them together fit the memory."""
    image = Image.open(path)
    image.draft("L", (1600, 1600))
    return image.convert("L")


def scan(number: int) -> Image.Image:
    """Return a page with a few words on it, if any, as a scanner sees it."""
    random = np.random.default_rng(number)
    page = Image.new("L", (620, 877), int(random.integers(244, 254)))
    draw = ImageDraw.Draw(page)
    for _ in range(int(random.integers(0, 4))):
        words = " ".join("".join(random.choice(list("aeionrstlmdu"), 5)) for _ in range(int(random.integers(1, 5))))
        place = (int(random.integers(60, 300)), int(random.integers(60, 800)))
        draw.text(place, words, int(random.integers(20, 80)), ImageFont.load_default(14))
    noise = random.normal(0, 1.5, (877, 620))
    return Image.fromarray(np.clip(np.asarray(page) + noise, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    sys.exit(main())
