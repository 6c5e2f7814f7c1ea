"""A pool of threads that abandons a thread whose job hangs, and replaces it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from py_image_dedup.model.closing import Closing

_CHECK_SECONDS = 0.1
"""Interval between checks for overdue jobs."""

Job = TypeVar("Job")
Result = TypeVar("Result")

WorkerContext: TypeAlias = Callable[[], AbstractContextManager[Callable[[Job], Result]]]
"""Entered once by each thread; yields the function that does a job, and cleans up when the thread ends."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[Job, Result]):
    """A finished job.

    Attributes:
        job: The job as submitted.
        result: Its result; none if it failed.
        error: The exception that it raised; ``Overdue`` if it was abandoned.
        seconds: Wall time of the job.
    """

    job: Job
    result: Result | None
    error: Exception | None
    seconds: float


class Overdue(Exception):  # noqa: N818 - a state
    """A job exceeded its time limit; its thread was abandoned and replaced."""


@dataclass(slots=True, eq=False)
class _Worker(Generic[Job]):
    """A thread and its current job, if any."""

    thread: threading.Thread | None = None
    job: list[Job] = field(default_factory=list)
    started: float = 0.0
    ends: float = 0.0
    abandoned: bool = False


class WorkerPool(Closing, Generic[Job, Result]):
    """A fixed number of threads for one caller, which submits jobs and collects the finished ones.

    The caller limits the number of outstanding jobs; they finish in any order. A job that exceeds its time limit is
    reported as ``Overdue``: a thread cannot be ended, so it is abandoned (which does not keep the program from ending),
    its result is dropped, and another thread takes its place.

    Args:
        threads: Number of threads.
        context: Context manager entered and left by each thread.
        name: Name of the threads.
    """

    def __init__(self, threads: int, context: WorkerContext[Job, Result], name: str = "worker") -> None:
        if threads < 1:
            raise ValueError(f"a pool has at least one thread, not {threads}")
        self._context = context
        self._name = name
        self._lock = threading.Lock()
        self._job_condition = threading.Condition(self._lock)
        self._done_condition = threading.Condition(self._lock)
        self._waiting: deque[tuple[Job, float]] = deque()
        self._done: deque[Finished[Job, Result]] = deque()
        self._closed = False
        self._broken: BaseException | None = None
        self._workers: list[_Worker[Job]] = []
        for _ in range(threads):
            self._spawn()

    @property
    def outstanding(self) -> int:
        """The number of jobs that were submitted and not yet returned."""
        with self._lock:
            return len(self._waiting) + len(self._done) + sum(bool(worker.job) for worker in self._workers)

    def submit(self, job: Job, *, seconds: float, first: bool = False) -> None:
        """Submit a job.

        Args:
            job: The job.
            seconds: Its time limit from its start.
            first: Whether it goes before all waiting jobs.
        """
        with self._lock:
            (self._waiting.appendleft if first else self._waiting.append)((job, seconds))
            self._job_condition.notify()

    def finished(self, seconds: float) -> list[Finished[Job, Result]]:
        """Return the jobs that finished since the last call, after waiting for one of them.

        Args:
            seconds: Longest wait; the result is empty after it.

        Raises:
            RuntimeError: The context of a thread failed.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            while True:
                self._abandon_overdue()
                if self._broken is not None:
                    raise RuntimeError(f"a worker thread failed: {self._broken}") from self._broken
                if self._done:
                    done = list(self._done)
                    self._done.clear()
                    return done
                now = time.monotonic()
                if now >= deadline:
                    return []
                self._done_condition.wait(min(deadline - now, _CHECK_SECONDS))

    def withdraw(self) -> list[Job]:
        """Remove and return the jobs that have not started."""
        with self._lock:
            jobs = [job for job, _ in self._waiting]
            self._waiting.clear()
            return jobs

    def close(self) -> None:
        """Drop waiting jobs, wait for running ones up to their time limits, and end the threads."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._job_condition.notify_all()
        while True:
            with self._lock:
                self._abandon_overdue()
                workers = [worker for worker in self._workers if worker.thread is not None and worker.thread.is_alive()]
            if not workers:
                return
            for worker in workers:
                if worker.thread is not None:
                    worker.thread.join(0.1)

    def _spawn(self) -> None:
        worker: _Worker[Job] = _Worker()
        worker.thread = threading.Thread(target=self._run, args=(worker,), name=self._name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def _abandon_overdue(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.job and now > worker.ends]:
            worker.abandoned = True
            self._workers.remove(worker)
            self._done.append(Finished(worker.job.pop(), None, Overdue(), now - worker.started))
            if not self._closed:
                self._spawn()

    def _run(self, worker: _Worker[Job]) -> None:
        try:
            with self._context() as work:
                while self._take(worker):
                    self._do(worker, work)
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            with self._lock:
                if not worker.abandoned:
                    self._broken = error
                    self._done_condition.notify()

    def _take(self, worker: _Worker[Job]) -> bool:
        with self._lock:
            if worker.abandoned:
                return False
            while not self._waiting:
                if self._closed:
                    return False
                self._job_condition.wait()
            job, seconds = self._waiting.popleft()
            worker.job.append(job)
            worker.started = time.monotonic()
            worker.ends = worker.started + seconds
            return True

    def _do(self, worker: _Worker[Job], work: Callable[[Job], Result]) -> None:
        job = worker.job[0]
        result: Result | None = None
        failure: Exception | None = None
        try:
            result = work(job)
        except Exception as error:  # noqa: BLE001 - returned to the caller with the job
            failure = error
        with self._lock:
            if not worker.abandoned:
                worker.job.clear()
                self._done.append(Finished(job, result, failure, time.monotonic() - worker.started))
                self._done_condition.notify()
