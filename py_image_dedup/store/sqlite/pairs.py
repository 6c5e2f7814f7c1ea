"""The pairs of the SQLite index: each content is searched once, and the pairs found are stored.

What is stored, and why it is complete
--------------------------------------
Let S be the *searched* contents: those that have a signature and are not in the table ``unsearched``, whether they have
a file or not. Let D be the value ``searched_distance``. A *hub* is a content with too many pairs to store; hubs are in
the table ``crowded``. This holds after every transaction:

    (I) For any two contents of S within D, the pair is in the table ``pairs``, or one of the two is in ``crowded``.

- Putting entries gives a new or changed signature a new content id, which enters ``unsearched`` in the same
  transaction: S does not grow. The signature of a content id never changes, so no stored pair becomes wrong.
- Removing entries changes no content. Contents that are deleted leave S.
- A search of new contents N compares N with N and N with S at distance D, and writes, in one transaction, the pairs
  found, the new hubs, and that N is searched. A kill leaves all of it or nothing. Two processes may search at the same
  time: each remembers the ``search_epoch`` it began with and writes only if S did not grow meanwhile.
- Starting over (a greater distance) empties S, ``pairs`` and ``crowded`` and sets D, in one transaction.

So for any folders and any distance d <= D, the wanted pairs are: of two searched contents, those in ``pairs`` and those
that a search of the hubs finds; of the others, those that a search of the new ones finds. The folders of earlier
searches do not matter, and contents of folders that no call has named are not searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.arrays import BoolArray, Int32Array, Int64Array, PairBlock, row_slices
from py_image_dedup.store.content_search import BLOCK_PAIRS, cross_contents, join_contents
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.caches import SignatureTable
from py_image_dedup.store.sqlite.content_ids import content_ids_of, contents_within
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import damaged

PAIR: Final = np.dtype([("left", "<u4"), ("right", "<u4"), ("distance", "<f8"), ("orientation", "u1")])
"""A stored pair of content ids: 17 bytes, no gaps, little-endian on every machine."""

MAX_DEGREE: Final = 80
"""The largest number of stored pairs of a content, 40 on average per content: 680 bytes. See ``PairCollector``."""

PairArray: TypeAlias = npt.NDArray[Any]
"""Of dtype ``PAIR``."""

_COLLECTED_PAIRS = 1_000_000


def pack(block: PairBlock) -> PairArray:
    """Return the pairs of a block as rows of dtype ``PAIR``."""
    rows = np.empty(len(block), dtype=PAIR)
    rows["left"], rows["right"] = block.left, block.right
    rows["distance"], rows["orientation"] = block.distance, block.orientation
    return rows


def unpack(rows: PairArray) -> PairBlock:
    """Return rows of dtype ``PAIR`` as a block."""
    return PairBlock(
        rows["left"].astype(np.int64),
        rows["right"].astype(np.int64),
        rows["distance"].astype(np.float64),
        rows["orientation"].astype(np.uint8),
    )


def mask_of(content_ids: npt.ArrayLike, size: int) -> BoolArray:
    """Return a mask, shape ``(size,)``, that is true at some content ids."""
    mask = np.zeros(size, dtype=np.bool_)
    mask[np.asarray(content_ids, dtype=np.int64)] = True
    return mask


class PairCollector:
    """A collector of the pairs of a search that leaves out the pairs of hubs.

    A content with more than ``MAX_DEGREE`` pairs is a *hub*: a picture similar to thousands of others, such as a blank
    page in a library of scans. Its pairs are not stored but searched again when they are wanted; storing them would
    take gigabytes where the search takes seconds. So the stored pairs grow with the contents, not with their square.

    Args:
        degrees: int32, number of pairs of each content so far, by content id; updated in place.
        hubs: bool, mask of the known hubs, by content id; updated in place.
    """

    def __init__(self, degrees: Int32Array, hubs: BoolArray) -> None:
        self._degrees = degrees
        self._hubs = hubs
        self._kept: list[PairArray] = []
        self._waiting: list[PairArray] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Add a block of pairs."""
        self._waiting.append(pack(block))
        self._count += len(block)
        if self._count >= _COLLECTED_PAIRS:
            self._fold()

    def finish(self) -> PairArray:
        """Return the pairs to store: those of which neither content is a hub."""
        self._fold()
        return self._without_hubs(concatenate(self._kept))

    def _fold(self) -> None:
        rows = concatenate(self._waiting)
        count_degrees(self._degrees, rows)
        np.logical_or(self._hubs, self._degrees > MAX_DEGREE, out=self._hubs)
        # Pairs that were kept before are filtered again: one of their contents may be a hub by now.
        self._kept = [self._without_hubs(concatenate([*self._kept, rows]))]
        self._waiting = []
        self._count = 0

    def _without_hubs(self, rows: PairArray) -> PairArray:
        others: PairArray = rows[~(self._hubs[rows["left"]] | self._hubs[rows["right"]])]
        return others


def count_degrees(degrees: Int32Array, rows: PairArray) -> None:
    """Add the pairs of each content to its degree, in place."""
    for side in ("left", "right"):
        counted = np.bincount(rows[side], minlength=len(degrees))
        np.add(degrees, counted, out=degrees, casting="unsafe")


def concatenate(parts: Iterable[PairArray]) -> PairArray:
    """Return several arrays of pairs as one; an empty array if there are none."""
    return np.concatenate([np.empty(0, dtype=PAIR), *parts])


PAIRS_A_ROW: Final = 65_536
"""The largest number of pairs of a row: 1.1 MB."""

_MANY_SMALL_ROWS: Final = 64


def read_pairs(database: Database) -> Iterator[PairArray]:
    """Stream all pairs, row by row; inside a snapshot or a transaction of the caller.

    Raises:
        StoreError: The length of a row differs from its stored size: the index is damaged.
    """
    for (block,) in database.rows("SELECT block FROM pairs ORDER BY block"):
        yield _read(database, block)


def insert_pairs(database: Database, pairs: PairArray) -> None:
    """Insert pairs, inside a transaction of the caller."""
    parts = (pairs[rows] for rows in row_slices(len(pairs), PAIRS_A_ROW))
    database.execute_many(
        "INSERT INTO pairs (size, data) VALUES (?, ?)", ((len(part), part.tobytes()) for part in parts)
    )


def too_many_small_rows(database: Database) -> bool:
    """Return whether there are so many small rows that reading them one by one takes noticeable time."""
    count: int = database.rows("SELECT count(*) FROM pairs WHERE size < ?", (PAIRS_A_ROW // 2,))[0][0]
    return count >= _MANY_SMALL_ROWS


def tidy_pairs(database: Database) -> None:
    """Delete the pairs of hubs and of deleted contents, and merge small rows, inside a transaction of the caller."""
    alive = mask_of(content_ids_of(database, "SELECT number FROM contents"), int(database.index_value("next_number")))
    alive[content_ids_of(database, "SELECT number FROM crowded")] = False
    few: list[PairArray] = []
    for block, size in database.rows("SELECT block, size FROM pairs ORDER BY block"):
        rows = _read(database, block)
        rows = rows[alive[rows["left"]] & alive[rows["right"]]]
        if len(rows) == size and size >= PAIRS_A_ROW // 2:
            continue
        database.execute("DELETE FROM pairs WHERE block = ?", (block,))
        few.append(rows)
        if sum(map(len, few)) >= PAIRS_A_ROW:
            insert_pairs(database, concatenate(few))
            few = []
    insert_pairs(database, concatenate(few))


def _read(database: Database, block: int) -> PairArray:
    size, data = database.rows("SELECT size, data FROM pairs WHERE block = ?", (block,))[0]
    if len(data) != size * PAIR.itemsize:
        raise damaged(database.path, "a row of pairs has a wrong length")
    return np.frombuffer(data, dtype=PAIR)


CONTENTS_A_STEP: Final = 50_000
"""New contents that are searched before their pairs are written: what a kill may lose."""


@dataclass(slots=True)
class _State:
    """The state of the search in one transaction. The arrays are indexed by content id and have one length.

    Attributes:
        distance: D.
        epoch: The version of S.
        inside: Mask of the contents that have a file in the wanted ranges.
        unsearched: Mask of the contents that are not in S.
        hubs: Mask of the contents whose pairs are not stored.
        degrees: Number of stored pairs of each content; zeros if nothing is new.
        stored: The stored pairs that are wanted.
    """

    distance: float
    epoch: int
    inside: BoolArray
    unsearched: BoolArray
    hubs: BoolArray
    degrees: Int32Array
    stored: PairArray

    @property
    def new(self) -> BoolArray:
        """The mask of the wanted contents that are not searched yet."""
        return self.inside & self.unsearched


class PairSearch:
    """The implementation of ``Store.pairs``. One thread at a time.

    Args:
        database: The index.
        table: Its signatures, read when there is something to search.
    """

    def __init__(self, database: Database, table: SignatureTable) -> None:
        self._database = database
        self._table = table

    def pairs(self, max_distance: float, ranges: FolderRanges) -> Iterator[PairBlock]:
        """Stream the pairs of contents with a file in these ranges; see ``Store.pairs``."""
        state = self._state(max_distance, ranges)
        while self._must_start_over(state, max_distance):
            self._start_over(state, max_distance)
            state = self._state(max_distance, ranges)
        if len(state.stored):
            yield from unpack(state.stored).chunks(BLOCK_PAIRS)
        yield from self._hub_pairs(state, max_distance)
        yield from self._new_pairs(state, max_distance)

    def _state(self, max_distance: float, ranges: FolderRanges) -> _State:
        with self._database.snapshot():
            size = int(self._database.index_value("next_number"))
            state = _State(
                distance=float(self._database.index_value("searched_distance")),
                epoch=int(self._database.index_value("search_epoch")),
                inside=mask_of(contents_within(self._database, ranges), size),
                unsearched=mask_of(content_ids_of(self._database, "SELECT number FROM unsearched"), size),
                hubs=mask_of(content_ids_of(self._database, "SELECT number FROM crowded"), size),
                degrees=np.zeros(size, dtype=np.int32),
                stored=concatenate([]),
            )
            stored = []
            for rows in read_pairs(self._database):
                if state.new.any():
                    count_degrees(state.degrees, rows)
                wanted = state.inside & ~state.hubs
                chosen = wanted[rows["left"]] & wanted[rows["right"]] & (rows["distance"] <= max_distance)
                stored.append(rows[chosen])
            state.stored = concatenate(stored)
        return state

    def _must_start_over(self, state: _State, max_distance: float) -> bool:
        if max_distance > state.distance:
            return bool(state.inside.any())
        # A lesser distance is cheaper to search, and loses nothing if nothing was searched at the greater one.
        return max_distance < state.distance and bool(state.new.any()) and not self._searched_any()

    def _searched_any(self) -> bool:
        searched = "SELECT 1 FROM contents WHERE signature IS NOT NULL AND number NOT IN unsearched LIMIT 1"
        return bool(self._database.rows(searched))

    def _start_over(self, state: _State, max_distance: float) -> None:
        with self._database.transaction():
            if self._database.index_value("search_epoch") != state.epoch:
                return
            self._database.execute("DELETE FROM pairs")
            self._database.execute("DELETE FROM crowded")
            self._database.execute(
                "INSERT OR IGNORE INTO unsearched SELECT number FROM contents WHERE signature IS NOT NULL"
            )
            self._database.set_index_value("searched_distance", max_distance)
            self._database.set_index_value("search_epoch", state.epoch + 1)

    def _hub_pairs(self, state: _State, max_distance: float) -> Iterator[PairBlock]:
        """Search the pairs that are not stored: those of two searched contents one of which is a hub."""
        searched = state.inside & ~state.unsearched
        if not (searched & state.hubs).any():
            return
        self._table.refresh()
        hubs = self._chosen(searched & state.hubs)
        others = self._chosen(searched & ~state.hubs)
        of = self._table.of
        yield from join_contents(hubs, of(hubs), max_distance)
        yield from cross_contents(hubs, of(hubs), others, of(others), max_distance)

    def _new_pairs(self, state: _State, max_distance: float) -> Iterator[PairBlock]:
        """Search the new contents and store their pairs, step by step."""
        if not state.new.any():
            return
        self._table.refresh()
        new, searched = self._chosen(state.new), self._chosen(~state.unsearched)
        of = self._table.of
        epoch: int | None = state.epoch
        for rows in row_slices(len(new), CONTENTS_A_STEP):
            some = new[rows]
            hubs_before = state.hubs.copy()
            collector = PairCollector(state.degrees, state.hubs)
            among = join_contents(some, of(some), state.distance)
            for block in chain(among, cross_contents(some, of(some), searched, of(searched), state.distance)):
                collector.add(block)
                wanted = state.inside[block.left] & state.inside[block.right] & (block.distance <= max_distance)
                yield block.filter(wanted)
            found = collector.finish()
            if epoch is not None:
                epoch = self._write(epoch, some, found, np.flatnonzero(state.hubs & ~hubs_before))
            searched = np.union1d(searched, some)

    def _write(self, epoch: int, searched: Int64Array, found: PairArray, hubs: Int64Array) -> int | None:
        """Store a search; return the new epoch, or ``None`` if another process was first and nothing is stored."""
        with self._database.transaction():
            if self._database.index_value("search_epoch") != epoch:
                return None
            insert_pairs(self._database, found)
            self._database.execute_many("INSERT OR IGNORE INTO crowded VALUES (?)", _column(hubs))
            self._database.execute_many("DELETE FROM unsearched WHERE number = ?", _column(searched))
            self._database.set_index_value("search_epoch", epoch + 1)
            if too_many_small_rows(self._database):
                tidy_pairs(self._database)
        return epoch + 1

    def _chosen(self, wanted: BoolArray) -> Int64Array:
        """Return the content ids of a mask that have a signature."""
        content_ids = self._table.content_ids
        content_ids = content_ids[: np.searchsorted(content_ids, len(wanted))]
        return content_ids[wanted[content_ids]]


def _column(content_ids: Int64Array) -> Iterator[tuple[int]]:
    return ((content_id,) for content_id in content_ids.tolist())
