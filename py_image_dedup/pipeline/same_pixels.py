"""Do files show the very same pixels? The candidates are decoded whole, once ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.errors import MediaError
from py_image_dedup.media.limits import Limits, MemoryBudget
from py_image_dedup.model.events import Observer, PhaseAdvanced
from py_image_dedup.model.failure import TRANSIENT, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.pipeline.incremental import Searched
from py_image_dedup.pipeline.workers import Finished, Overdue, Pool

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

    store: Searched
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
        def workplace() -> Iterator[Callable[[IndexEntry], bytes]]:
            with Decoder(self.limits, budget) as decoder:
                yield lambda entry: _digest(decoder, entry.stat)

        batch: list[IndexEntry] = []
        pending = iter(entries)
        with Pool[IndexEntry, bytes](max(1, min(self.threads, len(entries))), workplace, "compare") as pool:
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
