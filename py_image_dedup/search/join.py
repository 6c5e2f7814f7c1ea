"""Exact search: every pair of signatures within a distance, in any of the eight orientations, and no other.

All pairs are bounded by products of few columns (see ``search_plan``), tile by tile on several threads; what the bounds
leave is computed exactly (see ``search_tiles``). Which pairs are found, their distances and their orientations do not
depend on the bounds, the threads or the order; only the order of the blocks does.

Fast because a bound costs a seventh of a distance and leaves one pair in some thousand. Trees, pivots and clusters
prune nothing at useful distances: signatures differ in some seventy directions nearly equally.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from py_image_dedup.model.match import Orientation
from py_image_dedup.search.plan import WHOLE, Plan, choose
from py_image_dedup.search.tiles import TILE, Rights, Strip, Tiles, join_blocks
from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import Int8Array, PairBlock
from py_image_dedup.signature.distance import signatures as checked
from py_image_dedup.signature.orientation import ORIENTATIONS

_WAITING_BLOCKS = 2

Work = Callable[[int], Iterator[PairBlock]]
"""Does a numbered task and yields what it finds."""


def usable_threads(threads: int | None) -> int:
    """Return how many threads to use: what is asked for, or the processors that this process may run on."""
    if threads is not None:
        if threads < 1:
            raise ValueError(f"at least one thread is needed, not {threads}")
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_off(tasks: int, make_work: Callable[[], Work], threads: int) -> Iterator[PairBlock]:
    """Yield what threads find, in no particular order.

    Args:
        tasks: Their number; each is worked on once, lower ones first.
        make_work: Called once in each thread; returns what does a task.
        threads: How many.

    Yields:
        Blocks as they are found. Few wait, so memory does not grow when the caller is slow.

    Raises:
        BaseException: What a thread raised. Closing the iterator stops the threads at their next block.
    """
    with blas.single_threaded_blas:
        if threads > 1 and tasks > 1:
            yield from _Crew(tasks, make_work).run(min(threads, tasks))
        else:
            work = make_work()
            for task in range(tasks):
                yield from work(task)


class _Crew:
    """Threads that work off numbered tasks and hand blocks to the thread that iterates."""

    def __init__(self, tasks: int, make_work: Callable[[], Work]) -> None:
        self._tasks = iter(range(tasks))
        self._make_work = make_work
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._found: queue.Queue[PairBlock | BaseException | None] = queue.Queue(_WAITING_BLOCKS)

    def run(self, threads: int) -> Iterator[PairBlock]:
        """Yield blocks until every thread has nothing more to do."""
        crew = [threading.Thread(target=self._work, name=f"search-{n}", daemon=True) for n in range(threads)]
        for thread in crew:
            thread.start()
        try:
            working = len(crew)
            while working:
                found = self._found.get()
                if found is None:
                    working -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:
            self._stopped.set()
            for thread in crew:
                thread.join()

    def _work(self) -> None:
        try:
            work = self._make_work()
            while (task := self._next()) is not None:
                for block in work(task):
                    self._hand_on(block)
                    if self._stopped.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that iterates
            self._hand_on(error)
        self._hand_on(None)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._tasks, None)

    def _hand_on(self, found: PairBlock | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._found.put(found, timeout=0.1)
            except queue.Full:
                continue
            return


_STRIP = 512
_RUN = 256 * TILE
_BLOCK = 2**16
_WORTH_A_PLAN = 2**20


def join(
    signatures: Int8Array, max_distance: float, *, threads: int | None = None, orientations: bool = True
) -> Iterator[PairBlock]:
    """Find every pair of rows within a distance.

    Args:
        signatures: int8, shape ``(n, 272)``. Not changed; must not change while the search runs.
        max_distance: 0 to 1, itself included.
        threads: ``None`` for as many as there are processors.
        orientations: False compares the pictures as they stand.

    Returns:
        Blocks of row numbers, ``left < right``, each pair once, with the least distance over the orientations and the
        lowest ``Orientation`` that has it: the turn that makes left look like right. In no particular order. A block
        has at most some 200,000 pairs. It may be empty: one comes at least every 33 million pairs that were compared,
        so that the caller can stop, by closing the iterator. Beside ``signatures`` memory is 60 to 400 bytes a row (the
        farther, the more; 140 at 0.3) and some tens of megabytes, however many pairs there are.

    Raises:
        ValueError: Wrong arrays, a distance that is none, or no threads.

    Thread-safety: any number of searches at a time; an iterator belongs to one thread. While one is open, BLAS uses
    one thread in the whole process.
    """
    search = _Search(checked(signatures), _distance(max_distance), usable_threads(threads), _turns(orientations))
    return search.join()


def cross(
    queries: Int8Array,
    signatures: Int8Array,
    max_distance: float,
    *,
    threads: int | None = None,
    orientations: bool = True,
) -> Iterator[PairBlock]:
    """Find every pair of a query and a row within a distance, for what is new against what is known.

    Args:
        queries: int8, shape ``(m, 272)``.
        signatures: int8, shape ``(n, 272)``.
        max_distance: As for ``join``.
        threads: As for ``join``.
        orientations: As for ``join``.

    Returns:
        Blocks as ``join``'s; ``left`` is the number of a query and ``right`` of a row, not ordered among each other.

    Raises:
        ValueError: As ``join``.
    """
    search = _Search(checked(signatures), _distance(max_distance), usable_threads(threads), _turns(orientations))
    return search.cross(checked(queries))


class SearchIndex:
    """Signatures made ready for many small searches: their projections are kept.

    Args:
        signatures: int8, shape ``(n, 272)``. Not copied; must not change. The first search of a range of distances
            projects them, which takes some microseconds each and then 40 to 300 bytes each.

    Thread-safety: any number of threads.
    """

    _DISTANCES = (0.06, 0.12, 0.2, 0.32, 0.45, 1.0)

    def __init__(self, signatures: Int8Array) -> None:
        self._signatures = checked(signatures)
        self._ready: dict[float, tuple[Plan, Rights]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many signatures."""
        return len(self._signatures)

    def query(self, queries: Int8Array, max_distance: float) -> PairBlock:
        """Find what lies within a distance of each query, in any orientation.

        Args:
            queries: int8, shape ``(m, 272)``.
            max_distance: 0 to 1, itself included.

        Returns:
            One block: ``left`` the query, ``right`` the row; by query, nearest first, ties by row. ``cross`` is for
            answers that may not fit into memory.

        Raises:
            ValueError: Wrong arrays, or a distance that is none.
        """
        search = _Search(self._signatures, _distance(max_distance), 1, ORIENTATIONS)
        with blas.single_threaded_blas:
            found = join_blocks(list(search.cross(checked(queries), self._plan(max_distance))))
        order = np.lexsort((found.right, found.distance, found.left))
        return PairBlock(found.left[order], found.right[order], found.distance[order], found.orientation[order])

    def _plan(self, max_distance: float) -> tuple[Plan, Rights]:
        key = next(key for key in self._DISTANCES if max_distance <= key)
        with self._lock:
            if key not in self._ready:
                small = len(self._signatures) < _STRIP
                plan = WHOLE if small else choose(self._signatures, key, orientations=True)
                self._ready[key] = plan, Rights.of(self._signatures, plan)
            return self._ready[key]


@dataclass(frozen=True, slots=True)
class _Run:
    """A task: left rows from ``first`` to ``last`` against right rows from ``start`` to ``stop``."""

    first: int
    last: int
    start: int
    stop: int


class _Search:
    """One search: what to compare, how, and with how many threads."""

    def __init__(
        self, signatures: Int8Array, max_distance: float, threads: int, orientations: tuple[Orientation, ...]
    ) -> None:
        self._signatures = signatures
        self._max_distance = max_distance
        self._threads = threads
        self._orientations = orientations

    def join(self) -> Iterator[PairBlock]:
        ready = self._ready(len(self._signatures) ** 2 // 2)
        yield from self._search(self._signatures, ready, _runs(len(self._signatures), None), triangular=True)

    def cross(self, queries: Int8Array, ready: tuple[Plan, Rights] | None = None) -> Iterator[PairBlock]:
        if ready is None:
            ready = self._ready(len(queries) * len(self._signatures))
        yield from self._search(queries, ready, _runs(len(queries), len(self._signatures)), triangular=False)

    def _ready(self, pairs: int) -> tuple[Plan, Rights]:
        with blas.single_threaded_blas:
            plan = WHOLE
            if pairs >= _WORTH_A_PLAN:
                plan = choose(self._signatures, self._max_distance, orientations=len(self._orientations) > 1)
            return plan, Rights.of(self._signatures, plan)

    def _search(
        self, lefts: Int8Array, ready: tuple[Plan, Rights], runs: list[_Run], *, triangular: bool
    ) -> Iterator[PairBlock]:
        plan, rights = ready

        def make_work() -> Work:
            tiles = Tiles(plan, rights, self._max_distance, self._orientations, triangular=triangular)

            def work(task: int) -> Iterator[PairBlock]:
                run = runs[task]
                strip = Strip.of(lefts[run.first : run.last], run.first, plan)
                found: list[PairBlock] = []
                width = TILE // (run.last - run.first)
                for start in range(run.start, run.stop, width):
                    block = tiles.search(strip, start, min(start + width, run.stop))
                    if len(block):
                        found.append(block)
                    if sum(map(len, found)) >= _BLOCK:
                        yield join_blocks(found)
                        found = []
                yield join_blocks([*found, tiles.finish(strip)])

            return work

        yield from work_off(len(runs), make_work, self._threads)


def _runs(lefts: int, rights: int | None) -> list[_Run]:
    """Cut the table of pairs into tasks; of a join (``rights`` is ``None``) the upper triangle."""
    runs = []
    for first in range(0, lefts, _STRIP):
        last = min(first + _STRIP, lefts)
        length = _RUN // (last - first)
        start, stop = (first, lefts) if rights is None else (0, rights)
        runs += [_Run(first, last, at, min(at + length, stop)) for at in range(start, stop, length)]
    return runs


def _distance(max_distance: float) -> float:
    if not 0 <= max_distance <= 1:
        raise ValueError(f"a distance lies between 0 and 1, not {max_distance}")
    return float(max_distance)


def _turns(orientations: bool) -> tuple[Orientation, ...]:  # noqa: FBT001 - private
    return ORIENTATIONS if orientations else (Orientation.UPRIGHT,)
