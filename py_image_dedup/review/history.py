"""The view *Done* of the page: files that earlier runs removed, where they are, and whether they can be restored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from py_image_dedup.model.plan import ActionKind, OutcomeStatus
from py_image_dedup.removal.journal import Entry, JournalError, State, read_history
from py_image_dedup.removal.plan import can_be_undone
from py_image_dedup.removal.runs import RUNS_NAME, RunSummary, list_runs
from py_image_dedup.report.text import readable

_MOST_RUNS: Final = 200
_MOST_FILES: Final = 2000
_REMOVED: Final = frozenset({State.DONE, State.UNDOING, State.INTENDED})
_PLACES: Final = {
    ActionKind.MOVE: "moved",
    ActionKind.QUARANTINE: "in quarantine",
    ActionKind.DELETE: "deleted",
    ActionKind.TRASH: "in the trash",
    ActionKind.HARDLINK: "linked to the keeper",
    ActionKind.EXPIRE: "gone for good",
}


def runs_as_json(state_directory: Path) -> list[dict[str, Any]]:
    """Return the last runs that removed something, the newest first, as the page reads them.

    Raises:
        OSError: The folder of the runs cannot be read.
    """
    real = [run for run in list_runs(state_directory) if not run.dry_run and run.counts.get(OutcomeStatus.DONE)]
    return [_run(run) for run in reversed(real[-_MOST_RUNS:])]


def _run(run: RunSummary) -> dict[str, Any]:
    entries: Collection[Entry] = ()
    problem = run.problem
    try:
        entries = read_history(run.directory).entries.values()
    except JournalError as error:
        problem = str(error)
    removed = [entry for entry in entries if entry.state is not State.SKIPPED and not _expires(entry)]
    return {
        "run": run.run,
        "when": run.when.isoformat(timespec="seconds"),
        "done": len(removed),
        "bytes": sum(entry.action.source.size for entry in removed),
        "restored": sum(entry.state is State.UNDONE for entry in removed),
        "restorable": sum(map(_is_restorable, removed)),
        "problem": readable(problem),
    }


def files_as_json(state_directory: Path, run: str) -> list[dict[str, Any]]:
    """Return the files that a run removed, in the order of its plan; a few thousand at most.

    Raises:
        KeyError: There is no such run.
        JournalError: Its journal cannot be read.
    """
    entries = read_history(_directory(state_directory, run)).entries
    shown = [entry for _, entry in sorted(entries.items()) if entry.state is not State.SKIPPED and not _expires(entry)]
    return [_file(entry) for entry in shown[:_MOST_FILES]]


def _file(entry: Entry) -> dict[str, Any]:
    action = entry.action
    if entry.expired or entry.state in {State.EXPIRING, State.EXPIRED}:
        place = _PLACES[ActionKind.EXPIRE]
    else:
        place = "restored" if entry.state is State.UNDONE else _PLACES[action.kind]
    return {
        "number": action.number,
        "path": readable(action.source.path),
        "keeper": readable(action.keeper.path),
        "class": action.match_class.value,
        "bytes": action.source.size,
        "place": place,
        "restorable": _is_restorable(entry),
        "message": readable(entry.message),
    }


def _expires(entry: Entry) -> bool:
    return entry.action.kind is ActionKind.EXPIRE


def _is_restorable(entry: Entry) -> bool:
    return entry.state in _REMOVED and not entry.expired and can_be_undone(entry.action)


def entries_of(state_directory: Path, run: str, numbers: Sequence[int] | None) -> tuple[Path, list[Entry]]:
    """Return the folder of a run and those of its entries that can be restored.

    Args:
        state_directory: The state directory.
        run: Name of the run.
        numbers: Numbers of the wanted actions; ``None`` for all.

    Raises:
        KeyError: There is no such run, or it has no such file.
        JournalError: Its journal cannot be read.
    """
    directory = _directory(state_directory, run)
    entries = read_history(directory).entries
    wanted = entries.values() if numbers is None else [entries[number] for number in numbers]
    return directory, [entry for entry in wanted if _is_restorable(entry)]


def _directory(state_directory: Path, run: str) -> Path:
    """Return the folder of a real run. The name is looked up in the list of runs and never becomes a path itself."""
    runs = state_directory / RUNS_NAME
    for folder in runs.iterdir() if runs.is_dir() else ():
        if folder.name == run and read_history(folder).run:
            return folder
    raise KeyError(run)
