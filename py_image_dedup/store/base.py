"""The contract of the index, which one suite of tests checks for every store.

An index has one *entry* for each path. A *content* is what files with the same bytes have in common: all entries with
the same digest share one content. Each content has a *content id*, signatures and features belong to contents, and the
search runs over contents, so that 500 copies of a file cost one search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from py_image_dedup.model.closing import Closing
from py_image_dedup.model.file import Stamp
from py_image_dedup.model.match import Orientation, PairVerdict
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.signature.arrays import PairBlock

DigestPair: TypeAlias = tuple[bytes, bytes]
"""The digests of a keeper and of the file that is redundant beside it."""


class StoreError(Exception):
    """The index cannot be used, and a retry will not help. The message names the index, the cause and the remedy."""


class StoreUnavailable(StoreError):  # noqa: N818 - a state, and the name is a promise
    """The index cannot be reached or is busy at the moment; a retry may help."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A content within the distance of a query of ``Store.similar``.

    Attributes:
        content_id: Content id of the neighbour.
        distance: 0 to the bound.
        orientation: The orientation that makes the query look like the neighbour.
    """

    content_id: int
    distance: float
    orientation: Orientation


class Store(Closing, ABC):
    """The index.

    Every method but ``close`` raises ``StoreUnavailable`` or ``StoreError``; a failure is never an empty answer.

    ``under`` is a sequence of absolute folders; an entry is under a folder when its path lies anywhere below it
    (``/a/b`` is not above ``/a/bc/d``). Nested and repeated folders are allowed and yield nothing twice. An empty
    sequence means nothing, not everything; ``None`` means everything.

    What depends on the bytes alone belongs to the content: versions, facts, signature, pixel digest, features, and the
    failure of an entry that has a digest. If entries with the same digest disagree, the store may keep the last value
    for all of them or its own value for each.

    The path of a failure is that of its entry, whatever path it was put with.

    Entries come without their features and visual words, which are large; ``features`` and ``candidates`` read them. An
    entry that is put without features leaves those of its content unchanged if it was made with the same versions.

    While a stream (``stamps``, ``entries``, ``failed``, ``identical``) is open, the caller may put and remove. Entries
    that are not touched are streamed as if nothing had happened; those that are may appear in their old or new state,
    or not at all, but never twice. A stream that is not read to its end holds no resources.

    A *verdict* is the result of verifying a pair of contents. It is valid for one version of the verification; a
    content is *verified with* a version once all its verdicts of that version are in the index.

    Thread-safety: one thread at a time; the caller serialises. Another process may use the same index.
    """

    @abstractmethod
    def get(self, path: Path) -> IndexEntry | None:
        """Return the entry of a path, or ``None``."""

    @abstractmethod
    def put(self, entries: Sequence[IndexEntry]) -> None:
        """Insert or replace entries by path, as one batch.

        A crash loses this batch at most, and never an older entry. When this method returns, the batch survives a
        killed process. Of two entries for one path in a batch the last one wins.

        Raises:
            ValueError: An entry without a digest has facts, a signature, a pixel digest or features. Nothing is put.
        """

    @abstractmethod
    def remove(self, paths: Iterable[Path]) -> int:
        """Remove the entries of paths; unknown paths are ignored.

        If an error is raised, the entries of later paths may still be there.

        Returns:
            The number of entries removed.
        """

    @abstractmethod
    def clear(self) -> None:
        """Remove everything."""

    @abstractmethod
    def stamps(self, under: Sequence[Path] | None) -> Iterator[tuple[bytes, Stamp, Versions]]:
        """Stream ``(raw path, stamp, versions)`` of every entry, in no particular order: the cheapest read.

        Equal ``Versions`` are the same object, so that a caller can compare each of them once.
        """

    @abstractmethod
    def entries(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries in the order of their raw paths. Memory does not grow with their number."""

    @abstractmethod
    def count(self, under: Sequence[Path] | None) -> int:
        """Return the number of entries."""

    @abstractmethod
    def known(self, digests: Iterable[bytes]) -> Mapping[bytes, IndexEntry]:
        """Return one entry for each digest that is known anywhere in the index.

        What has been decoded once, under any name, need not be decoded again. The file of an entry may be gone.
        """

    @abstractmethod
    def failed(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries that have a failure, in the order of their raw paths."""

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries of pictures that are decoded whole and have no signature, in the order of raw paths.

        This default reads every entry; a store with an index on them answers at once.
        """
        return (entry for entry in self.entries(under) if entry.decoded_whole and entry.signature is None)

    @abstractmethod
    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """Stream the sets of two or more entries with the same digest, each in the order of raw paths.

        Entries without a digest are in no set.
        """

    @abstractmethod
    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """Stream every pair of different contents under ``under`` whose signatures are within the distance.

        Exact: all pairs with ``distance <= max_distance`` in any of the 8 orientations, each once, none beyond.
        Contents without a signature are in no pair. Blocks are bounded, so memory grows with the contents, not with the
        pairs. A block may be empty: one comes now and then while nothing is found, so that the caller can stop there.
        What an earlier call searched is not searched again; the pairs found by a call that is stopped may be lost.

        Content ids are valid until the store is closed, if nothing is put or removed meanwhile. Neither may be done
        between two blocks.

        Args:
            max_distance: The largest distance, 0 to 1.
            under: Folders; see ``Store``.

        Raises:
            ValueError: The distance is not between 0 and 1.
        """

    @abstractmethod
    def similar(
        self, signatures: Sequence[Signature], max_distance: float, under: Sequence[Path] | None
    ) -> Sequence[Sequence[Neighbour]]:
        """Return the contents under ``under`` within the distance of each signature, nearest first, ties by content id.

        Exact, as ``pairs``. The content of the queried picture itself is in the answer if it is in the index. Among
        equal distances of one content, the orientation with the least value is returned.

        Raises:
            ValueError: The distance is not between 0 and 1.
        """

    @abstractmethod
    def contents(
        self, content_ids: Iterable[int], under: Sequence[Path] | None
    ) -> Mapping[int, tuple[IndexEntry, ...]]:
        """Return the entries under ``under`` of each content, in the order of raw paths.

        Contents without such an entry are not in the answer.
        """

    @abstractmethod
    def content_ids(self, digests: Iterable[bytes]) -> Mapping[bytes, int]:
        """Return the content id of each digest; unknown digests are not in the answer."""

    @abstractmethod
    def features(self, content_ids: Iterable[int]) -> Mapping[int, bytes]:
        """Return the packed features of contents; contents without features are not in the answer."""

    @abstractmethod
    def candidates(self, content_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """Return the candidates of each content: other contents that share enough visual words to be verified with it.

        The last few candidates share fewer words. Exact by ``features.inverted_index``: the same in every store. The
        candidates may be anywhere in the index, and their files may be gone. A content without words has no candidates.

        Yields:
            For each content id, in their order, at most 50 others, the best candidate first.
        """

    @abstractmethod
    def candidates_for(self, words: Sequence[bytes]) -> Iterator[Sequence[int]]:
        """Return the candidates of pictures that need not be in the index.

        Args:
            words: The packed visual words of each picture; see ``features.visual_words``.

        Yields:
            As ``candidates``; the content of the picture itself is among them if it is in the index.

        Raises:
            ValueError: An item is not packed words.
        """

    @abstractmethod
    def unverified(self, version: int, under: Sequence[Path] | None) -> Sequence[int]:
        """Return the contents under ``under`` that have features and are not verified with this version, ascending."""

    @abstractmethod
    def unverified_among(self, version: int, content_ids: Sequence[int]) -> Sequence[int]:
        """Return those of some contents that have features and are not verified with this version, ascending.

        The cost grows with the number of content ids, not with the index.
        """

    @abstractmethod
    def invalidate_orphans(self) -> None:
        """Mark the contents that have no entry at the moment as not verified; the verdicts of their pairs are kept.

        Call this before verifying: absent contents are not compared and must be verified again when they return. A
        content that only moved between two calls, from one entry to another, stays verified.
        """

    @abstractmethod
    def keep_verdicts(self, version: int, verdicts: Sequence[PairVerdict], verified: Sequence[int] = ()) -> None:
        """Store verdicts and mark contents as verified, both or neither.

        Verdicts of another version are dropped now or later. A store may keep verdicts on this machine only: they are
        then lost with the machine, together with the marks, and computed again.

        Args:
            version: Version of the verification; with another one everything is verified anew.
            verdicts: Verdicts of pairs; the last verdict of a pair replaces earlier ones.
            verified: Content ids of which all verdicts were given, in this call or earlier.
        """

    @abstractmethod
    def verdicts(self, version: int, content_ids: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """Stream the stored verdicts of this version.

        Args:
            version: Version of the verification.
            content_ids: Contents of which at least one must be in a pair; ``None`` for all pairs.
        """

    @abstractmethod
    def keep_inspections(self, version: int, found: Mapping[DigestPair, bytes]) -> None:
        """Store the results of comparing pairs of files in full.

        As with verdicts, a store may keep them on this machine only.

        Args:
            version: Version of the inspection; results of another version are dropped now or later.
            found: Results by pair; their format is opaque to the store.
        """

    @abstractmethod
    def inspections(self, version: int, pairs: Collection[DigestPair]) -> Mapping[DigestPair, bytes]:
        """Return the stored results of pairs; pairs that were never compared are not in the answer.

        Args:
            version: Version of the inspection.
            pairs: Pairs of digests.
        """

    @abstractmethod
    def all_inspections(self, version: int) -> Iterator[tuple[DigestPair, bytes]]:
        """Stream all stored results of this version, by pair."""

    def size(self) -> int | None:
        """Return the size of the index on disk, in bytes, or ``None`` if it is not known."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Release all resources; closing twice is not an error."""


class SearchableStore(Protocol):
    """The part of a store that the find stage uses: a ``Store``, or the part of one that an incremental run reads."""

    def put(self, entries: Sequence[IndexEntry]) -> None:
        """Insert or replace entries; see ``Store.put``."""

    def pairs(self, max_distance: float, under: Sequence[Path] | None) -> Iterator[PairBlock]:
        """Stream the pairs of contents within the distance; see ``Store.pairs``."""

    def contents(
        self, content_ids: Iterable[int], under: Sequence[Path] | None
    ) -> Mapping[int, tuple[IndexEntry, ...]]:
        """Return the entries of contents; see ``Store.contents``."""

    def identical(self, under: Sequence[Path] | None) -> Iterator[tuple[IndexEntry, ...]]:
        """Stream the sets of entries with the same digest; see ``Store.identical``."""

    def unsigned(self, under: Sequence[Path] | None) -> Iterator[IndexEntry]:
        """Stream the entries of pictures without a signature; see ``Store.unsigned``."""
