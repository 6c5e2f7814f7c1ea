"""Do files show the very same pixels? The candidates are decoded whole, once ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.model.events import Observer, PhaseAdvanced
from py_image_dedup.model.failure import TRANSIENT, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.pipeline.workers import Finished, Overdue, WorkerPool
from py_image_dedup.store.base import SearchableStore

_WAIT_SECONDS = 0.1
_BATCH = 256
_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class PixelComparison:
    """Digests pixels, each content once ever: the index remembers. Used by the calling thread only.

    Attributes:
        store: Takes the digests.
        threads: How many files are decoded at a time.
        limits: What one may cost.
        observer: Told of every file.
        should_stop: When it says so, files in hand are finished and kept.
    """

    store: SearchableStore
    threads: int
    limits: Limits
    observer: Observer
    should_stop: Callable[[], bool]

    def digests(self, candidates: Sequence[IndexEntry]) -> dict[bytes, bytes]:
        """Return the pixel digests of these files, one of each content, by the digests of their bytes.

        What cannot be read just now is not in it. A picture whose pixels cannot be compared is given the digest of its
        bytes: it equals itself and nothing else, and is not tried again.
        """
        found: dict[bytes, bytes] = {}
        for entry in self._compute(candidates):
            if entry.digest is not None and entry.pixel_digest is not None:
                found[entry.digest] = entry.pixel_digest
        return found

    def _compute(self, entries: Sequence[IndexEntry]) -> Iterator[IndexEntry]:
        budget = MemoryBudget(self.limits.memory_bytes)

        @contextmanager
        def context() -> Iterator[Callable[[IndexEntry], bytes]]:
            with Decoder(self.limits, budget) as decoder:
                yield lambda entry: _digest(decoder, entry.stat)

        batch: list[IndexEntry] = []
        pending = iter(entries)
        with WorkerPool[IndexEntry, bytes](max(1, min(self.threads, len(entries))), context, "compare") as pool:
            following = next(pending, None)
            while following is not None or pool.outstanding:
                if self.should_stop():
                    following = None
                    pool.withdraw()
                while following is not None and pool.outstanding < 3 * self.threads:
                    pool.submit(following, seconds=_PATIENCE * self.limits.timeout_seconds)
                    following = next(pending, None)
                done = [entry for each in pool.finished(_WAIT_SECONDS) if (entry := self._take(each))]
                yield from done
                batch.extend(done)
                if len(batch) >= _BATCH:
                    self.store.put(batch)
                    batch = []
        if batch:
            self.store.put(batch)

    def _take(self, done: Finished[IndexEntry, bytes]) -> IndexEntry | None:
        self.observer(PhaseAdvanced(Phase.FIND))
        if done.result is not None:
            return replace(done.job, pixel_digest=done.result)
        if isinstance(done.error, MediaError) and done.error.reason in TRANSIENT:
            return None
        if done.error is not None and not isinstance(done.error, (MediaError, MemoryError, Overdue)):
            raise done.error  # no broken file but a mistake of ours
        return replace(done.job, pixel_digest=done.job.digest)


def _digest(decoder: Decoder, stat: FileStat) -> bytes:
    """Digest the pixels of a file that still is what the index knows."""
    _expect(stat)
    digest = decoder.pixel_digest(stat.path)
    _expect(stat)
    return digest


def _expect(stat: FileStat) -> None:
    try:
        status = stat.path.lstat()
    except OSError as error:
        raise MediaError(FailureReason.VANISHED, f"{error.strerror or error}") from error
    if (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino) != stat.stamp:
        raise MediaError(FailureReason.CHANGED, "it changed since it was analysed")


def near_candidates(entries: Iterable[IndexEntry], near: Callable[[IndexEntry], Hashable]) -> list[IndexEntry]:
    """Choose the files whose pixels may be those of another one: it is dear to look, so most are ruled out first.

    Args:
        entries: Of one group.
        near: Files with different answers are further than ``NEAR`` apart, or turned.
    """
    alike: dict[Hashable, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        if entry.facts is not None and entry.decoded_whole:
            alike[(near(entry), entry.facts.width, entry.facts.height, entry.facts.frames)].append(entry)
    return [entry for some in alike.values() if _contents(some) > 1 for entry in _worth_a_look(some)]


def _worth_a_look(alike: Sequence[IndexEntry]) -> Iterator[IndexEntry]:
    if len({entry.facts.format for entry in alike if entry.facts}) > 1:
        yield from alike
        return
    by_signature: dict[bytes | None, list[IndexEntry]] = defaultdict(list)
    for entry in alike:
        by_signature[entry.signature.values if entry.signature else None].append(entry)
    for same in by_signature.values():
        if _contents(same) > 1:
            yield from same


def _contents(entries: Iterable[IndexEntry]) -> int:
    return len({entry.digest for entry in entries})


def known_pixels(candidates: Iterable[IndexEntry]) -> tuple[dict[bytes, bytes], list[IndexEntry]]:
    """Sort out whose pixels the index knows already.

    Returns:
        Pixel digests by the digests of the bytes; and one file of each content that must be looked at.
    """
    known: dict[bytes, bytes] = {}
    fresh: dict[bytes, IndexEntry] = {}
    for entry in candidates:
        if entry.digest is not None and entry.pixel_digest is not None:
            known[entry.digest] = entry.pixel_digest
        elif entry.digest is not None:
            fresh.setdefault(entry.digest, entry)
    return known, [entry for digest, entry in fresh.items() if digest not in known]
