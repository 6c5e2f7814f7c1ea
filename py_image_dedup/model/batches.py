"""Cuts a stream into batches of a bounded size, for requests, statements and memory that take no more at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield the items in tuples of ``size``, lazily; the last one may be shorter.

    This is ``itertools.batched`` of Python 3.12.

    Args:
        items: Any number of items.
        size: The length of a batch, 1 or more.
    """
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch
