"""``analyse``: bring the index up to date."""

from __future__ import annotations

from pathlib import Path

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import FORMAT, REPORTS, ROOTS
from py_image_dedup.cli.output import Output, emit_result, exit_code, print_result, progress_session
from py_image_dedup.report.text import readable


@click.command(name="analyse")
@ROOTS
@REPORTS
@FORMAT
@pass_invocation
def analyse_command(
    invocation: Invocation, /, roots: tuple[Path, ...], reports: tuple[Path, ...], output_format: str
) -> ExitCode:
    """Read new and changed pictures into the index.

    A later run has less to do then. ROOTs are searched instead of the configured folders. No picture is changed.
    Pictures that cannot be read are listed with the reason and are no failure of the run.
    """
    from py_image_dedup.wiring import build, build_store, roots_of

    settings = invocation.settings(roots_on_the_command_line(roots, None))
    folders = roots_of(settings)
    if not folders:
        raise click.UsageError("There is no folder to search: give one, or set analysis.source_directories.")
    with build_store(settings) as store, progress_session(invocation) as session:
        result = build(settings, store, observer=session.observer, should_stop=session.interrupt).analyse(folders)
    written = emit_result(result, Output(output_format, reports), invocation, lambda: print_result(result))
    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
    if result.interrupted:
        invocation.say("Stopped. What was read is kept; the same command goes on from there.")
    return exit_code(result, written=written)
