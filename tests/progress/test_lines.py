from __future__ import annotations

import threading

from py_image_dedup.model.events import PhaseAdvanced, PhaseFinished, PhaseStarted, RunStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.progress.bars import TITLES, ProgressLines


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_comes_every_ten_seconds_with_rate_and_time_left() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock)
    progress(PhaseStarted(Phase.ANALYSE, total=1200))
    for _ in range(60):
        clock.now += 0.5
        progress(PhaseAdvanced(Phase.ANALYSE, 10))
    progress(PhaseFinished(PhaseSummary(Phase.ANALYSE, 30.0)))
    assert lines == [
        "Analysing: 200 of 1,200 files, 20/s, 0:50 left",
        "Analysing: 400 of 1,200 files, 20/s, 0:40 left",
        "Analysing: 600 of 1,200 files, 20/s, 0:30 left",
        "Analysing: 600 files in 0:30",
    ]


def test_a_short_phase_says_nothing() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock)
    progress(PhaseStarted(Phase.FIND, total=3))
    clock.now += 9
    progress(PhaseAdvanced(Phase.FIND, 3))
    progress(PhaseFinished(PhaseSummary(Phase.FIND, 9.0)))
    assert lines == []


def test_without_a_total_nothing_is_said_about_the_time_left() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock)
    progress(PhaseStarted(Phase.COUNT))
    clock.now += 3700
    progress(PhaseAdvanced(Phase.COUNT, 7400))
    assert lines == ["Counting files: 7,400 files, 2/s"]


def test_steps_from_many_threads_are_all_counted() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock)
    progress(PhaseStarted(Phase.ANALYSE, total=4001))

    def advance() -> None:
        for _ in range(1000):
            progress(PhaseAdvanced(Phase.ANALYSE))

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now += 10
    progress(PhaseAdvanced(Phase.ANALYSE))
    assert lines == ["Analysing: 4,001 of 4,001 files, 400/s, 0:00 left"]


def test_steps_of_a_phase_that_is_not_running_are_ignored() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock, interval=0)
    progress(PhaseAdvanced(Phase.FIND, 3))
    progress(PhaseStarted(Phase.ANALYSE))
    progress(PhaseAdvanced(Phase.FIND, 3))
    assert lines == []


def test_the_lines_of_a_dry_run_say_that_it_plans() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock, interval=0)
    progress(RunStarted("20250102T030405-ab12", dry_run=True))
    progress(PhaseStarted(Phase.REMOVE, total=2))
    clock.now += 1
    progress(PhaseAdvanced(Phase.REMOVE, 2))
    progress(PhaseFinished(PhaseSummary(Phase.REMOVE, 1.0)))
    assert lines == ["Planning removals: 2 of 2 files, 2/s, 0:00 left", "Planning removals: 2 files in 0:01"]


def test_a_command_may_give_a_phase_another_title() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(lines.append, clock=clock, interval=0, titles={**TITLES, Phase.REMOVE: "Restoring"})
    progress(PhaseStarted(Phase.REMOVE, total=2))
    clock.now += 1
    progress(PhaseAdvanced(Phase.REMOVE, 2))
    assert lines == ["Restoring: 2 of 2 files, 2/s, 0:00 left"]
