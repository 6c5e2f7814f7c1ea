"""What removing and bringing back costs, with every check, flush and journal line.

    python benchmarks/removal.py [FILES]

FILES pairs of byte-identical files (10,000 unless told) of 20 kB are made in a temporary folder; one of each pair is
removed by each action, and brought back.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from py_image_dedup.api import INDEX_NAME, Deduplicator, Options, SqliteStore
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.removal.undo import undo

FILES = 10_000
SIZE = 20_000


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="?", type=int, default=FILES)
    files = parser.parse_args(arguments).files
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        top = Path(name)
        make(top / "photos", files)
        print(f"{files:,} files of {SIZE:,} bytes\n{'action':12}{'remove s':>10}{'undo s':>10}")
        for action in (ActionChoice.DELETE, ActionChoice.MOVE, ActionChoice.HARDLINK):
            target = top / "out" if action is ActionChoice.MOVE else None
            print("{:12}{:10.1f}{:10.1f}".format(action.value, *measure(top, action, target, files)))
    return 0


def make(photos: Path, files: int) -> None:
    random_bytes = random.Random(1)
    for number in range(files):
        content = random_bytes.randbytes(SIZE)
        folder = photos / f"{number % 50:02}"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (f"{number}.jpg", f"{number} copy.jpg"):
            (folder / name).write_bytes(content)
            os.utime(folder / name, (1_600_000_000, 1_600_000_000))


def measure(top: Path, action: ActionChoice, target: Path | None, files: int) -> tuple[float, float]:
    state = top / f"state {action.value}"
    options = Options(find=FindOptions(scope=Scope.ALL), removal=RemovalOptions(action, target), state_directory=state)
    with SqliteStore(state / INDEX_NAME) as store:
        result = Deduplicator(store, options).deduplicate([Root(top / "photos")], dry_run=False)
    done = sum(outcome.status is OutcomeStatus.DONE for outcome in result.outcomes)
    assert (result.error, done) == (None, files), result.error
    seconds = next(phase.seconds for phase in result.phases if phase.phase.value == "remove")
    begin = time.perf_counter()
    undone = undo(state / RUNS_NAME / result.run)
    assert sum(outcome.status is OutcomeStatus.DONE for outcome in undone) == files
    return seconds, time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
