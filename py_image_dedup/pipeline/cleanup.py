"""The stages ``count`` and ``cleanup``: walk the roots once, and compare the files with the entries of the index."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from py_image_dedup.media.formats import UNREAD
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import TRANSIENT, Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat, Inventory, Root, Stamp
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.options import VIDEO_VERSIONS
from py_image_dedup.scan.roots import topmost
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.base import Store


@dataclass(frozen=True, slots=True)
class Counted:
    """The result of the walk.

    Attributes:
        inventory: All files that count.
        summary: Numbers of files, of their bytes, of unreadable folders, and of skipped files by reason.
    """

    inventory: Inventory
    summary: PhaseSummary


def count(roots: Sequence[Root], selector: Selector, *, observer: Observer, should_stop: Callable[[], bool]) -> Counted:
    """Walk the roots once and return the files; see ``scan.walker.walk``."""
    begin = perf_counter()
    observer(PhaseStarted(Phase.COUNT))
    inventory = walk(
        roots, selector, should_stop=should_stop, advanced=lambda files: observer(PhaseAdvanced(Phase.COUNT, files))
    )
    counts = {"files": len(inventory), "bytes": inventory.size, "unreadable": len(inventory.failures)}
    counts |= {"aliases": len(inventory.aliases)} if inventory.aliases else {}
    counts |= {f"skipped-{reason}": number for reason, number in sorted(inventory.skipped.items())}
    summary = PhaseSummary(Phase.COUNT, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    return Counted(inventory, summary)


class Absence:
    """Distinguishes deleted files from temporarily unreachable ones. Not thread-safe.

    Args:
        inventory: Result of the walk, with the folders that it could not read.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._aliases = inventory.aliases
        unknown = [os.fsencode(path).rstrip(b"/") for path in inventory.incomplete]
        self._unknown_paths = frozenset(unknown)
        self._unknown_below = tuple(path + b"/" for path in unknown)
        self._empty_devices: dict[bytes, int | None] = {}

    def gone(self, missing: Iterable[tuple[bytes, Stamp]], should_stop: Callable[[], bool]) -> dict[bytes, Stamp]:
        """Return the entries whose file is certainly deleted.

        Args:
            missing: Raw paths and stamps of entries whose file the walk did not find.
            should_stop: Returns whether to stop; entries that were not checked by then do not count as deleted.
        """
        gone: dict[bytes, Stamp] = {}
        for raw, stamp in missing:
            if should_stop():
                break
            if not self._is_out_of_sight(raw) and self._is_gone(raw, stamp):
                gone[raw] = stamp
        return gone

    def _is_out_of_sight(self, raw: bytes) -> bool:
        return raw in self._aliases or raw in self._unknown_paths or raw.startswith(self._unknown_below)

    def _is_gone(self, raw: bytes, stamp: Stamp) -> bool:
        try:
            status = os.lstat(raw)
        except (FileNotFoundError, NotADirectoryError):
            return not self._was_on_a_disk_that_is_away(raw, stamp)
        except OSError:  # no permission, or a disk error: unknown
            return False
        return not stat.S_ISREG(status.st_mode)  # replaced by a link or a folder

    def _was_on_a_disk_that_is_away(self, raw: bytes, stamp: Stamp) -> bool:
        """Return whether the nearest existing folder looks like a mount point with nothing mounted on it.

        Such a folder is empty and on another device than the file was. A folder that the user emptied is on the same
        device.
        """
        folder = raw.rpartition(b"/")[0]
        device = self._empty_device(folder)
        return device is not None and device != stamp[2]

    def _empty_device(self, folder: bytes) -> int | None:
        """Return the device of the nearest existing folder if that is empty, else ``None``."""
        if folder not in self._empty_devices:
            self._empty_devices[folder] = self._look(folder)
        return self._empty_devices[folder]

    def _look(self, folder: bytes) -> int | None:
        try:
            with os.scandir(folder or b"/") as entries:
                if next(entries, None) is not None:
                    return None
            return os.stat(folder or b"/").st_dev  # noqa: PTH116 - a raw path
        except (FileNotFoundError, NotADirectoryError):
            return self._empty_device(folder.rpartition(b"/")[0]) if folder else None
        except OSError:
            return None


_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The result of the stage ``cleanup``.

    Attributes:
        stale: Files that must be analysed: new and changed ones and those with entries of older versions, in the order
            of the walk.
        failures: Known failures of unchanged files, which are not tried again.
        summary: Figures of the stage.
    """

    stale: tuple[FileStat, ...]
    failures: tuple[Failure, ...]
    summary: PhaseSummary


def cleanup(
    inventory: Inventory,
    store: Store,
    current: Versions,
    *,
    observer: Observer,
    should_stop: Callable[[], bool],
) -> Cleaned:
    """Bring the index up to date as far as possible without reading files.

    - A file with the size and modification time of its entry is unchanged. If only device and inode differ because a
      disk was remounted, the entry gets the new numbers. A single file with a new inode, on a disk where the others
      kept theirs, was rewritten with its old time and is read again.
    - An entry whose file is deleted is dropped. If a new file has the same size, time, device and inode, the file was
      moved, and its entry moves with it.
    - No entry is dropped under a folder that could not be read or looks like an unmounted disk. An entry whose file
      exists but does not take part in this run (excluded, or another name of a file that does) is kept unchanged.

    Args:
        inventory: Result of the walk.
        store: The index.
        current: Versions of a current entry; ``features`` 0 accepts any version of them.
        observer: Receives the start and the end.
        should_stop: Returns whether to end the stage early; the index is then consistent, and more files are stale.

    Raises:
        StoreError: The index cannot be used.
    """
    begin = perf_counter()
    observer(PhaseStarted(Phase.CLEANUP))
    under = topmost(root.path for root in inventory.roots)
    known = _compare(inventory.stamps, store, under, current)
    gone = Absence(inventory).gone(known.missing, should_stop)
    moved = _pair_moved(gone, known.pending)
    to_refresh = [raw for raw in _renumbered(inventory.stamps, known) if raw not in moved.values()]
    carried = _carry_over(moved, known.pending, store, current, should_stop)
    _refresh(to_refresh, known.pending, store, should_stop)
    if not should_stop():
        store.remove(Path(os.fsdecode(raw)) for raw in gone if raw not in moved or raw in carried)
    failures = _known_failures(inventory.stamps, known.pending, store, under)
    counts = {
        "unchanged": len(inventory) - len(known.pending.keys() | {moved[raw] for raw in carried}),
        "stale": len(known.pending),
        "gone": len(gone) - len(carried),
        "moved": len(carried),
        "not-in-this-run": len(known.missing) - len(gone),
    }
    summary = PhaseSummary(Phase.CLEANUP, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    stale = tuple(FileStat.of(raw, stamp) for raw, stamp in known.pending.items())
    return Cleaned(stale, failures, summary)


@dataclass(slots=True)
class _Known:
    """The differences between the index and the walk.

    ``pending`` holds files without a current entry; files that turn out to need no analysis are removed from it.
    """

    pending: dict[bytes, Stamp]
    missing: list[tuple[bytes, Stamp]] = field(default_factory=list)
    same_time: list[tuple[bytes, Stamp]] = field(default_factory=list)


def _compare(stamps: Mapping[bytes, Stamp], store: Store, under: Sequence[Path], current: Versions) -> _Known:
    """Compare all stamps; a run over an unchanged library spends most of its time in this loop."""
    known = _Known({})
    look_up = stamps.get
    unchanged: list[bytes] = []
    seen: Versions | None = None
    good = False
    for raw, stamp, versions in store.stamps(under):
        if versions is not seen:
            seen, good = versions, is_current(versions, current)
        found = look_up(raw)
        if found == stamp and good:
            unchanged.append(raw)
            continue
        if found is None:
            known.missing.append((raw, stamp))
            continue
        if good and found[:2] == stamp[:2]:
            known.same_time.append((raw, stamp))
    if len(unchanged) < len(stamps):
        current_ones = set(unchanged)
        known.pending = {raw: stamp for raw, stamp in stamps.items() if raw not in current_ones}
    return known


def is_current(versions: Versions, current: Versions) -> bool:
    """Return whether an entry is current; features that are not required do not make it stale."""
    return versions == VIDEO_VERSIONS or (
        versions.media == current.media
        and versions.signature == current.signature
        and current.features in {0, versions.features}
    )


def _pair_moved(gone: Mapping[bytes, Stamp], pending: Mapping[bytes, Stamp]) -> dict[bytes, bytes]:
    """Return the new raw paths of moved files by their old ones."""
    if not gone or not pending:
        return {}
    by_stamp = {stamp: raw for raw, stamp in pending.items()}
    moved: dict[bytes, bytes] = {}
    for raw in sorted(gone):
        target = by_stamp.pop(gone[raw], None)
        if target is not None:
            moved[raw] = target
    return moved


def _renumbered(stamps: Mapping[bytes, Stamp], known: _Known) -> list[bytes]:
    """Return the files of which only device and inode numbers changed.

    Many file systems renumber their files at every mount; then most numbers of a device change, not just a few.
    """
    if not known.same_time:
        return []
    changed = Counter(stamp[2] for raw, stamp in known.same_time if stamp[2] == stamps[raw][2])
    present = Counter(stamp[2] for stamp in stamps.values())
    steady = {device for device, number in changed.items() if 2 * number <= present[device]}
    return [raw for raw, stamp in known.same_time if stamp[2] != stamps[raw][2] or stamp[2] not in steady]


def _carry_over(
    moved: Mapping[bytes, bytes],
    pending: dict[bytes, Stamp],
    store: Store,
    current: Versions,
    should_stop: Callable[[], bool],
) -> set[bytes]:
    """Store the entries of moved files with their new paths; return the old paths for which this is done."""
    carried: set[bytes] = set()
    for some in _batches(sorted(moved)):
        if should_stop():
            break
        entries = []
        for old in some:
            entry = store.get(Path(os.fsdecode(old)))
            if entry is not None:
                new = moved[old]
                entries.append(_with_stat(entry, FileStat.of(new, pending[new])))
                carried.add(old)
                if entry.digest is not None and is_current(entry.versions, current):
                    del pending[new]
        store.put(entries)
    return carried


def _refresh(raws: Sequence[bytes], pending: dict[bytes, Stamp], store: Store, should_stop: Callable[[], bool]) -> None:
    """Update the entries of files whose device or inode number changed."""
    for some in _batches(raws):
        if should_stop():
            return
        entries = [
            _with_stat(entry, FileStat.of(raw, pending[raw]))
            for raw in some
            if (entry := store.get(Path(os.fsdecode(raw)))) is not None and entry.digest is not None
        ]
        store.put(entries)
        for entry in entries:
            del pending[entry.stat.raw_path]


def _with_stat(entry: IndexEntry, stat: FileStat) -> IndexEntry:
    failure = replace(entry.failure, path=stat.path) if entry.failure else None
    return replace(entry, stat=stat, failure=failure)


def _known_failures(
    stamps: Mapping[bytes, Stamp], pending: dict[bytes, Stamp], store: Store, under: Sequence[Path]
) -> tuple[Failure, ...]:
    """Return the known failures of unchanged files; files become pending again if the cause may be gone."""
    failures: list[Failure] = []
    for entry in store.failed(under):
        raw = entry.stat.raw_path
        if raw not in stamps or raw in pending or entry.failure is None:
            continue
        if entry.failure.reason in TRANSIENT or is_decodable_now(entry):
            pending[raw] = stamps[raw]
        else:
            failures.append(entry.failure)
    return tuple(failures)


def is_decodable_now(entry: IndexEntry) -> bool:
    """Return whether the decoder that a file needs may have been installed since it was missing."""
    missing = {kind.reason for kind in UNREAD.values()}
    failure = entry.failure
    if failure is None or failure.reason is not FailureReason.NEEDS_EXTRA:
        return False
    return not any(reason in failure.message for reason in missing)


def _batches(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [raws[start : start + _BATCH] for start in range(0, len(raws), _BATCH)]
