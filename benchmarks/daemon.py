"""What the daemon costs beside a large library: idle, in memory, and for one photo that arrives.

    python benchmarks/daemon.py [FILES] [--matching MATCHING] [--keep FOLDER]

A library of FILES small JPEG files (100,000 unless told) is made as for ``rerun.py`` and indexed, with twenty larger
photos in it. Where matches are verified the index gets local features for all of them, drawn by seed (see
``measures/crowd.py``). A real daemon process then watches it (inotify), does nothing for a while, and gets photos one
at a time: each a copy, saved again, of one of the twenty, which it moves away. Goals: acted within 1 s of settling, of
that less than 50 ms of search; idle below 1 % of a core; memory below 300 MB, and not more at the end than after the
first photos.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from benchmarks.measures.album import photos_folder, photos_in
from benchmarks.measures.crowd import Crowd
from benchmarks.rerun import FILES, make_library, run
from py_image_dedup.api import INDEX_NAME
from py_image_dedup.matching.criteria import Matching
from py_image_dedup.pipeline.options import AnalyseOptions, Options
from py_image_dedup.pipeline.verification import verdict_key
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.daemon.process import DaemonProcess
from tests.support.photographs import photograph

QUIET_SECONDS = 2.0
SETTLING_SECONDS = 10.0
"""Some seconds after its start a daemon makes sure, once, that every folder is watched."""
IDLE_SECONDS = 20.0
PHOTOS = 20
GOAL_SECONDS, GOAL_SEARCH, GOAL_IDLE, GOAL_MB = 1.0, 0.050, 0.01, 300


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="?", type=int, default=FILES)
    parser.add_argument("--matching", choices=list(Matching), default=Matching.VERIFIED)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args(arguments)
    verified = chosen.matching == Matching.VERIFIED
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        top = (chosen.keep or Path(name)).absolute()
        (top / "photos").mkdir(parents=True, exist_ok=True)
        make_library(top / "photos" / "library", chosen.files)
        originals = make_originals(top / "photos" / "library" / "originals")
        if not (top / "state" / INDEX_NAME).exists():
            run(top / "photos", top / "state")
        if verified:
            give_features(top / "state", frozenset(originals))
        shutil.rmtree(top / "out", ignore_errors=True)
        # The library's own copies stay: only what is put into "arriving" is to be moved.
        daemon = DaemonProcess(
            top,
            daemon={"processing_timeout": f"{QUIET_SECONDS}s"},
            deduplication={"remove": ["similar"], "matching": str(chosen.matching)},
            analysis={"scope": "all", "protected_directories": [str(top / "photos" / "library")]},
        )
        arriving = top / "photos" / "arriving"
        arriving.mkdir(exist_ok=True)
        try:
            begin = time.perf_counter()
            daemon.start_only()
            daemon.until(daemon.is_ready, 600)
            print(f"ready after {time.perf_counter() - begin:.1f} s, its first full run included")
            return measure(top, daemon, originals, arriving, verified=verified)
        finally:
            daemon.close()


def make_originals(folder: Path) -> list[Path]:
    """Make the photos that copies will arrive of: large enough to have local features."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in range(PHOTOS)]
    for number, path in enumerate(paths):
        if not path.exists():
            photograph(number).save(path, quality=95)
    return paths


def give_features(state: Path, apart: frozenset[Path]) -> None:
    """Complete an index as if all its files had been analysed with features, and found to match nothing."""
    versions = AnalyseOptions(features=True).versions
    with SqliteStore(state / INDEX_NAME) as store:
        begin = time.perf_counter()
        if all(made_with != versions for _, _, made_with in store.stamps(None)):
            photographs = photos_in(photos_folder() / "bsds500")
            Crowd(photographs).join(store, apart)
        mark = verdict_key(Options())
        store.keep_verdicts(mark, [], store.unverified(mark, None))
        print(f"features for {store.count(None):,} files in {time.perf_counter() - begin:.0f} s")


def measure(top: Path, daemon: DaemonProcess, library: Sequence[Path], arriving: Path, *, verified: bool) -> int:
    assert daemon.process is not None
    pid = daemon.process.pid
    time.sleep(SETTLING_SECONDS)
    before = processor_seconds(pid)
    time.sleep(IDLE_SECONDS)
    idle = (processor_seconds(pid) - before) / IDLE_SECONDS
    times, searches, memory = [], [], []
    for number in range(PHOTOS):
        photo = arriving / f"arrived {number}.jpg"
        with Image.open(library[number]) as image:
            # Other bytes each time: what a kept index has seen once costs less.
            image.save(photo, quality=40, comment=str(time.time_ns()))
        arrived = time.time()
        before = phase_seconds(daemon)
        daemon.until(lambda photo=photo: not photo.exists(), 60)  # type: ignore[misc]
        moved = max(path.stat().st_ctime for path in daemon.out.rglob(photo.name))
        times.append(moved - arrived - QUIET_SECONDS)
        time.sleep(0.3)
        searches.append(phase_seconds(daemon) - before)
        memory.append(daemon.metric("process_resident_memory_bytes") / 2**20)
    queries = searching(top, verified=verified)
    rows = [
        ("settled to acted, median", statistics.median(times), GOAL_SECONDS, "s"),
        ("settled to acted, worst", max(times), GOAL_SECONDS, "s"),
        ("search of one photo, median", statistics.median(queries[1:]), GOAL_SEARCH, "s"),
        ("search of the first, index loaded", queries[0], None, "s"),
        ("find phase of a batch, median", statistics.median(searches), GOAL_SEARCH, "s"),
        ("idle, share of one core", idle, GOAL_IDLE, ""),
        ("memory after the first photo", memory[0], GOAL_MB, "MB"),
        ("memory after the last photo", memory[-1], GOAL_MB, "MB"),
        ("memory at most", peak_megabytes(pid), GOAL_MB, "MB"),
    ]
    good = True
    for what, value, goal, unit in rows:
        verdict = "" if goal is None else f"   goal {goal:g} {unit}: {'met' if value <= goal else 'MISSED'}"
        good = good and (goal is None or value <= goal)
        print(f"{what:38}{value:9.3f} {unit}{verdict}")
    return 0 if good else 1


def searching(top: Path, *, verified: bool) -> list[float]:
    """Seconds that the index takes to say what is near one photo, one after the other, after the first."""
    with SqliteStore(top / "state" / INDEX_NAME) as store:
        entries = [entry for _, entry in zip(range(PHOTOS * 20), store.entries(None), strict=False) if entry.signature]
        times = []
        for entry in entries[:: max(1, len(entries) // PHOTOS)]:
            assert entry.signature is not None
            assert entry.digest is not None
            begin = time.perf_counter()
            store.similar([entry.signature], 0.10, [top / "photos"])
            if verified:
                list(store.candidates(list(store.content_ids([entry.digest]).values())))
            times.append(time.perf_counter() - begin)
    return times


def peak_megabytes(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def phase_seconds(daemon: DaemonProcess) -> float:
    return daemon.metric('py_image_dedup_phase_seconds_sum{phase="find"}')


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
