"""Pictures that show a part of another one: told, whatever became of the groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from py_image_dedup.matching.matcher import as_match, is_whole
from py_image_dedup.matching.pairing import Pairing
from py_image_dedup.model.match import Match, Proof
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.pipeline.rank import Ranked


@dataclass(frozen=True, slots=True)
class PartialPair:
    """Two contents of which one shows a part of the other.

    Attributes:
        proof: What was found out.
        left: The files of the proof's left content that may match those of the right one, in the order of paths.
        right: The files of the right one.
    """

    proof: Proof
    left: tuple[IndexEntry, ...]
    right: tuple[IndexEntry, ...]


def with_partial(ranked: Ranked, pairs: Iterable[PartialPair], pairing: Pairing) -> tuple[Match, ...]:
    """Return what is reported of a run: what ranking left, and one match of each pair, between files that stay.

    A pair of which all files of one side are redundant is left out: its keeper shows the same, and is told instead.

    Args:
        ranked: The groups, and other matches to report.
        pairs: What was found.
        pairing: Keeps files apart.
    """
    redundant = {each.entry.stat.raw_path for group in ranked.groups for each in group.redundant}

    def stays(entry: IndexEntry) -> bool:
        return entry.stat.raw_path not in redundant

    found = [match for pair in pairs if (match := _match(pair, stays, pairing)) is not None]
    told = {(match.left.stat.raw_path, match.right.stat.raw_path): match for match in (*found, *ranked.reported)}
    return tuple(told[paths] for paths in sorted(told))


def _match(pair: PartialPair, stays: Callable[[IndexEntry], bool], pairing: Pairing) -> Match | None:
    proof = pair.proof
    for left in filter(stays, pair.left):
        for right in filter(stays, pair.right):
            if pairing.allows(left.stat, right.stat):
                # The whole picture is the left one, as a keeper is.
                if is_whole(proof, proof.right):
                    return as_match(proof, right, left, left_is=proof.right)
                return as_match(proof, left, right, left_is=proof.left)
    return None
