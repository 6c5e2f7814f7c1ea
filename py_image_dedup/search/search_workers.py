"""Threads that work on strips, and the one thread that takes what they find."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator

from py_image_dedup.signature import blas
from py_image_dedup.signature.arrays import PairBlock

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
    with blas.one_thread:
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
