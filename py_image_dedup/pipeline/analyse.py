"""The analyse stage: reads each new or changed file once and puts its entry into the index."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.features.describe import ImageFeatures
from py_image_dedup.media.decoder import DecodedPicture, Decoder, WorkerClient
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.opened_file import OpenedFile, read_file
from py_image_dedup.media.process import command_of
from py_image_dedup.model.events import FileAnalysed, FileFailed, Observer, PhaseAdvanced
from py_image_dedup.model.failure import TRANSIENT, Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.pipeline.cleanup import is_current, is_decodable_now
from py_image_dedup.pipeline.options import VERSIONS, VIDEO_VERSIONS, AnalyseOptions
from py_image_dedup.pipeline.workers import Finished, Overdue, WorkerPool
from py_image_dedup.signature.compute import compute
from py_image_dedup.store.base import Store
from py_image_dedup.video.client import VideoWorker, seconds_for
from py_image_dedup.video.recognition import HEAD_BYTES, demuxer_of

__all__ = ["VERSIONS", "AnalyseOptions", "Analysed", "analyse"]

COMMAND: Final = command_of("py_image_dedup.features.describe")

MANY: Final = 24
"""Files per thread from which feature extraction in the workers is worth loading OpenCV there, a quarter second."""

_BATCH_FILES = 256
_BATCH_SECONDS = 2.0
_WAIT_SECONDS = 0.1
_READ_AHEAD_BYTES = 128 << 20
_SLOWEST_BYTES_PER_SECOND = 1 << 20
"""Reads slower than this are abandoned."""
_WAIT_FACTOR = 4
"""Time limit of a thread as a multiple of that of a file: it may wait for memory, and its worker has a timer."""


def decoder_for(files: int, threads: int, *, features: bool) -> Callable[[Limits, MemoryBudget], Decoder]:
    """Return the factory of the decoders of an analysis.

    Args:
        files: Number of files.
        threads: Number of decoders that share them.
        features: Whether local features are wanted.
    """
    if not features:
        return Decoder
    return _extracting if files >= MANY * threads else partial(Decoder, panels=True)


def features_of(decoded: DecodedPicture, *, local: bool) -> ImageFeatures:
    """Return the features that a worker extracted from a picture, or extract them here.

    Args:
        decoded: The picture.
        local: Whether local features are wanted beside the signature.

    Raises:
        MediaError: The worker's answer does not contain valid features.

    Thread-safety: any number of threads.
    """
    if not local:
        return ImageFeatures(compute(decoded.canonical))
    if decoded.extras:
        try:
            return ImageFeatures.of_parts(decoded.extras)
        except ValueError as error:
            raise MediaError(FailureReason.CRASHED, "the decoder returned an invalid answer") from error
    # Not at the top: it loads OpenCV.
    from py_image_dedup.features.describe import image_features

    return image_features(decoded.canonical, decoded.panels)


def _extracting(limits: Limits, budget: MemoryBudget) -> Decoder:
    return Decoder(limits, budget, WorkerClient(limits, COMMAND, panels=True))


@dataclass(frozen=True, slots=True)
class Analysed:
    """The result of the stage.

    Attributes:
        failures: Files that could not be analysed, sorted by path.
        summary: Counts ``analysed`` (decoded), ``known`` (content that was decoded before, under any name), ``failed``,
            and ``bytes`` that were read.
    """

    failures: tuple[Failure, ...]
    summary: PhaseSummary


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    stat: FileStat


@dataclass(frozen=True, slots=True, eq=False)
class _Decode:
    file: OpenedFile
    is_video: bool


_Job: TypeAlias = _Read | _Decode


@dataclass(frozen=True, slots=True)
class _Analysed:
    facts: PhotoFacts
    features: ImageFeatures
    image_data_digest: bytes | None


_Result: TypeAlias = OpenedFile | _Analysed
_Pool: TypeAlias = WorkerPool[_Job, _Result]


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

    Each file is read and its digest taken; content that the index has, or another file of this run, is not decoded
    again. Entries are put in batches, at the latest every two seconds, so that a killed run loses little. The
    entries do not depend on the order of the files or the number of threads.

    Args:
        stale: Files whose entry is missing or out of date, up to millions; memory does not grow with their number.
        store: The index, used by the calling thread only.
        options: Options of the analysis.
        observer: Receives an event per file, in the calling thread.
        should_stop: Returns whether to stop early; files in progress are then finished and kept.
        decoder: Creates the decoder of each thread; chosen by the options and the number of files by default.

    Raises:
        StoreError: The index failed; entries that were put before are kept.
        KeyboardInterrupt: The user interrupted; finished files have been kept.
    """
    work = _Analysis(store, options, observer)
    budget = MemoryBudget(options.limits.memory_bytes)
    make_decoder = decoder or decoder_for(len(stale), options.threads, features=options.features)

    @contextmanager
    def context() -> Iterator[Callable[[_Job], _Result]]:
        with make_decoder(options.limits, budget) as own, VideoWorker(options.limits) as videos:
            yield lambda job: _do(job, own, videos, options)

    threads = max(1, min(options.threads, len(stale)))
    with WorkerPool[_Job, _Result](threads, context, "analyse") as pool:
        try:
            work.run(pool, iter(stale), should_stop)
        except KeyboardInterrupt:
            work.run(pool, iter(()), lambda: True)
            raise
    return work.result()


def _do(job: _Job, decoder: Decoder, videos: VideoWorker, options: AnalyseOptions) -> _Result:
    if isinstance(job, _Read):
        if not options.is_video(job.stat.raw_path):
            decoder.prepare()
        return read_file(job.stat.path)
    with job.file:
        if job.is_video:
            profile, packed, packets = videos.sample(job.file)
            return _Analysed(profile.facts.as_photo_facts, ImageFeatures(None, packed), packets)
        decoded = decoder.decode(job.file)
    return _Analysed(decoded.facts, features_of(decoded, local=options.features), decoded.image_data_digest)


class _Analysis:
    """The work of the calling thread, while others read and decode."""

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
        self._bytes_in_progress = 0

    def run(self, pool: _Pool, stale: Iterator[FileStat], should_stop: Callable[[], bool]) -> None:
        """Submit files to the pool and take its results until all are done, or until ``should_stop``."""
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
        """Return the result."""
        self._counts["failed"] = len(self._failures)
        seconds = time.monotonic() - self._started
        failures = sorted(self._failures, key=lambda failure: os.fsencode(failure.path))
        return Analysed(tuple(failures), PhaseSummary(Phase.ANALYSE, seconds, dict(self._counts)))

    def _may_read(self, pool: _Pool, stat: FileStat) -> bool:
        outstanding = pool.outstanding
        return outstanding == 0 or (
            outstanding < 3 * self._options.threads and self._bytes_in_progress + stat.size <= _READ_AHEAD_BYTES
        )

    def _read(self, pool: _Pool, stat: FileStat) -> None:
        self._bytes_in_progress += stat.size
        seconds = self._options.limits.timeout_seconds + 2 * stat.size / _SLOWEST_BYTES_PER_SECOND
        pool.submit(_Read(stat), seconds=seconds)

    def _drop(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if isinstance(job, _Decode):
                job.file.close()
                self._decoding.pop(job.file.digest, None)

    def _take(self, pool: _Pool, finished: list[Finished[_Job, _Result]], *, stopping: bool) -> None:
        read: list[tuple[OpenedFile, float]] = []
        for done in finished:
            if isinstance(done.job, _Decode):
                self._decoded(done.job, done)
            elif isinstance(done.result, OpenedFile):
                read.append((done.result, done.seconds))
            else:
                self._bytes_in_progress -= done.job.stat.size
                self._fail(done.job.stat, None, *_why(done, reading=True))
        if read:
            self._decode_unknown(pool, read, stopping=stopping)
        if self._advanced:
            self._observer(PhaseAdvanced(Phase.ANALYSE, self._advanced))
            self._advanced = 0

    def _decode_unknown(self, pool: _Pool, read: list[tuple[OpenedFile, float]], *, stopping: bool) -> None:
        """Copy the entries of files whose content is known by its digest; have the others decoded."""
        unknown = {file.digest for file, _ in read} - self._by_digest.keys() - self._decoding.keys()
        known = {**self._store.known(unknown), **self._by_digest} if unknown else self._by_digest
        for file, seconds in read:
            same = known.get(file.digest)
            self._counts["bytes"] += file.stat.size
            if same is not None and is_current(same.versions, self._versions) and not is_decodable_now(same):
                self._release(file)
                self._carry_over(file.stat, same, seconds)
            elif file.digest in self._decoding:
                self._release(file)
                self._decoding[file.digest].append((file.stat, seconds))
            elif stopping:
                self._release(file)
            else:
                self._decoding[file.digest] = [(file.stat, seconds)]
                allowed = _WAIT_FACTOR * self._options.limits.timeout_seconds
                is_video = bool(self._options.videos) and bool(demuxer_of(file.head(HEAD_BYTES)))
                if is_video:
                    allowed += seconds_for(file.stat.size, self._options.limits)
                pool.submit(_Decode(file, is_video), seconds=allowed, first=True)

    def _release(self, file: OpenedFile) -> None:
        file.close()
        self._bytes_in_progress -= file.stat.size

    def _decoded(self, job: _Decode, done: Finished[_Job, _Result]) -> None:
        file = job.file
        self._bytes_in_progress -= file.stat.size
        versions = VIDEO_VERSIONS if job.is_video else self._versions
        (stat, seconds), *same = self._decoding.pop(file.digest)
        if isinstance(done.result, _Analysed):
            facts, extracted = done.result.facts, done.result.features
            entry = IndexEntry(
                stat,
                versions,
                file.digest,
                facts,
                extracted.signature,
                features=extracted.features,
                words=extracted.words,
                image_data_digest=done.result.image_data_digest,
            )
            self._keep(entry)
            self._counts["analysed"] += 1
            self._observer(FileAnalysed(stat.size, seconds + done.seconds, decoded=True))
            for other, other_seconds in same:
                self._carry_over(other, entry, other_seconds)
            return
        reason, message = _why(done, reading=False)
        for other, _ in ((stat, seconds), *same):
            self._fail(other, file.digest, reason, message, versions)

    def _carry_over(self, stat: FileStat, same: IndexEntry, seconds: float) -> None:
        if same.failure is not None:
            self._fail(stat, same.digest, same.failure.reason, same.failure.message, same.versions)
            return
        self._keep(replace(same, stat=stat))
        self._counts["known"] += 1
        self._observer(FileAnalysed(stat.size, seconds, decoded=False))

    def _fail(
        self,
        stat: FileStat,
        digest: bytes | None,
        reason: FailureReason,
        message: str,
        versions: Versions | None = None,
    ) -> None:
        failure = Failure(stat.path, Phase.ANALYSE, reason, message)
        self._failures.append(failure)
        self._observer(FileFailed(failure))
        if reason in TRANSIENT:  # reported only: the next run tries again
            self._advanced += 1
        else:
            self._keep(IndexEntry(stat, versions or self._versions, digest, failure=failure))

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
        words = f"took more than {done.seconds:.0f} seconds"
        return (FailureReason.IO_ERROR, f"reading {words}") if reading else (FailureReason.TIMEOUT, f"decoding {words}")
    if isinstance(done.error, MemoryError):
        return FailureReason.TOO_LARGE, "decoding needs more memory than is available"
    # A defect of the program, not of the file: it must not hide in a list of failures.
    raise done.error if done.error is not None else RuntimeError("a job finished without a result")
