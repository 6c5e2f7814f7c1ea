"""Threads that go on without the one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from py_image_dedup.pipeline.workers import Finished, Overdue, WorkerPool


def context(work: Callable[[int], int], left: list[str] | None = None):  # type: ignore[no-untyped-def]
    @contextmanager
    def enter() -> Iterator[Callable[[int], int]]:
        yield work
        if left is not None:
            left.append(threading.current_thread().name)

    return enter


def take(pool: WorkerPool[int, int], count: int) -> list[Finished[int, int]]:
    found: list[Finished[int, int]] = []
    while len(found) < count:
        found += pool.finished(5)
    return found


def test_every_job_is_done_once_and_each_thread_cleans_up() -> None:
    left: list[str] = []
    with WorkerPool(3, context(lambda job: job * job, left)) as pool:
        for job in range(200):
            pool.submit(job, seconds=10)
        found = take(pool, 200)
        assert sorted(done.job for done in found) == list(range(200))
        assert all(done.result == done.job**2 and done.error is None for done in found)
        assert pool.outstanding == 0
        assert pool.finished(0) == []
    assert len(left) == 3


def test_a_failure_comes_back_with_its_job() -> None:
    with WorkerPool(1, context(lambda job: 1 // job)) as pool:
        pool.submit(0, seconds=10)
        (done,) = take(pool, 1)
    assert isinstance(done.error, ZeroDivisionError)
    assert done.result is None


def test_a_job_that_hangs_is_given_up_and_the_others_go_on() -> None:
    release = threading.Event()
    try:
        with WorkerPool(1, context(lambda job: job or int(release.wait(60)))) as pool:
            pool.submit(0, seconds=0.1)
            pool.submit(1, seconds=10)
            first, second = take(pool, 2)
            assert isinstance(first.error, Overdue)
            assert (second.job, second.result) == (1, 1)
            release.set()
            assert pool.finished(0.2) == [], "what it returns too late is dropped"
    finally:
        release.set()


def test_closing_does_not_wait_for_what_hangs() -> None:
    release = threading.Event()
    pool = WorkerPool(1, context(lambda job: int(release.wait(60))))
    pool.submit(0, seconds=0.2)
    time.sleep(0.05)
    begun = time.monotonic()
    pool.close()
    assert time.monotonic() - begun < 5
    release.set()


def test_what_is_urgent_goes_first_and_what_was_not_begun_can_be_withdrawn() -> None:
    gate = threading.Event()
    begun = threading.Event()

    def work(job: int) -> int:
        begun.set()
        return job if gate.wait(10) else -1

    with WorkerPool(1, context(work)) as pool:
        pool.submit(1, seconds=10)
        assert begun.wait(5)
        pool.submit(2, seconds=10)
        pool.submit(3, seconds=10, first=True)
        assert pool.withdraw() == [3, 2]
        pool.submit(4, seconds=10)
        gate.set()
        assert [done.job for done in take(pool, 2)] == [1, 4]


def test_a_thread_that_cannot_work_is_reported() -> None:
    @contextmanager
    def broken() -> Iterator[Callable[[int], int]]:
        raise OSError("no room")
        yield abs

    with WorkerPool(1, broken) as pool:
        pool.submit(1, seconds=10)
        with pytest.raises(RuntimeError, match="no room"):
            pool.finished(5)


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WorkerPool(0, context(abs))
