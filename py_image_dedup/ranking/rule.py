"""What a prioritisation rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from py_image_dedup.model.photo import IndexEntry

if TYPE_CHECKING:  # the rules' names are read at every start, and the company brings numpy
    from py_image_dedup.ranking.group_stats import Company

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
    key: Callable[[IndexEntry, Company], Key]
    words: Callable[[IndexEntry, Company], str]
    relative: bool = False


def plain(name: str, key: Callable[[IndexEntry], Key], words: Callable[[IndexEntry], str]) -> Rule:
    """Make a rule that looks at a file alone."""
    return Rule(name, lambda entry, _: key(entry), lambda entry, _: words(entry))
