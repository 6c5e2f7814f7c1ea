"""Fills an index until it is killed: ``python -m tests.store.writer_process INDEX``.

Batch after batch is put and searched. After each step a line says what is safe now: ``put N`` or ``searched N``.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.store.samples import altered, entry_of, random_signatures

BATCH = 40


def batch_of(number: int) -> list[IndexEntry]:
    """Edited copies of five photos, so that every batch has pairs with every other one."""
    photos = random_signatures(5, 5)
    places = range(number * BATCH, (number + 1) * BATCH)
    return [entry_of(f"/a/{place:06d}.jpg", place, altered(photos[place % 5], place, place % 60)) for place in places]


def main() -> None:
    with SqliteStore(Path(sys.argv[1])) as store:
        for number in count(store.count(None) // BATCH):
            store.put(batch_of(number))
            sys.stdout.write(f"put {number}\n")
            sys.stdout.flush()
            for _ in store.pairs(0.1, None):
                pass
            sys.stdout.write(f"searched {number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
