"""The command ``known``: look pictures up in the index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation, readers_may_leave
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import FORMAT, match_options, match_settings
from py_image_dedup.cli.output import print_json

if TYPE_CHECKING:
    from py_image_dedup.pipeline.lookup import Answer


_EXAMPLES = """\b
Examples:
  py-image-dedup known upload.jpg
  py-image-dedup -q known upload.jpg && echo 'in the library already'"""


@click.command(name="known", epilog=_EXAMPLES)
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
    from py_image_dedup.media.decoder import Decoder
    from py_image_dedup.pipeline.lookup import Lookup
    from py_image_dedup.report.answers_json import known_fields
    from py_image_dedup.wiring import build_store, limits_of, matching_of

    answers: list[dict[str, Any]] = []
    settings = invocation.settings(match_settings(options))
    all_known = True
    with build_store(settings) as store, Decoder(limits_of(settings)) as decoder, readers_may_leave():
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
