"""The ranker: orders the files of a group, best first, and explains why one is better than another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

from py_image_dedup.model.inspection import Original, Side
from py_image_dedup.model.match import Reason
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.series import NO_SERIES, SeriesOfFiles
from py_image_dedup.model.unit import NO_UNITS, Units
from py_image_dedup.ranking.group_stats import GroupStats, content_of
from py_image_dedup.ranking.rules import (
    DEFAULT_IDENTICAL_RULES,
    FOLDER_ORDER,
    ORIGINAL,
    SAME_FOLDER_ORDER,
    Rule,
    parse_identical_rules,
    plain,
)

Origin: TypeAlias = Callable[[IndexEntry, IndexEntry], "Original | None"]
"""Returns which of two files the other was made from, or ``None`` if they were not inspected."""

MOST_INSPECTED = 500
"""Contents of a group of which each pair is looked up; the rest of a larger group is ranked without the lookup."""


def not_inspected(left: IndexEntry, right: IndexEntry, /) -> Original | None:  # noqa: ARG001 - an ``Origin``
    """Return ``None``: no pair was inspected."""
    return None


def not_linked(raw_path: bytes, /) -> bool:  # noqa: ARG001 - the signature is the ranker's
    """Return ``False``: no file has a second name."""
    return False


def _trouble(entry: IndexEntry) -> str:
    return entry.failure.reason.value if entry.failure else "not decoded"


_WHOLE = plain(
    "decoded-whole",
    lambda entry: not entry.decoded_whole,
    lambda entry: "whole" if entry.decoded_whole else f"not whole: {_trouble(entry)}",
    "can be decoded",
    other="the other is",
)
_PATH = plain(
    "path",
    lambda entry: entry.stat.raw_path,
    lambda entry: str(entry.stat.path),
    "nothing tells the files apart, so the first path by the alphabet stays",
    other="the other is",
)


def _protected_rule(is_protected: Callable[[bytes], bool]) -> Rule:
    return plain(
        "protected",
        lambda entry: not is_protected(entry.stat.raw_path),
        lambda entry: "protected" if is_protected(entry.stat.raw_path) else "not protected",
        "in a protected folder",
        other="the other is",
    )


def _unit_rule(units: Units) -> Rule:
    def roles(entry: IndexEntry) -> frozenset[str]:
        unit = units.of(entry.stat.path)
        return frozenset() if unit is None else frozenset(part.role for part in unit.parts)

    def value(entry: IndexEntry) -> str:
        unit = units.of(entry.stat.path)
        return "nothing" if unit is None else ", ".join(part.words for part in unit.beside(entry.stat.path))

    return plain("parts", lambda entry: -len(roles(entry)), value, "the photo with more beside it")


def _series_rule(series: SeriesOfFiles) -> Rule:
    def shots(entry: IndexEntry) -> int:
        found = series.of(entry.stat.path)
        return 1 if found is None else len(found.shots)

    def value(entry: IndexEntry) -> str:
        found = series.of(entry.stat.path)
        return "a single shot" if found is None else found.words

    return plain("series", lambda entry: -shots(entry), value, "one of the larger series")


@dataclass(frozen=True, slots=True)
class Ranker:
    """A total order over files.

    Files with the same bytes are one content. First the contents are ordered, each represented by the file that stays
    of it: a file that was decoded whole wins over one that was not (else the only whole picture could go), a protected
    file over one that is not, one of a photo with more parts (a RAW photo, a film) over one with fewer, a shot of a
    larger series (a burst) over one of a smaller one, then the prioritisation rules decide. Of one content's files, a
    protected one wins, then ``identical_rules`` decide. The path comes last, so that there is no tie and the order of
    the files does not matter.

    Attributes:
        rules: The prioritisation rules, the weightiest first.
        is_protected: Returns whether the file at a raw path must not be removed.
        max_distance: Signature distance up to which two files match, 0 to 1; some rules count matches.
        identical_rules: Rules that choose among files with the same bytes, the weightiest first.
        origin: Evidence for the rule ``original``; without evidence the rule is neutral.
        is_linked: Returns whether the file at a raw path has several names (hard links).
        units: The photos that consist of several files.
        series: The photos that are shots of one burst or bracket.
    """

    rules: tuple[Rule, ...]
    is_protected: Callable[[bytes], bool]
    max_distance: float
    identical_rules: tuple[Rule, ...] = parse_identical_rules(DEFAULT_IDENTICAL_RULES)
    origin: Origin = not_inspected
    is_linked: Callable[[bytes], bool] = not_linked
    units: Units = NO_UNITS
    series: SeriesOfFiles = NO_SERIES

    def rank(self, entries: Sequence[IndexEntry]) -> Ranking:
        """Order the files of one group."""
        protected = _protected_rule(self.is_protected)
        first = [_WHOLE, protected]
        first += [_unit_rule(self.units)] if self.units else []
        first += [_series_rule(self.series)] if self.series else []
        rules = (*first, *self.rules, _PATH)
        folder_order = next((rule for rule in self.rules if rule.name == FOLDER_ORDER), SAME_FOLDER_ORDER)
        chosen = (folder_order if rule is SAME_FOLDER_ORDER else rule for rule in self.identical_rules)
        identical_rules = (*first, *chosen, _PATH)
        stats = GroupStats(entries, self.max_distance, self.is_linked)
        contents: dict[bytes, list[IndexEntry]] = {}
        for entry in entries:
            contents.setdefault(content_of(entry), []).append(entry)
        files = {content: _order(copies, identical_rules, stats, not_inspected) for content, copies in contents.items()}
        best = _order([copies[0] for copies in files.values()], rules, stats, self.origin)
        ordered = tuple(entry for leader in best for entry in files[content_of(leader)])
        return Ranking(ordered, rules, identical_rules, stats, self.origin)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A group in order.

    Attributes:
        entries: The files, best first; those with the same bytes stand together.
    """

    entries: tuple[IndexEntry, ...]
    _rules: tuple[Rule, ...] = field(repr=False)
    _identical_rules: tuple[Rule, ...] = field(repr=False)
    _stats: GroupStats = field(repr=False)
    _origin: Origin = field(repr=False)

    def reason(self, better: IndexEntry, worse: IndexEntry) -> Reason:
        """Return the first rule that puts one file before the other, with both values.

        Where every rule would put the second file first, the comparison in full changed the order.

        Raises:
            ValueError: The two are one file.
        """
        if content_of(better) == content_of(worse):
            reason = self._first_reason(better, worse, self._identical_rules)
        else:
            # Contents were compared by their best files; a copy of the worse content may look better by name or date.
            chosen = next(entry for entry in self.entries if content_of(entry) == content_of(worse))
            reason = self._first_reason(better, worse, self._rules) or self._first_reason(better, chosen, self._rules)
            reason = reason or self._derived(worse)
        if better.stat.path == worse.stat.path:
            raise ValueError(f"{better.stat.path} cannot be better than itself")
        return reason or _INSPECTED

    def _first_reason(self, better: IndexEntry, worse: IndexEntry, rules: Iterable[Rule]) -> Reason | None:
        """Return the first rule that tells the two apart, or ``None`` if it prefers the other one."""
        stats = self._stats
        for rule in rules:
            if rule.pairwise:
                found = self._origin(better, worse)
                if found is not None and found.side is Side.LEFT:
                    return original_reason(found, better, worse)
                continue
            left, right = rule.key(better, stats), rule.key(worse, stats)
            if left != right:
                if right < left:
                    return None
                sentence = rule.sentence(better, worse, stats)
                return Reason(rule.name, rule.value(better, stats), rule.value(worse, stats), sentence)
        return None

    def _derived(self, worse: IndexEntry) -> Reason | None:
        """Return why a file comes late that other rules would put first: its own original comes before it."""
        for entry in self.entries:
            found = self._origin(entry, worse) if content_of(entry) != content_of(worse) else None
            if found is not None and found.side is Side.LEFT:
                sentence = f"the other was made from {entry.stat.path.name}, which this one comes before"
                return Reason(ORIGINAL, "not derived", "derived", sentence)
        return None


_INSPECTED = Reason(
    "inspection",
    "has everything",
    "lacks something",
    "compared in full, it has everything that is in the other",
)


def original_reason(found: Original, better: IndexEntry, worse: IndexEntry) -> Reason:
    """Return the reason for an original, with the names of the files that the evidence calls A and B.

    Args:
        found: The evidence; the left file is the original.
        better: The left file.
        worse: The right file.
    """
    names = {"A": better.stat.path.name, "B": worse.stat.path.name}
    if names["A"] == names["B"]:
        names = {"A": "this file", "B": "the other file"}
    evidence = re.sub(r"\b[AB]\b", lambda letter: names[letter.group()], found.reason)
    kept = "the original" if found.sure else "probably the original"
    return Reason(ORIGINAL, kept, "made from it", f"{kept} ({evidence})" if evidence else kept)


def _order(
    entries: list[IndexEntry], rules: Sequence[Rule], stats: GroupStats, origin: Origin
) -> tuple[IndexEntry, ...]:
    """Sort by all rules, applying an expensive rule only where those before it leave a tie."""
    if len(entries) < 2:
        return tuple(entries)
    if rules and rules[0].pairwise:
        return _originals_first(_order(entries, rules[1:], stats, origin), origin)
    special = next((place for place, rule in enumerate(rules) if rule.relative or rule.pairwise), len(rules))
    cut = max(special, 1)
    first, rest = rules[:cut], rules[cut:]
    keyed = sorted(
        ((tuple(rule.key(entry, stats) for rule in first), entry) for entry in entries), key=lambda item: item[0]
    )
    if not rest:
        return tuple(entry for _, entry in keyed)
    ordered: list[IndexEntry] = []
    for _, tied in groupby(keyed, key=lambda item: item[0]):
        ordered.extend(_order([entry for _, entry in tied], rest, stats, origin))
    return tuple(ordered)


def _originals_first(entries: tuple[IndexEntry, ...], origin: Origin) -> tuple[IndexEntry, ...]:
    """Move each file behind the files it was made from; keep the order where there is no evidence.

    Of evidence that contradicts itself, likely evidence is dropped first, then all of it among the files concerned.
    """
    if origin is not_inspected:
        return entries
    inspected = entries[:MOST_INSPECTED]
    sure: dict[int, set[int]] = {number: set() for number in range(len(inspected))}
    likely: dict[int, set[int]] = {number: set() for number in range(len(inspected))}
    for left in range(len(inspected)):
        for right in range(left + 1, len(inspected)):
            found = origin(inspected[left], inspected[right])
            if found is None or found.side is Side.UNKNOWN:
                continue
            original, derived = (left, right) if found.side is Side.LEFT else (right, left)
            (sure if found.sure else likely)[derived].add(original)
    if not any(sure.values()) and not any(likely.values()):
        return entries
    sure = _without_contradictions(sure)
    both = {number: sure[number] | likely[number] for number in sure}
    consistent = _without_contradictions(both)
    originals = {number: sure[number] | consistent[number] for number in sure}
    if _placed(originals) is None:
        originals = sure
    order = _placed(originals) or range(len(inspected))
    return (*(inspected[number] for number in order), *entries[MOST_INSPECTED:])


def _placed(originals: dict[int, set[int]]) -> list[int] | None:
    """Return the numbers with each one behind its originals, or ``None`` if they go in a circle."""
    left = sorted(originals)
    order: list[int] = []
    done: set[int] = set()
    while left:
        following = next((number for number in left if originals[number] <= done), None)
        if following is None:
            return None
        left.remove(following)
        order.append(following)
        done.add(following)
    return order


def _without_contradictions(originals: dict[int, set[int]]) -> dict[int, set[int]]:
    """Drop the evidence among files that are, by it, their own originals."""
    above = {number: _all_above(number, originals) for number in originals}
    return {number: {one for one in direct if number not in above[one]} for number, direct in originals.items()}


def _all_above(number: int, originals: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    pending = list(originals[number])
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending.extend(originals[one])
    return found
