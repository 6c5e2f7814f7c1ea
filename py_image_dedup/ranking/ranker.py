"""Orders the files of a group, best first, and tells why one is better than another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from py_image_dedup.model.match import Reason
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.group_stats import GroupStats
from py_image_dedup.ranking.rules import Rule, plain

_WHOLE = plain(
    "decoded-whole",
    lambda entry: not entry.decoded_whole,
    lambda entry: "whole" if entry.decoded_whole else f"not whole: {_trouble(entry)}",
)
_PATH = plain("path", lambda entry: entry.stat.raw_path, lambda entry: str(entry.stat.path))


def _trouble(entry: IndexEntry) -> str:
    return entry.failure.reason.value if entry.failure else "not decoded"


def _protected_rule(is_protected: Callable[[bytes], bool]) -> Rule:
    return plain(
        "protected",
        lambda entry: not is_protected(entry.stat.raw_path),
        lambda entry: "protected" if is_protected(entry.stat.raw_path) else "not protected",
    )


@dataclass(frozen=True, slots=True)
class Ranker:
    """A total order over files.

    Before every rule of the user's: a file that was decoded whole wins over one that was not (else the only whole
    picture could go), and a protected file over one that is not. After them the path decides, so that there is no
    tie and the order of the files does not matter.

    Attributes:
        rules: The user's, the weightiest first.
        is_protected: Tells it of a raw path.
        max_distance: Up to where two files match; some rules count matches.
    """

    rules: tuple[Rule, ...]
    is_protected: Callable[[bytes], bool]
    max_distance: float

    def rank(self, entries: Sequence[IndexEntry]) -> Ranking:
        """Order the files of one group."""
        rules = (_WHOLE, _protected_rule(self.is_protected), *self.rules, _PATH)
        stats = GroupStats(entries, self.max_distance)
        return Ranking(_order(list(entries), rules, stats), rules, stats)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A group in order.

    Attributes:
        entries: Best first.
    """

    entries: tuple[IndexEntry, ...]
    _rules: tuple[Rule, ...] = field(repr=False)
    _company: GroupStats = field(repr=False)

    def reason(self, better: IndexEntry, worse: IndexEntry) -> Reason:
        """Return the first rule that tells the two apart, with what it saw."""
        stats = self._company
        for rule in self._rules:
            if rule.key(better, stats) != rule.key(worse, stats):
                return Reason(rule.name, rule.words(better, stats), rule.words(worse, stats))
        raise ValueError(f"{better.stat.path} cannot be better than itself")


def _order(entries: list[IndexEntry], rules: Sequence[Rule], stats: GroupStats) -> tuple[IndexEntry, ...]:
    """Sort by all rules, asking a relative rule only where those before it leave a tie."""
    if len(entries) < 2:
        return tuple(entries)
    own = next((place for place, rule in enumerate(rules) if rule.relative), len(rules))
    if own == 0:
        first, rest = rules[:1], rules[1:]
    else:
        first, rest = rules[:own], rules[own:]
    keyed = sorted(
        ((tuple(rule.key(entry, stats) for rule in first), entry) for entry in entries), key=lambda item: item[0]
    )
    if not rest:
        return tuple(entry for _, entry in keyed)
    ordered: list[IndexEntry] = []
    for _, tied in groupby(keyed, key=lambda item: item[0]):
        ordered.extend(_order([entry for _, entry in tied], rest, stats))
    return tuple(ordered)
