"""Incremental runs: collects the part of the index that a batch of new and deleted files affects.

A batch goes through the same stages as a full run, over this part only: its cost grows with the batch, not with the
library.
"""

from __future__ import annotations

import os
import stat as mode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from py_image_dedup.model.file import FileStat, Inventory, Root, Stamp
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.pipeline.cleanup import Absence, is_current
from py_image_dedup.pipeline.options import NEAR, RunContext
from py_image_dedup.scan.roots import Ownership, resolve_roots, topmost
from py_image_dedup.scan.selector import Selector
from py_image_dedup.search.join import join
from py_image_dedup.signature.arrays import PairBlock
from py_image_dedup.store.base import Store

if TYPE_CHECKING:
    from py_image_dedup.pipeline.verification import PairVerifier

_REGULAR = mode.S_IFREG


class AffectedEntries:
    """Entries in memory with the search methods of an index. The argument ``under`` is ignored: all entries count.

    Args:
        entries: Entries with distinct paths.
        store: The index, which stores updates of entries.
    """

    def __init__(self, entries: Iterable[IndexEntry], store: Store) -> None:
        self._store = store
        self._entries = sorted(entries, key=lambda entry: entry.stat.raw_path)
        by_digest: dict[bytes, list[IndexEntry]] = defaultdict(list)
        for entry in self._entries:
            if entry.digest is not None:
                by_digest[entry.digest].append(entry)
        numbers = store.content_ids(by_digest)
        self._contents = {numbers[digest]: tuple(same) for digest, same in by_digest.items() if digest in numbers}

    @property
    def content_ids(self) -> list[int]:
        """The ids of the contents in the index, ascending."""
        return sorted(self._contents)

    @property
    def raw_paths(self) -> list[bytes]:
        """The raw paths of the entries."""
        return [entry.stat.raw_path for entry in self._entries]

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """Store updated entries in the index."""
        self._store.put(entries)

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:  # noqa: ARG002
        """Stream the pairs of contents within the distance."""
        signed = [(number, s.values) for number in self.content_ids if (s := self._contents[number][0].signature)]
        if len(signed) < 2:
            return
        numbers = np.array([number for number, _ in signed], dtype=np.int64)
        rows = np.frombuffer(b"".join(values for _, values in signed), dtype=np.int8).reshape(len(signed), -1)
        for block in join(rows, max_distance):
            yield replace(block, left=numbers[block.left], right=numbers[block.right])

    def contents(
        self,
        content_ids: Iterable[int],
        under: Sequence[Path] | None,  # noqa: ARG002
    ) -> Mapping[int, tuple[IndexEntry, ...]]:
        """Return the entries of contents."""
        return {number: self._contents[number] for number in content_ids if number in self._contents}

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:  # noqa: ARG002
        """Stream the sets of entries with the same digest."""
        return (same for same in self._contents.values() if len(same) > 1)

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:  # noqa: ARG002
        """Stream the entries of whole pictures without a signature."""
        return (entry for entry in self._entries if entry.decoded_whole and entry.signature is None)


def is_known(stat: FileStat, store: Store, current: Versions) -> bool:
    """Return whether the index has a current entry of the unchanged file."""
    entry = store.get(stat.path)
    return entry is not None and entry.stat.stamp == stat.stamp and is_current(entry.versions, current)


def _collect(
    raw_paths: Iterable[bytes],
    store: Store,
    max_distance: float,
    under: Sequence[Path],
    partners: Callable[[Iterable[bytes]], Sequence[int]] | None = None,
) -> list[IndexEntry]:
    """Collect the entries of some files and of all files that may match them directly.

    Args:
        raw_paths: Raw paths of files that are in the index.
        store: The index.
        max_distance: Largest distance of similar pictures, 0 to 1.
        under: Folders in which matches are searched.
        partners: Function that returns the ids of contents with verified matches, by digests.

    Raises:
        StoreError: The index cannot be used.
    """
    mine = [entry for raw in raw_paths if (entry := store.get(Path(os.fsdecode(raw)))) is not None]
    found = {entry.stat.path: entry for entry in mine}
    signatures = [entry.signature for entry in mine if entry.signature is not None]
    if signatures:
        near = store.similar(signatures, max_distance, under)
        numbers = {neighbour.content_id for neighbours in near for neighbour in neighbours}
        for same in store.contents(sorted(numbers), under).values():
            found |= {entry.stat.path: entry for entry in same}
    if partners is not None:
        matching = partners({entry.digest for entry in mine if entry.digest is not None})
        for same in store.contents(matching, under).values():
            found |= {entry.stat.path: entry for entry in same}
    # Without a signature only bytes and pixels can match, and only pictures without one: few in any library.
    if any(entry.signature is None and entry.decoded_whole for entry in mine):
        found |= {entry.stat.path: entry for entry in store.unsigned(under)}
    broken = {entry.digest for entry in mine if entry.failure is not None}
    if broken:
        found |= {entry.stat.path: entry for entry in store.failed(under) if entry.digest in broken}
    return list(found.values())


def collect_affected(inventory: Inventory, context: RunContext, verifier: PairVerifier | None) -> AffectedEntries:
    """Return the entries of the files of an inventory and of all files that may match them directly.

    Args:
        inventory: Files that are in the index.
        context: The index and the options, with the largest distance of candidates.
        verifier: The pair verifier, which verifies the files first and returns their matches; ``None`` for matching by
            distance.

    Raises:
        StoreError: The index cannot be used.
    """
    under = topmost(root.path for root in inventory.roots)
    if verifier is None:
        bound = max(context.options.find.distance_bound, NEAR)
        return AffectedEntries(_collect(inventory.stamps, context.store, bound, under), context.store)
    known = (context.store.get(Path(os.fsdecode(raw))) for raw in inventory.stamps)
    numbers = context.store.content_ids(
        {entry.digest for entry in known if entry is not None and entry.digest is not None}
    )
    verifier.verify_some(list(numbers.values()), observer=context.observer, should_stop=context.should_stop)
    return AffectedEntries(_collect(inventory.stamps, context.store, NEAR, under, verifier.partners), context.store)


def prepare(context: RunContext, roots: Sequence[Root]) -> None:
    """Make the index load the data that searches of a batch keep in memory.

    Args:
        context: The index and the options.
        roots: Folders in which matches are searched.

    Raises:
        StoreError: The index cannot be used.
    """
    find, under = context.options.find, [root.path for root in roots]
    verified = find.is_verified
    if verified:
        for _ in context.store.candidates(()):
            break
    # A search without signatures loads the data as well.
    for distance in sorted({find.candidate_bound, NEAR} if verified else {max(find.distance_bound, NEAR)}):
        context.store.similar((), distance, under)


def inventory_of(raw_paths: Iterable[bytes], roots: Sequence[Root], selector: Selector) -> Inventory:
    """Return the inventory of some files, without those that are missing or not selected.

    Args:
        raw_paths: Raw absolute paths of the files.
        roots: Folders that the user configured. A folder that is missing, or is empty like an unmounted one, counts as
            incomplete.
        selector: Selection of the files that take part.
    """
    places, failures = resolve_roots(roots)
    settled = tuple(root for root, _ in places)
    ownership = Ownership(settled)
    devices = {root.path: device for root, (device, _) in places}
    incomplete = [failure.path for failure in failures]
    incomplete += [root.path for root in settled if not any(root.path.iterdir())]
    stamps: dict[bytes, Stamp] = {}
    linked: set[bytes] = set()
    for raw in sorted(raw_paths):
        root = ownership.root_of(raw)
        if root is None or not selector.selects(raw, root):
            continue
        try:
            status = os.lstat(raw)
        except OSError:  # deleted meanwhile: left to the next batch
            continue
        if selector.one_file_system and status.st_dev != devices.get(root.path):
            continue
        if mode.S_IFMT(status.st_mode) == _REGULAR and selector.selects_content(raw, status.st_size):
            stamps[raw] = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
            if status.st_nlink > 1:
                linked.add(raw)
    return Inventory(settled, stamps, linked=frozenset(linked), failures=tuple(failures), incomplete=tuple(incomplete))


def forget_gone(raw_paths: Iterable[bytes], inventory: Inventory, store: Store, should_stop: Callable[[], bool]) -> int:
    """Drop the entries of deleted files and folders, but not of temporarily unreachable ones.

    Args:
        raw_paths: Raw paths of files or folders that were reported as deleted.
        inventory: Inventory with the incomplete roots.
        store: The index.
        should_stop: Returns whether to stop early.

    Returns:
        The number of dropped entries.

    Raises:
        StoreError: The index cannot be used.
    """
    missing: dict[bytes, Stamp] = {}
    folders: list[Path] = []
    for raw in raw_paths:
        path = Path(os.fsdecode(raw))
        entry = store.get(path)
        if entry is None:
            folders.append(path)
        else:
            missing[raw] = entry.stat.stamp
    if folders:
        missing |= {raw: stamp for raw, stamp, _ in store.stamps(topmost(folders))}
    if not missing:
        return 0
    gone = Absence(inventory).gone(missing.items(), should_stop)
    return store.remove(Path(os.fsdecode(raw)) for raw in gone)
