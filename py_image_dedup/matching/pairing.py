"""Which files may match at all, whatever they show."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum

from py_image_dedup.model.file import FileStat
from py_image_dedup.scan.roots import Ownership


class Scope(StrEnum):
    """Among which files duplicates are looked for."""

    ALL = "all"
    ROOT = "root"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Pairing:
    """Keeps files apart that are no duplicates however alike they are.

    Attributes:
        max_gap_ns: Files whose modification times are further apart, in nanoseconds, never match.
    """

    max_gap_ns: int | None = None

    def allows(self, one: FileStat, other: FileStat) -> bool:
        """Tell whether two files of one scope may match. Two names of one inode are one file, and no duplicates."""
        if one.inode == other.inode and one.device == other.device:
            return False
        return self.max_gap_ns is None or abs(one.mtime_ns - other.mtime_ns) <= self.max_gap_ns


def scope_key(scope: Scope, ownership: Ownership) -> Callable[[bytes], Hashable]:
    """Make the function that tells what a file, by its raw path, has in common with those it may match."""
    if scope is Scope.ALL:
        return lambda _: None
    if scope is Scope.FOLDER:
        return lambda raw: raw.rpartition(b"/")[0]
    return lambda raw: root.path if (root := ownership.root_of(raw)) else None
