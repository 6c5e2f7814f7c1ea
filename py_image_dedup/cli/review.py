"""``review``: a page to look at the groups, decide, apply and take back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import MATCHING, MAX_DISTANCE, PROTECT, ROOTS
from py_image_dedup.cli.output import progress_session, save_result

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.model.result import RunResult


@click.command(name="review")
@ROOTS
@MATCHING
@MAX_DISTANCE
@click.option(
    "--action",
    type=click.Choice(["auto", "move", "delete", "trash", "hardlink"]),
    help="What happens to files that you remove.  [default: auto]",
)
@click.option(
    "--target",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Move removed files there, each with its path below its root.",
)
@PROTECT
@click.option(
    "--scope", type=click.Choice(["all", "root", "folder"]), help="Among which files duplicates are looked for."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page.  [default: a free one]")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser, or print its address only.")
@pass_invocation
def review_command(
    invocation: Invocation, /, roots: tuple[Path, ...], *, port: int, browser: bool, **options: Any
) -> ExitCode:
    """Look at the duplicates on a page, decide, apply, and take back.

    Finds the duplicates as a dry run of deduplicate does, then serves a page on this machine only. Nothing is removed
    that you did not decide and apply there, and every step can be taken back from the page or with the command undo.
    Ends with Ctrl-C or with a button of the page.
    """
    from py_image_dedup.wiring import build, build_store, roots_of

    settings = _settings(invocation, roots, options)
    folders = roots_of(settings)
    if not folders:
        raise click.UsageError("There is no folder to search: give one, or set analysis.source_directories.")
    with build_store(settings) as store, progress_session(invocation) as session:
        deduplicator = build(settings, store, observer=session.observer, should_stop=session.interrupt)
        result = deduplicator.deduplicate(folders, dry_run=True)
    save_result(result, settings)
    if result.error or result.interrupted:
        click.echo(f"Error: {result.error}" if result.error else "Stopped.", err=True)
        return ExitCode.FAILED
    if not result.groups and not result.reported:
        invocation.say("There are no duplicates to review.")
        return ExitCode.DONE
    _serve(invocation, settings, result, port, browser=browser)
    return ExitCode.DONE


def _settings(invocation: Invocation, roots: Sequence[Path], options: dict[str, Any]) -> Settings:
    from py_image_dedup.config.value_types import DIRECTORY

    settings = invocation.settings(
        {
            **roots_on_the_command_line(roots, options["scope"]),
            "dry_run": True,
            "deduplication.matching": options["matching"],
            "deduplication.max_distance": options["max_distance"],
            "deduplication.action": options["action"],
            "deduplication.duplicates_target_directory": options["target"],
        }
    )
    given = (DIRECTORY.read(str(path)) for path in options["protect"])
    protected = (*settings.analysis.protected_directories, *given)
    return replace(settings, analysis=replace(settings.analysis, protected_directories=tuple(dict.fromkeys(protected))))


def _serve(invocation: Invocation, settings: Settings, result: RunResult, port: int, *, browser: bool) -> None:
    from py_image_dedup.removal.serialization import PLAN_NAME, load_plan
    from py_image_dedup.review.server import ReviewServer
    from py_image_dedup.review.session import ReviewSession
    from py_image_dedup.wiring import build_store, limits_of, removal_of, runs_directory

    def forget(paths: Sequence[Path]) -> None:
        with build_store(settings) as store:
            store.remove(paths)

    plan = load_plan(runs_directory(settings) / result.run / PLAN_NAME)
    review = ReviewSession(plan, result, removal_of(settings), settings.state_directory, forget)
    server = ReviewServer(review, limits_of(settings), settings.analysis.threads, port)
    # On standard output, whatever -q says: without the address the page cannot be reached.
    click.echo(server.address)
    invocation.say("The review runs until you end it there, or press Ctrl-C.")
    if browser:
        import webbrowser

        webbrowser.open(server.address)
    server.serve()
    invocation.say("The review has ended.")
