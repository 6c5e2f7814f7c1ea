"""Searches in one call, and an index that is searched several times."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from py_image_dedup.api.deduplicator import Deduplicator, Taken
from py_image_dedup.api.duplicates import Duplicates, Owner, renamed
from py_image_dedup.api.sources import Gathered, Image, Source, gather, write_image
from py_image_dedup.matching.criteria import Scope, Similarity
from py_image_dedup.model.events import Observer, ignore, never
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import Match
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import FindOptions, Options
from py_image_dedup.removal.plan import RemovalOptions, make_plan
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.removal.serialization import PLAN_NAME, save_plan
from py_image_dedup.scan.walker import walk
from py_image_dedup.store import INDEX_NAME
from py_image_dedup.store.sqlite.store import SqliteStore


class SearchError(Exception):
    """A search failed; the message is for people."""


class SearchOptions(TypedDict, total=False):
    """The arguments of a search; those that are missing have the values of the options.

    Attributes:
        against: Folders, files or pictures to compare with: only pairs between the two sides are searched, and these
            ones are never redundant.
        protected: Folders of originals that are searched too: their files may be keepers and are never redundant.
        similarity: How alike pictures must be: ``identical``, ``same-pixels``, ``strict``, ``normal`` or ``loose``.
        max_distance: Largest distance of signatures, 0 (equal) to 1, at which a file is redundant.
        rotated: Whether rotated and mirrored copies match.
        same_dimensions: Whether only pictures of the same width and height match.
        recursive: Whether subfolders are searched.
        scope: Which files may match: ``all``, those of one ``root``, or those of one ``folder``.
    """

    against: Source
    protected: Sequence[str | os.PathLike[str]]
    similarity: str
    max_distance: float | None
    rotated: bool
    same_dimensions: bool
    recursive: bool
    scope: str


class Index(Owner):
    """An index of folders, files or pictures in memory, searched as often as wanted without reading them again.

    No file stays open between searches. Not thread-safe.

    Example:
        >>> from py_image_dedup import Index
        >>> index = Index(pictures)
        >>> exact = index.search(similarity="identical")
        >>> near = index.search(max_distance=0.2, rotated=False)
        >>> len(exact.redundant) <= len(near.redundant)
        True

    Args:
        sources: Folders, files, iterables of them, and of ``(name, image)`` pairs: bytes of a file, an array (uint8) or
            an image of Pillow. Folders are searched with their subfolders.
        state_directory: Folder of a persistent index, with which the next program reads new files only; ``None`` for an
            index that is deleted together with this object and its results.
        options: All other options; by default, files of all folders may match each other.
        progress: Whether to show progress bars.
        observer: Receives the events, from several threads.
        should_stop: Returns whether to stop, called often; the result of a stopped search is ``interrupted``.

    Raises:
        FileNotFoundError: There is no such folder or file.
    """

    def __init__(
        self,
        *sources: Source,
        state_directory: str | os.PathLike[str] | None = None,
        options: Options | None = None,
        progress: bool = False,
        observer: Observer = ignore,
        should_stop: Callable[[], bool] = never,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="py-image-dedup-"))
        # Not a TemporaryDirectory: that warns when its object is simply dropped, as results of a search are.
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._state = None if state_directory is None else Path(os.path.abspath(state_directory))  # noqa: PTH100
        base = options or Options(find=FindOptions(scope=Scope.ALL))
        self._options = replace(base, state_directory=self._state)
        self._progress = progress
        self._observer = observer
        self._should_stop = should_stop
        self._spills = itertools.count()
        self._roots: dict[str, Sequence[Root]] = {}
        self._gathered = self._gather(sources)

    def search(self, **given: Unpack[SearchOptions]) -> Duplicates:
        """Find the duplicates without changing anything; new and changed files are read first.

        Args:
            given: See ``SearchOptions``.

        Raises:
            SearchError: The search failed.
            StoreError: The index cannot be used.
            FileNotFoundError: There is no such folder or file.
        """
        against = self._gather([given["against"]]) if "against" in given else _NOTHING
        guarded = self._gather(given.get("protected", ()))
        roots = [*_roots(self._gathered, protected=False)]
        roots += [*_roots(against, protected=True), *_roots(guarded, protected=True)]
        files = (*self._gathered.files, *against.files, *guarded.files)
        options = replace(self._options, find=_find_options(self._options.find, given))
        recursive = given.get("recursive", options.selector.recursive)
        options = replace(options, selector=replace(options.selector, recursive=recursive))
        if files:
            options = _with_files(options, (*self._gathered.folders, *against.folders, *guarded.folders), files)
        return self._run(options, roots, {**self._gathered.names, **against.names})

    def known(self, image: Image, **given: Unpack[SearchOptions]) -> tuple[Match, ...]:
        """Return the files of the index that match a picture, the most certain first; the picture is not added.

        The files are those of the last search; call ``search`` first. A match counts if its file is unchanged.

        Args:
            image: A path, the bytes of a file, an array (uint8; grey, RGB or RGBA), or an image of Pillow.
            given: ``similarity``, ``max_distance``, ``rotated`` and ``same_dimensions``; see ``SearchOptions``.

        Raises:
            SearchError: The picture cannot be read.
            StoreError: The index cannot be used.
        """
        from py_image_dedup.api.lookup import Lookup
        from py_image_dedup.media.decoder import Decoder

        spill = self._folder / f"pictures-{next(self._spills)}"
        spill.mkdir()
        path = write_image(image, spill / "picture")
        options = _find_options(self._options.find, given)
        try:
            with self._store() as store, Decoder(options.limits, panels=True) as decoder:
                answer = Lookup(store, decoder, options).ask(path)
        finally:
            shutil.rmtree(spill)
        if answer.problem:
            raise SearchError(f"the picture cannot be read: {answer.problem}")
        return answer.matches

    def _run(self, options: Options, roots: Sequence[Root], names: Mapping[Path, str]) -> Duplicates:
        with self._store() as store, self._shown() as observer:
            taken = Taken(observer)
            work = Deduplicator(store, options, observer=taken, should_stop=self._should_stop)
            found = work.deduplicate(roots, dry_run=True)
        if found.error:
            raise SearchError(found.error)
        self._roots[found.run] = roots
        unique = (Path(names.get(path, path)) for path in taken.with_few_copies(found))
        result = renamed(found, names)
        return Duplicates(
            **{each.name: getattr(result, each.name) for each in fields(RunResult)},
            unique=tuple(sorted(unique)),
            parameters=_parameters(options),
            owner=self,
            files_by_name={Path(name): path for path, name in names.items()},
        )

    def apply(self, result: Duplicates, removal: RemovalOptions) -> tuple[Outcome, ...]:
        """Carry out the removal of the redundant files of a result; see ``Duplicates.move_to``."""
        state = self._journals()
        plan = make_plan(result.run, result.groups, self._roots[result.run], removal, taken=os.path.lexists)
        folder = state / RUNS_NAME / plan.run
        folder.mkdir(parents=True, exist_ok=True)
        save_plan(plan, folder / PLAN_NAME)
        options = replace(self._options, removal=removal, state_directory=state)
        with self._store() as store, self._shown() as observer:
            return Deduplicator(store, options, observer=observer).apply(plan).outcomes

    def undo(self, run: str) -> tuple[Outcome, ...]:
        """Restore the files that a run removed; see ``Duplicates.undo``."""
        with self._store() as store:
            return Deduplicator(store, replace(self._options, state_directory=self._journals())).undo(run)

    def _gather(self, sources: Any) -> Gathered:
        spill = self._folder / f"pictures-{next(self._spills)}"
        spill.mkdir()
        return gather(sources, spill)

    def _store(self) -> SqliteStore:
        return SqliteStore((self._state or self._folder) / INDEX_NAME)

    @contextmanager
    def _shown(self) -> Iterator[Observer]:
        """Provide the observer, which shows progress bars where they are wanted."""
        if not self._progress:
            yield self._observer
            return
        from py_image_dedup.progress.bars import bars_on_stderr

        with bars_on_stderr() as bars:

            def both(event: Any) -> None:
                self._observer(event)
                bars(event)

            yield both

    def _journals(self) -> Path:
        """Return the folder of the journals: that of the index, or the one that the command line uses too."""
        if self._state is not None:
            return self._state
        from platformdirs import user_state_path

        return user_state_path("py-image-dedup", appauthor=False)


_NOTHING = Gathered((), (), {})


def _roots(gathered: Gathered, *, protected: bool) -> Iterator[Root]:
    """Yield the folders, and those of the files, as roots."""
    for folder in dict.fromkeys((*gathered.folders, *(file.parent for file in gathered.files))):
        yield Root(folder, protected)


def _with_files(options: Options, folders: Sequence[Path], files: Sequence[Path]) -> Options:
    """Return options with which only the files, and all files of the folders, take part."""
    selector = options.selector
    inside = walk([Root(folder) for folder in folders], selector).stamps if folders else {}
    suffixes = {file.suffix for file in files if file.suffix}
    selector = replace(
        selector,
        extensions=selector.extensions | suffixes,
        any_extension=selector.any_extension or any(not file.suffix for file in files),
        recursive=selector.recursive and bool(folders),
        listed=frozenset({*inside, *map(os.fsencode, files)}),
    )
    return replace(options, selector=selector)


def _find_options(base: FindOptions, given: SearchOptions) -> FindOptions:
    changes: dict[str, Any] = {}
    if "similarity" in given:
        changes["similarity"] = Similarity(given["similarity"])
    if given.get("max_distance") is not None:
        changes["max_distance"] = given["max_distance"]
    if "rotated" in given:
        changes["upright"] = not given["rotated"]
    if "same_dimensions" in given:
        changes["same_dimensions"] = given["same_dimensions"]
    if "scope" in given:
        changes["scope"] = Scope(given["scope"])
    if "against" in given:
        changes["scope"] = Scope.AGAINST
    return replace(base, **changes)


def _parameters(options: Options) -> dict[str, Any]:
    find = options.find
    return {
        "similarity": find.similarity.value,
        "matching": find.matching.value,
        "max_distance": find.max_distance,
        "scope": find.scope.value,
        "rotated": not find.upright,
        "same_dimensions": find.same_dimensions,
        "min_pixels": find.min_pixels,
        "recursive": options.selector.recursive,
        "threads": options.analyse.threads,
        "inspect": options.inspect,
        "rules": [rule.name for rule in options.rules],
    }


def find_duplicates(
    *sources: Source,
    state_directory: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    progress: bool = False,
    observer: Observer = ignore,
    should_stop: Callable[[], bool] = never,
    **given: Unpack[SearchOptions],
) -> Duplicates:
    """Find the duplicates among folders, files or pictures in memory, in one call and without changing anything.

    Args:
        sources: Folders, files, iterables of them, and of ``(name, image)`` pairs; see ``Index``. All are searched as
            one pool: files of different folders may match.
        state_directory: Folder of a persistent index, with which the next call reads new files only; ``None`` for an
            index that is deleted together with the result.
        options: All other options; the arguments of the search take precedence.
        progress: Whether to show progress bars.
        observer: Receives the events, from several threads.
        should_stop: Returns whether to stop, called often; the result of a stopped search is ``interrupted``.
        given: ``against``, ``protected``, ``similarity``, ``max_distance``, ``rotated``, ``same_dimensions``,
            ``recursive`` and ``scope``; see ``SearchOptions``.

    Returns:
        The duplicates: groups, pairs, redundant and unique files.

    Raises:
        SearchError: The search failed.
        StoreError: The index in the state directory cannot be used.
        FileNotFoundError: There is no such folder or file.
    """
    index = Index(
        *sources,
        state_directory=state_directory,
        options=options,
        progress=progress,
        observer=observer,
        should_stop=should_stop,
    )
    return index.search(**given)
