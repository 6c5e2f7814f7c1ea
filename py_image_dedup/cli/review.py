"""The command ``review``: a page on which the user compares, decides, applies and undoes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import (
    ACTION,
    MERGE_METADATA,
    ROOTS,
    SCOPE,
    TARGET,
    choice_options,
    choice_settings,
    folders_to_search,
    match_options,
    match_settings,
    roots_or_current_folder,
    search_options,
    search_settings,
    searched,
    with_choices,
)
from py_image_dedup.cli.output import progress_session, save_result

if TYPE_CHECKING:
    from py_image_dedup.config import Settings
    from py_image_dedup.model.events import Observer
    from py_image_dedup.model.plan import Plan
    from py_image_dedup.model.result import RunResult


_EXAMPLES = """\b
Examples:
  py-image-dedup review ~/Pictures
  py-image-dedup review ~/Inbox --against ~/Pictures --similarity strict --extension jpg
  py-image-dedup review ~/Pictures --no-browser --port 8080"""


@click.command(name="review", epilog=_EXAMPLES)
@ROOTS
@search_options
@match_options
@SCOPE
@choice_options
@ACTION
@TARGET
@MERGE_METADATA
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page.  [default: a free one]")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser, or only print its address.")
@pass_invocation
def review_command(
    invocation: Invocation, /, roots: tuple[Path, ...], *, port: int, browser: bool, **options: Any
) -> int:
    """Compare duplicates on a page and decide which to remove.

    The duplicates are found as in a dry run of deduplicate; then a page is served on this machine only. Only files
    that you select and apply there are removed, and every step can be undone on the page or with the command undo.
    The command ends with Ctrl-C or with a button on the page.
    """
    from py_image_dedup.report.text import readable
    from py_image_dedup.wiring import build, build_store

    settings = _settings(invocation, roots_or_current_folder(invocation, roots), options)
    folders = folders_to_search(settings)
    with build_store(settings) as store, progress_session(invocation) as session:
        deduplicator = build(settings, store, observer=session.observer, should_stop=session.interrupt)
        result = deduplicator.deduplicate(folders, dry_run=True)
    save_result(result, settings)
    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
        return ExitCode.FAILED
    if result.interrupted:
        click.echo("Stopped.", err=True)
        return session.interrupt.exit_code
    if not result.groups and not result.reported:
        invocation.say("There are no duplicates to review.")
        return ExitCode.DONE
    _serve(invocation, settings, result, port, browser=browser)
    return ExitCode.DONE


def _settings(invocation: Invocation, roots: Sequence[Path], options: dict[str, Any]) -> Settings:
    settings = invocation.settings(
        {
            **roots_on_the_command_line(roots, options["scope"]),
            **search_settings(options),
            "dry_run": True,
            **match_settings(options),
            **choice_settings(options),
            "deduplication.action": options["action"],
            "deduplication.duplicates_target_directory": options["target"],
            "deduplication.merge_metadata": options["merge_metadata"],
        }
    )
    return with_choices(searched(settings, options), options)


def _serve(invocation: Invocation, settings: Settings, result: RunResult, port: int, *, browser: bool) -> None:
    from py_image_dedup.removal.serialization import PLAN_NAME, load_plan
    from py_image_dedup.review.access import TokenGate
    from py_image_dedup.review.board import OneView
    from py_image_dedup.review.server import ReviewServer
    from py_image_dedup.review.session import ReviewSession
    from py_image_dedup.wiring import build, build_store, limits_of, removal_of, runs_directory

    def carry_out(plan: Plan, observer: Observer, should_stop: Callable[[], bool]) -> RunResult:
        with build_store(settings) as store:
            return build(settings, store, observer=observer, should_stop=should_stop).apply(plan)

    plan = load_plan(runs_directory(settings) / result.run / PLAN_NAME)
    review = ReviewSession(plan, result, removal_of(settings), settings.state_directory, carry_out)
    view = OneView(review, limits_of(settings), settings.analysis.threads)
    server = ReviewServer(view, TokenGate(), port=port)
    # To standard output, even with -q: without the address the page cannot be reached.
    click.echo(server.address)
    invocation.say("The review runs until you end it on the page or press Ctrl-C.")
    if browser:
        import threading
        import webbrowser

        # In a thread of its own: a browser of the terminal does not return before it is left.
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    server.serve()
    invocation.say("The review has ended.")
