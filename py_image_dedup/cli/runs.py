"""The commands on earlier runs: list them, show one, verify one (or folders), and undo one or some of its files."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import (
    FORMAT,
    complete_runs,
    folders_to_search,
    search_options,
    search_settings,
    searched,
)
from py_image_dedup.cli.output import Session, print_json, progress_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_image_dedup.api.damage import Damages
    from py_image_dedup.model.plan import Outcome
    from py_image_dedup.removal.journal import Entry
    from py_image_dedup.removal.runs import RunSummary


_RUNS_EXAMPLES = """\b
Examples:
  py-image-dedup runs                         lists them
  py-image-dedup runs show 2026-04-01T12-00-00-000Z    shows what became of each file
  py-image-dedup runs verify 2026-04-01T12-00-00-000Z  checks them on the disk"""


@click.group(name="runs", invoke_without_command=True, epilog=_RUNS_EXAMPLES)
@FORMAT
@click.pass_context
def runs_command(ctx: click.Context, /, output_format: str) -> None:
    """List the runs and what they did, the oldest first.

    Other commands take the name of a run: runs show, undo and verify. The folder runs/NAME in the state directory has
    the plan, the journal and the result of a run.
    """
    if ctx.invoked_subcommand is None:
        invocation = ctx.find_object(Invocation)
        if invocation is not None:
            _list(invocation, output_format)


def _list(invocation: Invocation, output_format: str) -> None:
    from py_image_dedup.removal.runs import list_runs
    from py_image_dedup.report.text import readable

    runs = list_runs(invocation.settings().state_directory)
    if output_format == "json":
        from py_image_dedup.report.answers_json import run_fields

        print_json({"runs": [run_fields(run) for run in runs]})
        return
    if not runs:
        invocation.say("There are no runs yet.")
    with readers_may_leave():
        for run in runs:
            when = run.when.astimezone().strftime("%Y-%m-%d %H:%M")
            click.echo(f"{readable(run.run)}  {when}  {run_text(run)}")
            if run.problem:
                click.echo(f"  {readable(run.problem)}")


def run_text(run: RunSummary) -> str:
    """Return what a run did: ``12 done, 3 of them permanently deleted from quarantine``."""
    from py_image_dedup.report.text import count_words

    if run.dry_run:
        return f"dry run, {count_words(run.planned, 'file')} to remove" if run.planned else "dry run, nothing to remove"
    parts = [f"{count:,} {status.value}" for status, count in sorted(run.counts.items())]
    if run.is_undone:
        parts.append("all restored")
    elif run.undone:
        parts.append(f"{run.undone:,} restored")
    if run.expired:
        parts.append(f"{run.expired:,} expired in quarantine since")
    if run.deleted_from_quarantine:
        parts.append(f"{count_words(run.deleted_from_quarantine, 'file')} permanently deleted from quarantine")
    if run.interrupted:
        parts.append("not finished")
    return ", ".join(parts) or "nothing done"


_SHOW_EXAMPLES = """\b
Examples:
  py-image-dedup runs show 2026-04-01T12-00-00-000Z
  py-image-dedup runs show 2026-04-01T12-00-00-000Z --output json"""


@runs_command.command(name="show", epilog=_SHOW_EXAMPLES)
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@FORMAT
@pass_invocation
def show_command(invocation: Invocation, /, run: str, output_format: str) -> None:
    """Show what a run did, file by file.

    Each file is listed with what was done with it, where it is now, and the keeper that it was removed for. Of a dry
    run its plan is shown.
    """
    from py_image_dedup.removal.journal import read_history
    from py_image_dedup.removal.runs import list_runs
    from py_image_dedup.removal.serialization import PLAN_NAME, load_plan
    from py_image_dedup.report.text import readable

    chosen = _named(list_runs(invocation.settings().state_directory), run)
    history = read_history(chosen.directory)
    plan_path = chosen.directory / PLAN_NAME
    begun = {entry.action.number for entry in history.entries.values()}
    planned = load_plan(plan_path).actions if plan_path.exists() else ()
    if output_format == "json":
        from py_image_dedup.report.answers_json import entry_fields, path_fields, run_fields

        files = [entry_fields(entry) for _, entry in sorted(history.entries.items())]
        waiting = [path_fields(action.source.path) for action in planned if action.number not in begun]
        print_json({**run_fields(chosen), "files": files, "not_begun": waiting})
        return
    with readers_may_leave():
        when = chosen.when.astimezone().strftime("%Y-%m-%d %H:%M")
        click.echo(f"{readable(chosen.run)}  {when}  {run_text(chosen)}")
        for _, entry in sorted(history.entries.items()):
            for line in entry_lines(entry):
                click.echo(readable(line))
        for action in planned:
            if action.number not in begun:
                status = "planned" if chosen.dry_run else "not done"
                click.echo(readable(f"  {f'{status}: {action.kind.value}':<22}{action.source.path}"))
                click.echo(readable(f"{'':<24}keeper {action.keeper.path}"))


def entry_lines(entry: Entry) -> Iterator[str]:
    """Yield the lines about one file of a run: what was done, where it is, its keeper, and why it was not done."""
    from py_image_dedup.removal.journal import State
    from py_image_dedup.report.text import PARTICIPLES

    action = entry.action
    done = PARTICIPLES[action.kind]
    texts = {
        State.INTENDED: f"{action.kind.value}: begun",
        State.DONE: done,
        State.SKIPPED: f"{action.kind.value}: not done",
        State.UNDOING: f"{done}, undo begun",
        State.UNDONE: f"{done}, restored",
        State.EXPIRING: f"{done}, expiring",
        State.EXPIRED: f"{done}, expired",
    }
    text = f"{done}, expired" if entry.expired else texts[entry.state]
    yield f"  {text:<22}{action.source.path}"
    if entry.state is State.DONE and entry.location is not None and not entry.expired:
        yield f"{'':<24}now {entry.location}"
    if action.quarantined is not None:
        yield f"{'':<24}it was {action.quarantined.path}, removed by {action.quarantined.run}"
    yield f"{'':<24}{action.match_class.value} to the keeper {action.keeper.path}"
    if entry.message:
        yield f"{'':<24}{entry.message}"


_VERIFY_RUN_EXAMPLES = """\b
Examples:
  py-image-dedup runs verify 2026-04-01T12-00-00-000Z"""


@runs_command.command(name="verify", epilog=_VERIFY_RUN_EXAMPLES)
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@pass_invocation
def runs_verify_command(invocation: Invocation, /, run: str) -> int:
    """Check that the files of a run are where its journal says and that its keepers are whole.

    The same as the command verify.
    """
    return verify_run_of(invocation, run)


def verify_run_of(invocation: Invocation, run: str) -> int:
    """Check the files of a run and print what is wrong; return the exit code."""
    from py_image_dedup.model.events import PhaseFinished, PhaseStarted
    from py_image_dedup.model.failure import Phase
    from py_image_dedup.model.result import PhaseSummary
    from py_image_dedup.removal.recovery import verify_run
    from py_image_dedup.removal.runs import list_runs
    from py_image_dedup.report.text import count_words, readable

    chosen = _real(_named(list_runs(invocation.settings().state_directory), run))
    with progress_session(invocation, "Verifying") as session:
        session.observer(PhaseStarted(Phase.REMOVE, sum(chosen.counts.values())))
        findings = verify_run(chosen.directory, observer=session.observer, should_stop=session.interrupt)
        session.observer(PhaseFinished(PhaseSummary(Phase.REMOVE, 0.0)))
    problems = [problem for finding in findings for problem in finding.problems]
    with readers_may_leave():
        for problem in problems:
            click.echo(f"  {readable(problem)}")
        if not invocation.quiet:
            checked = count_words(len(findings), "file")
            click.echo(f"{checked} of the run {readable(chosen.run)} checked, {count_words(len(problems), 'problem')}")
    if session.interrupt():
        return session.interrupt.exit_code
    return ExitCode.FAILED if problems else ExitCode.DONE


_UNDO_EXAMPLES = """\b
Examples:
  py-image-dedup undo --dry-run         shows what the last run would get back
  py-image-dedup undo                   restores the files of the last run
  py-image-dedup undo 2026-04-01T12-00-00-000Z   those of another run
  py-image-dedup undo ~/Pictures/a.jpg  one file"""


@click.command(name="undo", epilog=_UNDO_EXAMPLES)
@click.argument("targets", nargs=-1, metavar="[RUN] [FILE ...]", shell_complete=complete_runs)
@click.option("--dry-run", "-dr", is_flag=True, help="Show what would be restored.")
@FORMAT
@pass_invocation
def undo_command(invocation: Invocation, /, targets: tuple[str, ...], output_format: str, *, dry_run: bool) -> int:
    """Restore what a run removed.

    Without arguments that is the last run that removed anything; the command runs lists them. FILEs are paths that
    files had before a run removed them, or have now in quarantine or in the target directory: only these are
    restored. Each file is put back where it was, with its times. Nothing is overwritten; a file that cannot be
    restored is named with the reason. What was deleted from the quarantine cannot be restored.
    """
    from py_image_dedup.removal.runs import RunLock, list_runs

    settings = invocation.settings()
    chosen = _choose(list_runs(settings.state_directory), targets)
    restored: list[tuple[RunSummary, Sequence[Outcome]]] = []

    def take(run: RunSummary, outcomes: Sequence[Outcome]) -> None:
        restored.append((run, outcomes))
        if output_format == "text" and not invocation.quiet:
            with readers_may_leave():
                print_restored(run.run, outcomes)

    stopped: int | None = None
    if not chosen:
        invocation.say("Nothing to undo.")
    elif dry_run:
        for each in chosen:
            take(each.run, _preview(each))
    else:
        with RunLock(settings.state_directory), progress_session(invocation, "Restoring") as session:
            for each in chosen:
                if not session.interrupt():
                    take(each.run, _undo(each, session))
        stopped = session.interrupt.exit_code if session.interrupt() else None
    if output_format == "json":
        from py_image_dedup.report.answers_json import undone

        print_json(undone((run.run, outcomes) for run, outcomes in restored))
    if stopped is not None:
        invocation.say("Stopped. Run the same command to continue.")
        return stopped
    failed = any(outcome.status == "failed" for _, outcomes in restored for outcome in outcomes)
    return ExitCode.INCOMPLETE if failed else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Choice:
    """A run to undo; with ``only``, nothing but some of its files."""

    run: RunSummary
    only: frozenset[Path] | None = None


def _choose(runs: Sequence[RunSummary], targets: Sequence[str]) -> list[_Choice]:
    """Return the runs to undo: one by name, those of some files, or the last one that can be undone.

    Raises:
        click.UsageError: There is no run of this name, it was a dry run, or no run removed a file.
    """
    if not targets:
        real = (run for run in reversed(runs) if not run.dry_run and not run.is_undone)
        last = next((run for run in real if run.interrupted or any(run.counts.values())), None)
        return [] if last is None else [_Choice(last)]
    named = next((run for run in runs if run.run == targets[0]), None)
    paths = [Path(os.path.abspath(each)) for each in (targets if named is None else targets[1:])]  # noqa: PTH100 - keeps links
    if named is not None:
        named = _real(named)
        return [_Choice(named, _files_of(named, paths) if paths else None)]
    if len(targets) == 1 and os.sep not in targets[0] and not _runs_with(runs, paths):
        _named(runs, targets[0])  # it is no file of a run either: name the nearest run
    by_run = _runs_with(runs, paths)
    missing = [path for path in paths if path not in {path for found in by_run.values() for path in found}]
    if missing:
        raise click.UsageError(f"No run removed {click.format_filename(missing[0])}.")
    return [_Choice(run, frozenset(by_run[run.run])) for run in runs if run.run in by_run]


def _runs_with(runs: Sequence[RunSummary], paths: Sequence[Path]) -> dict[str, set[Path]]:
    """Return the files that can be restored, by the last run that removed them."""
    from py_image_dedup.removal.journal import JournalError, State, read_history

    found: dict[str, set[Path]] = {}
    left = set(paths)
    for run in reversed(runs):
        if run.dry_run or not left:
            continue
        try:
            entries = read_history(run.directory).entries.values()
        except JournalError:
            continue
        for entry in entries:
            here = left & {entry.action.source.path, entry.location}
            if here and entry.state not in {State.SKIPPED, State.UNDONE}:
                found.setdefault(run.run, set()).update(here)
        left -= found.get(run.run, set())
    return found


def _files_of(run: RunSummary, paths: Sequence[Path]) -> frozenset[Path]:
    from py_image_dedup.removal.journal import read_history

    entries = read_history(run.directory).entries.values()
    known = {path for entry in entries for path in (entry.action.source.path, entry.location)}
    for path in paths:
        if path not in known:
            raise click.UsageError(f"The run {run.run} did not remove {click.format_filename(path)}.")
    return frozenset(paths)


def _named(runs: Sequence[RunSummary], name: str) -> RunSummary:
    """Return the run of this name.

    Raises:
        click.UsageError: There is none.
    """
    found = next((run for run in runs if run.run == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [run.run for run in runs], n=1)
        hint = f" Did you mean {near[0]}?" if near else " The command runs lists them."
        raise click.UsageError(f"There is no run {click.format_filename(name)}.{hint}")
    return found


def _real(run: RunSummary) -> RunSummary:
    if run.dry_run:
        raise click.UsageError(f"The run {run.run} was a dry run and changed nothing.")
    return run


def _preview(chosen: _Choice) -> tuple[Outcome, ...]:
    from py_image_dedup.removal.undo import undo

    return undo(chosen.run.directory, only=chosen.only, dry_run=True)


def _undo(chosen: _Choice, session: Session) -> tuple[Outcome, ...]:
    from py_image_dedup.model.events import PhaseFinished, PhaseStarted
    from py_image_dedup.model.failure import Phase
    from py_image_dedup.model.plan import OutcomeStatus
    from py_image_dedup.model.result import PhaseSummary
    from py_image_dedup.removal.undo import undo

    total = chosen.run.counts.get(OutcomeStatus.DONE) if chosen.only is None else len(chosen.only)
    session.observer(PhaseStarted(Phase.REMOVE, total))
    outcomes = undo(chosen.run.directory, only=chosen.only, observer=session.observer, should_stop=session.interrupt)
    session.observer(PhaseFinished(PhaseSummary(Phase.REMOVE, 0.0)))
    return outcomes


def print_restored(run: str, outcomes: Sequence[Outcome]) -> None:
    """Print which files of a run were restored, or would be, and why others were not."""
    from py_image_dedup.model.plan import ActionKind
    from py_image_dedup.report.text import count_words, readable

    verbs = {"done": "restored", "planned": "to restore", "failed": "FAILED"}
    for status in ("done", "planned", "failed"):
        for outcome in outcomes:
            if outcome.status == status:
                click.echo(f"  {verbs[status]:<12}{readable(outcome.action.source.path)}")
                if outcome.message:
                    click.echo(f"  {'':<12}{readable(outcome.message)}")
    counts = Counter(outcome.status.value for outcome in outcomes)
    lost = sum(outcome.action.kind is ActionKind.EXPIRE for outcome in outcomes)
    of_run = f"of the run {readable(run)}"
    if counts["planned"]:
        click.echo(f"{count_words(counts['planned'], 'file')} {of_run} would be restored")
    if counts["done"] or not counts["planned"]:
        click.echo(f"{count_words(counts['done'], 'file')} {of_run} restored")
    if counts["failed"]:
        click.echo(f"{count_words(counts['failed'], 'file')} could not be restored")
    if lost:
        click.echo(f"{count_words(lost, 'file')} permanently deleted from quarantine, which cannot be undone")
    if counts["skipped"] > lost:
        click.echo(f"{count_words(counts['skipped'] - lost, 'file')} unchanged")


_VERIFY_EXAMPLES = """\b
Examples:
  py-image-dedup verify ~/Pictures              finds damaged pictures
  py-image-dedup verify ~/Pictures /mnt/backup  compares them with their copies too
  py-image-dedup verify 2026-04-01T12-00-00-000Z         checks the files of a run"""


@click.command(name="verify", short_help="Find damaged pictures, or check a run.", epilog=_VERIFY_EXAMPLES)
@click.argument("targets", nargs=-1, required=True, metavar="RUN | FOLDER ...", shell_complete=complete_runs)
@search_options
@pass_invocation
def verify_command(invocation: Invocation, /, targets: tuple[str, ...], **options: Any) -> int:
    """Find damaged pictures in folders, or check the files of a run.

    With FOLDERs, every picture is read: one that is cut off, overwritten with zeros or partly grey is listed, and so is
    one whose bytes changed while its size and date did not. The index, and copies in the same FOLDERs, reveal that.

    With the name of a RUN, as the command runs lists it, its files must be where its journal says, and its keepers
    whole.

    Nothing is changed. The exit code is 1 if anything is damaged or missing.
    """
    folders = [target for target in targets if os.sep in target or Path(target).is_dir()]
    if folders:
        missing = next((target for target in targets if not Path(target).is_dir()), None)
        if missing is not None:
            raise click.UsageError(f"{click.format_filename(missing)} is not a folder.")
        return _verify_folders(invocation, [Path(folder) for folder in folders], options)
    if len(targets) > 1:
        raise click.UsageError("Give one run, or folders.")
    return verify_run_of(invocation, targets[0])


def _verify_folders(invocation: Invocation, folders: Sequence[Path], options: dict[str, Any]) -> int:
    from py_image_dedup.wiring import build, build_store

    given = {**roots_on_the_command_line(folders, None), **search_settings(options)}
    settings = searched(invocation.settings(given), options)
    roots = folders_to_search(settings)
    with build_store(settings) as store, progress_session(invocation) as session:
        deduplicator = build(settings, store, observer=session.observer, should_stop=session.interrupt)
        damages = deduplicator.find_damage(roots)
    with readers_may_leave():
        _print_damages(damages, invocation)
    if session.interrupt():
        return session.interrupt.exit_code
    return ExitCode.FAILED if damages.found else ExitCode.DONE


def _print_damages(damages: Damages, invocation: Invocation) -> None:
    from py_image_dedup.report.text import count_words, readable

    for damage in damages.found:
        click.echo(f"{readable(damage.path)}")
        click.echo(f"  {damage.kind.value}: {readable(damage.message)}")
        if damage.copy is not None:
            click.echo(f"  compare with {readable(damage.copy)}")
    if not invocation.quiet:
        checked, count = count_words(damages.files, "picture"), len(damages.found)
        click.echo(f"{checked} read, {count:,} damaged" if count else f"{checked} read, none damaged")
