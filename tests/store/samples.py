"""Entries and signatures for tests of the index, and what a store must answer, found by looking at everything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.match import Orientation
from py_image_dedup.model.photo import SIGNATURE_LENGTH, IndexEntry, PhotoFacts, ShotMarks, Signature, Versions
from py_image_dedup.signature.arrays import Int8Array
from py_image_dedup.signature.distance import distances
from py_image_dedup.signature.orientation import orient_signature
from py_image_dedup.store.base import Store

VERSIONS = Versions(media=1, signature=1)
FACTS = PhotoFacts("JPEG", 4000, 3000, exif_fields=31, captured=datetime(2019, 7, 1, 12, 30, 5), camera="Maker Model")  # noqa: DTZ001

FoundPairs: TypeAlias = dict[tuple[bytes, bytes], tuple[float, int]]
"""Distance and orientation by the two digests, the content with the lesser content id first."""


def digest_of(content: object) -> bytes:
    return blake2b(repr(content).encode(), digest_size=32).digest()


def stat_of(path: str | Path, size: int = 1000, mtime_ns: int = 1_600_000_000_123_456_789) -> FileStat:
    return FileStat(Path(path), size, mtime_ns, device=66, inode=int.from_bytes(digest_of(str(path))[:4], "big"))


def entry_of(path: str | Path, content: object = None, signature: Int8Array | Signature | None = None) -> IndexEntry:
    """A decoded photo; of its own content, unless one is named."""
    if isinstance(signature, np.ndarray):
        signature = signature_of(signature)
    digest = digest_of(str(path) if content is None else content)
    return IndexEntry(stat_of(path), VERSIONS, digest, FACTS, signature)


def full_entry(path: str) -> IndexEntry:
    """A photo of which everything is known."""
    entry = entry_of(path, signature=random_signatures(1, 1)[0])
    facts = replace(FACTS, shot=ShotMarks(0.004, -1.0, True, 2, "a burst"), embedded=("film", "gain map"))
    return replace(entry, facts=facts, pixel_digest=digest_of("pixels"), image_data_digest=digest_of("data"))


def failed_entry(path: str, reason: FailureReason = FailureReason.NO_PERMISSION, content: object = None) -> IndexEntry:
    """A file that could not be read, or, with a content, one that is no picture."""
    failure = Failure(Path(path), Phase.ANALYSE, reason, f"it is {reason}")
    return IndexEntry(stat_of(path), VERSIONS, None if content is None else digest_of(content), failure=failure)


def random_signatures(seed: int, count: int) -> Int8Array:
    """Dissimilar photos: none is within 0.5 of another."""
    return np.random.default_rng(seed).integers(-2, 3, (count, SIGNATURE_LENGTH), dtype=np.int8)


def altered(values: Int8Array, seed: int, changes: int, orientation: Orientation = Orientation.UPRIGHT) -> Int8Array:
    """An edited copy: a number of values differ by one (22 of them make a distance of about 0.1), then it is turned."""
    random = np.random.default_rng(seed)
    edited = values.copy()
    places = random.choice(SIGNATURE_LENGTH, changes, replace=False)
    edited[places] += np.where(edited[places] >= 2, -1, 1).astype(np.int8)
    return orient_signature(edited, orientation)


def family(seed: int, count: int) -> Int8Array:
    """Copies of a few photos, edited more or less and turned all ways: pairs at every distance from 0 to 0.4 and on."""
    random = np.random.default_rng(seed)
    photos = random_signatures(seed, max(1, count // 6))
    return np.stack(
        [
            altered(
                photos[random.integers(len(photos))],
                int(random.integers(2**32)),
                int(random.integers(0, 200)),
                Orientation(int(random.integers(1, 9))),
            )
            for _ in range(count)
        ]
    )


def signature_of(values: Int8Array) -> Signature:
    return Signature(values.tobytes())


def values_of(signature: Signature) -> Int8Array:
    return np.frombuffer(signature.values, dtype=np.int8)


@dataclass
class Model:
    """What a store must know: a plain dictionary, searched by comparing all with all."""

    by_path: dict[bytes, IndexEntry]

    @classmethod
    def of(cls, entries: Iterable[IndexEntry]) -> Model:
        return cls({entry.stat.raw_path: entry for entry in entries})

    def put(self, entries: Iterable[IndexEntry]) -> None:
        for entry in entries:
            # What depends on the bytes is the same in all copies.
            for copy in [e for e in self.by_path.values() if e.digest is not None and e.digest == entry.digest]:
                self.by_path[copy.stat.raw_path] = replace(entry, stat=copy.stat)
            self.by_path[entry.stat.raw_path] = entry

    def remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self.by_path.pop(os.fsencode(path), None)

    def under(self, folders: Sequence[Path] | None) -> list[IndexEntry]:
        """In the order of raw paths; by the meaning of "below", not by comparing texts."""
        entries = [self.by_path[raw] for raw in sorted(self.by_path)]
        return [e for e in entries if folders is None or any(f in e.stat.path.parents for f in folders)]

    def signatures(self, folders: Sequence[Path] | None) -> Mapping[bytes, Int8Array]:
        known = ((entry.digest, entry.signature) for entry in self.under(folders))
        return {
            digest: values_of(signature) for digest, signature in known if digest is not None and signature is not None
        }


def found_pairs(store: Store, max_distance: float, under: Sequence[Path] | None) -> FoundPairs:
    """What the store finds, by digests; each pair must come once, and as the contract's columns say."""
    blocks = list(store.pairs(max_distance, under))
    numbers = {number for block in blocks for side in (block.left, block.right) for number in side.tolist()}
    digests = {number: entries[0].digest for number, entries in store.contents(numbers, under).items()}
    assert set(digests) == numbers, "a pair has a content that is not under the folders"
    found: FoundPairs = {}
    for block in blocks:
        columns = (block.left, block.right, block.distance, block.orientation)
        for left, right, distance, orientation in zip(*(column.tolist() for column in columns), strict=True):
            assert left < right
            first, second = digests[left], digests[right]
            assert first is not None
            assert second is not None
            assert (first, second) not in found, "a pair came twice"
            found[first, second] = (distance, orientation)
    return found


def expected_pairs(model: Model, max_distance: float, under: Sequence[Path] | None, found: FoundPairs) -> FoundPairs:
    """What it must find, each pair in the direction in which it was found, if it was."""
    expected: FoundPairs = {}
    for pair in combinations(model.signatures(under).items(), 2):
        (left, one), (right, other) = pair if (pair[0][0], pair[1][0]) in found else pair[::-1]
        distance, orientation = distances(one, other[None])
        if distance[0] <= max_distance:
            expected[left, right] = (float(distance[0]), int(orientation[0]))
    return expected


def texts(min_size: int = 0) -> st.SearchStrategy[str]:
    """Any text, and text out of file names that are not UTF-8, which has halves of surrogates."""
    return st.text(min_size=min_size) | st.binary(min_size=min_size).map(os.fsdecode)


def path_parts() -> st.SearchStrategy[bytes]:
    """Names of files: any bytes but ``/`` and NUL; those around ``/`` often."""
    any_byte = st.integers(1, 255).filter(lambda byte: byte != ord("/"))
    byte = st.sampled_from(list(b"ab.0-\xff\xc3")) | any_byte
    return st.lists(byte, min_size=1, max_size=8).map(bytes).filter(lambda name: name not in {b".", b".."})


def paths() -> st.SearchStrategy[Path]:
    return st.lists(path_parts(), min_size=1, max_size=4).map(lambda parts: Path(os.fsdecode(b"/" + b"/".join(parts))))


def stats() -> st.SearchStrategy[FileStat]:
    return st.builds(
        FileStat,
        path=paths(),
        size=st.integers(0, 2**50),
        mtime_ns=st.integers(-(2**62), 2**63 - 1),
        device=st.integers(0, 2**64 - 1),
        inode=st.integers(0, 2**64 - 1),
    )


def facts() -> st.SearchStrategy[PhotoFacts]:
    return st.builds(
        PhotoFacts,
        format=st.sampled_from(["JPEG", "PNG", "HEIF"]),
        width=st.integers(1, 2**31),
        height=st.integers(1, 2**31),
        exif_fields=st.integers(0, 10_000),
        captured=st.none() | st.datetimes(),
        camera=st.none() | texts(),
        has_gps=st.booleans(),
        frames=st.integers(1, 100_000),
    )


def signatures() -> st.SearchStrategy[Signature]:
    return st.integers(0, 2**32).map(lambda seed: signature_of(random_signatures(seed, 1)[0]))


@st.composite
def entries(draw: st.DrawFn) -> IndexEntry:
    """Any entry there can be, with any of its fields missing."""
    stat = draw(stats())
    versions = draw(st.builds(Versions, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)))
    failure = draw(
        st.none()
        | st.builds(
            Failure, st.just(stat.path), st.sampled_from(Phase), st.sampled_from(FailureReason), texts(min_size=1)
        )
    )
    digest = draw(st.none() | st.binary(min_size=32, max_size=32))
    if digest is None:
        return IndexEntry(stat, versions, failure=failure)
    return IndexEntry(
        stat,
        versions,
        digest,
        draw(st.none() | facts()),
        draw(st.none() | signatures()),
        draw(st.none() | st.binary(min_size=32, max_size=32)),
        failure=failure,
    )


def libraries() -> st.SearchStrategy[list[IndexEntry]]:
    """Entries of different files with different contents."""
    return st.lists(
        entries(),
        max_size=8,
        unique_by=(lambda entry: entry.stat.raw_path, lambda entry: entry.digest or entry.stat.raw_path),
    )
