from __future__ import annotations

import io
import threading

from rich.console import Console

from py_image_dedup.model.events import PhaseAdvanced, PhaseExtended, PhaseFinished, PhaseStarted, RunStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.progress.bars import ProgressBars


def terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None, legacy_windows=False)
    return console, out


def last_frame(out: io.StringIO) -> list[str]:
    """The bars as they stand at the end."""
    frames = out.getvalue().replace("\x1b[?25h", "").replace("\x1b[?25l", "")
    return [line.split("\x1b[2K")[-1].strip() for line in frames.split("\n") if line.strip()]


def test_each_phase_has_a_bar_with_its_figures() -> None:
    console, out = terminal()
    with ProgressBars(console) as progress:
        progress(PhaseStarted(Phase.ANALYSE, total=1200))
        progress(PhaseAdvanced(Phase.ANALYSE, 1200))
        progress(PhaseFinished(PhaseSummary(Phase.ANALYSE, 3.0)))
        progress(PhaseStarted(Phase.FIND, total=10, unit="pictures"))
        progress(PhaseAdvanced(Phase.FIND, 4))
    lines = last_frame(out)
    assert any("Analysing" in line and "1,200 of 1,200 files" in line for line in lines)
    assert any("Finding duplicates" in line and "of 10 pictures" in line for line in lines)


def test_a_phase_that_turns_out_longer_counts_up_to_its_new_end() -> None:
    console, out = terminal()
    with ProgressBars(console) as progress:
        progress(PhaseStarted(Phase.INSPECT, total=5, unit="pairs"))
        progress(PhaseAdvanced(Phase.INSPECT, 5))
        progress(PhaseExtended(Phase.INSPECT, 3))
        progress(PhaseAdvanced(Phase.INSPECT, 3))
        progress(PhaseFinished(PhaseSummary(Phase.INSPECT, 1.0)))
    assert any("8 of 8 pairs" in line for line in last_frame(out))


def test_a_phase_without_work_shows_no_bar() -> None:
    console, out = terminal()
    with ProgressBars(console) as progress:
        progress(PhaseStarted(Phase.REMOVE, total=0))
        progress(PhaseFinished(PhaseSummary(Phase.REMOVE, 0.0)))
    assert "Removing" not in out.getvalue()


def test_steps_from_many_threads_are_all_counted() -> None:
    console, out = terminal()
    with ProgressBars(console) as progress:
        progress(PhaseStarted(Phase.ANALYSE, total=4000))

        def advance() -> None:
            for _ in range(1000):
                progress(PhaseAdvanced(Phase.ANALYSE))

        threads = [threading.Thread(target=advance) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        progress(PhaseFinished(PhaseSummary(Phase.ANALYSE, 1.0)))
    assert any("4,000 of 4,000 files" in line for line in last_frame(out))


def test_the_terminal_gets_its_cursor_back() -> None:
    console, out = terminal()
    progress = ProgressBars(console)
    with progress:
        progress(PhaseStarted(Phase.ANALYSE, total=3))
        progress.stop()
    assert out.getvalue().count("\x1b[?25h") >= 1
    assert out.getvalue().rstrip("\n").endswith("\x1b[?25h")


def test_a_dry_run_plans_removals_and_a_real_run_removes() -> None:
    for dry_run, title in ((True, "Planning removals"), (False, "Removing")):
        console, out = terminal()
        with ProgressBars(console) as progress:
            progress(RunStarted("20250102T030405-ab12", dry_run))
            progress(PhaseStarted(Phase.REMOVE, total=2))
            progress(PhaseAdvanced(Phase.REMOVE, 2))
            progress(PhaseFinished(PhaseSummary(Phase.REMOVE, 1.0)))
        (line,) = [line for line in last_frame(out) if "2 of 2 files" in line]
        assert line.startswith(title)
