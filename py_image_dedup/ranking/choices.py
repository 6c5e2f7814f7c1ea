"""Rules that the user completes: an order of folders or formats, a pattern of names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.rule import Rule, plain

_SPELLINGS = {"JPG": "JPEG", "JPE": "JPEG", "HEIC": "HEIF", "TIF": "TIFF", "JP2": "JPEG2000", "JPEG 2000": "JPEG2000"}


@dataclass(frozen=True, slots=True)
class Choice:
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


CHOICES: Mapping[str, Choice] = MappingProxyType(
    {
        "folder-order": Choice(_folder_order, "{folder-order: [/photos/edited, Originals]}"),
        "preferred-formats": Choice(_preferred_formats, "{preferred-formats: [PNG, HEIF, JPEG]}"),
        "name-pattern": Choice(_name_pattern, '{name-pattern: "^IMG_"}', single=True),
        "no-name-pattern": Choice(_name_pattern, '{no-name-pattern: "_edited"}', single=True),
    }
)
"""The rules with arguments, by name."""
