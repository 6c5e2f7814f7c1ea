"""``runs``: list what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from py_image_dedup.cli import streams
from py_image_dedup.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from py_image_dedup.removal.runs import RunSummary


@click.command(name="runs")
@pass_invocation
def command(invocation: Invocation, /) -> None:
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
    with streams.readers_may_leave():
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
