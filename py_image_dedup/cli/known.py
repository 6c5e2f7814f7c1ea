"""``known``: is this picture in the index already?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_image_dedup.cli import streams
from py_image_dedup.cli.exit_codes import ExitCode
from py_image_dedup.cli.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from py_image_dedup.media.decode import Decoder
    from py_image_dedup.model.match import Match
    from py_image_dedup.model.photo import IndexEntry
    from py_image_dedup.store.base import Store


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the index says about a file: its matches, or why it could not be read."""

    matches: tuple[Match, ...] = ()
    problem: str = ""


@click.command(name="known")
@click.argument("files", nargs=-1, required=True, metavar="FILE ...", type=click.Path(exists=True, path_type=Path))
@click.option("--max-distance", type=float, metavar="NUMBER", help="Largest signature distance, 0 to 1.")
@pass_invocation
def command(invocation: Invocation, /, files: tuple[Path, ...], max_distance: float | None) -> int:
    """Tell whether pictures are in the index already.

    Each FILE is read and compared with what the index knows of other files; nothing is changed. The exit code is 0
    if all are known, and 1 if some are not or cannot be read. A match counts if its file is still as the index
    knows it.
    """
    from py_image_dedup.media.decode import Decoder
    from py_image_dedup.report.terminal import match_words
    from py_image_dedup.report.words import readable
    from py_image_dedup.wiring import build_store, limits_of

    settings = invocation.settings({"deduplication.max_distance": max_distance})
    all_known = True
    with build_store(settings) as store, Decoder(limits_of(settings)) as decoder, streams.readers_may_leave():
        for file in files:
            answer = _ask(file.absolute(), store, decoder, settings.deduplication.max_distance)
            all_known = all_known and bool(answer.matches)
            if invocation.quiet:
                continue
            if answer.problem:
                click.echo(f"{readable(file)}: not readable: {readable(answer.problem)}")
            elif not answer.matches:
                click.echo(f"{readable(file)}: not known")
            else:
                click.echo(f"{readable(file)}: known")
                for match in answer.matches:
                    click.echo(f"  {readable(match.right.stat.path)} ({match_words(match)})")
    return ExitCode.DONE if all_known else ExitCode.FAILED


def _ask(file: Path, store: Store, decoder: Decoder, max_distance: float) -> _Answer:
    from py_image_dedup.media.errors import MediaError
    from py_image_dedup.media.source import read_source
    from py_image_dedup.model.photo import IndexEntry, Versions
    from py_image_dedup.signature.compute import compute

    try:
        with read_source(file) as source:
            entry = IndexEntry(source.stat, Versions(0, 0), digest=source.digest)
            try:
                decoded = decoder.decode(source)
            except MediaError as error:
                # Bytes that no decoder understands may still be the bytes of a file that the index knows.
                matches = tuple(_identical(entry, store))
                return _Answer(matches, "" if matches else error.message)
    except MediaError as error:
        return _Answer(problem=error.message)
    entry = IndexEntry(source.stat, Versions(0, 0), source.digest, decoded.facts, compute(decoded.grey))
    return _Answer(tuple(_matches(entry, store, max_distance)))


def _identical(entry: IndexEntry, store: Store) -> Iterator[Match]:
    from py_image_dedup.model.match import Match, MatchClass

    if entry.digest is not None:
        for found in store.known([entry.digest]).values():
            if _is_another_file(found, entry):
                yield Match(entry, found, MatchClass.IDENTICAL)


def _matches(entry: IndexEntry, store: Store, max_distance: float) -> Iterator[Match]:
    """All files that match, nearest first; a flat picture has no signature and matches by its bytes only."""
    from py_image_dedup.model.match import Match, MatchClass

    if entry.signature is None:
        yield from _identical(entry, store)
        return
    (neighbours,) = store.similar([entry.signature], max_distance, None)
    contents = store.contents([each.number for each in neighbours], None)
    for neighbour in neighbours:
        for found in contents.get(neighbour.number, ()):
            if _is_another_file(found, entry):
                if found.digest == entry.digest:
                    yield Match(entry, found, MatchClass.IDENTICAL)
                else:
                    yield Match(entry, found, MatchClass.SIMILAR, neighbour.distance, neighbour.orientation)


def _is_another_file(found: IndexEntry, asked: IndexEntry) -> bool:
    """Whether an entry's file is there, is what the index knows, and is not the very file that was asked about."""
    try:
        now = found.stat.path.lstat()
    except OSError:
        return False
    stat = found.stat
    return (
        (now.st_size, now.st_mtime_ns) == (stat.size, stat.mtime_ns)
        and (now.st_dev, now.st_ino) != (asked.stat.device, asked.stat.inode)
        and stat.path != asked.stat.path
    )
