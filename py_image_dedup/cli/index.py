"""``index``: copy what is known from one kind of index to the other."""

from __future__ import annotations

import click

from py_image_dedup.cli.context import Invocation, pass_invocation
from py_image_dedup.cli.exit_codes import ExitCode


@click.group(name="index")
def command() -> None:
    """Move what is known about the pictures between the embedded index and Elasticsearch."""


@command.command()
@click.option(
    "--to",
    "target",
    type=click.Choice(["elasticsearch", "sqlite"]),
    required=True,
    help="Which index is filled; the other one is read and stays as it is.",
)
@pass_invocation
def copy(invocation: Invocation, /, *, target: str) -> ExitCode:
    """Copy the index, so that no picture has to be read again.

    Between the file in the state directory and the Elasticsearch index that elasticsearch.host and the other
    elasticsearch settings name. What the target knows besides stays. Ctrl-C stops after the entries in hand; the same
    command goes over all of them again.
    """
    from py_image_dedup.cli.interrupt import Interrupt
    from py_image_dedup.pipeline.proving import mark_of
    from py_image_dedup.removal.lock import RunLock
    from py_image_dedup.report.text import count_words, readable
    from py_image_dedup.store.copying import copy_entries, copy_proofs
    from py_image_dedup.wiring import INDEX_NAME, build_store, index_place, options_of

    settings = invocation.settings()
    if not settings.elasticsearch.host:
        raise click.UsageError("elasticsearch.host is not set: it says where the other index is.")
    file = settings.state_directory / INDEX_NAME
    if target == "elasticsearch" and not file.exists():
        raise click.UsageError(f"There is no index {readable(file)} to copy.")
    from py_image_dedup.store.sqlite.store import SqliteStore

    with (
        RunLock(settings.state_directory),
        SqliteStore(file) as embedded,
        build_store(settings) as server,
        Interrupt(invocation.say) as interrupt,
    ):
        source, filled = (embedded, server) if target == "elasticsearch" else (server, embedded)
        total = source.count(None)
        copied = copy_entries(source, filled, should_stop=interrupt)
        copy_proofs(source, filled, mark_of(options_of(settings)), should_stop=interrupt)
    place = index_place(settings) if target == "elasticsearch" else file
    if interrupt():
        invocation.say(f"Stopped: {copied:,} of {count_words(total, 'entry', 'entries')} copied to {readable(place)}.")
        return ExitCode.FAILED
    invocation.say(f"{count_words(copied, 'entry', 'entries')} copied to {readable(place)}.")
    if target == "sqlite":
        invocation.say("To use it from now on, take elasticsearch.host out of the configuration.")
    return ExitCode.DONE
