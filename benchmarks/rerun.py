"""What a run over an unchanged library costs: every file is looked at, none is read, nothing is searched again.

    python benchmarks/rerun.py [FILES] [--keep FOLDER]

A library of FILES small JPEG files (100,000 unless told) is made by seed, in folders of 500: in each of them three are
copies of another byte by byte, two are the same photo saved again, all others are photos of their own. It is analysed
once. Then are compared, in turns,

- the limit: a bare walk, ``os.scandir`` and one ``lstat`` a file, in this process;
- the second run in this process, by phase: count, cleanup, analyse, find, rank, plan;
- the second run as a user starts it: the whole program as a process, its start-up and its report included.

The goal is 3 times the bare walk for the run, and memory under 300 MB for the program. The program's own start does not
grow with the library; it is measured with a folder of one file, and by ``startup.py``. ``--keep`` leaves library and
index in a folder and uses them again.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from py_image_dedup.api import INDEX_NAME, Deduplicator, Options
from py_image_dedup.matching.matcher import Scope
from py_image_dedup.model.file import Root
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.store.sqlite.store import SqliteStore

FILES = 100_000
A_FOLDER = 500
ROUNDS = 7
GOAL_RATIO = 3.0
GOAL_PEAK_MB = 300


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="?", type=int, default=FILES)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        top = chosen.keep or Path(name)
        photos, state = top / "photos", top / "state"
        begin = time.perf_counter()
        make_library(photos, chosen.files)
        print(f"{chosen.files:,} files made in {time.perf_counter() - begin:.0f} s")
        if not state.is_dir():
            first, seconds = run(photos, state)
            tell("first run", first, seconds)
        small = Path(name) / "small"
        make_library(small / "photos", 1)
        return compare(photos, state, small)


def compare(photos: Path, state: Path, small: Path) -> int:
    bare, inside, process, start = [], [], [], []
    result: RunResult | None = None
    timed_program(small / "photos", small / "state")  # compiles the modules
    for _ in range(ROUNDS):
        bare.append(timed_walk(photos))
        result, seconds = run(photos, state)
        inside.append(seconds)
        process.append(timed_program(photos, state))
        start.append(timed_program(small / "photos", small / "state"))
    assert result is not None
    assert result.phases[1].counts["stale"] == 0
    tell("second run", result, statistics.median(inside))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'bare walk':32}{statistics.median(bare):8.3f} s")
    ratio = report("second run", inside, bare)
    report("second run, whole program", process, bare)
    report("the same with one file", start, bare)
    print(f"goals: {GOAL_RATIO:g} times the bare walk for the second run; {GOAL_PEAK_MB} MB, reached {peak:.0f} MB")
    return 0 if ratio <= GOAL_RATIO and peak <= GOAL_PEAK_MB else 1


def report(what: str, measured: Sequence[float], bare: Sequence[float]) -> float:
    ratio = statistics.median(one / other for one, other in zip(measured, bare, strict=True))
    print(f"{what:32}{statistics.median(measured):8.3f} s   {ratio:5.2f} times the bare walk")
    return ratio


def tell(what: str, result: RunResult, seconds: float) -> None:
    print(f"{what}: {seconds:.2f} s, {result.files:,} files, {len(result.groups):,} groups")
    for phase in result.phases:
        print(f"    {phase.phase.value:10}{phase.seconds:8.3f} s")


def timed_walk(photos: Path) -> float:
    begin = time.perf_counter()
    pending = [os.fsencode(photos)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    os.lstat(entry.path)
    return time.perf_counter() - begin


def run(photos: Path, state: Path) -> tuple[RunResult, float]:
    options = Options(find=FindOptions(scope=Scope.ALL), state_directory=state)
    begin = time.perf_counter()
    with SqliteStore(state / INDEX_NAME) as store:
        result = Deduplicator(store, options).deduplicate([Root(photos)], dry_run=True)
    assert result.error is None, result.error
    return result, time.perf_counter() - begin


def timed_program(photos: Path, state: Path) -> float:
    program = Path(sys.executable).with_name("py-image-dedup")
    command = [program, "--state-directory", state, "-q", "deduplicate", "--dry-run", photos]
    # As it is installed: with its modules compiled, which some machines keep their interpreters from writing down.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begin


def make_library(photos: Path, files: int) -> None:
    if photos.is_dir():
        return
    folders = [(photos / f"{start // A_FOLDER:05}", start, min(A_FOLDER, files - start))
               for start in range(0, files, A_FOLDER)]  # fmt: skip
    try:
        with ProcessPoolExecutor() as pool:
            for _ in pool.map(make_folder, folders):
                pass
    except BaseException:
        shutil.rmtree(photos, ignore_errors=True)
        raise


def make_folder(what: tuple[Path, int, int]) -> None:
    folder, start, files = what
    folder.mkdir(parents=True)
    random = np.random.default_rng(start)
    image = original = Image.new("L", (64, 64))
    for number in range(files):
        path = folder / f"IMG_{start + number:06}.jpg"
        if number in {1, 2, 3}:
            shutil.copyfile(folder / f"IMG_{start:06}.jpg", path)
        elif number in {4, 5}:
            original.save(path, quality=80 + number)
        else:
            field = random.integers(0, 256, (8, 8), dtype=np.uint8)
            image = Image.fromarray(field).resize((64, 64), Image.Resampling.BILINEAR)
            image.save(path, quality=90)
            original = image if number == 0 else original


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
