"""Units and series in a run: what belongs together is matched, ranked and removed together, or not at all.

A unit, the files of one photo, is redundant only if the unit that stays has every part of it: pictures by the same
matches as any other, films and sidecars by equal bytes. A series, the shots of one burst or bracket, is redundant only
if another one has all of its shots. Whatever is in doubt stays, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from blake3 import blake3

from py_image_dedup.matching.groups import may_go
from py_image_dedup.matching.matcher import Matcher, capture_gap, same_content
from py_image_dedup.media.limits import MediaError
from py_image_dedup.media.opened_file import opened, read_file
from py_image_dedup.model.file import FileStat, Inventory
from py_image_dedup.model.inspection import Inspection, Outcome
from py_image_dedup.model.match import Group, Match, MatchClass, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.series import NO_SERIES, Series, SeriesOfFiles
from py_image_dedup.model.unit import Part, PartKind, Unit, Units
from py_image_dedup.pipeline.rank import Ranked
from py_image_dedup.scan.selector import Selector
from py_image_dedup.store.base import Store
from py_image_dedup.units.identifiers import identifier_of
from py_image_dedup.units.names import is_picture, recognise
from py_image_dedup.units.series import recognise_series, tell_apart

_NOT_ANALYSED = Versions(media=0, signature=0)


def units_around(paths: Iterable[Path]) -> Units:
    """Return the units of the given files, which are found in their folders.

    Args:
        paths: The files.
    """
    wanted: dict[Path, set[Path]] = {}
    for path in paths:
        wanted.setdefault(path.parent, set()).add(path)
    found: list[Unit] = []
    for folder in sorted(wanted):
        stems = frozenset(path.stem.casefold() for path in wanted[folder])
        units = recognise(folder, _file_names(folder), partial(_identifier_in, folder, stems))
        found += [unit for unit in units if any(part.path in wanted[folder] for part in unit.parts)]
    return Units(tuple(found))


def _identifier_in(folder: Path, stems: Collection[str], name: str) -> str | None:
    """Return the identifier in a file, unless its stem is of no file that is asked for: then it is not read."""
    path = folder / name
    return identifier_of(path) if path.stem.casefold() in stems else None


def _file_names(folder: Path) -> list[str]:
    """Return the names of the regular files in a folder; none if it cannot be read, as nothing can be removed there."""
    names: list[str] = []
    with suppress(OSError), os.scandir(folder) as entries:
        names += [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    return names


def photo_stems(folders: Iterable[bytes]) -> set[bytes]:
    """Return the raw paths of the pictures in folders, in lower case and without their endings."""
    return {
        os.fsencode(path.with_suffix("")).lower()
        for folder in map(Path, map(os.fsdecode, folders))
        for path in (folder / name for name in _file_names(folder) if is_picture(name))
    }


def with_unit_mates(raw_paths: Sequence[bytes]) -> list[bytes]:
    """Return files together with the other pictures of their units, for a batch that concerns some of them."""
    units = units_around(Path(os.fsdecode(raw)) for raw in raw_paths)
    mates = (os.fsencode(part.path) for unit in units.units for part in unit.parts if part.is_photo)
    return list(dict.fromkeys((*raw_paths, *mates)))


def series_around(entries: Iterable[IndexEntry], store: Store) -> SeriesOfFiles:
    """Return the series of the given pictures, which are found in their folders.

    Args:
        entries: The pictures.
        store: The index, which has the facts of their neighbours.

    Raises:
        StoreError: The index cannot be used.
    """
    known: dict[Path, dict[str, PhotoFacts]] = {}
    for entry in entries:
        if entry.facts is not None:
            known.setdefault(entry.stat.path.parent, {})[entry.stat.path.name] = entry.facts
    found: list[Series] = []
    for folder in sorted(known):
        names = [name for name in _file_names(folder) if is_picture(name)]
        found += recognise_series(folder, names, known[folder], lambda name, at=folder: _facts_of(at / name, store))  # type: ignore[misc]
    return SeriesOfFiles(tuple(found))


def _facts_of(path: Path, store: Store) -> PhotoFacts | None:
    """Return the facts of a picture that the index knows as it is now."""
    entry = store.get(path)
    if entry is None:
        return None
    with suppress(OSError):
        now = path.lstat()
        if (now.st_size, now.st_mtime_ns) == entry.stat.stamp[:2]:
            return entry.facts
    return None


def joined(groups: Sequence[Group], units: Units, series: SeriesOfFiles = NO_SERIES) -> tuple[Group, ...]:
    """Return groups of which those that have files of one unit or series are one, so that they are ranked together."""
    parents = list(range(len(groups)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[Path, int] = {}
    for number, group in enumerate(groups):
        for entry in group.entries:
            lead = units.key(entry.stat.path)
            of_series = series.of(entry.stat.path) or series.of(lead)
            for key in (lead,) if of_series is None else (lead, of_series.first):
                left, right = sorted((root(first.setdefault(key, number)), root(number)))
                parents[right] = left
    together: dict[int, list[IndexEntry]] = {}
    for number, group in enumerate(groups):
        together.setdefault(root(number), []).extend(group.entries)
    return tuple(Group(tuple(sorted(each, key=lambda entry: entry.stat.raw_path))) for each in together.values())


def are_other_shots(left: IndexEntry, right: IndexEntry, series: SeriesOfFiles) -> bool:
    """Return whether two pictures are certainly different shots, of one series or of a series and its copy."""
    one, other = series.of(left.stat.path), series.of(right.stat.path)
    if one is None or other is None:
        return False
    if one is other:
        return series.are_other_shots(left.stat.path, right.stat.path)
    if left.facts is None or right.facts is None:
        return False
    return capture_gap(left.facts, right.facts) is not None or tell_apart(left.facts.shot, right.facts.shot)


@dataclass(frozen=True, slots=True)
class Beside:
    """A film or a sidecar.

    Attributes:
        stat: The file.
        digest: BLAKE3 digest of its bytes.
    """

    stat: FileStat
    digest: bytes

    @property
    def entry(self) -> IndexEntry:
        """The file as an index entry that describes no picture."""
        return IndexEntry(self.stat, _NOT_ANALYSED, self.digest)


@dataclass(slots=True)
class Coverage:
    """Decides whether the unit of a keeper has everything that is in the unit of another file. Not thread-safe.

    Attributes:
        units: The units of the run.
        matcher: Decides whether two pictures match, regardless of units.
        removable: Classes of matches that make a file redundant.
        inventory: The files that take part in the run.
        selector: Selection of the files that take part.
        store: The index, with the entries of pictures that are in no group.
        series: The series of the run.
    """

    units: Units
    matcher: Matcher
    removable: frozenset[MatchClass]
    inventory: Inventory
    selector: Selector
    store: Store
    series: SeriesOfFiles = NO_SERIES
    _entries: dict[Path, IndexEntry | None] = field(default_factory=dict)
    _read: dict[Path, Beside | None] = field(default_factory=dict)
    _lacking: dict[tuple[Path, Path], Inspection | None] = field(default_factory=dict)

    def know(self, groups: Iterable[Group]) -> None:
        """Take the entries of groups, which have more than those of the index."""
        for group in groups:
            self._entries |= {entry.stat.path: entry for entry in group.entries}

    def lacking(self, keeper: Path, other: Path) -> Inspection | None:
        """Return what the other file's unit has and the keeper's lacks; ``None`` if it has everything.

        Args:
            keeper: A picture that stays.
            other: A picture that matches it.
        """
        unit = self.units.of(other)
        if unit is None:
            return None
        pair = (keeper, other)
        if pair not in self._lacking:
            found = next((each for part in unit.beside(other) if (each := self._lack(keeper, part))), None)
            self._lacking[pair] = found
        return self._lacking[pair]

    def counterpart(self, keeper: Path, part: Part) -> Part | None:
        """Return the part of the keeper's unit that a part of another unit is equal to, or matches."""
        same = (each for each in self._parts(keeper) if each.role == part.role and each.path != part.path)
        return next((each for each in same if self._is_covered(each, part)), None)

    def beside(self, path: Path) -> Beside | None:
        """Return a film or sidecar with its digest; ``None`` if it cannot be read."""
        if path not in self._read:
            self._read[path] = _read(path)
        return self._read[path]

    def is_analysed(self, path: Path) -> bool:
        """Return whether a picture takes part in the run with an entry of its own."""
        return self._entry(path) is not None

    def _parts(self, path: Path) -> tuple[Part, ...]:
        unit = self.units.of(path)
        if unit is not None:
            return unit.parts
        entry = self._entry(path)
        is_raw = entry is not None and entry.facts is not None and entry.facts.is_raw
        return (Part(path, PartKind.RAW if is_raw else PartKind.PICTURE),)

    def _lack(self, keeper: Path, part: Part) -> Inspection | None:
        name = part.path.name
        if self._is_left_out(part):
            return Inspection(Outcome.UNDECIDED, f"It is one photo with {name}, which takes no part in this run.")
        if self.counterpart(keeper, part) is not None:
            return None
        if any(each.role == part.role for each in self._parts(keeper)):
            reason = f"It has {part.words} ({name}) that differs from that of the other."
        else:
            reason = f"It has {part.words} ({name}) that the other lacks."
        return Inspection(Outcome.MORE, reason, lacks=(part.words,))

    def _is_left_out(self, part: Part) -> bool:
        raw = os.fsencode(part.path)
        if part.is_photo and self.selector.has_extension(os.fsencode(part.path.name)):
            return raw not in self.inventory.stamps
        return self.selector.is_excluded(raw)

    def _is_covered(self, kept: Part, part: Part) -> bool:
        left, right = (self._entry(each.path) if each.is_photo else None for each in (kept, part))
        if left is None or right is None:
            return self._are_equal(kept.path, part.path)
        if left.digest is not None and left.digest == right.digest:
            return True
        match = self.matcher.matches(left, [right])[0]
        return match is not None and match.match_class in self.removable and may_go(match)

    def _entry(self, path: Path) -> IndexEntry | None:
        if path not in self._entries:
            entry = self.store.get(path)
            is_current = entry is not None and self.inventory.stamps.get(entry.stat.raw_path) == entry.stat.stamp
            self._entries[path] = entry if is_current else None
        return self._entries[path]

    def _are_equal(self, left: Path, right: Path) -> bool:
        try:
            if left.lstat().st_size != right.lstat().st_size:
                return False
        except OSError:
            return False
        one, other = self.beside(left), self.beside(right)
        return one is not None and other is not None and one.digest == other.digest


def _read(path: Path) -> Beside | None:
    """Read a file and return its digest; ``None`` if that fails, or if it changes meanwhile."""
    with suppress(MediaError):
        with opened(path) as (_, stat):
            if not stat.size:
                return Beside(stat, blake3(b"").digest())
        with read_file(path) as file:
            return Beside(file.stat, file.digest)
    return None


@dataclass(frozen=True, slots=True)
class UnitMatcher:
    """A matcher that knows which files are one photo, and which photos are one series.

    Files of one unit never match each other, and shots of one series only if they have the same bytes or pixels. A file
    whose unit has a part that the keeper's unit lacks matches, with the reason for which it stays.

    Attributes:
        matcher: Decides whether two pictures match.
        coverage: Decides whether a unit has everything that is in another one.
    """

    matcher: Matcher
    coverage: Coverage

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return the match of each other file with the keeper; see ``Matcher.matches``."""
        series = self.coverage.series
        asked = [
            place
            for place, other in enumerate(others)
            if not series or same_content(keeper, other) is not None or not are_other_shots(keeper, other, series)
        ]
        found: list[Match | None] = [None] * len(others)
        for place, match in zip(asked, self.matcher.matches(keeper, [others[place] for place in asked]), strict=True):
            found[place] = None if match is None else self._in_units(match)
        return found

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """Return the dominated files; see ``Matcher.dominated``."""
        return self.matcher.dominated(entries)

    def _in_units(self, match: Match) -> Match | None:
        units = self.coverage.units
        left, right = match.left.stat.path, match.right.stat.path
        one, other = units.part(left), units.part(right)
        if one is not None and other is not None and (one.role != other.role or units.of(left) is units.of(right)):
            return None
        found = self.coverage.lacking(left, right)
        return match if found is None else replace(match, inspection=found)


_Pairs = list[tuple[Beside, Beside]]


def settled(ranked: Ranked, coverage: Coverage) -> Ranked:
    """Return the groups in which the parts of a unit, and the shots of a series, go together or stay together.

    Films and sidecars that go get groups of their own, with the equal file of the keeper's unit as their keeper.

    Args:
        ranked: Groups from the stages ``rank`` and ``inspect``.
        coverage: Decides whether a unit has everything that is in another one.
    """
    units, series = coverage.units, coverage.series
    going = _whole_units(ranked.groups, coverage)
    torn = _torn_series(ranked.groups, going, coverage)
    going = {lead: pairs for lead, pairs in going.items() if lead not in torn}
    groups: list[RankedGroup] = []
    stays: list[Match] = []
    for group in ranked.groups:
        kept: list[Redundant] = []
        for redundant in group.redundant:
            path = redundant.entry.stat.path
            unit = units.of(path)
            if units.key(path) in torn:
                stays.append(replace(redundant.match, inspection=torn[units.key(path)]))
            elif unit is not None and unit.lead not in going:
                stays.append(_staying(redundant.match, unit, coverage))
            else:
                kept.append(_with_reason(redundant, units))
        if kept:
            groups.append(RankedGroup(group.keeper, tuple(kept)))
    groups += _groups_beside(going)
    groups.sort(key=lambda group: group.keeper.stat.raw_path)
    reported = tuple(sorted((*ranked.reported, *stays), key=_by_paths))
    touched = Units(tuple(units.touched_by(_paths(groups, reported))))
    # Also series of which nothing is redundant: they say why pictures that look alike are not listed.
    return replace(ranked, groups=tuple(groups), reported=reported, units=touched, series=series.series)


def _torn_series(
    groups: Sequence[RankedGroup], going: Mapping[Path, _Pairs], coverage: Coverage
) -> dict[Path, Inspection]:
    """Return why photos of series stay that would go, by the leading file of each photo.

    A series goes as a whole for one series that has as many shots; copies of a shot may go for the series they are in.
    """
    units, series = coverage.units, coverage.series
    keepers = {
        path: group.keeper.stat.path
        for group in groups
        for each in group.redundant
        if units.of(path := each.entry.stat.path) is None or units.key(path) in going
    }
    torn: dict[Path, Inspection] = {}
    for each in series.touched_by(keepers):
        leaving = [path for path in each.files if path in keepers and series.of(keepers[path]) is not each]
        if not leaving:
            continue
        reason = _why_torn(each, leaving, keepers, series)
        if reason:
            found = Inspection(Outcome.MORE, f"It is one of {each.words}, {reason}.", lacks=("shots of its series",))
            torn |= dict.fromkeys((units.key(path) for path in leaving), found)
    return torn


def _why_torn(each: Series, leaving: Sequence[Path], keepers: Mapping[Path, Path], series: SeriesOfFiles) -> str:
    staying = [path.name for path in each.files if path not in keepers]
    if staying:
        more = f" and {len(staying) - 1} more" if len(staying) > 1 else ""
        return f"of which {staying[0]}{more} stay{'' if more else 's'}"
    others = {found.first: found for path in leaving if (found := series.of(keepers[path])) is not None}
    if len(others) != 1 or any(series.of(keepers[path]) is None for path in leaving):
        return "which no single series has as a whole"
    if len(next(iter(others.values())).shots) < len(each.shots):
        return "and the other series has fewer shots"
    return ""


def _whole_units(groups: Sequence[RankedGroup], coverage: Coverage) -> dict[Path, _Pairs]:
    """Return the units that go as a whole, by their leading files, with their films and sidecars.

    Of each film and sidecar there is a pair: the equal file of the keeper's unit, and the file itself.
    """
    units = coverage.units
    keepers = {each.entry.stat.path: group.keeper.stat.path for group in groups for each in group.redundant}
    going: dict[Path, _Pairs] = {}
    for unit in units.touched_by(keepers):
        pairs = _pairs_of(unit, keepers, coverage)
        if pairs is not None:
            going[unit.lead] = pairs
    return going


def _pairs_of(unit: Unit, keepers: Mapping[Path, Path], coverage: Coverage) -> _Pairs | None:
    units = coverage.units
    staying = {units.key(keepers[part.path]) for part in unit.parts if part.path in keepers}
    if len(staying) != 1:
        return None
    keeper = next(keepers[part.path] for part in unit.parts if part.path in keepers)
    pairs: _Pairs = []
    for part in unit.parts:
        if part.path in keepers:
            continue
        if part.is_photo and coverage.is_analysed(part.path):
            return None  # it would be redundant if it could go
        counterpart = coverage.counterpart(keeper, part)
        kept = None if counterpart is None else coverage.beside(counterpart.path)
        own = coverage.beside(part.path)
        if kept is None or own is None or kept.digest != own.digest:
            return None
        if (kept.stat.device, kept.stat.inode) == (own.stat.device, own.stat.inode):
            return None
        pairs.append((kept, own))
    return pairs


def _groups_beside(going: Mapping[Path, _Pairs]) -> Iterator[RankedGroup]:
    """Yield the groups of films and sidecars, by the file that stays."""
    by_keeper: dict[Path, list[Redundant]] = {}
    kept: dict[Path, IndexEntry] = {}
    for pairs in going.values():
        for keeper, own in pairs:
            entry = kept.setdefault(keeper.stat.path, keeper.entry)
            match = Match(entry, own.entry, MatchClass.IDENTICAL)
            by_keeper.setdefault(keeper.stat.path, []).append(Redundant(match, _together(keeper.stat.path)))
    return (RankedGroup(kept[path], tuple(found)) for path, found in by_keeper.items())


def _with_reason(redundant: Redundant, units: Units) -> Redundant:
    """Return a redundant file with the reason that counted, where that is the unit it belongs to."""
    unit, keeper = units.of(redundant.entry.stat.path), units.of(redundant.match.left.stat.path)
    if unit is None or keeper is None or redundant.entry.stat.path == unit.lead:
        return redundant
    return replace(redundant, reason=_together(keeper.lead))


def _together(lead: Path) -> Reason:
    sentence = f"it belongs to the photo {lead.name} that stays, the other to one that goes"
    return Reason("unit", "part of the photo that stays", "part of the photo that goes", sentence)


def _staying(match: Match, unit: Unit, coverage: Coverage) -> Match:
    """Return the match of a file that stays because its unit cannot go as a whole."""
    found = coverage.lacking(match.left.stat.path, match.right.stat.path)
    if found is None:
        names = ", ".join(part.path.name for part in unit.beside(match.right.stat.path))
        reason = f"It is one photo with {names}, of which not everything is redundant."
        found = Inspection(Outcome.MORE, reason)
    return replace(match, inspection=found)


def _paths(groups: Iterable[RankedGroup], reported: Iterable[Match]) -> Iterator[Path]:
    for group in groups:
        yield group.keeper.stat.path
        yield from (each.entry.stat.path for each in group.redundant)
    for match in reported:
        yield from (match.left.stat.path, match.right.stat.path)


def _by_paths(match: Match) -> tuple[bytes, bytes]:
    return match.left.stat.raw_path, match.right.stat.raw_path
