"""Moving what is known from one index to another, without reading a picture again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, TypeVar

from py_image_dedup.model.match import PairVerdict
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.store.base import Store

T = TypeVar("T")

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


def copy_verdicts(
    source: Store, target: Store, version: int, *, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Put what verification found out into another index, after its entries: no pair is verified again.

    Marks come last, since a mark says that all proofs of a content are there. May be stopped and done again.

    Args:
        source: Stays as it is.
        target: What does not have both contents of a pair is not told of it.
        version: Of the method that verified.
        should_stop: Asked between two batches.

    Returns:
        How many pairs were copied.

    Raises:
        StoreUnavailable: One of them cannot be reached.
        StoreError: One of them cannot be used.
    """
    copied = 0
    for proofs in _batches(source.verdicts(version)):
        if should_stop():
            return copied
        there = _renumbered({number for proof in proofs for number in (proof.left, proof.right)}, source, target)
        known: list[PairVerdict] = [
            replace(proof, left=there[proof.left], right=there[proof.right])
            for proof in proofs
            if proof.left in there and proof.right in there
        ]
        target.keep_verdicts(version, known)
        copied += len(known)
    waiting = set(source.unverified(version, None))
    for entries in _batches(source.entries(None)):
        if should_stop():
            return copied
        digests = {entry.digest for entry in entries if entry.digest is not None and entry.versions.features}
        marked = {number for number in source.content_ids(digests).values() if number not in waiting}
        target.keep_verdicts(version, [], list(_renumbered(marked, source, target).values()))
    return copied


def _renumbered(numbers: Iterable[int], source: Store, target: Store) -> dict[int, int]:
    """The numbers that contents have in the other index, as far as it knows them."""
    digests = {number: same[0].digest for number, same in source.contents(numbers, None).items()}
    there = target.content_ids({digest for digest in digests.values() if digest is not None})
    return {number: there[digest] for number, digest in digests.items() if digest is not None and digest in there}


def _batches(items: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(items, ENTRIES_AT_ONCE)):
        yield some


def _with_features(entries: Sequence[IndexEntry], source: Store) -> list[IndexEntry]:
    """Give entries the features that their index keeps apart; words follow from them."""
    digests = {entry.digest for entry in entries if entry.digest is not None and entry.versions.features}
    numbers = source.content_ids(digests) if digests else {}
    if not numbers:
        return list(entries)
    # Not at the top: it brings what computes features, which few indices need.
    from py_image_dedup.features.extract import unpack
    from py_image_dedup.features.visual_words import pack_words

    features = source.features(numbers.values())
    words = {number: pack_words(unpack(packed)) for number, packed in features.items()}
    copied = []
    for entry in entries:
        number = numbers.get(entry.digest, 0) if entry.digest is not None else 0
        copied.append(replace(entry, features=features.get(number), words=words.get(number)))
    return copied
