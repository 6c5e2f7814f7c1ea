"""The stages ``count`` and ``cleanup``: walk the roots once, and compare the files with the entries of the index."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import TRANSIENT, Failure, Phase
from py_image_dedup.model.file import FileStat, Inventory, Root, Stamp
from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.scan.roots import topmost
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.base import Store


@dataclass(frozen=True, slots=True)
class Counted:
    """The result of the walk.

    Attributes:
        inventory: All files that count.
        summary: Files, their bytes, folders that could not be read, and what was skipped, by reason.
    """

    inventory: Inventory
    summary: PhaseSummary


def count(roots: Sequence[Root], selector: Selector, *, observer: Observer, should_stop: Callable[[], bool]) -> Counted:
    """Walk the roots once. See ``scan.walker.walk``."""
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
    """Tells what is gone from what is only out of sight. Not for several threads.

    Args:
        inventory: What the walk met, and where it could not look.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._aliases = inventory.aliases
        unknown = [os.fsencode(path).rstrip(b"/") for path in inventory.incomplete]
        self._unknown_paths = frozenset(unknown)
        self._unknown_below = tuple(path + b"/" for path in unknown)
        self._empty_devices: dict[bytes, int | None] = {}

    def gone(self, missing: Iterable[tuple[bytes, Stamp]], should_stop: Callable[[], bool]) -> dict[bytes, Stamp]:
        """Return those of the entries whose file is certainly gone.

        Args:
            missing: Raw paths and stamps that the index has and the walk did not meet.
            should_stop: Polled for each; what was not looked at by then is not gone.
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
        except OSError:  # no permission, or the disk fails: nothing is known
            return False
        return not stat.S_ISREG(status.st_mode)  # a link or a folder took its place

    def _was_on_a_disk_that_is_away(self, raw: bytes, stamp: Stamp) -> bool:
        """Tell whether the nearest folder that is there looks like a mount point with nothing mounted on it.

        Such a folder is empty, and on another device than the file was. A folder that the user emptied is on the
        same device.
        """
        folder = raw.rpartition(b"/")[0]
        device = self._empty_device(folder)
        return device is not None and device != stamp[2]

    def _empty_device(self, folder: bytes) -> int | None:
        """The device of the nearest existing folder, if that is empty."""
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
    """What the index knew.

    Attributes:
        stale: Files that must be read: new ones, changed ones, and those of an older method, in the order of the walk.
        failures: What is known to be wrong with files that did not change; they are not tried again.
        summary: Figures.
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
    """Bring the index up to date as far as that needs no file to be read.

    - A file with the size and time that its entry has is unchanged. If only device and inode differ (a disk was
      mounted anew), the entry gets the new numbers; a single file with a new inode on a disk where others kept theirs
      was written anew with its old time, and is read again.
    - An entry whose file is gone is dropped. If a new file has the very same size, time, device and inode, the file
      was moved, and the entry goes with it.
    - Nothing is dropped under a folder that could not be read, or that looks like a disk which is not mounted. An
      entry whose file is there but does not count today (excluded, another name of a counted file) is left alone.

    Args:
        inventory: What the walk found.
        store: The index.
        current: The versions that entries are made with now. ``features`` 0 asks for none.
        observer: Told of the beginning and the end.
        should_stop: Polled now and then; the phase then ends early, with the index in order and files left stale.

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
    """The index compared with the walk: what is not the same in both.

    ``pending`` are files that have no current entry, so far; what needs no reading after all is taken out again.
    """

    pending: dict[bytes, Stamp]
    missing: list[tuple[bytes, Stamp]] = field(default_factory=list)
    same_time: list[tuple[bytes, Stamp]] = field(default_factory=list)


def _compare(stamps: Mapping[bytes, Stamp], store: Store, under: Sequence[Path], current: Versions) -> _Known:
    """Compare every stamp: the loop that a run over an unchanged library spends its time in."""
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
    """Tell whether an entry need not be made again. More than is asked for is no reason to."""
    return (
        versions.media == current.media
        and versions.signature == current.signature
        and current.features in {0, versions.features}
    )


def _pair_moved(gone: Mapping[bytes, Stamp], pending: Mapping[bytes, Stamp]) -> dict[bytes, bytes]:
    """Find the new path of entries whose file is gone: old to new raw path."""
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
    """Choose the files that only got other numbers.

    Many file systems number their files anew at every mount; then all numbers of a device change, and not just some.
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
    """Put the entries of moved files under their new paths; return the old ones that this is done for."""
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
    """Give entries the numbers that their files have now."""
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
    """Return what is wrong with unchanged files. What may have been a passing trouble is tried again."""
    failures: list[Failure] = []
    for entry in store.failed(under):
        raw = entry.stat.raw_path
        if raw not in stamps or raw in pending or entry.failure is None:
            continue
        if entry.failure.reason in TRANSIENT:
            pending[raw] = stamps[raw]
        else:
            failures.append(entry.failure)
    return tuple(failures)


def _batches(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [raws[start : start + _BATCH] for start in range(0, len(raws), _BATCH)]
