"""The check of a run: whether its files are where the journal says, and whether its keepers are whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.events import Observer, PhaseAdvanced, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.plan import Action, ActionKind
from py_image_dedup.removal.executor import never
from py_image_dedup.removal.filesystem import digest_of, is_file
from py_image_dedup.removal.journal import Entry, JournalError, State, read_history
from py_image_dedup.removal.restore import CopyLocator
from py_image_dedup.removal.trash import find_in_trash


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check of one action found.

    Attributes:
        entry: The action, as the journal knows it.
        problems: Sentences about what is not as it should be; none if all is well.
    """

    entry: Entry
    problems: tuple[str, ...] = ()


def verify_run(
    run_directory: Path, *, observer: Observer = ignore, should_stop: Callable[[], bool] = never
) -> tuple[Finding, ...]:
    """Compare a run's journal with the disk, every file by its bytes. Nothing is changed.

    Args:
        run_directory: The folder of the run.
        observer: Receives a ``PhaseAdvanced`` for each file.
        should_stop: Polled before each file; when true, the rest is left out.

    Returns:
        One finding for each action that was begun, in the order of the plan.

    Raises:
        JournalError: There is no journal, or it cannot be read.
    """
    history = read_history(run_directory)
    if not history.run:
        raise JournalError(f"{run_directory} has no journal: this run removed nothing")
    check = _Check(CopyLocator(run_directory, history))
    found: list[Finding] = []
    for number in sorted(history.entries):
        if should_stop():
            break
        entry = history.entries[number]
        found.append(Finding(entry, tuple(check.problems(entry))))
        observer(PhaseAdvanced(Phase.REMOVE))
    return tuple(found)


class _Check:
    """Looks at files, each digest once."""

    def __init__(self, copies: CopyLocator) -> None:
        self._copies = copies
        self._digests: dict[Path, bytes | None] = {}

    def problems(self, entry: Entry) -> list[str]:
        action = entry.action
        if entry.state in {State.INTENDED, State.UNDOING, State.EXPIRING}:
            return [f"{action.source.path}: the run was killed while it handled this file; apply or undo goes on"]
        if entry.state is State.UNDONE:
            return self._expect(action.source.path, action.source_digest, "was restored, but")
        if entry.state is State.SKIPPED:
            return []
        return [*self._moved(entry), *self._keeper(action)]

    def _moved(self, entry: Entry) -> list[str]:
        """Return what is wrong with the place that the journal gives."""
        action = entry.action
        if entry.expired or action.kind in {ActionKind.DELETE, ActionKind.EXPIRE}:
            return []
        if action.kind is ActionKind.HARDLINK:
            return self._link(action)
        where = entry.location
        if where is None and action.kind is ActionKind.TRASH:
            where = find_in_trash(action.source.path, action.source.stamp)
        if where is None:
            return [f"{action.source.path} was not found in the trash"]
        return self._expect(where, action.source_digest, "should have the removed file, but")

    def _link(self, action: Action) -> list[str]:
        with suppress(OSError):
            if action.source.path.samefile(action.keeper.path):
                return []
        return [f"{action.source.path} is no hard link of {action.keeper.path} any more"]

    def _keeper(self, action: Action) -> list[str]:
        if self._digest(action.keeper.path) == action.keeper_digest:
            return []
        lost = self._expect(action.keeper.path, action.keeper_digest, "is a keeper, but")
        for path in self._copies.of(action.keeper_digest):
            if path != action.source.path and self._digest(path) == action.keeper_digest:
                return [f"{lost[0]}; {path} has its bytes"]
        return lost

    def _expect(self, path: Path, digest: bytes, what: str) -> list[str]:
        found = self._digest(path)
        if found == digest:
            return []
        return [f"{path} {what} {'it is not there or cannot be read' if found is None else 'it was changed'}"]

    def _digest(self, path: Path) -> bytes | None:
        if path not in self._digests:
            self._digests[path] = None
            with suppress(OSError):
                if is_file(path.lstat()):
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        self._digests[path] = digest_of(descriptor)
                    finally:
                        os.close(descriptor)
        return self._digests[path]
