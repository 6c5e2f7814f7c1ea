"""Threads that work on one job after another, and go on without the one that hangs."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeAlias, TypeVar

_LOOK_SECONDS = 0.1
"""How often to look for what is overdue."""

Job = TypeVar("Job")
Result = TypeVar("Result")

Workplace: TypeAlias = Callable[[], AbstractContextManager[Callable[[Job], Result]]]
"""Entered once by each thread: yields what does a job, and cleans up when the thread ends."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[Job, Result]):
    """What became of a job.

    Attributes:
        job: What was submitted.
        result: What it returned; none if it failed.
        error: What it raised; ``Overdue`` if it was given up.
        seconds: Wall time of its thread.
    """

    job: Job
    result: Result | None
    error: Exception | None
    seconds: float


class Overdue(Exception):  # noqa: N818 - a state
    """A job took longer than it may; its thread was left alone with it and replaced."""


@dataclass(slots=True, eq=False)
class _Hand(Generic[Job]):
    """A thread and what it has in hand."""

    thread: threading.Thread | None = None
    job: list[Job] = field(default_factory=list)
    started: float = 0.0
    ends: float = 0.0
    given_up: bool = False


class Pool(Generic[Job, Result]):
    """A fixed number of threads, for one caller who submits jobs and takes the finished ones.

    The caller bounds what is outstanding; the order in which jobs finish is not that of their submission. A job that
    exceeds its time is reported as ``Overdue``; a thread cannot be ended, so its thread is left to itself (it does not
    keep the program from ending), what it still returns is dropped, and another one takes its place.

    Args:
        threads: How many.
        workplace: Made and left by each thread.
        name: Of the threads.
    """

    def __init__(self, threads: int, workplace: Workplace[Job, Result], name: str = "worker") -> None:
        if threads < 1:
            raise ValueError(f"a pool has at least one thread, not {threads}")
        self._workplace = workplace
        self._name = name
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._news = threading.Condition(self._lock)
        self._waiting: deque[tuple[Job, float]] = deque()
        self._done: deque[Finished[Job, Result]] = deque()
        self._closed = False
        self._broken: BaseException | None = None
        self._hands: list[_Hand[Job]] = []
        for _ in range(threads):
            self._hire()

    @property
    def outstanding(self) -> int:
        """How many jobs were submitted and not yet taken back."""
        with self._lock:
            return len(self._waiting) + len(self._done) + sum(bool(hand.job) for hand in self._hands)

    def submit(self, job: Job, *, seconds: float, first: bool = False) -> None:
        """Hand a job in.

        Args:
            job: What to do.
            seconds: How long it may take once it is begun.
            first: Before all that wait already.
        """
        with self._lock:
            (self._waiting.appendleft if first else self._waiting.append)((job, seconds))
            self._work.notify()

    def finished(self, seconds: float) -> list[Finished[Job, Result]]:
        """Take back all finished jobs; wait for one, but not longer than this.

        Raises:
            RuntimeError: A thread could not work at all.
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            while True:
                self._give_up_overdue()
                if self._broken is not None:
                    raise RuntimeError(f"a worker thread failed: {self._broken}") from self._broken
                if self._done:
                    done = list(self._done)
                    self._done.clear()
                    return done
                now = time.monotonic()
                if now >= deadline:
                    return []
                self._news.wait(min(deadline - now, _LOOK_SECONDS))

    def withdraw(self) -> list[Job]:
        """Take back all jobs that were not begun."""
        with self._lock:
            jobs = [job for job, _ in self._waiting]
            self._waiting.clear()
            return jobs

    def close(self) -> None:
        """Drop what was not begun, wait for what is in hand (as long as it may take), end the threads."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._work.notify_all()
        while True:
            with self._lock:
                self._give_up_overdue()
                hands = [hand for hand in self._hands if hand.thread is not None and hand.thread.is_alive()]
            if not hands:
                return
            for hand in hands:
                if hand.thread is not None:
                    hand.thread.join(0.1)

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _hire(self) -> None:
        hand: _Hand[Job] = _Hand()
        hand.thread = threading.Thread(target=self._run, args=(hand,), name=self._name, daemon=True)
        self._hands.append(hand)
        hand.thread.start()

    def _give_up_overdue(self) -> None:
        now = time.monotonic()
        for hand in [hand for hand in self._hands if hand.job and now > hand.ends]:
            hand.given_up = True
            self._hands.remove(hand)
            self._done.append(Finished(hand.job.pop(), None, Overdue(), now - hand.started))
            if not self._closed:
                self._hire()

    def _run(self, hand: _Hand[Job]) -> None:
        try:
            with self._workplace() as work:
                while self._take(hand):
                    self._do(hand, work)
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            with self._lock:
                if not hand.given_up:
                    self._broken = error
                    self._news.notify()

    def _take(self, hand: _Hand[Job]) -> bool:
        with self._lock:
            if hand.given_up:
                return False
            while not self._waiting:
                if self._closed:
                    return False
                self._work.wait()
            job, seconds = self._waiting.popleft()
            hand.job.append(job)
            hand.started = time.monotonic()
            hand.ends = hand.started + seconds
            return True

    def _do(self, hand: _Hand[Job], work: Callable[[Job], Result]) -> None:
        job = hand.job[0]
        result: Result | None = None
        failure: Exception | None = None
        try:
            result = work(job)
        except Exception as error:  # noqa: BLE001 - the caller gets it with the job
            failure = error
        with self._lock:
            if not hand.given_up:
                hand.job.clear()
                self._done.append(Finished(job, result, failure, time.monotonic() - hand.started))
                self._news.notify()
