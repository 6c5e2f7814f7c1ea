"""The contract of the index: what every store does, in words that one suite of tests checks for all of them.

An index keeps *entries*, one a path, and knows that entries with the same digest have one *content*: contents have
numbers, signatures belong to contents, and the search runs over contents, so that 500 copies cost one search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from py_image_dedup.model.file import Stamp
from py_image_dedup.model.match import Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.arrays import PairBlock


class StoreError(Exception):
    """The index cannot be used; the message says which one, why, and what to do. A retry will not help."""


class StoreUnavailable(StoreError):  # noqa: N818 - a state, and the name is a promise
    """The index cannot be reached or is busy just now; a retry may help."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One answer of ``similar``.

    Attributes:
        content_id: The content that was found.
        distance: 0 to the bound.
        orientation: The turn that makes the query look like what was found.
    """

    content_id: int
    distance: float
    orientation: Orientation


class Store(ABC):
    """The index.

    Every method but ``close`` raises ``StoreUnavailable`` or ``StoreError``; a failure is never an empty answer.

    ``under`` is a sequence of absolute folders; an entry is under a folder when its path lies anywhere below it
    (``/a/b`` is not above ``/a/bc/d``). Nested and repeated folders are no error, and nothing comes twice for them. An
    empty sequence means nothing, not everything; ``None`` means everything.

    What depends on the bytes alone belongs to the content: versions, facts, signature, pixel digest, features, and the
    failure of an entry that has a digest. Who puts entries of one digest that disagree in it gets, for all of them,
    either what was put last or what was put with each.

    A failure's path is that of its entry, whatever path it was put with.

    Entries come without their features and words, which are large: ``features`` and ``suspects`` ask for them. An entry
    that is put without features leaves those of its content as they are if it was made with the same versions.

    While a stream (``stamps``, ``entries``, ``failed``, ``identical``) is read, the caller may put and remove. Entries
    that are not touched are streamed as if nothing had happened; those that are may be in the stream as they were, as
    they are, or not at all, but never twice. A stream that is not read to its end holds nothing back.

    Thread-safety: one thread at a time; the caller serialises. Another process may use the same index.
    """

    @abstractmethod
    def get(self, path: Path) -> IndexEntry | None:
        """Return the entry of a path, or ``None``."""

    @abstractmethod
    def put(self, entries: Sequence[IndexEntry]) -> None:
        """Insert or replace entries by path, as one batch.

        A crash loses this batch at most, and never an older entry. When it returns, the batch survives a killed
        process. Of two entries for one path in a batch the last wins.

        Raises:
            ValueError: An entry without a digest has facts, a signature, a pixel digest or features. Nothing is put.
        """

    @abstractmethod
    def remove(self, paths: Iterable[Path]) -> int:
        """Forget entries; unknown paths are no error.

        Of many paths, those that come later may still be there when an error is raised.

        Returns:
            How many there were.
        """

    @abstractmethod
    def clear(self) -> None:
        """Forget everything."""

    @abstractmethod
    def stamps(self, under: Sequence[Path] | None) -> Iterator[tuple[bytes, Stamp, Versions]]:
        """Stream ``(raw path, stamp, versions)`` of every entry, in no particular order: the cheapest look.

        Equal ``Versions`` are the same object, so that a caller can compare once and remember.
        """

    @abstractmethod
    def entries(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries in the order of their raw paths. Memory does not grow with their number."""

    @abstractmethod
    def count(self, under: Sequence[Path] | None) -> int:
        """Return how many entries there are."""

    @abstractmethod
    def known(self, digests: Iterable[bytes]) -> Mapping[bytes, IndexEntry]:
        """Return, for each of these digests that is known anywhere in the index, one entry that has it.

        What has been decoded once, under whatever name, need not be decoded again. May be an entry whose file is gone.
        """

    @abstractmethod
    def failed(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries that have a failure, in the order of their raw paths."""

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries of whole pictures without a signature (flat ones), in the order of raw paths.

        This one asks every entry; a store that keeps an index of them answers at once.
        """
        return (entry for entry in self.entries(under) if entry.decoded_whole and entry.signature is None)

    @abstractmethod
    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """Stream the sets of two and more entries with the same digest, each in the order of raw paths.

        Entries without a digest are in none.
        """

    @abstractmethod
    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """Stream every pair of different contents under ``under`` whose signatures are within the distance.

        Exact: all pairs with ``distance <= max_distance`` in any of the 8 orientations, each once, none beyond.
        Contents without a signature are in none. Blocks are bounded, so memory grows with the contents, not with the
        pairs. A block may be empty: one comes now and then while nothing is found, so that the caller can stop there.
        What was searched in an earlier call is not searched again; what a call that is stopped found may be lost.

        Numbers are valid until the store is closed, if nothing is put or removed meanwhile. Neither may be done between
        two blocks.

        Args:
            max_distance: 0 to 1.
            under: As everywhere.

        Raises:
            ValueError: The distance is not from 0 to 1.
        """

    @abstractmethod
    def similar(
        self, signatures: Sequence[Signature], max_distance: float, under: Sequence[Path] | None
    ) -> Sequence[Sequence[Neighbour]]:
        """Return for each signature every content under ``under`` within the distance, nearest first, ties by number.

        Exact, as ``pairs``. The content of the queried picture itself is in the answer if it is in the index. Among
        equal distances of one content, the orientation with the least value is told.

        Raises:
            ValueError: The distance is not from 0 to 1.
        """

    @abstractmethod
    def contents(self, numbers: Iterable[int], under: Sequence[Path] | None) -> Mapping[int, tuple[IndexEntry, ...]]:
        """Return the entries under ``under`` that have these contents, each in the order of raw paths.

        A number of which there is none is not in the answer.
        """

    @abstractmethod
    def content_ids(self, digests: Iterable[bytes]) -> Mapping[bytes, int]:
        """Return the numbers of the contents with these digests; what is not known is not in the answer."""

    @abstractmethod
    def features(self, numbers: Iterable[int]) -> Mapping[int, bytes]:
        """Return the packed features of these contents; one that has none is not in the answer."""

    @abstractmethod
    def candidates(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        """Return for each of these contents which others may show the same: those that share enough visual words.

        A few that share less are among them, the last. Exact by ``signature.inverted_index``: the same in every store.
        The other contents may be anywhere in the index, and without a file by now. A content without words has no
        suspects.

        Yields:
            For each number, in their order, at most 50 others, the most suspicious first.
        """

    @abstractmethod
    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """Return for each picture, which need not be in the index, the contents that share enough visual words with it.

        Args:
            words: Packed, of each picture; see ``signature.words``.

        Yields:
            As ``suspects``; the content of the picture itself is among them if it is in the index.

        Raises:
            ValueError: These are no packed words.
        """

    @abstractmethod
    def unverified(self, version: int, under: Sequence[Path] | None) -> Sequence[int]:
        """Return the contents under ``under`` with features that are not marked with this version, ascending."""

    @abstractmethod
    def unverified_among(self, version: int, numbers: Sequence[int]) -> Sequence[int]:
        """Return those of these contents with features that are not marked with this version, ascending.

        What it costs follows the contents that are asked for, and not the index.
        """

    @abstractmethod
    def invalidate_orphans(self) -> None:
        """Take the marks from contents that no entry has at the moment; what was found out about their pairs stays.

        Asked for before others are verified: those are not compared with what is away, so that it has to be verified
        again should it come back. What only moved, from an entry to another between two calls, keeps its mark.
        """

    @abstractmethod
    def keep_verdicts(self, version: int, proofs: Sequence[PairVerdict], verified: Sequence[int] = ()) -> None:
        """Remember what was found out about pairs, and mark contents as verified, both or neither.

        What was remembered with another version is forgotten now or later. A store may keep it on this machine only,
        so that it is lost with the machine and found out again; the marks are lost with it.

        Args:
            version: Of the method; with another one everything is verified anew.
            proofs: Of a pair that is known the last one stays.
            verified: Contents of which all proofs were given, here or earlier.
        """

    @abstractmethod
    def verdicts(self, version: int, numbers: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """Stream what was found out about pairs with this version.

        Args:
            version: Of the method.
            numbers: Only pairs with at least one of these contents; ``None``: all.
        """

    @abstractmethod
    def keep_inspections(self, version: int, found: Mapping[tuple[bytes, bytes], bytes]) -> None:
        """Remember what comparing pairs of files in full found.

        As with verdicts, a store may keep it on this machine only.

        Args:
            version: Of the method; what was found with another one is forgotten now or later.
            found: By the digests of the keeper and of the other file; what a value says is opaque to the store.
        """

    @abstractmethod
    def inspections(self, version: int, pairs: Collection[tuple[bytes, bytes]]) -> Mapping[tuple[bytes, bytes], bytes]:
        """Return what is remembered of these pairs; a pair that was never compared is not in the answer.

        Args:
            version: Of the method.
            pairs: The digests of a keeper and of another file, in this order.
        """

    def size(self) -> int | None:
        """Return the bytes of the index on disk, or ``None`` if the store cannot tell."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Give everything back; closing twice is no error."""

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class SearchableStore(Protocol):
    """What the stage that finds needs: of a whole ``Store``, or of ``AffectedEntries``."""

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """Keep what was found out about entries."""

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """Stream the pairs of contents within the distance."""

    def contents(self, numbers: Iterable[int], under: Sequence[Path] | None) -> Mapping[int, tuple[IndexEntry, ...]]:
        """Return the entries of contents."""

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """Stream the sets of entries with the same digest."""

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries of whole pictures without a signature."""
