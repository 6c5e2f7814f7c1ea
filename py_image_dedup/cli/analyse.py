"""The command ``analyse``: bring the index up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.options import (
    ROOTS,
    SUMMARY,
    file_list_options,
    folders_to_search,
    output_of,
    read_file_list,
    report_options,
    roots_or_current_folder,
    search_options,
    search_settings,
    searched,
    searched_paths,
)
from py_image_dedup.cli.output import emit_result, exit_code, print_result, progress_session
from py_image_dedup.report.text import readable

_EXAMPLES = """\b
Examples:
  py-image-dedup analyse ~/Pictures
  py-image-dedup analyse ~/Pictures -t 2 --exclude '/cache/'"""


@click.command(name="analyse", epilog=_EXAMPLES)
@ROOTS
@file_list_options
@search_options
@report_options
@SUMMARY
@pass_invocation
def analyse_command(
    invocation: Invocation,
    /,
    roots: tuple[Path, ...],
    *,
    summary: bool,
    files_from: str | None,
    null: bool,
    **options: Any,
) -> int:
    """Read new and changed pictures into the index.

    Later runs then have less to do. ROOTs are searched instead of the configured folders. No picture is changed.
    Unreadable pictures are listed with the reason; they are not a failure of the run.
    """
    from py_image_dedup.wiring import build, build_store

    files = read_file_list(invocation, roots, files_from, null=null)
    roots = roots_or_current_folder(invocation, roots) if files is None else files.folders
    settings = invocation.settings({**roots_on_the_command_line(roots, None), **search_settings(options)})
    settings = searched(settings, options)
    folders = folders_to_search(settings)
    output = output_of(options, settings, summary=summary)
    with build_store(settings) as store, progress_session(invocation) as session:
        deduplicator = build(
            settings,
            store,
            observer=session.observer,
            should_stop=session.interrupt,
            listed=searched_paths(files, settings),
        )
        result = deduplicator.analyse(folders)
    written = emit_result(result, output, invocation, lambda: print_result(invocation, result, summary=summary))
    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
    if result.interrupted:
        invocation.say("Stopped. What was read is kept; run the same command to continue.")
    return exit_code(result, session, written=written)
