"""The Python API: duplicate search and removal for use from other programs.

Example:
    Find duplicates without changing anything:

    >>> from py_image_dedup import find_duplicates
    >>> result = find_duplicates(pictures)
    >>> for group in result.groups:
    ...     for redundant in group.redundant:
    ...         print(redundant.entry.stat.path.name, redundant.match.match_class, group.keeper.stat.path.name)
    beach copy.jpg identical beach.jpg

    Remove duplicates, with a persistent index:

    >>> from py_image_dedup import Deduplicator, Options, Root, SqliteStore
    >>> with SqliteStore(state / "index.sqlite3") as store:
    ...     work = Deduplicator(store, Options(state_directory=state))
    ...     result = work.deduplicate([Root(pictures)], dry_run=False)
    >>> [str(outcome.status) for outcome in result.outcomes]
    ['done']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from py_image_dedup.api.deduplicator import Deduplicator, Taken
from py_image_dedup.model.events import never
from py_image_dedup.pipeline.options import Confirm, FindOptions, Options
from py_image_dedup.store import INDEX_NAME
from py_image_dedup.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from py_image_dedup.api.duplicates import Duplicates, Pair
    from py_image_dedup.api.pictures import compare, features, signature
    from py_image_dedup.api.search import Index, SearchError, find_duplicates

__all__ = [
    "INDEX_NAME",
    "Confirm",
    "Deduplicator",
    "Duplicates",
    "FindOptions",
    "Index",
    "Options",
    "Pair",
    "SearchError",
    "SqliteStore",
    "Taken",
    "compare",
    "features",
    "find_duplicates",
    "never",
    "signature",
]

_MODULES = {
    "Duplicates": "duplicates",
    "Index": "search",
    "Pair": "duplicates",
    "SearchError": "search",
    "compare": "pictures",
    "features": "pictures",
    "find_duplicates": "search",
    "signature": "pictures",
}
"""Names that the command line does not need, by module."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
