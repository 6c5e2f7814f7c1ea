"""The analyse phase: each new or changed file is read once and becomes an index entry."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.features.describe import ImageFeatures
from py_image_dedup.media.decoder import Decoded, Decoder, Guard
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.process import command_of
from py_image_dedup.media.source import Source, read_source
from py_image_dedup.model.events import FileAnalysed, FileFailed, Observer, PhaseAdvanced
from py_image_dedup.model.failure import TRANSIENT, Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.cleanup import is_current
from py_image_dedup.pipeline.options import VERSIONS, AnalyseOptions
from py_image_dedup.pipeline.workers import Finished, Overdue, Pool
from py_image_dedup.signature.compute import compute
from py_image_dedup.store.base import Store

COMMAND: Final = command_of("py_image_dedup.features.describe")

MANY: Final = 24
"""Files for each thread from which on the processes earn what loading OpenCV costs them: a quarter of a second."""


def decoder_for(files: int, threads: int, *, features: bool) -> Callable[[Limits, MemoryBudget], Decoder]:
    """Choose what decodes.

    Args:
        files: How many there are.
        threads: How many decoders will share them.
        features: Whether local features are wanted.
    """
    return _describing if features and files >= MANY * threads else Decoder


def description(decoded: Decoded, *, features: bool) -> ImageFeatures:
    """Return the description that came with a picture, or make it.

    Args:
        decoded: The picture.
        features: Whether local features are wanted.

    Raises:
        MediaError: What came with it is no description.

    Thread-safety: any number of threads.
    """
    if not features:
        return ImageFeatures(compute(decoded.grey))
    if decoded.made:
        try:
            return ImageFeatures.of_parts(decoded.made)
        except ValueError as error:
            raise MediaError(FailureReason.CRASHED, "the decoder's answer made no sense") from error
    # Not at the top: it brings OpenCV.
    from py_image_dedup.features.describe import image_features

    return image_features(decoded.grey)


def _describing(limits: Limits, budget: MemoryBudget) -> Decoder:
    return Decoder(limits, budget, Guard(limits, COMMAND))


__all__ = ["VERSIONS", "AnalyseOptions", "Analysed", "analyse"]

_BATCH_FILES = 256
_BATCH_SECONDS = 2.0
_WAIT_SECONDS = 0.1
_READ_AHEAD_BYTES = 128 << 20
_SLOWEST_BYTES_PER_SECOND = 1 << 20
"""A network share slower than this loses its file's turn."""
_PATIENCE = 4
"""How many times the time of one file a thread may take: it may wait for memory, and a guarded process has a clock."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """What the phase did.

    Attributes:
        failures: Files that could not be analysed, in the order of their paths.
        summary: With the counts ``analysed`` (decoded), ``known`` (content that was decoded before, under any name),
            ``failed``, and ``bytes`` that were read.
    """

    failures: tuple[Failure, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    stat: FileStat


@dataclass(frozen=True, slots=True, eq=False)
class _Decode:
    source: Source


_Job: TypeAlias = _Read | _Decode


@dataclass(frozen=True, slots=True)
class _Described:
    facts: PhotoFacts
    looks: ImageFeatures


_Result: TypeAlias = Source | _Described


def analyse(
    stale: Sequence[FileStat],
    store: Store,
    options: AnalyseOptions,
    *,
    observer: Observer,
    should_stop: Callable[[], bool],
    decoder: Callable[[Limits, MemoryBudget], Decoder] | None = None,
) -> Analysed:
    """Read and decode files and put their entries into the index.

    A file is read, and its digest taken; content that the index knows, or that another file of this run has, is not
    decoded again. Entries are put in batches, at the latest every two seconds, so that a killed run loses little. The
    entries do not depend on the order of the files or on the number of threads.

    Args:
        stale: The files whose entry is missing or out of date; may be millions, memory does not grow with them.
        store: Used by the calling thread only.
        options: How.
        observer: Told of every file, from the calling thread.
        should_stop: When it says so, files in hand are finished and kept, and the phase returns.
        decoder: What each thread decodes with; chosen by the options and the number of files if not given.

    Raises:
        StoreError: The index failed; what was put before is kept.
        KeyboardInterrupt: After what was done has been kept.
    """
    work = _Analysis(store, options, observer)
    budget = MemoryBudget(options.limits.memory_bytes)
    make_decoder = decoder or decoder_for(len(stale), options.threads, features=options.features)

    @contextmanager
    def workplace() -> Iterator[Callable[[_Job], _Result]]:
        with make_decoder(options.limits, budget) as own:
            yield lambda job: _do(job, own, with_features=options.features)

    threads = max(1, min(options.threads, len(stale)))
    with Pool[_Job, _Result](threads, workplace, "analyse") as pool:
        try:
            work.run(pool, iter(stale), should_stop)
        except KeyboardInterrupt:
            work.run(pool, iter(()), lambda: True)
            raise
    return work.result()


def _do(job: _Job, decoder: Decoder, *, with_features: bool) -> _Result:
    if isinstance(job, _Read):
        decoder.prepare()
        return read_source(job.stat.path)
    with job.source:
        decoded = decoder.decode(job.source)
    return _Described(decoded.facts, description(decoded, features=with_features))


class _Analysis:
    """What the calling thread knows while others read and decode."""

    def __init__(self, store: Store, options: AnalyseOptions, observer: Observer) -> None:
        self._store = store
        self._options = options
        self._versions = options.versions
        self._observer = observer
        self._started = time.monotonic()
        self._flushed = self._started
        self._batch: dict[Path, IndexEntry] = {}
        self._by_digest: dict[bytes, IndexEntry] = {}
        self._decoding: dict[bytes, list[tuple[FileStat, float]]] = {}
        self._failures: list[Failure] = []
        self._counts = {"analysed": 0, "known": 0, "failed": 0, "bytes": 0}
        self._advanced = 0
        self._bytes_in_hand = 0

    def run(self, pool: Pool[_Job, _Result], stale: Iterator[FileStat], should_stop: Callable[[], bool]) -> None:
        """Feed the pool and take what it returns until nothing is left, or until it is time to stop."""
        following = next(stale, None)
        while following is not None or pool.outstanding:
            if should_stop():
                following = None
                self._drop(pool.withdraw())
            while following is not None and self._may_read(pool, following):
                self._read(pool, following)
                following = next(stale, None)
            self._take(pool, pool.finished(_WAIT_SECONDS), stopping=following is None and should_stop())
            if len(self._batch) >= _BATCH_FILES or time.monotonic() - self._flushed >= _BATCH_SECONDS:
                self._flush()
        self._flush()

    def result(self) -> Analysed:
        """Sum up."""
        self._counts["failed"] = len(self._failures)
        seconds = time.monotonic() - self._started
        failures = sorted(self._failures, key=lambda failure: os.fsencode(failure.path))
        return Analysed(tuple(failures), PhaseSummary(Phase.ANALYSE, seconds, dict(self._counts)))

    def _may_read(self, pool: Pool[_Job, _Result], stat: FileStat) -> bool:
        outstanding = pool.outstanding
        return outstanding == 0 or (
            outstanding < 3 * self._options.threads and self._bytes_in_hand + stat.size <= _READ_AHEAD_BYTES
        )

    def _read(self, pool: Pool[_Job, _Result], stat: FileStat) -> None:
        self._bytes_in_hand += stat.size
        seconds = self._options.limits.timeout_seconds + 2 * stat.size / _SLOWEST_BYTES_PER_SECOND
        pool.submit(_Read(stat), seconds=seconds)

    def _drop(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if isinstance(job, _Decode):
                job.source.close()
                self._decoding.pop(job.source.digest, None)

    def _take(self, pool: Pool[_Job, _Result], finished: list[Finished[_Job, _Result]], *, stopping: bool) -> None:
        read: list[tuple[Source, float]] = []
        for done in finished:
            if isinstance(done.job, _Decode):
                self._decoded(done.job.source, done)
            elif isinstance(done.result, Source):
                read.append((done.result, done.seconds))
            else:
                self._bytes_in_hand -= done.job.stat.size
                self._fail(done.job.stat, None, *_why(done, reading=True))
        if read:
            self._sort_out(pool, read, stopping=stopping)
        if self._advanced:
            self._observer(PhaseAdvanced(Phase.ANALYSE, self._advanced))
            self._advanced = 0

    def _sort_out(self, pool: Pool[_Job, _Result], read: list[tuple[Source, float]], *, stopping: bool) -> None:
        """Carry over what is known by its digest; have the rest decoded."""
        ask = {source.digest for source, _ in read} - self._by_digest.keys() - self._decoding.keys()
        known = {**self._store.known(ask), **self._by_digest} if ask else self._by_digest
        for source, seconds in read:
            same = known.get(source.digest)
            self._counts["bytes"] += source.stat.size
            if same is not None and is_current(same.versions, self._versions):
                self._release(source)
                self._carry_over(source.stat, same, seconds)
            elif source.digest in self._decoding:
                self._release(source)
                self._decoding[source.digest].append((source.stat, seconds))
            elif stopping:
                self._release(source)
            else:
                self._decoding[source.digest] = [(source.stat, seconds)]
                allowed = _PATIENCE * self._options.limits.timeout_seconds
                pool.submit(_Decode(source), seconds=allowed, first=True)

    def _release(self, source: Source) -> None:
        source.close()
        self._bytes_in_hand -= source.stat.size

    def _decoded(self, source: Source, done: Finished[_Job, _Result]) -> None:
        self._bytes_in_hand -= source.stat.size
        (stat, seconds), *same = self._decoding.pop(source.digest)
        if isinstance(done.result, _Described):
            facts, looks = done.result.facts, done.result.looks
            entry = IndexEntry(
                stat,
                self._versions,
                source.digest,
                facts,
                looks.signature,
                features=looks.features,
                words=looks.words,
            )
            self._keep(entry)
            self._counts["analysed"] += 1
            self._observer(FileAnalysed(stat.size, seconds + done.seconds, decoded=True))
            for other, other_seconds in same:
                self._carry_over(other, entry, other_seconds)
            return
        reason, message = _why(done, reading=False)
        for other, _ in ((stat, seconds), *same):
            self._fail(other, source.digest, reason, message)

    def _carry_over(self, stat: FileStat, same: IndexEntry, seconds: float) -> None:
        if same.failure is not None:
            self._fail(stat, same.digest, same.failure.reason, same.failure.message)
            return
        self._keep(replace(same, stat=stat))
        self._counts["known"] += 1
        self._observer(FileAnalysed(stat.size, seconds, decoded=False))

    def _fail(self, stat: FileStat, digest: bytes | None, reason: FailureReason, message: str) -> None:
        failure = Failure(stat.path, Phase.ANALYSE, reason, message)
        self._failures.append(failure)
        self._observer(FileFailed(failure))
        if reason in TRANSIENT:  # reported, and not kept
            self._advanced += 1
        else:
            self._keep(IndexEntry(stat, self._versions, digest, failure=failure))

    def _keep(self, entry: IndexEntry) -> None:
        self._advanced += 1
        self._batch[entry.stat.path] = entry
        if entry.digest is not None:
            self._by_digest[entry.digest] = entry

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._batch:
            self._store.put(tuple(self._batch.values()))
            self._batch.clear()
            self._by_digest.clear()


def _why(done: Finished[_Job, _Result], *, reading: bool) -> tuple[FailureReason, str]:
    if isinstance(done.error, MediaError):
        return done.error.reason, done.error.message
    if isinstance(done.error, Overdue):
        words = f"it took more than {done.seconds:.0f} seconds"
        return (FailureReason.IO_ERROR, f"reading {words}") if reading else (FailureReason.TIMEOUT, f"decoding {words}")
    if isinstance(done.error, MemoryError):
        return FailureReason.TOO_LARGE, "decoding it needs more memory than there is"
    # Not a broken file but a mistake of ours: hiding it in a list of failures would not help anybody.
    raise done.error if done.error is not None else RuntimeError("a job ended without a result")
