"""The command ``quarantine``: list the removed files that wait there, restore them, or delete them for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import FOLDER, FORMAT, YES
from py_image_dedup.cli.output import (
    Output,
    Session,
    ask,
    emit_result,
    exit_code,
    print_json,
    print_result,
    progress_session,
    save_result,
    should_confirm,
)
from py_image_dedup.cli.runs import print_restored

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.model.plan import Outcome, Plan
    from py_image_dedup.model.result import RunResult
    from py_image_dedup.removal.quarantine import CopiesInIndex, Expiry, InQuarantine

_ROOTS = click.argument("roots", nargs=-1, metavar="[ROOT ...]", type=FOLDER)


_QUARANTINE_EXAMPLES = """\b
Examples:
  py-image-dedup quarantine list                      shows what waits there
  py-image-dedup quarantine restore ~/Pictures/a.jpg  puts a file back
  py-image-dedup quarantine purge --older-than 7      asks, then deletes for ever"""


@click.group(name="quarantine", short_help="Show, restore or purge removed files.", epilog=_QUARANTINE_EXAMPLES)
def quarantine_command() -> None:
    """List, restore or permanently delete removed files that wait in quarantine.

    Each root has its quarantine in the folder .py-image-dedup-quarantine. It has its own records and can be listed and
    restored when the state directory is lost. A run deletes files for ever when they are older than
    deduplication.quarantine_days.
    """


_LIST_EXAMPLES = """\b
Examples:
  py-image-dedup quarantine list
  py-image-dedup quarantine list ~/Pictures --output json"""


@quarantine_command.command(name="list", epilog=_LIST_EXAMPLES)
@_ROOTS
@FORMAT
@pass_invocation
def list_command(invocation: Invocation, /, roots: tuple[Path, ...], output_format: str) -> None:
    """List the files in quarantine: where each was, since when, and its size.

    Without ROOTs the folders of the configuration and of all earlier runs are searched.
    """
    from py_image_dedup.report.text import count_words, readable, size_words

    files = _waiting(invocation.settings(), roots)
    if output_format == "json":
        from py_image_dedup.report.answers_json import quarantined_fields

        print_json({"files": [quarantined_fields(one) for one in files]})
        return
    with readers_may_leave():
        for one in files:
            since = "no record" if one.since is None else one.since.astimezone().strftime("%Y-%m-%d")
            click.echo(readable(one.path))
            click.echo(f"    {since}; {size_words(one.size)}; run {readable(one.run)}; it was {readable(one.original)}")
        if not invocation.quiet:
            total = size_words(sum(one.size for one in files))
            click.echo(f"{count_words(len(files), 'file')} in quarantine, {total}")


_RESTORE_EXAMPLES = """\b
Examples:
  py-image-dedup quarantine restore ~/Pictures/a.jpg  by the path that it had"""


@quarantine_command.command(name="restore", epilog=_RESTORE_EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE ...", type=click.Path(path_type=Path))
@FORMAT
@pass_invocation
def restore_command(invocation: Invocation, /, files: tuple[Path, ...], output_format: str) -> int:
    """Put files back where they were.

    FILE is the path that a file had, or the one that it has in quarantine. Nothing is overwritten.
    """
    from py_image_dedup.model.plan import QUARANTINE_NAME
    from py_image_dedup.removal.quarantine import adopt, digest_at, restore_without_record
    from py_image_dedup.removal.runs import RunLock
    from py_image_dedup.removal.undo import remember_restored, undo
    from py_image_dedup.wiring import runs_directory

    settings = invocation.settings()
    wanted = [Path(os.path.abspath(path)) for path in files]  # noqa: PTH100 - keeps links
    near = [folder for path in wanted for folder in path.parents if (folder / QUARANTINE_NAME).is_dir()]
    known = _waiting(settings, (), near)
    chosen = [_find(path, known) for path in wanted]
    as_text = output_format == "text"
    undone_runs: list[tuple[str, Sequence[Outcome]]] = []
    without_record: list[tuple[InQuarantine, str | None]] = []
    with RunLock(settings.state_directory):
        adopt(chosen, runs_directory(settings))
        for run in dict.fromkeys(one.run for one in chosen if one.entry is not None):
            only = {one.path for one in chosen if one.run == run}
            outcomes = undo(runs_directory(settings) / run, only=only)
            undone_runs.append((run, outcomes))
            if as_text and not invocation.quiet:
                print_restored(run, outcomes)
        for one in chosen:
            if one.entry is None:
                with suppress(OSError):  # then it cannot be restored either
                    remember_restored(settings.state_directory, [(one.original, digest_at(one.path))])
                problem = restore_without_record(one)
                without_record.append((one, problem))
                if as_text:
                    _say_restored(one, problem, invocation)
    if not as_text:
        from py_image_dedup.report.answers_json import restored

        print_json(restored(undone_runs, without_record))
    failed = any(outcome.status == "failed" for _, outcomes in undone_runs for outcome in outcomes)
    failed |= any(problem is not None for _, problem in without_record)
    return ExitCode.INCOMPLETE if failed else ExitCode.DONE


def _say_restored(one: InQuarantine, problem: str | None, invocation: Invocation) -> None:
    from py_image_dedup.report.text import readable

    if problem is not None:
        click.echo(f"  FAILED      {readable(problem)}")
    elif not invocation.quiet:
        click.echo(f"  restored    {readable(one.original)}")


def _find(path: Path, known: Sequence[InQuarantine]) -> InQuarantine:
    """Return the file in quarantine that is, or was, at a path; of several the one that came there last."""
    found = [one for one in known if path in (one.path, one.original)]
    if not found:
        raise click.UsageError(f"{click.format_filename(path)} is not in quarantine; quarantine list shows what is.")
    return max(found, key=lambda one: (one.path == path, one.run))


_PURGE_EXAMPLES = """\b
Examples:
  py-image-dedup quarantine purge                       what is older than quarantine_days
  py-image-dedup quarantine purge --older-than 0 --yes  everything, unasked"""


@quarantine_command.command(name="purge", epilog=_PURGE_EXAMPLES)
@_ROOTS
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="DAYS",
    help="Delete only files that have been there for more days than this.  [default: 0]",
)
@click.option("--dry-run", "-dr", is_flag=True, help="Show what would be deleted.")
@FORMAT
@YES
@pass_invocation
def purge_command(
    invocation: Invocation,
    /,
    roots: tuple[Path, ...],
    older_than: float,
    output_format: str,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Permanently delete files from the quarantine.

    A file is deleted only if its keeper, or another copy of it or of its keeper, still exists; others are kept and
    listed. Without ROOTs the folders of the configuration and of all earlier runs are searched. At a terminal the
    command shows what it will do and asks once; without a terminal it needs --yes.
    """
    settings = invocation.settings()
    output = Output(output_format)
    asks = not dry_run and should_confirm(yes=yes)
    expiry = _expiry(settings, roots, timedelta(days=older_than))
    preview = _result(expiry, dry_run=True)
    if not expiry.plan.actions:
        emit_result(preview, output, invocation, lambda: print_result(invocation, preview))
        invocation.say("Nothing was deleted.")
        return ExitCode.DONE
    with progress_session(invocation) as session:
        if asks and not ask(session, expiry.plan, preview, output=output):
            invocation.say("Nothing was deleted.")
            return ExitCode.DONE
        result = preview if dry_run else _delete(expiry, settings, session)
    saved = dry_run or save_result(result, settings)
    emitted = emit_result(result, output, invocation, lambda: print_result(invocation, result, groups=not asks))
    return exit_code(result, session, written=saved and emitted)


def _expiry(settings: Settings, roots: Sequence[Path], older_than: timedelta) -> Expiry:
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.removal.quarantine import plan_expiry
    from py_image_dedup.removal.runs import free_run_name
    from py_image_dedup.wiring import runs_directory

    now, runs = datetime.now(UTC), runs_directory(settings)
    waiting = _waiting(settings, roots)
    plan = Plan(free_run_name(now, runs), tuple(dict.fromkeys(one.root for one in waiting)), ())
    with _copies_in_index(settings) as copies:
        return plan_expiry(plan, waiting, runs, older_than, now, copies_in_index=copies)


@contextmanager
def _copies_in_index(settings: Settings) -> Iterator[CopiesInIndex]:
    """Open the index, if there is one, for places of files by digest."""
    from py_image_dedup.removal.quarantine import no_copies
    from py_image_dedup.wiring import build_store, index_place

    place = index_place(settings)
    if isinstance(place, Path) and not place.exists():
        yield no_copies
        return
    with build_store(settings) as store:

        def copies(digest: bytes) -> list[Path]:
            numbers = store.content_ids([digest]).values()
            return [entry.stat.path for same in store.contents(numbers, None).values() for entry in same]

        yield copies


def _result(expiry: Expiry, *, dry_run: bool) -> RunResult:
    from py_image_dedup.model.plan import Outcome, OutcomeStatus
    from py_image_dedup.model.result import RunResult

    return RunResult(
        run=expiry.plan.run,
        started=datetime.now(UTC),
        dry_run=dry_run,
        roots=expiry.plan.roots,
        max_distance=0.0,
        outcomes=tuple(Outcome(action, OutcomeStatus.PLANNED) for action in expiry.plan.actions),
        kept_in_quarantine=expiry.kept,
        files=len(expiry.plan.actions) + len(expiry.kept),
    )


def _delete(expiry: Expiry, settings: Settings, session: Session) -> RunResult:
    """Save the plan and carry it out under the lock."""
    from py_image_dedup.pipeline.remove import remove
    from py_image_dedup.removal.runs import RunLock
    from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
    from py_image_dedup.wiring import runs_directory

    plan: Plan = expiry.plan
    folder = runs_directory(settings) / plan.run
    with RunLock(settings.state_directory):
        save_plan(plan, folder / PLAN_NAME)
        removed = remove(plan, folder, dry_run=False, observer=session.observer, should_stop=session.interrupt)
    return replace(
        _result(expiry, dry_run=False),
        outcomes=removed.outcomes,
        phases=(removed.summary,),
        interrupted=session.interrupt(),
    )


def _waiting(settings: Settings, roots: Sequence[Path], more: Sequence[Path] = ()) -> tuple[InQuarantine, ...]:
    """Return the files in the quarantines of these roots, or of all roots that are known."""
    from py_image_dedup.removal.quarantine import list_quarantine
    from py_image_dedup.removal.runs import list_roots
    from py_image_dedup.wiring import roots_of, runs_directory

    given = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100 - keeps links
    if not given:
        configured = [root.path for root in roots_of(settings) if not root.protected]
        given = [*configured, *more, *list_roots(settings.state_directory)]
    return list_quarantine(given, runs_directory(settings))
