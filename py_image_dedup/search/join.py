"""The exact similarity join: all pairs of signatures within a distance, in any of the eight orientations, and no other.

All pairs are bounded by products of few columns (see ``plan``), tile by tile on several threads; the pairs that the
bounds cannot exclude are computed exactly (see ``tiles``). The pairs, their distances and their orientations do not
depend on the bounds, the threads or the order of work; only the order of the blocks does.

It is fast because a bound costs a seventh of a distance and leaves one pair in a few thousand. Trees, pivots and
clusters prune nothing at useful distances: signatures vary in about seventy directions almost equally.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from py_image_dedup.media.limits import available_cpus
from py_image_dedup.model.match import Orientation
from py_image_dedup.search.plan import FULL, Plan, choose
from py_image_dedup.search.tiles import TILE, LeftBlock, RightSide, Tiles
from py_image_dedup.signature.arrays import Int8Array, PairBlock
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.signature.distance import check_distance, check_signatures
from py_image_dedup.signature.orientation import ORIENTATIONS

_WAITING_BLOCKS = 2

Work = Callable[[int], Iterator[PairBlock]]
"""A function that carries out one task, given its number, and yields the pairs that it finds."""


def usable_threads(threads: int | None) -> int:
    """Return the number of threads to use: the argument, or the number of CPUs that this process may run on."""
    if threads is not None:
        if threads < 1:
            raise ValueError(f"at least one thread is needed, not {threads}")
        return threads
    return available_cpus()


def run_tasks(tasks: int, make_work: Callable[[], Work], threads: int) -> Iterator[PairBlock]:
    """Carry out tasks on several threads and yield the pairs that they find, in no particular order.

    Args:
        tasks: The number of tasks; each is carried out once, lower numbers first.
        make_work: A function that is called once in each thread and returns the thread's ``Work``.
        threads: The number of threads, 1 or more.

    Yields:
        Blocks as they are found. Few of them are queued, so memory does not grow when the caller is slow.

    Raises:
        BaseException: A thread raised it. Closing the iterator stops the threads at their next block.
    """
    with single_threaded_blas:
        if threads > 1 and tasks > 1:
            yield from _Workers(tasks, make_work).run(min(threads, tasks))
        else:
            work = make_work()
            for task in range(tasks):
                yield from work(task)


class _Workers:
    """Threads that carry out numbered tasks and pass blocks to the thread that iterates."""

    def __init__(self, tasks: int, make_work: Callable[[], Work]) -> None:
        self._tasks = iter(range(tasks))
        self._make_work = make_work
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._found: queue.Queue[PairBlock | BaseException | None] = queue.Queue(_WAITING_BLOCKS)

    def run(self, threads: int) -> Iterator[PairBlock]:
        """Yield blocks until all tasks are done."""
        workers = [threading.Thread(target=self._work, name=f"search-{n}", daemon=True) for n in range(threads)]
        for thread in workers:
            thread.start()
        try:
            running = len(workers)
            while running:
                found = self._found.get()
                if found is None:
                    running -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:
            self._stopped.set()
            for thread in workers:
                thread.join()

    def _work(self) -> None:
        try:
            work = self._make_work()
            while (task := self._next()) is not None:
                for block in work(task):
                    self._pass_on(block)
                    if self._stopped.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that iterates
            self._pass_on(error)
        self._pass_on(None)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._tasks, None)

    def _pass_on(self, found: PairBlock | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._found.put(found, timeout=0.1)
            except queue.Full:
                continue
            return


_LEFT_ROWS = 512
"""Left rows of a task."""

_TASK_PAIRS = 256 * TILE
"""Pairs that a task compares at most."""

_BLOCK_PAIRS = 2**16
"""Pairs that are collected before a block is yielded."""

_WORTH_A_PLAN = 2**20
"""Pairs from which on choosing a plan costs less than it saves."""


def join(
    signatures: Int8Array, max_distance: float, *, threads: int | None = None, orientations: bool = True
) -> Iterator[PairBlock]:
    """Yield every pair of rows within a distance.

    Args:
        signatures: int8, shape ``(n, 272)``. Not changed here; must not change while the search runs.
        max_distance: 0 to 1, itself included.
        threads: The number of threads; ``None`` for the number of CPUs.
        orientations: Whether all eight orientations are compared, or the upright one only.

    Returns:
        Blocks of row numbers, ``left < right``, each pair once, with the least distance over the orientations and the
        lowest ``Orientation`` that has it: the one that makes left look like right. In no particular order. A block has
        at most about 200,000 pairs. It may be empty: a block comes at least every 33 million pairs compared, so that
        the caller can stop, by closing the iterator. Beside ``signatures`` memory is 60 to 400 bytes a row (more for a
        greater distance; 140 at 0.3) and a few tens of megabytes, however many pairs there are.

    Raises:
        ValueError: The array is not one of signatures, the distance not between 0 and 1, or ``threads`` less than 1.

    Thread-safety: any number of searches at a time; an iterator belongs to one thread. While one is open, BLAS uses
    one thread in the whole process.
    """
    search = _Search(
        check_signatures(signatures), check_distance(max_distance), usable_threads(threads), _turns(orientations)
    )
    return search.join()


def cross(
    queries: Int8Array,
    signatures: Int8Array,
    max_distance: float,
    *,
    threads: int | None = None,
    orientations: bool = True,
) -> Iterator[PairBlock]:
    """Yield every pair of a query and a row within a distance: new signatures against known ones.

    Args:
        queries: int8, shape ``(m, 272)``.
        signatures: int8, shape ``(n, 272)``.
        max_distance: As for ``join``.
        threads: As for ``join``.
        orientations: As for ``join``.

    Returns:
        Blocks as ``join`` returns them; ``left`` is the number of a query and ``right`` of a row, in no order of size.

    Raises:
        ValueError: As ``join``.
    """
    search = _Search(
        check_signatures(signatures), check_distance(max_distance), usable_threads(threads), _turns(orientations)
    )
    return search.cross(check_signatures(queries))


class SearchIndex:
    """Signatures prepared for many small searches: their projections are cached.

    Args:
        signatures: int8, shape ``(n, 272)``. Not copied; must not change. The first search of a range of distances
            projects them, which takes a few microseconds and 40 to 300 bytes for each.

    Thread-safety: any number of threads.
    """

    _DISTANCES = (0.06, 0.12, 0.2, 0.32, 0.45, 1.0)

    def __init__(self, signatures: Int8Array) -> None:
        self._signatures = check_signatures(signatures)
        self._ready: dict[float, tuple[Plan, RightSide]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of signatures."""
        return len(self._signatures)

    def query(self, queries: Int8Array, max_distance: float) -> PairBlock:
        """Return the rows within a distance of each query, in any orientation.

        Args:
            queries: int8, shape ``(m, 272)``.
            max_distance: 0 to 1, itself included.

        Returns:
            One block: ``left`` the query, ``right`` the row; by query, nearest first, ties by row. Use ``cross`` for
            answers that may not fit into memory.

        Raises:
            ValueError: The array is not one of signatures, or the distance is not between 0 and 1.
        """
        search = _Search(self._signatures, check_distance(max_distance), 1, ORIENTATIONS)
        with single_threaded_blas:
            found = PairBlock.concatenate(search.cross(check_signatures(queries), self._plan(max_distance)))
        order = np.lexsort((found.right, found.distance, found.left))
        return PairBlock(found.left[order], found.right[order], found.distance[order], found.orientation[order])

    def _plan(self, max_distance: float) -> tuple[Plan, RightSide]:
        key = next(key for key in self._DISTANCES if max_distance <= key)
        with self._lock:
            if key not in self._ready:
                small = len(self._signatures) < _LEFT_ROWS
                plan = FULL if small else choose(self._signatures, key, orientations=True)
                self._ready[key] = plan, RightSide.of(self._signatures, plan)
            return self._ready[key]


@dataclass(frozen=True, slots=True)
class _Task:
    """A task: left rows ``first`` to ``last`` against right rows ``start`` to ``stop``, the ends excluded."""

    first: int
    last: int
    start: int
    stop: int


class _Search:
    """One search: the signatures, the bound and the number of threads."""

    def __init__(
        self, signatures: Int8Array, max_distance: float, threads: int, orientations: tuple[Orientation, ...]
    ) -> None:
        self._signatures = signatures
        self._max_distance = max_distance
        self._threads = threads
        self._orientations = orientations

    def join(self) -> Iterator[PairBlock]:
        ready = self._ready(len(self._signatures) ** 2 // 2)
        yield from self._search(self._signatures, ready, _tasks(len(self._signatures), None), triangular=True)

    def cross(self, queries: Int8Array, ready: tuple[Plan, RightSide] | None = None) -> Iterator[PairBlock]:
        if ready is None:
            ready = self._ready(len(queries) * len(self._signatures))
        yield from self._search(queries, ready, _tasks(len(queries), len(self._signatures)), triangular=False)

    def _ready(self, pairs: int) -> tuple[Plan, RightSide]:
        with single_threaded_blas:
            plan = FULL
            if pairs >= _WORTH_A_PLAN:
                plan = choose(self._signatures, self._max_distance, orientations=len(self._orientations) > 1)
            return plan, RightSide.of(self._signatures, plan)

    def _search(
        self, lefts: Int8Array, ready: tuple[Plan, RightSide], tasks: list[_Task], *, triangular: bool
    ) -> Iterator[PairBlock]:
        plan, right_side = ready

        def make_work() -> Work:
            tiles = Tiles(plan, right_side, self._max_distance, self._orientations, triangular=triangular)

            def work(task: int) -> Iterator[PairBlock]:
                todo = tasks[task]
                left = LeftBlock.of(lefts[todo.first : todo.last], todo.first, plan)
                found: list[PairBlock] = []
                width = TILE // (todo.last - todo.first)
                for start in range(todo.start, todo.stop, width):
                    block = tiles.search(left, start, min(start + width, todo.stop))
                    if len(block):
                        found.append(block)
                    if sum(map(len, found)) >= _BLOCK_PAIRS:
                        yield PairBlock.concatenate(found)
                        found = []
                yield PairBlock.concatenate([*found, tiles.finish(left)])

            return work

        yield from run_tasks(len(tasks), make_work, self._threads)


def _tasks(lefts: int, rights: int | None) -> list[_Task]:
    """Split the table of pairs into tasks; of a join (``rights`` is ``None``) its upper triangle."""
    tasks = []
    for first in range(0, lefts, _LEFT_ROWS):
        last = min(first + _LEFT_ROWS, lefts)
        length = _TASK_PAIRS // (last - first)
        start, stop = (first, lefts) if rights is None else (0, rights)
        tasks += [_Task(first, last, at, min(at + length, stop)) for at in range(start, stop, length)]
    return tasks


def _turns(orientations: bool) -> tuple[Orientation, ...]:  # noqa: FBT001 - private
    return ORIENTATIONS if orientations else (Orientation.UPRIGHT,)
