"""The commands about the index: ``index copy``, ``status`` and ``clear``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from py_image_dedup.cli.context import Invocation, pass_invocation
from py_image_dedup.cli.main import ExitCode
from py_image_dedup.cli.options import FORMAT
from py_image_dedup.cli.output import print_json

if TYPE_CHECKING:
    from py_image_dedup.config import Settings


_INDEX_EXAMPLES = """\b
Examples:
  py-image-dedup index copy --to elasticsearch"""


@click.group(name="index", epilog=_INDEX_EXAMPLES)
def index_command() -> None:
    """Copy the index between the embedded file and Elasticsearch."""


@index_command.command(epilog=_INDEX_EXAMPLES)
@click.option(
    "--to",
    "target",
    type=click.Choice(["elasticsearch", "sqlite"]),
    required=True,
    help="The index to copy to; the other one is not changed.",
)
@pass_invocation
def copy(invocation: Invocation, /, *, target: str) -> int:
    """Copy the index, so that no picture has to be read again.

    The two indexes are the file in the state directory and the Elasticsearch index that elasticsearch.host and the
    other elasticsearch options name. Other entries of the target stay. Ctrl-C stops after the current batch; the same
    command then starts again.
    """
    from py_image_dedup.cli.context import Interrupt
    from py_image_dedup.inspection.client import VERSION
    from py_image_dedup.pipeline.verification import verdict_key
    from py_image_dedup.removal.runs import RunLock
    from py_image_dedup.report.text import count_words, readable
    from py_image_dedup.store import INDEX_NAME
    from py_image_dedup.store.copying import copy_entries, copy_inspections, copy_verdicts
    from py_image_dedup.wiring import build_store, index_place, options_of

    settings = invocation.settings()
    if not settings.elasticsearch.host:
        raise click.UsageError("elasticsearch.host is not set: it names the server of the other index.")
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
        copy_verdicts(source, filled, verdict_key(options_of(settings)), should_stop=interrupt)
        copy_inspections(source, filled, VERSION, should_stop=interrupt)
    place = index_place(settings) if target == "elasticsearch" else file
    if interrupt():
        invocation.say(f"Stopped: {copied:,} of {count_words(total, 'entry', 'entries')} copied to {readable(place)}.")
        return interrupt.exit_code
    invocation.say(f"{count_words(copied, 'entry', 'entries')} copied to {readable(place)}.")
    if target == "sqlite":
        invocation.say("To use it from now on, remove elasticsearch.host from the configuration.")
    return ExitCode.DONE


_STATUS_EXAMPLES = """\b
Examples:
  py-image-dedup status
  py-image-dedup status --output json"""


@click.command(name="status", epilog=_STATUS_EXAMPLES)
@FORMAT
@pass_invocation
def status_command(invocation: Invocation, /, output_format: str) -> None:
    """Show what is in the index.

    The output says where the index is, how many files it knows, and how many of them are unreadable, by reason.
    """
    from py_image_dedup.report.text import count_words, readable, size_words
    from py_image_dedup.wiring import build_store, index_place

    settings = invocation.settings()
    place = index_place(settings)
    if output_format == "json":
        print_json(_status(settings, place))
        return
    if isinstance(place, Path) and not place.exists():
        click.echo(f"There is no index yet. It will be {readable(place)}")
        return
    with build_store(settings) as store:
        size = f", {size_words(place.stat().st_size)}" if isinstance(place, Path) else ""
        click.echo(f"Index         {readable(place)}{size}")
        click.echo(f"Files         {store.count(None):,}")
        for root in settings.analysis.source_directories:
            click.echo(f"              {store.count([root]):,} below {readable(root)}")
        failures = Counter(entry.failure.reason.value for entry in store.failed(None) if entry.failure is not None)
        if failures:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(failures.items()))
            click.echo(f"Unreadable    {count_words(failures.total(), 'file')} ({reasons})")


def _status(settings: Settings, place: Path | str) -> dict[str, Any]:
    """Return the status for programs."""
    from py_image_dedup.report.answers_json import path_fields
    from py_image_dedup.wiring import build_store

    index = path_fields(place, "index") if isinstance(place, Path) else {"index": place}
    if isinstance(place, Path) and not place.exists():
        return {**index, "exists": False, "files": 0, "roots": [], "unreadable": {}}
    with build_store(settings) as store:
        failures = Counter(entry.failure.reason.value for entry in store.failed(None) if entry.failure is not None)
        return {
            **index,
            "exists": True,
            "bytes": place.stat().st_size if isinstance(place, Path) else None,
            "files": store.count(None),
            "roots": [
                {**path_fields(root), "files": store.count([root])} for root in settings.analysis.source_directories
            ],
            "unreadable": dict(sorted(failures.items())),
        }


_CLEAR_EXAMPLES = """\b
Examples:
  py-image-dedup clear        asks first
  py-image-dedup clear --yes"""


@click.command(name="clear", epilog=_CLEAR_EXAMPLES)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_invocation
def clear_command(invocation: Invocation, /, *, yes: bool) -> ExitCode:
    """Empty the index.

    No picture is changed. The next run reads every file again. Runs can still be undone.
    """
    from py_image_dedup.removal.runs import RunLock
    from py_image_dedup.report.text import count_words, readable
    from py_image_dedup.store.base import StoreUnavailable
    from py_image_dedup.wiring import build_store, discard_index, index_place

    settings = invocation.settings()
    place = index_place(settings)
    if isinstance(place, Path) and not place.exists():
        invocation.say("There is no index to clear.")
        return ExitCode.DONE
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Not a terminal: use --yes to confirm.")
        if not click.confirm(f"Delete all entries of {readable(place)}?", err=True):
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
            # A damaged index cannot be emptied, but it can be deleted: the next run reads everything again.
            if not discard_index(settings):
                raise
            invocation.say("The index was damaged and has been deleted.")
            return ExitCode.DONE
    invocation.say(f"{count_words(files, 'entry', 'entries')} deleted.")
    return ExitCode.DONE
