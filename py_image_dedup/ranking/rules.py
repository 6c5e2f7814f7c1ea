"""Keep rules: named reasons to prefer one file of a group to another."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.copy_names import copy_folders, find_copy_marker

if TYPE_CHECKING:
    from py_image_dedup.ranking.group_stats import GroupStats


Key: TypeAlias = Any
"""Sorts against the keys of the same rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to prefer a file to another.

    Attributes:
        name: The name in a configuration.
        key: The value that is compared; the lesser key is the better file.
        value: The same value for a person, with its unit.
        sentence: Completes "Kept: ..." for a better file and a worse one.
        relative: The key depends on the other files of the group and is expensive: it is computed only for files that
            tie by every rule before this one.
        pairwise: The rule compares two files and has no key; the ranker asks the results of inspection.
    """

    name: str
    key: Callable[[IndexEntry, GroupStats], Key]
    value: Callable[[IndexEntry, GroupStats], str]
    sentence: Callable[[IndexEntry, IndexEntry, GroupStats], str]
    relative: bool = False
    pairwise: bool = False


def rule(
    name: str,
    key: Callable[[IndexEntry, GroupStats], Key],
    value: Callable[[IndexEntry, GroupStats], str],
    kept: str,
    *,
    other: str = "the other has",
    exact: Callable[[IndexEntry], str] | None = None,
    relative: bool = False,
) -> Rule:
    """Make a rule whose sentence gives both values: ``larger (2.7 MiB, the other has 2.1 MiB)``.

    Args:
        name: The name in a configuration.
        key: The value that is compared; the lesser key is the better file.
        value: The same value for a person, rounded.
        kept: What the better file is: "larger".
        other: What introduces the worse file's value.
        exact: The value with all its digits, for two values that are the same when rounded.
        relative: The key depends on the other files of the group.
    """

    def sentence(better: IndexEntry, worse: IndexEntry, stats: GroupStats) -> str:
        mine, others = value(better, stats), value(worse, stats)
        if mine == others and exact is not None:
            mine, others = exact(better), exact(worse)
        return f"{kept} ({mine}, {other} {others})"

    return Rule(name, key, value, sentence, relative)


def plain(
    name: str,
    key: Callable[[IndexEntry], Key],
    value: Callable[[IndexEntry], str],
    kept: str,
    *,
    other: str = "the other has",
    exact: Callable[[IndexEntry], str] | None = None,
) -> Rule:
    """Make a rule that compares a file without regard to its group; arguments as for ``rule``."""
    return rule(name, lambda entry, _: key(entry), lambda entry, _: value(entry), kept, other=other, exact=exact)


def verdict(
    name: str,
    key: Callable[[IndexEntry, GroupStats], Key],
    value: Callable[[IndexEntry, GroupStats], str],
    sentence: Callable[[IndexEntry, IndexEntry, GroupStats], str],
) -> Rule:
    """Make a rule about what a file is or has, whose sentence does not need both values."""
    return Rule(name, key, value, sentence)


_SPELLINGS = {"JPG": "JPEG", "JPE": "JPEG", "HEIC": "HEIF", "TIF": "TIFF", "JP2": "JPEG2000", "JPEG 2000": "JPEG2000"}


@dataclass(frozen=True, slots=True)
class RuleFactory:
    """Makes a rule that has arguments.

    Attributes:
        make: Makes it from its name and its arguments (at least one).
        example: The rule as it is written in a configuration, for messages and the reference.
        single: It has one argument, which may contain commas.
    """

    make: Callable[[str, Sequence[str]], Rule]
    example: str
    single: bool = False


def _folder_order(name: str, folders: Sequence[str]) -> Rule:
    """Prefer files in the folder that comes first in the list; files in none come last.

    An absolute folder (``~`` allowed) means all below it; any other, such as ``Originals`` or ``2019/raw``, means
    folders of that name anywhere.
    """
    tests = [_lies_in(folder) for folder in folders]

    def position(entry: IndexEntry) -> int:
        inside = entry.stat.raw_path.rpartition(b"/")[0] + b"/"
        return next((number for number, lies_in in enumerate(tests) if lies_in(inside)), len(tests))

    def value(entry: IndexEntry) -> str:
        number = position(entry)
        return f"in {folders[number]}" if number < len(folders) else "in none of the listed folders"

    return plain(name, position, value, "in a preferred folder", other="the other is")


def _lies_in(folder: str) -> Callable[[bytes], bool]:
    """Make the test whether a folder, written with a slash at its end, is this one or lies in it."""
    raw = os.fsencode(os.path.normpath(Path(folder).expanduser())).rstrip(b"/") + b"/"
    if raw.startswith(b"/"):
        return lambda inside: inside.startswith(raw)
    return lambda inside: b"/" + raw in inside


def _preferred_formats(name: str, formats: Sequence[str]) -> Rule:
    """Prefer the format that comes first in the list; formats that are not in it come last."""
    wanted = [_format(text) for text in formats]

    def position(entry: IndexEntry) -> int:
        mine = _format(entry.facts.format) if entry.facts else ""
        return wanted.index(mine) if mine in wanted else len(wanted)

    def value(entry: IndexEntry) -> str:
        return entry.facts.format if entry.facts else "an unknown format"

    return plain(name, position, value, "in a preferred format", other="the other is")


def _format(text: str) -> str:
    upper = text.strip().lstrip(".").upper()
    return _SPELLINGS.get(upper, upper)


def _name_pattern(name: str, patterns: Sequence[str]) -> Rule:
    """Prefer (or with ``no-name-pattern`` avoid) names in which one of the regular expressions is found."""
    compiled = [_compile(name, pattern) for pattern in patterns]
    wanted = name == "name-pattern"

    def found(entry: IndexEntry) -> bool:
        return any(pattern.search(entry.stat.path.name) for pattern in compiled)

    def value(entry: IndexEntry) -> str:
        return f"{entry.stat.path.name} {'matches' if found(entry) else 'does not match'}"

    kept = "its name matches the pattern" if wanted else "its name does not match the pattern"
    return plain(name, lambda entry: found(entry) is not wanted, value, kept, other="but")


def _compile(name: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"the rule {name}: {pattern!r} is no regular expression: {error}") from error


PARAMETRIC_RULES: Mapping[str, RuleFactory] = MappingProxyType(
    {
        "folder-order": RuleFactory(_folder_order, "{folder-order: [/photos/edited, Originals]}"),
        "preferred-formats": RuleFactory(_preferred_formats, "{preferred-formats: [PNG, HEIF, JPEG]}"),
        "name-pattern": RuleFactory(_name_pattern, '{name-pattern: "^IMG_"}', single=True),
        "no-name-pattern": RuleFactory(_name_pattern, '{no-name-pattern: "_edited"}', single=True),
    }
)
"""The rules with arguments, by name."""


RuleSpec: TypeAlias = "str | Mapping[str, str | Sequence[str]]"
"""How a rule is written: ``has-gps``, ``"preferred-formats: PNG, JPEG"``, or ``{"folder-order": ["/a", "/b"]}``."""

ORIGINAL = "original"
"""The rule that prefers the file that the other one was made from; it follows the evidence of inspection."""

DEFAULT_RULES: tuple[str, ...] = (
    ORIGINAL,
    "higher-pixel-count",
    "more-exif-data",
    "bigger-file-size",
    "newer-file-modification-date",
    "smaller-distance",
    "doesnt-contain-copy-in-file-name",
    "longer-file-name",
    "shorter-folder-path",
    "higher-score",
)
"""The rules that are used when the configuration names none, the weightiest first."""

PROTECTED = "protected"
FOLDER_ORDER = "folder-order"

DEFAULT_IDENTICAL_RULES: tuple[str, ...] = (
    PROTECTED,
    FOLDER_ORDER,
    "hard-linked",
    "doesnt-contain-copy-in-file-name",
    "outside-copy-folders",
    "older-file-modification-date",
    "shorter-file-name",
    "shorter-folder-path",
)
"""The rules that choose among files with the same bytes, the weightiest first.

``protected`` always comes first. ``folder-order`` without folders means those of the rule of that name in
``prioritization_rules``; without such a rule it is neutral.
"""

_ZERO = datetime(1, 1, 1)  # noqa: DTZ001 - cameras write naive times
_MICROSECOND = timedelta(microseconds=1)


def _pixels(entry: IndexEntry) -> int:
    return entry.facts.pixels if entry.facts else 0


def _pixel_text(entry: IndexEntry) -> str:
    return f"{entry.facts.width} x {entry.facts.height}" if entry.facts else "an unknown number"


def _exif(entry: IndexEntry) -> int:
    return entry.facts.exif_fields if entry.facts else 0


def _exif_text(entry: IndexEntry) -> str:
    return f"{_exif(entry)} field{'' if _exif(entry) == 1 else 's'}"


def _size_text(entry: IndexEntry) -> str:
    amount = float(entry.stat.size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1000 or unit == "GiB":
            break
        amount /= 1024
    if unit == "bytes":
        return _exact_size(entry)
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def _exact_size(entry: IndexEntry) -> str:
    return f"{entry.stat.size:,} byte{'' if entry.stat.size == 1 else 's'}"


def _modified_text(entry: IndexEntry) -> str:
    return f"{datetime.fromtimestamp(entry.stat.mtime_ns // 1_000_000_000).astimezone():%Y-%m-%d %H:%M}"


def _exact_modified(entry: IndexEntry) -> str:
    seconds, rest = divmod(entry.stat.mtime_ns, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}{fraction}"


def _copy_marker(entry: IndexEntry, stats: GroupStats) -> str | None:
    return find_copy_marker(entry.stat.path.name, stats.plain_names)


def _copy_text(entry: IndexEntry, stats: GroupStats) -> str:
    marker = _copy_marker(entry, stats)
    return "no copy by name" if marker is None else f'"{marker.strip()}" in the name'


def _copy_sentence(better: IndexEntry, worse: IndexEntry, stats: GroupStats) -> str:
    marker = _copy_marker(worse, stats)
    if marker is None:
        return f"its name says that it is a copy ({_copy_text(better, stats)})"
    return f'not named as a copy (the other has "{marker.strip()}" in its name)'


def _copy_folder_text(entry: IndexEntry) -> str:
    folders = copy_folders(entry.stat.path)
    return f'in "{folders[-1]}"' if folders else "in no folder of copies"


def _copy_folder_sentence(better: IndexEntry, worse: IndexEntry, _: GroupStats) -> str:
    mine, others = copy_folders(better.stat.path), copy_folders(worse.stat.path)
    extra = [name for name in others if name not in mine] or others
    return f'not in a folder of copies (the other is in "{extra[-1]}")'


def _name_text(entry: IndexEntry) -> str:
    return f"{len(entry.stat.path.name)} characters"


def _folder(entry: IndexEntry) -> int:
    return len(str(entry.stat.path.parent))


def _folder_text(entry: IndexEntry) -> str:
    return f"{_folder(entry)} characters"


def _captured(entry: IndexEntry) -> int | None:
    """Return the capture time in microseconds; a camera's time has no zone."""
    captured = entry.facts.captured if entry.facts else None
    return (captured.replace(tzinfo=None) - _ZERO) // _MICROSECOND if captured else None


def _captured_text(entry: IndexEntry) -> str:
    captured = entry.facts.captured if entry.facts else None
    return f"{captured:%Y-%m-%d %H:%M}" if captured else "no capture date"


def _exact_captured(entry: IndexEntry) -> str:
    captured = entry.facts.captured if entry.facts else None
    return captured.isoformat(" ") if captured else "no capture date"


def _oldest(entry: IndexEntry) -> tuple[bool, int]:
    captured = _captured(entry)
    return (captured is None, captured or 0)


def _newest(entry: IndexEntry) -> tuple[bool, int]:
    captured = _captured(entry)
    return (captured is None, -(captured or 0))


def _gps(entry: IndexEntry) -> bool:
    return entry.facts is not None and entry.facts.has_gps


def _gps_text(entry: IndexEntry) -> str:
    return "a position" if _gps(entry) else "none"


def _distance_text(entry: IndexEntry, stats: GroupStats) -> str:
    return f"mean distance {stats.mean_distance(entry):.3g}"


def _score_text(entry: IndexEntry, stats: GroupStats) -> str:
    count = stats.score(entry)
    return f"{count} direct match{'' if count == 1 else 'es'}"


def _links_text(entry: IndexEntry, stats: GroupStats) -> str:
    return "several names" if stats.is_linked(entry) else "one name"


def _both_ways(
    more: tuple[str, str],
    less: tuple[str, str],
    amount: Callable[[IndexEntry], int],
    value: Callable[[IndexEntry], str],
    *,
    other: str = "the other has",
    exact: Callable[[IndexEntry], str] | None = None,
) -> Iterator[Rule]:
    """Make a rule that prefers the greater amount, and its opposite; each is given as its name and its phrase."""
    yield plain(more[0], lambda entry: -amount(entry), value, more[1], other=other, exact=exact)
    yield plain(less[0], amount, value, less[1], other=other, exact=exact)


def _rules_about_content() -> Iterator[Rule]:
    yield Rule(ORIGINAL, lambda *_: 0, lambda *_: "", lambda *_: "", pairwise=True)
    yield from _both_ways(
        ("higher-pixel-count", "more pixels"), ("lower-pixel-count", "fewer pixels"), _pixels, _pixel_text
    )
    yield from _both_ways(("more-exif-data", "more EXIF data"), ("less-exif-data", "less EXIF data"), _exif, _exif_text)
    yield from _both_ways(
        ("bigger-file-size", "larger"),
        ("smaller-file-size", "smaller"),
        lambda entry: entry.stat.size,
        _size_text,
        exact=_exact_size,
    )
    yield plain(
        "oldest-capture-date", _oldest, _captured_text, "captured earlier", other="the other", exact=_exact_captured
    )
    yield plain(
        "newest-capture-date", _newest, _captured_text, "captured later", other="the other", exact=_exact_captured
    )
    yield from _both_ways(("has-gps", "with a position"), ("has-no-gps", "without a position"), _gps, _gps_text)


def _rules_about_the_group() -> Iterator[Rule]:
    for name, sign, kept in (
        ("smaller-distance", 1, "more like the rest of its group"),
        ("bigger-distance", -1, "less like the rest of its group"),
    ):
        yield rule(
            name,
            lambda entry, stats, sign=sign: sign * stats.mean_distance(entry),  # type: ignore[misc] # bound now
            _distance_text,
            kept,
            relative=True,
        )
    for name, sign, kept in (("higher-score", -1, "more direct matches"), ("lower-score", 1, "fewer direct matches")):
        yield rule(
            name,
            lambda entry, stats, sign=sign: sign * stats.score(entry),  # type: ignore[misc] # bound now
            _score_text,
            kept,
            relative=True,
        )


def _rules_about_the_file() -> Iterator[Rule]:
    yield from _both_ways(
        ("newer-file-modification-date", "changed later"),
        ("older-file-modification-date", "changed earlier"),
        lambda entry: entry.stat.mtime_ns,
        _modified_text,
        other="the other",
        exact=_exact_modified,
    )
    yield verdict(
        "doesnt-contain-copy-in-file-name",
        lambda entry, stats: _copy_marker(entry, stats) is not None,
        _copy_text,
        _copy_sentence,
    )
    yield verdict(
        "contains-copy-in-file-name",
        lambda entry, stats: _copy_marker(entry, stats) is None,
        _copy_text,
        _copy_sentence,
    )
    yield verdict(
        "outside-copy-folders",
        lambda entry, _: len(copy_folders(entry.stat.path)),
        lambda entry, _: _copy_folder_text(entry),
        _copy_folder_sentence,
    )
    yield verdict(
        "hard-linked",
        lambda entry, stats: not stats.is_linked(entry),
        _links_text,
        lambda *_: "it has other names as hard links, so removing it would free nothing",
    )
    yield from _both_ways(
        ("longer-file-name", "longer name"),
        ("shorter-file-name", "shorter name"),
        lambda entry: len(entry.stat.path.name),
        _name_text,
    )
    yield from _both_ways(
        ("longer-folder-path", "longer folder path"), ("shorter-folder-path", "shorter folder path"), _folder,
        _folder_text,
    )  # fmt: skip


def _all_rules() -> Iterator[Rule]:
    yield from _rules_about_content()
    yield from _rules_about_the_group()
    yield from _rules_about_the_file()


RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _all_rules()})
"""The rules that need no argument, by name.

What their names do not say: a file without a date or a size loses to one that has it; ``smaller-distance`` and
``higher-score`` prefer the file that is most similar to the others of its group (see ``ranking.group_stats``); the
lengths of names and folders are counted in characters; markers of copies are known in many languages (see
``ranking.copy_names``).
"""

RULES_WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "longer-path": "longer-folder-path and longer-file-name",
        "shorter-path": "shorter-folder-path and shorter-file-name",
    }
)
"""Rules that version 2 documented and ignored, with the rules to use instead."""

SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "newest": "newer-file-modification-date",
        "oldest": "older-file-modification-date",
        "largest": "bigger-file-size",
        "smallest": "smaller-file-size",
    }
)
"""Names of other programs for some of the rules."""

RULE_NAMES: tuple[str, ...] = (*RULES, *PARAMETRIC_RULES)
"""Every name, those of rules with arguments included."""


def parse_rule(spec: RuleSpec) -> Rule:
    """Make the rule that a configuration names.

    Args:
        spec: The name alone, or with arguments: ``"folder-order: /edited, /camera"`` or a mapping with that one key.

    Raises:
        ValueError: In words: the name is unknown (with the nearest known one), an argument is missing or too much,
            or a pattern is no regular expression.
    """
    name, arguments = _split(spec)
    name = SHORT_NAMES.get(name, name)
    if name in PARAMETRIC_RULES:
        if not arguments:
            raise ValueError(f"the rule {name} needs arguments: {PARAMETRIC_RULES[name].example}")
        return PARAMETRIC_RULES[name].make(name, arguments)
    if name not in RULES and name not in RULES_WITHOUT_EFFECT:
        raise ValueError(_unknown(name))
    if arguments:
        raise ValueError(f"the rule {name} takes no arguments")
    return RULES[name] if name in RULES else plain(name, lambda _: 0, lambda _: "", "")


SAME_FOLDER_ORDER = plain(FOLDER_ORDER, lambda _: 0, lambda _: "", "")
"""Stands for the rule ``folder-order`` of the prioritisation rules; the ranker puts that one in its place."""


def parse_identical_rules(specs: Sequence[RuleSpec]) -> tuple[Rule, ...]:
    """Make the rules that choose among files with the same bytes.

    Args:
        specs: As the configuration has them: names of rules, ``protected``, and ``folder-order`` without folders.

    Raises:
        ValueError: As ``parse_rule``; ``original`` and rules about the group say nothing about equal bytes.
    """
    rules: list[Rule] = []
    for spec in specs:
        name, arguments = _split(spec)
        if name == PROTECTED and not arguments:
            continue  # the ranker asks it first in any case
        if name == FOLDER_ORDER and not arguments:
            rules.append(SAME_FOLDER_ORDER)
            continue
        made = parse_rule(spec)
        if made.pairwise or made.relative:
            raise ValueError(f"the rule {name} cannot tell files with the same bytes apart")
        rules.append(made)
    return tuple(rules)


def _split(spec: RuleSpec) -> tuple[str, tuple[str, ...]]:
    if isinstance(spec, str):
        name, _, rest = spec.partition(":")
        name = name.strip()
        given: str | Sequence[str] = rest
    elif len(spec) == 1:
        ((name, given),) = spec.items()
        if name == "name" and isinstance(given, str):
            return given.strip(), ()
    else:
        raise ValueError(f"{spec!r} is no rule: write its name, or its name with its arguments")
    if isinstance(given, str):
        single = name in PARAMETRIC_RULES and PARAMETRIC_RULES[name].single
        given = [given] if single else given.split(",")
    if not isinstance(given, Sequence):
        raise ValueError(f"the arguments of the rule {name} must be a list, not {given!r}")  # noqa: TRY004 - one kind
    return name, tuple(text for argument in given if (text := str(argument).strip()))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name.lower().replace("_", "-"), RULE_NAMES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known rules: {', '.join(RULE_NAMES)}"
    return f"there is no rule {name!r}; {hint}"
