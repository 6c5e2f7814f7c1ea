"""The settings: every option with its value type, default and description, and the value types of rules and classes.

The program reads these classes; the reference configuration, the validation of a configuration and the names of
environment variables are derived from the same fields.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from py_image_dedup.config.value_types import (
    BOOLEAN,
    BYTES,
    COMMAND,
    DIRECTORIES,
    DIRECTORY,
    DURATION,
    FILE,
    HOST,
    PATTERNS,
    PIXELS,
    SUFFIXES,
    TEXT,
    WEB_ADDRESS,
    ValueType,
    choice,
    integer,
    many,
    number,
    option,
)
from py_image_dedup.matching.criteria import (
    DEFAULT_MATCHING,
    DEFAULT_SCOPE,
    DEFAULT_SIMILARITY,
    Matching,
    Scope,
    Similarity,
)
from py_image_dedup.media.limits import Limits, available_cpus
from py_image_dedup.model.match import REMOVABLE_CLASSES, MatchClass
from py_image_dedup.ranking.rules import (
    DEFAULT_IDENTICAL_RULES,
    DEFAULT_RULES,
    RULES_WITHOUT_EFFECT,
    RuleSpec,
    parse_identical_rules,
    parse_rule,
)
from py_image_dedup.removal.plan import QUARANTINE_DAYS, ActionChoice, MergeMetadata, RemovalOptions


def _plain(item: Any) -> Any:
    """Return a rule in one of two forms: its name, or its name with its arguments.

    Version 2 wrote ``{"name": "more-exif-data"}``, in an environment variable as text. Its two rules about copies in
    file names did the opposite of what their names said; written in its way, they keep their effect.
    """
    if isinstance(item, str) and item.lstrip().startswith("{"):
        try:
            item = ast.literal_eval(item.strip())
        except (ValueError, SyntaxError):
            raise ValueError(f"{item!r} is not a rule") from None
    if not isinstance(item, Mapping):
        return str(item)
    # YAML's own classes print badly; the settings hold plain values.
    plain = {str(key): value if isinstance(value, str) else list(value or ()) for key, value in item.items()}
    if plain.keys() != {"name"}:
        return plain
    return _OPPOSITE.get(str(plain["name"]), plain["name"])


_OPPOSITE = {
    "contains-copy-in-file-name": "doesnt-contain-copy-in-file-name",
    "doesnt-contain-copy-in-file-name": "contains-copy-in-file-name",
}
"""What the rules of version 2 about copies in file names did, in the words of today."""


def deprecated_rules(value: Any) -> Iterator[str]:
    """Yield a remark about each rule of a list, as it is written, that has no effect or another one than its name says.

    Args:
        value: A valid value of ``prioritization_rules``.
    """
    for item in _items(value):
        plain = _plain(item)
        if not isinstance(plain, str):
            continue
        if plain in RULES_WITHOUT_EFFECT:
            yield f"{plain} has no effect, as in version 2; use {RULES_WITHOUT_EFFECT[plain]}"
        elif plain in _OPPOSITE and plain != item:
            yield f"{_OPPOSITE[plain]} has the effect that it had in version 2; its name is now {plain}"


def _items(value: Any) -> Any:
    """Return the rules of a list, or of text as environment variables have it."""
    if not isinstance(value, str):
        return value
    # Commas also separate the arguments of a rule; with arguments, rules are separated by semicolons.
    parts = value.split(";" if ";" in value else ",")
    return [part.strip() for part in parts if part.strip()]


def _read(value: Any, check: Callable[[RuleSpec], object] = parse_rule) -> tuple[RuleSpec, ...]:
    value = _items(value)
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


RULES = ValueType(_read, list)

IDENTICAL_RULES = ValueType(lambda value: _read(value, lambda rule: parse_identical_rules([rule])), list)

_CLASSES = tuple(each.value for each in MatchClass if each in REMOVABLE_CLASSES)

_REMOVAL = RemovalOptions()

_LIMITS = Limits()

DEFAULT_REMOVE = tuple(each.value for each in MatchClass if each in _REMOVAL.remove_classes)
"""The match classes that may be removed by default."""


def with_classes(given: Sequence[str], base: Sequence[str]) -> tuple[str, ...]:
    """Return the match classes that may be removed.

    Args:
        given: Names of classes, all with ``+`` to add them to the base, or all without to replace it.
        base: The classes that ``+`` adds to.

    Raises:
        ValueError: A name is unknown, or only some have ``+``.
    """
    classes = choice(*_CLASSES)
    names = [classes.read(each.strip().removeprefix("+")) for each in given]
    added = [each.strip().startswith("+") for each in given]
    if any(added) and not all(added):
        raise ValueError("either all classes have a + (they are added to the default) or none (they replace it)")
    return tuple(dict.fromkeys((*base, *names) if any(added) else names))


CLASSES = ValueType(lambda value: with_classes(many(TEXT).read(value), DEFAULT_REMOVE), list)

PORT = integer(1, 65535)

SHORTEST_PASSWORD = 8
"""Fewest characters of the password of the review page."""


def _state_directory() -> Path:
    from platformdirs import user_state_path

    return user_state_path("py-image-dedup", appauthor=False)


def _extensions() -> tuple[str, ...]:
    from py_image_dedup.media.formats import EXTENSIONS

    return tuple(sorted(EXTENSIONS))


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """The options of the search and the analysis."""

    source_directories: tuple[Path, ...] = option(
        DIRECTORIES, (), "Folders to search.", example=["/home/myuser/pictures"]
    )
    protected_directories: tuple[Path, ...] = option(
        DIRECTORIES,
        (),
        "Folders that are searched and never changed, such as originals: their files may be keepers but are never "
        "removed.",
        example=["/home/myuser/originals"],
    )
    recursive: bool = option(BOOLEAN, True, "Search subfolders too.")
    across_dirs: bool = option(
        BOOLEAN,
        False,
        "true: files of different source directories may match (scope: all); false: they may not (scope: root).",
        replaced_by="analysis.scope: all (for true) or root (for false)",
    )
    scope: str = option(
        choice(*Scope),
        DEFAULT_SCOPE.value,
        "Which files may match each other: all files (all), files of one source directory (root), files of one "
        "folder (folder), or each file with those of protected_directories only (against).",
    )
    file_extensions: tuple[str, ...] = option(
        SUFFIXES,
        _extensions,
        "Extensions of the files to search.",
        example=[".png", ".jpg", ".jpeg"],
        default_words="all formats that can be decoded",
    )
    any_extension: bool = option(
        BOOLEAN, False, "Search files with any other extension too if their content is a picture; each is opened."
    )
    min_size: int = option(
        BYTES, 0, "Smallest size of a file to search, such as 20k, 1.5M or 2GiB (powers of 1024; MB: of 1000)."
    )
    max_size: int | None = option(BYTES, None, "Largest size of a file to search.", example="100M")
    min_pixels: int = option(
        PIXELS, 0, "Smallest picture that may match, as a number of pixels such as 0.3M, or as 640x480."
    )
    one_file_system: bool = option(
        BOOLEAN, False, "Do not enter folders on other file systems than that of their source directory."
    )
    exclusions: tuple[re.Pattern[str], ...] = option(
        PATTERNS,
        (),
        "Regular expressions; a file is ignored if one of them matches anywhere in its full path. `/raw/` excludes "
        "all folders of that name.",
        example=[".*/excluded/.*"],
    )
    threads: int = option(
        integer(1, 1024),
        available_cpus,
        "Number of files read in parallel.",
        default_words="the number of CPUs available to the process",
        example=4,
    )
    use_exif_data: bool = option(
        BOOLEAN,
        True,
        "Use EXIF data to choose the file that stays; if false, rules about EXIF fields, dates and positions are "
        "ignored.",
    )
    features: bool = option(
        BOOLEAN,
        True,
        "Compute local features (9 kB per photo), by which crops, insets and edited copies are recognised; without "
        "them, only the signature decides (matching: distance).",
    )
    videos: bool = option(
        BOOLEAN,
        True,
        "Compare videos with each other too (mp4, mov, mkv, avi, webm, 3gp, m4v, mts); this needs "
        "py-image-dedup[video]. A list in file_extensions must name their extensions.",
    )
    max_pixels: int = option(
        integer(1), _LIMITS.max_pixels, "Pictures with more pixels are listed as too large and not decoded."
    )
    decode_timeout: timedelta = option(
        DURATION,
        timedelta(seconds=_LIMITS.timeout_seconds),
        "Time limit for decoding a file; a file that takes longer is listed as unreadable.",
    )


@dataclass(frozen=True, slots=True)
class DeduplicationSettings:
    """The options of matching, ranking and removal."""

    matching: str | None = option(
        choice(*Matching),
        None,
        "How similar pictures are recognised. verified: each match is confirmed by geometric verification; distance: "
        "by the distance of the signatures alone.",
        example=DEFAULT_MATCHING.value,
        default_words=f"{DEFAULT_MATCHING}; {Matching.DISTANCE} without analysis.features",
    )
    max_distance: float | None = option(
        number(0, 1),
        None,
        "Largest distance of two signatures, from 0 (same) to 1 (unrelated), at which a file is redundant; at 0, only "
        "files with equal bytes or pixels are.",
        old_names=("elasticsearch.max_distance",),
        example=0.1,
        default_words="none for verified matches; otherwise that of similarity",
    )
    similarity: str = option(
        choice(*Similarity),
        DEFAULT_SIMILARITY.value,
        "How alike pictures must be to match; each level includes those before it. identical: the same bytes; "
        "same-pixels: the same decoded pixels; strict: verified copies whose signatures are within 0.1; normal: all "
        "verified copies; loose: the same, with more pairs verified (signatures within 0.5 instead of 0.35). Where the "
        "distance alone decides, strict, normal and loose are distances of 0.05, 0.1 and 0.15.",
    )
    rotated: bool = option(BOOLEAN, True, "Let rotated and mirrored copies match; false: they do not.")
    same_dimensions: bool = option(BOOLEAN, False, "Let only pictures of the same width and height match.")
    remove: tuple[str, ...] = option(
        CLASSES,
        DEFAULT_REMOVE,
        f"Match classes that may be removed ({', '.join(_CLASSES)}); the others are only reported. A class with + "
        "is added to the default.",
    )
    inspect: bool = option(
        BOOLEAN,
        True,
        "Compare each redundant file in full with the file that stays; without it there are only dry runs, which show "
        "the quick answer.",
    )
    units: bool = option(
        BOOLEAN,
        True,
        "Keep the files of one photo together: a RAW photo and its JPEG, sidecars (XMP, AAE), the film of a Live "
        "Photo, Google's metadata, edited versions. They are ranked, removed and restored as one.",
    )
    series: bool = option(
        BOOLEAN,
        True,
        "Keep bursts and exposure brackets: their shots are no copies of each other, and go only if another series has "
        "all of them.",
    )
    action: str = option(
        choice(*ActionChoice),
        _REMOVAL.action.value,
        "What happens to a redundant file. auto: moved to duplicates_target_directory if that is set; otherwise "
        "deleted if its bytes equal the keeper's, and moved to the quarantine folder of its root if not.",
    )
    merge_metadata: str = option(
        choice(*MergeMetadata),
        _REMOVAL.merge_metadata.value,
        "Where metadata of a removed picture go that its keeper lacks (title, description, keywords, rating, author, "
        "people and faces, place and GPS position, capture time). sidecar: into the keeper's XMP sidecar, which an "
        "undo restores; a picture whose metadata cannot go there stays. The pictures themselves are never written.",
    )
    duplicates_target_directory: Path | None = option(
        DIRECTORY,
        None,
        "Folder to move redundant files to, each with its path relative to its root.",
        example="/home/myuser/duplicates",
    )
    quarantine_days: int = option(
        integer(0), QUARANTINE_DAYS, "Age in days at which a later run permanently deletes a file in quarantine."
    )
    max_file_modification_time_diff: timedelta | None = option(
        DURATION, None, "Files whose modification times differ by more than this do not match.", example="5m"
    )
    prioritization_rules: tuple[RuleSpec, ...] = option(
        RULES,
        DEFAULT_RULES,
        "Rules that choose the file that stays: the first rule that distinguishes two files decides.",
    )
    identical_rules: tuple[RuleSpec, ...] = option(
        IDENTICAL_RULES,
        DEFAULT_IDENTICAL_RULES,
        "Rules that choose the file that stays among files with the same bytes, after protected files. folder-order "
        "without folders means that of prioritization_rules.",
    )


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The options of the daemon."""

    processing_timeout: timedelta = option(
        DURATION,
        timedelta(seconds=30),
        "Quiet period before new files are processed.",
        old_names=("daemon.timeout",),
    )
    file_observer: str = option(
        choice("inotify", "polling"),
        "inotify",
        "How changes are detected. inotify: by the kernel; polling: by scanning, for network folders.",
    )
    full_run_interval: timedelta = option(
        DURATION, timedelta(hours=24), "Interval between full runs, which catch missed changes."
    )


@dataclass(frozen=True, slots=True)
class ElasticsearchSettings:
    """The options of the connection to Elasticsearch."""

    host: str | None = option(
        HOST,
        None,
        "Host name of Elasticsearch, or several separated by commas. If not set, the index is a file in the state "
        "directory.",
        example="127.0.0.1",
    )
    port: int = option(PORT, 9200, "Elasticsearch port.")
    scheme: str = option(choice("http", "https"), "http", "http or https.")
    index: str = option(TEXT, "images", "Name of the index.")
    auto_create_index: bool = option(BOOLEAN, True, "Create the index if it does not exist.")
    username: str | None = option(TEXT, None, "User name, if authentication is required.", example="elastic")
    password: str | None = option(
        TEXT, None, "Password for username; better set in the environment.", example="...", secret=True
    )
    api_key: str | None = option(
        TEXT,
        None,
        "API key, instead of user name and password; better set in the environment.",
        example="...",
        secret=True,
    )
    ca_certificate: Path | None = option(
        FILE,
        None,
        "CA certificate that signed the certificate of the server.",
        example="/etc/ssl/certs/elasticsearch-ca.pem",
    )


@dataclass(frozen=True, slots=True)
class StatsSettings:
    """The options of the daemon's HTTP server."""

    enabled: bool = option(BOOLEAN, True, "Serve metrics and health checks over HTTP.")
    address: str = option(
        TEXT,
        "0.0.0.0",  # noqa: S104 - metrics are scraped from another machine or container; they hold no path
        "Address to listen on; 127.0.0.1 for this machine only.",
    )
    port: int = option(PORT, 8000, "Port to listen on.")


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """The options of the daemon's review page."""

    enabled: bool = option(BOOLEAN, False, "Serve the review page from the daemon.")
    address: str = option(
        TEXT,
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 for all machines of the network, which needs a password.",
    )
    port: int = option(PORT, 8001, "Port to listen on.")
    password: str | None = option(
        TEXT,
        None,
        "Password of the page, of 8 characters or more; better in password_file.",
        example="...",
        secret=True,
    )
    password_file: Path | None = option(
        FILE,
        None,
        "File whose first line is the password, such as a Docker secret; password has precedence.",
        example="/run/secrets/review_password",
    )
    session_timeout: timedelta = option(
        DURATION, timedelta(hours=12), "Time after which a login ends and the password is needed again."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the page."""
        if self.address == "localhost":
            return True
        try:
            return ip_address(self.address).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The options of the daemon's notifications."""

    command: tuple[str, ...] = option(
        COMMAND,
        (),
        "Program, with its arguments, that gets a summary as JSON on standard input after each run that planned or "
        "removed something, or failed.",
        example=["/usr/local/bin/notify", "--title", "Photos"],
    )
    url: str | None = option(
        WEB_ADDRESS,
        None,
        "Address that the same summary is sent to by POST (a webhook).",
        example="https://hooks.example.org/photos",
    )
    timeout: timedelta = option(DURATION, timedelta(seconds=30), "Time limit of the command and of the request.")


@dataclass(frozen=True, slots=True)
class Settings:
    """All options. ``config.load`` reads them from file, environment and command line."""

    dry_run: bool = option(BOOLEAN, True, "Show what would be done and change nothing.")
    state_directory: Path = option(
        DIRECTORY,
        _state_directory,
        "Folder of the index and of the records of runs.",
        example="/home/myuser/.local/state/py-image-dedup",
        default_words="the state folder of the user",
    )
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    deduplication: DeduplicationSettings = field(default_factory=DeduplicationSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    remove_empty_folders: bool = option(BOOLEAN, _REMOVAL.prune, "Remove folders that a run has emptied.")
    stats: StatsSettings = field(default_factory=StatsSettings)
    review: ReviewSettings = field(default_factory=ReviewSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
