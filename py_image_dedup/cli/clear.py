"""``clear``: empty the index."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_image_dedup.cli.context import Invocation, pass_invocation
from py_image_dedup.cli.exit_codes import ExitCode


@click.command(name="clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def command(invocation: Invocation, /, *, yes: bool) -> ExitCode:
    """Empty the index.

    No picture is touched. The next run reads every file again. What can be undone can still be undone.
    """
    from py_image_dedup.removal.lock import RunLock
    from py_image_dedup.report.text import count_words, readable
    from py_image_dedup.store.base import StoreUnavailable
    from py_image_dedup.wiring import build_store, discard_index, index_place

    settings = invocation.settings()
    place = index_place(settings)
    if isinstance(place, Path) and not place.exists():
        invocation.say("There is no index, so there is nothing to clear.")
        return ExitCode.DONE
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is nobody to ask; say --yes to empty the index.")
        if not click.confirm(f"Forget everything that is in {readable(place)}?", err=True):
            invocation.say("Nothing was changed.")
            return ExitCode.FAILED
    with RunLock(settings.state_directory):
        try:
            with build_store(settings) as store:
                files = store.count(None)
                store.clear()
        except StoreUnavailable:
            raise
        except Exception:
            # A damaged index cannot be emptied, but it can go: everything in it can be read from the pictures again.
            if not discard_index(settings):
                raise
            invocation.say("The index was damaged and has been deleted.")
            return ExitCode.DONE
    invocation.say(f"{count_words(files, 'file')} forgotten.")
    return ExitCode.DONE
