"""The command ``deduplicate``: find duplicates, choose the files that stay, and remove the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import (
    ACTION,
    DRY_RUN,
    MERGE_METADATA,
    PAGER,
    PICTURES,
    ROOTS,
    SCOPE,
    SUMMARY,
    TARGET,
    YES,
    choice_options,
    choice_settings,
    file_list_options,
    folders_to_search,
    match_options,
    match_settings,
    output_of,
    read_file_list,
    report_options,
    roots_or_current_folder,
    search_options,
    search_settings,
    searched,
    searched_paths,
    with_choices,
)
from py_image_dedup.cli.output import (
    Output,
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
    from py_image_dedup.model.events import Event, Observer
    from py_image_dedup.model.file import Root
    from py_image_dedup.model.match import RankedGroup
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.model.result import RunResult
    from py_image_dedup.report.terminal import WhyItStays

_EXAMPLES = """\b
Examples:
  py-image-dedup deduplicate ~/Pictures                         shows the duplicates
  py-image-dedup deduplicate ~/Pictures --no-dry-run            asks, then removes them
  py-image-dedup deduplicate ~/Inbox --against ~/Pictures --no-dry-run --yes
  py-image-dedup deduplicate ~/Pictures --similarity identical --min-size 100k
  py-image-dedup deduplicate ~/Pictures --prefer ~/Pictures/sorted --rule oldest-capture-date
  find ~/Pictures -newer marker -print0 | py-image-dedup deduplicate -0 --files-from -
  py-image-dedup deduplicate ~/Pictures --remove +edited        edited copies may be removed too"""


@click.command(name="deduplicate", epilog=_EXAMPLES)
@ROOTS
@file_list_options
@DRY_RUN
@click.option(
    "--skip-analyse-phase",
    "-sap",
    is_flag=True,
    help="Do not read new and changed files; search only files that the index knows.",
)
@search_options
@match_options
@SCOPE
@choice_options
@click.option(
    "--inspect/--no-inspect",
    default=None,
    help="Compare each redundant file in full with the file that stays, or show the quick answer of a dry run.  "
    "[default: --inspect]",
)
@ACTION
@TARGET
@MERGE_METADATA
@click.option(
    "--quarantine-days",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Age at which files in quarantine are permanently deleted.  [default: 30]",
)
@click.option(
    "--remove-empty-folders/--keep-empty-folders", default=None, help="Remove folders that the run has emptied."
)
@report_options
@SUMMARY
@PICTURES
@PAGER
@click.option("--exit-code", "with_exit_code", is_flag=True, help="Exit with 4 if duplicates were found.")
@YES
@pass_invocation
def deduplicate_command(
    invocation: Invocation,
    /,
    roots: tuple[Path, ...],
    *,
    pictures: bool | None,
    pager: bool,
    skip_analyse_phase: bool,
    summary: bool,
    with_exit_code: bool,
    yes: bool,
    files_from: str | None,
    null: bool,
    **options: Any,
) -> int:
    """Find duplicates and remove them.

    One file of each group stays, and the report says why. ROOTs are searched instead of the configured folders, as
    one pool. Nothing is changed without --no-dry-run (or dry_run: false). At a terminal, a real run shows what it
    will do and asks once; without a terminal it needs --yes.

    The command undo brings removed files back.
    """
    from py_image_dedup.wiring import build, build_store

    files = read_file_list(invocation, roots, files_from, null=null)
    searched_roots = roots_or_current_folder(invocation, roots) if files is None else files.folders
    settings = _settings(invocation, searched_roots, options)
    folders = folders_to_search(settings)
    stays = _why_it_stays(settings)
    asks = not settings.dry_run and should_confirm(yes=yes)
    listed = searched_paths(files, settings)
    output = output_of(
        options,
        settings,
        summary=summary,
        searched=lambda: _searched(folders, settings) if listed is None else listed,
    )
    with build_store(settings) as store, progress_session(invocation) as session:
        question = _Question(session, stays, output)
        deduplicator = build(
            settings,
            store,
            observer=_Decisions(session.observer) if invocation.verbose else session.observer,
            should_stop=session.interrupt,
            confirm=question if asks else None,
            listed=listed,
        )
        result = deduplicator.deduplicate(folders, dry_run=settings.dry_run, skip_analyse=skip_analyse_phase)
    saved = save_result(result, settings)

    def print_text() -> None:
        days = settings.deduplication.quarantine_days
        print_result(
            invocation,
            result,
            stays,
            groups=not question.shown,
            summary=summary,
            quarantine_days=days,
            screen=Screen(pictures, pager),
        )

    emitted = emit_result(result, output, invocation, print_text)
    _print_next_steps(invocation, result, settings, refused=question.refused)
    code = exit_code(result, session, written=saved and emitted)
    return ExitCode.DUPLICATES if with_exit_code and code == ExitCode.DONE and result.groups else code


def _searched(folders: Sequence[Root], settings: Settings) -> Collection[bytes]:
    from py_image_dedup.scan.walker import walk
    from py_image_dedup.wiring import options_of

    return walk(folders, options_of(settings).selector).stamps


def _settings(invocation: Invocation, roots: Sequence[Path], options: Mapping[str, Any]) -> Settings:
    settings = invocation.settings(
        {
            **roots_on_the_command_line(roots, options["scope"]),
            **search_settings(options),
            "dry_run": options["dry_run"],
            **match_settings(options),
            "deduplication.inspect": options["inspect"],
            "deduplication.action": options["action"],
            "deduplication.duplicates_target_directory": options["target"],
            "deduplication.merge_metadata": options["merge_metadata"],
            "deduplication.quarantine_days": options["quarantine_days"],
            **choice_settings(options),
            "remove_empty_folders": options["remove_empty_folders"],
        }
    )
    return with_choices(searched(settings, options), options)


def _why_it_stays(settings: Settings) -> WhyItStays:
    from py_image_dedup.removal.plan import reason_to_stay
    from py_image_dedup.scan.roots import Ownership
    from py_image_dedup.wiring import removal_of, roots_of

    ownership, options = Ownership(roots_of(settings)), removal_of(settings)
    return lambda group, redundant: reason_to_stay(group, redundant, ownership, options)


class _Decisions:
    """An observer that also prints each file when its fate is decided, to standard error.

    Args:
        observer: Receives every event first.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __call__(self, event: Event, /) -> None:
        """Print what the event decides."""
        from py_image_dedup.model.events import ActionFinished, FileFailed, GroupFound, MatchReported
        from py_image_dedup.model.plan import OutcomeStatus
        from py_image_dedup.report.terminal import inspection_words, match_words, reason_words

        self._observer(event)
        if isinstance(event, GroupFound):
            group = event.group
            kept = group.keeper.stat.path
            self._print("keep", kept, reason_words(group.redundant[0].reason))
            for each in group.redundant:
                words = f"{match_words(each.match)}; {kept} is kept: {reason_words(each.reason)}"
                self._print("redundant", each.entry.stat.path, words)
        elif isinstance(event, MatchReported):
            match = event.match
            found = "" if match.inspection is None else f"; {inspection_words(match.inspection)}"
            self._print("stays", match.right.stat.path, f"{match_words(match)} to {match.left.stat.path}{found}")
        elif isinstance(event, FileFailed):
            self._print("unreadable", event.failure.path, event.failure.reason.value)
        elif isinstance(event, ActionFinished) and event.outcome.status is not OutcomeStatus.PLANNED:
            outcome = event.outcome
            words = outcome.message or outcome.action.kind.value
            self._print(outcome.status.value, outcome.action.source.path, words)

    def _print(self, verb: str, path: Path, words: str) -> None:
        from py_image_dedup.report.text import readable

        click.echo(f"{verb:<10} {readable(path)} ({readable(words)})", err=True)


class _Question:
    """The question before files are removed: it shows what the run will do and asks once.

    Attributes:
        shown: Whether the groups were printed to standard output.
        refused: Whether the answer was no.
    """

    def __init__(self, session: Session, why_it_stays: WhyItStays, output: Output) -> None:
        self._session = session
        self._why_it_stays = why_it_stays
        self._output = output
        self.shown = False
        self.refused = False

    def __call__(self, plan: Plan, groups: Sequence[RankedGroup]) -> bool:
        """Return whether the user agrees."""
        preview = _preview(plan, groups)
        agreed = ask(self._session, plan, preview, self._why_it_stays, self._output)
        self.shown, self.refused = self._output.is_text, not agreed
        return agreed


def _preview(plan: Plan, groups: Sequence[RankedGroup]) -> RunResult:
    """Return the plan as the result of a dry run, for printing."""
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


def _print_next_steps(invocation: Invocation, result: RunResult, settings: Settings, *, refused: bool) -> None:
    from py_image_dedup.model.plan import OutcomeStatus
    from py_image_dedup.report.text import readable
    from py_image_dedup.wiring import runs_directory

    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
    if result.interrupted:
        invocation.say("Stopped. Finished work is kept; run the same command to continue.")
    if any(outcome.status is OutcomeStatus.DONE for outcome in result.outcomes):
        invocation.say(f"To restore: py-image-dedup undo {result.run}")
    elif refused:
        invocation.say("Nothing was changed.")
    elif result.outcomes and result.dry_run:
        plan = readable(runs_directory(settings) / result.run / "plan.json")
        invocation.say(f"Nothing was changed. To remove the files, use --no-dry-run, or: py-image-dedup apply {plan}")
