"""The settings: every option once, with its kind, its default and what it means.

The classes are what the program reads; the reference configuration, the check of a user's configuration, and the
names of environment variables are made from the same fields.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from py_image_dedup.config.value_types import (
    BOOLEAN,
    DIRECTORIES,
    DIRECTORY,
    DURATION,
    FILE,
    HOST,
    PATTERNS,
    SUFFIXES,
    TEXT,
    ValueType,
    choice,
    integer,
    many,
    number,
    option,
)
from py_image_dedup.ranking.rules import (
    DEFAULT_IDENTICAL_RULES,
    DEFAULT_RULES,
    RuleSpec,
    parse_identical_rules,
    parse_rule,
)


def _plain(item: Any) -> Any:
    """Bring the ways to write a rule to two: its name, or its name with its arguments.

    ``{"name": "more-exif-data"}`` is how older configurations write it, as text in an environment variable too.
    """
    if isinstance(item, str) and item.lstrip().startswith("{"):
        try:
            item = ast.literal_eval(item.strip())
        except (ValueError, SyntaxError):
            raise ValueError(f"{item!r} is not a rule") from None
    if not isinstance(item, Mapping):
        return str(item)
    # YAML's own classes know their lines and print badly; the settings hold plain values.
    plain = {str(key): value if isinstance(value, str) else list(value or ()) for key, value in item.items()}
    return plain["name"] if plain.keys() == {"name"} else plain


def _read(value: Any, check: Callable[[RuleSpec], object] = parse_rule) -> tuple[RuleSpec, ...]:
    if isinstance(value, str):
        # The arguments of a rule have commas between them; who needs both separates the rules by semicolons.
        parts = value.split(";" if ";" in value else ",")
        value = [part.strip() for part in parts if part.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("a list of rules is needed")  # noqa: TRY004 - one kind of error for every wrong value
    found, causes = [], []
    for item in value:
        try:
            rule = _plain(item)
            check(rule)
        except (ValueError, TypeError) as error:
            causes.append(str(error))
        else:
            found.append(rule)
    if causes:
        raise ValueError("; ".join(causes))
    return tuple(found)


DEFAULT: tuple[RuleSpec, ...] = DEFAULT_RULES
"""The rules that decide when the user says nothing."""

RULES = ValueType(_read, list)

IDENTICAL_RULES = ValueType(lambda value: _read(value, lambda rule: parse_identical_rules([rule])), list)


PORT = integer(1, 65535)


def _state_directory() -> Path:
    from platformdirs import user_state_path

    return user_state_path("py-image-dedup", appauthor=False)


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _extensions() -> tuple[str, ...]:
    from py_image_dedup.media.formats import EXTENSIONS

    return tuple(sorted(EXTENSIONS))


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What is searched, and how it is read."""

    source_directories: tuple[Path, ...] = option(
        DIRECTORIES, (), "The folders to search.", example=["/home/myuser/pictures"]
    )
    protected_directories: tuple[Path, ...] = option(
        DIRECTORIES,
        (),
        "Searched too and never touched: the originals. A file of theirs may be the reason why another one goes.",
        example=["/home/myuser/originals"],
    )
    recursive: bool = option(BOOLEAN, True, "Search the folders below the source directories too.")
    across_dirs: bool = option(
        BOOLEAN,
        False,
        "true: files of different source directories may match (scope: all); false: they may not (scope: root).",
        replaced_by="analysis.scope: all (for true) or root (for false)",
    )
    scope: str = option(
        choice("all", "root", "folder"),
        "root",
        "Which files may match each other: all of them, those of one source directory, or those of one folder.",
    )
    file_extensions: tuple[str, ...] = option(
        SUFFIXES,
        _extensions,
        "Files with other extensions are not looked at.",
        example=[".png", ".jpg", ".jpeg"],
        default_words="every format that can be decoded",
    )
    exclusions: tuple[re.Pattern[str], ...] = option(
        PATTERNS,
        (),
        "Regular expressions; a file whose whole path contains a match of one is not looked at; `/raw/` means all "
        "folders of that name.",
        example=[".*/excluded/.*"],
    )
    threads: int = option(
        integer(1, 1024),
        _threads,
        "How many files are read at once.",
        default_words="the CPUs that it may use",
        example=4,
    )
    use_exif_data: bool = option(
        BOOLEAN,
        True,
        "Let EXIF data decide which file stays; if not, rules about EXIF fields, dates and positions are left out.",
    )
    features: bool = option(
        BOOLEAN,
        True,
        "Compute what crops, insets and edited copies are recognised by, 9 kB a photo; without, the signature alone "
        "decides (matching: distance).",
    )
    max_pixels: int = option(
        integer(1), 500_000_000, "A picture with more pixels is listed as too large and not decoded."
    )
    decode_timeout: timedelta = option(
        DURATION, timedelta(seconds=60), "A file whose decoding takes longer is given up and listed."
    )


@dataclass(frozen=True, slots=True)
class DeduplicationSettings:
    """What counts as a duplicate, which one stays, and what happens to the others."""

    matching: str | None = option(
        choice("verified", "distance"),
        None,
        "How similar pictures are told from others. verified: each match is proven by laying one picture over the "
        "other; distance: by the distance of their signatures alone.",
        example="verified",
        default_words="verified; distance without analysis.features",
    )
    max_distance: float | None = option(
        number(0, 1),
        None,
        "The largest distance of signatures, from 0 (the same) to 1 (unlike). Matching by distance: of similar "
        "pictures. Verified: up to it two pictures are compared even if they have no details in common.",
        old_names=("elasticsearch.max_distance",),
        example=0.1,
        default_words="0.35; 0.1 with matching: distance",
    )
    remove: tuple[str, ...] = option(
        many(choice("identical", "same-pixels", "similar", "partial")),
        ("identical", "same-pixels", "similar"),
        "The classes of duplicates that may be removed; the others are only shown.",
    )
    action: str = option(
        choice("auto", "move", "delete", "trash", "hardlink"),
        "auto",
        "What happens to a redundant file. auto: moved to duplicates_target_directory if that is set; if not, deleted "
        "if its bytes equal the keeper's and moved to the quarantine folder of its root otherwise.",
    )
    duplicates_target_directory: Path | None = option(
        DIRECTORY,
        None,
        "Redundant files are moved there, each with its path below its root.",
        example="/home/myuser/duplicates",
    )
    quarantine_days: int = option(integer(0), 30, "How long a file stays in quarantine before a later run deletes it.")
    max_file_modification_time_diff: timedelta | None = option(
        DURATION, None, "Files whose modification times are further apart are no duplicates.", example="5m"
    )
    prioritization_rules: tuple[RuleSpec, ...] = option(
        RULES,
        DEFAULT,
        "Which file of a group stays: the first rule that tells two files apart decides.",
    )
    identical_rules: tuple[RuleSpec, ...] = option(
        IDENTICAL_RULES,
        DEFAULT_IDENTICAL_RULES,
        "Which of several files with the same bytes stays. A protected file always does; folder-order without folders "
        "means that of prioritization_rules.",
    )


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """How the folders are watched."""

    processing_timeout: timedelta = option(
        DURATION,
        timedelta(seconds=30),
        "How long it must be quiet before new files are looked at.",
        old_names=("daemon.timeout",),
    )
    file_observer: str = option(
        choice("inotify", "polling"),
        "inotify",
        "How changes are noticed: inotify, by the kernel; polling, by looking, for network folders.",
    )
    full_run_interval: timedelta = option(
        DURATION, timedelta(hours=24), "A whole run now and then, for changes that were missed."
    )


@dataclass(frozen=True, slots=True)
class ElasticsearchSettings:
    """Where Elasticsearch is, if it is the index."""

    host: str | None = option(
        HOST,
        None,
        "Set: Elasticsearch is the index. Not set: a file in the state directory is. More nodes: separated by commas.",
        example="127.0.0.1",
    )
    port: int = option(PORT, 9200, "Its port.")
    scheme: str = option(choice("http", "https"), "http", "How it is spoken to.")
    index: str = option(TEXT, "images", "The name of the index.")
    auto_create_index: bool = option(BOOLEAN, True, "Create the index if it is not there.")
    username: str | None = option(TEXT, None, "For servers that ask who you are.", example="elastic")
    password: str | None = option(
        TEXT, None, "Belongs to the user name; better set in the environment.", example="...", secret=True
    )
    api_key: str | None = option(
        TEXT, None, "Instead of user name and password; better set in the environment.", example="...", secret=True
    )
    ca_certificate: Path | None = option(
        FILE, None, "The certificate that signed the server's.", example="/etc/ssl/certs/elasticsearch-ca.pem"
    )


@dataclass(frozen=True, slots=True)
class StatsSettings:
    """The metrics of the daemon."""

    enabled: bool = option(BOOLEAN, True, "Export metrics and health over HTTP.")
    address: str = option(
        TEXT,
        "0.0.0.0",  # noqa: S104 - metrics are scraped from another machine or container; they hold no path
        "The address to listen on; 127.0.0.1 for this machine only.",
    )
    port: int = option(PORT, 8000, "The port to listen on.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``config.load`` makes one from file, environment and command line."""

    dry_run: bool = option(BOOLEAN, True, "Show what would be done and change nothing.")
    state_directory: Path = option(
        DIRECTORY,
        _state_directory,
        "Where the index and the records of the runs are kept.",
        example="/home/myuser/.local/state/py-image-dedup",
        default_words="the user's folder for state",
    )
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    deduplication: DeduplicationSettings = field(default_factory=DeduplicationSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    remove_empty_folders: bool = option(BOOLEAN, False, "Remove folders that this run has emptied.")
    stats: StatsSettings = field(default_factory=StatsSettings)
