"""Exact search against all pairs as float32 matrix products, in the same run and on the same threads.

Prints the ratios, what it finds against brute force, the cost of what is new, of thousands of nearly equal pictures,
and the memory and time of a million signatures. Signatures are of crops of real photographs where there are some
(``--photos``), of generated pictures otherwise; they are kept in ``.cache/``.

Ratios are of CPU seconds, and brute force is timed before and after each search: other programs slow down both.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from py_image_dedup.search.join import SearchIndex, cross, join
from py_image_dedup.search.plan import unit
from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import Int8Array, PairBlock, UInt8Array
from py_image_dedup.signature.compute import MIN_NONZERO, compute_values
from py_image_dedup.signature.distance import from_products, squared_lengths
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature

CHECKOUT = Path(__file__).resolve().parents[1]
THREADS = 2
DISTANCES = (0.1, 0.2, 0.3, 0.4)
ROWS, COLUMNS = 1024, 256
EIGHTH = 125_000
"""Signatures that become a million when they are turned."""


def main() -> None:
    arguments = _arguments()
    everything = _signatures(arguments.photos, max(arguments.rows, EIGHTH), arguments.cache)
    signatures = everything[: arguments.rows]
    if arguments.part:
        _PARTS[arguments.part](everything if arguments.part == "million" else signatures)
        return
    _check(signatures[:10_000])
    for orientations in (False, True):
        _ratios(signatures, orientations=orientations)
    _increments(signatures)
    for part in _PARTS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=CHECKOUT.parent / "shared" / "photos" / "bsds500")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "benchmarks")
    parser.add_argument("--part", choices=_PARTS, help="only this part, which measures the memory of its process")
    return parser.parse_args()


# Signatures


def _signatures(photos: Path, rows: int, cache: Path) -> Int8Array:
    files = sorted(photos.rglob("*.jpg")) if photos.is_dir() else []
    file = cache / f"signatures-{len(files)}-{rows}.npy"
    if not file.exists():
        print(f"computing {rows:,} signatures of crops of {len(files) or 'generated'} pictures ...", flush=True)
        greys = [_grey(path) for path in files] or [_generated(seed) for seed in range(400)]
        numbers = np.array_split(np.arange(rows), 64)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(lambda part: np.stack([_of_crop(greys, number) for number in part]), numbers))
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_name("partial.npy")
        np.save(partial, np.concatenate(parts)[np.random.default_rng(0).permutation(rows)])
        partial.replace(file)
    signatures: Int8Array = np.load(file)
    print(f"{len(signatures):,} signatures of crops of {len(files) or 'generated'} pictures, {THREADS} threads")
    return signatures


def _grey(path: Path) -> UInt8Array:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _generated(seed: int) -> UInt8Array:
    """Noise of many scales, as photographs have it."""
    random = np.random.default_rng(seed)
    whole = np.zeros((320, 480))
    for side in (2, 4, 8, 16, 32, 64):
        rough = Image.fromarray(random.normal(size=(side, side * 3 // 2)).astype(np.float32))
        whole += np.asarray(rough.resize((480, 320), Image.Resampling.BICUBIC)) / side**0.5
    return np.clip(128 + 70 * whole, 0, 255).astype(np.uint8)


def _of_crop(greys: list[UInt8Array], number: int) -> Int8Array:
    random = np.random.default_rng([number, 1])
    while True:
        grey = greys[random.integers(len(greys))]
        height, width = (int(side * random.uniform(0.3, 0.8)) for side in grey.shape)
        top, left = random.integers(grey.shape[0] - height + 1), random.integers(grey.shape[1] - width + 1)
        values = compute_values(grey[top : top + height, left : left + width])
        if np.count_nonzero(values) >= MIN_NONZERO:
            return values


# Brute force


def _brute_seconds(units: np.ndarray, max_distance: float, share: int = 16) -> float:
    """CPU seconds of all pairs as matrix products and one comparison, from every ``share``-th strip of rows."""
    least = np.float32(1 - 2 * max_distance**2)

    def strip(first: int) -> int:
        products, near = np.empty((ROWS, COLUMNS), np.float32), np.empty((ROWS, COLUMNS), np.bool_)
        rows, found = units[first : first + ROWS], 0
        for start in range(first, len(units), COLUMNS):
            columns = units[start : start + COLUMNS]
            shape = (len(rows), len(columns))
            part = products.ravel()[: shape[0] * shape[1]].reshape(shape)
            np.matmul(rows, columns.T, out=part)
            found += np.count_nonzero(np.greater_equal(part, least, out=near.ravel()[: part.size].reshape(shape)))
        return found

    firsts = list(range(ROWS * (share // 2), len(units) - ROWS, ROWS * share)) or [0]
    pairs = sum(ROWS * (len(units) - first) for first in firsts)
    with blas.single_threaded_blas, ThreadPoolExecutor(THREADS) as pool:
        began = time.process_time()
        list(pool.map(strip, firsts))
        spent = time.process_time() - began
    return spent * len(units) ** 2 / 2 / pairs


def _brute_pairs(signatures: Int8Array, *, orientations: bool) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield for each row the exact distances to the later rows, and the orientations."""
    floats, squared = signatures.astype(np.float32), squared_lengths(signatures).astype(np.float64)
    for first in range(0, len(signatures), 500):
        rows = signatures[first : first + 500]
        products = [
            orient_signature(rows, turned).astype(np.float32) @ floats.T
            for turned in ORIENTATIONS[: 8 if orientations else 1]
        ]
        which = np.argmax(products, axis=0)
        best = np.take_along_axis(np.stack(products), which[None], axis=0)[0].astype(np.float64)
        for row in range(len(rows)):
            later = slice(first + row + 1, None)
            distances = from_products(best[row, later], squared[first + row], squared[later])
            yield first + row, distances, which[row, later] + 1


# Parts


def _check(signatures: Int8Array) -> None:
    for orientations in (False, True):
        found = {}
        for max_distance in DISTANCES:
            blocks = list(join(signatures, max_distance, threads=THREADS, orientations=orientations))
            columns = [np.concatenate([getattr(block, name) for block in blocks]) for name in PairBlock.__slots__]
            order = np.lexsort((columns[1], columns[0]))
            found[max_distance] = [column[order] for column in columns]
        expected: dict[float, list[tuple[np.ndarray, ...]]] = {max_distance: [] for max_distance in DISTANCES}
        for row, distances, turns in _brute_pairs(signatures, orientations=orientations):
            for max_distance, pairs in expected.items():
                near = np.flatnonzero(distances <= max_distance)
                pairs.append((np.full(len(near), row), row + 1 + near, distances[near], turns[near]))
        for max_distance, pairs in expected.items():
            columns = [np.concatenate(column) for column in zip(*pairs, strict=True)]
            same = all(np.array_equal(one, other) for one, other in zip(columns, found[max_distance], strict=True))
            assert same, f"the search differs from brute force at {max_distance}"
            turned = "8 orientations" if orientations else "1 orientation "
            print(f"{len(signatures):,} at {max_distance}, {turned}: {len(columns[0]):8,} pairs, as brute force")


def _ratios(signatures: Int8Array, *, orientations: bool) -> None:
    units, products = unit(signatures), 8 if orientations else 1
    print(f"\n{'8 orientations' if orientations else '1 orientation'}, {len(signatures):,} signatures, CPU seconds")
    print("distance  brute force   search     pairs  ratio  (goal)")
    for max_distance in DISTANCES:
        before = _brute_seconds(units, max_distance)
        spent, pairs = _timed(lambda at=max_distance: join(signatures, at, threads=THREADS, orientations=orientations))
        brute = products * (before + _brute_seconds(units, max_distance)) / 2
        goal = (" (5)" if orientations else " (4)") if max_distance == 0.3 else ""
        print(f"{max_distance:8} {brute:12.1f} {spent:8.1f} {pairs:9,} {brute / spent:6.1f} {goal}", flush=True)


def _timed(search: Callable[[], Iterator[PairBlock]]) -> tuple[float, int]:
    began = time.process_time()
    pairs = sum(map(len, search()))
    return time.process_time() - began, pairs


def _increments(signatures: Int8Array) -> None:
    new = min(1000, len(signatures) // 10)
    index, queries = SearchIndex(signatures[new:]), signatures[:new]
    print(f"\nnew signatures against {len(index):,}, 8 orientations, projections kept; milliseconds of CPU")
    for max_distance in DISTANCES:
        index.query(queries[:1], max_distance)
        one = min(_milliseconds(index, queries[row : row + 1], max_distance) for row in range(20))
        many = _milliseconds(index, queries, max_distance)
        print(f"{max_distance:8}: one {one:5.1f}, {new:,} together {many:6.0f}", flush=True)


def _milliseconds(index: SearchIndex, queries: Int8Array, max_distance: float) -> float:
    began = time.process_time()
    index.query(queries, max_distance)
    return 1000 * (time.process_time() - began)


def _peak() -> int:
    """The most memory that this program has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says counts the parent's memory too
        return int(status.read_text().split("VmHWM:")[1].split()[0]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


def _alike(signatures: Int8Array) -> None:
    """Nearly equal rows, scattered among the others."""
    random = np.random.default_rng(1)
    print("\nnearly equal rows among the others, distance 0.1, 8 orientations")
    for alike in (0, 5_000, 20_000):
        rows = signatures.copy()
        chosen = random.permutation(len(rows))[:alike]
        rows[chosen] = rows[0]
        for _ in range(4):
            rows[chosen, random.integers(0, 272, len(chosen))] = random.integers(-2, 3, len(chosen))
        before = _peak()
        spent, pairs = _timed(lambda rows=rows: join(rows, 0.1, threads=THREADS))
        print(f"{alike:7,}: {pairs:12,} pairs, {spent:6.1f} CPU seconds, {_peak() - before:4} MiB more", flush=True)


def _million(signatures: Int8Array) -> None:
    """A million: the signatures and their turns, which are pictures too. Some of it is searched, the rest reckoned."""
    base = signatures[:EIGHTH]
    rows = np.empty((8 * len(base), 272), np.int8)
    for number, orientation in enumerate(ORIENTATIONS):
        rows[number::8] = orient_signature(base, orientation)
    del signatures, base
    print(f"\n{len(rows):,} signatures")
    for orientations, max_distance in ((False, 0.1), (False, 0.3), (True, 0.1), (True, 0.3)):
        ended, pairs = time.monotonic() + 15, 0
        for block in join(rows, max_distance, threads=THREADS, orientations=orientations):
            pairs += len(block)
            if time.monotonic() > ended:
                break
        few, more = (
            _timed(
                lambda n=n, t=max_distance, o=orientations: cross(
                    rows[:: len(rows) // n], rows, t, threads=THREADS, orientations=o
                )
            )[0]
            for n in (1024, 4096)
        )
        whole = few + (more - few) / 3072 * len(rows) / 2
        turned = "8 orientations" if orientations else "1 orientation "
        print(f"{max_distance} {turned}: peak {_peak()} MiB so far, about {whole:6.0f} CPU seconds in all", flush=True)


_PARTS: dict[str, Callable[[Int8Array], None]] = {"alike": _alike, "million": _million}


if __name__ == "__main__":
    main()
