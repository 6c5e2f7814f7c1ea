"""Copies of entries, verdicts and inspections from one index to another, without decoding a picture again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from py_image_dedup.model.batches import batched
from py_image_dedup.model.match import PairVerdict
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
    """Put every entry of one index into another; other entries of the target stay.

    May be stopped and repeated: an entry that is there already is replaced by itself.

    Args:
        source: The index to read; it stays as it is.
        target: The index to write; an entry for the same path is replaced.
        should_stop: Checked between two batches.
        on_copied: Called after each batch with the number of entries in it.

    Returns:
        The number of entries copied.

    Raises:
        StoreUnavailable: One of the indices cannot be reached; the entries copied so far stay.
        StoreError: One of the indices cannot be used.
    """
    copied = 0
    for entries in batched(source.entries(None), ENTRIES_AT_ONCE):
        if should_stop():
            break
        target.put(_with_features(entries, source))
        copied += len(entries)
        if on_copied is not None:
            on_copied(len(entries))
    return copied


def copy_verdicts(
    source: Store, target: Store, version: int, *, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Put the verdicts of one index into another, after its entries: no pair is verified again.

    Contents are marked as verified last, because that means that all their verdicts are there. May be stopped and
    repeated.

    Args:
        source: The index to read; it stays as it is.
        target: The index to write; verdicts of pairs that it does not have are left out.
        version: Version of the verification.
        should_stop: Checked between two batches.

    Returns:
        The number of verdicts copied.

    Raises:
        StoreUnavailable: One of the indices cannot be reached.
        StoreError: One of the indices cannot be used.
    """
    copied = 0
    for verdicts in batched(source.verdicts(version), ENTRIES_AT_ONCE):
        if should_stop():
            return copied
        there = _renumbered({side for verdict in verdicts for side in (verdict.left, verdict.right)}, source, target)
        known: list[PairVerdict] = [
            replace(verdict, left=there[verdict.left], right=there[verdict.right])
            for verdict in verdicts
            if verdict.left in there and verdict.right in there
        ]
        target.keep_verdicts(version, known)
        copied += len(known)
    unverified = set(source.unverified(version, None))
    for entries in batched(source.entries(None), ENTRIES_AT_ONCE):
        if should_stop():
            return copied
        digests = {entry.digest for entry in entries if entry.digest is not None and entry.versions.features}
        verified = {content for content in source.content_ids(digests).values() if content not in unverified}
        target.keep_verdicts(version, [], list(_renumbered(verified, source, target).values()))
    return copied


def copy_inspections(
    source: Store, target: Store, version: int, *, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Put the inspections of one index into another, after its entries: no pair is compared in full again.

    May be stopped and repeated.

    Args:
        source: The index to read; it stays as it is.
        target: The index to write; inspections of contents that it does not have are left out.
        version: Version of the inspection.
        should_stop: Checked between two batches.

    Returns:
        The number of inspections copied.

    Raises:
        StoreUnavailable: One of the indices cannot be reached.
        StoreError: One of the indices cannot be used.
    """
    copied = 0
    for inspections in batched(source.all_inspections(version), ENTRIES_AT_ONCE):
        if should_stop():
            break
        there = target.content_ids({digest for pair, _ in inspections for digest in pair})
        known = {pair: data for pair, data in inspections if pair[0] in there and pair[1] in there}
        target.keep_inspections(version, known)
        copied += len(known)
    return copied


def _renumbered(content_ids: Iterable[int], source: Store, target: Store) -> dict[int, int]:
    """Return the content ids of the target by those of the source, for the contents that the target has."""
    digests = {content: same[0].digest for content, same in source.contents(content_ids, None).items()}
    there = target.content_ids({digest for digest in digests.values() if digest is not None})
    return {content: there[digest] for content, digest in digests.items() if digest is not None and digest in there}


def _with_features(entries: Sequence[IndexEntry], source: Store) -> Sequence[IndexEntry]:
    """Add the features that the index stores apart, and the visual words, which follow from them."""
    digests = {entry.digest for entry in entries if entry.digest is not None and entry.versions.features}
    content_ids = source.content_ids(digests) if digests else {}
    if not content_ids:
        return entries
    # Not at the top: this imports what computes features, which few indices need.
    from py_image_dedup.features.extract import unpack
    from py_image_dedup.features.visual_words import pack_words

    features = source.features(content_ids.values())
    words = {content: pack_words(unpack(packed)) for content, packed in features.items()}
    copied = []
    for entry in entries:
        content = content_ids.get(entry.digest, 0) if entry.digest is not None else 0
        copied.append(replace(entry, features=features.get(content), words=words.get(content)))
    return copied
