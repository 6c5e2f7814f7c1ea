"""Builds stores, options and deduplicators from the settings; the one module that depends on all packages.

It imports packages where it uses them: a command that only queries the index must not wait for decoders to load.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from py_image_dedup.config import Settings
from py_image_dedup.model.events import Observer, ignore, never
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.ranking.rules import parse_identical_rules, parse_rule
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.store import INDEX_NAME

if TYPE_CHECKING:
    from py_image_dedup.api import Confirm, Deduplicator, Options
    from py_image_dedup.media.limits import Limits
    from py_image_dedup.pipeline.options import FindOptions
    from py_image_dedup.ranking.rules import Rule
    from py_image_dedup.removal.plan import RemovalOptions
    from py_image_dedup.store.base import Store

_RULES_ABOUT_EXIF = frozenset(
    {
        "more-exif-data",
        "less-exif-data",
        "oldest-capture-date",
        "newest-capture-date",
        "has-gps",
        "has-no-gps",
    }
)


def index_place(settings: Settings) -> Path | str:
    """Return the location of the index: the path of a file, or a text that describes a server and its index."""
    elastic = settings.elasticsearch
    if elastic.host:
        return f"the Elasticsearch index '{elastic.index}' at {elastic.scheme}://{elastic.host}:{elastic.port}"
    return settings.state_directory / INDEX_NAME


def build_store(settings: Settings, *, patience_seconds: float = 60.0) -> Store:
    """Open the index; create it if it does not exist.

    Args:
        settings: The settings, with the location of the index.
        patience_seconds: Longest time per request for which an unreachable or busy server is retried.

    Raises:
        StoreUnavailable: The index is busy or unreachable at the moment.
        StoreError: The index cannot be used.
    """
    elastic = settings.elasticsearch
    if elastic.host is None:
        from py_image_dedup.store.sqlite.store import SqliteStore

        return SqliteStore(settings.state_directory / INDEX_NAME)
    from py_image_dedup.store.elastic import ElasticOptions, ElasticStore

    return ElasticStore(
        ElasticOptions(
            hosts=tuple(host.strip() for host in elastic.host.split(",") if host.strip()),
            port=elastic.port,
            index=elastic.index,
            auto_create_index=elastic.auto_create_index,
            username=elastic.username,
            password=elastic.password,
            api_key=elastic.api_key,
            ca_certificate=elastic.ca_certificate,
            scheme=elastic.scheme,
            patience_seconds=patience_seconds,
            cache_directory=settings.state_directory,
        )
    )


def discard_index(settings: Settings) -> bool:
    """Delete an embedded index that can no longer be opened.

    Returns:
        Whether there was a file to delete.

    Raises:
        StoreError: The file belongs to another program or cannot be deleted.
    """
    from py_image_dedup.store.sqlite.store import SqliteStore

    place = index_place(settings)
    if not isinstance(place, Path) or not place.exists():
        return False
    SqliteStore.discard(place)
    return True


def runs_directory(settings: Settings) -> Path:
    """Return the folder that contains one folder per run."""
    return settings.state_directory / RUNS_NAME


def roots_of(settings: Settings) -> tuple[Root, ...]:
    """Return the folders to search; a folder that is both a source and protected counts as protected."""
    protected = settings.analysis.protected_directories
    sources = (path for path in settings.analysis.source_directories if path not in protected)
    return (*(Root(path) for path in sources), *(Root(path, protected=True) for path in protected))


def limits_of(settings: Settings) -> Limits:
    """Return the cost limits of one file."""
    from py_image_dedup.media.limits import Limits

    analysis = settings.analysis
    return Limits(max_pixels=analysis.max_pixels, timeout_seconds=analysis.decode_timeout.total_seconds())


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """Return the rules that choose keepers; without the use of EXIF data, rules about it are left out."""
    rules = tuple(parse_rule(spec) for spec in settings.deduplication.prioritization_rules)
    if settings.analysis.use_exif_data:
        return rules
    return tuple(rule for rule in rules if rule.name not in _RULES_ABOUT_EXIF)


def removal_of(settings: Settings) -> RemovalOptions:
    """Return the options for the removal of redundant files."""
    from py_image_dedup.removal.plan import ActionChoice, MergeMetadata, RemovalOptions

    deduplication = settings.deduplication
    return RemovalOptions(
        action=ActionChoice(deduplication.action),
        target_directory=deduplication.duplicates_target_directory,
        remove_classes=frozenset(MatchClass(name) for name in deduplication.remove),
        prune=settings.remove_empty_folders,
        merge_metadata=MergeMetadata(deduplication.merge_metadata),
    )


def matching_of(settings: Settings) -> FindOptions:
    """Return the options that define a duplicate."""
    from py_image_dedup.matching.criteria import DEFAULT_MATCHING, Matching, Scope, Similarity
    from py_image_dedup.pipeline.options import FindOptions

    analysis, deduplication = settings.analysis, settings.deduplication
    apart_in_time = deduplication.max_file_modification_time_diff
    return FindOptions(
        max_distance=deduplication.max_distance,
        scope=Scope(analysis.scope),
        similarity=Similarity(deduplication.similarity),
        upright=not deduplication.rotated,
        same_dimensions=deduplication.same_dimensions,
        min_pixels=analysis.min_pixels,
        max_file_modification_time_diff=None if apart_in_time is None else apart_in_time.total_seconds(),
        threads=analysis.threads,
        limits=limits_of(settings),
        matching=Matching(deduplication.matching or (DEFAULT_MATCHING if analysis.features else Matching.DISTANCE)),
    )


def videos_of(settings: Settings) -> frozenset[str]:
    """Return the file name endings of videos that take part; none without the extra ``video``.

    A list of extensions that the user made is not extended.
    """
    from py_image_dedup.media.formats import EXTENSIONS
    from py_image_dedup.video.recognition import readable_suffixes

    if not settings.analysis.videos:
        return frozenset()
    wanted, readable = frozenset(settings.analysis.file_extensions), readable_suffixes()
    return readable if wanted == EXTENSIONS else readable & wanted


def options_of(settings: Settings) -> Options:
    """Return the options of a run."""
    from py_image_dedup.api import Options
    from py_image_dedup.pipeline.options import AnalyseOptions
    from py_image_dedup.scan.selector import Selector

    analysis, deduplication = settings.analysis, settings.deduplication
    videos = videos_of(settings)
    return Options(
        selector=Selector(
            frozenset(analysis.file_extensions) | videos,
            analysis.exclusions,
            analysis.recursive,
            any_extension=analysis.any_extension,
            min_size=analysis.min_size,
            max_size=analysis.max_size,
            one_file_system=analysis.one_file_system,
        ),
        analyse=AnalyseOptions(
            threads=analysis.threads, limits=limits_of(settings), features=analysis.features, videos=videos
        ),
        find=matching_of(settings),
        inspect=deduplication.inspect,
        units=deduplication.units,
        series=deduplication.series,
        rules=rules_of(settings),
        identical_rules=parse_identical_rules(deduplication.identical_rules),
        removal=removal_of(settings),
        quarantine_days=deduplication.quarantine_days,
        state_directory=settings.state_directory,
    )


def build(
    settings: Settings,
    store: Store,
    *,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
    confirm: Confirm | None = None,
    listed: Collection[bytes] | None = None,
    leaves_restored: bool = False,
) -> Deduplicator:
    """Build a deduplicator.

    Args:
        settings: All settings.
        store: The index, from ``build_store``; the caller closes it.
        observer: Receives the events, from several threads.
        should_stop: Returns whether to stop, called often.
        confirm: Returns whether to remove files, called once before the first removal.
        listed: Absolute raw paths of the only files that take part; ``None`` for all files of the roots.
        leaves_restored: Whether files that an undo restored stay.
    """
    from py_image_dedup.api import Deduplicator

    options = replace(options_of(settings), leaves_restored=leaves_restored)
    if listed is not None:
        options = replace(options, selector=replace(options.selector, listed=frozenset(listed)))
    return Deduplicator(store, options, observer=observer, should_stop=should_stop, confirm=confirm)
