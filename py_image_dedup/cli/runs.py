"""``runs``: list what was done."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.output import Session, progress_session

if TYPE_CHECKING:
    from py_image_dedup.model.plan import Outcome
    from py_image_dedup.removal.runs import RunSummary


@click.command(name="runs")
@pass_invocation
def runs_command(invocation: Invocation, /) -> None:
    """List the runs and what they did, the oldest first.

    A name can be given to the command undo. The folder runs/NAME in the state directory has the plan, the journal and
    the result of a run.
    """
    from py_image_dedup.removal.runs import list_runs
    from py_image_dedup.report.text import readable

    settings = invocation.settings()
    runs = list_runs(settings.state_directory)
    if not runs:
        invocation.say("There was no run yet.")
    with readers_may_leave():
        for run in runs:
            when = run.when.astimezone().strftime("%Y-%m-%d %H:%M")
            click.echo(f"{readable(run.run)}  {when}  {run_words(run)}")
            if run.problem:
                click.echo(f"  {readable(run.problem)}")


def run_words(run: RunSummary) -> str:
    """Return what a run did, in words."""
    from py_image_dedup.report.text import count_words

    if run.dry_run:
        return f"dry run, {count_words(run.planned, 'file')} to remove" if run.planned else "dry run, nothing to remove"
    words = [f"{count:,} {status.value}" for status, count in sorted(run.counts.items())] or ["nothing done"]
    if run.is_undone:
        words.append("all brought back")
    elif run.undone:
        words.append(f"{run.undone:,} brought back")
    if run.expired:
        words.append(f"{run.expired:,} deleted from quarantine")
    if run.interrupted:
        words.append("not finished")
    return ", ".join(words)


@click.command(name="undo")
@click.argument("run", required=False, metavar="[RUN]")
@pass_invocation
def undo_command(invocation: Invocation, /, run: str | None) -> ExitCode:
    """Bring back what a run removed.

    That is the last run that removed anything, or the RUN of that name; the command runs lists them. Each file is
    put back where it was, with its times. Nothing is overwritten; a file that cannot be brought back is named with
    the reason.
    """
    from py_image_dedup.removal.runs import RunLock, list_runs

    settings = invocation.settings()
    chosen = _choose(list_runs(settings.state_directory), run)
    if chosen is None:
        invocation.say("There is no run that removed anything and was not taken back.")
        return ExitCode.DONE
    with RunLock(settings.state_directory), progress_session(invocation) as session:
        outcomes = _undo(chosen, session)
    if not invocation.quiet:
        with readers_may_leave():
            _print(chosen, outcomes)
    if session.interrupt():
        invocation.say("Stopped. The same command goes on from there.")
        return ExitCode.FAILED
    return ExitCode.INCOMPLETE if any(outcome.status == "failed" for outcome in outcomes) else ExitCode.DONE


def _choose(runs: Sequence[RunSummary], name: str | None) -> RunSummary | None:
    """The run of this name, or the last one that there is something to take back of.

    Raises:
        click.UsageError: There is no run of this name, or it was a dry one.
    """
    if name is None:
        real = (run for run in reversed(runs) if not run.dry_run and not run.is_undone)
        return next((run for run in real if run.interrupted or any(run.counts.values())), None)
    found = next((run for run in runs if run.run == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [run.run for run in runs], n=1)
        hint = f" Did you mean {near[0]}?" if near else " The command runs lists them."
        raise click.UsageError(f"There is no run {click.format_filename(name)}.{hint}")
    if found.dry_run:
        raise click.UsageError(f"The run {found.run} was a dry one and changed nothing.")
    return found


def _undo(run: RunSummary, session: Session) -> tuple[Outcome, ...]:
    from py_image_dedup.model.events import PhaseFinished, PhaseStarted
    from py_image_dedup.model.failure import Phase
    from py_image_dedup.model.plan import OutcomeStatus
    from py_image_dedup.model.result import PhaseSummary
    from py_image_dedup.removal.undo import undo

    session.observer(PhaseStarted(Phase.REMOVE, run.counts.get(OutcomeStatus.DONE)))
    outcomes = undo(run.directory, observer=session.observer, should_stop=session.interrupt)
    session.observer(PhaseFinished(PhaseSummary(Phase.REMOVE, 0.0)))
    return outcomes


def _print(run: RunSummary, outcomes: Sequence[Outcome]) -> None:
    from py_image_dedup.report.text import count_words, readable

    back = [outcome for outcome in outcomes if outcome.status == "done"]
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    for outcome in back:
        click.echo(f"  brought back  {readable(outcome.action.source.path)}")
    for outcome in failed:
        click.echo(f"  FAILED        {readable(outcome.action.source.path)}")
        click.echo(f"                {readable(outcome.message)}")
    click.echo(f"{count_words(len(back), 'file')} of the run {run.run} brought back")
    if failed:
        click.echo(f"{count_words(len(failed), 'file')} could not be brought back")
    rest = len(outcomes) - len(back) - len(failed)
    if rest:
        click.echo(f"{count_words(rest, 'file')} needed nothing")
