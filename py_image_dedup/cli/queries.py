"""The commands that answer questions: ``known`` looks pictures up, ``unique`` lists those without enough copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave, roots_on_the_command_line
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import (
    AGAINST,
    FORMAT,
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
from py_image_dedup.cli.output import exit_code, print_json, progress_session

if TYPE_CHECKING:
    from py_image_dedup.api.lookup import Answer


_KNOWN_EXAMPLES = """\b
Examples:
  py-image-dedup known upload.jpg
  py-image-dedup -q known upload.jpg && echo 'in the library already'"""


@click.command(name="known", epilog=_KNOWN_EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE ...", type=click.Path(exists=True, path_type=Path))
@match_options
@FORMAT
@pass_invocation
def known_command(invocation: Invocation, /, files: tuple[Path, ...], output_format: str, **options: Any) -> int:
    """Show whether pictures are in the index already.

    Each FILE is read and compared with the other files in the index; nothing is changed. The exit code is 0 if all
    are known, and 1 if one is unknown or unreadable. A match counts if its file has not changed since it was indexed.
    Crops, collages and other partial matches are listed, but do not make a picture known.
    """
    from py_image_dedup.api.lookup import Lookup
    from py_image_dedup.media.decoder import Decoder
    from py_image_dedup.report.answers_json import known_fields
    from py_image_dedup.wiring import build_store, limits_of, matching_of

    answers: list[dict[str, Any]] = []
    settings = invocation.settings(match_settings(options))
    all_known = True
    with build_store(settings) as store, Decoder(limits_of(settings), panels=True) as decoder, readers_may_leave():
        if not store.count(None):
            invocation.say("The index is empty, so every picture is unknown. To fill it: py-image-dedup analyse FOLDER")
        lookup = Lookup(store, decoder, matching_of(settings))
        for file in files:
            answer = lookup.ask(file.absolute())
            all_known = all_known and answer.is_known
            if output_format == "json":
                answers.append(known_fields(file, answer.matches, answer.problem, is_known=answer.is_known))
            elif not invocation.quiet:
                _print(file, answer)
    if output_format == "json":
        print_json({"files": answers})
    return ExitCode.DONE if all_known else ExitCode.FAILED


def _print(file: Path, answer: Answer) -> None:
    from py_image_dedup.report.terminal import match_words
    from py_image_dedup.report.text import readable

    if answer.problem:
        click.echo(f"{readable(file)}: unreadable: {readable(answer.problem)}")
    elif answer.is_known:
        click.echo(f"{readable(file)}: known")
    else:
        click.echo(f"{readable(file)}: unknown{', except for parts' if answer.matches else ''}")
    for match in answer.matches:
        click.echo(f"  {readable(match.right.stat.path)} ({match_words(match)})")


_UNIQUE_EXAMPLES = """\b
Examples:
  py-image-dedup unique ~/Pictures /mnt/backup
  py-image-dedup unique ~/Pictures --against /mnt/backup      what is not in the backup yet
  py-image-dedup unique ~/Pictures /mnt/a /mnt/b --copies 2   what has fewer than two copies
  py-image-dedup unique ~/Card --against ~/Pictures -0 | xargs -0 cp -t ~/Pictures/new"""


@click.command(name="unique", epilog=_UNIQUE_EXAMPLES)
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
        if options["against"]:
            which = "have no copy there" if copies == 1 else f"{which} there"
        invocation.say(f"{len(paths):,} of {count_words(taken.unprotected, 'picture')} {which}")
    return exit_code(result, session, written=True)
