"""Failures of single files, and the stages of a run that they occur in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """The stages of a run, by the names that reports show."""

    COUNT = "count"
    CLEANUP = "cleanup"
    ANALYSE = "analyse"
    FIND = "find"
    RANK = "rank"
    INSPECT = "inspect"
    REMOVE = "remove"
    PRUNE = "prune"


class FailureReason(StrEnum):
    """The kinds of failure, few enough to be the label of a metric."""

    VANISHED = "vanished"
    NO_PERMISSION = "no-permission"
    CHANGED = "changed"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED = "unsupported"
    NEEDS_EXTRA = "needs-extra"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too-large"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    IO_ERROR = "io-error"


TRANSIENT = frozenset(
    {FailureReason.VANISHED, FailureReason.NO_PERMISSION, FailureReason.CHANGED, FailureReason.IO_ERROR}
)
"""Reasons that may not recur: the next run tries these files again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file or folder that could not be processed; the run continues without it.

    Attributes:
        path: The file, absolute.
        phase: The stage in which it failed.
        reason: The kind of failure.
        message: The cause, as a text for the user; never empty.
    """

    path: Path
    phase: Phase
    reason: FailureReason
    message: str
