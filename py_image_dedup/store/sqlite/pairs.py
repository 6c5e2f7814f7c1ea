"""Pairs of the SQLite index: each content is searched once, and what was found is kept.

What is kept, and why it is complete
------------------------------------
Let S be the *searched* contents: those that have a signature and are not in the table ``unsearched``, whether a file
has them now or not. Let D be the fact ``searched_distance``. This holds after every transaction:

    (I) For any two contents of S within D, the pair is in the table ``pairs``, or one of the two is in ``crowded``.

- Putting entries gives a new or changed signature a new number, which enters ``unsearched`` in the same transaction:
  S does not grow. The signature of a number never changes, so no stored pair becomes wrong.
- Removing entries changes no content. Contents that are dropped for good leave S.
- A search of new contents N compares N with N and N with S at distance D, and writes, in one transaction, what it
  found, what became crowded, and that N is searched. A kill leaves all of it or nothing. Two processes may search at
  the same time: each remembers the ``search_epoch`` it began with and writes only if S did not grow meanwhile.
- Starting over (a greater distance) empties S, ``pairs`` and ``crowded`` and sets D, in one transaction.

So for any folders and any distance d <= D, the pairs asked for are: of two searched contents, those in ``pairs`` and
those that a search of the crowded ones finds; of the others, those that a search of the new ones finds. It does not
matter which folders earlier searches were for, and contents of other folders that nobody asked for are not searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from py_image_dedup.signature.arrays import BoolArray, Int64Array, PairBlock
from py_image_dedup.store.content_search import cross_contents, cut, join_contents, select
from py_image_dedup.store.folder_ranges import FolderRanges
from py_image_dedup.store.sqlite.caches import SignatureTable
from py_image_dedup.store.sqlite.content_ids import contents_within, numbers_of
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import damaged

PAIR: Final = np.dtype([("left", "<u4"), ("right", "<u4"), ("distance", "<f8"), ("orientation", "u1")])
"""One pair: 17 bytes, no gaps, little-endian on every machine."""

MAX_DEGREE: Final = 80
"""How many pairs a content may have in the index, 40 a content on average: 680 bytes. See ``Gathering``."""

PairArray: TypeAlias = npt.NDArray[Any]
"""Of dtype ``PAIR``."""

_PAIRS_AT_ONCE = 1_000_000


def pack(block: PairBlock) -> PairArray:
    """Return the pairs of a block as rows."""
    rows = np.empty(len(block), dtype=PAIR)
    rows["left"], rows["right"] = block.left, block.right
    rows["distance"], rows["orientation"] = block.distance, block.orientation
    return rows


def unpack(rows: PairArray) -> PairBlock:
    """Return rows as a block."""
    return PairBlock(
        rows["left"].astype(np.int64),
        rows["right"].astype(np.int64),
        rows["distance"].astype(np.float64),
        rows["orientation"].astype(np.uint8),
    )


def marks(numbers: npt.ArrayLike, size: int) -> npt.NDArray[np.bool_]:
    """Return an array of ``size`` that is true at these numbers."""
    marked = np.zeros(size, dtype=np.bool_)
    marked[np.asarray(numbers, dtype=np.int64)] = True
    return marked


class Gathering:
    """Gathers the pairs of a search, and leaves out those of contents that have too many.

    A content with more than ``MAX_DEGREE`` pairs is *crowded*: a picture like thousands of others, a blank page in a
    library of scans. Its pairs are not kept but searched again when they are asked for; keeping them would take
    gigabytes where the search takes seconds. So what is kept grows with the contents, not with the square of them.

    Args:
        degrees: int32, how many pairs each number has so far; counted on in place.
        crowded: bool, the numbers that are crowded already; extended in place.
    """

    def __init__(self, degrees: npt.NDArray[np.int32], crowded: npt.NDArray[np.bool_]) -> None:
        self._degrees = degrees
        self._crowded = crowded
        self._kept: list[PairArray] = []
        self._waiting: list[PairArray] = []
        self._count = 0

    def add(self, block: PairBlock) -> None:
        """Take some pairs."""
        self._waiting.append(pack(block))
        self._count += len(block)
        if self._count >= _PAIRS_AT_ONCE:
            self._fold()

    def finish(self) -> PairArray:
        """Return the pairs to keep: those of which neither content is crowded."""
        self._fold()
        return self._uncrowded(concatenate(self._kept))

    def _fold(self) -> None:
        rows = concatenate(self._waiting)
        count_degrees(self._degrees, rows)
        np.logical_or(self._crowded, self._degrees > MAX_DEGREE, out=self._crowded)
        # Those that were kept before are looked through again: one of their contents may be crowded now.
        self._kept = [self._uncrowded(concatenate([*self._kept, rows]))]
        self._waiting = []
        self._count = 0

    def _uncrowded(self, rows: PairArray) -> PairArray:
        uncrowded: PairArray = rows[~(self._crowded[rows["left"]] | self._crowded[rows["right"]])]
        return uncrowded


def count_degrees(degrees: npt.NDArray[np.int32], rows: PairArray) -> None:
    """Count pairs for both of their contents, in place."""
    for side in ("left", "right"):
        counted = np.bincount(rows[side], minlength=len(degrees))
        np.add(degrees, counted, out=degrees, casting="unsafe")


def concatenate(parts: Iterable[PairArray]) -> PairArray:
    """Return parts as one array; of nothing, an empty one."""
    return np.concatenate([np.empty(0, dtype=PAIR), *parts])


PAIRS_A_ROW: Final = 65_536
"""How many pairs a row has at most: 1.1 MB."""

_MANY_SMALL_ROWS: Final = 64


def read_pairs(database: Database) -> Iterator[PairArray]:
    """Return all pairs, row by row; inside a snapshot or a transaction of the caller.

    Raises:
        StoreError: A row has another length than it says: the index is damaged.
    """
    for (block,) in database.rows("SELECT block FROM pairs ORDER BY block"):
        yield _read(database, block)


def insert_pairs(database: Database, pairs: PairArray) -> None:
    """Add pairs, inside a transaction of the caller."""
    parts = (pairs[start : start + PAIRS_A_ROW] for start in range(0, len(pairs), PAIRS_A_ROW))
    database.execute_many(
        "INSERT INTO pairs (size, data) VALUES (?, ?)", ((len(part), part.tobytes()) for part in parts)
    )


def too_many_small_rows(database: Database) -> bool:
    """Whether so many small searches were remembered that reading them one by one begins to take time."""
    count: int = database.rows("SELECT count(*) FROM pairs WHERE size < ?", (PAIRS_A_ROW // 2,))[0][0]
    return count >= _MANY_SMALL_ROWS


def tidy_pairs(database: Database) -> None:
    """Drop pairs of contents that are gone or crowded, and join small rows; inside a transaction of the caller."""
    alive = marks(numbers_of(database, "SELECT number FROM contents"), int(database.fact("next_number")))
    alive[numbers_of(database, "SELECT number FROM crowded")] = False
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
        raise damaged(database.path, "a row of pairs has another length")
    return np.frombuffer(data, dtype=PAIR)


CONTENTS_A_STEP: Final = 50_000
"""How many new contents are searched before what was found is written: what a kill may lose."""


@dataclass(slots=True)
class _State:
    """What was searched, as one transaction saw it. The arrays go by number and have one length.

    Attributes:
        distance: D.
        epoch: The mark of S.
        inside: Contents that have a file in the ranges that are asked for.
        unsearched: Contents that are not in S.
        crowded: Contents whose pairs are not kept.
        degrees: How many pairs each content has in the index; zeros if nobody will need them.
        kept: The kept pairs that are asked for.
    """

    distance: float
    epoch: int
    inside: BoolArray
    unsearched: BoolArray
    crowded: BoolArray
    degrees: npt.NDArray[np.int32]
    kept: PairArray

    @property
    def new(self) -> BoolArray:
        """Contents that are asked for and were not searched."""
        return self.inside & self.unsearched


class PairSearch:
    """Answers ``Store.pairs``. One thread at a time.

    Args:
        database: The index.
        table: Its signatures; filled when there is something to search.
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
        if len(state.kept):
            yield from cut(unpack(state.kept))
        yield from self._crowded_pairs(state, max_distance)
        yield from self._new_pairs(state, max_distance)

    def _state(self, max_distance: float, ranges: FolderRanges) -> _State:
        with self._database.snapshot():
            size = int(self._database.fact("next_number"))
            state = _State(
                distance=float(self._database.fact("searched_distance")),
                epoch=int(self._database.fact("search_epoch")),
                inside=marks(contents_within(self._database, ranges), size),
                unsearched=marks(numbers_of(self._database, "SELECT number FROM unsearched"), size),
                crowded=marks(numbers_of(self._database, "SELECT number FROM crowded"), size),
                degrees=np.zeros(size, dtype=np.int32),
                kept=concatenate([]),
            )
            kept = []
            for rows in read_pairs(self._database):
                if state.new.any():
                    count_degrees(state.degrees, rows)
                wanted = state.inside & ~state.crowded
                chosen = wanted[rows["left"]] & wanted[rows["right"]] & (rows["distance"] <= max_distance)
                kept.append(rows[chosen])
            state.kept = concatenate(kept)
        return state

    def _must_start_over(self, state: _State, max_distance: float) -> bool:
        if max_distance > state.distance:
            return bool(state.inside.any())
        # A lesser distance is cheaper to search, and nothing is lost by it if nothing was searched at the greater one.
        return max_distance < state.distance and bool(state.new.any()) and not self._searched_any()

    def _searched_any(self) -> bool:
        searched = "SELECT 1 FROM contents WHERE signature IS NOT NULL AND number NOT IN unsearched LIMIT 1"
        return bool(self._database.rows(searched))

    def _start_over(self, state: _State, max_distance: float) -> None:
        with self._database.transaction():
            if self._database.fact("search_epoch") != state.epoch:
                return
            self._database.execute("DELETE FROM pairs")
            self._database.execute("DELETE FROM crowded")
            self._database.execute(
                "INSERT OR IGNORE INTO unsearched SELECT number FROM contents WHERE signature IS NOT NULL"
            )
            self._database.set_fact("searched_distance", max_distance)
            self._database.set_fact("search_epoch", state.epoch + 1)

    def _crowded_pairs(self, state: _State, max_distance: float) -> Iterator[PairBlock]:
        """Search again what is not kept: pairs of two searched contents one of which is crowded."""
        searched = state.inside & ~state.unsearched
        if not (searched & state.crowded).any():
            return
        self._table.refresh()
        crowded = self._chosen(searched & state.crowded)
        others = self._chosen(searched & ~state.crowded)
        of = self._table.of
        yield from join_contents(crowded, of(crowded), max_distance)
        yield from cross_contents(crowded, of(crowded), others, of(others), max_distance)

    def _new_pairs(self, state: _State, max_distance: float) -> Iterator[PairBlock]:
        """Search what is new, and write what was found step by step."""
        if not state.new.any():
            return
        self._table.refresh()
        new, searched = self._chosen(state.new), self._chosen(~state.unsearched)
        of = self._table.of
        epoch: int | None = state.epoch
        for start in range(0, len(new), CONTENTS_A_STEP):
            some = new[start : start + CONTENTS_A_STEP]
            crowded_before = state.crowded.copy()
            gathering = Gathering(state.degrees, state.crowded)
            among = join_contents(some, of(some), state.distance)
            for block in chain(among, cross_contents(some, of(some), searched, of(searched), state.distance)):
                gathering.add(block)
                wanted = state.inside[block.left] & state.inside[block.right] & (block.distance <= max_distance)
                yield select(block, wanted)
            kept = gathering.finish()
            if epoch is not None:
                epoch = self._write(epoch, some, kept, np.flatnonzero(state.crowded & ~crowded_before))
            searched = np.union1d(searched, some)

    def _write(self, epoch: int, searched: Int64Array, kept: PairArray, crowded: Int64Array) -> int | None:
        """Remember a search; returns the new epoch, or ``None`` if another process was first and this is forgotten."""
        with self._database.transaction():
            if self._database.fact("search_epoch") != epoch:
                return None
            insert_pairs(self._database, kept)
            self._database.execute_many("INSERT OR IGNORE INTO crowded VALUES (?)", _column(crowded))
            self._database.execute_many("DELETE FROM unsearched WHERE number = ?", _column(searched))
            self._database.set_fact("search_epoch", epoch + 1)
            if too_many_small_rows(self._database):
                tidy_pairs(self._database)
        return epoch + 1

    def _chosen(self, wanted: BoolArray) -> Int64Array:
        """The numbers of these contents that have a signature."""
        numbers = self._table.numbers
        numbers = numbers[: np.searchsorted(numbers, len(wanted))]
        return numbers[wanted[numbers]]


def _column(numbers: Int64Array) -> Iterator[tuple[int]]:
    return ((number,) for number in numbers.tolist())
