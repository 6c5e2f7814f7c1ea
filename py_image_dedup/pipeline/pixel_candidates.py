"""Which files of a group may show the very same pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from py_image_dedup.model.photo import IndexEntry

NEAR = 0.10
"""Signatures of the same pixels in a JPEG and in another format are not further apart than this, as a rule.

A JPEG's grey picture comes from its coefficients at a reduced scale, another format's from its pixels. Measured were 0
for small photos, up to 0.055 for those of a phone, up to 0.09 for nearly white scans and 0.115 for one of 60 of them;
such a pair is similar, if anything. Between files of one format equal pixels give equal signatures.
"""


def near_candidates(entries: Iterable[IndexEntry], near: Callable[[IndexEntry], Hashable]) -> list[IndexEntry]:
    """Choose the files whose pixels may be those of another one: it is dear to look, so most are ruled out first.

    Args:
        entries: Of one group.
        near: Files with different answers are further than ``NEAR`` apart, or turned.
    """
    alike: dict[Hashable, list[IndexEntry]] = defaultdict(list)
    for entry in entries:
        if entry.facts is not None and entry.decoded_whole:
            alike[(near(entry), entry.facts.width, entry.facts.height, entry.facts.frames)].append(entry)
    return [entry for some in alike.values() if _contents(some) > 1 for entry in _worth_a_look(some)]


def _worth_a_look(alike: Sequence[IndexEntry]) -> Iterator[IndexEntry]:
    if len({entry.facts.format for entry in alike if entry.facts}) > 1:
        yield from alike
        return
    by_signature: dict[bytes | None, list[IndexEntry]] = defaultdict(list)
    for entry in alike:
        by_signature[entry.signature.values if entry.signature else None].append(entry)
    for same in by_signature.values():
        if _contents(same) > 1:
            yield from same


def _contents(entries: Iterable[IndexEntry]) -> int:
    return len({entry.digest for entry in entries})


def known_pixels(candidates: Iterable[IndexEntry]) -> tuple[dict[bytes, bytes], list[IndexEntry]]:
    """Sort out whose pixels the index knows already.

    Returns:
        Pixel digests by the digests of the bytes; and one file of each content that must be looked at.
    """
    known: dict[bytes, bytes] = {}
    fresh: dict[bytes, IndexEntry] = {}
    for entry in candidates:
        if entry.digest is not None and entry.pixel_digest is not None:
            known[entry.digest] = entry.pixel_digest
        elif entry.digest is not None:
            fresh.setdefault(entry.digest, entry)
    return known, [entry for digest, entry in fresh.items() if digest not in known]
