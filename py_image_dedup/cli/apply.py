"""The command ``apply``: carry out a saved plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import PAGER, PICTURES, SUMMARY, YES, output_of, report_options
from py_image_dedup.cli.output import (
    RESULT_NAME,
    Screen,
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


_EXAMPLES = """\b
Examples:
  py-image-dedup apply plan.json --dry-run
  py-image-dedup apply plan.json --yes"""


@click.command(name="apply", epilog=_EXAMPLES)
@click.argument("plan_file", metavar="PLAN", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--decisions",
    "decisions_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Carry out what was decided on the page of the same run, and nothing else of the plan.",
)
@click.option("--dry-run", "-dr", is_flag=True, help="Show what the plan would do, and change nothing.")
@report_options
@SUMMARY
@PICTURES
@PAGER
@YES
@pass_invocation
def apply_command(
    invocation: Invocation,
    /,
    plan_file: Path,
    decisions_file: Path | None,
    *,
    dry_run: bool,
    summary: bool,
    pictures: bool | None,
    pager: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Carry out a saved plan.

    PLAN is the file plan.json of a dry run; actions may be deleted from it. Every file is checked again: a file that
    has changed since the plan was made is skipped. At a terminal, the command shows what it will do and asks once;
    without a terminal it needs --yes.
    """
    from py_image_dedup.removal.serialization import load_plan

    settings = invocation.settings()
    plan = load_plan(plan_file)
    if decisions_file is not None:
        plan = _decided(plan, plan_file, decisions_file, invocation)
    preview = _result(plan, settings, dry_run=True)
    shown = False
    output = output_of(options, settings, summary=summary)
    asks = not dry_run and bool(plan.actions) and should_confirm(yes=yes)
    with progress_session(invocation) as session:
        if asks:
            shown = output.is_text
            if not ask(session, plan, preview, output=output):
                invocation.say("Nothing was changed.")
                return ExitCode.DONE
        result = preview if dry_run else _carry_out(plan, settings, session)
    saved = dry_run or save_result(result, settings)

    def print_text() -> None:
        screen = Screen(pictures, pager)
        print_result(invocation, result, groups=not shown, summary=summary, screen=screen)

    emitted = emit_result(result, output, invocation, print_text)
    if decisions_file is not None and not dry_run:
        _remember(decisions_file, settings)
    if result.interrupted:
        invocation.say("Stopped. Run the same command to continue.")
    if not dry_run and any(outcome.status == "done" for outcome in result.outcomes):
        invocation.say(f"To restore: py-image-dedup undo {result.run}")
    return exit_code(result, session, written=saved and emitted)


def _decided(plan: Plan, plan_file: Path, decisions_file: Path, invocation: Invocation) -> Plan:
    """Return the part of a plan that was decided on its page."""
    from py_image_dedup.report.result_json import load_result
    from py_image_dedup.report.text import readable
    from py_image_dedup.review.decisions import decided_plan, load_decisions
    from py_image_dedup.wiring import removal_of, runs_directory

    settings = invocation.settings()
    decisions = load_decisions(decisions_file)
    beside = plan_file.absolute().with_name(RESULT_NAME)
    result = load_result(beside if beside.exists() else runs_directory(settings) / plan.run / RESULT_NAME)
    decided = decided_plan(plan, result, decisions, removal_of(settings))
    for path, why in decided.left:
        invocation.say(f"Stays: {readable(path)}: {why}")
    return decided.plan


def _remember(decisions_file: Path, settings: Settings) -> None:
    """Store the pictures that are marked as not duplicates, so that no later run offers or removes them."""
    from py_image_dedup.removal.runs import RunLock
    from py_image_dedup.review.decisions import load_decisions, rejections_of, remember

    with RunLock(settings.state_directory):
        remember(rejections_of(load_decisions(decisions_file), datetime.now(UTC)), settings.state_directory)


def _result(plan: Plan, settings: Settings, *, dry_run: bool) -> RunResult:
    """Return the plan as the result of a dry run, with the groups that it was made from if they are known."""
    from py_image_dedup.model.plan import Outcome, OutcomeStatus
    from py_image_dedup.model.result import RunResult
    from py_image_dedup.wiring import matching_of

    return RunResult(
        run=plan.run,
        started=datetime.now(UTC),
        dry_run=dry_run,
        roots=plan.roots,
        max_distance=matching_of(settings).distance_bound,
        groups=_groups(plan, settings),
        outcomes=tuple(Outcome(action, OutcomeStatus.PLANNED, action.target) for action in plan.actions),
        files=len(plan.actions),
    )


def _groups(plan: Plan, settings: Settings) -> tuple[RankedGroup, ...]:
    from py_image_dedup.model.plan import planned_groups
    from py_image_dedup.report.result_json import ResultFileError, load_result
    from py_image_dedup.wiring import runs_directory

    try:
        known = load_result(runs_directory(settings) / plan.run / RESULT_NAME)
    except (ResultFileError, OSError):
        return ()
    return planned_groups(known.groups, plan)


def _carry_out(plan: Plan, settings: Settings, session: Session) -> RunResult:
    """Carry the plan out, and add the groups that it was made from if they are known."""
    from py_image_dedup.wiring import build, build_store

    with build_store(settings) as store:
        work = build(settings, store, observer=session.observer, should_stop=session.interrupt)
        return replace(work.apply(plan), groups=_groups(plan, settings))
