"""What the commands that run have in common: progress, Ctrl-C, reports, exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Interrupt, Invocation, make_console, readers_may_leave, write_bytes
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.model.events import Observer, ignore
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.progress.bars import ProgressBars
    from py_image_dedup.report.terminal import WhyItStays

RESULT_NAME = "result.json"
"""Of the file in a run's folder."""

REPORT_SUFFIXES = (".json", ".html")
"""The kinds of report files, told by their suffix."""


@dataclass(frozen=True, slots=True)
class Output:
    """What the user wants to see.

    Attributes:
        format: ``text`` or ``json`` on standard output.
        reports: Files to write.
    """

    format: str = "text"
    reports: tuple[Path, ...] = ()


def check_reports(ctx: click.Context, param: click.Parameter, value: Sequence[Path]) -> tuple[Path, ...]:
    """Refuse report files that could not be written, before an hour of work.

    Raises:
        click.BadParameter: The suffix says no format, or the folder is not there.
    """
    for path in value:
        if path.suffix.lower() not in REPORT_SUFFIXES:
            kinds = ", ".join(REPORT_SUFFIXES)
            raise click.BadParameter(f"{click.format_filename(path)} must end with {kinds}.", ctx, param)
        if not path.absolute().parent.is_dir():
            folder = click.format_filename(path.absolute().parent)
            raise click.BadParameter(f"there is no folder {folder} to write it to.", ctx, param)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Session:
    """A run that is watched.

    Attributes:
        observer: For the run.
        interrupt: Whether the user wants it to stop.
        bars: The progress bars, if there are any.
    """

    observer: Observer
    interrupt: Interrupt
    bars: ProgressBars | None


def _say_nothing(words: str) -> None:
    del words


@contextmanager
def progress_session(invocation: Invocation) -> Iterator[Session]:
    """Show how far a run is, and let Ctrl-C stop it, while this is a context."""
    if invocation.quiet:
        with Interrupt(_say_nothing) as interrupt:
            yield Session(ignore, interrupt, None)
    elif sys.stderr.isatty():
        from py_image_dedup.progress.bars import ProgressBars

        console = make_console(stderr=True)
        with ProgressBars(console) as bars, Interrupt(console.print, bars.stop) as interrupt:
            yield Session(bars, interrupt, bars)
    else:
        from py_image_dedup.progress.bars import ProgressLines

        def write(line: str) -> None:
            click.echo(line, err=True)

        with Interrupt(write) as interrupt:
            yield Session(ProgressLines(write), interrupt, None)


def emit_result(result: RunResult, output: Output, invocation: Invocation, print_text: Callable[[], None]) -> bool:
    """Write the report files, then what standard output is to get.

    Returns:
        Whether every file could be written. What was done is told in any case.
    """
    written = [_write(result, path) for path in output.reports]
    with readers_may_leave():
        if output.format == "json":
            from py_image_dedup.report.result_json import as_json

            write_bytes(as_json(result))
        elif not invocation.quiet:
            print_text()
    return all(written)


def _write(result: RunResult, path: Path) -> bool:
    from py_image_dedup.report.text import readable

    try:
        if path.suffix.lower() == ".html":
            from py_image_dedup.report.html import write_page

            write_page(result, path)
        else:
            from py_image_dedup.report.result_json import write_result

            write_result(result, path)
    except OSError as error:
        click.echo(f"Error: {readable(path)} could not be written: {error.strerror or error}", err=True)
        return False
    return True


def print_result(result: RunResult, why_it_stays: WhyItStays | None = None, *, groups: bool = True) -> None:
    """Print a result for a person; without its groups if they were printed already."""
    from py_image_dedup.report.terminal import TerminalReport

    TerminalReport(make_console(), why_it_stays).print(result, groups=groups)


def should_confirm(*, yes: bool) -> bool:
    """Whether there is somebody to ask before files are removed.

    Raises:
        click.UsageError: There is, but the question would go to a file and wait for ever.
    """
    if yes or not sys.stdin.isatty():
        return False
    if not (sys.stderr.isatty() or sys.stdout.isatty()):
        raise click.UsageError("The question before files are removed would not be seen; say --yes to do without it.")
    return True


def ask(
    session: Session, plan: Plan, preview: RunResult, why_it_stays: WhyItStays | None = None, *, to_stderr: bool
) -> bool:
    """Show what will be done and ask once.

    Args:
        session: Its progress bars make room.
        plan: What will be done.
        preview: The same as the result of a dry run.
        why_it_stays: Says why a redundant file is in no plan.
        to_stderr: Standard output is for a program.

    Returns:
        Whether the user wants it; Ctrl-C is a no.
    """
    from py_image_dedup.report.terminal import TerminalReport, plan_words

    if session.bars is not None:
        session.bars.pause()
    with readers_may_leave():
        TerminalReport(make_console(stderr=to_stderr), why_it_stays).print_groups(preview)
    try:
        with session.interrupt.asking():
            agreed = click.confirm(f"{plan_words(plan)}. Do it?", err=sys.stderr.isatty())
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        agreed = False
    if agreed and session.bars is not None:
        session.bars.resume()
    return agreed


def save_result(result: RunResult, settings: Settings) -> bool:
    """Leave ``result.json`` in the folder of the run, if it has come so far as to have one.

    Returns:
        Whether it could be written.
    """
    from py_image_dedup.wiring import runs_directory

    folder = runs_directory(settings) / result.run
    return _write(result, folder / RESULT_NAME) if folder.is_dir() else True


def exit_code(result: RunResult, *, written: bool) -> ExitCode:
    """Return the code that a result asks for.

    Args:
        result: Of the run.
        written: Whether all files about it could be written.
    """
    if result.error or result.interrupted or not written:
        return ExitCode.FAILED
    left = (OutcomeStatus.SKIPPED, OutcomeStatus.FAILED)
    return ExitCode.INCOMPLETE if any(each.status in left for each in result.outcomes) else ExitCode.DONE
