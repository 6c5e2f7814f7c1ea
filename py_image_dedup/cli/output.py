"""The output of commands that run: progress, the question before removals, reports, and the exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Interrupt, Invocation, make_console, readers_may_leave, write_bytes
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.model.events import Observer, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult

if TYPE_CHECKING:
    from rich.console import Console

    from py_image_dedup.config import Settings
    from py_image_dedup.media.limits import Limits
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.progress.bars import ProgressBars
    from py_image_dedup.report.terminal import Draw, WhyItStays
    from py_image_dedup.report.terminal_pictures import GroupPictures

RESULT_NAME = "result.json"
"""Name of the result file in the folder of a run."""

REPORT_FORMATS = {".json": "json", ".html": "html", ".csv": "csv", ".txt": "lists", ".sh": "script"}
"""The formats of report files, by suffix; a file of the name ``groups.json`` has the format ``groups``."""

GROUPS_NAME = "groups.json"


def report_format(path: Path) -> str | None:
    """Return the format that the name of a report stands for, or ``None``."""
    if path.name.lower() == GROUPS_NAME:
        return "groups"
    return REPORT_FORMATS.get(path.suffix.lower())


@dataclass(frozen=True, slots=True)
class Output:
    """The output that the user wants.

    Attributes:
        format: Format of standard output: ``text`` or ``json``.
        reports: Report files to write.
        summary: Whether to print only the totals.
        report_format: Format of all report files; ``None`` to go by their names.
        thumbnails: Where the thumbnails of HTML reports are: ``embedded`` or ``beside``.
        searched: Returns the raw paths of all files that were searched; ``None`` if they are not known.
        limits: Cost limits of rendering one thumbnail.
        threads: Number of processes that render thumbnails; ``None`` for the number of CPUs.
    """

    format: str = "text"
    reports: tuple[Path, ...] = ()
    summary: bool = False
    report_format: str | None = None
    thumbnails: str = "embedded"
    searched: Callable[[], Iterable[bytes]] | None = None
    limits: Limits | None = None
    threads: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether standard output is for people."""
        return self.format == "text"


@dataclass(frozen=True, slots=True)
class Screen:
    """What a report may use at a terminal.

    Attributes:
        pictures: Whether the first groups are drawn; ``None`` if the terminal can show pictures or colours.
        pager: Whether a report that is longer than the screen goes through the pager.
    """

    pictures: bool | None = None
    pager: bool = True


_TEXT = Output()


def check_reports(ctx: click.Context, param: click.Parameter, value: Sequence[Path]) -> tuple[Path, ...]:
    """Return the report files, or refuse those that cannot be written before an hour of work.

    Raises:
        click.BadParameter: The suffix is not a known format, or the folder does not exist.
    """
    for path in value:
        if report_format(path) is None and not ctx.params.get("report_format"):
            kinds = ", ".join(REPORT_FORMATS)
            raise click.BadParameter(
                f"{click.format_filename(path)} must end with {kinds}, or --format must name its format.", ctx, param
            )
        if not path.absolute().parent.is_dir():
            folder = click.format_filename(path.absolute().parent)
            raise click.BadParameter(f"the folder {folder} does not exist.", ctx, param)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a run at the terminal.

    Attributes:
        observer: Observer of the run, which shows the progress.
        interrupt: Returns whether the user wants the run to stop.
        bars: Progress bars; ``None`` without a terminal.
        color: Whether to use colours; ``None`` to decide by the terminal.
    """

    observer: Observer
    interrupt: Interrupt
    bars: ProgressBars | None
    color: bool | None = None


def _say_nothing(words: str) -> None:
    del words


@contextmanager
def progress_session(invocation: Invocation, removing: str | None = None) -> Iterator[Session]:
    """Show the progress of a run and let Ctrl-C stop it, while the context lasts.

    Args:
        invocation: The global options.
        removing: Title of the phase ``remove``, for commands that do something else with its files.
    """
    color = invocation.color
    if invocation.quiet:
        with Interrupt(_say_nothing) as interrupt:
            yield Session(ignore, interrupt, None, color)
    elif sys.stderr.isatty():
        from py_image_dedup.progress.bars import TITLES, ProgressBars

        console = make_console(color, stderr=True)
        titles = TITLES if removing is None else {**TITLES, Phase.REMOVE: removing}
        with ProgressBars(console, titles) as bars, Interrupt(console.print, bars.stop) as interrupt:
            yield Session(bars, interrupt, bars, color)
    else:
        from py_image_dedup.progress.bars import TITLES, ProgressLines

        def write(line: str) -> None:
            click.echo(line, err=True)

        titles = TITLES if removing is None else {**TITLES, Phase.REMOVE: removing}
        with Interrupt(write) as interrupt:
            yield Session(ProgressLines(write, titles=titles), interrupt, None, color)


def emit_result(result: RunResult, output: Output, invocation: Invocation, print_text: Callable[[], None]) -> bool:
    """Write the report files and standard output.

    Args:
        result: The result of the run.
        output: The output that the user wants.
        invocation: The global options.
        print_text: Prints the report for people.

    Returns:
        Whether all files could be written; standard output is written in any case.
    """
    written = [_write(result, path, output) for path in output.reports]
    with readers_may_leave():
        if output.format == "json":
            from py_image_dedup.report.result_json import json_parts

            write_bytes(json_parts(result))
        elif not invocation.quiet:
            print_text()
    return all(written)


def print_json(value: Mapping[str, Any]) -> None:
    """Print the answer of a command for programs; see ``report.answers_json``."""
    from py_image_dedup.report.answers_json import as_text

    with readers_may_leave():
        write_bytes([as_text(value)])


def _write(result: RunResult, path: Path, output: Output = _TEXT) -> bool:
    from py_image_dedup.report.text import readable

    try:
        _write_report(result, path, output)
    except OSError as error:
        click.echo(f"Error: {readable(path)} could not be written: {error.strerror or error}", err=True)
        return False
    return True


def _write_report(result: RunResult, path: Path, output: Output) -> None:
    kind = output.report_format or report_format(path) or "json"
    if kind == "html":
        from py_image_dedup.report.html import Thumbnails, write_page

        where = Thumbnails(output.thumbnails)
        write_page(result, path, thumbnails=where, limits=output.limits, threads=output.threads)
        return
    if kind == "json":
        from py_image_dedup.report.result_json import write_result

        write_result(result, path)
        return
    from py_image_dedup.report import lists

    if kind == "csv":
        lists.write_table(result, path)
    elif kind == "groups":
        lists.write_groups(result, path)
    elif kind == "script":
        lists.write_script(result, path)
    else:
        lists.write_lists(result, path.parent, output.searched() if output.searched else None)


def print_result(
    invocation: Invocation,
    result: RunResult,
    why_it_stays: WhyItStays | None = None,
    *,
    groups: bool = True,
    summary: bool = False,
    quarantine_days: float | None = None,
    screen: Screen | None = None,
) -> None:
    """Print a result for people.

    Args:
        invocation: The global options.
        result: The result of the run.
        why_it_stays: Returns why a redundant file is not removed.
        groups: Whether to print the groups; false if they were printed before.
        summary: Whether to print only the totals.
        quarantine_days: The age at which quarantined files are deleted, in days.
        screen: Whether pictures and a pager are used at a terminal.
    """
    from py_image_dedup.report.terminal import TerminalReport

    console = make_console(invocation.color)
    if summary:
        TerminalReport(console, quarantine_days=quarantine_days).print_totals(result)
        return
    screen = screen or Screen()

    def report(to: Console, draw: Draw | None = None) -> None:
        TerminalReport(to, why_it_stays, quarantine_days=quarantine_days, draw=draw).print(result, groups=groups)

    with _pictures(result if groups else None, console, screen) as pictures:
        if screen.pager and console.is_terminal and sys.stdout.isatty() and has_pager():
            text = _as_text(console, report)
            if text.count("\n") >= console.height:
                # A pager passes on colours, and no pictures of other kinds.
                draw = pictures if pictures is not None and pictures.is_text else None
                click.echo_via_pager(text if draw is None else _as_text(console, lambda to: report(to, draw.draw)))
                return
        report(console, None if pictures is None else pictures.draw)


def has_pager() -> bool:
    """Return whether long output goes through a pager; ``PAGER=cat`` or an empty one means that it does not."""
    return os.environ.get("PAGER", "less").strip() not in {"", "cat"} and os.environ.get("TERM", "dumb") != "dumb"


def _as_text(like: Console, report: Callable[[Console], None]) -> str:
    """Return what a report prints, with the width and the colours of a console."""
    from rich.console import Console

    text = io.StringIO()
    report(
        Console(
            file=text,
            width=like.width,
            force_terminal=True,
            no_color=like.no_color,
            highlight=False,
            markup=False,
            emoji=False,
        )
    )
    return text.getvalue()


@contextmanager
def _pictures(result: RunResult | None, console: Console, screen: Screen) -> Iterator[GroupPictures | None]:
    """Yield what draws groups; ``None`` without a terminal that can show pictures, or without groups."""
    shows = screen.pictures is not False and sys.stdout.isatty() and console.is_terminal
    if not shows or result is None or not result.groups or os.environ.get("TERM", "dumb") == "dumb":
        yield None
        return
    from py_image_dedup.report.terminal_pictures import (
        GroupPictures,
        Protocol,
        ask_terminal,
        can_show_colours,
        cell_size,
        protocol_of,
    )

    protocol = protocol_of(os.environ, ask_terminal)
    coloured = can_show_colours(os.environ) and not console.no_color
    if protocol is Protocol.BLOCKS and not screen.pictures and not coloured:
        yield None
        return
    with GroupPictures(protocol, console.width, cell_size()) as pictures:
        yield pictures


def should_confirm(*, yes: bool) -> bool:
    """Return whether to ask the user before files are removed.

    Raises:
        click.UsageError: There is no terminal to ask at, and no ``--yes``.
    """
    if yes:
        return False
    if not sys.stdin.isatty() or not (sys.stderr.isatty() or sys.stdout.isatty()):
        raise click.UsageError("Not a terminal: use --yes to confirm.")
    return True


def ask(
    session: Session, plan: Plan, preview: RunResult, why_it_stays: WhyItStays | None = None, output: Output = _TEXT
) -> bool:
    """Show what a plan does and ask once.

    Args:
        session: The session, whose progress bars pause.
        plan: The plan.
        preview: The plan as the result of a dry run.
        why_it_stays: Returns why a redundant file is not removed.
        output: The output that the user wants; with ``json`` the groups are printed to standard error.

    Returns:
        Whether the user agrees; Ctrl-C means no.
    """
    from py_image_dedup.report.terminal import TerminalReport, plan_words

    if session.bars is not None:
        session.bars.pause()
    if not output.summary:
        with readers_may_leave():
            TerminalReport(make_console(session.color, stderr=not output.is_text), why_it_stays).print_groups(preview)
    try:
        with session.interrupt.asking():
            agreed = click.confirm(f"{plan_words(plan)}. Continue?", err=sys.stderr.isatty())
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        agreed = False
    if agreed and session.bars is not None:
        session.bars.resume()
    return agreed


def save_result(result: RunResult, settings: Settings) -> bool:
    """Write ``result.json`` to the folder of the run, if the run has come far enough to have one.

    Returns:
        Whether the file could be written.
    """
    from py_image_dedup.wiring import runs_directory

    folder = runs_directory(settings) / result.run
    return _write(result, folder / RESULT_NAME) if folder.is_dir() else True


def exit_code(result: RunResult, session: Session, *, written: bool) -> int:
    """Return the exit code of a run.

    Args:
        result: The result of the run.
        session: The session of the run, which knows the signal that stopped it.
        written: Whether all files about the run could be written.
    """
    if result.error or not written:
        return ExitCode.FAILED
    if result.interrupted:
        return session.interrupt.exit_code
    left = (OutcomeStatus.SKIPPED, OutcomeStatus.FAILED)
    return ExitCode.INCOMPLETE if any(each.status in left for each in result.outcomes) else ExitCode.DONE
