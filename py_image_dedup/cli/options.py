"""Options that several commands share, and the settings that they set."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from py_image_dedup.cli.context import Invocation
from py_image_dedup.cli.output import Output, check_reports

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from py_image_dedup.config import Settings
    from py_image_dedup.model.file import Root


Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

ROOTS = click.argument("roots", nargs=-1, metavar="[ROOT ...]", type=FOLDER)
DRY_RUN = click.option(
    "--dry-run/--no-dry-run",
    "-dr/ ",
    default=None,
    help="Show what would be done, or do it.  [default: dry_run of the configuration, true]",
)
AGAINST = click.option(
    "--against",
    multiple=True,
    metavar="DIR",
    type=FOLDER,
    help="Compare files with those of this folder of originals only, not with each other; originals are never changed. "
    "May be repeated.",
)
PROTECT = click.option(
    "--protect",
    multiple=True,
    metavar="DIR",
    type=FOLDER,
    help="Search this folder too, such as originals, and never change it. May be repeated.",
)
MATCHING = click.option(
    "--matching",
    type=click.Choice(["verified", "distance"]),
    help="Confirm each match by geometric verification, or go by the distance of the signatures alone.  [default: "
    "verified]",
)
MAX_DISTANCE = click.option(
    "--max-distance",
    type=float,
    metavar="NUMBER",
    help="Largest distance of two signatures, from 0 (same) to 1 (unrelated), at which a file is redundant; at 0, only "
    "files with equal bytes or pixels are.  [default: no bound for verified matches]",
)
SIMILARITY = click.option(
    "--similarity",
    type=click.Choice(["identical", "same-pixels", "strict", "normal", "loose"]),
    help="How alike pictures must be: the same bytes; the same pixels too; verified copies with signatures within 0.1 "
    "too; all verified copies; or the same, with more pairs compared (signatures within 0.5 instead of 0.35).  "
    "[default: normal]",
)
ROTATE = click.option(
    "--rotate/--no-rotate", "rotated", default=None, help="Let rotated and mirrored copies match.  [default: --rotate]"
)
SAME_DIMENSIONS = click.option(
    "--same-dimensions/--any-dimensions",
    default=None,
    help="Let only pictures of the same width and height match.  [default: --any-dimensions]",
)
REPORTS = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_reports,
    help="Write a report to this file; its suffix is the format: .html for a page to look at and decide, .json, .csv, "
    ".sh for a script, .txt for the lists duplicates.txt, non-duplicates.txt and skipped_files.txt in its folder; "
    "groups.json has the groups only. May be repeated.",
)
REPORT_FORMAT = click.option(
    "--format",
    "report_format",
    type=click.Choice(["html", "json", "csv", "lists", "groups", "script"]),
    is_eager=True,  # the names of reports are checked with it
    help="Format of all --report files, instead of that of their suffixes.",
)
THUMBNAILS = click.option(
    "--thumbnails",
    type=click.Choice(["embedded", "beside"]),
    default="embedded",
    help="Where the thumbnails of an HTML report are: in the file, or in a folder beside it.  [default: embedded]",
)
FORMAT = click.option(
    "--output",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Format of standard output.  [default: text]",
)
SCOPE = click.option(
    "--scope",
    type=click.Choice(["all", "root", "folder"]),
    help="Which files may match: all, those of one root, or those of one folder.  [default: all with ROOTs]",
)
ACTION = click.option(
    "--action",
    type=click.Choice(["auto", "move", "delete", "trash", "hardlink"]),
    help="What happens to redundant files.  [default: auto]",
)
TARGET = click.option(
    "--target",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to move redundant files to, each with its path relative to its root.",
)
MERGE_METADATA = click.option(
    "--merge-metadata",
    type=click.Choice(["none", "sidecar"]),
    help="Write metadata of a removed picture that the kept one lacks (title, keywords, rating, faces, GPS position, "
    "...) to the XMP sidecar of the kept one; undo restores it.  [default: none]",
)
SUMMARY = click.option("--summary", is_flag=True, help="Print only the totals, without the groups.")
PICTURES = click.option(
    "--pictures/--no-pictures",
    default=None,
    help="Draw the first groups at a terminal (kitty, iTerm2, sixel, else half blocks).  [default: if the terminal "
    "says that it can]",
)
PAGER = click.option(
    "--pager/--no-pager",
    default=True,
    help="Show a report that is longer than the screen through the pager ($PAGER) at a terminal.  [default: --pager]",
)
YES = click.option("--yes", is_flag=True, help="Do not ask before files are removed.")


def _compiled(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(each) for each in value)
    except re.error as error:
        raise click.BadParameter(f"{error.pattern!r} is not a regular expression: {error}", ctx, param) from None


_SEARCH = (
    click.option(
        "--recursive/--no-recursive", default=None, help="Search subfolders too.  [default: analysis.recursive, true]"
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="REGEX",
        callback=_compiled,
        help="Ignore files if this regular expression matches in their full path. May be repeated; added to "
        "analysis.exclusions.",
    ),
    click.option(
        "--extension",
        "extensions",
        multiple=True,
        metavar="EXT",
        help="Search only files with this extension, such as jpg. May be repeated; replaces analysis.file_extensions.",
    ),
    click.option(
        "--any-extension/--known-extensions",
        default=None,
        help="Look into files with any other extension too, and search those that are pictures.",
    ),
    click.option("--min-size", metavar="SIZE", help="Smallest size of a file, such as 20k, 1.5M or 2MB."),
    click.option("--max-size", metavar="SIZE", help="Largest size of a file."),
    click.option("--min-pixels", metavar="PIXELS", help="Smallest picture that may match, such as 640x480 or 0.3M."),
    click.option(
        "--one-file-system/--all-file-systems", default=None, help="Do not enter folders on other file systems."
    ),
    click.option(
        "-t",
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="NUMBER",
        help="Number of files read in parallel.  [default: the number of CPUs]",
    ),
)


def search_options(command: Command) -> Command:
    """Add the options that select files and say how they are read; ``search_settings`` and ``searched`` use them."""
    for each in reversed(_SEARCH):
        command = each(command)
    return command


def search_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, by key path, that the options of ``search_options`` set."""
    names = ("recursive", "threads", "any_extension", "min_size", "max_size", "min_pixels", "one_file_system")
    return {
        "analysis.file_extensions": list(options["extensions"]) or None,
        **{f"analysis.{name}": options[name] for name in names},
    }


def report_options(command: Command) -> Command:
    """Add the options of report files and standard output; ``output_of`` uses them."""
    for each in (FORMAT, THUMBNAILS, REPORT_FORMAT, REPORTS):
        command = each(command)
    return command


def output_of(
    options: Mapping[str, Any],
    settings: Settings,
    *,
    summary: bool = False,
    searched: Callable[[], Iterable[bytes]] | None = None,
) -> Output:
    """Return the output that the options of ``report_options`` describe.

    Args:
        options: The options of the command line.
        settings: The settings, with the limits of rendering thumbnails.
        summary: Whether to print only the totals.
        searched: Returns the raw paths of all files that were searched; ``None`` if they are not known.
    """
    from py_image_dedup.wiring import limits_of

    return Output(
        options["output_format"],
        options["reports"],
        summary=summary,
        report_format=options["report_format"],
        thumbnails=options["thumbnails"],
        searched=searched,
        limits=limits_of(settings),
        threads=settings.analysis.threads,
    )


def match_options(command: Command) -> Command:
    """Add the options that say which pictures match; ``match_settings`` uses them."""
    for each in (SAME_DIMENSIONS, ROTATE, MAX_DISTANCE, MATCHING, SIMILARITY):
        command = each(command)
    return command


def match_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, by key path, that the options of ``match_options`` set."""
    names = ("similarity", "matching", "max_distance", "rotated", "same_dimensions")
    return {f"deduplication.{name}": options[name] for name in names}


def searched(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Return the settings with the exclusions of the command line added."""
    exclusions = tuple(dict.fromkeys((*settings.analysis.exclusions, *options["exclude"])))
    return replace(settings, analysis=replace(settings.analysis, exclusions=exclusions))


def with_protected(settings: Settings, folders: Sequence[Path]) -> Settings:
    """Return the settings with more protected folders; those of the configuration stay protected."""
    from py_image_dedup.config.value_types import DIRECTORY

    given = (DIRECTORY.read(str(path)) for path in folders)
    protected = tuple(dict.fromkeys((*settings.analysis.protected_directories, *given)))
    return replace(settings, analysis=replace(settings.analysis, protected_directories=protected))


def folders_to_search(settings: Settings) -> tuple[Root, ...]:
    """Return the roots of a run.

    Raises:
        click.UsageError: There is no folder to search.
    """
    from py_image_dedup.wiring import roots_of

    folders = roots_of(settings)
    if not folders:
        raise click.UsageError(_NO_FOLDER)
    return folders


def with_originals(settings: Settings, folders: Sequence[Path], *, scope: str | None) -> Settings:
    """Return the settings with more folders of originals, with which alone the other files are compared.

    Args:
        settings: The settings.
        folders: The folders of ``--against``; without any, the settings stay.
        scope: The scope of the command line.

    Raises:
        click.UsageError: A scope was given too.
    """
    if not folders:
        return settings
    if scope is not None:
        raise click.UsageError("--against and --scope contradict each other.")
    protected = with_protected(settings, folders)
    return replace(protected, analysis=replace(protected.analysis, scope="against"))


def roots_or_current_folder(invocation: Invocation, roots: Sequence[Path]) -> tuple[Path, ...]:
    """Return the ROOTs, or the current folder if there are none anywhere and the user at the terminal agrees.

    Args:
        invocation: The global options.
        roots: The ROOTs of the command line.

    Raises:
        click.UsageError: The user does not agree.
    """
    if roots or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return tuple(roots)
    analysis = invocation.load().settings.analysis
    if analysis.source_directories or analysis.protected_directories:
        return ()
    from py_image_dedup.report.text import readable

    current = Path.cwd()
    if not click.confirm(f"No folder was given. Search {readable(current)}?", err=True):
        raise click.UsageError(_NO_FOLDER)
    return (current,)


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """Return the names of runs that begin with the given text, the last first; otherwise let the shell complete files.

    A shell asks for it, so a wrong configuration completes nothing and says nothing.
    """
    from click.shell_completion import CompletionItem

    from py_image_dedup.config import ConfigError
    from py_image_dedup.removal.runs import RUNS_NAME

    invocation = Invocation()
    given = ctx.find_root().params
    invocation.change(config_file=given.get("config_file"), state_directory=given.get("state_directory"))
    try:
        folder = invocation.load().settings.state_directory / RUNS_NAME
        names = sorted((each.name for each in folder.iterdir() if each.name.startswith(incomplete)), reverse=True)
    except (ConfigError, OSError):
        names = []
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


_NO_FOLDER = "There is no folder to search: give a ROOT, or set analysis.source_directories."


def check_classes(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return the names of match classes, or refuse unknown ones.

    Raises:
        click.BadParameter: A name is unknown.
    """
    from py_image_dedup.model.match import REMOVABLE_CLASSES, MatchClass

    names = [each.value for each in MatchClass if each in REMOVABLE_CLASSES]
    for each in value:
        if each.removeprefix("+") not in names:
            raise click.BadParameter(f"{each!r} is not one of {', '.join(names)}.", ctx, param)
    return tuple(value)


def check_rules(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return the rules, or refuse unknown ones.

    Raises:
        click.BadParameter: A rule is unknown, or its arguments are wrong.
    """
    from py_image_dedup.ranking.rules import parse_rule

    for each in value:
        try:
            parse_rule(each)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return tuple(value)


_CHOICES = (
    PROTECT,
    AGAINST,
    click.option(
        "--prefer",
        multiple=True,
        metavar="DIR",
        type=FOLDER,
        help="Keep files in this folder rather than others. May be repeated, the best folder first.",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="RULE",
        callback=check_rules,
        help="Rule that chooses the file that stays, such as oldest-capture-date. May be repeated, the most important "
        "rule first; replaces the configured rules.",
    ),
    click.option(
        "--remove",
        multiple=True,
        metavar="[+]CLASS",
        callback=check_classes,
        help="Match class that may be removed: identical, same-pixels, similar, edited or partial. With + the class is "
        "added to the default, without + it replaces the default. May be repeated.  [default: identical, same-pixels, "
        "similar]",
    ),
)


def choice_options(command: Command) -> Command:
    """Add the options that say which file of a group stays and which may go.

    ``choice_settings`` and ``with_choices`` use them.
    """
    for each in reversed(_CHOICES):
        command = each(command)
    return command


def choice_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, by key path, that the options of ``choice_options`` set."""
    return {"deduplication.prioritization_rules": list(options["rules"]) or None}


def with_choices(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Return the settings with what ``choice_options`` add to configured values: folders, rules and classes.

    Raises:
        click.UsageError: A scope was given together with folders of originals, or the classes are wrong.
    """
    from py_image_dedup.config.settings import with_classes
    from py_image_dedup.config.value_types import DIRECTORY

    deduplication = settings.deduplication
    preferred = [str(DIRECTORY.read(str(path))) for path in options["prefer"]]
    rules = deduplication.prioritization_rules
    classes = deduplication.remove
    if options["remove"]:
        try:
            classes = with_classes(options["remove"], deduplication.remove)
        except ValueError as error:
            raise click.UsageError(f"--remove: {error}") from None
    return replace(
        with_originals(with_protected(settings, options["protect"]), options["against"], scope=options["scope"]),
        deduplication=replace(
            deduplication,
            prioritization_rules=({"folder-order": preferred}, *rules) if preferred else rules,
            remove=classes,
        ),
    )


_OPTIONS = (
    click.option(
        "--files-from",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        help="Search only the files that are listed in FILE, one per line, instead of folders; - for standard input.",
    ),
    click.option("-0", "--null", is_flag=True, help="The files of --files-from are separated by null bytes."),
)


def file_list_options(command: Command) -> Command:
    """Add the options of a file list; ``read_file_list`` uses them."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


@dataclass(frozen=True, slots=True)
class FileList:
    """A list of files.

    Attributes:
        raw_paths: Absolute raw paths.
        folders: Their folders, which are the roots of the run.
    """

    raw_paths: frozenset[bytes]
    folders: tuple[Path, ...]


def read_file_list(invocation: Invocation, roots: Sequence[Path], source: str | None, *, null: bool) -> FileList | None:
    """Read the list of files, if the command line names one.

    Args:
        invocation: The global options, for warnings.
        roots: The ROOTs of the command line.
        source: Path of the list, or ``-`` for standard input.
        null: Whether the names are separated by null bytes.

    Raises:
        click.UsageError: There are ROOTs too, or no list, or the list is empty.
    """
    if source is None:
        if null:
            raise click.UsageError("-0 needs --files-from.")
        return None
    if roots:
        raise click.UsageError("Give either ROOTs or --files-from, not both.")
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    names = [name for name in data.split(b"\0" if null else b"\n") if name.strip()]
    raw_paths = {os.path.abspath(name if null else name.rstrip(b"\r")) for name in names}  # noqa: PTH100 - raw paths
    if not raw_paths:
        raise click.UsageError("The list of --files-from is empty.")
    there = {raw for raw in raw_paths if os.path.isfile(raw)}  # noqa: PTH113 - raw paths
    if len(there) < len(raw_paths):
        invocation.say(f"Warning: {len(raw_paths) - len(there):,} of {len(raw_paths):,} listed files do not exist.")
    folders = sorted({os.path.dirname(raw) for raw in there})  # noqa: PTH120 - raw paths
    if not folders:
        raise click.UsageError("None of the listed files exists.")
    return FileList(frozenset(there), tuple(Path(os.fsdecode(folder)) for folder in folders))


def searched_paths(files: FileList | None, settings: Settings) -> Collection[bytes] | None:
    """Return the raw paths to search: the listed files and all files of protected folders; ``None`` without a list."""
    if files is None:
        return None
    from py_image_dedup.scan.walker import walk
    from py_image_dedup.wiring import options_of, roots_of

    protected = [root for root in roots_of(settings) if root.protected]
    if not protected:
        return files.raw_paths
    return files.raw_paths.union(walk(protected, options_of(settings).selector).stamps)
