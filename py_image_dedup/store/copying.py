"""Moving what is known from one index to another, without reading a picture again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.store.base import Store

ENTRIES_AT_ONCE: Final = 1_000


def copy_entries(
    source: Store,
    target: Store,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_copied: Callable[[int], None] | None = None,
) -> int:
    """Put every entry of one index into another; what the other knows besides stays.

    May be stopped and done again: an entry that is there already is replaced by itself.

    Args:
        source: Stays as it is.
        target: An entry for the same path is replaced.
        should_stop: Asked between two batches.
        on_copied: Is told how many more entries are copied, for each batch.

    Returns:
        How many entries were copied.

    Raises:
        StoreUnavailable: One of them cannot be reached; what was copied so far stays.
        StoreError: One of them cannot be used.
    """
    entries = source.entries(None)
    copied = 0
    while not should_stop() and (some := list(islice(entries, ENTRIES_AT_ONCE))):
        target.put(_with_features(some, source))
        copied += len(some)
        if on_copied is not None:
            on_copied(len(some))
    return copied


def _with_features(entries: Sequence[IndexEntry], source: Store) -> list[IndexEntry]:
    """Give entries the features that their index keeps apart; words follow from them."""
    digests = {entry.digest for entry in entries if entry.digest is not None and entry.versions.features}
    numbers = source.numbers(digests) if digests else {}
    if not numbers:
        return list(entries)
    # Not at the top: it brings what computes features, which few indices need.
    from py_image_dedup.signature.features import unpack
    from py_image_dedup.signature.words import pack_words

    features = source.features(numbers.values())
    words = {number: pack_words(unpack(packed)) for number, packed in features.items()}
    copied = []
    for entry in entries:
        number = numbers.get(entry.digest, 0) if entry.digest is not None else 0
        copied.append(replace(entry, features=features.get(number), words=words.get(number)))
    return copied
