"""Why something about a file could not be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """The phases of a run, by the names that users read."""

    COUNT = "count"
    CLEANUP = "cleanup"
    ANALYSE = "analyse"
    FIND = "find"
    RANK = "rank"
    INSPECT = "inspect"
    REMOVE = "remove"
    PRUNE = "prune"


class FailureReason(StrEnum):
    """The kinds of failure, few enough to be a metric's label."""

    VANISHED = "vanished"
    NO_PERMISSION = "no-permission"
    CHANGED = "changed"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LARGE = "too-large"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    IO_ERROR = "io-error"


TRANSIENT = frozenset(
    {FailureReason.VANISHED, FailureReason.NO_PERMISSION, FailureReason.CHANGED, FailureReason.IO_ERROR}
)
"""Failures that the next run may not meet again."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One file (or folder) that could not be handled; the run goes on without it.

    Attributes:
        path: The file, absolute.
        phase: Where it happened.
        reason: Its kind.
        message: The cause in words, for a person; never empty.
    """

    path: Path
    phase: Phase
    reason: FailureReason
    message: str
