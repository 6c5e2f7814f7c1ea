"""The command ``verify``: check the files of a run, or search folders for damaged pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import complete_runs, folders_to_search, search_options, search_settings, searched
from py_image_dedup.cli.output import progress_session

if TYPE_CHECKING:
    from py_image_dedup.pipeline.damage import Damages


_EXAMPLES = """\b
Examples:
  py-image-dedup verify ~/Pictures              finds damaged pictures
  py-image-dedup verify ~/Pictures /mnt/backup  compares them with their copies too
  py-image-dedup verify 20260401-120000         checks the files of a run"""


@click.command(name="verify", epilog=_EXAMPLES)
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
    from py_image_dedup.cli.runs import verify_run_of

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
        _print(damages, invocation)
    if session.interrupt():
        return session.interrupt.exit_code
    return ExitCode.FAILED if damages.found else ExitCode.DONE


def _print(damages: Damages, invocation: Invocation) -> None:
    from py_image_dedup.report.text import count_words, readable

    for damage in damages.found:
        click.echo(f"{readable(damage.path)}")
        click.echo(f"  {damage.kind.value}: {readable(damage.message)}")
        if damage.copy is not None:
            click.echo(f"  compare with {readable(damage.copy)}")
    if not invocation.quiet:
        checked, count = count_words(damages.files, "picture"), len(damages.found)
        click.echo(f"{checked} read, {count:,} damaged" if count else f"{checked} read, none damaged")
