"""``status``: what is in the index."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from py_image_dedup.cli.context import Invocation, pass_invocation


@click.command(name="status")
@pass_invocation
def command(invocation: Invocation, /) -> None:
    """Show what is in the index.

    That is where it is, how many files it knows, and how many of them could not be read, by reason.
    """
    from py_image_dedup.report.text import count_words, readable, size_words
    from py_image_dedup.wiring import build_store, index_place

    settings = invocation.settings()
    place = index_place(settings)
    if isinstance(place, Path) and not place.exists():
        click.echo(f"There is no index yet; it will be {readable(place)}")
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
            click.echo(f"Not readable  {count_words(failures.total(), 'file')} ({reasons})")
