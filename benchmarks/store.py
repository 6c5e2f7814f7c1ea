"""What the SQLite index costs: filling it, a run over an unchanged library, a query, and the search.

    python benchmarks/store.py [ENTRIES]

A library of ENTRIES entries (100,000 unless told) is made by seed: photos of their own but for two in a hundred that
are copies byte by byte, two that are edited copies, and one that could not be read. Each part is printed as wall and as
CPU time; on a busy machine the second is the one to compare. The goals:

- put: more than 50,000 entries a second;
- a run over an unchanged library, everything the index does in it: 0.5 s, and memory under 300 MB;
- a query for one new photo, in eight orientations: 20 ms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Signature, Versions
from py_image_dedup.signature.distance import distances
from py_image_dedup.store.sqlite.store import SqliteStore

BATCH = 1000
ROOT = Path("/photos")
VERSIONS = Versions(1, 1)
MAX_DISTANCE = 0.1

Result = TypeVar("Result")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="?", type=int, default=100_000)
    parser.add_argument("--unchanged", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.unchanged:
        run_over_unchanged(arguments.unchanged)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite3"
        library = list(make_library(arguments.entries))
        with SqliteStore(path) as store:
            seconds = timed(f"put {len(library)} entries", lambda: put(store, library))
            print(f"{'':28}{len(library) / seconds:10,.0f} entries a CPU second")
            timed("put them again", lambda: put(store, library))
            size = store.size()
        print(f"{'size on disk':28}{(size or 0) / 1e6:10.1f} MB")
        search(path, library)
        run_in_a_process_of_its_own(path)
    return 0


def search(path: Path, library: list[IndexEntry]) -> None:
    """The first search, an increment, and queries."""
    with SqliteStore(path) as store:
        found = timed_result("first search", lambda: sum(map(len, store.pairs(MAX_DISTANCE, None))))
        print(f"{'':28}{found:10,} pairs")
        numbers = range(len(library), len(library) + 10)
        new = [make_entry(number, values) for number, values in zip(numbers, random_signatures(9, 10), strict=True)]
        store.put(new)
        timed("search of 10 new ones", lambda: sum(map(len, store.pairs(MAX_DISTANCE, None))))
        store.remove([entry.stat.path for entry in new])
        queries = [Signature(values.tobytes()) for values in random_signatures(10, 12)]
        timed("first query", lambda: store.similar(queries[:1], MAX_DISTANCE, [ROOT]))
        timed(
            "a query, of 10", lambda: [store.similar([query], MAX_DISTANCE, [ROOT]) for query in queries[2:]], parts=10
        )
        own = library[0].signature
        assert own is not None
        matrix = np.frombuffer(own.values, dtype=np.int8)[None]
        assert distances(matrix[0], matrix)[0][0] == 0.0
        assert store.similar([own], MAX_DISTANCE, None)[0][0].distance == 0.0


def run_in_a_process_of_its_own(path: Path) -> None:
    """So that its memory is its own."""
    import subprocess

    subprocess.run([sys.executable, __file__, "--unchanged", str(path)], check=True)


def run_over_unchanged(path: Path) -> None:
    """Everything the index does in a run that finds nothing new."""
    before = peak_memory()
    under = [ROOT]
    wall, cpu = time.perf_counter(), time.process_time()
    store = timed_result("  open", lambda: SqliteStore(path))
    with store:
        timed("  stamps", lambda: {raw: (stamp, versions) for raw, stamp, versions in store.stamps(under)})
        timed("  failed", lambda: list(store.failed(under)))
        timed("  identical", lambda: list(store.identical(under)))
        blocks = timed_result("  pairs", lambda: list(store.pairs(MAX_DISTANCE, under)))
        numbers = {number for block in blocks for side in (block.left, block.right) for number in side.tolist()}
        timed(f"  contents of {len(numbers)}", lambda: store.contents(numbers, under))
        timed("  count", lambda: store.count(under))
    line("unchanged library, together", time.perf_counter() - wall, time.process_time() - cpu)
    print(f"{'memory at most':28}{peak_memory():10.0f} MB, {before:.0f} MB of it the program itself")


def peak_memory() -> float:
    """In MB. Not ``getrusage``: that remembers the process that started this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def make_library(count: int) -> Iterator[IndexEntry]:
    """Entries as a run makes them."""
    signatures = random_signatures(1, count)
    random = np.random.default_rng(2)
    for number in range(count):
        kind = number % 100
        if kind == 99:
            stat = stat_of(number)
            failure = Failure(stat.path, Phase.ANALYSE, FailureReason.TRUNCATED, "the picture ends too early")
            yield IndexEntry(stat, VERSIONS, digest_of(number), failure=failure)
        elif kind in {97, 98}:
            yield make_entry(number, signatures[number - 90], content=number - 90)
        elif kind in {95, 96}:
            edited = signatures[number - 80].copy()
            places = random.choice(len(edited), 15, replace=False)
            edited[places] += np.where(edited[places] >= 2, -1, 1).astype(np.int8)
            yield make_entry(number, edited)
        else:
            yield make_entry(number, signatures[number])


def make_entry(number: int, signature: np.ndarray, content: int | None = None) -> IndexEntry:
    facts = PhotoFacts("JPEG", 4000, 3000, exif_fields=40, camera="Maker Model 5", has_gps=True)
    digest = digest_of(number if content is None else content)
    return IndexEntry(stat_of(number), VERSIONS, digest, facts, Signature(signature.tobytes()))


def stat_of(number: int) -> FileStat:
    path = ROOT / f"library/{2000 + number // 5000}/album {number // 100:05d}/IMG_{number:08d}.jpg"
    return FileStat(path, 3_000_000 + number, 1_500_000_000_123_456_789 + number, 66, 1_000_000 + number)


def digest_of(number: int) -> bytes:
    return np.random.default_rng(number).bytes(32)


def random_signatures(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, (count, 272), dtype=np.int8)


def put(store: SqliteStore, library: list[IndexEntry]) -> None:
    for start in range(0, len(library), BATCH):
        store.put(library[start : start + BATCH])


def timed(name: str, work: Callable[[], object], parts: int = 1) -> float:
    """Do it, print how long it took, and return the CPU seconds of a part."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = (time.perf_counter() - wall) / parts, (time.process_time() - cpu) / parts
    line(name, wall, cpu)
    return cpu


def timed_result(name: str, work: Callable[[], Result]) -> Result:
    """Do it, print how long it took, and return what it returns."""
    results: list[Result] = []
    timed(name, lambda: results.append(work()))
    return results[0]


def line(name: str, wall: float, cpu: float) -> None:
    print(f"{name:28}{wall:10.4f} s{cpu:10.4f} s CPU")


if __name__ == "__main__":
    sys.exit(main())
