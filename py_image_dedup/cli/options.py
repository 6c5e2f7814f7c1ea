"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from py_image_dedup.cli.output import check_reports

Command = TypeVar("Command", bound=Callable[..., Any])

ROOTS = click.argument(
    "roots", nargs=-1, metavar="[ROOT ...]", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
DRY_RUN = click.option(
    "--dry-run/--no-dry-run", "-dr/ ", default=None, help="Show what would be done, or do it.  [default: dry_run, true]"
)
PROTECT = click.option(
    "--protect",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Search this folder too and never touch it: the originals. Again for more.",
)
MATCHING = click.option(
    "--matching",
    type=click.Choice(["verified", "distance"]),
    help="Prove each match by laying one picture over the other, or go by the distance of signatures alone.  [default: "
    "verified]",
)
MAX_DISTANCE = click.option(
    "--max-distance",
    type=float,
    metavar="NUMBER",
    help="Largest distance of signatures, 0 to 1: of similar pictures, or of those worth a look where matches are "
    "verified.",
)
REPORTS = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_reports,
    help="Write a report; its suffix says which kind: .json, or .html, a page to look at and decide. Again for more.",
)
FORMAT = click.option(
    "--output",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="What standard output gets.  [default: text]",
)
YES = click.option("--yes", is_flag=True, help="Do not ask.")
