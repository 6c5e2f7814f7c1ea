"""Find the duplicates of a photo library, rank them, and remove the redundant ones so that nothing can be lost.

Example:
    >>> from py_image_dedup import find_duplicates
    >>> result = find_duplicates(pictures)
    >>> [group.keeper.stat.path.name for group in result.groups]
    ['beach.jpg']
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py_image_dedup.api import (
        Deduplicator,
        Duplicates,
        FindOptions,
        Index,
        Options,
        Pair,
        SearchError,
        SqliteStore,
        compare,
        find_duplicates,
    )
    from py_image_dedup.model.file import Root
    from py_image_dedup.model.match import MatchClass, Verdict
    from py_image_dedup.model.result import RunResult

__all__ = [
    "Deduplicator",
    "Duplicates",
    "FindOptions",
    "Index",
    "MatchClass",
    "Options",
    "Pair",
    "Root",
    "RunResult",
    "SearchError",
    "SqliteStore",
    "Verdict",
    "compare",
    "find_duplicates",
]

_MODULES = {
    **dict.fromkeys(__all__, "py_image_dedup.api"),
    "MatchClass": "py_image_dedup.model.match",
    "Root": "py_image_dedup.model.file",
    "RunResult": "py_image_dedup.model.result",
    "Verdict": "py_image_dedup.model.match",
}


NO_SUPPORT = (
    "py-image-dedup needs Linux or macOS: Windows cannot limit what decoders may use, hand open files to them, or act "
    "below an open folder. Run it in the Windows Subsystem for Linux (WSL 2) or in Docker."
    if sys.platform == "win32"
    else ""
)
"""Why the program cannot run on this system; empty if it can."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts without all of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if NO_SUPPORT:
        raise ImportError(NO_SUPPORT)
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
