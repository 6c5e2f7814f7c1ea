"""``deduplicate``: all phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import DRY_RUN, FORMAT, MATCHING, MAX_DISTANCE, PROTECT, REPORTS, ROOTS, YES
from py_image_dedup.cli.output import (
    Output,
    Session,
    ask,
    emit_result,
    exit_code,
    print_result,
    progress_session,
    save_result,
    should_confirm,
)

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.model.match import RankedGroup
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.model.result import RunResult
    from py_image_dedup.report.terminal import WhyItStays


@click.command(name="deduplicate")
@ROOTS
@DRY_RUN
@click.option(
    "--skip-analyse-phase", "-sap", is_flag=True, help="Do not read new files; find among those that the index knows."
)
@MATCHING
@MAX_DISTANCE
@click.option(
    "--action",
    type=click.Choice(["auto", "move", "delete", "trash", "hardlink"]),
    help="What happens to redundant files.  [default: auto]",
)
@click.option(
    "--target",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Move redundant files there, each with its path below its root.",
)
@PROTECT
@click.option(
    "--scope", type=click.Choice(["all", "root", "folder"]), help="Among which files duplicates are looked for."
)
@click.option(
    "--remove",
    multiple=True,
    metavar="CLASS",
    type=click.Choice(["identical", "same-pixels", "similar", "partial"]),
    help="A class that may be removed: identical, same-pixels, similar or partial. Again for more.  [default: all but "
    "partial]",
)
@REPORTS
@FORMAT
@YES
@pass_invocation
def deduplicate_command(
    invocation: Invocation,
    /,
    roots: tuple[Path, ...],
    reports: tuple[Path, ...],
    output_format: str,
    *,
    skip_analyse_phase: bool,
    yes: bool,
    **options: Any,
) -> ExitCode:
    """Find duplicates and remove them.

    Of each group one file stays, and it is said why. ROOTs are searched instead of the configured folders, as one
    pool. Without --no-dry-run (or dry_run: false) nothing is changed. A real run started from a terminal shows what
    it will do and asks once.

    Removed files can be brought back with the command undo.
    """
    from py_image_dedup.wiring import build, build_store, roots_of

    settings = _settings(invocation, roots, options)
    folders = roots_of(settings)
    if not folders:
        raise click.UsageError("There is no folder to search: give one, or set analysis.source_directories.")
    stays = _why_it_stays(settings)
    asks = not settings.dry_run and should_confirm(yes=yes)
    with build_store(settings) as store, progress_session(invocation) as session:
        question = _Question(session, stays, to_stderr=output_format == "json")
        deduplicator = build(
            settings,
            store,
            observer=session.observer,
            should_stop=session.interrupt,
            confirm=question if asks else None,
        )
        result = deduplicator.deduplicate(folders, dry_run=settings.dry_run, skip_analyse=skip_analyse_phase)
    recorded = save_result(result, settings)
    published = emit_result(
        result,
        Output(output_format, reports),
        invocation,
        lambda: print_result(result, stays, groups=not question.shown),
    )
    _say_how_to_go_on(invocation, result, settings, refused=question.refused)
    return exit_code(result, written=recorded and published)


def _settings(invocation: Invocation, roots: Sequence[Path], options: dict[str, Any]) -> Settings:
    from py_image_dedup.config.value_types import DIRECTORY

    settings = invocation.settings(
        {
            **roots_on_the_command_line(roots, options["scope"]),
            "dry_run": options["dry_run"],
            "deduplication.matching": options["matching"],
            "deduplication.max_distance": options["max_distance"],
            "deduplication.action": options["action"],
            "deduplication.duplicates_target_directory": options["target"],
            "deduplication.remove": list(options["remove"]) or None,
        }
    )
    # The originals that are protected always stay protected.
    given = (DIRECTORY.read(str(path)) for path in options["protect"])
    protected = (*settings.analysis.protected_directories, *given)
    return replace(settings, analysis=replace(settings.analysis, protected_directories=tuple(dict.fromkeys(protected))))


def _why_it_stays(settings: Settings) -> WhyItStays:
    from py_image_dedup.removal.plan import reason_to_stay
    from py_image_dedup.scan.roots import Ownership
    from py_image_dedup.wiring import removal_of, roots_of

    ownership, options = Ownership(roots_of(settings)), removal_of(settings)
    return lambda group, redundant: reason_to_stay(group, redundant, ownership, options)


class _Question:
    """Shows what a run will do and asks once.

    Attributes:
        shown: The groups are on standard output already.
        refused: The answer was no.
    """

    def __init__(self, session: Session, why_it_stays: WhyItStays, *, to_stderr: bool) -> None:
        self._session = session
        self._why_it_stays = why_it_stays
        self._to_stderr = to_stderr
        self.shown = False
        self.refused = False

    def __call__(self, plan: Plan, groups: Sequence[RankedGroup]) -> bool:
        """Return whether the user wants it."""
        preview = _preview(plan, groups)
        agreed = ask(self._session, plan, preview, self._why_it_stays, to_stderr=self._to_stderr)
        self.shown, self.refused = not self._to_stderr, not agreed
        return agreed


def _preview(plan: Plan, groups: Sequence[RankedGroup]) -> RunResult:
    """The plan as the result of a dry run, to be printed."""
    from py_image_dedup.model.plan import Outcome, OutcomeStatus
    from py_image_dedup.model.result import RunResult

    return RunResult(
        run=plan.run,
        started=datetime.now(UTC),
        dry_run=True,
        roots=plan.roots,
        max_distance=0.0,
        groups=tuple(groups),
        outcomes=tuple(Outcome(action, OutcomeStatus.PLANNED) for action in plan.actions),
    )


def _say_how_to_go_on(invocation: Invocation, result: RunResult, settings: Settings, *, refused: bool) -> None:
    from py_image_dedup.model.plan import OutcomeStatus
    from py_image_dedup.report.text import readable
    from py_image_dedup.wiring import runs_directory

    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
    if result.interrupted:
        invocation.say("Stopped. What was done is kept; the same command goes on from there.")
    if any(outcome.status is OutcomeStatus.DONE for outcome in result.outcomes):
        invocation.say(f"To take it back: py-image-dedup undo {result.run}")
    elif refused:
        invocation.say("Nothing was changed.")
    elif result.outcomes and result.dry_run:
        plan = readable(runs_directory(settings) / result.run / "plan.json")
        invocation.say(f"Nothing was changed. To do it, say --no-dry-run, or: py-image-dedup apply {plan}")
