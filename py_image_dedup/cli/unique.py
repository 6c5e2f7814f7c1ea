"""The command ``unique``: list the pictures that exist once, or in too few copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave, roots_on_the_command_line
from py_image_dedup.cli.options import (
    AGAINST,
    PROTECT,
    ROOTS,
    SCOPE,
    folders_to_search,
    match_options,
    match_settings,
    roots_or_current_folder,
    search_options,
    search_settings,
    searched,
    with_originals,
    with_protected,
)
from py_image_dedup.cli.output import exit_code, progress_session

_EXAMPLES = """\b
Examples:
  py-image-dedup unique ~/Pictures /mnt/backup
  py-image-dedup unique ~/Pictures --against /mnt/backup      what is not in the backup yet
  py-image-dedup unique ~/Pictures /mnt/a /mnt/b --copies 2   what has fewer than two copies
  py-image-dedup unique ~/Card --against ~/Pictures -0 | xargs -0 cp -t ~/Pictures/new"""


@click.command(name="unique", epilog=_EXAMPLES)
@ROOTS
@click.option(
    "--copies",
    type=click.IntRange(1),
    default=1,
    metavar="NUMBER",
    help="List pictures with fewer copies than this, besides themselves.  [default: 1: what exists once]",
)
@click.option("-0", "--null", is_flag=True, help="Separate the paths by null bytes, for xargs -0.")
@search_options
@match_options
@SCOPE
@PROTECT
@AGAINST
@pass_invocation
def unique_command(
    invocation: Invocation, /, roots: tuple[Path, ...], *, copies: int, null: bool, **options: Any
) -> int:
    """List the pictures that exist once, or in too few copies.

    A copy is a file that matches, at the level of --similarity; parts and edited copies are none, and neither is
    another name of the same file. Pictures in protected folders and in those of --against are copies and not listed.
    Nothing is changed. Files that cannot be decoded are copies of files with the same bytes only.
    """
    from py_image_dedup.api import Taken
    from py_image_dedup.report.text import count_words, readable
    from py_image_dedup.wiring import build, build_store

    searched_roots = roots_or_current_folder(invocation, roots)
    given = {
        **roots_on_the_command_line(searched_roots, options["scope"]),
        **search_settings(options),
        **match_settings(options),
        "dry_run": True,
    }
    settings = with_protected(searched(invocation.settings(given), options), options["protect"])
    settings = with_originals(settings, options["against"], scope=options["scope"])
    folders = folders_to_search(settings)
    with build_store(settings) as store, progress_session(invocation) as session:
        taken = Taken(session.observer)
        result = build(settings, store, observer=taken, should_stop=session.interrupt).find(folders)
    if result.error:
        click.echo(f"Error: {readable(result.error)}", err=True)
    elif not result.interrupted:
        paths = taken.with_few_copies(result, copies)
        with readers_may_leave():
            for path in paths:
                click.echo(bytes(path) + b"\0" if null else readable(path), nl=not null)
        which = "exist once" if copies == 1 else f"have fewer than {copies:,} copies"
        invocation.say(f"{len(paths):,} of {count_words(result.files, 'picture')} {which}")
    return exit_code(result, session, written=True)
