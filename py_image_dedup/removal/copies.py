"""Where the bytes of a file that was deleted may still be: every place that the journals know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from py_image_dedup.removal.history import History, read_history
from py_image_dedup.removal.journal import JOURNAL_NAME, JournalError


class KnownCopies:
    """Looks places up by digest: first in the journal of a run, then in those of the runs beside it.

    Not to be shared between threads.

    Args:
        run_directory: The folder of the run.
        history: Its journal, read.
    """

    def __init__(self, run_directory: Path, history: History) -> None:
        self._directory = run_directory
        self._own = _places(history)
        self._others: dict[bytes, list[Path]] | None = None

    def of(self, digest: bytes) -> Iterator[Path]:
        """Return where a file with these bytes was once, likeliest first; whether it still is must be looked at."""
        yield from self._own.get(digest, ())
        if self._others is None:
            self._others = self._read_others()
        yield from self._others.get(digest, ())

    def _read_others(self) -> dict[bytes, list[Path]]:
        found: dict[bytes, list[Path]] = {}
        for journal in sorted(self._directory.parent.glob(f"*/{JOURNAL_NAME}"), reverse=True):
            if journal.parent.samefile(self._directory):
                continue
            try:
                places = _places(read_history(journal.parent))
            except JournalError:
                continue  # of a newer version: its places are not known to this one
            for digest, paths in places.items():
                found.setdefault(digest, []).extend(paths)
        return found


def _places(history: History) -> dict[bytes, list[Path]]:
    found: dict[bytes, dict[Path, None]] = {}
    for entry in history.entries.values():
        action = entry.action
        found.setdefault(action.keeper_digest, {})[action.keeper.path] = None
        here = found.setdefault(action.source_digest, {})
        if entry.where is not None:
            here[entry.where] = None
        here[action.source.path] = None
    return {digest: list(paths) for digest, paths in found.items()}
