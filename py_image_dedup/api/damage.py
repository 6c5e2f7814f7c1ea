"""Finds damaged pictures: cut off, overwritten with zeros, half grey, or changed on the disk without a write.

Many damaged pictures still decode: a decoder fills what it cannot read, and reports nothing. So each file is read again
in full. Its bytes are compared with the digest in the index and with those of its copies, its structure is checked, and
the decoded picture is searched for what decoders fill in.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Final, TypeAlias

import numpy as np

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.opened_file import OpenedFile, read_file
from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import FailureReason, Phase
from py_image_dedup.model.file import FileStat, Inventory
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.workers import Finished, Overdue, WorkerPool
from py_image_dedup.signature.arrays import UInt8Array
from py_image_dedup.store.base import Store

_ZEROS: Final = bytes(4096)
"""A sector of zeros: inside compressed data, only large plain areas produce as many."""
_FILLED: Final = 128
"""Grey level that JPEG decoders fill missing blocks with."""
_FILLED_SHARE: Final = 0.04
"""Smallest share of a picture that counts as filled in."""
_PLAIN: Final = 5.0
"""Standard deviation of grey levels, below which a picture is plain and its compressed data may consist of zeros."""
_ROTTEN_SHARE: Final = 0.02
"""Largest share of differing bytes of two files that are one file with damage; two edits of one differ nearly all."""
_MANY: Final = 50
"""Largest set of probable copies whose bytes are compared in pairs."""
_ZERO_HEAD: Final = 512
_WAIT_SECONDS: Final = 0.1
_CHUNK: Final = 1 << 20
_SLOWEST_BYTES_PER_SECOND: Final = 1 << 20
_TWO_SECONDS_NS: Final = 2_000_000_000
"""Resolution of modification times on FAT file systems, which copies on USB disks have."""


class DamageKind(StrEnum):
    """The kinds of damage."""

    UNREADABLE = "unreadable"
    ZERO_FILLED = "zero-filled"
    GREY = "grey"
    STRUCTURE = "structure"
    CHANGED = "changed"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file.

    Attributes:
        path: The file, absolute.
        kind: The kind of damage.
        message: What is wrong, and what it was found by.
        copy: A copy without damage, if there is one.
    """

    path: Path
    kind: DamageKind
    message: str
    copy: Path | None = None


@dataclass(frozen=True, slots=True)
class Damages:
    """The result of a search for damage.

    Attributes:
        files: Number of files that were checked.
        found: The damaged files, in the order of their paths.
        summary: Figures of the stage.
    """

    files: int
    found: tuple[Damage, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True)
class _Checked:
    stat: FileStat
    digest: bytes | None
    image_data_digest: bytes | None
    damage: Damage | None


_Job: TypeAlias = tuple[FileStat, bytes | None]


def find_damage(
    inventory: Inventory,
    store: Store,
    threads: int,
    limits: Limits,
    *,
    observer: Observer,
    should_stop: Callable[[], bool],
) -> Damages:
    """Read every file of an inventory and return the damaged ones. Nothing is changed, the index included.

    Args:
        inventory: The files.
        store: The index, whose digests reveal files that changed while size and time did not.
        threads: Number of files that are read at a time.
        limits: Cost limits of one file.
        observer: Receives the start, the progress by file, and the end.
        should_stop: Returns whether to stop; the result then covers the files that were read.

    Raises:
        StoreError: The index cannot be used.
    """
    begin = perf_counter()
    observer(PhaseStarted(Phase.ANALYSE, len(inventory)))
    checked: list[_Checked] = []
    for each in _check_all(inventory, store, threads, limits, should_stop):
        checked.append(each)
        observer(PhaseAdvanced(Phase.ANALYSE))
    damages = {each.stat.path: each.damage for each in checked if each.damage is not None}
    for failure in inventory.failures:
        damages[failure.path] = Damage(failure.path, DamageKind.UNREADABLE, failure.message)
    for damage in _rotten(checked, damages.keys()):
        damages.setdefault(damage.path, damage)
    whole = {each.stat.path.name.lower(): each.stat.path for each in checked if each.stat.path not in damages}
    found = tuple(
        damage if damage.copy is not None else replace(damage, copy=whole.get(path.name.lower()))
        for path, damage in sorted(damages.items())
    )
    summary = PhaseSummary(Phase.ANALYSE, perf_counter() - begin, {"files": len(checked), "damaged": len(found)})
    observer(PhaseFinished(summary))
    return Damages(len(checked), found, summary)


def _check_all(
    inventory: Inventory, store: Store, threads: int, limits: Limits, should_stop: Callable[[], bool]
) -> Iterator[_Checked]:
    """Yield every file once it is checked; a file whose reading hangs is unreadable."""
    budget = MemoryBudget(limits.memory_bytes)

    @contextmanager
    def context() -> Iterator[Callable[[_Job], _Checked]]:
        with Decoder(limits, budget) as decoder:
            yield lambda job: _check(*job, decoder)

    waiting = iter(inventory)
    with WorkerPool(threads, context, "verify") as pool:
        while True:
            while pool.outstanding < 2 * threads and not should_stop():
                stat = next(waiting, None)
                if stat is None:
                    break
                entry = store.get(stat.path)
                known = entry.digest if entry is not None and entry.stat.stamp == stat.stamp else None
                pool.submit((stat, known), seconds=4 * limits.timeout_seconds + stat.size / _SLOWEST_BYTES_PER_SECOND)
            if not pool.outstanding:
                return
            yield from (_of(job) for job in pool.finished(_WAIT_SECONDS))


def _of(job: Finished[_Job, _Checked]) -> _Checked:
    stat = job.job[0]
    if job.result is not None:
        return job.result
    cause = "reading it took too long" if isinstance(job.error, Overdue) else str(job.error)
    return _Checked(stat, None, None, Damage(stat.path, DamageKind.UNREADABLE, cause))


def _check(stat: FileStat, known: bytes | None, decoder: Decoder) -> _Checked:
    """Read one file and return what is wrong with it.

    Args:
        stat: The file.
        known: Digest of the bytes that it had when it was indexed, if size and time are still the same.
        decoder: Decoder of this thread.
    """
    digest = image_data = None
    try:
        with read_file(stat.path) as opened:
            digest = opened.digest
            damage = None if known in (None, digest) else Damage(stat.path, DamageKind.CHANGED, _CHANGED)
            damage = damage or _zero_filled(opened)
            try:
                decoded = decoder.decode(opened)
            except MediaError as error:
                if error.reason in _NO_PICTURE and damage is None:
                    return _Checked(stat, digest, None, None)
                damage = damage or Damage(stat.path, DamageKind.UNREADABLE, error.message)
            else:
                image_data = decoded.image_data_digest
                damage = damage or _structure(opened, decoded.facts.format, decoded.canonical)
    except MediaError as error:
        damage = Damage(stat.path, DamageKind.UNREADABLE, error.message)
    return _Checked(stat, digest, image_data, damage)


_CHANGED = (
    "its bytes changed since it was indexed, while its size and modification time did not: the disk, a cable or the "
    "memory changed them"
)
_NO_PICTURE = frozenset({FailureReason.UNSUPPORTED, FailureReason.TOO_LARGE})
"""Reasons for which a file is not decoded that are no damage."""


def _zero_filled(opened: OpenedFile) -> Damage | None:
    """Return the damage of a file that is nothing but zeros, as a crash or a broken disk leaves it."""
    path, size = opened.stat.path, opened.stat.size
    if size and not any(opened.head(_ZERO_HEAD)) and not any(opened.tail(_ZERO_HEAD)):
        return Damage(
            path, DamageKind.ZERO_FILLED, "it begins and ends with zeros: its content was never written or lost"
        )
    return None


def _structure(opened: OpenedFile, kind: str, canonical: UInt8Array) -> Damage | None:
    """Return the damage of a file that decodes all the same."""
    path = opened.stat.path
    if kind == "PNG":
        return _wrong_checksum(opened)
    if kind not in ("JPEG", "MPO"):
        return None
    share = filled_share(canonical)
    if share:
        words = f"{share:.0%} of the picture is plain grey, which decoders show for missing data"
        return Damage(path, DamageKind.GREY, words)
    return None if canonical.std() < _PLAIN else _damaged_scan(opened)


def filled_share(canonical: UInt8Array) -> float:
    """Return the share of a picture that a JPEG decoder filled in for missing data, 0 to 1.

    A decoder fills the blocks after the last readable one, so that they reach to one side of the picture: the lower
    side, or another one if the picture was rotated.

    Args:
        canonical: The grey picture.
    """
    if canonical.std() < _PLAIN:
        return 0.0
    largest = 0.0
    for picture in (canonical, canonical[::-1], canonical.T, canonical.T[::-1]):
        grey = np.abs(picture.astype(np.int16) - _FILLED).max(axis=1) <= 1
        rows = len(grey) if grey.all() else int(np.argmin(grey[::-1]))
        largest = max(largest, rows / len(grey))
    return largest if largest >= _FILLED_SHARE else 0.0


def _wrong_checksum(opened: OpenedFile) -> Damage | None:
    """Return the damage of a PNG file in which the checksum of a chunk is wrong."""
    position, size = 8, opened.stat.size
    while position + 12 <= size:
        head = os.pread(opened.descriptor, 8, position)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if position + 12 + length > size:
            words = f"its part {name.decode('latin-1')} at byte {position:,} is cut off"
            return Damage(opened.stat.path, DamageKind.STRUCTURE, words)
        checksum, start = zlib.crc32(name), position + 8
        for at in range(start, start + length, _CHUNK):
            checksum = zlib.crc32(os.pread(opened.descriptor, min(_CHUNK, start + length - at), at), checksum)
        if checksum != int.from_bytes(os.pread(opened.descriptor, 4, start + length), "big"):
            words = f"the checksum of its part {name.decode('latin-1')} at byte {position:,} is wrong"
            return Damage(opened.stat.path, DamageKind.STRUCTURE, words)
        position = start + length + 4
        if name == b"IEND":
            return None
    return None


_UNEXPECTED = re.compile(rb"\xff+([^\x00\xff\xd0-\xd9\xc4\xda\xdb\xdc\xdd\xe0-\xef\xfe])")
"""A marker that has no place inside the compressed data of a JPEG file."""


def _damaged_scan(opened: OpenedFile) -> Damage | None:
    """Return the damage of a JPEG file whose compressed data contains zeros or markers that no encoder writes there."""
    data = os.pread(opened.descriptor, opened.stat.size, 0)
    start = _start_of_scan(data)
    if start is None:
        return None
    end = data.find(b"\xff\xd9", start)
    end = len(data) if end < 0 else end
    path = opened.stat.path
    zeros = data.find(_ZEROS, start, end)
    if zeros >= 0:
        words = f"its compressed data is overwritten with zeros from byte {zeros:,} on"
        return Damage(path, DamageKind.ZERO_FILLED, words)
    unexpected = _UNEXPECTED.search(data, start, end)
    if unexpected is not None:
        words = f"there is an unexpected marker in its compressed data at byte {unexpected.start():,}"
        return Damage(path, DamageKind.STRUCTURE, words)
    if end == len(data):
        return Damage(path, DamageKind.STRUCTURE, "its end is missing")
    return None


def _start_of_scan(data: bytes) -> int | None:
    """Return where the compressed data of a JPEG file begins; ``None`` if its segments are not as they should be."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length if marker != 0xFF else 1
        if marker == 0xDA:
            return position
    return None


def _rotten(checked: Sequence[_Checked], damaged: Collection[Path]) -> Iterator[Damage]:
    """Yield the damage of files that differ in a few bytes of their picture from a copy."""
    for same in _probable_copies(checked):
        counts = Counter(each.digest for each in same)
        for number, one in enumerate(same):
            for other in same[number + 1 :]:
                if one.digest == other.digest or _shows_the_same(one, other):
                    continue
                words = _difference(one.stat.path, other.stat.path)
                if words is None:
                    continue
                known = {one.stat.path, other.stat.path} & set(damaged)
                if known:
                    continue
                if counts[one.digest] == counts[other.digest]:
                    yield Damage(
                        one.stat.path, DamageKind.DIFFERS, f"{words}; one of the two is damaged", other.stat.path
                    )
                    yield Damage(
                        other.stat.path, DamageKind.DIFFERS, f"{words}; one of the two is damaged", one.stat.path
                    )
                else:
                    worse, better = sorted((one, other), key=lambda each: counts[each.digest])
                    words = f"{words}, which agrees with {counts[better.digest] - 1:,} more"
                    yield Damage(worse.stat.path, DamageKind.DIFFERS, words, better.stat.path)


def _shows_the_same(one: _Checked, other: _Checked) -> bool:
    """Return whether two files differ in their metadata only."""
    return one.image_data_digest is not None and one.image_data_digest == other.image_data_digest


def _probable_copies(checked: Sequence[_Checked]) -> Iterator[Sequence[_Checked]]:
    """Yield sets of files that were copies of each other once: of one size, and of one name or modification time."""
    for key in (_name_of, _time_of):
        sets: dict[Hashable, list[_Checked]] = defaultdict(list)
        for each in checked:
            if each.digest is not None:
                sets[(each.stat.size, key(each.stat))].append(each)
        yield from (same for same in sets.values() if len({each.digest for each in same}) > 1 and len(same) <= _MANY)


def _name_of(stat: FileStat) -> Hashable:
    return stat.path.name.lower()


def _time_of(stat: FileStat) -> Hashable:
    return stat.mtime_ns // _TWO_SECONDS_NS


def _difference(one: Path, other: Path) -> str | None:
    """Return where two files of one size differ; ``None`` if they differ too much, or cannot be read any more."""
    differing, first, position, size = 0, -1, 0, 0
    try:
        with one.open("rb") as left, other.open("rb") as right:
            while True:
                pair = left.read(_CHUNK), right.read(_CHUNK)
                if len(pair[0]) != len(pair[1]):
                    return None
                if not pair[0]:
                    break
                unequal = np.flatnonzero(np.frombuffer(pair[0], np.uint8) != np.frombuffer(pair[1], np.uint8))
                if len(unequal) and first < 0:
                    first = position + int(unequal[0])
                differing += len(unequal)
                position += len(pair[0])
                size = position
    except OSError:
        return None
    if not differing or differing > max(1, _ROTTEN_SHARE * size):
        return None
    count = "1 byte" if differing == 1 else f"{differing:,} bytes"
    return f"it differs in {count} from its copy, at byte {first:,}"
