"""The prioritisation rules that users choose from, by name."""

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
from py_image_dedup.ranking.copy_names import find_copy_marker

if TYPE_CHECKING:
    from py_image_dedup.ranking.group_stats import GroupStats


Key: TypeAlias = Any
"""Whatever sorts against the keys of the same rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to prefer a file to another.

    Attributes:
        name: As users write it.
        key: What is compared; the lesser key is the better file.
        words: The same for a person, with its unit.
        relative: The key depends on the other files of the group and is dear: asked only of files that every rule
            before this one calls equal.
    """

    name: str
    key: Callable[[IndexEntry, GroupStats], Key]
    words: Callable[[IndexEntry, GroupStats], str]
    relative: bool = False


def plain(name: str, key: Callable[[IndexEntry], Key], words: Callable[[IndexEntry], str]) -> Rule:
    """Make a rule that looks at a file alone."""
    return Rule(name, lambda entry, _: key(entry), lambda entry, _: words(entry))


_SPELLINGS = {"JPG": "JPEG", "JPE": "JPEG", "HEIC": "HEIF", "TIF": "TIFF", "JP2": "JPEG2000", "JPEG 2000": "JPEG2000"}


@dataclass(frozen=True, slots=True)
class RuleFactory:
    """How a rule with arguments is made.

    Attributes:
        make: From its name and its arguments (at least one).
        example: How it is written, for messages and the reference.
        single: It takes one argument, which may contain commas.
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

    def place(entry: IndexEntry) -> int:
        inside = entry.stat.raw_path.rpartition(b"/")[0] + b"/"
        return next((position for position, lies_in in enumerate(tests) if lies_in(inside)), len(tests))

    def words(entry: IndexEntry) -> str:
        position = place(entry)
        return f"in {folders[position]}" if position < len(folders) else "in none of the listed folders"

    return plain(name, place, words)


def _lies_in(folder: str) -> Callable[[bytes], bool]:
    """Make the test whether a folder, written with a slash at its end, is this one or lies in it."""
    raw = os.fsencode(os.path.normpath(Path(folder).expanduser())).rstrip(b"/") + b"/"
    if raw.startswith(b"/"):
        return lambda inside: inside.startswith(raw)
    return lambda inside: b"/" + raw in inside


def _preferred_formats(name: str, formats: Sequence[str]) -> Rule:
    """Prefer the format that comes first in the list; formats that are not in it come last."""
    wanted = [_format(text) for text in formats]

    def place(entry: IndexEntry) -> int:
        mine = _format(entry.facts.format) if entry.facts else ""
        return wanted.index(mine) if mine in wanted else len(wanted)

    def words(entry: IndexEntry) -> str:
        return entry.facts.format if entry.facts else "unknown format"

    return plain(name, place, words)


def _format(text: str) -> str:
    upper = text.strip().lstrip(".").upper()
    return _SPELLINGS.get(upper, upper)


def _name_pattern(name: str, patterns: Sequence[str]) -> Rule:
    """Prefer (or with ``no-name-pattern`` avoid) names in which one of the regular expressions is found."""
    compiled = [_compile(name, pattern) for pattern in patterns]
    wanted = name == "name-pattern"

    def found(entry: IndexEntry) -> bool:
        return any(pattern.search(entry.stat.path.name) for pattern in compiled)

    def words(entry: IndexEntry) -> str:
        return "the name matches" if found(entry) else "the name does not match"

    return plain(name, lambda entry: found(entry) is not wanted, words)


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

DEFAULT_RULES: tuple[str, ...] = (
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
"""The rules that are used when the user names none, the weightiest first."""

_ZERO = datetime(1, 1, 1)  # noqa: DTZ001 - cameras write naive times
_MICROSECOND = timedelta(microseconds=1)


def _pixels(entry: IndexEntry) -> int:
    return entry.facts.pixels if entry.facts else 0


def _pixel_words(entry: IndexEntry) -> str:
    return f"{entry.facts.width} x {entry.facts.height}" if entry.facts else "unknown size"


def _exif(entry: IndexEntry) -> int:
    return entry.facts.exif_fields if entry.facts else 0


def _size_words(entry: IndexEntry) -> str:
    return f"{entry.stat.size:,} bytes"


def _time_words(entry: IndexEntry) -> str:
    seconds, rest = divmod(entry.stat.mtime_ns, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}{fraction}"


def _copy_words(entry: IndexEntry) -> str:
    mark = find_copy_marker(entry.stat.path.name)
    return f'"{mark}" in the name' if mark else "no copy by name"


def _name_words(entry: IndexEntry) -> str:
    return f"{len(entry.stat.path.name)} characters"


def _folder(entry: IndexEntry) -> int:
    return len(str(entry.stat.path.parent))


def _folder_words(entry: IndexEntry) -> str:
    return f"{_folder(entry)} characters"


def _captured(entry: IndexEntry) -> int | None:
    """Microseconds; a camera's time has no zone."""
    captured = entry.facts.captured if entry.facts else None
    return (captured.replace(tzinfo=None) - _ZERO) // _MICROSECOND if captured else None


def _captured_words(entry: IndexEntry) -> str:
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


def _gps_words(entry: IndexEntry) -> str:
    return "position stored" if _gps(entry) else "no position"


def _both_ways(
    more: str, less: str, amount: Callable[[IndexEntry], int], words: Callable[[IndexEntry], str]
) -> Iterator[Rule]:
    """Make a rule that prefers the greater amount, and its opposite."""
    yield plain(more, lambda entry: -amount(entry), words)
    yield plain(less, amount, words)


def _all_rules() -> Iterator[Rule]:
    yield from _both_ways("higher-pixel-count", "lower-pixel-count", _pixels, _pixel_words)
    yield from _both_ways("more-exif-data", "less-exif-data", _exif, lambda entry: f"{_exif(entry)} EXIF fields")
    yield from _both_ways("bigger-file-size", "smaller-file-size", lambda entry: entry.stat.size, _size_words)
    yield from _both_ways(
        "newer-file-modification-date", "older-file-modification-date", lambda entry: entry.stat.mtime_ns, _time_words
    )
    yield Rule(
        "smaller-distance",
        lambda entry, stats: stats.mean_distance(entry),
        lambda entry, stats: f"mean distance {stats.mean_distance(entry):.3g}",
        relative=True,
    )
    yield Rule(
        "bigger-distance",
        lambda entry, stats: -stats.mean_distance(entry),
        lambda entry, stats: f"mean distance {stats.mean_distance(entry):.3g}",
        relative=True,
    )
    yield from _both_ways(
        "contains-copy-in-file-name",
        "doesnt-contain-copy-in-file-name",
        lambda entry: find_copy_marker(entry.stat.path.name) is not None,
        _copy_words,
    )
    yield from _both_ways("longer-file-name", "shorter-file-name", lambda entry: len(entry.stat.path.name), _name_words)
    yield from _both_ways("longer-folder-path", "shorter-folder-path", _folder, _folder_words)
    yield Rule(
        "higher-score",
        lambda entry, stats: -stats.score(entry),
        lambda entry, stats: f"{stats.score(entry)} direct matches",
        relative=True,
    )
    yield Rule(
        "lower-score",
        lambda entry, stats: stats.score(entry),
        lambda entry, stats: f"{stats.score(entry)} direct matches",
        relative=True,
    )
    yield plain("oldest-capture-date", _oldest, _captured_words)
    yield plain("newest-capture-date", _newest, _captured_words)
    yield from _both_ways("has-gps", "has-no-gps", _gps, _gps_words)


RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _all_rules()})
"""The rules that need no argument, by name.

What their names do not say: a file without a date or a size loses to one that has it; ``smaller-distance`` and
``higher-score`` ask for the file that is most like the others of its group (see ``rank.stats``); the lengths of names
and folders are counted in characters; "copy" is looked for in many languages (see ``copy_names.find_copy_marker``).
"""

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
    if name in PARAMETRIC_RULES:
        if not arguments:
            raise ValueError(f"the rule {name} needs arguments: {PARAMETRIC_RULES[name].example}")
        return PARAMETRIC_RULES[name].make(name, arguments)
    if name not in RULES:
        raise ValueError(_unknown(name))
    if arguments:
        raise ValueError(f"the rule {name} takes no arguments")
    return RULES[name]


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
