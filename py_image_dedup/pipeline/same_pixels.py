"""The same-pixels step of the find stage: decides which candidates show exactly the same pixels.

Files with the same compressed image data show the same pixels, and need no decoding. Of the others, one file of each
image data is decoded in full, once: the index keeps its pixel digest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

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
_WAIT_FACTOR = 4
"""Time limit of a thread as a multiple of that of a file: it may wait for memory, and its worker has a timer."""

Copies: TypeAlias = tuple[IndexEntry, ...]
"""Entries of different contents with the same image data; one entry where that is unknown."""


def near_candidates(entries: Iterable[IndexEntry], near: Callable[[IndexEntry], Hashable]) -> list[list[IndexEntry]]:
    """Return the sets of files of a group that may show the same pixels.

    Decoding is expensive, so most files are ruled out: pictures of different size, and files of one format with
    different signatures.

    Args:
        entries: Files of one group.
        near: Maps files to different values if they are further than ``NEAR`` apart, or rotated.
    """
    similar: dict[Hashable, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        if entry.facts is not None and entry.decoded_whole:
            facts = entry.facts
            similar[(near(entry), facts.width, facts.height, facts.frames, facts.is_raw)].append(entry)
    return [some for each in similar.values() for some in _by_signature(each) if _contents(some) > 1]


def _by_signature(similar: list[IndexEntry]) -> Iterable[list[IndexEntry]]:
    if len({entry.facts.format for entry in similar if entry.facts}) > 1:
        return [similar]  # decoders of two formats may differ by a rounding, and the signature with them
    by_signature: dict[bytes | None, list[IndexEntry]] = defaultdict(list)
    for entry in similar:
        by_signature[entry.signature.values if entry.signature else None].append(entry)
    return by_signature.values()


def _contents(entries: Iterable[IndexEntry]) -> int:
    return len({entry.digest for entry in entries})


def same_pixels(
    candidates: Sequence[Sequence[IndexEntry]], compare: Callable[[Sequence[Copies]], Mapping[bytes, bytes]]
) -> dict[bytes, bytes]:
    """Return digests of the candidates' pixels by the digests of their bytes.

    Equal digests mean equal pixels; different ones mean different pixels only within a set of candidates. A content of
    which the file cannot be read at the moment is left out.

    Args:
        candidates: Sets of files that may show the same pixels.
        compare: Returns pixel digests by the digests of the bytes; called at most once, with what must be decoded.
    """
    pixels: dict[bytes, bytes] = {}
    for entry in _each(candidates):
        if entry.pixel_digest is not None:
            pixels.setdefault(_image_data(entry), entry.pixel_digest)
    unknown = _to_decode(candidates, pixels)
    decoded = compare(list(unknown.values())) if unknown else {}
    found: dict[bytes, bytes] = {}
    for entry in _each(candidates):
        digest, image_data = entry.digest or b"", _image_data(entry)
        if image_data not in unknown:
            found[digest] = pixels.get(image_data, image_data)  # if not known, all its candidates have the same
        elif digest in decoded:
            found[digest] = decoded[digest]
    return found


def _to_decode(candidates: Sequence[Sequence[IndexEntry]], known: Container[bytes]) -> dict[bytes, Copies]:
    """Return the entries that have candidates with other image data, by image data, unless their pixels are known."""
    unknown: dict[bytes, dict[bytes | None, IndexEntry]] = defaultdict(dict)
    for some in candidates:
        if len({_image_data(entry) for entry in some}) > 1:
            for entry in some:
                if _image_data(entry) not in known:
                    unknown[_image_data(entry)].setdefault(entry.digest, entry)
    return {image_data: tuple(same.values()) for image_data, same in unknown.items()}


def _each(candidates: Iterable[Iterable[IndexEntry]]) -> Iterator[IndexEntry]:
    return (entry for some in candidates for entry in some if entry.digest is not None)


def _image_data(entry: IndexEntry) -> bytes:
    """Return a digest that is equal for files with the same image data; that of its bytes for a file without one."""
    return entry.image_data_digest or entry.digest or b""


@dataclass(frozen=True, slots=True)
class PixelComparison:
    """Takes pixel digests by decoding files in full, and puts them into the index. For the calling thread only.

    Attributes:
        store: The index.
        threads: Number of files that are decoded at a time.
        limits: Cost limits of one file.
        observer: Receives an event per decoded file.
        should_stop: Returns whether to stop early; files in progress are then finished and kept.
    """

    store: SearchableStore
    threads: int
    limits: Limits
    observer: Observer
    should_stop: Callable[[], bool]

    def digests(self, candidates: Sequence[Copies]) -> dict[bytes, bytes]:
        """Return the pixel digests of files by the digests of their bytes; one file of each image data is decoded.

        Files that cannot be read at the moment are left out. Pictures that cannot be compared get the digest of their
        image data: they equal themselves and nothing else, and are not decoded again.
        """
        found: dict[bytes, bytes] = {}
        for entry in self._compute(candidates):
            if entry.digest is not None and entry.pixel_digest is not None:
                found[entry.digest] = entry.pixel_digest
        return found

    def _compute(self, candidates: Sequence[Copies]) -> Iterator[IndexEntry]:
        budget = MemoryBudget(self.limits.memory_bytes)

        @contextmanager
        def context() -> Iterator[Callable[[Copies], bytes]]:
            with Decoder(self.limits, budget) as decoder:
                yield lambda copies: _digest(decoder, copies)

        batch: list[IndexEntry] = []
        pending = iter(candidates)
        with WorkerPool[Copies, bytes](max(1, min(self.threads, len(candidates))), context, "compare") as pool:
            following = next(pending, None)
            while following is not None or pool.outstanding:
                if self.should_stop():
                    following = None
                    pool.withdraw()
                while following is not None and pool.outstanding < 3 * self.threads:
                    pool.submit(following, seconds=_WAIT_FACTOR * self.limits.timeout_seconds)
                    following = next(pending, None)
                done = [entry for each in pool.finished(_WAIT_SECONDS) for entry in self._take(each)]
                yield from done
                batch.extend(done)
                if len(batch) >= _BATCH:
                    self.store.put(batch)
                    batch = []
        if batch:
            self.store.put(batch)

    def _take(self, done: Finished[Copies, bytes]) -> list[IndexEntry]:
        self.observer(PhaseAdvanced(Phase.FIND))
        digest = done.result
        if digest is None:
            if isinstance(done.error, MediaError) and done.error.reason in TRANSIENT:
                return []
            if done.error is not None and not isinstance(done.error, (MediaError, MemoryError, Overdue)):
                raise done.error  # a defect of the program, not of the file
            digest = _image_data(done.job[0])
        return [replace(entry, pixel_digest=digest) for entry in done.job]


def _digest(decoder: Decoder, copies: Copies) -> bytes:
    """Return the pixel digest of files with the same image data, of the first that can be read and is unchanged."""
    *others, last = copies
    for entry in others:
        try:
            return _digest_of(decoder, entry.stat)
        except MediaError as error:
            if error.reason not in TRANSIENT:
                raise
    return _digest_of(decoder, last.stat)


def _digest_of(decoder: Decoder, stat: FileStat) -> bytes:
    _check_unchanged(stat)
    digest = decoder.pixel_digest(stat.path)
    _check_unchanged(stat)
    return digest


def _check_unchanged(stat: FileStat) -> None:
    try:
        status = stat.path.lstat()
    except OSError as error:
        raise MediaError(FailureReason.VANISHED, f"{error.strerror or error}") from error
    if (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino) != stat.stamp:
        raise MediaError(FailureReason.CHANGED, "the file changed since it was analysed")
