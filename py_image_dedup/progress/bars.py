"""Progress of a run: a bar per phase at a terminal, or a line now and then without one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from py_image_dedup.model.events import Event, PhaseAdvanced, PhaseExtended, PhaseFinished, PhaseStarted, RunStarted
from py_image_dedup.model.failure import Phase

TITLES: Mapping[Phase, str] = {
    Phase.COUNT: "Counting files",
    Phase.CLEANUP: "Cleaning the index",
    Phase.ANALYSE: "Analysing",
    Phase.FIND: "Finding duplicates",
    Phase.RANK: "Choosing keepers",
    Phase.INSPECT: "Comparing in full",
    Phase.REMOVE: "Removing",
    Phase.PRUNE: "Removing empty folders",
}
"""Titles of the phases while they run."""

DRY_RUN_TITLES: Mapping[Phase, str] = {
    **TITLES,
    Phase.REMOVE: "Planning removals",
    Phase.PRUNE: "Planning empty folders",
}
"""Titles of the phases of a dry run, which removes nothing."""


@dataclass(slots=True)
class Tally:
    """The progress of a phase. Not thread-safe: its owner holds a lock.

    Attributes:
        phase: The phase.
        title: Its title.
        started: Start time, in seconds of a monotonic clock.
        total: Number of steps, if known.
        unit: Plural noun for a step.
        done: Number of steps done.
    """

    phase: Phase
    title: str
    started: float
    total: int | None
    unit: str
    done: int = 0

    def rate(self, now: float) -> float:
        """Return the steps per second."""
        passed = now - self.started
        return self.done / passed if passed > 0 else 0.0

    def extend(self, steps: int) -> None:
        """Add steps to the total, if it is known."""
        if self.total is not None:
            self.total += steps

    def left(self, now: float) -> float | None:
        """Return the seconds left at this rate, or ``None`` if that is unknown."""
        rate = self.rate(now)
        if self.total is None or rate == 0:
            return None
        return max(0, self.total - self.done) / rate


def duration_words(seconds: float) -> str:
    """Return ``0:42``, ``3:05`` or ``2:03:04``."""
    whole = round(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


_REFRESH = 0.1
"""Seconds between two redraws; a step in between costs one addition."""


class _Figures(ProgressColumn):
    """The column ``1,234 of 5,678 files``."""

    def render(self, task: Task) -> Text:
        if task.total is None and not task.completed:
            return Text()
        of = f" of {task.total:,.0f}" if task.total is not None else ""
        return Text(f"{task.completed:,.0f}{of} {task.fields['unit']}")


class _Pace(ProgressColumn):
    """The column ``210/s, 0:42 left``; for a finished phase, its duration."""

    def render(self, task: Task) -> Text:
        passed = task.finished_time if task.finished else task.elapsed
        rate = f"{task.completed / passed:,.0f}/s" if passed and passed > 0.5 and task.completed else ""
        if task.fields["over"]:
            return Text(f"{rate}  {duration_words(passed or 0)}" if rate else "", style="dim")
        left: float | None = task.fields["left"]
        return Text(rate + (f", {duration_words(left)} left" if left is not None and rate else ""))


class ProgressBars:
    """An observer that draws a bar for each phase. Use it as a context manager. Thread-safe.

    Args:
        console: The terminal.
        titles: Titles of the phases until a run starts.
    """

    def __init__(self, console: Console, titles: Mapping[Phase, str] = TITLES) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            _Figures(),
            _Pace(),
            console=console,
            refresh_per_second=1 / _REFRESH,
        )
        self._lock = threading.Lock()
        self._tallies: dict[Phase, tuple[TaskID, Tally]] = {}
        self._titles = titles
        self._drawn = 0.0

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw a last time and release the terminal."""
        self.stop()

    def pause(self) -> None:
        """Release the terminal for a question."""
        self._progress.stop()

    def resume(self) -> None:
        """Continue after ``pause``: the bars drawn so far stay above, new ones follow below."""
        for task in self._progress.task_ids:
            self._progress.update(task, visible=False)
        self._progress.start()

    def stop(self) -> None:
        """Release the terminal; further calls do nothing."""
        self._progress.stop()

    def __call__(self, event: Event, /) -> None:
        """Handle one event."""
        if isinstance(event, PhaseAdvanced):
            with self._lock:
                found = self._tallies.get(event.phase)
                if found is not None:
                    found[1].done += event.steps
                    if time.monotonic() - self._drawn > _REFRESH:
                        self._draw(*found)
        elif isinstance(event, PhaseExtended):
            with self._lock:
                found = self._tallies.get(event.phase)
                if found is not None:
                    found[1].extend(event.steps)
        elif isinstance(event, PhaseStarted):
            self._start(event)
        elif isinstance(event, PhaseFinished):
            self._finish(event)
        elif isinstance(event, RunStarted):
            self._titles = DRY_RUN_TITLES if event.dry_run else TITLES

    def _start(self, event: PhaseStarted) -> None:
        with self._lock:
            task = self._progress.add_task(
                self._titles[event.phase],
                total=event.total,
                visible=event.total != 0,
                unit=event.unit,
                left=None,
                over=False,
            )
            tally = Tally(event.phase, self._titles[event.phase], time.monotonic(), event.total, event.unit)
            self._tallies[event.phase] = (task, tally)

    def _draw(self, task: TaskID, tally: Tally) -> None:
        self._drawn = time.monotonic()
        self._progress.update(task, completed=tally.done, left=tally.left(self._drawn))

    def _finish(self, event: PhaseFinished) -> None:
        with self._lock:
            found = self._tallies.pop(event.summary.phase, None)
            if found is None:
                return
            task, tally = found
            if tally.total == 0 or (tally.total is None and tally.done == 0):
                self._progress.update(task, visible=False)
                return
            # An interrupted phase keeps its bar as it was.
            total = tally.done if tally.total is None else tally.total
            self._progress.update(task, total=total, completed=tally.done, left=None, over=True)
            self._progress.stop_task(task)


INTERVAL = 10.0
"""Seconds between two lines."""


def bars_on_stderr() -> ProgressBars:
    """Return progress bars on standard error, for programs without a console of their own."""
    return ProgressBars(Console(stderr=True))


class ProgressLines:
    """An observer that writes a line about the phase every ten seconds; a short phase writes none. Thread-safe.

    Args:
        write: Function that writes one line, given without a line break.
        interval: Seconds between two lines.
        clock: Monotonic clock, in seconds.
        titles: Titles of the phases until a run starts.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        titles: Mapping[Phase, str] = TITLES,
    ) -> None:
        self._write = write
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._titles = titles
        self._tally: Tally | None = None
        self._next = 0.0
        self._written = False

    def __call__(self, event: Event, /) -> None:
        """Handle one event."""
        if isinstance(event, PhaseAdvanced):
            self._advance(event)
        elif isinstance(event, PhaseExtended):
            with self._lock:
                tally = self._tally
                if tally is not None and tally.phase is event.phase:
                    tally.extend(event.steps)
        elif isinstance(event, PhaseStarted):
            with self._lock:
                now = self._clock()
                self._tally = Tally(event.phase, self._titles[event.phase], now, event.total, event.unit)
                self._next, self._written = now + self._interval, False
        elif isinstance(event, PhaseFinished):
            self._finish(event)
        elif isinstance(event, RunStarted):
            self._titles = DRY_RUN_TITLES if event.dry_run else TITLES

    def _advance(self, event: PhaseAdvanced) -> None:
        with self._lock:
            tally = self._tally
            if tally is None or tally.phase is not event.phase:
                return
            tally.done += event.steps
            now = self._clock()
            if now >= self._next:
                self._next, self._written = now + self._interval, True
                self._write(_line(tally, now))

    def _finish(self, event: PhaseFinished) -> None:
        with self._lock:
            tally, self._tally = self._tally, None
            if tally is not None and tally.phase is event.summary.phase and self._written:
                took = duration_words(event.summary.seconds)
                self._write(f"{tally.title}: {tally.done:,} {tally.unit} in {took}")


def _line(tally: Tally, now: float) -> str:
    of = f" of {tally.total:,}" if tally.total is not None else ""
    left = tally.left(now)
    until = f", {duration_words(left)} left" if left is not None else ""
    return f"{tally.title}: {tally.done:,}{of} {tally.unit}, {tally.rate(now):,.0f}/s{until}"
